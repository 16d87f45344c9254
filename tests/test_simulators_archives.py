"""Exports of the Vonage simulator: readiness, real ZIP files, ranges, and broken archives."""

from __future__ import annotations

import hashlib
import io
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from . import shared_simulators
from .simulators import Simulators
from .visitor import Visitor

simulators = shared_simulators.simulators

DAY = date(2026, 11, 19)
GIB = 1 << 30


@pytest.fixture
def visitor(simulators: Simulators) -> Iterator[Visitor]:
    """The user of an account with 12 recordings, whose exports are ready at once."""
    account = simulators.vonage.account(ready_after_polls=0)
    account.seed(DAY, "Asia/Kolkata", 12)
    with Visitor(account) as visiting:
        yield visiting


def names(content: bytes) -> list[str]:
    """The members of an archive, each read through its CRC."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def test_an_archive_holds_what_the_provider_lists(
    simulators: Simulators, visitor: Visitor, tmp_path: Path
) -> None:
    """The ZIP is whole for unzip, and each member is what audio serves; the log counted its
    bytes.
    """
    job = visitor.export()[0]
    answer = visitor.archive(job)
    assert answer.headers["transfer-encoding"] == "chunked"
    path = tmp_path / "export.zip"
    path.write_bytes(answer.content)
    subprocess.run(["unzip", "-tq", str(path)], check=True, capture_output=True)
    with zipfile.ZipFile(path) as archive:
        assert all(info.flag_bits & 8 for info in archive.infolist())
        for recording in visitor.account.recordings():
            data = archive.read(recording["file_name"])
            assert data == visitor.audio(recording["id"]).content
            told = visitor.account.sha256(recording["id"])
            assert hashlib.sha256(data).hexdigest() == told
    assert simulators.log.sent_bytes(job) == len(answer.content)


@pytest.mark.parametrize(
    ("kind", "status", "content_type"),
    [
        ("404", 404, "application/json"),
        ("202", 202, "application/json"),
        ("204", 204, None),
        ("409", 409, "application/json"),
        ("200-json", 200, "application/json"),
        ("200-html", 200, "text/html;charset=UTF-8"),
        ("200-empty", 200, None),
    ],
)
def test_a_job_takes_its_polls_to_be_ready(
    simulators: Simulators, visitor: Visitor, kind: str, status: int, content_type: str | None
) -> None:
    """Before the third poll the answer is the switch's, then it is the archive; the log tells
    polls from transfers.
    """
    visitor.account.configure(ready_after_polls=2, not_ready=kind)
    job = visitor.export()[0]
    for _ in range(2):
        answer = visitor.retrieve(job)
        assert answer.status_code == status
        assert answer.headers.get("content-type") == content_type
    assert names(visitor.retrieve(job).content)
    assert len(simulators.log.retrieves(job)) == 3
    assert len(simulators.log.transfers(job)) == 1


def test_a_job_can_take_seconds_and_can_expire(visitor: Visitor) -> None:
    """Readiness by the clock, 410 after expiry by wish or by age."""
    visitor.account.configure(ready_after_seconds=86400)
    job = visitor.export()[0]
    assert visitor.retrieve(job).status_code == 404
    visitor.account.configure(ready_after_seconds=0.2)
    assert visitor.archive(job).status_code == 200
    visitor.account.expire_job(job)
    assert visitor.retrieve(job).status_code == 410
    other = visitor.export()[0]
    visitor.account.configure(archive_valid_seconds=0)
    assert visitor.retrieve(other).status_code == 410


def test_retrieve_can_do_without_a_token(visitor: Visitor) -> None:
    """As in the vendor's sample call, if the switch says so."""
    job = visitor.export()[0]
    query = {"jobId": job, "userName": visitor.account.login_name}
    url = f"{visitor.configuration['base_url']}/api/bulkDownload/retrieve"
    assert visitor.http.get(url, params=query).status_code == 401
    visitor.account.configure(retrieve_needs_token=False)
    assert visitor.http.get(url, params=query).status_code == 200


def test_a_transfer_resumes_where_it_ended(simulators: Simulators, visitor: Visitor) -> None:
    """Range with a matching If-Range gives the rest; with another tag, the whole; past the
    end, 416 with the size. The log has range and bytes.
    """
    job = visitor.export()[0]
    whole = visitor.archive(job)
    tag, size = whole.headers["etag"], len(whole.content)
    rest = visitor.retrieve(job, Range="bytes=1000-", If_Range=tag)
    assert (rest.status_code, rest.content) == (206, whole.content[1000:])
    assert rest.headers["content-range"] == f"bytes 1000-{size - 1}/{size}"
    some = visitor.retrieve(job, Range="bytes=5-9")
    assert (some.status_code, some.content) == (206, whole.content[5:10])
    last = visitor.retrieve(job, Range="bytes=-4")
    assert last.content == whole.content[-4:]
    changed = visitor.retrieve(job, Range="bytes=1000-", If_Range='"other"')
    assert (changed.status_code, len(changed.content)) == (200, size)
    past = visitor.retrieve(job, Range=f"bytes={size}-", If_Range=tag)
    assert (past.status_code, past.headers["content-range"]) == (416, f"bytes */{size}")
    seen = simulators.log.transfers(job)
    assert [r["range"] for r in seen[1:3]] == ["bytes=1000-", "bytes=5-9"]
    assert [r["sent_bytes"] for r in seen[:3]] == [size, size - 1000, 5]


