"""The Celery application of ``celery -A worker worker``, ``beat`` and ``flower``."""

from __future__ import annotations

import gc
import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any

from celery import Celery, Task, signals

from config.settings import ConfigurationError, settings
from config.umask import restrict_umask
from providers import registry

try:
    settings()
except ConfigurationError as error:
    sys.exit(f"earwitness: {error}")

from config import logging as our_logging
from tasks.registry import TASK_MODULES
from tasks.runtime.context import stopping
from tasks.runtime.messages import ACCOUNT_HEADER, JOB_HEADER, Message, revoked_listeners

from . import stop_limit
from .health import clock as _clock  # noqa: F401 - registers doctor's command
from .health import configuration as _configuration  # noqa: F401 - registers doctor's command
from .health.heartbeat import heartbeat
from .metrics import server as metrics_server
from .redis.broker import install_channel
from .redis.possessions import announce
from .redis.presence import warn_about_queues
from .redis.reconnection import PromptBroker
from .redis.reload_control import Reloading, reload_worker
from .redis.remote_commands import install_refusals
from .redis.revocation import install_revocation, take_back
from .redis.thread_pool import install_rejection_log, install_thread_pool
from .redis.unknown_tasks import unknown
from .reloading import reload_at_hangup
from .short_secrets import notice_short_secrets
from .startup_checks import notice_few_threads, refuse_autoscaling, refuse_other_pools, start_checks
from .sweeper import Sweeper

#: After how many new objects a worker looks for garbage among them, and how many such looks come
#: before one at older objects: the steps of a call make and drop hundreds.
_GARBAGE = (10_000, 20, 20)

restrict_umask()
app = Celery(
    "earwitness",
    amqp=PromptBroker,
    config_source="config.celery",
    include=TASK_MODULES,
)
app.steps["worker"].update({Sweeper, metrics_server.Metrics, Reloading})
install_channel()
install_thread_pool()
install_rejection_log()
install_revocation()
install_refusals()
app.conf.worker_consumer = "worker.redis.consumer:RedactingConsumer"
app.events.dispatcher_cls = "worker.redis.events:Dispatcher"
app.conf.beat_scheduler = "worker.health.beat_scheduler:Scheduler"
app.loader.override_backends = dict.fromkeys(
    ("redis", "rediss"), "worker.redis.results:ResultBackend"
)

if "flower.command" in sys.modules:  # Celery's command line loads it for every command
    from .flower.dashboard import prepare

    prepare()


@app.on_after_finalize.connect
def _redact_celerys_tasks(**_: object) -> None:
    # Such as celery.accumulate, which Celery adds to a canvas: its arguments are callers' results.
    for task in (app.tasks[name] for name in app.tasks if name.startswith("celery.")):
        task.Request = "tasks.runtime.messages:Message"
        task.resultrepr_maxsize = 1


@signals.setup_logging.connect
def _log(loglevel: int | str = "INFO", **_: object) -> None:
    our_logging.configure(settings().log_format, loglevel, settings().secret_values())


@signals.task_prerun.connect
def _begin(task_id: str, task: Task, **_: object) -> None:
    job_id, account = (task.request.get(header) for header in (JOB_HEADER, ACCOUNT_HEADER))
    our_logging.begin_task(task_id, job_id=job_id, account=account)
    stop_limit.task_begins()


@signals.task_postrun.connect
def _end(**_: object) -> None:
    our_logging.end_task()
    stop_limit.task_ends()


@signals.celeryd_init.connect
def _refuse(options: Mapping[str, Any], **_: object) -> None:
    refuse_autoscaling(options)


@signals.worker_init.connect
def _start(sender: Any, **_: object) -> None:
    # The checks log while they wait for the ledger, and Celery sets up logging only after them.
    _log()
    notice_short_secrets(settings())
    refuse_other_pools(sender.pool_cls)
    registry.load_clients()
    heartbeat.begin("worker", sender.hostname)
    reload_at_hangup(reload_worker)
    metrics_server.serve()
    start_checks(app)


@signals.worker_ready.connect
def _ready(sender: Any, **_: object) -> None:
    queues = frozenset(sender.app.amqp.queues.consume_from)
    notice_few_threads(sender.pool.limit, queues)
    warn_about_queues(queues)
    # What a worker has loaded by now stays loaded. To look through all of it for garbage, again and
    # again, takes a part of its CPU and holds up every thread meanwhile.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    heartbeat.ready(queues)
    announce(sender.app.backend.client, queues)


@signals.worker_shutting_down.connect
def _stop(**_: object) -> None:
    stopping.set()
    heartbeat.stopping()
    stop_limit.begin()


@signals.task_unknown.connect
def _unknown(name: object, **_: object) -> None:
    unknown.note(name, app.tasks)


@signals.beat_init.connect
def _tick(**_: object) -> None:
    notice_short_secrets(settings())
    reload_at_hangup()
    heartbeat.begin("beat", f"beat@{socket.gethostname()}")
    heartbeat.ready()


def _revoked(message: Message) -> None:
    # The calling thread receives messages and must not wait for the ledger.
    threading.Thread(target=take_back, args=(message,), daemon=True).start()


revoked_listeners.append(_revoked)
