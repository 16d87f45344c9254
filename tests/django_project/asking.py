"""Requests of the project, and what they put into the worker's queue."""

import json

import redis
from django.conf import settings
from shop.models import Order

from earwitness_client.django import get_client, send_on_commit
from earwitness_client.django.models import Job

URL = settings.EARWITNESS["URL"]
NUMBER = "660111222"
CALL = "certified_call.request"


def call(order: str = "order-1", phone: str = NUMBER, *, subject: Order | None = None) -> Job:
    """Request a certified call."""
    send = send_on_commit if subject is None else subject.send_on_commit
    return send(
        get_client().certified_call.request,
        account="legal",
        country="ES",
        phone=phone,
        max_seconds=60,
        request_id=order,
    )


def queued() -> list[dict]:
    """The messages in the worker's queue, the oldest first."""
    with redis.Redis.from_url(URL) as client:
        return [json.loads(one) for one in reversed(client.lrange("earwitness", 0, -1))]


def empty_redis() -> None:
    """Remove everything from the worker's Redis."""
    with redis.Redis.from_url(URL) as client:
        client.flushdb()


def connections() -> int:
    """The number of open connections to the worker's Redis, with its own."""
    with redis.Redis.from_url(URL) as client:
        return len(client.client_list())
