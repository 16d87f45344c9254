"""The Celery application: ``celery -A worker worker``, ``beat`` and ``flower`` start here."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any

from celery import Celery, Task, signals

from config.settings import ConfigurationError, settings
from config.umask import keep_from_others

try:
    settings()
except ConfigurationError as error:
    sys.exit(f"earwitness: {error}")

from config import logging as our_logging
from tasks.jobs.tasks import cancel_revoked
from tasks.registry import TASK_MODULES
from tasks.runtime.context import stopping
from tasks.runtime.messages import ACCOUNT_HEADER, JOB_HEADER, revoked_listeners

from .health import clock as _clock  # noqa: F401 - registers what doctor asks
from .health.heartbeat import pulse
from .metrics.server import Metrics
from .redis.broker import keep_consuming
from .redis.presence import notice_queues
from .redis.revocation import cancel_at_once
from .redis.thread_pool import use_these_threads
from .redis.unknown_tasks import unknown
from .short_secrets import notice_short_secrets
from .startup_checks import notice_few_threads, refuse_autoscaling, refuse_other_pools, start_checks
from .sweeper import Sweeper

keep_from_others()
app = Celery(
    "earwitness",
    config_source="config.celery",
    include=TASK_MODULES,
)
app.steps["worker"].update({Sweeper, Metrics})
keep_consuming()
use_these_threads()
cancel_at_once()
app.conf.worker_consumer = "worker.redis.consumer:Discreet"
app.conf.beat_scheduler = "worker.health.beat_scheduler:Timetable"
app.loader.override_backends = dict.fromkeys(("redis", "rediss"), "worker.redis.results:Outcomes")

if "flower.command" in sys.modules:  # Celery's command line, which loads it with every command
    from .flower.dashboard import prepare

    prepare()


@signals.setup_logging.connect
def _log(loglevel: int | str = "INFO", **_: object) -> None:
    our_logging.configure(settings().log_format, loglevel, settings().secret_values())


@signals.task_prerun.connect
def _begin(task_id: str, task: Task, **_: object) -> None:
    job_id, account = (task.request.get(header) for header in (JOB_HEADER, ACCOUNT_HEADER))
    our_logging.begin_task(task_id, job_id=job_id, account=account)


@signals.task_postrun.connect
def _end(**_: object) -> None:
    our_logging.end_task()


@signals.celeryd_init.connect
def _refuse(options: Mapping[str, Any], **_: object) -> None:
    refuse_autoscaling(options)


@signals.worker_init.connect
def _start(sender: Any, **_: object) -> None:
    # The checks may wait for the ledger, and shall say so: Celery sets up logs only after them.
    _log()
    notice_short_secrets(settings())
    refuse_other_pools(sender.pool_cls)
    pulse.begin("worker", sender.hostname)
    start_checks(app)


@signals.worker_ready.connect
def _ready(sender: Any, **_: object) -> None:
    queues = frozenset(sender.app.amqp.queues.consume_from)
    notice_few_threads(sender.pool.limit, queues)
    notice_queues(queues)
    pulse.ready(queues)


@signals.worker_shutting_down.connect
def _stop(**_: object) -> None:
    stopping.set()
    pulse.stopping()


@signals.task_unknown.connect
def _unknown(name: object, **_: object) -> None:
    unknown.note(name, app.tasks)


@signals.beat_init.connect
def _tick(**_: object) -> None:
    notice_short_secrets(settings())
    pulse.begin("beat", f"beat@{socket.gethostname()}")
    pulse.ready()


def _revoked(task_id: str) -> None:
    # Told by the thread that receives messages, which must not wait for the ledger.
    threading.Thread(target=cancel_revoked, args=(task_id,), daemon=True).start()


revoked_listeners.append(_revoked)
