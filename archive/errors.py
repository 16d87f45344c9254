"""Faults of files in the archive, or on their way into the archive."""

from __future__ import annotations

from .problem import escaped


class ArchiveError(Exception):
    """A file of the archive is faulty.

    Parameters: `path`, the file's name for people (from the archive's root if it lies there
    already); `reason`, a sentence that says what happened, what it means and what to do. `args`
    rebuild the object, so that it survives pickling and a trip through a queue.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{escaped(self.path)}: {escaped(self.reason)}"


class Damaged(ArchiveError):
    """The bytes are not the expected ones: cut, altered, or of another kind."""


class Dangerous(ArchiveError):
    """The file is built so that opening it could do harm, or could hide something."""


class Missing(ArchiveError):
    """No file has that path."""


class Contradiction(ArchiveError):
    """Another object already has the name; it was left as it is."""


class NoSpace(ArchiveError):
    """The disk is full, or would use up its reserve."""


class ArchiveFull(NoSpace):
    """The archive's own disk is full, or its quota used up."""


class StoreAway(Exception):
    """The archive's storage does not answer correctly; the work is tried again later.

    StoreAway is not an ArchiveError: it concerns no file, and a verification must not count it as
    damage. Parameters: `address` of the archive; `reason`, a sentence as in ArchiveError.
    """

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"the archive {self.address} {self.reason}"


class StoreRefused(StoreAway):
    """The storage answers, but refuses to serve until a person provides a bucket or a
    permission.
    """


class Vanished(StoreRefused):
    """Another archive, or none, lies at the archive's address. A person has to mount the
    right one or correct the address.
    """


class Unwritable(StoreRefused):
    """The storage refuses to write at one place: `place` is that path, or the archive's address.

    A person has to correct permissions, or remove the obstacle.
    """

    def __init__(self, address: str, reason: str, place: str) -> None:
        super().__init__(address, reason)
        self.args = (address, reason, place)
        self.place = place
