"""An archive in a bucket: what goes over the wire, and a bad server."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from archive import paths
from archive.errors import Contradiction, Damaged, StoreAway, StoreRefused
from archive.store.bucket import ONE_PIECE, ObjectStore
from archive.store.protocol import Stored
from archive.verify import verification
from config.settings import ROOT

from .archives import Builder, fill, overwrite
from .buckets import Buckets
from .deployment import Deployment, account_toml
from .object_store_promises import notices_a_replaced_object
from .simulators import Simulators
from .small_s3 import SmallS3
from .test_store import spooled
from .waiting import eventually

DAY = date(2026, 11, 10)
MIB = 1024 * 1024
LARGE = ONE_PIECE + 1
#: What an address contains that sends a part, or asks for a list; how an upload in parts is begun
#: and completed.
PART = {"s3": "partNumber=", "gs": "partNumber=", "az": "comp=block&"}
LISTING = {"s3": "list-type", "gs": "list-type", "az": "comp=list"}
BEGINNING = {"s3": [("POST", "uploads")], "gs": [("POST", "uploads")], "az": []}
COMPLETION = {
    "s3": ("POST", "uploadId"),
    "gs": ("POST", "uploadId"),
    "az": ("PUT", "comp=blocklist"),
}
#: Stores a file, and prints by how much the peak of memory grew, in MB.
KEEP = """
import sys
from pathlib import Path
from archive.store.directory import open_store
from tests.peak_memory import peak_mb

