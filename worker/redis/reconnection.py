"""Connections to Redis that are tried again soon: the pauses grow to five seconds at most.

kombu's pauses grow to half a minute, for which a worker, beat or Flower would stand still after
Redis has come back.
"""

from __future__ import annotations

from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection

_PAUSES = {"interval_start": 1, "interval_step": 1, "interval_max": 5}


class PromptConnection(Connection):
    """A connection whose attempts to connect again follow each other within five seconds."""

    def _ensure_connection(self, *arguments: Any, **options: Any) -> Any:
        return super()._ensure_connection(*arguments, **{**_PAUSES, **options})


class PromptBroker(AMQP):
    """Celery's access to the broker, with such connections."""

    Connection = PromptConnection
