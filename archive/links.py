"""Whether an account's chain is whole: no gap, every entry the one that the next was built on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from . import chain, layout
from .errors import ArchiveError
from .problem import Problem
from .store import DirectoryStore

_FIELDS = {"n", "previous", "entries"}


def faults(store: DirectoryStore, account: str, head: str | None) -> Iterator[Problem]:
    """Every fault of an account's chain.

    Parameters: `head`, the SHA-256 that its newest entry had when someone noted it; the chain may
    have grown since. None where nobody did: then newest entries that were removed do not show.
    """
    previous: str | None = chain.NOTHING
    expected, newest, sums = 1, b"", set()
    for number in chain.numbers(store, account):
        path = layout.chain_path(account, number)
        if number > expected:
            yield _gap(account, expected, number - 1)
            previous = None
        try:
            newest = store.read(path)
        except (ArchiveError, OSError) as error:
            yield Problem(path, f"cannot be read: {_reason(error)}")
            previous = None
        else:
            yield from _faults_of(account, number, newest, previous)
            previous = hashlib.sha256(newest).hexdigest()
            sums.add(previous)
        expected = number + 1
    if previous not in (None, chain.NOTHING):
        yield from _faults_of_newest(layout.chain_path(account, expected - 1), newest)
    if head is not None and head.lower() not in sums:
        yield _cut(account, expected - 1, head)


def _faults_of(account: str, number: int, data: bytes, previous: str | None) -> Iterator[Problem]:
    path = layout.chain_path(account, number)
    content = _content(data)
    if content is None:
        yield Problem(path, "is not readable as an entry of the chain: it was changed")
        return
    if content["n"] != number:
        yield Problem(path, f"calls itself entry {content['n']!r}: it was changed or moved")
    if previous is not None and content["previous"] != previous:
        yield _broken(account, number, str(content["previous"]), previous)
    for entry in content["entries"]:
        owner = layout.account_of(entry["path"])
        if entry["path"] != layout.IDENTITY_PATH and owner != account:
            yield Problem(path, f"names {entry['path']!r}, which is no file of {account}")


def _content(data: bytes) -> dict[str, Any] | None:
    """An entry whose fields are all there and of their kind, else None."""
    try:
        content = json.loads(data)
        whole = content.keys() == _FIELDS and all(
            entry.keys() == {"path", "sha256"} and all(isinstance(v, str) for v in entry.values())
            for entry in content["entries"]
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return dict(content) if whole else None


def _faults_of_newest(path: str, data: bytes) -> Iterator[Problem]:
    # Nothing sums up the newest entry, so its bytes must be the only ones its content can have.
    content = _content(data)
    if content is not None and chain.serialised(content) != data:
        yield Problem(path, "is not written the way entries are: it was changed")


def _broken(account: str, number: int, told: str, previous: str) -> Problem:
    path = layout.chain_path(account, number)
    if number == 1:
        return Problem(path, f"is the first entry, but names one before it ({told})")
    before = layout.chain_path(account, number - 1)
    return Problem(
        before,
        f"has the SHA-256 {previous}, where {path} names {told} as the one before it: one of the "
        "two was changed or replaced",
    )


def _gap(account: str, first: int, last: int) -> Problem:
    path = layout.chain_path(account, first)
    if first == last:
        return Problem(path, "is missing: the chain has a gap")
    return Problem(
        path, f"is missing, and so is all up to {layout.chain_path(account, last)}: a gap"
    )


def _cut(account: str, newest: int, head: str) -> Problem:
    return Problem(
        layout.chain_path(account, newest + 1),
        f"may be missing: no entry has the SHA-256 {head} that was given as the chain's head; its "
        f"newest entries were removed or replaced ({newest} are here), or the head is another "
        "archive's",
    )


def _reason(error: ArchiveError | OSError) -> str:
    return error.reason if isinstance(error, ArchiveError) else str(error.strerror)
