"""An archive in a bucket: what goes over the wire, a bad server, and a whole night."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from archive import layout, verification
from archive.errors import Contradiction, Damaged, Missing, StoreAway, StoreRefused
from archive.object_store import ONE_PIECE, ObjectStore
from archive.store import Store
from config.settings import ROOT

from .archives import Builder, fill, overwrite
from .buckets import Buckets
from .deployment import Deployment, account_toml, eventually
from .simulators import Simulators
from .small_s3 import SmallS3
from .test_store import spooled

DAY = date(2026, 11, 10)
LARGE = ONE_PIECE + 1
#: Stores a file, and prints by how much the peak of memory grew, in MB.
KEEP = """
import re, sys
from pathlib import Path
from archive.store import open_store

def peak():
    # Not ru_maxrss: that begins with the memory of the process that started this one.
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

store, source = open_store(sys.argv[1]), Path(sys.argv[2])
store.exists("a/warm")
before = peak()
print(store.keep("a/big.zip", source, sys.argv[3]).bytes)
print(peak() - before)
"""


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
    assert [one for one in buckets.front.seen if "partNumber=" in one]
    buckets.front.seen.clear()
    store.keep("a/small.zip", *spooled(tmp_path, b"small"))
    assert [one for one in buckets.front.seen if one.startswith("PUT")] == [
        next(one for one in buckets.front.seen if one.endswith("/a/small.zip?") and "PUT" in one)
    ]


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
    assert bool(given_up) == (size == LARGE)


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
    store.keep("a/x", *spooled(tmp_path, bytes(1_000_000)))
    for changed, error in ((os.urandom(1_000_000), Damaged), (None, Missing)):
        with store.open("a/x") as file:
            file.read(10)
            overwrite(store, "a/x", changed)
            file.seek(500_000)
            with pytest.raises(error):
                file.read()


@pytest.mark.parametrize("how", ["500", "503", "lost"])
def test_a_short_trouble_is_not_noticed(
    store: ObjectStore, buckets: Buckets, tmp_path: Path, how: str
) -> None:
    """Refused, throttled, unanswered, at every kind of request: asked again, and all is there."""
    small, large = os.urandom(3_000_000), os.urandom(LARGE)
    for method, containing in (
        ("HEAD", "/a/"),
        ("GET", "/a/"),
        ("GET", "list-type"),
        ("PUT", "/a/small"),
        ("PUT", "partNumber=2"),
        ("POST", "uploads"),
        ("POST", "uploadId"),
    ):
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
    buckets.front.misbehave("cut", "POST", "uploadId")
    assert store.keep("a/large", source, sha256).sha256 == sha256
    buckets.front.misbehave("cut", "GET", "list-type")
    with pytest.raises(StoreAway):
        list(store.paths())
    assert list(store.paths()) == ["a/large"]


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
        with pytest.raises(StoreAway, match="to be tried again") as caught:
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
    chosen = {layout.kind_of(path): path for path in store.paths()}
    for kind in ("zip", "audio", "receipt"):
        path = chosen[kind]
        data = store.read(path)
        for changed in (bytes([data[0] ^ 1]) + data[1:], None, b"other"):
            overwrite(store, path, changed)
            report = verification.verify(store, heads=heads)
            assert {problem.path for problem in report.problems} == {path}, report.problems
        overwrite(store, path, data)
    assert verification.verify(store, heads=heads).problems == []


def test_a_bucket_that_is_not_there_is_told(buckets: Buckets) -> None:
    """Whatever is asked of it; nothing is created by reading."""
    store = ObjectStore("nowhere")
    for action in (lambda: store.read("a/x"), lambda: list(store.paths())):
        with pytest.raises(StoreRefused, match="does not exist"):
            action()
    with pytest.raises(StoreRefused, match="does not exist"):
        store.create("a/x", b"")
    assert buckets.endpoint not in str(StoreRefused("s3://nowhere", "x"))


def test_a_store_that_overwrites_shows(store: ObjectStore, buckets: Buckets) -> None:
    """A server that overlooks the condition of a put is found out."""
    buckets.front.misbehave("unconditional", "PUT", times=100)
    assert not store.gives_names_once()


def test_a_night_in_a_bucket(
    buckets: Buckets, deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """A day is archived in a bucket by a real worker, which waits while the bucket is away; the
    command line, with no settings, finds it whole and takes a recording out of it.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.configure(ready_after_polls=0)
    account.seed(DAY, "Asia/Kolkata", 4, size_bytes=2_000_000)
    house = deploy(
        account_toml("india", account.configuration(), {}),
        settings={"ARCHIVE_URL": f"s3://{buckets.bucket()}/house", "LEASE_SECONDS": "10"},
        surroundings=buckets.environment,
    )
    archive = house.settings["ARCHIVE_URL"]
    house.worker()
    with house.producer() as app:
        buckets.front.away = True
        run = house.send(app, "export.run", account="india", day=DAY.isoformat())
        eventually(
            lambda: any(
                f"the archive {archive} does not answer" in (job.reason or "")
                for kind in ("export.run", "export.retrieve")
                for job in house.ledger.jobs.jobs(kind=kind)
            ),
            within=60,
            what="that the bucket is away is not shown",
        )
        buckets.front.behave()
        assert run.get(timeout=60)["archived"] == 4
    store: Store = ObjectStore(*archive.removeprefix("s3://").split("/"))
    eventually(lambda: any("/chain/" in path for path in store.paths()), what="nothing is chained")
    _agree(house, archive)
    doctor = house.run("doctor").stdout
    assert "a name is given once" in doctor
    assert archive in doctor
    house.close()


def _agree(house: Deployment, archive: str) -> None:
    bare = {"PATH": os.environ["PATH"], **house.surroundings}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "worker", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=bare, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    assert "verify: ok" in run("verify", archive)
    found = run("find", "--archive", archive, "--json")
    recording = json.loads(found)[0]["line"]["id"]
    to = house.folder / "extracted"
    run("extract", recording, "--archive", archive, "--to", str(to))
    assert sorted(path.suffix for path in to.iterdir()) == [".json", ".json", ".mp3"]


def test_no_worker_starts_on_a_store_that_overwrites(
    buckets: Buckets, deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """It ends with a sentence before anything could be lost; `doctor` says the same."""
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    buckets.front.misbehave("unconditional", "PUT", times=100)
    house = deploy(
        account_toml("india", account.configuration(), {}),
        settings={"ARCHIVE_URL": f"s3://{buckets.bucket()}"},
        surroundings=buckets.environment,
    )
    worker = house.worker("refused", ready=False)
    eventually(lambda: not worker.alive, what="the worker did not end")
    assert "lets a second file take a name that is taken" in worker.log()
    assert "Traceback" not in worker.log()
    doctor = house.run("doctor")
    assert doctor.returncode == 1
    assert "any could be overwritten" in doctor.stdout


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
