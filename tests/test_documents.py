"""The documents of the archive: their bytes, pinned, and the one module that owns each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive.documents import identity, manifest, metadata, receipt, recordings_list
from archive.documents.chain_entry import examine
from archive.documents.chain_entry import read as read_entry
from archive.documents.identity import Identity
from archive.documents.instants import instant
from archive.documents.manifest import Manifest
from archive.documents.receipt import Receipt
from archive.documents.recordings_list import Line
from archive.errors import Contradiction, Damaged
from archive.store.directory import DirectoryStore, Store, Stored

from .document_owners import ROOTS, breaches, breaches_of
from .document_samples import (
    ALONE,
    DECIDED,
    DECIDED_BYTES,
    DIR,
    ENTRY,
    ENTRY_BYTES,
    LINES,
    LIST_BYTES,
    MANIFEST,
    MANIFEST_BYTES,
    METADATA,
    METADATA_BYTES,
    METADATA_PATH,
    RECEIPT,
    RECEIPT_BYTES,
    RECEIPT_PATH,
    TWO,
)
from .source_tree import sources


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty archive."""
    return DirectoryStore(tmp_path / "archive")


def written(document: Manifest, folder: Path) -> bytes:
    """The bytes of a manifest, whose size and sum are those that writing returns."""
    size, sha256 = document.write(folder / "manifest")
    data = (folder / "manifest").read_bytes()
    assert (size, sha256) == (len(data), hashlib.sha256(data).hexdigest())
    return data


@pytest.mark.parametrize(
    ("document", "expected"), [(RECEIPT, RECEIPT_BYTES), (DECIDED, DECIDED_BYTES)]
)
def test_receipts(store: Store, document: Receipt, expected: str) -> None:
    """Their bytes, what is read back, and that a second writer finds the first one's file."""
    stored = receipt.keep(store, RECEIPT_PATH, document)
    assert store.read(RECEIPT_PATH).decode() == expected
    assert receipt.read(store, RECEIPT_PATH) == document
    assert receipt.keep(store, RECEIPT_PATH, document) == stored
    other = Receipt(**{**vars(document), "http_status": 500})
    with pytest.raises(Contradiction):
        receipt.keep(store, RECEIPT_PATH, other)


def test_metadata(store: Store) -> None:
    """Its bytes, what is read back, and the line of a list that it amounts to."""
    store.create(METADATA_PATH, METADATA.to_bytes())
    assert store.read(METADATA_PATH).decode() == METADATA_BYTES
    found = metadata.read(store, METADATA_PATH)
    recording = {**METADATA.recording, "rate": "inf"}
    assert vars(found) == {**vars(METADATA), "recording": recording}
    assert found.checked() == found
    assert found.as_line().fields == {**recording, **vars(METADATA.audio)}


def test_entries_of_the_chain(store: Store) -> None:
    """Their bytes, what is read back, and that a verification knows them as plain."""
    store.create("india/chain/00000002.json", ENTRY.to_bytes())
    data = store.read("india/chain/00000002.json")
    assert data.decode() == ENTRY_BYTES
    assert read_entry(store, "india", 2) == ENTRY
    found = examine(data, 2, "india")
    assert (found.entry, found.is_plain, found.fault) == (ENTRY, True, None)
    spaced = json.dumps(json.loads(data), indent=2).encode()
    assert (examine(spaced, 2, "india").entry, examine(spaced, 2, "india").is_plain) == (
        ENTRY,
        False,
    )


def test_the_identity(store: Store) -> None:
    """The bytes of ledger.json, and the ledger that is read back."""
    store.create("ledger.json", Identity("0b5e").to_bytes())
    assert store.read("ledger.json") == b'{"schema": 1, "ledger": "0b5e"}'
    assert identity.read(store) == Identity("0b5e")


def test_lists(store: Store, tmp_path: Path) -> None:
    """The bytes of recordings.jsonl, whose lines are read back, and no field of a provider's that
    is called as one of a place.
    """
    size, sha256 = recordings_list.write(tmp_path / "list", iter(LINES))
    data = (tmp_path / "list").read_bytes()
    assert data.decode() == LIST_BYTES
    assert (size, sha256) == (len(data), hashlib.sha256(data).hexdigest())
    store.create(f"{DIR}/recordings.jsonl", data)
    assert list(recordings_list.read(store, f"{DIR}/recordings.jsonl")) == LINES
    in_zip, single, missing = LINES
    assert Line.of(in_zip.fields, in_zip.place) == in_zip
    assert (single.is_in_zip, single.audio, missing.is_missing) == (False, None, True)
    assert single.stored() == Stored("india/8.mp3", 9, TWO)


def test_manifests(store: Store, tmp_path: Path) -> None:
    """The bytes of a manifest; read back it is written again byte for byte, and its header is read
    by itself.
    """
    data = written(MANIFEST, tmp_path)
    assert data.decode() == MANIFEST_BYTES
    path = f"{DIR}/manifest.json"
    store.create(path, data)
    found = manifest.read(store, path)
    assert written(found, tmp_path) == data
    assert written(found.checked(), tmp_path) == data
    assert [list(part.members) for part in found.parts] == [
        list(part.members) for part in MANIFEST.parts
    ]
    header = manifest.read_header(store, path)
    assert vars(header).items() <= vars(found).items()


