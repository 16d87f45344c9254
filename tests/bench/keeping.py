"""A large file into the archive, against coreutils."""

from __future__ import annotations

import hashlib
import itertools
import random
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

from archive.store.directory import DirectoryStore
from archive.zip import verification
from tests.archives import frames

from . import counting
from .measurement import Row, Samples, in_turns, timed
from .sizes import Sizes

_LIMITS = verification.Limits(members=1_000, bytes=10**12, ratio=200)


class Keeping:
    """A ZIP that has just been downloaded, again and again."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.store = DirectoryStore(folder / "archive")
        self.master = folder / "master.zip"
        write_zip(self.master, ["recording.mp3"], size)
        self.members: list[int] = []
        self.copies: list[int] = []
        self._numbers = itertools.count(1)

    def ours(self) -> float:
        """Summed as it came, listed and read member by member, kept and read back."""
        path = f"bench/exports/2026/11/20/{next(self._numbers)}/part.zip"
        spooled = self._downloaded()
        return timed(lambda: self._keep(spooled, path))

    def _keep(self, spooled: Path, path: str) -> None:
        with spooled.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self.members.append(sum(1 for _ in verification.members(spooled, _LIMITS, path=path)))
        self.store.keep(path, spooled, sha256)

    def coreutils(self) -> float:
        """Summed, copied, and on the disk as ours is."""
        source, target = self._downloaded(), self.folder / "copy"
        command = 'sha256sum "$0" && cp "$0" "$1" && sync "$1"'
        taken = timed(
            lambda: subprocess.run(
                ["sh", "-c", command, source, target], stdout=subprocess.DEVNULL, check=True
            )
        )
        self.copies.append(target.stat().st_size)
        return taken

    def _downloaded(self) -> Path:
        spooled = self.folder / "spooled"
        spooled.unlink(missing_ok=True)
        shutil.copyfile(self.master, spooled)
        return spooled


def keeping(folder: Path, sizes: Sizes) -> Iterator[Row]:
    """What is done to a ZIP after its last byte has come; sha256sum, cp and sync."""
    kept = Keeping(folder, sizes.kept_bytes)
    turns = {"ours": kept.ours, "peer": kept.coreutils}
    seconds = {n: Samples.of(taken) for n, taken in in_turns(sizes.times, turns).items()}
    size = kept.master.stat().st_size
    stored = [kept.store.size(path) for path in kept.store.paths()]
    found = {
        "files": len(stored),
        "bytes": sum(stored),
        "members": sum(kept.members),
        "copied bytes": sum(kept.copies),
    }
    whole = sizes.times * size
    wanted = {"files": sizes.times, "bytes": whole, "members": sizes.times, "copied bytes": whole}
    counted = counting.compare("keeping", found, wanted)
    what = f"keep a ZIP of {sizes.kept_bytes / 1e6:g} MB"
    ours, peer = seconds["ours"], seconds["peer"]
    yield Row("keeping", what, "s", ours, peer, "sha256sum, cp, sync", counted=counted)


def write_zip(path: Path, names: list[str], size: int) -> None:
    """A ZIP of noise that begins as MP3 files do, stored as providers store audio, of so many bytes
    in its members.
    """
    each = size // len(names)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, name in enumerate(names):
            noise = random.Random(number)
            with archive.open(zipfile.ZipInfo(name), "w") as member:
                begun = frames(number, 6)[:each]
                member.write(begun)
                left = each - len(begun)
                while left:
                    piece = noise.randbytes(min(left, 1 << 20))
                    member.write(piece)
                    left -= len(piece)
