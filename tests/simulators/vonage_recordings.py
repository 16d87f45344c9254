"""Recordings as the vendor lists them: made up, searched and put in order."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from .audio import Audio, invented

DIRECTIONS = ("INBOUND", "OUTBOUND", "INTRA_PBX")
NAMES = ("ASHA RAO", "JOHN SMITH", "MEERA IYER", "", "ANA GARCIA", "VIKRAM SHAH")
FIRST_NUMBER = 193228
NUMBERS = itertools.count(FIRST_NUMBER)
FILTERS = (
    "call_direction",
    "call_id",
    "caller_id",
    "cnam",
    "dnis",
    "duration:gte",
    "duration:lte",
    "extension",
    "start:gte",
    "start:lte",
)
_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)")


class InvalidParameter(ValueError):
    """A parameter of a request that the provider refuses."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason


@dataclass
class Recording:
    """One recording: the company's, or one that the user `user_id` made on demand. `withheld` is
    None, "zip", "everywhere" or "list" (not listed either); `listed` are fields that are listed
    with other values than they have.
    """

    id: int
    start: datetime
    duration: int
    call_id: str
    call_direction: str
    caller_id: int | None
    cnam: str | None
    dnis: str | None
    extensions: list[int]
    rule_ids: list[int]
    file_name: str
    audio: Audio
    user_id: str | None = None
    withheld: str | None = None
    listed: dict[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> datetime:
        return self.start + timedelta(milliseconds=self.duration)

    def value(self, name: str) -> Any:
        """The field's value for sorting."""
        return self.audio.size if name == "file_size_in_bytes" else getattr(self, name)


def imagine(fields: Mapping[str, Any], customer: str) -> Recording:
    """A recording with the fields given (vendor's names, `start` required, `size_bytes`, `listed`,
    `user_id`) and the others made up; the same id gives the same ones.
    """
    given = dict(fields)
    start = given.pop("start")
    start = read_date("start", start) if isinstance(start, str) else start.astimezone(UTC)
    number = int(given.pop("id", None) or next(NUMBERS))
    size = given.pop("size_bytes", None)
    chance = random.Random(number)
    audio = invented(number, size)
    known = {**_made_up(number, chance), "duration": audio.milliseconds}
    if given.get("user_id") is not None:
        known["rule_ids"] = []  # the user began it, no rule did
    known |= given
    recording = Recording(id=number, start=start, audio=audio, **known)
    recording.file_name = recording.file_name or _file_name(recording, customer)
    return recording


def _made_up(number: int, chance: random.Random) -> dict[str, Any]:
    area = chance.randrange(201, 990)
    return {
        "call_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "call_direction": DIRECTIONS[number % len(DIRECTIONS)],
        "caller_id": int(f"1{area}55501{chance.randrange(100):02}"),
        "cnam": chance.choice(NAMES),
        "dnis": f"173255501{chance.randrange(100):02}",
        "extensions": [chance.randrange(100, 1000)],
        "rule_ids": sorted(chance.sample(range(100, 3000), chance.randrange(1, 4))),
        "file_name": "",
    }


def _file_name(recording: Recording, customer: str) -> str:
    began = int(recording.start.timestamp() * 1000) + recording.id % 1000
    ended = int(recording.end.timestamp() * 1000) + recording.id % 1000
    digest = hashlib.md5(str(recording.id).encode(), usedforsecurity=False).hexdigest()
    return f"{customer}.1182646511{began}.{digest}.{ended}.mp3"


def day_starts(day: date, timezone: str, count: int) -> Iterator[datetime]:
    """Moments spread over a local day, its first and its last second among them."""
    zone = ZoneInfo(timezone)
    begin = datetime.combine(day, time(), zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
    last = (end - begin).total_seconds() - 1
    for index in range(count):
        share = index / (count - 1) if count > 1 else 0.5
        yield begin + timedelta(seconds=int(last * share))


def read_date(name: str, text: str) -> datetime:
    """A date of the vendor's: offset as Z, +0000 or +00:00. A `+` that was sent unencoded has
    become a space and is refused.
    """
    found = _DATE.fullmatch(str(text))
    if found is None:
        raise InvalidParameter(name, "must have the form yyyy-MM-ddTHH:mm:ssZ")
    try:
        return datetime.fromisoformat(found[1] + found[2].replace("Z", "+00:00")).astimezone(UTC)
    except ValueError as error:
        raise InvalidParameter(name, "is not a date") from error


def _whole(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise InvalidParameter(name, "must be an integer") from error


@dataclass(frozen=True)
class Search:
    """The vendor's filters, read, for the company's recordings or the on-demand ones of a user.
    Equal searches find the same recordings.
    """

    user_id: str | None
    exact: tuple[tuple[str, str], ...]
    duration: tuple[int | None, int | None]
    start: tuple[datetime | None, datetime | None]

    @classmethod
    def read(cls, filters: Mapping[str, Any], user_id: str | None = None) -> Search:
        """Raises InvalidParameter; parameters that are no filters are left alone."""
        known = {n: v for n, v in filters.items() if n in FILTERS and v is not None}
        if known.get("call_direction", DIRECTIONS[0]) not in DIRECTIONS:
            raise InvalidParameter("call_direction", f"must be one of {', '.join(DIRECTIONS)}")
        exact = tuple((n, str(v)) for n, v in sorted(known.items()) if ":" not in n)
        lengths = [f"duration:{b}" for b in ("gte", "lte")]
        starts = [f"start:{b}" for b in ("gte", "lte")]
        least, most = (_whole(n, known[n]) if n in known else None for n in lengths)
        first, last = (read_date(n, known[n]) if n in known else None for n in starts)
        return cls(user_id, exact, (least, most), (first, last))

    def finds(self, recording: Recording) -> bool:
        return (
            recording.withheld != "list"
            and recording.user_id == self.user_id
            and _within(recording.start, *self.start)
            and _within(recording.duration, *self.duration)
            and all(_matches(recording, name, value) for name, value in self.exact)
        )


def _within(value: Any, least: Any, most: Any) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _matches(recording: Recording, name: str, wanted: str) -> bool:
    if name == "extension":
        return wanted in map(str, recording.extensions)
    value = getattr(recording, name)
    return value is not None and str(value) == wanted


SORTABLE = (
    "start",
    "end",
    "duration",
    "id",
    "call_id",
    "call_direction",
    "caller_id",
    "cnam",
    "dnis",
    "file_name",
    "file_size_in_bytes",
)


@dataclass(frozen=True)
class Order:
    """`field:DIR`, or a bare direction for `start`; ties by id."""

    field: str
    descending: bool

    @classmethod
    def read(cls, text: str) -> Order:
        field, _, direction = text.rpartition(":")
        field = field or "start"
        if field not in SORTABLE or direction.upper() not in ("ASC", "DESC"):
            raise InvalidParameter("order", "must be field:ASC or field:DESC")
        return cls(field, direction.upper() == "DESC")

    def sort(self, recordings: list[Recording]) -> list[Recording]:
        def key(recording: Recording) -> tuple[Any, ...]:
            value = recording.value(self.field)
            return (value is not None, value, recording.id)

        return sorted(recordings, key=key, reverse=self.descending)
