"""The chain: numbered entries per account, each with the SHA-256 of the one before.

The number is the lock: an entry is created where nothing stands, who loses takes the next.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import paths
from .documents import reading
from .errors import ArchiveError, Damaged
from .store.directory import Store

#: What the first entry names as the one before it.
NOTHING = "0" * 64

#: How many of the newest entries are looked through for one that was appended just before a crash.
_REMEMBERED = 100

_NAME = re.compile(r"[0-9]{8}\.json")
_LAST = 99_999_999

Entry = dict[str, str]


@dataclass(frozen=True)
class Head:
    """The newest entry of an account's chain: its number and its SHA-256."""

    account: str
    n: int
    sha256: str


def append(store: Store, account: str, entries: Sequence[Entry]) -> Head:
    """Put files under the chain: ``{path, sha256}`` each. What its newest entries cover already is
    left out, so that it may be asked twice. The head afterwards.

    A damaged entry does not keep new files from being put under the chain: it is `verify` that
    speaks of it. Raises NoSpace; Damaged where a forged entry has the last number that there is, or
    something else the next entry's name; ValueError where there is neither an entry nor a chain.
    """
    while True:
        current = head(store, account)
        left = _uncovered(store, account, entries, current)
        if not left:
            if current is None:
                raise ValueError(f"nothing to put under the chain of {account}")
            return current
        number = 1 if current is None else current.n + 1
        if number > _LAST:
            raise Damaged(
                paths.chain_path(account, _LAST),
                "has the last number that an entry can have, so nothing can be put under the "
                "chain; it is forged: run verify, and move it out of the archive",
            )
        data = serialised(
            {
                "n": number,
                "previous": NOTHING if current is None else current.sha256,
                "entries": left,
            }
        )
        try:
            stored = store.create(paths.chain_path(account, number), data)
        except FileExistsError:
            _refuse_no_entry(store, account, number)
            continue
        return Head(account, number, stored.sha256)


def _refuse_no_entry(store: Store, account: str, number: int) -> None:
    """Raise Damaged where what has the next entry's name is none, such as a folder: it would be in
    the way for ever.
    """
    if number > max(numbers(store, account), default=0):
        raise Damaged(
            paths.chain_path(account, number),
            "is no entry, but has the name of the next one, so nothing can be put under the chain; "
            "run verify, and move it out of the archive",
        )


def serialised(content: dict[str, Any]) -> bytes:
    """The bytes of an entry: they follow from its content, so that a bit changed shows."""
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def head(store: Store, account: str) -> Head | None:
    """The newest entry of an account's chain, or None."""
    newest = max(numbers(store, account), default=0)
    if newest == 0:
        return None
    data = reading.read(store, paths.chain_path(account, newest))
    return Head(account, newest, hashlib.sha256(data).hexdigest())


def covers(store: Store, account: str, entry: Entry) -> bool:
    """Whether the chain covers the file with this sum. Raises Damaged where that can not be told
    because an entry can not be read.
    """
    wanted = (entry["path"], entry["sha256"])
    for number in reversed(list(numbers(store, account))):
        if wanted in _known(read(store, account, number)):
            return True
    return False


def read(store: Store, account: str, number: int) -> dict[str, Any]:
    """One entry of the chain. Raises Missing, and Damaged when it can not be read as one."""
    path = paths.chain_path(account, number)
    try:
        content = reading.content_of(store, path)
        _known(content)
    except (Damaged, ValueError, KeyError, TypeError, AttributeError):
        raise Damaged(path, "is not readable as an entry of the chain; run verify") from None
    if content.get("n") != number:
        raise Damaged(path, f"calls itself entry {content.get('n')!r}; run verify")
    return dict(content)


def numbers(store: Store, account: str, *, unlisted: bool = False) -> Iterator[int]:
    """The numbers under which entries stand, in order; ``unlisted`` as in `Store.paths`."""
    for path in store.paths(f"{paths.chain_folder(account)}/", unlisted=unlisted):
        name = path.removeprefix(f"{paths.chain_folder(account)}/")
        if _NAME.fullmatch(name):
            yield int(name.removesuffix(".json"))


def _uncovered(
    store: Store, account: str, entries: Sequence[Entry], current: Head | None
) -> list[Entry]:
    """The entries that the newest ones of the chain do not hold yet, each once."""
    if current is None:
        known: set[tuple[str, str]] = set()
        entries = [*_identity(store), *entries]
    else:
        known = _covered_lately(store, account, current.n)
    left = []
    for entry in entries:
        key = (entry["path"], entry["sha256"])
        if key not in known:
            known.add(key)
            left.append({"path": key[0], "sha256": key[1]})
    return left


def _covered_lately(store: Store, account: str, newest: int) -> set[tuple[str, str]]:
    known: set[tuple[str, str]] = set()
    for number in range(max(newest - _REMEMBERED, 0) + 1, newest + 1):
        try:
            known |= _known(read(store, account, number))
        except ArchiveError:
            continue
    return known


def _known(content: dict[str, Any]) -> set[tuple[str, str]]:
    known = {(entry["path"], entry["sha256"]) for entry in content["entries"]}
    if not all(isinstance(text, str) for pair in known for text in pair):
        raise TypeError
    return known


def _identity(store: Store) -> list[Entry]:
    """The file that names the ledger, put under each chain by its first entry."""
    if not store.exists(paths.IDENTITY_PATH):
        return []
    stored = store.checksum(paths.IDENTITY_PATH)
    return [{"path": stored.path, "sha256": stored.sha256}]
