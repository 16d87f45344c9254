"""Members of an export's ZIPs: verified once, then remembered until the run ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from archive.audio.detection import Listener
from archive.reconciliation import Reconciliation
from archive.spool.member_lists import Hearing, MemberLists
from archive.store.directory import Stored
from archive.zip import verification
from archive.zip.verification import Member
from tasks.runtime.context import spool, store, zip_limits
from tasks.runtime.runner import Attempt


def hearing(*, is_sized: bool) -> Hearing:
    """Return how much of each member's audio to check.

    If every recording is listed with its size, a member of that size is whole; otherwise every
    frame has to be checked.
    """
    return "begun" if is_sized else "whole"


def verified(
    attempt: Attempt, file: Path | BinaryIO, sha256: str, *, name: str, heard: Hearing
) -> Iterator[Member]:
    """Verify a ZIP member by member, and keep the list of its members in the spool.

    Args:
        attempt: the attempt that reads the ZIP.
        file: the ZIP.
        sha256: of the ZIP.
        name: the name of the ZIP in messages.
        heard: how much of each member's audio is checked.

    Raises:
        Dangerous: the ZIP could do harm, or hide something.
        Damaged: a member is not what the ZIP says.
    """
    found = read(attempt, file, name=name, heard=heard)
    return MemberLists(spool()).recorded(sha256, heard, found)


def read(attempt: Attempt, file: Path | BinaryIO, *, name: str, heard: Hearing) -> Iterator[Member]:
    """Verify a ZIP member by member, without keeping the list of its members."""
    return verification.members(
        file,
        zip_limits(),
        path=name,
        on_bytes=lambda _: attempt.check(),
        listener=None if heard == "unheard" else lambda: Listener(whole=heard == "whole"),
    )


def add(
    attempt: Attempt,
    reconciliation: Reconciliation,
    provider_job_id: str,
    zip_file: Stored,
    heard: Hearing,
) -> None:
    """Add a stored ZIP and its members to a reconciliation.

    The ZIP is read only if its members are not known from its retrieval. Raises Missing if the ZIP
    is gone.
    """
    reconciliation.part(provider_job_id, zip_file)
    is_there = store().size(zip_file.path) == zip_file.bytes
    known = MemberLists(spool()).read(zip_file.sha256, heard) if is_there else None
    if known is not None:
        for member in known:
            attempt.check()
            reconciliation.member(provider_job_id, member)
        return
    with store().open(zip_file.path) as file:
        for member in verified(attempt, file, zip_file.sha256, name=zip_file.path, heard=heard):
            reconciliation.member(provider_job_id, member)


def forget(zip_files: Iterable[Stored]) -> None:
    """Remove the member lists of ZIPs whose run has ended."""
    for one in zip_files:
        MemberLists(spool()).drop(one.sha256)
