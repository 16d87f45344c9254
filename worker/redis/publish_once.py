"""What follows from a task is put into its queue once, however often it is sent.

Celery sends callbacks before the task's outcome is stored. A worker that is killed in between, or
that gets an answer twice, sends them again; they have the ids that they had
(tasks/runtime/canvas.py). So the queue and a mark are written in one step, and a message that has
the mark is dropped.
"""

from __future__ import annotations

import hashlib
from typing import Any

from kombu.utils.json import dumps
from redis import Redis

from config.queues import SENT
from tasks.runtime.messages import JOB_HEADER

#: How long a mark is kept: as long as answers are repeated (ledger/core/waiters.py).
_KEPT_SECONDS = 86_400

_PUT = """
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], '1', 'EX', ARGV[2])
return 1
"""


def mark_of(message: Any) -> str | None:
    """Return the name of the mark of a message that follows from a task; None for any other."""
    headers = message.get("headers") or {}
    # An answer has its task's parent, and may have to be sent often.
    if not headers.get("parent_id") or not headers.get("id") or JOB_HEADER in headers:
        return None
    # The id of a signature that was frozen may occur several times in one group.
    parts = [headers["parent_id"], headers["id"], headers.get("task"), headers.get("group_index")]
    return SENT + hashlib.sha256(repr(parts).encode("utf-8", "replace")).hexdigest()


def put_once(client: Redis, queue: str, message: Any, mark: str) -> bool:
    """Put a message into a queue, unless its mark is there; return whether it was put.

    ``client`` adds no prefix to keys.
    """
    script = client.register_script(_PUT)
    return bool(script(keys=[queue, mark], args=[dumps(message), _KEPT_SECONDS]))
