"""dramatiq: one process with as many threads as there are slots, its results in Redis."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from typing import Any

import asking
import dramatiq
from dramatiq import Message, cli
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import ResultMissing, Results
from dramatiq.results.backends import RedisBackend

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
    sent: deque[Message[Any]] = deque()
    finished = 0

    def count() -> int:
        # One question at a time: the oldest that is missing stands for the others.
        nonlocal finished
        with contextlib.suppress(ResultMissing):
            while sent:
                sent[0].get_result(block=False)
                sent.popleft()
                finished += 1
        return finished

    asking.send_on_request(lambda: sent.append(call.send()), count)


if __name__ == "__main__":
    {"work": work, "send": send}[sys.argv[1]]()
