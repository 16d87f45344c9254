"""Archives of every kind, for what must work on each of them; and the forger who changes them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from archive import chain
from archive import paths as archive_paths
from archive.audio.detection import ENDINGS
from archive.documents.chain_entry import Covered
from archive.documents.metadata import Metadata
from archive.store.directory import DirectoryStore

from .archives import DAY, Builder, audio, content_of, fill, lines_of, overwrite, recording, zipped

NEXT = date(2026, 11, 21)
#: Names that shells, jq and unzip each read in their own way, and one that stands twice.
STRANGE = [
    "a b.mp3",
    "tab\there.mp3",
    "line\nfeed.mp3",
    "star*[1]?.mp3",
    "back\\slash.mp3",
    "'quoted\" $(name).mp3",
    "-p.mp3",
    "José.mp3",
    "twice.mp3",
    "twice.mp3",
    "empty.mp3",
]


def nothing(_: Builder) -> None:
    """A folder."""


def empty(builder: Builder) -> None:
    """Only the ledger's name: a worker was started."""
    builder.identity()


def exports_only(builder: Builder) -> None:
    """ZIPs, with every recording in them."""
    builder.identity()
    part = zipped([(f"730048.{n}.mp3", audio(n)) for n in (101, 102)])
    builder.export("india", "1111-one", [recording(101), recording(102)], {"p-1": part})


def exports_with_singles(builder: Builder) -> None:
    """A recording that the ZIP lacked, and one that is missing."""
    builder.identity()
    listed = [recording(n) for n in (101, 102, 901)]
    builder.export("india", "1111-one", listed, {"p-1": zipped([("730048.101.mp3", audio(101))])})


def downloads_only(builder: Builder) -> None:
    """What `earwitness.recording.download` leaves: no manifest, no list."""
    builder.identity()
    builder.single("india", recording(102))
    builder.single("india", recording(103))


def calls_only(builder: Builder) -> None:
    """Receipts."""
    builder.identity()
    for number in range(3):
        builder.receipt("legal_es", f"call-{number}")


def ozeki(builder: Builder) -> None:
    """Recordings that were collected from an Ozeki server: named by their jobs."""
    builder.identity()
    for number, ending in enumerate(ENDINGS, 1):
        job_id = f"82e23c38-0000-5000-8000-{number:012}"
        stored = builder.keep(
            archive_paths.recording_path("office", DAY, job_id, ending), audio(number)
        )
        content = Metadata(
            account="office",
            provider="ozeki",
            recording_id=job_id,
            audio=stored,
            recording={"call_id": "7", "start": "2026-11-20T03:04:05Z", "control": "http"},
            job_id=job_id,
            created_at="2026-11-20T04:00:00Z",
            version="0.1.0",
        )
        path = archive_paths.recording_json_path("office", DAY, job_id)
        metadata = builder.store.create(path, content.to_bytes())
        chain.append(builder.store, "office", [Covered.of(metadata)])


def mixed(builder: Builder) -> None:
    """Several accounts, generations, parts, singles, receipts, an export that is of no day."""
    fill(builder)


def generations(builder: Builder) -> None:
    """A day looked at three times, and the day after it."""
    builder.identity()
    one = zipped([("730048.101.mp3", audio(101))])
    builder.export("india", "aaaa", [recording(101), recording(901)], {"p-1": one})
    two = zipped([("730048.103.mp3", audio(103))])
    listed = [recording(n) for n in (101, 102, 103)]
    builder.export("india", "bbbb", listed, {"p-2": two}, generation=2)
    builder.export("india", "cccc", [*listed, recording(104)], {}, generation=10)
    builder.export("india", "dddd", [], {}, day=NEXT)


def strange_names(builder: Builder) -> None:
    """Members with names that nobody would give, and one without a byte."""
    builder.identity()
    members = [
        (name, b"" if name.startswith("empty") else audio(number))
        for number, name in enumerate(STRANGE)
    ]
    listed = [
        recording(number, file_name=name)
        for number, name in enumerate(STRANGE)
        if STRANGE.count(name) == 1 and not name.startswith("empty")
    ]
    builder.export("india", "1111-one", listed, {"p-1": zipped(members)})


def without_list(builder: Builder) -> None:
    """A ZIP that was retrieved by itself, and an export by filters: neither is of a day."""
    builder.identity()
    part = zipped([("index.csv", b"a;b"), ("730048.101.mp3", audio(101))])
    builder.export("india", "1111-one", [], {"p-1": part}, day=None, generation=None)
    builder.export("india", "2222-two", [], {"p-2": zipped([])}, day=None, generation=None)


KINDS: dict[str, Callable[[Builder], None]] = {
    kind.__name__: kind
    for kind in (
        nothing,
        empty,
        exports_only,
        exports_with_singles,
        downloads_only,
        calls_only,
        ozeki,
        mixed,
        generations,
        strange_names,
        without_list,
    )
}


def made(kind: str, folder: Path) -> DirectoryStore:
    """An archive of this kind in a directory."""
    builder = Builder(folder)
    builder.root.mkdir()
    KINDS[kind](builder)
    assert isinstance(builder.store, DirectoryStore)
    return builder.store


def rechain(store: DirectoryStore, account: str = "india") -> None:
    """Write an account's chain anew over what lies there now, as somebody would who can write to
    the whole archive.
    """
    shutil.rmtree(store.root / account / "chain", ignore_errors=True)
    paths = [
        path
        for path in store.paths(f"{account}/")
        if archive_paths.kind_of(path) in archive_paths.CHAINED
    ]
    for path in paths:
        chain.append(store, account, [Covered.of(store.checksum(path))])


def reseal(
    store: DirectoryStore,
    path: str,
    change: Callable[[dict[str, Any], list[dict[str, Any]]], None],
) -> None:
    """Change a manifest and its list, and make every sum right again, chain included."""
    content = content_of(store, path)
    lines = lines_of(store, content)
    change(content, lines)
    where = archive_paths.recordings_path(path.rpartition("/")[0])
    overwrite(store, where, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    stored = store.checksum(where)
    content["recordings"] = {
        **content["recordings"],
        "bytes": stored.bytes,
        "sha256": stored.sha256,
    }
    overwrite(store, path, json.dumps(content).encode())
    rechain(store, archive_paths.account_of(path))
