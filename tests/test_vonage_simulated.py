"""The Vonage client and the simulated provider over HTTP, operation by operation."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from providers.errors import Gone, NotFound, NotReady, Uncertain
from providers.vonage.client import Vonage

from . import edges, shared_simulators
from .edges import Edge
from .simulators import Simulators
from .simulators.doors import AccountDoor
from .vonage_accounts import MemoryShelf
from .vonage_simulated import WINDOW, connect, ids, saved, seeded
from .waiting import eventually

simulators = shared_simulators.simulators
edge = edges.edge


#: Each list of recordings that the two APIs have: the region, the account's `recordings`, the user.
LISTS = {
    "india": ("india", "company", None),
    "global": ("global", "company", None),
    "on_demand": ("global", "on_demand", "self"),
}


@pytest.fixture(params=LISTS)
def which(request: pytest.FixtureRequest) -> str:
    """The list that the client is for."""
    return str(request.param)


@pytest.fixture
def door(simulators: Simulators, which: str) -> AccountDoor:
    """An account with seven recordings, whose exports are ready at once."""
    region, _, user_id = LISTS[which]
    return seeded(simulators, region, user_id)


@pytest.fixture
def vonage(edge: Edge, door: AccountDoor, which: str) -> Iterator[Vonage]:
    """The account's client, at either edge."""
    with edge.client(door, recordings=LISTS[which][1]) as client:
        yield client


@pytest.mark.parametrize("totals", ["both", "absent", "total_page"])
@pytest.mark.parametrize("past_the_end", ["empty", "absent", "404", "last"])
@pytest.mark.parametrize("first_page", [0, 1])
@pytest.mark.parametrize("size", [2, 7, 100])
def test_lists_every_recording(
    door: AccountDoor,
    vonage: Vonage,
    totals: str,
    past_the_end: str,
    first_page: int,
    size: int,
) -> None:
    """However pages are counted and wherever their links lead."""
    door.configure(totals=totals, past_the_end=past_the_end, first_page=first_page)
    door.configure(page_size_cap=3, next_link="elsewhere", nothing_found="absent")

    found = [one.id for one in vonage.every_recording(WINDOW, page_size=size)]
    assert sorted(found) == ids(door)
    assert [one.line() for one in vonage.every_recording({**WINDOW, "call_id": "nobody"})] == []


@pytest.mark.parametrize("identifiers", ["number", "string"])
@pytest.mark.parametrize("date_format", ["+0000", "Z", "+00:00"])
def test_reads_recordings_in_every_form(
    door: AccountDoor, vonage: Vonage, identifiers: str, date_format: str
) -> None:
    """The same recording, whatever types the provider gives its values."""
    door.configure(identifiers=identifiers, date_format=date_format)
    page = vonage.recordings(WINDOW, page_size=3, order="start:ASC").result()
    first = page["recordings"][0]

    assert (page["page_size"], page["total_items"], page["total_pages"]) == (3, 7, 3)
    assert first["start"] == "2026-11-18T18:30:00Z"
    assert isinstance(first["id"], str)
    assert vonage.recording(first["id"]).line() == first


