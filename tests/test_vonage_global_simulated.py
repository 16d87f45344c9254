"""The Vonage client and the simulated global API: both kinds of recordings, and export jobs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from providers.errors import Gone, NotFound, NotReady
from providers.interface import ExportProgress
from providers.vonage.client import Vonage

from .simulators import Simulators
from .simulators.doors import AccountDoor
from .vonage_accounts import MemoryShelf
from .vonage_global import seeded
from .vonage_simulated import WINDOW, connect, ids, saved
from .vonage_simulated import seeded as company_alone


@pytest.fixture(scope="module")
def simulators() -> Iterator[Simulators]:
    """One entrance for all tests of this file, each with an account of its own."""
    with Simulators() as running:
        yield running


@pytest.fixture
def door(simulators: Simulators) -> AccountDoor:
    """An account with seven company recordings and five on demand."""
    return seeded(simulators)


@pytest.fixture
def vonage(door: AccountDoor) -> Iterator[Vonage]:
    """The account's client, for both kinds."""
    with connect(door, MemoryShelf(), recordings="both") as client:
        yield client


@pytest.mark.parametrize("totals", ["both", "absent", "total_page"])
@pytest.mark.parametrize("past_the_end", ["empty", "absent", "404", "last"])
@pytest.mark.parametrize("size", [2, 100])
def test_lists_both_kinds(
    door: AccountDoor, vonage: Vonage, totals: str, past_the_end: str, size: int
) -> None:
    """Every recording of both lists once and in order, however the provider ends its pages."""
    door.configure(totals=totals, past_the_end=past_the_end)
    found = list(vonage.every_recording(WINDOW, page_size=size))
    assert sorted(one.id for one in found) == ids(door)
    starts = [one.start for one in found if one.start]
    assert starts == sorted(starts)
    on_demand = {one.id for one in found if one.line().get("on_demand")}
    assert on_demand == {str(one["id"]) for one in door.recordings("self")}


def test_pages_hold_both_kinds(vonage: Vonage) -> None:
    """A page has up to its size of each kind; all pages together have every recording once."""
    pages = [vonage.recordings(WINDOW, page=n, page_size=3) for n in (1, 2, 3, 4)]
    assert [len(page.recordings) for page in pages] == [6, 5, 1, 0]
    assert (pages[0].total_items, pages[0].total_pages) == (12, 3)
    assert len({one.id for page in pages for one in page.recordings}) == 12


def test_one_of_each_kind_is_heard_and_deleted(door: AccountDoor, vonage: Vonage) -> None:
    """By its id alone, whichever list it is in."""
    for user in (None, "self"):
        one = str(door.recordings(user)[0]["id"])
        assert vonage.recording(one).line().get("on_demand", False) is (user is not None)
        with vonage.audio(one) as body:
            assert sha256(b"".join(body.chunks())).hexdigest() == door.sha256(one)
        assert (vonage.delete(one), vonage.delete(one)) == (True, False)
        with pytest.raises(NotFound):
            vonage.recording(one)


def test_both_kinds_are_exported(door: AccountDoor, vonage: Vonage) -> None:
    """One export each; together they hold everything."""
    jobs = [job for number in range(vonage.exports) for job in vonage.export({}, number=number)]
    sums = set()
    for job in jobs:
        with zipfile.ZipFile(io.BytesIO(saved(vonage, job))) as archive:
            sums |= {sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    assert sums == {door.sha256(one) for one in ids(door)}


def followed(vonage: Vonage, job: str, times: int) -> list[ExportProgress]:
    """So many looks at a job."""
    looks = [vonage.progress(job) for _ in range(times)]
    return [look for look in looks if look is not None]


@pytest.mark.parametrize("number", [0, 1])
def test_an_export_is_followed_to_its_zip(
    simulators: Simulators, door: AccountDoor, vonage: Vonage, number: int
) -> None:
    """The figures grow; a ready job is fetched from the address that it names."""
    door.configure(ready_after_polls=2)
    (job,) = vonage.export({}, number=number)
    looks = followed(vonage, job, 3)
    total = 5 if number else 7
    assert [look.is_ready for look in looks] == [False, False, True]
    assert [look.files_completed for look in looks] == [total // 3, total * 2 // 3, total]
    assert looks[-1].valid_until is not None
    assert zipfile.ZipFile(io.BytesIO(saved(vonage, job))).testzip() is None
    (fetched,) = simulators.log.requests(operation="retrieve", job_id=job)
    assert "userName" not in str(fetched)


@pytest.mark.parametrize(
    ("kind", "more", "last"),
    [
        ("failed_job", {"status": "failed"}, (False, True)),
        ("failed_job", {"status": "ERROR", "share": 0.0}, (False, True)),
        ("failed_job", {"status": "cancelled", "share": 1.0}, (False, True)),
        ("stalled_job", {"share": 0.3}, (False, False)),
    ],
)
def test_an_export_that_goes_wrong_says_so(
    door: AccountDoor, vonage: Vonage, kind: str, more: dict[str, Any], last: tuple[bool, bool]
) -> None:
    """A failed job has failed for good; a stalled one looks unfinished for ever."""
    door.fault("export", kind, **more)
    (job,) = vonage.export({}, number=0)
    look = followed(vonage, job, 4)[-1]
    assert (look.is_ready, look.has_failed) == last


def test_a_lost_export_is_told_from_an_expired_one(door: AccountDoor, vonage: Vonage) -> None:
    """The lost one is unknown to both requests, the expired one complete and gone."""
    door.fault("export", "lost_job")
    (lost,) = vonage.export({}, number=0)
    with pytest.raises(NotFound, match="no such export"):
        vonage.progress(lost)
    with pytest.raises(NotReady):
        saved(vonage, lost)
    door.fault("export", "expired_job")
    (expired,) = vonage.export({}, number=0)
    assert followed(vonage, expired, 1)[0].is_ready
    with pytest.raises(Gone):
        saved(vonage, expired)


@pytest.mark.parametrize("has_status", [False, True])
def test_india_may_have_the_status_too(simulators: Simulators, has_status: bool) -> None:
    """There as in the global API, or not at all."""
    door = company_alone(simulators)
    door.configure(status_endpoint=has_status)
    with connect(door, MemoryShelf()) as vonage:
        (job,) = vonage.export(WINDOW)
        look = vonage.progress(job)
        assert (look is not None) is has_status
        assert zipfile.ZipFile(io.BytesIO(saved(vonage, job))).testzip() is None
