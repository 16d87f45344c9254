"""What a run knows of its files already is neither read nor queued a second time."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select, update

from archive.audio.properties import Sound
from archive.spool.member_lists import MemberLists
from archive.spool.spool import Spool
from archive.store.directory import open_store
from archive.zip.verification import Member
from ledger.core.schema import jobs, obligations

from .archives import overwrite
from .buckets import Buckets
from .deployment import Deployment, account_toml, eventually
from .simulators import Simulators

DAY = date(2026, 11, 10)
SHA256 = "a" * 64
MEMBERS = [
    Member("a.mp3", 9, "1" * 64, Sound("mp3", 1.5, None, True)),
    Member("José/ü\u2028.mp3", 0, "2" * 64, Sound("wav", None, "is cut", False)),
    Member("index.csv", 3, "3" * 64, None),
]


def test_a_run_reads_its_zip_once_and_queues_each_entry_once(
    deploy: Callable[..., Deployment], simulators: Simulators, buckets: Buckets
) -> None:
    """In a bucket every reading is a request: the ZIP is read back as it is stored, and not again
    for its comparison. Where the spool was lost in between, it is, and the same bytes are sealed.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.configure(ready_after_polls=0)
    seeded = account.seed(DAY, "Asia/Kolkata", 4)
    account.withhold(seeded[2]["id"])  # from the ZIP alone: it is fetched singly
    archive = f"s3://{buckets.bucket()}/house"
    house = deploy(
        account_toml("india", account.configuration(), {"catchup_days": 1}),
        settings={"ARCHIVE_URL": archive},
        surroundings=buckets.environment,
    )
    house.worker()
    with house.producer() as app:
        result = house.send(app, "export.run", account="india", day=DAY.isoformat()).get(timeout=90)
        assert (result["archived"], result["missing"]) == (4, 0)
        assert readings(buckets, archive) == 1
        single = house.send(
            app, "recording.download", account="india", recording_id=seeded[0]["id"]
        )
        single.get(timeout=60)
    eventually(lambda: not house.ledger.outbox.waiting(), what="something is owed still")
    queued = Counter(payload["path"] for payload in chained(house))
    assert len(queued) == 3, queued  # the manifest, and the metadata of two recordings
    assert set(queued.values()) == {1}, queued
    assert [path.name for path in house.spool.iterdir() if path.is_file()] == []

    store = open_store(archive)
    folder = result["manifest"].rpartition("/")[0]
    sealed = {
        name: store.read(f"{folder}/{name}") for name in ("manifest.json", "recordings.jsonl")
    }
    for name in sealed:
        overwrite(store, f"{folder}/{name}", None)
    again = {"state": "waiting", "next_attempt_at": 0, "result": None, "hinted_at": None}
    with house.ledger.database.engine.begin() as connection:
        connection.execute(update(jobs).where(jobs.c.job_id == result["job_id"]).values(**again))
    eventually(
        lambda: house.ledger.jobs.job(result["job_id"]).ended, what="it was not sealed again"
    )
    assert {name: store.read(f"{folder}/{name}") for name in sealed} == sealed
    assert readings(buckets, archive) > 1


def readings(buckets: Buckets, archive: str) -> int:
    """How often bytes of an archive's ZIPs were asked for."""
    place = archive.removeprefix("s3:/")
    return sum(one.startswith(f"GET {place}") and ".zip?" in one for one in buckets.front.seen)


def chained(house: Deployment) -> list[dict[str, str]]:
    """What was ever queued for a chain."""
    wanted = select(obligations.c.payload).where(obligations.c.kind == "chain")
    with house.ledger.database.engine.begin() as connection:
        return list(connection.execute(wanted).scalars())


@pytest.fixture
def lists(tmp_path: Path) -> MemberLists:
    """The lists of an empty spool."""
    spool = Spool(tmp_path / "spool", 0)
    return MemberLists(spool)


def test_a_list_gives_back_every_member(lists: MemberLists, tmp_path: Path) -> None:
    """Names, sizes, sums and what was heard, in the ZIP's order, once all members were verified;
    under its own sum and hearing alone; and nothing once it is dropped.
    """
    assert list(lists.recorded(SHA256, "whole", iter(MEMBERS))) == MEMBERS
    known = list(lists.read(SHA256, "whole") or ())
    assert [(one, one.sound) for one in known] == [(one, one.sound) for one in MEMBERS]
    assert lists.read(SHA256, "begun") is None
    assert lists.read("b" * 64, "whole") is None
    assert list(lists.recorded(SHA256, "unheard", iter(()))) == []
    assert list(lists.read(SHA256, "unheard") or "x") == []
    lists.drop(SHA256)
    assert lists.read(SHA256, "whole") is None
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_list_is_kept_of_a_zip_that_was_verified_to_its_end_alone(
    lists: MemberLists, tmp_path: Path
) -> None:
    """A ZIP that is damaged behind its first member, or of which a reader stopped, leaves none."""

    def damaged() -> Iterator[Member]:
        yield MEMBERS[0]
        raise ValueError("is cut")

    with pytest.raises(ValueError, match="is cut"):
        list(lists.recorded(SHA256, "whole", damaged()))
    begun = lists.recorded(SHA256, "whole", iter(MEMBERS))
    next(begun)
    begun.close()  # type: ignore[attr-defined]
    assert lists.read(SHA256, "whole") is None
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_list_that_is_not_whole_is_none(lists: MemberLists, tmp_path: Path) -> None:
    """Cut within a line or between two, with another byte, of another program, or gone."""
    list(lists.recorded(SHA256, "whole", iter(MEMBERS)))
    (path,) = (tmp_path / "spool").iterdir()
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for data in (
        *(b"", whole[:-1], whole[:-20], b"".join(lines[:-1]), b"".join(lines[1:]), b"\xff"),
        *(whole.replace(b"a.mp3", b"b.mp3"), whole + b"\n", json.dumps([]).encode()),
    ):
        path.write_bytes(data)
        assert lists.read(SHA256, "whole") is None, data
    path.write_bytes(whole)
    assert lists.read(SHA256, "whole") is not None


def test_a_list_takes_nothing_of_the_spool_s_reserve(tmp_path: Path) -> None:
    """Without room the members pass all the same, and the ZIP is read again."""
    spool = Spool(tmp_path / "spool", shutil.disk_usage(tmp_path).total)
    lists = MemberLists(spool)
    assert list(lists.recorded(SHA256, "whole", iter(MEMBERS))) == MEMBERS
    assert lists.read(SHA256, "whole") is None
    assert list(spool.directory.iterdir()) == []