def test_filters_arrive_as_they_were_meant(vonage: Vonage) -> None:
    """Both bounds of the window are within it, to the second."""
    starts = sorted(one.line()["start"] for one in vonage.every_recording({}))
    window = {"start:gte": starts[1], "start:lte": starts[5]}

    found = sorted(one.line()["start"] for one in vonage.every_recording(window))
    assert found == starts[1:6]


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("parts", [1, 3])
def test_exports_and_retrieves(door: AccountDoor, vonage: Vonage, status: int, parts: int) -> None:
    """Every recording of the window lies in one of the parts, as the provider has it."""
    door.configure(export_status=status, export_parts=parts)
    jobs = vonage.export(WINDOW)
    assert len(jobs) == parts

    sums = set()
    for job in jobs:
        with zipfile.ZipFile(io.BytesIO(saved(vonage, job))) as archive:
            sums |= {sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    assert sums == {door.sha256(one) for one in ids(door)}


def test_an_export_of_nothing(door: AccountDoor, vonage: Vonage) -> None:
    """No jobs, or an empty ZIP."""
    nothing = {**WINDOW, "call_id": "nobody"}
    assert vonage.export(nothing) == []
    door.configure(nothing_matches="empty_zip")
    (job,) = vonage.export(nothing)
    with zipfile.ZipFile(io.BytesIO(saved(vonage, job))) as archive:
        assert archive.namelist() == []


@pytest.mark.parametrize("kind", ["404", "202", "204", "409", "200-json", "200-html", "200-empty"])
def test_waits_for_an_export(door: AccountDoor, vonage: Vonage, kind: str) -> None:
    """Whatever the provider answers until then, it is "not ready"; then it is the ZIP."""
    door.configure(ready_after_polls=1, not_ready=kind)
    (job,) = vonage.export(WINDOW)
    with pytest.raises(NotReady, match=f"export {job}: "):
        saved(vonage, job)

    def ready() -> bytes | None:
        with suppress(NotReady):
            return saved(vonage, job)
        return None

    # The simulator builds the archive while it is asked, so more than one poll may be needed.
    assert eventually(ready, what="the export did not become ready").startswith(b"PK")


def test_an_export_of_another_user_looks_unready(door: AccountDoor, vonage: Vonage) -> None:
    """What else it may mean is said once that lasts."""
    (job,) = vonage.export(WINDOW)
    with (
        connect(door, MemoryShelf(), login_name="jane.doe") as another,
        pytest.raises(NotReady, match="not ready yet") as caught,
    ):
        saved(another, job)
    assert "login_name jane.doe is not the user" in caught.value.if_it_lasts


def test_an_export_that_expired_is_gone(door: AccountDoor, vonage: Vonage) -> None:
    """Polling on would not help."""
    (job,) = vonage.export(WINDOW)
    door.expire_job(job)
    with pytest.raises(Gone):
        saved(vonage, job)


@pytest.mark.parametrize("send_length", [True, False])
@pytest.mark.parametrize("how", ["broken", "reset"])
def test_a_cut_transfer_goes_on_where_it_broke(
    simulators: Simulators, door: AccountDoor, vonage: Vonage, send_length: bool, how: str
) -> None:
    """The rest is fetched, not the whole; what is held in the end is the ZIP."""
    door.configure(send_length=send_length)
    (job,) = vonage.export(WINDOW)
    door.fault("retrieve", "cut", after_bytes=20_000, how=how)
    received: list[bytes] = []
    with vonage.retrieve(job) as body, pytest.raises(Uncertain):
        received.extend(body.chunks())
    assert body.etag is not None

    whole = saved(vonage, job, b"".join(received), body.etag)
    assert zipfile.ZipFile(io.BytesIO(whole)).testzip() is None
    first, second = simulators.log.transfers(job)
    assert second["status"] == 206
    assert first["sent_bytes"] + second["sent_bytes"] <= len(whole) + 20_000
    with vonage.retrieve(job, etag=body.etag, offset=len(whole)) as rest:
        assert rest.complete


@pytest.mark.parametrize("switches", [{"etag": "weak"}, {"etag": "none"}, {"ranges": False}])
def test_what_cannot_be_resumed_begins_anew(
    door: AccountDoor, vonage: Vonage, switches: dict[str, Any]
) -> None:
    """Without a strong validator or without parts the whole ZIP comes again."""
    door.configure(**switches)
    (job,) = vonage.export(WINDOW)
    with vonage.retrieve(job) as body:
        whole, etag = b"".join(body.chunks()), body.etag
    with vonage.retrieve(job, etag=etag, offset=1000) as body:
        assert (body.offset, b"".join(body.chunks())) == (0, whole)


def test_a_file_that_changed_begins_anew(door: AccountDoor, vonage: Vonage) -> None:
    """The validator of the older file asks for no part of the newer one."""
    (job,) = vonage.export(WINDOW)
    with vonage.retrieve(job) as body:
        etag = body.etag
    door.fault("retrieve", "rebuilt_zip")
    with vonage.retrieve(job, etag=etag, offset=1000) as body:
        assert (body.offset, body.etag != etag) == (0, True)


def test_a_part_from_elsewhere_is_not_taken(door: AccountDoor, vonage: Vonage) -> None:
    """Of a server that always answers with another range than it was asked for, the whole is."""
    (job,) = vonage.export(WINDOW)
    with vonage.retrieve(job) as body:
        etag, whole = body.etag, b"".join(body.chunks())
    door.fault("retrieve", "wrong_range", by=-1, times=None)
    with vonage.retrieve(job, etag=etag, offset=99) as body:
        assert (body.offset, b"".join(body.chunks())) == (0, whole)


def test_downloads_audio(door: AccountDoor, vonage: Vonage) -> None:
    """Byte for byte, and resumed like an export."""
    one = ids(door)[0]
    with vonage.audio(one) as body:
        sound, etag = b"".join(body.chunks()), body.etag
        assert body.content_type == "audio/mpeg"
    assert sha256(sound).hexdigest() == door.sha256(one)
    with vonage.audio(one, etag=etag, offset=4000) as body:
        assert (body.offset, b"".join(body.chunks())) == (4000, sound[4000:])


def test_deletes(door: AccountDoor, vonage: Vonage) -> None:
    """Once; the second time it is gone already."""
    one = ids(door)[0]
    assert vonage.delete(one) is True
    assert vonage.delete(one) is False
    with pytest.raises(NotFound):
        vonage.recording(one).line()
    with pytest.raises(NotFound), vonage.audio(one):
        pass


def test_knows_the_providers_clock(door: AccountDoor, vonage: Vonage) -> None:
    """Also where it is far from ours."""
    door.configure(clock_offset=-86400)
    vonage.recordings({})
    assert vonage.provider_time is not None
    behind = datetime.now(UTC) - vonage.provider_time
    assert abs(behind - timedelta(days=1)) < timedelta(minutes=1)
