"""What somebody who means harm may leave in an archive, and the file that must be named for it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archive import paths
from archive.documents import reading
from archive.store.directory import DirectoryStore

from .archive_kinds import rechain, reseal
from .archives import overwrite, zipped

GIB = 1 << 30
ONE = "india/exports/2026/11/20/1111-one"
MANIFEST = f"{ONE}/manifest.json"
LIST = f"{ONE}/recordings.jsonl"
ENTRY = "india/chain/00000001.json"
METADATA = "india/recordings/2026/11/20/102.json"
Change = Callable[[DirectoryStore], None]


def sparse(path: str, size: int) -> Change:
    """A file of this size that takes no room."""

    def change(store: DirectoryStore) -> None:
        target = store.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        with target.open("wb") as file:
            file.truncate(size)

    return change


def as_sealed(path: str, data: bytes) -> Change:
    """These bytes under a chain that vouches for them."""

    def change(store: DirectoryStore) -> None:
        overwrite(store, path, data)
        rechain(store)

    return change


def in_manifest(change: Callable[[dict[str, Any]], object]) -> Change:
    """A manifest with this change, and every sum right."""
    return lambda store: reseal(store, MANIFEST, lambda content, _: change(content) and None)


def in_list(change: Callable[[list[dict[str, Any]]], object]) -> Change:
    """A list with this change, and every sum right."""
    return lambda store: reseal(store, MANIFEST, lambda _, lines: change(lines) and None)


def in_both(content_of: Callable[[bytes], bytes]) -> Change:
    """A list whose bytes are changed, with its right sum in the manifest."""

    def change(store: DirectoryStore) -> None:
        overwrite(store, LIST, content_of(store.read(LIST)))
        resum(store)

    return change


def long_line(store: DirectoryStore) -> None:
    """A list of one line that is longer than any may be, under right sums."""
    sparse(LIST, reading.SMALL.bytes + 200 * 1024 * 1024)(store)
    resum(store)


def resum(store: DirectoryStore) -> None:
    """Give the manifest the sum that its list has, and the chain the manifest's."""
    content = json.loads(store.read(MANIFEST))
    stored = store.checksum(LIST)
    content["recordings"].update(bytes=stored.bytes, sha256=stored.sha256)
    overwrite(store, MANIFEST, json.dumps(content).encode())
    rechain(store)


def in_place_of(path: str, make: Callable[[Path], object]) -> Change:
    """Something else where a file should be."""

    def change(store: DirectoryStore) -> None:
        (store.root / path).unlink()
        make(store.root / path)

    return change


def _socket(path: Path) -> None:
    # A socket's name may have 108 bytes only: it is made from within its folder.
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


DEEP = b"[" * 100_000
DIGITS = b"9" * 6000


def put(store: DirectoryStore, path: str, data: bytes) -> None:
    """Write a file past the store."""
    target = store.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def _many_entries(store: DirectoryStore) -> None:
    for number in range(2, 1500):
        put(store, paths.chain_path("india", number), b"{}")


def nested(store: DirectoryStore, name: str, times: int, folder: str = "india") -> None:
    """Folders within folders, made from within: the path may be too long to be named as a whole."""
    here = os.open(store.root / folder, os.O_RDONLY)
    try:
        for _ in range(times):
            os.mkdir(name, dir_fd=here)
            deeper = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    finally:
        os.close(here)


def _bomb(store: DirectoryStore) -> None:
    """A ZIP of more bytes than its manifest says, under its right sum."""
    (path,) = store.root.glob(f"{ONE}/*.zip")
    overwrite(store, str(path.relative_to(store.root)), zipped([("a.mp3", bytes(100_000_000))]))
    stored = store.checksum(str(path.relative_to(store.root)))
    about = {"bytes": stored.bytes, "sha256": stored.sha256}
    reseal(store, MANIFEST, lambda content, _: content["parts"][0].update(about))


