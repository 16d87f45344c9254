"""Files that were refused and may be recordings all the same wait in the spool for a person."""

from __future__ import annotations

import os
import time
from pathlib import Path

from archive.spool.spool import Spool


def test_what_is_set_aside_stays_until_its_age(tmp_path: Path) -> None:
    """Once for the same bytes, untouched by the sweep of downloads, named oldest first, and no more
    than the reserve; after its age it is removed.
    """
    bounded = Spool(tmp_path / "spool", 300 * 1024 * 1024)
    bounded.directory.mkdir()
    assert bounded.set_aside_files() == []
    for number in (1, 1, 2):
        source = bounded.directory / "audio.part"
        source.write_bytes(b"%d" % number)
        target = bounded.set_aside(source, "india-7", str(number) * 64, "mp3")
        assert target is not None
    first, second = bounded.set_aside_files()
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")

    large = bounded.directory / "large.part"
    with large.open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    assert bounded.set_aside(large, "india-8", "8" * 64, "bin") is None
    assert large.exists()

    for other in ("india-7.1", "india-77"):
        bounded.drop_set_aside(other)
    assert bounded.set_aside_files() == [first, second]

    os.utime(first, (time.time() - 7200, time.time() - 7200))
    bounded.sweep(0)
    assert bounded.set_aside_files() == [first, second]
    assert bounded.sweep_refused(3600) == 1
    assert bounded.set_aside_files() == [second]
    bounded.drop_set_aside("india-7")
    assert bounded.set_aside_files() == []
