"""Members of a ZIP are verified by several threads at once, as if by one."""

from __future__ import annotations

import struct
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from archive.errors import Damaged, Dangerous
from archive.zip import threads
from archive.zip.verification import Limits, members

from .test_zip_verification import measure, measured, read_by_zipfile

LIMITS = Limits(members=10_000, bytes=10**12, ratio=10**6)
MEBIBYTE = 1024 * 1024
MEMORY = 64 * MEBIBYTE
#: Members for several batches: many small ones around some that fill a batch each.
SIZES = [*[100] * 150, 6 * MEBIBYTE, 7, *[2 * MEBIBYTE] * 5, *[0, 1] * 80]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ZIP with members of every size, stored."""
    file = tmp_path_factory.mktemp("mixed") / "mixed.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for number, size in enumerate(SIZES):
            archive.writestr(f"{number:04}.mp3", bytes([number % 251]) * size)
    return file


def spoiled(file: Path, target: Path, *numbers: int) -> Path:
    """A copy in which the first byte of these members is another."""
    data = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
    for number in numbers:
        data[infos[number].header_offset + 30 + len(infos[number].filename)] ^= 0xFF
    target.write_bytes(data)
    return target


def test_the_order_is_that_of_the_list(mixed: Path) -> None:
    """Small members do not overtake the large ones before them."""
    found = list(members(mixed, LIMITS, path="a.zip"))
    assert found == read_by_zipfile(mixed)
    with mixed.open("rb") as opened:
        assert found == list(members(opened, LIMITS, path="a.zip"))


def test_the_first_error_is_the_one_of_the_list(mixed: Path, tmp_path: Path) -> None:
    """A small damaged member is found before a large one in front of it: the large one's error is
    raised all the same, after every member before it, each time.
    """
    large = SIZES.index(6 * MEBIBYTE)
    file = spoiled(mixed, tmp_path / "spoiled.zip", large, large + 1, len(SIZES) - 1)
    for _ in range(5):
        found = members(file, LIMITS, path="a.zip")
        assert [next(found).name for _ in range(large)] == [f"{n:04}.mp3" for n in range(large)]
        with pytest.raises(Damaged, match=rf"{large:04}\.mp3"):
            next(found)


def test_progress_is_reported_in_the_thread_that_waits(mixed: Path) -> None:
    """Of every byte, at most 1 MiB at a time; what it raises ends the work."""
    seen: list[int] = []
    callers: set[int] = set()

    def note(count: int) -> None:
        seen.append(count)
        callers.add(threading.get_ident())

    assert len(list(members(mixed, LIMITS, path="a.zip", on_bytes=note))) == len(SIZES)
    assert sum(seen) == sum(SIZES)
    assert max(seen) <= MEBIBYTE
    assert callers == {threading.get_ident()}

    def lost(_: int) -> None:
        raise TimeoutError("the lease is lost")

    with pytest.raises(TimeoutError):
        list(members(mixed, LIMITS, path="a.zip", on_bytes=lost))
    begun = members(mixed, LIMITS, path="a.zip")
    next(begun)
    begun.close()  # type: ignore[attr-defined]


def test_all_callers_together_use_a_thread_for_each_core(mixed: Path) -> None:
    """Four at once get their own results, from as many threads as one alone would use."""
    with ThreadPoolExecutor(4) as callers:
        runs = [
            callers.submit(lambda: list(members(mixed, LIMITS, path="a.zip"))) for _ in range(4)
        ]
        expected = read_by_zipfile(mixed)
        assert all(run.result() == expected for run in runs)
    working = [one for one in threading.enumerate() if one.name.startswith("members")]
    assert 0 < len(working) <= threads.cores()


def test_a_caller_whose_turn_has_not_come_can_stop() -> None:
    """Others have all the threads: the caller is asked whether it continues all the same."""
    release, busy = threading.Event(), threading.Semaphore(0)

    def block(_: int, progress: threads.Progress) -> Iterator[int]:
        busy.release()
        release.wait(60)
        progress(0)
        yield 1

    def refuse(count: int) -> None:
        assert count == 0
        raise TimeoutError("the lease is lost")

    with ThreadPoolExecutor(1) as other:
        first = other.submit(
            lambda: list(threads.in_order(iter(range(threads.cores())), block, lambda _: None))
        )
        for _ in range(threads.cores()):
            assert busy.acquire(timeout=60)
        with pytest.raises(TimeoutError):
            list(threads.in_order(iter([1]), lambda *_: iter([2]), refuse))
        release.set()
        assert first.result() == [1] * threads.cores()


def write_plainly(file: Path, count: int, order: range, *, overlap: int | None = None) -> None:
    """Write a ZIP of many members of three bytes, listed in an order of one's own; the entry of
    ``overlap`` points at the member before it.
    """
    name = b"%07d.mp3"
    header, entry = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L")
    crc, step = 0xABCF844A, header.size + 11 + 3
    with file.open("wb") as target:
        for number in range(count):
            fixed = (20, 0, 0, 0, 33, crc, 3, 3, 11, 0)
            target.write(header.pack(b"PK\3\4", *fixed) + name % number + b"ID3")
        start = target.tell()
        for number in order:
            at = step * (number - (number == overlap))
            fixed = (20, 20, 0, 0, 0, 33, crc, 3, 3, 11, 0, 0, 0, 0, 0, at)
            target.write(entry.pack(b"PK\1\2", *fixed) + name % number)
        size = target.tell() - start
        target.write(
            struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
        )
        target.write(struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1))
        full = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
        target.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *full, 0))


def test_a_list_in_any_order_is_judged(tmp_path: Path) -> None:
    """Listed backwards, more members than are sorted at a time; one that overlaps is named."""
    file, count = tmp_path / "a.zip", 25_000
    limits = Limits(members=count, bytes=10**9, ratio=200)
    backwards = range(count - 1, -1, -1)
    write_plainly(file, count, backwards)
    names = [one.name for one in members(file, limits, path="a.zip")]
    assert names == [f"{number:07}.mp3" for number in backwards]
    for order in (range(count), backwards):
        write_plainly(file, count, order, overlap=12_345)
        with pytest.raises(Dangerous, match=r"34[45]\.mp3.* overlaps"):
            next(members(file, limits, path="a.zip"))


@measured
@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("step", [1, -1])
def test_memory_is_flat_with_a_million_members(tmp_path: Path, step: int) -> None:
    """In the order of the list and backwards: at most 64 MB more than an idle process."""
    file, count = tmp_path / "many.zip", 1_000_000
    write_plainly(file, count, range(count)[::step])
    found, above = measure(file, "verify")
    assert found == count
    assert above <= MEMORY