store, source = open_store(sys.argv[1]), Path(sys.argv[2])
store.exists("a/warm")
before = peak_mb()
print(store.keep("a/big.zip", source, sys.argv[3]).bytes)
print(peak_mb() - before)
"""


@pytest.fixture
def buckets(each_store: Buckets) -> Buckets:
    """Each kind of object store."""
    return each_store


@pytest.fixture
def store(buckets: Buckets) -> ObjectStore:
    """An empty archive."""
    return buckets.store()


def test_a_large_file_goes_up_in_parts(
    store: ObjectStore, buckets: Buckets, tmp_path: Path
) -> None:
    """What is larger than fits comfortably into memory; small ones in one piece, conditionally."""
    buckets.front.seen.clear()
    store.keep("a/big.zip", *spooled(tmp_path, os.urandom(LARGE)))
    assert [one for one in buckets.front.seen if PART[buckets.scheme] in one]
    buckets.front.seen.clear()
    store.keep("a/small.zip", *spooled(tmp_path, b"small"))
    assert [one for one in buckets.front.seen if one.startswith("PUT")] == [
        next(one for one in buckets.front.seen if one.endswith("/a/small.zip?") and "PUT" in one)
    ]


def test_parts_go_up_beside_each_other(
    store: ObjectStore, buckets: Buckets, tmp_path: Path
) -> None:
    """While the first part is on its way, the following ones are too: a long line is filled."""
    source, sha256 = spooled(tmp_path, os.urandom(LARGE))
    buckets.front.seen.clear()
    buckets.front.misbehave("hang", "PUT", PART[buckets.scheme])
    kept: list[Stored] = []
    keeping = threading.Thread(target=lambda: kept.append(store.keep("a/big.zip", source, sha256)))
    keeping.start()
    eventually(
        lambda: sum(PART[buckets.scheme] in one for one in buckets.front.seen) >= 4,
        what="parts waited for the first",
    )
    buckets.front.go_on()
    keeping.join()
    assert [one.sha256 for one in kept] == [sha256]


def test_ranges_come_beside_each_other_and_in_order(
    store: ObjectStore, buckets: Buckets, tmp_path: Path
) -> None:
    """While the second range of a whole object hangs, the following ones are fetched; the sum is
    that of the bytes in their order, of any size.
    """
    for size in (0, 1, 64 * 1024, 64 * 1024 + 1, 4 * MIB + 64 * 1024, LARGE):
        source, sha256 = spooled(tmp_path, os.urandom(size))
        seen: list[int] = []
        path = f"a/{size}"
        assert store.keep(path, source, sha256) == store.checksum(path, seen.append)
        assert sum(seen) == size
        assert max(seen, default=0) <= MIB
    buckets.front.misbehave("slow", "GET", f"/a/{LARGE}")
    buckets.front.misbehave("hang", "GET", f"/a/{LARGE}")
    buckets.front.seen.clear()
    found: list[Stored] = []
    reading = threading.Thread(target=lambda: found.append(store.checksum(f"a/{LARGE}")))
    reading.start()
    eventually(lambda: len(buckets.front.seen) >= 5, what="the ranges waited for the second")
    buckets.front.go_on()
    reading.join()
    assert [one.sha256 for one in found] == [sha256]


@pytest.mark.parametrize("size", [5, LARGE])
def test_a_changed_file_is_never_stored(
    store: ObjectStore, buckets: Buckets, tmp_path: Path, size: int
) -> None:
    """A file in the spool with another sum than it had: the upload is given up, nothing stays."""
    source, _ = spooled(tmp_path, bytes(size))
    buckets.front.seen.clear()
    with pytest.raises(Damaged, match="nothing was stored"):
        store.keep("a/x.zip", source, "0" * 64)
    assert list(store.paths()) == []
    given_up = [one for one in buckets.front.seen if one.startswith("DELETE")]
    # Azure needs no request for it: it forgets parts that nobody completes within a week.
    assert bool(given_up) == (size == LARGE and buckets.scheme != "az")


def test_what_on_bytes_raises_gives_the_upload_up(store: ObjectStore, tmp_path: Path) -> None:
    """A worker that lost its lease in the middle of an upload stores nothing."""
    source, sha256 = spooled(tmp_path, bytes(LARGE))

    def lost(_: int) -> None:
        raise InterruptedError("the lease is lost")

    with pytest.raises(InterruptedError):
        store.keep("a/x.zip", source, sha256, on_bytes=lost)
    assert list(store.paths()) == []


def test_a_name_taken_during_an_upload_stays(store: ObjectStore, tmp_path: Path) -> None:
    """Another file appeared under the name while this one went up: it is left as it is."""
    source, sha256 = spooled(tmp_path, bytes(LARGE))
    taken: list[bool] = []

    def meanwhile(_: int) -> None:
        if not taken:
            taken.append(True)
            overwrite(store, "a/x.zip", b"of others")

    with pytest.raises(Contradiction):
        store.keep("a/x.zip", source, sha256, on_bytes=meanwhile)
    assert store.read("a/x.zip") == b"of others"


def test_only_what_is_needed_of_a_zip_is_fetched(
    store: ObjectStore, buckets: Buckets, tmp_path: Path
) -> None:
    """The end of a large object is read without the rest of it."""
    store.keep("a/big.zip", *spooled(tmp_path, os.urandom(LARGE)))
    buckets.front.seen.clear()
    with store.open("a/big.zip") as file:
        file.seek(-100, os.SEEK_END)
        assert len(file.read()) == 100
    assert len(buckets.front.seen) == 2


def test_an_object_replaced_under_the_reader_is_damage(store: ObjectStore, tmp_path: Path) -> None:
    """Half of one object and half of another are never taken for one; a removed one is missing."""
    notices_a_replaced_object(store, tmp_path)


def test_a_short_trouble_is_not_noticed(
    store: ObjectStore, buckets: Buckets, tmp_path: Path
) -> None:
    """Refused, throttled, unanswered, slow, at every kind of request: in the end all is there."""
    small, large = os.urandom(3_000_000), os.urandom(LARGE)
    for method, containing in (
        ("HEAD", "/a/"),
        ("GET", "/a/"),
        ("GET", LISTING[buckets.scheme]),
        ("PUT", "/a/small"),
        ("PUT", PART[buckets.scheme]),
        *BEGINNING[buckets.scheme],
        COMPLETION[buckets.scheme],
    ):
        for how in ("500", "503", "lost", "slow"):
            buckets.front.misbehave(how, method, containing)
    for path, data in (("a/small", small), ("a/large", large)):
        source, sha256 = spooled(tmp_path, data)
        assert store.keep(path, source, sha256).sha256 == sha256
    assert list(store.paths()) == ["a/large", "a/small"]


def test_an_answer_that_breaks_off(store: ObjectStore, buckets: Buckets, tmp_path: Path) -> None:
    """Bytes are fetched again; after the end of an upload it is seen whether the file stands; of a
    list it is told, and the next try is whole.
    """
    source, sha256 = spooled(tmp_path, os.urandom(LARGE))
    buckets.front.misbehave("cut", "GET", "/a/")
    buckets.front.misbehave("cut", *COMPLETION[buckets.scheme])
    assert store.keep("a/large", source, sha256).sha256 == sha256
    buckets.front.misbehave("cut", "GET", LISTING[buckets.scheme])
    with pytest.raises(StoreAway):
        list(store.paths())
    assert list(store.paths()) == ["a/large"]


def test_a_console_s_folders_are_no_files(buckets: Buckets, tmp_path: Path) -> None:
    """Whoever makes "folders" by hand in a bucket makes empty objects whose names end with a slash:
    the archive around them is found, searched and verified as before.
    """
    store = buckets.store()
    fill(Builder(tmp_path, store))
    before = list(store.paths())
    for folder in ("", "india/", "india/exports/2026/11/21/", "indi-a/", ".incoming/"):
        overwrite(store, folder, b"")

    assert list(store.paths()) == before
    assert list(store.paths("india/")) == [path for path in before if path.startswith("india/")]
    report = verification.verify(store)
    assert (report.problems, report.notes) == ([], [])


@pytest.mark.parametrize("name", ["india//x.json", "india/../x.json"])
def test_an_object_whose_name_is_no_path_is_named(buckets: Buckets, name: str) -> None:
    """Somebody puts an object under a name that no path can have, beside which nothing can be
    listed: it is named, and is no trouble of the network that passes by itself.
    """
    if buckets.scheme == "gs" and ".." in name:
        pytest.skip("the emulator stores no object of such a name")
    store = buckets.store()
    overwrite(store, name, b"1")
    with pytest.raises(StoreRefused, match=f"{re.escape(name)}.*rename or remove it"):
        list(store.paths())


def test_a_put_whose_answer_is_lost_stands(store: ObjectStore, buckets: Buckets) -> None:
    """It was stored and is asked for again: it stands there already, with its bytes."""
    buckets.front.misbehave("lost", "PUT")
    with pytest.raises(FileExistsError):
        store.create("a/x.json", b"{}")
    assert store.read("a/x.json") == b"{}"


@pytest.mark.parametrize("how", ["503", "lost"])
def test_a_long_trouble_is_told_as_such(store: ObjectStore, buckets: Buckets, how: str) -> None:
    """A server that does not recover: an error that blames no file, shows no secret and travels."""
    store.create("a/x.json", b"{}")
    for method in ("HEAD", "GET", "PUT"):
        buckets.front.misbehave(how, method, times=100)
    actions: list[Callable[[], object]] = [
        lambda: store.read("a/x.json"),
        lambda: store.exists("a/x.json"),
        lambda: store.create("a/y.json", b"{}"),
        lambda: list(store.paths()),
        lambda: verification.verify(store),
    ]
    for action in actions:
        with pytest.raises(StoreAway, match="will be retried") as caught:
            action()
        again = pickle.loads(pickle.dumps(caught.value))
        assert str(again) == str(caught.value)
        assert "http" not in str(again)
        assert not isinstance(again, StoreRefused)


def test_trouble_in_the_middle_of_a_verification_is_no_damage(
    buckets: Buckets, tmp_path: Path
) -> None:
    """Wherever the server goes away, the verification ends with that, never with problems."""
    store = fill(Builder(tmp_path, buckets.store()))
    whole = list(verification.files(store))
    for number in range(1, len(whole), 13):
        running = verification.files(store)
        seen = [next(running) for _ in range(number)]
        buckets.front.away = True
        with pytest.raises(StoreAway):
            seen += running
        buckets.front.behave()
        assert [problem for _, problem, _ in seen if problem] == []
        assert [*seen, *verification.files(store, after=seen[-1][0])] == whole


def test_damage_in_a_bucket_is_found_and_named(buckets: Buckets, tmp_path: Path) -> None:
    """An object changed, removed, or exchanged for another: named, and it alone."""
    store = fill(Builder(tmp_path, buckets.store()))
    heads = verification.verify(store).heads
    chosen = {paths.kind_of(path): path for path in store.paths()}
    for kind in ("zip", "audio", "receipt"):
        path = chosen[kind]
        data = store.read(path)
        changed = {"zip": bytes([data[0] ^ 1]) + data[1:], "audio": None, "receipt": b"other"}
        overwrite(store, path, changed[kind])
        report = verification.verify(store, heads=heads)
        assert {problem.path for problem in report.problems} == {path}, report.problems
        overwrite(store, path, data)
    assert verification.verify(store, heads=heads).problems == []


def test_a_bucket_that_is_not_there_is_told(buckets: Buckets) -> None:
    """Whatever is asked of it; nothing is created by reading."""
    store = ObjectStore("nowhere", "", buckets.scheme)
    for action in (lambda: store.read("a/x"), lambda: list(store.paths())):
        with pytest.raises(StoreRefused, match="does not exist"):
            action()
    with pytest.raises(StoreRefused, match="does not exist"):
        store.create("a/x", b"")


def test_a_store_that_overwrites_shows(store: ObjectStore, buckets: Buckets) -> None:
    """A server that overlooks the condition of a put is found out."""
    buckets.front.misbehave("unconditional", "PUT", times=100)
    assert not store.gives_names_once()


def test_a_name_that_is_contended_is_not_taken(store: ObjectStore, buckets: Buckets) -> None:
    """S3 answers 409 where two requests about one name met: that says of neither that it won."""
    buckets.front.misbehave("409", "PUT")
    with pytest.raises(StoreAway, match="will be retried") as caught:
        store.create("a/x.json", b"{}")
    assert not isinstance(caught.value, StoreRefused)
    assert store.create("a/x.json", b"{}").bytes == 2


def test_what_cannot_serve_is_refused_at_the_start(
    buckets: Buckets, deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """A store that overwrites, an endpoint that is none: the worker ends with a sentence before
    anything could be lost, `doctor` says the same, and none of the two shows the key.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    house = deploy(
        account_toml("india", account.configuration(), {}),
        settings={"ARCHIVE_URL": f"{buckets.scheme}://{buckets.bucket()}"},
        surroundings=buckets.environment,
    )
    said: list[str] = []

    def refused(name: str) -> str:
        worker = house.worker(name, ready=False, loglevel="DEBUG")
        eventually(lambda: not worker.alive, what="the worker did not end")
        said.append(worker.log())
        return said[-1]

    buckets.front.misbehave("unconditional", "PUT", times=100)
    assert "does not refuse to overwrite a file" in refused("overwriting")
    doctor = house.run("doctor")
    assert doctor.returncode == 1
    assert "any could be overwritten" in doctor.stdout
    said.append(doctor.stdout + doctor.stderr)
    endpoint = next(name for name in buckets.environment if "URL" in name or "ENDPOINT" in name)
    house.surroundings[endpoint] = "storage.example:9000"
    assert f"{endpoint} is not an address" in refused("no-endpoint")
    for one in said:
        assert "Traceback" not in one
        assert buckets.secret not in one


