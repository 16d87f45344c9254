"""The chain: numbered entries per account, each with the SHA-256 of the one before.

The number is the lock: an entry is created where nothing stands, who loses takes the next.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import layout
from .errors import Damaged
from .store import DirectoryStore

#: What the first entry names as the one before it.
NOTHING = "0" * 64

#: How many of the newest entries are looked through for one that was appended just before a crash.
_REMEMBERED = 100

Entry = dict[str, str]


@dataclass(frozen=True)
class Head:
    """The newest entry of an account's chain: its number and its SHA-256."""

    account: str
    n: int
    sha256: str


def append(store: DirectoryStore, account: str, entries: Sequence[Entry]) -> Head:
    """Put files under the chain: ``{path, sha256}`` each. What its newest entries cover already is
    left out, so that it may be asked twice. The head afterwards.

    Raises Damaged when the newest entry can not be read, and NoSpace.
    """
    while True:
        current = head(store, account)
        known = set(_covered(store, account, newest=_REMEMBERED))
        left = [entry for entry in entries if (entry["path"], entry["sha256"]) not in known]
        if current is None:
            left = [*_identity(store), *left]
        if not left:
            assert current is not None
            return current
        number = 1 if current is None else current.n + 1
        content = {
            "n": number,
            "previous": NOTHING if current is None else current.sha256,
            "entries": left,
        }
        data = json.dumps(content, ensure_ascii=False, indent=1).encode()
        try:
            store.create(layout.chain_path(account, number), data)
        except FileExistsError:
            continue
        return Head(account, number, hashlib.sha256(data).hexdigest())


def head(store: DirectoryStore, account: str) -> Head | None:
    """The newest entry of an account's chain, or None."""
    newest = _newest(store, account)
    if newest == 0:
        return None
    data = store.read(layout.chain_path(account, newest))
    return Head(account, newest, hashlib.sha256(data).hexdigest())


def covers(store: DirectoryStore, account: str, entry: Entry) -> bool:
    """Whether the chain covers the file with this sum."""
    wanted = (entry["path"], entry["sha256"])
    return any(known == wanted for known in _covered(store, account, newest=None))


def read(store: DirectoryStore, account: str, number: int) -> dict[str, Any]:
    """One entry of the chain. Raises Missing, and Damaged when it can not be read as one."""
    path = layout.chain_path(account, number)
    try:
        content = json.loads(store.read(path))
        if isinstance(content["entries"], list) and content["n"] == number:
            return dict(content)
    except (ValueError, KeyError, TypeError):
        pass
    raise Damaged(path, "is not readable as an entry of the chain; run verify")


def numbers(store: DirectoryStore, account: str) -> Iterator[int]:
    """The numbers under which entries stand, in order."""
    for path in store.paths(f"{layout.chain_folder(account)}/"):
        name = path.rpartition("/")[2].removesuffix(".json")
        if name.isdigit():
            yield int(name)


def _covered(
    store: DirectoryStore, account: str, *, newest: int | None
) -> Iterator[tuple[str, str]]:
    """The paths and sums that the newest entries cover, or all of them, newest first."""
    last = _newest(store, account)
    first = 0 if newest is None else max(last - newest, 0)
    for number in range(last, first, -1):
        for known in read(store, account, number)["entries"]:
            yield known["path"], known["sha256"]


def _newest(store: DirectoryStore, account: str) -> int:
    # Entries are never removed and have no gaps, so a search by doubling needs few looks.
    low, high = 0, 1
    while store.exists(layout.chain_path(account, high)):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if store.exists(layout.chain_path(account, middle)):
            low = middle
        else:
            high = middle
    return low


def _identity(store: DirectoryStore) -> list[Entry]:
    """The file that names the ledger, put under each chain by its first entry."""
    if not store.exists(layout.IDENTITY_PATH):
        return []
    stored = store.checksum(layout.IDENTITY_PATH)
    return [{"path": stored.path, "sha256": stored.sha256}]
