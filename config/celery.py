"""Celery's configuration, the same in every deployment. Operators change config/settings.py's
settings instead.

Names: https://docs.celeryq.dev/en/stable/userguide/configuration.html
Redis transport options: https://docs.celeryq.dev/projects/kombu/en/stable/reference/kombu.transport.redis.html
"""

from __future__ import annotations

from celery.schedules import crontab
from kombu import Exchange, Queue

from . import tls
from .queues import DOWNLOADS, DUE, FRONT_DOOR, UNACKED, UNACKED_INDEX, UNACKED_MUTEX
from .settings import ROOT, settings

# --- broker and result backend -------------------------------------------------------------------

broker_url = settings().celery_url.get_secret_value()
result_backend = broker_url
#: Repeats the address' options, because Flower reads them only here.
broker_use_ssl = tls.options(broker_url) or False
_prefixed = {"global_keyprefix": settings().redis_key("")} if settings().redis_key_prefix else {}

#: A worker killed before its job is in the ledger costs half a minute. The keys are our own, so
#: that this timeout restores no other application's messages on the same database.
broker_transport_options = {
    "visibility_timeout": 30,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "unacked_key": UNACKED,
    "unacked_index_key": UNACKED_INDEX,
    "unacked_mutex_key": UNACKED_MUTEX,
    #: Short, so that a worker killed with the mutex does not stop the others from restoring.
    "unacked_mutex_expire": 5,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "client_name": "earwitness",
    **_prefixed,
}
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # after giving up, a worker would look alive and do nothing
#: Redis refuses commands for a while when its memory is full, when it became a replica or when a
#: script blocks it. Without this option, Celery would end the worker and its running tasks.
broker_channel_error_retry = True
broker_connection_timeout = 5
broker_pool_limit = 20
#: Bounds the wait for a connection in use by others. A hint that times out is published again.
broker_pool_acquire_timeout = 10
redis_socket_timeout = 5.0
redis_socket_connect_timeout = 5.0
redis_backend_health_check_interval = 10
#: Retries are few: the ledger keeps results that could not be stored, and answers again later.
result_backend_transport_options = {
    "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
    **_prefixed,
}
#: One for all threads, with one pool of connections; otherwise each thread has its own.
result_backend_thread_safe = True
result_expires = 86_400
#: The worker masks arguments before it stores them (worker/redis/results.py).
result_extended = settings().result_extended

# --- messages ------------------------------------------------------------------------------------

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]
task_default_queue = FRONT_DOOR
task_queues = tuple(
    Queue(name, Exchange(name), routing_key=name) for name in (FRONT_DOOR, DUE, DOWNLOADS)
)
task_create_missing_queues = True  # ``notify`` names a queue of the caller's own application
task_send_sent_event = False
task_track_started = True
task_publish_retry = False
#: Task messages are acknowledged once the job is in the ledger, hints when they are accepted
#: (tasks/runtime/messages.py).
task_acks_late = True
task_acks_on_failure = True

# --- worker --------------------------------------------------------------------------------------

#: Threads are cheap: most of them wait for the network. The ledger protects the jobs.
worker_pool = "threads"
worker_concurrency = 20
worker_prefetch_multiplier = 1
worker_cancel_long_running_tasks_on_connection_loss = False
worker_send_task_events = True
worker_hijack_root_logger = False
worker_proc_alive_timeout = 30

# --- timetable -----------------------------------------------------------------------------------

timezone = "UTC"
enable_utc = True
#: The longest time between two ticks of beat; `health` notices when they stop.
beat_max_loop_interval = 5
#: Beat only ticks, and the ledger decides which night is due, so two beats do no harm.
beat_schedule_filename = str(ROOT / "var" / "beat")
beat_schedule = {
    "nightly.plan": {
        "task": "earwitness.nightly.plan",
        "schedule": 300.0,
        # At most three ticks wait for a worker. The expiry tolerates clocks that differ by minutes.
        "options": {"queue": FRONT_DOOR, "expires": 900},
    },
    "archive.verify": {
        "task": "earwitness.archive.verify",
        # Not every seven days: a beat that is deployed again each week would never reach that.
        "schedule": crontab(minute="0", hour="4", day_of_week="sunday"),
        "options": {"queue": FRONT_DOOR, "expires": 86_400},
    },
}
if settings().report_dir is not None:
    beat_schedule["report.write"] = {
        "task": "earwitness.report.write",
        "schedule": crontab(minute="0", hour="6"),
        "options": {"queue": FRONT_DOOR},
    }
