"""Tags of messages in hand, which tell who holds them."""

from __future__ import annotations

import uuid
from typing import Any

#: The id of this process among the holders.
HOLDER = uuid.uuid4().hex


def new() -> str:
    """Return a unique tag for a message in hand that contains its holder's id.

    The senders' tags are not used, because several messages may have the same one.
    """
    return f"{HOLDER}.{uuid.uuid4().hex}"


def holder(tag: Any) -> str:
    """Return the id of the process that has the message of a tag in hand."""
    return text(tag).partition(".")[0]


def text(tag: Any) -> str:
    """Return a tag or an id as text, as Redis may give it in bytes."""
    return tag.decode(errors="surrogateescape") if isinstance(tag, bytes) else str(tag)
