"""Reading JSON of the archive: within limits, for any content of a file.

An archive may hold anything. No file decides how much memory its reader takes. A text that only
some readers accept as JSON (a name twice, NaN, UTF-16) is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from archive import paths
from archive.errors import Damaged
from archive.store.protocol import LARGEST_READ, Store, Stored

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Limit:
    """The largest allowed document: `bytes`, and `values` (including names and members of lists),
    each of which takes memory of its own when read.
    """

    bytes: int
    values: int


#: For ledger.json, receipts, metadata, and one line of a list: a provider's answer, which holds
#: everything about a recording, has 16 MiB at most.
SMALL = Limit(32 * _MIB, 1_000_000)
#: For manifests and entries of the chain, which name up to a million files or members.
LARGE = Limit(LARGEST_READ, 12_000_000)

_KINDS: dict[paths.Kind | None, Limit] = {
    "identity": SMALL,
    "receipt": SMALL,
    "metadata": SMALL,
    "manifest": LARGE,
    "entry": LARGE,
}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 2**63 - 1


def limit_of(path: str) -> Limit | None:
    """Return the limit of the document under a path; None for other files (audio, ZIPs, lists)."""
    return _KINDS.get(paths.kind_of(path))


def read(store: Store, path: str) -> bytes:
    """Return all bytes of a document. Raises Missing; Dangerous for one beyond its limit."""
    return store.read(path, (limit_of(path) or SMALL).bytes)


def content_of(store: Store, path: str) -> dict[str, Any]:
    """Return a document's fields. Raises Missing and Dangerous; Damaged if it is not a JSON
    object.
    """
    return fields(read(store, path), path)


def fields(data: bytes, path: str) -> dict[str, Any]:
    """Return the fields of a document whose bytes were read. Raises Damaged."""
    try:
        content = parsed(data, limit_of(path) or SMALL)
    except ValueError as error:
        raise Damaged(path, f"is not readable as JSON ({error}); run verify") from None
    if not isinstance(content, dict):
        raise Damaged(path, "is not readable as a JSON object; run verify")
    return content


def parsed(data: bytes, limit: Limit = SMALL) -> Any:
    """Return a JSON value. Raises ValueError with a reason that completes a sentence."""
    if sum(data.count(mark) for mark in (b",", b":", b"[", b"{")) > limit.values:
        raise ValueError(f"it has more than {limit.values} values")
    try:
        return _DECODER.decode(data.decode())
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines of a list, each with its line feed; None for a line that is too long, whose
    bytes are skipped. Memory does not grow with their number.
    """
    while line := file.readline(SMALL.bytes + 1):
        if len(line) <= SMALL.bytes:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(_MIB)
        yield None


def stored_of(claim: Mapping[str, Any]) -> Stored:
    """Return the file that a document names by `path`, `bytes` and `sha256`. Raises ValueError for
    a path that leads out of its account, and for an impossible size or sum.
    """
    path, size, sha256 = claim["path"], claim["bytes"], claim["sha256"]
    if not isinstance(path, str) or not paths.is_of(paths.account_of(path), path):
        raise ValueError("it names an impossible path")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MOST_BYTES:
        raise ValueError("it names an impossible size")
    if not is_sum(sha256):
        raise ValueError("it names an impossible SHA-256")
    return Stored(path, size, sha256)


def is_sum(text: object) -> bool:
    """Return whether the text is a SHA-256 in the notation of the archive."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("it has the same name twice")
    return content


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refused, parse_float=_finite, object_pairs_hook=_once)
