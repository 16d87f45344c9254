"""The paths of the archive, from its root. This module makes every one of them."""

from __future__ import annotations

import functools
import hashlib
import re
from datetime import date
from typing import Literal

from .audio.detection import ENDINGS

#: The ledger that the archive belongs to.
IDENTITY_PATH = "ledger.json"

#: The kind of an archive file, by its path.
Kind = Literal["identity", "entry", "manifest", "recordings", "zip", "metadata", "audio", "receipt"]

#: Kinds that the chain covers.
CHAINED: frozenset[Kind | None] = frozenset({"identity", "manifest", "metadata", "receipt"})

_DAY = "[0-9]{4}/[0-9]{2}/[0-9]{2}"
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("identity", re.compile(r"ledger\.json")),
    ("entry", re.compile(r"[^/]+/chain/[0-9]{8}\.json")),
    ("manifest", re.compile(rf"[^/]+/exports/{_DAY}/[^/]+/manifest\.json")),
    ("recordings", re.compile(rf"[^/]+/exports/{_DAY}/[^/]+/recordings\.jsonl")),
    ("zip", re.compile(rf"[^/]+/exports/{_DAY}/[^/]+/[^/]+\.[0-9a-f]{{16}}\.zip")),
    ("metadata", re.compile(rf"[^/]+/recordings/{_DAY}/[^/]+\.json")),
    ("audio", re.compile(rf"[^/]+/recordings/{_DAY}/[^/]+\.(?:{'|'.join(ENDINGS)})")),
    ("receipt", re.compile(r"[^/]+/certified-calls/[0-9]{4}/[0-9]{2}/[^/]+\.json")),
)

_FOLDERS = {"exports", "recordings", "certified-calls", "chain"}

_SAFE = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,100}")


def safe(provider_id: str) -> str:
    """Return a provider's id as one component of a path.

    An id that is not a harmless name loses the characters that are not harmless, and gets a part of
    its SHA-256, so that two ids never share a name.
    """
    if _SAFE.fullmatch(provider_id) and "~" not in provider_id:
        return provider_id
    digest = hashlib.sha256(provider_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    kept = re.sub(r"[^A-Za-z0-9_-]+", "-", provider_id)[:60].strip("-") or "id"
    return f"{kept}~{digest}"


def account_of(path: str) -> str:
    """Return the account that a path belongs to, or an empty text."""
    account, slash, _ = path.partition("/")
    return account if slash else ""


def is_of(account: str, path: str) -> bool:
    """Return whether a path from any source is in an account's folder and leads nowhere else."""
    parts = path.split("/")
    plain = path.isprintable() and "\\" not in path
    return plain and parts[0] == account and not {"", ".", ".."} & set(parts)


def is_among_files(path: str) -> bool:
    """Return whether a path is in a place for files of an archive only. Names that begin with a dot
    do not count: systems and programs leave them everywhere.
    """
    _, _, rest = path.partition("/")
    folder, _, name = rest.rpartition("/")
    return folder.partition("/")[0] in _FOLDERS and not name.startswith(".")


@functools.lru_cache(maxsize=4096)
def kind_of(path: str) -> Kind | None:
    """Return the kind of the file under a path, None for files that the archive does not know."""
    for kind, pattern in _KINDS:
        if pattern.fullmatch(path):
            return kind
    return None


def exports_folder(account: str, day: date) -> str:
    """Return the folder of all exports of a day."""
    return f"{account}/exports/{day:%Y/%m/%d}"


def export_folder(account: str, day: date, job_id: str) -> str:
    """Return the folder of one export; ``day`` is the first local day of its window."""
    return f"{exports_folder(account, day)}/{job_id}"


def part_path(folder: str, provider_job_id: str, sha256: str) -> str:
    """Return the path of a ZIP of an export. Its name is bound to its content."""
    return f"{folder}/{safe(provider_job_id)}.{sha256[:16]}.zip"


def recordings_path(folder: str) -> str:
    """Return the path of an export's list of recordings."""
    return f"{folder}/recordings.jsonl"


def manifest_path(folder: str) -> str:
    """Return the path of an export's manifest. If a manifest exists there, the export is
    archived.
    """
    return f"{folder}/manifest.json"


def recording_path(account: str, day: date, recording_id: str, extension: str) -> str:
    """Return the path of a recording fetched singly; ``day`` is the local day of its start."""
    return f"{account}/recordings/{day:%Y/%m/%d}/{safe(recording_id)}.{extension}"


def recording_json_path(account: str, day: date, recording_id: str) -> str:
    """Return the path of the metadata of a recording fetched singly."""
    return recording_path(account, day, recording_id, "json")


def metadata_path(audio_path: str) -> str:
    """Return the path of the metadata that belongs to a path of audio."""
    return audio_path.rpartition(".")[0] + ".json"


def is_beside(audio_path: str, metadata: str) -> bool:
    """Return whether a path of audio is the one that a path of metadata belongs to."""
    return kind_of(audio_path) == "audio" and metadata_path(audio_path) == metadata


def receipt_path(account: str, month: date, job_id: str, number: int) -> str:
    """Return the path of a receipt of a certified call, by the month (UTC) of its sending.

    The first receipt has no number. A later receipt reports the facts learned since, and replaces
    nothing.
    """
    later = f".{number}" if number > 1 else ""
    return f"{account}/certified-calls/{month:%Y/%m}/{job_id}{later}.json"


def chain_folder(account: str) -> str:
    """Return the folder of the entries of an account's chain."""
    return f"{account}/chain"


def chain_path(account: str, number: int) -> str:
    """Return the path of an entry of an account's chain; the first number is 1."""
    return f"{chain_folder(account)}/{number:08d}.json"
