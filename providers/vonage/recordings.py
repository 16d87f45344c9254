"""Entries of Vonage's list of recordings: an odd field loses that field, never the list."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b32encode
from collections.abc import Iterable, Mapping
from typing import Any

from config.masking import hide_secrets
from providers.instants import instant, iso
from providers.recordings import Recording

_TEXTS = ("call_id", "caller_id", "dnis", "cnam", "file_name")
_LISTS = ("extensions", "rule_ids")
_NUMBERS = ("duration", "file_size_in_bytes")
#: The fields that distinguish recordings and stay the same in every listing.
_TELLING = ("file_name", "start", "call_id", "duration")
#: Names of our own fields; a field of the provider's must not be taken for one of them.
_OURS = ("set_aside", "unreadable")
#: The largest number of bytes, milliseconds or pages that SQLite can store.
_MOST = 2**63 - 1
#: A float represents no larger number exactly.
_EXACT = 2**53
_LONGEST_ID = 200
_WHOLE = re.compile(r"\s*([0-9]{1,19})(?:\.0+)?\s*")


def sorted_out(listed: Iterable[object]) -> tuple[list[Recording], list[Recording]]:
    """Return the recordings of a page, and the entries that are set aside.

    Each entry that is set aside has an ``id`` of its own and gives the reason under ``set_aside``:
    it is not an object, its id or its start cannot be read, or another recording of the page
    has its id.
    """
    recordings: list[dict[str, Any]] = []
    set_aside: list[dict[str, Any]] = []
    taken: dict[str, dict[str, Any]] = {}
    for raw in listed:
        found = _entry(raw)
        if "set_aside" in found:
            set_aside.append(found)
        elif _is_another(found, taken.setdefault(found["id"], found)):
            why = f"its id {hide_secrets(found['id'])} is also that of another recording"
            set_aside.append({**found, "id": another_id(found["id"], raw), "set_aside": why})
        else:
            recordings.append(found)
    for found in set_aside:
        name, number = found["id"], 1
        while taken.setdefault(found["id"], found) is not found:
            number += 1
            found["id"] = f"{name}-{number}"
    return [*map(_recording, recordings)], [*map(_recording, set_aside)]


def recording(raw: object) -> Recording:
    """Return a recording from an entry of the list or from a single answer."""
    return _recording(_entry(raw))


def _recording(entry: Mapping[str, Any]) -> Recording:
    texts = {name: value for name in _TEXTS if isinstance(value := entry.get(name), str)}
    return Recording(
        id=entry["id"],
        start=instant(entry["start"]),
        duration_ms=entry.get("duration"),
        call_id=texts.get("call_id"),
        caller=texts.get("caller_id"),
        callee=texts.get("dnis"),
        size_bytes=entry.get("file_size_in_bytes"),
        file_name=texts.get("file_name"),
        raw=entry,
        set_aside=entry.get("set_aside"),
    )


def _entry(raw: object) -> dict[str, Any]:
    """Return a recording's entry: every field of the vendor's, ids as text, instants as ISO 8601 in
    UTC.

    Ids and numbers may be numbers or text, and all fields but id and start may be null. Unreadable
    values are not interpreted: a text, a list or ``end`` stays as sent, a number becomes None with
    its raw value under ``unreadable``. Without a readable id or start ``set_aside`` gives the
    reason; the id is then a name made of the entry's other fields, and the start is None.
    """
    if not isinstance(raw, Mapping):
        return {**_nameless(raw, "it is no recording"), "listed": raw}
    found = {key: value for key, value in raw.items() if key not in _OURS}
    found.update({key: _text(raw[key]) for key in _TEXTS if key in raw})
    found.update({key: _texts(raw[key]) for key in _LISTS if key in raw})
    numbers = {key: whole(raw[key]) for key in _NUMBERS if key in raw}
    unread = {key: raw[key] for key, number in numbers.items() if number is None}
    found.update(numbers)
    if raw.get("end") is not None:
        found["end"] = iso(raw["end"]) or raw["end"]
    found["start"] = iso(raw.get("start"))
    if found["start"] is None:
        found["set_aside"] = "its start cannot be read"
        unread["start"] = raw.get("start")
    name = identifier(raw.get("id"))
    if name is None:
        unread["id"] = raw.get("id")
        found.update(_nameless(raw, "it has no id that can be read"), start=found["start"])
    else:
        found["id"] = name
    unread = {key: value for key, value in unread.items() if value is not None}
    return {**found, "unreadable": unread} if unread else found


def identifier(value: object) -> str | None:
    """Return an id that can be requested and stored; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float) and not abs(value) < _EXACT:
        return None
    name = str(_text(value)).strip()
    is_id = name.isprintable() and "\ufffd" not in name and len(name) <= _LONGEST_ID
    return name if name and is_id else None


def whole(value: object) -> int | None:
    """Return a count, a size or a duration from a number or text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        written = _WHOLE.fullmatch(value)
        value = int(written[1]) if written else -1
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if 0 <= value <= _MOST else None


def _nameless(raw: object, why: str) -> dict[str, Any]:
    return {"id": f"unreadable-{_digest(raw)}", "start": None, "set_aside": why}


def _digest(raw: object) -> str:
    """Return a digest that is the same for the same entry in every listing."""
    telling = {key: raw[key] for key in _TELLING if key in raw} if isinstance(raw, Mapping) else {}
    data = json.dumps(telling or raw, sort_keys=True).encode()
    return b32encode(hashlib.sha256(data).digest())[:10].decode().lower()


def another_id(name: str, raw: object) -> str:
    """Return an id for the second recording whose id is ``name``: the same in every look."""
    return f"{name}-{_digest(raw)}"


def likeness(entry: Mapping[str, Any]) -> int:
    """Return a number that two entries of one recording share, in this process."""
    return hash(repr([entry.get(key) for key in ("start", "file_name", "call_id")]))


def _is_another(found: Mapping[str, Any], first: Mapping[str, Any]) -> bool:
    return any(found.get(key) != first.get(key) for key in ("start", "file_name", "call_id"))


def _text(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_text = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value) if is_text else value


def _texts(value: object) -> object:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return value
    items = value if isinstance(value, list) else [value]
    return [text for item in items if (text := _text(item)) is not None]
