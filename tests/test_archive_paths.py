"""Where things lie in the archive, and that a provider's id can never lie elsewhere."""

from __future__ import annotations

from datetime import date

import pytest

from archive import paths

DAY = date(2026, 3, 7)


def test_paths_are_the_documented_ones() -> None:
    """Every path is as the archive's format says."""
    folder = paths.export_folder("india", DAY, "0b5e")

    assert folder == "india/exports/2026/03/07/0b5e"
    assert paths.part_path(folder, "p-1", "ab" * 32) == f"{folder}/p-1.abababababababab.zip"
    assert paths.recordings_path(folder) == f"{folder}/recordings.jsonl"
    assert paths.manifest_path(folder) == f"{folder}/manifest.json"
    single = paths.recording_path("india", DAY, "193228", "mp3")
    assert single == "india/recordings/2026/03/07/193228.mp3"
    assert paths.recording_json_path("india", DAY, "193228") == paths.metadata_path(single)
    receipts = [paths.receipt_path("legal", DAY, "0b5e", number) for number in (1, 2)]
    month = "legal/certified-calls/2026/03"
    assert receipts == [f"{month}/0b5e.json", f"{month}/0b5e.2.json"]
    assert paths.chain_path("legal", 12) == "legal/chain/00000012.json"
    assert paths.IDENTITY_PATH == "ledger.json"


@pytest.mark.parametrize("given", ["193228", "c0ffee-1.2_3", "a" * 100])
def test_a_harmless_id_stays_as_it_is(given: str) -> None:
    """People find an id of a provider under its own name."""
    assert paths.safe(given) == given


@pytest.mark.parametrize(
    "given", ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a\0b", "ж", "\ud800", "a" * 101]
)
def test_a_harmful_id_becomes_one_plain_component(given: str) -> None:
    """Whatever a provider calls a thing, it stays inside its folder and is of bounded length."""
    name = paths.safe(given)

    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-~")
    assert 0 < len(name) <= 100


def test_two_ids_never_meet_under_one_name() -> None:
    """Ids that become alike when made harmless keep apart, and none can pose as another's name."""
    ids = ["a/b", "a\\b", "a b", "a-b", "a//b", paths.safe("a/b"), "a" * 101, "a" * 102]

    assert len({paths.safe(one) for one in ids}) == len(ids)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("ledger.json", "identity"),
        ("india/chain/00000001.json", "entry"),
        ("india/exports/2026/03/07/0b5e/manifest.json", "manifest"),
        ("india/exports/2026/03/07/0b5e/recordings.jsonl", "recordings"),
        ("india/exports/2026/03/07/0b5e/p.0123456789abcdef.zip", "zip"),
        ("india/recordings/2026/03/07/1.json", "metadata"),
        ("india/recordings/2026/03/07/1.wav", "audio"),
        ("india/certified-calls/2026/03/0b5e.json", "receipt"),
        ("india/certified-calls/2026/03/0b5e.2.json", "receipt"),
        ("india/notes.txt", None),
        ("india/exports/2026/03/07/0b5e/deeper/manifest.json", None),
    ],
)
def test_a_path_tells_what_lies_there(path: str, kind: str | None) -> None:
    """Every kind of file is known by its path alone."""
    assert paths.kind_of(path) == kind


@pytest.mark.parametrize("path", ["india/../ledger.json", "legal/x", "india", "india//x", "/india"])
def test_a_path_that_leads_elsewhere_is_not_the_accounts(path: str) -> None:
    """A path read from a file is believed only inside its account's folder."""
    assert paths.is_of("india", "india/x/y.json")
    assert path == "india" or not paths.is_of("india", path)