def test_manifests_of_older_versions_are_written_again_as_they_were(tmp_path: Path) -> None:
    """Where no time zone was noted none is written, and an export of no day has its nulls."""
    data = written(Manifest(**{**vars(MANIFEST), **ALONE, "parts": [], "files": []}), tmp_path)
    expected = MANIFEST_BYTES.replace(' "timezone": "Asia/Kolkata",\n', "")
    for name, value in (
        *[
            ("day", '"2026-11-20"'),
            ("generation", "2"),
            ("filters", '{"call_direction": "INBOUND"}'),
        ],
        ("window", '{"start": "2026-11-19T18:30:00Z", "end": "2026-11-20T18:30:00Z"}'),
    ):
        expected = expected.replace(f' "{name}": {value}', f' "{name}": null')
    start, end = expected.index(' "parts"'), expected.index(' "recordings"')
    expected = expected[:start] + ' "parts": [],\n "files": [],\n' + expected[end:]
    assert data.decode() == expected


ODD: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("kind", lambda c: c.update(kind="other")),
    ("day", lambda c: c.update(day="yesterday")),
    ("generation", lambda c: c.update(generation=0)),
    ("window", lambda c: c.update(window={"start": "2026-11-20T00:00:00"})),
    ("window of a text", lambda c: c.update(window="a day")),
    ("filters", lambda c: c.update(filters=[])),
    ("listed", lambda c: c.update(listed="three")),
    ("complete", lambda c: c.update(complete="perhaps")),
    ("created_at", lambda c: c.update(created_at="9999-01-01T00:00:00Z")),
    ("job_id", lambda c: c.pop("job_id")),
]


@pytest.mark.parametrize("change", [change for _, change in ODD], ids=[name for name, _ in ODD])
def test_what_is_no_field_of_a_manifest_is_refused_by_who_relies_on_it(
    store: Store, change: Callable[[dict[str, Any]], object]
) -> None:
    """A reader that only compares sums takes the manifest; a rebuild takes nothing of it."""
    content = json.loads(MANIFEST_BYTES)
    change(content)
    path = f"{DIR}/manifest.json"
    store.create(path, json.dumps(content).encode())
    found = manifest.read(store, path)
    with pytest.raises(ValueError, match="validation error"):
        found.checked()


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"answer": "no base64!"},
        {"outcome": "called"},
        {"requested_at": "yesterday"},
        {"max_seconds": "long"},
        {"job_id": None},
    ],
    ids=str,
)
def test_what_is_no_receipt_is_damaged(store: Store, change: dict[str, Any]) -> None:
    """Nothing is concluded from a receipt with a field that is none."""
    store.create(RECEIPT_PATH, json.dumps({**json.loads(RECEIPT_BYTES), **change}).encode())
    with pytest.raises(Damaged):
        receipt.read(store, RECEIPT_PATH)


def test_a_receipt_of_an_older_version_is_read(store: Store) -> None:
    """One without the time of its decision, its provider or a version, and one with more fields."""
    content = json.loads(DECIDED_BYTES)
    for name in ("decided_at", "provider", "version"):
        del content[name]
    store.create(RECEIPT_PATH, json.dumps({**content, "more": [1]}).encode())
    found = receipt.read(store, RECEIPT_PATH)
    assert (found.decided, found.decided_at) == ("not placed", None)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"ledger": "a", "ledger": "b"}', b'{"schema": 1}'])
def test_what_is_no_document_is_damaged(store: Store, data: bytes) -> None:
    """Each document says so itself, and names the file."""
    for path, read in (
        ("ledger.json", lambda _: identity.read(store)),
        (RECEIPT_PATH, lambda path: receipt.read(store, path)),
        (METADATA_PATH, lambda path: metadata.read(store, path)),
        (f"{DIR}/manifest.json", lambda path: manifest.read(store, path)),
        ("india/chain/00000001.json", lambda _: read_entry(store, "india", 1)),
    ):
        store.create(path, data)
        with pytest.raises(Damaged) as refused:
            read(path)
        assert refused.value.path == path


def test_instants_are_texts_with_an_offset() -> None:
    """What a document calls a time is one that days can be counted around."""
    assert instant("2026-11-20T03:04:05Z").isoformat() == "2026-11-20T03:04:05+00:00"
    for text in ("2026-11-20T03:04:05", "1969-01-01T00:00:00Z", "9500-01-01T00:00:00Z", "soon"):
        with pytest.raises(ValueError, match=r".+"):
            instant(text)


def test_no_other_module_knows_a_document_by_its_keys() -> None:
    """Fields of documents are spelled in archive/documents alone, and JSON of the archive is read
    and written there.
    """
    assert ROOTS.keys() == {"archive", "tasks", "worker"}
    assert [str(one) for one in breaches(sources())] == []


PLANTED = [
    ("archive/verify/planted.py", 'found = content["previous"]'),
    ("archive/search/planted.py", 'found = line.get("sha256")'),
    ("archive/planted.py", 'entry = {"path": path, "sha256": digest}'),
    ("archive/planted.py", "import json\n"),
    ("archive/planted.py", "content = reading.parsed(data)"),
    ("tasks/rebuild/planted.py", 'when = receipt["answered_at"]'),
    ("tasks/exports/planted.py", 'header = {"schema": 1, "unexpected": 0}'),
    ("tasks/transfers/planted.py", "from archive.documents import reading"),
    ("worker/commands/planted.py", 'theirs = json.loads(store.read(IDENTITY_PATH))["ledger"]'),
    ("worker/commands/planted.py", 'print(line["member"])'),
]


@pytest.mark.parametrize(("path", "source"), PLANTED)
def test_a_planted_breach_is_named(path: str, source: str) -> None:
    """Each way to read or build a document beside its owner is found, with file and line."""
    (found, *_) = breaches_of(Path(path), source)
    assert str(found).startswith(f"{path}:1: ")
