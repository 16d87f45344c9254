"""RQ: a pool of workers that run their jobs in their own process."""

from __future__ import annotations

import os
import sys

import asking
from redis import Redis
from rq import Queue, SimpleWorker
from rq.registry import FinishedJobRegistry
from rq.worker_pool import WorkerPool

_redis = Redis.from_url(os.environ["PEER_REDIS_URL"])
_queue = Queue("calls", connection=_redis)


def work() -> None:
    """Run as many worker processes as there are slots."""
    pool = WorkerPool([_queue], _redis, num_workers=asking.SLOTS, worker_class=SimpleWorker)
    pool.start(logging_level="WARNING")


def send() -> None:
    """Send jobs on request."""
    finished = FinishedJobRegistry(queue=_queue)
    asking.send_on_request(
        lambda: _queue.enqueue(asking.ask, result_ttl=86_400),
        lambda: finished.get_job_count(cleanup=False),
    )


if __name__ == "__main__":
    {"work": work, "send": send}[sys.argv[1]]()