def test_ranges_tags_and_lengths_can_be_switched(visitor: Visitor) -> None:
    """Without ranges a Range gets the whole; tags can be weak or absent; length can be told."""
    job = visitor.export()[0]
    whole = visitor.archive(job)
    visitor.account.configure(etag="weak", send_length=True)
    weak = visitor.retrieve(job)
    assert weak.headers["etag"].startswith('W/"')
    assert weak.headers["content-length"] == str(len(whole.content))
    again = visitor.retrieve(job, Range="bytes=9-", If_Range=weak.headers["etag"])
    assert again.status_code == 200
    visitor.account.configure(etag="none", ranges=False)
    plain = visitor.retrieve(job, Range="bytes=9-")
    assert (plain.status_code, plain.content) == (200, whole.content)
    assert not {"etag", "accept-ranges"} & set(plain.headers)
    assert visitor.audio(visitor.listed()[0], Range="bytes=9-").status_code == 200


def test_withheld_recordings_are_listed_but_not_given(visitor: Visitor) -> None:
    """Withheld from the ZIP, from everywhere, or from the list, until released."""
    a, b, c = (r["id"] for r in visitor.account.recordings()[:3])
    visitor.account.withhold(a)
    visitor.account.withhold(b, from_="everywhere")
    visitor.account.withhold(c, from_="list")
    assert {a, b} <= set(visitor.listed(page_size=100))
    assert c not in visitor.listed(page_size=100)
    assert [visitor.audio(i).status_code for i in (a, b, c)] == [200, 404, 404]
    assert len(names(visitor.archive(visitor.export()[0]).content)) == 9
    for recording in (a, b, c):
        visitor.account.release(recording)
    assert len(names(visitor.archive(visitor.export()[0]).content)) == 12


def test_a_recording_can_come_late(visitor: Visitor) -> None:
    """What is added is listed with the fields it was given, and is in the next export."""
    moment = datetime(2026, 11, 19, 6, 0, tzinfo=UTC)
    late = visitor.account.add({"start": moment, "cnam": None, "size_bytes": 5000})
    assert visitor.listed(start__gte="2026-11-19T06:00:00Z", start__lte="2026-11-19T06:00:00Z") == [
        late["id"]
    ]
    assert (late["cnam"], late["file_size_in_bytes"]) == (None, 5000)
    assert len(visitor.audio(late["id"]).content) == 5000
    assert late["file_name"] in names(visitor.archive(visitor.export()[0]).content)


@pytest.mark.parametrize("members", ["id", "folder", "renamed", "duplicate"])
def test_members_can_have_other_names(visitor: Visitor, members: str) -> None:
    """By id, in folders, not to be understood, or all alike; a CSV beside them."""
    visitor.account.configure(members=members, extra_member=True, compression="deflated")
    recordings = visitor.account.recordings()
    *found, extra = names(visitor.archive(visitor.export()[0]).content)
    assert (len(found), extra) == (12, "index.csv")
    known = {r["file_name"] for r in recordings}
    assert not known & set(found)
    if members == "id":
        assert all(str(r["id"]) in name for r, name in zip(recordings, found, strict=True))
    if members == "folder":
        assert {name.rpartition("/")[2] for name in found} == known
    assert (len(set(found)) == 1) == (members == "duplicate")


def test_parts_share_the_recordings(visitor: Visitor) -> None:
    """Several jobs of one export hold each recording once; nothing found can be an empty ZIP."""
    visitor.account.configure(export_parts=3, nothing_matches="empty_zip")
    parts = [names(visitor.archive(job).content) for job in visitor.export()]
    assert [len(part) for part in parts] == [4, 4, 4]
    assert len({name for part in parts for name in part}) == 12
    empty = visitor.archive(visitor.export(cnam="NOBODY")[0]).content
    assert empty.startswith(b"PK\x05\x06")
    visitor.account.configure(export_parts=0)
    assert visitor.export() == []


def test_zip64_without_being_large(visitor: Visitor) -> None:
    """With the switch every member has a ZIP64 field, and readers cope."""
    visitor.account.configure(zip64=True, data_descriptors=False)
    content = visitor.archive(visitor.export()[0]).content
    assert len(names(content)) == 12
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert not any(info.flag_bits & 8 for info in archive.infolist())
    extra_length = int.from_bytes(content[28:30], "little")
    name_length = int.from_bytes(content[26:28], "little")
    extra = content[30 + name_length :][:extra_length]
    assert extra[:2] == b"\x01\x00"


