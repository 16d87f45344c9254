"""Workers that begin an archive at once: none takes the other's first files for a stranger's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from archive import paths
from archive.documents.identity import Identity
from archive.errors import Missing, Vanished
from archive.store.directory import DirectoryStore
from archive.store.protocol import LARGEST_READ
from ledger.ledger import Ledger
from tasks.runtime import vouching

from .ledgers import opened

FIRST = "india/exports/2026/11/20/1111/manifest.json"


class Raced(DirectoryStore):
    """A store in which somebody else acts just after it was asked whose it is."""

    def __init__(self, root: Path, meanwhile: Callable[[], None]) -> None:
        super().__init__(root)
        self._meanwhile: Callable[[], None] | None = meanwhile

    def read(self, path: str, most: int = LARGEST_READ) -> bytes:
        """As ever; what follows the first look at the ledger's name happens then."""
        try:
            return super().read(path, most)
        except Missing:
            meanwhile, self._meanwhile = self._meanwhile, None
            if meanwhile is not None:
                meanwhile()
            raise


def other_worker(ledger: Ledger, root: Path, identity: str | None = None) -> Callable[[], None]:
    """What another worker does: begin the archive, store the first file, put it under a chain."""

    def act() -> None:
        store = DirectoryStore(root)
        name = identity or ledger.identity.identity()
        store.create(paths.IDENTITY_PATH, Identity(name).to_bytes())
        store.create(FIRST, b"{}")
        ledger.archive_record.note_head("india", 1, "a" * 64)

    return act


def test_an_archive_that_another_worker_begins_meanwhile_is_ours(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Whether it is to be read, to be written to, or to be begun."""
    for number, ask in enumerate(
        (
            vouching.refuse_other,
            lambda store, ledger: vouching.assure(store, ledger, writing=True),
            lambda store, ledger: vouching.assure(store, ledger, writing=False),
        )
    ):
        root = tmp_path / str(number)
        ask(Raced(root, other_worker(ledger, root)), ledger)
        assert vouching.named_ledger(DirectoryStore(root)) == ledger.identity.identity()
        ledger.archive_record.replace({}, by="test", note="the next one")


def test_another_ledgers_archive_that_begins_meanwhile_is_refused(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Two deployments by mistake at one address."""
    store = Raced(tmp_path / "one", other_worker(ledger, tmp_path / "one", "another"))
    with pytest.raises(Vanished, match="another"):
        vouching.assure(store, ledger, writing=True)


def test_files_without_a_name_are_nobodys(ledger: Ledger, tmp_path: Path) -> None:
    """Nothing is begun among them."""
    store = DirectoryStore(tmp_path)
    store.create(FIRST, b"{}")
    with pytest.raises(Vanished, match="holds files"):
        vouching.assure(store, ledger, writing=True)
    assert not store.exists(paths.IDENTITY_PATH)


def test_an_archive_gone_before_its_first_chain_entry_is_not_begun_anew(
    ledger: Ledger, tmp_path: Path
) -> None:
    """The first file is stored and no chain entry is written yet: the archive that is moved away at
    this moment has vanished, and nothing is begun in its place.
    """
    root = tmp_path / "archive"
    root.mkdir()
    vouching.assure(DirectoryStore(root), ledger, writing=True)
    DirectoryStore(root).create(FIRST, b"{}")
    entry = {"path": FIRST, "sha256": "a" * 64}
    ledger.outbox.owe(opened(ledger).job_id, "india", "chain", entry)
    root.rename(tmp_path / "elsewhere")
    root.mkdir()
    with pytest.raises(Vanished, match="is not there"):
        vouching.assure(DirectoryStore(root), ledger, writing=True)
    assert list(root.iterdir()) == []
