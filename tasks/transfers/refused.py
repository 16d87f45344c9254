"""Refused files that may still hold a recording: kept where a person finds them."""

from __future__ import annotations

from archive import paths
from archive.audio.acceptance import may_be_sound
from archive.audio.detection import HEAD, kind
from archive.spool.partial_download import PartialDownload
from tasks.runtime.context import spool


def set_aside(part: PartialDownload, account: str, name: str, sha256: str) -> str:
    """Keep a refused file, unless it is plainly no recording.

    Args:
        part: the whole download.
        account: the account's alias.
        name: the id of the recording or export that was fetched.
        sha256: of the download.

    Returns:
        The place in words, as the end of a sentence; an empty text if nothing was kept.
    """
    with part.path.open("rb") as file:
        head = file.read(HEAD)
    if not may_be_sound(head):
        return ""
    ending = kind(head) or ("zip" if b"PK\x03\x04" in head else "bin")
    target = spool().set_aside(part.path, _aside(account, name), sha256, ending)
    if target is None:
        return (
            f"; the file was not set aside, because {spool().refused} is full; review that folder"
        )
    return f"; set aside as {target}"


def drop(account: str, name: str) -> None:
    """Remove the files that were set aside under a name: a whole file came after all."""
    spool().drop_set_aside(_aside(account, name))


def _aside(account: str, name: str) -> str:
    return paths.safe(f"{account}-{name}")
