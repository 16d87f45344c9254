"""Ways to tamper with an archive, and the step of docs/archive-format.md that finds each."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from typing import Any

from archive import chain, paths
from archive.documents.chain_entry import Covered
from archive.store.directory import DirectoryStore

from .archive_kinds import rechain, reseal
from .archives import Builder, audio, overwrite, recording, zipped

ONE = "india/exports/2026/11/20/1111-one"
Change = Callable[[DirectoryStore], None]


def _flip(path: str) -> Change:
    def change(store: DirectoryStore) -> None:
        (target,) = store.root.glob(path)
        data = target.read_bytes()
        at = data.rfind(b"1")
        overwrite(store, str(target.relative_to(store.root)), data[:at] + b"2" + data[at + 1 :])

    return change


def _remove(path: str) -> Change:
    def change(store: DirectoryStore) -> None:
        (target,) = store.root.glob(path)
        target.unlink()

    return change


def _put(path: str, data: bytes = b'{"schema": 1}') -> Change:
    return lambda store: overwrite_or_make(store, path, data)


def overwrite_or_make(store: DirectoryStore, path: str, data: bytes) -> None:
    """Write a file as a stranger would."""
    target = store.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def _forged_export(store: DirectoryStore) -> None:
    """A whole export that no chain covers: manifest, list and ZIP, each right by itself."""
    part = zipped([("730048.666.mp3", audio(666))])
    builder = Builder(store.root.parent)
    builder.export("india", "6666-six", [recording(666)], {"p-6": part}, chained=False)


def _link(path: str, to: str) -> Change:
    def change(store: DirectoryStore) -> None:
        (store.root / path).symlink_to(to)

    return change


def _entry_of(path: str) -> Change:
    """An entry of the chain, in its right place, that speaks of this path."""

    def change(store: DirectoryStore) -> None:
        chain.append(store, "india", [Covered(path, "a" * 64)])

    return change


def _seal(
    change: Callable[[dict[str, Any], list[dict[str, Any]]], None], path: str = ONE
) -> Change:
    return lambda store: reseal(store, f"{path}/manifest.json", change)


def _metadata(change: Callable[[dict[str, Any]], None]) -> Change:
    def forge(store: DirectoryStore) -> None:
        path = "india/recordings/2026/11/20/102.json"
        content = json.loads(store.read(path))
        change(content)
        overwrite(store, path, json.dumps(content).encode())
        rechain(store)

    return forge


def _anothers(store: DirectoryStore) -> None:
    Builder(store.root.parent).receipt("legal_es", "call-1")  # its first entry names the ledger
    overwrite(store, paths.IDENTITY_PATH, b'{"schema": 1, "ledger": "another"}')


def _no_chain(store: DirectoryStore) -> None:
    shutil.rmtree(store.root / "india/chain")
    overwrite_or_make(store, "legal_es/certified-calls/2026/11/x.json", b"{}")
    rechain(store, "legal_es")
    overwrite_or_make(store, "india/ledger.json", b"{}")


#: A kind of archive, what is done to it, the step that claims to find it, and what it names.
TAMPERED: dict[str, tuple[str, Change, int, str]] = {
    "entry changed": ("mixed", _flip("legal_es/chain/00000002.json"), 1, "legal_es/chain/00000003"),
    "entry gone": ("calls_only", _remove("legal_es/chain/00000002.json"), 1, "chain/00000003"),
    "first entry gone": ("ozeki", _remove("office/chain/00000001.json"), 1, "chain/00000002"),
    "entry of others": ("exports_only", _entry_of("legal_es/x/y.json"), 1, "chain/00000002"),
    "entry that climbs": ("exports_only", _entry_of("india/../../etc/passwd"), 1, "passwd"),
    "entry absolute": ("exports_only", _entry_of("/etc/passwd"), 1, "passwd"),
    "entry of two lines": ("exports_only", _entry_of("india/x\nledger.json"), 1, "x\\nledger"),
    "identity changed": ("empty", _anothers, 2, "ledger.json"),
    "identity gone": ("calls_only", _remove("ledger.json"), 2, "ledger.json"),
    "receipt changed": ("calls_only", _flip("legal_es/*/2026/11/call-1.json"), 2, "call-1.json"),
    "receipt gone": ("calls_only", _remove("legal_es/*/2026/11/call-0.json"), 2, "call-0.json"),
    "manifest changed": ("exports_only", _flip(f"{ONE}/manifest.json"), 2, "manifest.json"),
    "manifest gone": ("mixed", _remove(f"{ONE}/manifest.json"), 2, f"{ONE}/manifest.json"),
    "metadata changed": ("ozeki", _flip("office/recordings/*/*/*/*01.json"), 2, "0001.json"),
    "metadata gone": ("downloads_only", _remove("india/*/*/*/*/102.json"), 2, "102.json"),
    "receipt forged": (
        "calls_only",
        _put("legal_es/certified-calls/2026/11/forged.json"),
        3,
        "legal_es/certified-calls/2026/11/forged.json",
    ),
    "export forged": ("exports_only", _forged_export, 3, "6666-six/manifest.json"),
    "export forged alone": ("empty", _forged_export, 3, "6666-six/recordings.jsonl"),
    "account without chain": ("downloads_only", _no_chain, 3, "ledger.json"),
    "list alone": ("downloads_only", _put(f"{ONE}/recordings.jsonl"), 3, "recordings.jsonl"),
    "stray ZIP": ("exports_only", _put(f"{ONE}/p-9.0123456789abcdef.zip"), 3, "p-9."),
    "stray audio": ("calls_only", _put("legal_es/recordings/2026/11/20/1.mp3"), 3, "20/1.mp3"),
    "metadata forged": ("ozeki", _put("office/recordings/2026/11/20/1.json"), 3, "20/1.json"),
    "strange file": ("mixed", _put("india/recordings/a\nb"), 3, "india/recordings/a"),
    "no entry": ("exports_only", _put("india/chain/000000002.json"), 3, "000000002.json"),
    "link": ("exports_only", _link("india/recordings", "/etc"), 3, "india/recordings"),
    "pipe": ("empty", lambda s: os.mkfifo(s.root / "india"), 3, "india"),
    "ZIP changed": ("exports_only", _flip(f"{ONE}/p-1.*.zip"), 4, "p-1."),
    "ZIP gone": ("without_list", _remove(f"{ONE}/p-1.*.zip"), 4, "p-1."),
    "list changed": ("exports_with_singles", _flip(f"{ONE}/recordings.jsonl"), 4, "recordings"),
    "list gone": ("generations", _remove("india/*/*/*/21/dddd/recordings.jsonl"), 4, "dddd"),
    "file of an export gone": ("exports_with_singles", _remove("india/*/*/*/*/102.mp3"), 4, "102"),
    "manifest that climbs": (
        "exports_only",
        _seal(lambda content, _: content["parts"][0].update(path=f"{ONE}/../../x.zip")),
        4,
        "x.zip",
    ),
    "manifest of others": (
        "exports_with_singles",
        _seal(lambda content, _: content["files"][0].update(path="/etc/passwd")),
        4,
        "/etc/passwd",
    ),
    "audio changed": ("ozeki", _flip("office/recordings/*/*/*/*2.wav"), 5, "0002.wav"),
    "audio gone": ("downloads_only", _remove("india/recordings/*/*/*/103.mp3"), 5, "103.mp3"),
    "metadata of others": (
        "downloads_only",
        _metadata(lambda content: content.update(path="india/recordings/2026/11/20/103.mp3")),
        5,
        "103.mp3",
    ),
    "other member": (
        "exports_only",
        _seal(lambda _, lines: lines[0].update(member="730048.102.mp3")),
        6,
        "730048.102.mp3",
    ),
    "other sum": (
        "exports_with_singles",
        _seal(lambda _, lines: lines[1].update(sha256="a" * 64)),
        6,
        "a" * 64,
    ),
    "other id": ("exports_with_singles", _seal(lambda _, lines: lines[1].update(id="7")), 6, '"7"'),
    "line gone": ("exports_only", _seal(lambda _, lines: lines.pop() and None), 7, ONE),
    "called missing": (
        "exports_only",
        _seal(lambda _, lines: lines[0].update(missing=True)),
        7,
        ONE,
    ),
    "called complete": (
        "exports_with_singles",
        _seal(lambda content, _: content.update(complete=True)),
        7,
        ONE,
    ),
    "other bytes of a member": (
        "strange_names",
        _seal(lambda content, _: content["parts"][0]["members"][3].update(sha256="a" * 64)),
        8,
        "star*[1]?.mp3 is not",
    ),
    "one member less": (
        "exports_only",
        _seal(lambda content, _: content["parts"][0]["members"].pop() and None),
        8,
        "more than its manifest says",
    ),
    "one member more": (
        "exports_only",
        _seal(
            lambda content, _: content["parts"][0]["members"].append(
                {"name": "more.mp3", "bytes": 4, "sha256": "a" * 64}
            )
        ),
        8,
        "more.mp3 is not",
    ),
}
