"""dramatiq: one process with as many threads as there are slots, its results in Redis."""

from __future__ import annotations

import os
import sys
from typing import Any

import asking
import dramatiq
from dramatiq import cli
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from redis import Redis

_URL = os.environ["PEER_REDIS_URL"]
_broker = RedisBroker(url=_URL)
_broker.add_middleware(Results(backend=RedisBackend(url=_URL), store_results=True))
dramatiq.set_broker(_broker)


@dramatiq.actor(result_ttl=86_400_000)
def call() -> Any:
    """Place one call."""
    return asking.ask()


def work() -> None:
    """Run dramatiq's own command line."""
    arguments = ["dramatiq_peer", "--processes", "1", "--threads", str(asking.SLOTS)]
    sys.exit(cli.main(cli.make_argument_parser().parse_args(arguments)))


def send() -> None:
    """Send jobs on request."""
    redis = Redis.from_url(_URL)
    asking.send_on_request(
        call.send, lambda: sum(1 for _ in redis.scan_iter("dramatiq-results:*", count=5000))
    )


if __name__ == "__main__":
    {"work": work, "send": send}[sys.argv[1]]()
