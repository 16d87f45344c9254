"""The Celery application with which commands publish hints and ask workers."""

from __future__ import annotations

from celery import Celery

from worker.redis.sentinel import ask_our_sentinels

from .deployment import configured

#: A command waits no longer for Redis, because a sweeper publishes the job's hint anyway.
_BROKER_SECONDS = 2


def announcing() -> Celery:
    """Return the Celery application with which this process publishes hints and asks workers."""
    configured()
    app = Celery("earwitness.command", config_source="config.celery")
    ask_our_sentinels(app)
    options = {"socket_timeout": _BROKER_SECONDS, "socket_connect_timeout": _BROKER_SECONDS}
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **options}
    app.conf.broker_connection_timeout = _BROKER_SECONDS
    return app