def test_damage_is_what_its_name_says(visitor: Visitor) -> None:
    """Each kind of broken archive is broken in just that way, once, and whole after."""
    job = visitor.export()[0]
    whole = visitor.archive(job)

    def broken(kind: str, **parameters: Any) -> bytes:
        visitor.account.fault("retrieve", kind, **parameters)
        content = visitor.retrieve(job).content
        assert visitor.retrieve(job).content == whole.content
        return content

    assert broken("truncated_zip", missing_bytes=50) == whole.content[:-50]
    with zipfile.ZipFile(io.BytesIO(broken("bad_crc", member=3))) as archive:
        assert archive.testzip() == archive.namelist()[3]
    with zipfile.ZipFile(io.BytesIO(broken("encrypted_member", member=11))) as archive:
        assert [info.flag_bits & 1 for info in archive.infolist()] == [0] * 11 + [1]
        with pytest.raises(RuntimeError, match="encrypted"):
            archive.testzip()
    for name in ("../../evil.mp3", "/etc/evil.mp3", "C:\\evil.mp3"):
        assert names(broken("bad_name", name=name))[0] == name
    assert set(names(broken("rebuilt_zip"))) == set(names(whole.content))
    overlapping = broken("overlapping_members")
    with zipfile.ZipFile(io.BytesIO(overlapping)) as archive:
        assert len({info.header_offset for info in archive.infolist()}) == 1


@pytest.mark.parametrize("honest", [True, False])
def test_a_bomb_is_a_bomb(visitor: Visitor, honest: bool) -> None:
    """A bomb unfolds to the size asked for, whatever it declares."""
    job = visitor.export()[0]
    visitor.archive(job)
    size = 8 << 20
    visitor.account.fault("retrieve", "zip_bomb", bytes=size, honest=honest)
    content = visitor.retrieve(job).content
    assert len(content) < size / 500
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.infolist()[0]
        assert (info.file_size == size) == honest
        start = 30 + len(info.filename) + int.from_bytes(content[28:30], "little")
        assert len(zlib.decompress(content[start:][: info.compress_size], -15)) == size


def test_a_rebuilt_archive_has_another_tag(visitor: Visitor) -> None:
    """After a rebuild the old tag no longer resumes: the whole comes, and it is another one."""
    job = visitor.export()[0]
    whole = visitor.archive(job)
    visitor.account.fault("retrieve", "rebuilt_zip", times=None)
    answer = visitor.retrieve(job, Range="bytes=100-", If_Range=whole.headers["etag"])
    assert answer.status_code == 200
    assert answer.content != whole.content
    again = visitor.retrieve(job, Range="bytes=100-", If_Range=answer.headers["etag"])
    assert (again.status_code, again.content) == (206, answer.content[100:])


def test_files_can_have_the_wrong_size_or_range(visitor: Visitor) -> None:
    """Padded audio is longer than listed; a wrong range begins elsewhere than was asked."""
    recording = visitor.account.recordings()[0]
    visitor.account.fault("audio", "padded", bytes=3)
    plain = visitor.audio(recording["id"])
    assert len(plain.content) == recording["file_size_in_bytes"] + 3
    visitor.account.fault("audio", "wrong_range", by=-10)
    answer = visitor.audio(recording["id"], Range="bytes=100-")
    assert answer.headers["content-range"].startswith("bytes 90-")
    assert answer.content == visitor.audio(recording["id"]).content[90:]


def test_large_recordings_do_not_compress(visitor: Visitor) -> None:
    """A large recording has exactly its size, begins as an MP3, is the same in any range, and
    is not to be compressed.
    """
    large = visitor.account.add({"start": "2026-11-19T00:00:00Z", "size_bytes": 3_000_000})
    content = visitor.audio(large["id"]).content
    assert len(content) == 3_000_000
    assert content.startswith(b"ID3")
    assert len(zlib.compress(content)) > 2_990_000
    part = visitor.audio(large["id"], Range="bytes=1500000-2600000").content
    assert part == content[1500000:2600001]


@pytest.mark.soak
def test_gigabytes_and_tens_of_thousands_are_possible(simulators: Simulators) -> None:
    """One member over 4 GiB, and 70,000 members: both end as ZIP64 files on disk."""
    account = simulators.vonage.account(ready_after_polls=0)
    account.add({"start": "2026-11-19T00:00:00Z", "size_bytes": 4 * GIB + 4096})
    account.seed(date(2026, 11, 1), "Asia/Kolkata", 70_000, size_bytes=300)
    with Visitor(account) as visitor:
        visitor.http.timeout = 120.0
        visitor.export(start__gte="2026-11-18T00:00:00Z")
        visitor.export(start__lte="2026-11-18T00:00:00Z")
        for job in account.jobs():
            while visitor.retrieve(job["id"], Range="bytes=0-3").content != b"PK\x03\x04":
                pass
    large, many = sorted(account.jobs(), key=lambda job: len(job["recording_ids"]))
    with zipfile.ZipFile(large["path"]) as archive:
        assert archive.infolist()[0].file_size == 4 * GIB + 4096
    with zipfile.ZipFile(many["path"]) as archive:
        assert len(archive.infolist()) == 70_000
