"""Archives in Google Cloud Storage and in Azure Blob Storage: what differs from S3."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import pytest

from archive.errors import Contradiction, StoreAway, StoreRefused
from archive.store.bucket import ONE_PIECE, ObjectStore
from archive.store.directory import open_store
from archive.verify import verification

from .archives import Builder, fill, overwrite
from .buckets import Buckets
from .object_store_promises import notices_a_replaced_object, refuses_naming
from .test_store import spooled
from .waiting import eventually


@pytest.fixture(params=["all_gcs_buckets", "all_azure_containers"], ids=["gs", "az"])
def buckets(request: pytest.FixtureRequest) -> Iterator[Buckets]:
    """Each of the two emulators, well-behaved again after the test."""
    server: Buckets = request.getfixturevalue(request.param)
    yield server
    server.front.behave()


@pytest.fixture
def store(buckets: Buckets) -> ObjectStore:
    """An empty archive."""
    return buckets.store()


def test_of_many_writers_one_creates_a_file(store: ObjectStore) -> None:
    """Each name has one winner, and the winner's bytes; the store proves this at the start."""

    def write(number: int) -> list[str]:
        won = []
        for name in map("a/chain/{:08}.json".format, range(6)):
            try:
                store.create(name, b"%d" % number)
                won.append(name)
            except FileExistsError:
                assert store.read(name)
        return won

    with ThreadPoolExecutor(4) as threads:
        won = list(threads.map(write, range(4)))
    assert sorted(chain.from_iterable(won)) == list(store.paths())
    for number, names in enumerate(won):
        assert {store.read(name) for name in names} <= {b"%d" % number}
    assert store.gives_names_once()
    assert store.gives_names_once()


def test_a_store_that_overwrites_is_found_out(store: ObjectStore, buckets: Buckets) -> None:
    """A server that overlooks the condition of a put does not pass the trial."""
    buckets.front.misbehave("unconditional", "PUT", times=100)
    assert not store.gives_names_once()


def test_a_whole_archive_is_verified_and_its_damage_named(buckets: Buckets, tmp_path: Path) -> None:
    """Files come sorted by name; a changed and a removed one are named, and they alone."""
    store = fill(Builder(tmp_path, buckets.store()))
    paths = list(store.paths())
    assert paths == sorted(paths)
    assert verification.verify(store).problems == []
    changed, removed = (next(p for p in paths if p.endswith(end)) for end in (".zip", ".mp3"))
    overwrite(store, changed, b"other")
    overwrite(store, removed, None)
    assert {one.path for one in verification.verify(store).problems} == {changed, removed}
    assert open_store(store.address).read(changed) == b"other"
    assert pickle.loads(pickle.dumps(store)).address == store.address


def test_an_object_replaced_under_the_reader_is_damage(store: ObjectStore, tmp_path: Path) -> None:
    """Half of one object and half of another are never taken for one; an empty file is a file."""
    notices_a_replaced_object(store, tmp_path)
    store.create("a/empty", b"")
    assert store.checksum("a/empty").bytes == 0


def test_a_put_whose_answer_is_lost_stands(store: ObjectStore, buckets: Buckets) -> None:
    """A put that is asked for again finds its own bytes; a missing bucket is named."""
    buckets.front.misbehave("lost", "PUT")
    with pytest.raises(FileExistsError):
        store.create("a/x.json", b"{}")
    assert store.read("a/x.json") == b"{}"
    nowhere = ObjectStore("no-such-place", "", buckets.scheme)
    actions: list[Callable[[], object]] = [
        lambda: nowhere.create("a/x", b"1"),
        lambda: nowhere.read("a/x"),
        lambda: list(nowhere.paths()),
    ]
    for action in actions:
        with pytest.raises(StoreRefused, match="that does not exist; create it"):
            action()


@pytest.mark.parametrize(
    ("status", "google", "azure"),
    [
        ("401", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_ACCOUNT_KEY"),
        ("403", "GOOGLE_SERVICE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"),
        ("400", "GOOGLE_BASE_URL", "AZURE_STORAGE_ACCOUNT_NAME"),
        pytest.param("501", "x-goog-if-generation-match", "If-None-Match", marks=pytest.mark.soak),
    ],
)
def test_a_refusal_names_what_to_change(
    buckets: Buckets, status: str, google: str, azure: str
) -> None:
    """A wrong key, a wrong name, a store without put-if-absent: each names its variables, and
    nothing that the server said.
    """
    said = google if buckets.scheme == "gs" else azure
    refuses_naming(buckets, status, said, never=("AWS",))


def test_a_refused_replacement_is_a_taken_name(store: ObjectStore, buckets: Buckets) -> None:
    """A key that may create objects and not replace them is told so by a refusal, in place of the
    condition: the name is taken, and the store passes the trial.
    """
    buckets.front.misbehave(f"403 replacing {buckets.scheme}", "PUT", times=100)
    with pytest.raises(FileExistsError):
        store.create("a/x.json", b"{}")
    assert store.gives_names_once()


def test_a_contended_name_is_not_taken(store: ObjectStore, buckets: Buckets) -> None:
    """A conflict with another request about a name says of neither that it won."""
    buckets.front.misbehave("409", "PUT")
    with pytest.raises(StoreAway, match="will be retried") as caught:
        store.create("a/x.json", b"{}")
    assert not isinstance(caught.value, StoreRefused)
    assert store.create("a/x.json", b"{}").bytes == 2


@pytest.mark.soak
@pytest.mark.parametrize("same", [True, False], ids=["same", "other"])
def test_two_uploads_under_one_name_give_one_file(
    store: ObjectStore, buckets: Buckets, tmp_path: Path, same: bool
) -> None:
    """While the last step of a large upload hangs, another worker stores a file under its name.
    The same bytes are adopted, whoever wins. Other bytes never mix: one file stands, whole.
    """
    first, second = bytes(ONE_PIECE + 1), bytes(ONE_PIECE + 1) if same else b"1" * (ONE_PIECE + 1)
    source, sha256 = spooled(tmp_path, first, "first")
    last = ("PUT", "comp=blocklist") if buckets.scheme == "az" else ("POST", "uploadId")
    buckets.front.misbehave("hang", *last)
    ended: list[object] = []

    def keep() -> None:
        try:
            ended.append(store.keep("a/big.zip", source, sha256))
        except Contradiction as error:
            ended.append(error)

    buckets.front.seen.clear()
    keeping = threading.Thread(target=keep)
    keeping.start()
    eventually(
        lambda: any(last[1] in one and one.startswith(last[0]) for one in buckets.front.seen)
    )
    other = store.keep("a/big.zip", *spooled(tmp_path, second, "second"))
    buckets.front.go_on()
    keeping.join()
    stands = store.checksum("a/big.zip")
    assert stands.sha256 in {sha256, other.sha256}
    (end,) = ended
    assert end == stands if stands.sha256 == sha256 else isinstance(end, Contradiction)
