"""Celery's configuration, the same in every deployment; what an operator may change is in settings.

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
#: Says no more than the address, but Flower looks only here.
broker_use_ssl = tls.options(broker_url) or False
_prefixed = {"global_keyprefix": settings().redis_key("")} if settings().redis_key_prefix else {}

#: A worker killed before its message became a row costs half a minute. The keys are our own, so
#: that no other application on the database sees its messages restored by this timeout.
broker_transport_options = {
    "visibility_timeout": 30,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "unacked_key": UNACKED,
    "unacked_index_key": UNACKED_INDEX,
    "unacked_mutex_key": UNACKED_MUTEX,
    #: A worker that is killed while it holds the mutex keeps nobody from putting messages back.
    "unacked_mutex_expire": 5,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "client_name": "earwitness",
    **_prefixed,
}
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # a worker that gave up would look alive and do nothing
#: What Redis refuses for a while (its memory is full, it became a replica, a script keeps it busy)
#: it will take again; by itself Celery ends the worker, with what that has in hand.
broker_channel_error_retry = True
broker_connection_timeout = 5
broker_pool_limit = 20
#: Nobody waits for ever for a connection that others keep: a hint is announced again.
broker_pool_acquire_timeout = 10
redis_socket_timeout = 5.0
redis_socket_connect_timeout = 5.0
redis_backend_health_check_interval = 10
#: The ledger answers again whatever could not be stored, so nobody waits here for Redis' return.
result_backend_transport_options = {
    "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
    **_prefixed,
}
result_expires = 86_400

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
#: Front-door messages are acknowledged once the row is there, hints at acceptance
#: (tasks/runtime/messages.py).
task_acks_late = True
task_acks_on_failure = True

# --- worker --------------------------------------------------------------------------------------

#: Rows protect, and threads are cheap: a slot waits for the network, or holds 300 MB of nothing.
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
#: Beat looks at its timetable so often at least; `health` notices when it does no more.
beat_max_loop_interval = 5
#: Beat only ticks; which night is due is a row of the ledger, so two beats do no harm.
beat_schedule_filename = str(ROOT / "var" / "beat")
beat_schedule = {
    "nightly.plan": {
        "task": "earwitness.nightly.plan",
        "schedule": 300.0,
        # Three ticks at most wait for a worker; its clock judges beat's, and may differ by minutes.
        "options": {"queue": FRONT_DOOR, "expires": 900},
    },
    "archive.verify": {
        "task": "earwitness.archive.verify",
        # Not every seven days: a beat that is deployed anew each week would never come so far.
        "schedule": crontab(minute="0", hour="4", day_of_week="sunday"),
        "options": {"queue": FRONT_DOOR, "expires": 86_400},
    },
}