@pytest.mark.soak
@pytest.mark.timeout(200)
def test_a_slow_line_is_no_trouble(buckets: Buckets, tmp_path: Path) -> None:
    """A part that takes 40 s, as on an office's line, is waited for: sent once, and stored."""
    source, sha256 = spooled(tmp_path, os.urandom(LARGE))
    store = buckets.store()
    buckets.front.seen.clear()
    buckets.front.misbehave("hang", "PUT", PART[buckets.scheme])
    waking = threading.Timer(40, buckets.front.go_on)
    waking.start()
    assert store.keep("a/large", source, sha256).sha256 == sha256
    waking.join()
    parts = [one for one in buckets.front.seen if PART[buckets.scheme] in one]
    assert len(parts) == len(set(parts)) == 5


@pytest.mark.soak
def test_a_big_file_takes_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """700 MB go up, and are read back, within 100 MB of memory."""
    source, size = tmp_path / "big", 700_000_000
    piece = os.urandom(1_000_000)
    with source.open("wb") as file:
        for _ in range(700):
            file.write(piece)
    with source.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    with SmallS3(tmp_path / "s3") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, "-c", KEEP, "s3://bucket/x", str(source), sha256]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    stored, grown = map(int, done.stdout.split())
    assert stored == size
    assert 0 < grown <= 100
