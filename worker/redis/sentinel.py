"""Celery's channel and result backend on the master that the sentinels of the settings name.

kombu and Celery would need every sentinel's address and the sentinels' password in their options,
which workers tell Flower.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.backends.redis import SentinelBackend
from kombu.transport.redis import SentinelChannel, SentinelTransport
from redis.sentinel import SentinelConnectionPool

from config import sentinels
from config.settings import settings

from .connecting import Sentinels, asked


class OurSentinelChannel(SentinelChannel):
    """kombu's channel, which asks our sentinels."""

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> SentinelConnectionPool:
        options = self._connparams(asynchronous)
        for name in ("host", "port"):
            options.pop(name, None)
        named = sentinels.read(settings().redis_url.get_secret_value())
        manager = asked(named)
        # kombu closes it together with the pool.
        setattr(self, "_async_sentinel_manager" if asynchronous else "_sentinel_manager", manager)
        return SentinelConnectionPool(named.master_name, manager, **options)


class OurSentinelBackend(SentinelBackend):
    """Celery's result backend, which asks our sentinels."""

    def _get_sentinel_instance(self, **params: Any) -> Sentinels:
        options = {name: value for name, value in params.items() if name != "hosts"}
        return asked(sentinels.read(settings().redis_url.get_secret_value()), **options)


def ask_our_sentinels(app: Celery) -> None:
    """Have an application of a command, which consumes nothing, use them."""
    if SentinelTransport.Channel is SentinelChannel:
        SentinelTransport.Channel = OurSentinelChannel
    app.loader.override_backends = {"sentinel": "worker.redis.sentinel:OurSentinelBackend"}
