"""The inspection of one file: against the chain, against its manifest or metadata, inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from . import layout, pretenders, zips
from .claims import Manifests, Unusable
from .coverage import Coverage
from .errors import ArchiveError, Missing
from .listening import Listener
from .places import Places
from .store import Store, Stored

#: What was let in by its limits once is not measured against any here: it is never unpacked.
_NO_LIMITS = zips.Limits(members=1 << 62, bytes=1 << 62, ratio=float("inf"))
_NOT_YET = "not yet under a manifest"
#: What is wrong with a file that should be under a chain and is under none, if nothing else is.
UNCOVERED = "is not under the chain: nothing vouches for it"


@dataclass(frozen=True)
class Finding:
    """What came of one file: problems in words, a note on what nothing vouches for, its size (None
    where it is not there).
    """

    problems: list[str]
    note: str | None
    bytes: int | None


class Inspection:
    """Inspects the files of one archive."""

    def __init__(
        self,
        store: Store,
        coverage: Coverage,
        manifests: Manifests,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        self._store = store
        self._coverage = coverage
        self._manifests = manifests
        self._places = Places(store, manifests, coverage)
        self._on_bytes = on_bytes

    def inspect(self, path: str) -> Finding:
        """Read one file whole and compare it with everything that speaks of it."""
        try:
            stored = self._store.checksum(path, self._on_bytes)
        except Missing:
            return Finding([f"is missing: {self._who_names(path)}"], None, None)
        except ArchiveError as error:
            return Finding([error.reason], None, 0)
        except OSError as error:
            return Finding([f"cannot be read: {error.strerror}"], None, 0)
        except ValueError:
            return Finding([f"is no possible path, but {self._who_names(path)}"], None, None)
        kind = layout.kind_of(path)
        problems, note = self._against_chain(stored, kind)
        try:
            more, other_note = self._inside(stored, kind)
        except ArchiveError as error:
            more, other_note = [error.reason], None
        return Finding([*problems, *more], note or other_note, stored.bytes)

    def _against_chain(
        self, stored: Stored, kind: layout.Kind | None
    ) -> tuple[list[str], str | None]:
        covers = self._coverage.covers(stored.path)
        if not covers and kind in layout.CHAINED:
            # A live archive moves: what was written a moment ago may be under the chain by now.
            self._coverage.refresh(stored.path)
            covers = self._coverage.covers(stored.path)
            if not covers and kind == "identity" and self._coverage.is_empty:
                return [], "not yet under a chain"
            if not covers and self._coverage.is_damaged_about(stored.path):
                return [], "may be covered by an entry of the chain that is damaged or missing"
            if not covers:
                return [UNCOVERED], None
        if not covers and kind is None:
            return [], "is no file of an archive: nothing vouches for it"
        return [
            f"has the SHA-256 {stored.sha256} where {cover.entry} says {cover.sha256}: one of the "
            "two was changed or replaced"
            for cover in covers
            if cover.sha256 != stored.sha256
        ], None

    def _inside(self, stored: Stored, kind: layout.Kind | None) -> tuple[list[str], str | None]:
        match kind:
            case "manifest":
                return list(self._faults_of_manifest(stored.path)), None
            case "recordings" | "zip":
                return self._beside_manifest(stored, kind)
            case "metadata":
                return list(self._faults_of_metadata(stored.path)), None
            case "audio":
                return self._against_metadata(stored)
        return [], None

    def _faults_of_manifest(self, path: str) -> Iterator[str]:
        claims = self._manifests.of(path.rpartition("/")[0])
        if isinstance(claims, Unusable):
            yield claims.fault or "was removed meanwhile"
            return
        if claims.header["kind"] == "erasure":
            return
        if claims.header.get("account") != layout.account_of(path):
            yield f"is of the account {claims.header.get('account')!r}: it was changed or moved"
        for single in claims.singles:
            fault = self._places.fault_of_single(single)
            if fault:
                yield fault

    def _beside_manifest(self, stored: Stored, kind: str) -> tuple[list[str], str | None]:
        claims = self._manifests.of(stored.path.rpartition("/")[0])
        problems = list(_fault_of_name(stored)) if kind == "zip" else []
        if isinstance(claims, Unusable):
            return problems, "its manifest claims nothing" if claims.fault else _NOT_YET
        claimed = claims.beside.get(stored.path)
        if claimed is None:
            return problems, "its manifest does not name it: nothing vouches for it"
        if claimed != stored:
            problems.append(_other_sum(stored, "its manifest", claimed))
        elif kind == "zip":
            problems += self._faults_of_members(stored.path)
        else:
            problems += self._places.faults_of_lines(stored.path, claims)
        return problems, None

    def _faults_of_members(self, path: str) -> Iterator[str]:
        claimed, silent = self._manifests.members(path), set()
        with self._store.open(path) as file:
            found = zips.members(
                file, _NO_LIMITS, path=path, on_bytes=self._on_bytes, listener=_listener
            )
            for one, other in zip_longest(found, claimed):
                if one is None or one != other:
                    yield f"holds {_shown(one)} where its manifest says {_shown(other)}"
                    return
                if one.sound is None:
                    silent.add(bytes.fromhex(one.sha256))
        yield from pretenders.in_zip(self._store, path, silent)

    def _faults_of_metadata(self, path: str) -> Iterator[str]:
        metadata = self._places.metadata(path)
        if metadata is None or isinstance(metadata, str):
            yield metadata or "was removed meanwhile"
            return
        stem = path.rpartition("/")[2].removesuffix(".json")
        if metadata.account != layout.account_of(path):
            yield f"is of the account {metadata.account!r}: it was changed or moved"
        if stem not in {layout.safe(metadata.recording_id), metadata.job_id}:
            yield f"is of the recording {metadata.recording_id!r}: it was changed or moved"
        if not layout.is_beside(metadata.stored.path, path):
            yield f"speaks of {metadata.stored.path!r}, which is not its audio"

    def _against_metadata(self, stored: Stored) -> tuple[list[str], str | None]:
        path = layout.metadata_path(stored.path)
        metadata = self._places.metadata(path)
        if metadata is None:
            return [], "has no metadata yet: nothing vouches for it"
        if isinstance(metadata, str):
            return [], "its metadata claims nothing"
        if metadata.stored.path != stored.path:
            return [], f"{path} speaks of another file: nothing vouches for it"
        if metadata.stored == stored:
            fault = pretenders.single(self._store, stored.path)
            return [fault] if fault else [], None
        return [_other_sum(stored, path, metadata.stored)], None

    def _who_names(self, path: str) -> str:
        covers = self._coverage.covers(path)
        if covers:
            return f"{covers[0].entry} names it"
        if layout.kind_of(path) == "audio":
            return f"{layout.metadata_path(path)} speaks of it"
        return "its manifest names it"


def _listener() -> Listener:
    return Listener(whole=False)


def _fault_of_name(stored: Stored) -> Iterator[str]:
    told = stored.path.split(".")[-2]
    if not stored.sha256.startswith(told):
        yield f"has the SHA-256 {stored.sha256}, which does not begin with {told} as its name says"


def _other_sum(found: Stored, witness: str, told: Stored) -> str:
    return (
        f"has {found.bytes} bytes and the SHA-256 {found.sha256} where {witness} says "
        f"{told.bytes} and {told.sha256}: it was damaged or replaced"
    )


def _shown(member: zips.Member | None) -> str:
    if member is None:
        return "no more members"
    return f"{member.name!r} ({member.bytes} bytes, SHA-256 {member.sha256})"