#: What is done to an archive of exports with a single recording, and the file that is named.
HOSTILE: dict[str, tuple[Change, str]] = {
    "entry of 20 GB": (sparse("india/chain/00000002.json", 20 * GIB), "chain/00000002.json"),
    "manifest of 20 GB": (sparse(MANIFEST, 20 * GIB), MANIFEST),
    "receipt of 20 GB": (sparse("india/certified-calls/2026/11/x.json", 20 * GIB), "x.json"),
    "identity of 20 GB": (sparse("ledger.json", 20 * GIB), "ledger.json"),
    "metadata of 20 GB": (sparse(METADATA, 20 * GIB), METADATA),
    "entry nested deep": (lambda s: overwrite(s, ENTRY, DEEP), ENTRY),
    "manifest nested deep": (as_sealed(MANIFEST, b'{"schema": 1, "kind": ' + DEEP), MANIFEST),
    "metadata nested deep": (as_sealed(METADATA, b'{"path": ' + DEEP), METADATA),
    "line nested deep": (in_both(lambda data: data + b'{"id": ' + DEEP + b"\n"), LIST),
    "manifest of long numbers": (as_sealed(MANIFEST, b'{"schema": ' + DIGITS + b"}"), MANIFEST),
    "line of long numbers": (in_both(lambda d: d + b'{"id": "1", "x": ' + DIGITS + b"}"), LIST),
    "line of NaN": (in_both(lambda data: data + b'{"id": "1", "bytes": NaN}\n'), LIST),
    "line of infinity": (in_both(lambda data: data + b'{"id": "1", "bytes": 1e999}\n'), LIST),
    "line of UTF-16": (in_both(lambda data: data.decode().encode("utf-16")), LIST),
    "line not UTF-8": (in_both(lambda data: data.replace(b"INBOUND", b"\xff\xfe")), LIST),
    "line with a name twice": (in_both(lambda d: d.replace(b'{"id"', b'{"id": "7", "id"')), LIST),
    "line that is a list": (in_both(lambda data: b"[]\n" + data), LIST),
    "line with a half letter": (
        in_list(lambda lines: lines[0].update(path="\ud800", member="\udfff")),
        LIST,
    ),
    "line that climbs": (in_list(lambda lines: lines[0].update(path="../../../x.zip")), LIST),
    "line absolute": (in_list(lambda lines: lines[1].update(path="/etc/passwd")), LIST),
    "line with a member that is none": (in_list(lambda lines: lines[0].update(member={})), LIST),
    "size below nothing": (in_list(lambda lines: lines[0].update(bytes=-1)), LIST),
    "size beyond everything": (in_list(lambda lines: lines[0].update(bytes=10**4000)), LIST),
    "size that is true": (in_list(lambda lines: lines[1].update(bytes=True)), LIST),
    "sum that is none": (in_list(lambda lines: lines[1].update(sha256=["a"])), LIST),
    "manifest of a name twice": (
        as_sealed(MANIFEST, b'{"schema": 1, "schema": 1, "kind": "erasure", "account": "india"}'),
        MANIFEST,
    ),
    "manifest that climbs": (
        in_manifest(lambda content: content["parts"][0].update(path=f"{ONE}/..")),
        MANIFEST,
    ),
    "manifest with a NUL": (
        in_manifest(lambda content: content["parts"][0].update(path=f"{ONE}/a\0b")),
        MANIFEST,
    ),
    "manifest with a long name": (
        in_manifest(lambda content: content["parts"][0].update(path=f"{ONE}/{'a' * 5000}")),
        f"{ONE}/{'a' * 5000}",
    ),
    "manifest with a long account": (
        in_manifest(lambda content: content.update(account="x" * 10_000_000)),
        MANIFEST,
    ),
    "manifest of lists": (in_manifest(lambda content: content.update(parts=[[]])), MANIFEST),
    "manifest of members that are none": (
        in_manifest(lambda content: content["parts"][0].update(members={"name": 1})),
        MANIFEST,
    ),
    "metadata that climbs": (
        as_sealed(
            METADATA,
            b'{"account": "india", "recording_id": "102", "path": "../x.mp3", '
            b'"bytes": 1, "sha256": "' + b"a" * 64 + b'"}',
        ),
        METADATA,
    ),
    "last entry forged": (lambda s: put(s, "india/chain/99999999.json", b"{}"), "99999999.json"),
    "entry of many": (_many_entries, "india/chain"),
    "link to itself": (in_place_of(METADATA, lambda path: path.symlink_to(path.name)), METADATA),
    "link outside": (in_place_of(LIST, lambda path: path.symlink_to("/etc/passwd")), LIST),
    "link to a folder": (in_place_of(LIST, lambda path: path.symlink_to("/")), LIST),
    "pipe": (in_place_of(MANIFEST, os.mkfifo), MANIFEST),
    "socket": (in_place_of(METADATA, _socket), METADATA),
    "device": (in_place_of(LIST, lambda path: path.symlink_to("/dev/zero")), LIST),
    "folder": (in_place_of(ENTRY, Path.mkdir), METADATA),
    "nested folders": (lambda s: nested(s, "n", 1200), ""),
    "folders beyond every path": (lambda s: nested(s, "n" * 200, 30), "n" * 200),
    "ZIP that is a bomb": (_bomb, ONE),
}
