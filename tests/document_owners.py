"""Finds modules that read or build a document of the archive beside its owner."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from archive.documents.chain_entry import ChainEntry, Covered
from archive.documents.identity import Identity
from archive.documents.manifest import Manifest, Part, SingleFile, Window
from archive.documents.metadata import Metadata
from archive.documents.receipt import Receipt
from archive.documents.recordings_list import Place

from .source_tree import Sources

OWNER = Path("archive/documents")
_DOCUMENTS = (
    *(ChainEntry, Covered, Identity, Manifest, Metadata, Part, Place, Receipt, SingleFile, Window),
)
#: Every field of every document; a dataclass holds path, bytes and sha256 of a file as one.
FIELDS = {field.name for one in _DOCUMENTS for field in fields(one)} - {"file"} | {
    *("schema", "members", "name", "bytes", "sha256", "missing", "set_aside", "unreadable")
}
#: Fields that results, parameters and other data of jobs have too, in tasks and worker.
SHARED = {
    *("account", "job_id", "request_id", "provider", "kind", "name", "version", "schema", "path"),
    *("bytes", "sha256", "day", "generation", "window", "timezone", "filters", "start", "end"),
    *("listed", "archived", "missing", "complete", "members", "provider_job_id", "recording_id"),
    *("recordings", "recording", "parts", "files", "entries", "created_at", "outcome", "by"),
    *("country", "phone", "max_seconds", "company_name", "company_id", "platform_phone", "note"),
    *("error_message", "ledger", "audio", "sent_at", "answer"),
}
#: What each folder must not use as a key.
ROOTS = {"archive": FIELDS, "tasks": FIELDS - SHARED, "worker": FIELDS - SHARED}
#: JSON of their own: a scratch file, the validator of a download, the members of a ZIP.
OWN_JSON = {
    *("archive/reconciliation.py", "archive/spool/partial_download.py"),
    "archive/spool/member_lists.py",
}
#: What others call as a field of ours: recordings as providers list them, objects of a bucket.
OTHERS = {"archive/reconciliation.py": {"start"}, "archive/store/bucket.py": {"path"}}
#: What readers outside may use of `reading`: limits, and bytes of which only the sum counts.
_BYTES = {"read", "limit_of", "SMALL", "LARGE"}


@dataclass(frozen=True)
class Breach:
    """A line that does what only the owner of a document may do."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        """The place, as compilers write it, and what is wrong there."""
        return f"{self.path}:{self.line}: {self.what}"


def breaches(files: Sources) -> Iterator[Breach]:
    """Every breach of the rule in these files, by path and text."""
    for name, text in files.items():
        path = Path(name)
        if path.parts[0] in ROOTS and OWNER not in path.parents:
            yield from breaches_of(path, text)


def breaches_of(path: Path, source: str) -> Iterator[Breach]:
    """The breaches in one module."""
    forbidden = ROOTS[path.parts[0]] - OTHERS.get(path.as_posix(), set())
    for node in ast.walk(ast.parse(source)):
        for key in _keys(node):
            if key in forbidden:
                yield Breach(path, node.lineno, f"the field {key!r} of a document as a key")  # type: ignore[attr-defined]
        for what in _readings(node, path):
            yield Breach(path, node.lineno, what)  # type: ignore[attr-defined]


def _keys(node: ast.AST) -> Iterator[str]:
    """The texts that a node uses as keys of a mapping."""
    found: list[ast.expr | None] = []
    match node:
        case ast.Subscript():
            found = [node.slice]
        case ast.Dict():
            found = list(node.keys)
        case ast.Call(func=ast.Attribute(attr="get" | "pop" | "setdefault"), args=[first, *_]):
            found = [first]
        case ast.Compare(ops=[ast.In() | ast.NotIn()]):
            found = [node.left]
    for one in found:
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def _readings(node: ast.AST, path: Path) -> Iterator[str]:
    """How a node reads JSON of the archive by itself."""
    in_archive = path.parts[0] == "archive"
    match node:
        case ast.Import(names=names) if in_archive and path.as_posix() not in OWN_JSON:
            if any(one.name == "json" for one in names):
                yield "JSON of the archive is read and written in archive/documents"
        case ast.ImportFrom(module=str(module), names=names) if not in_archive:
            imported = {f"{module}.{one.name}" for one in names} | {module}
            if imported & {"archive.documents.reading", "archive.documents.writing"}:
                yield "the reading and writing of documents is their owners'"
        case ast.Attribute(value=ast.Name(id="reading"), attr=attr) if attr not in _BYTES:
            yield f"reading.{attr} is for the owners of documents"
        case ast.Call(
            func=ast.Attribute(attr="loads"), args=[ast.Call(func=ast.Attribute(attr="read"))]
        ):
            yield "a document is read from its bytes"
