"""ledger.json: the ledger that an archive belongs to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from archive import paths
from archive.errors import Damaged
from archive.store.directory import Store

from . import reading

#: The version of the format.
SCHEMA = 1


@dataclass(frozen=True)
class Identity:
    """The owner of an archive: the UUID of its ledger."""

    ledger: str

    def to_bytes(self) -> bytes:
        """Return the bytes of the document."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}).encode()


def read(store: Store) -> Identity:
    """Read an archive's identity.

    Raises Missing if it has none, Dangerous, and Damaged if the file cannot be read.
    """
    content = reading.content_of(store, paths.IDENTITY_PATH)
    try:
        return Identity(str(content["ledger"]))
    except KeyError:
        raise Damaged(paths.IDENTITY_PATH, "names no ledger; run verify") from None
