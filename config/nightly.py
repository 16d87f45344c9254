"""The nights of an account: when and what is exported by itself."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from .fields import FROZEN, THAWED, FrozenTable, Table, TimeZone

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def _time_of_day(value: object) -> object:
    """`02:30` in quotes, or TOML's own 02:30:00."""
    if isinstance(value, dt.time) and value.tzinfo is None:
        return value
    if not (isinstance(value, str) and _TIME.fullmatch(value)):
        raise ValueError('is not a time of day; write it like "02:30"')
    return dt.time.fromisoformat(value)


def _filters(value: object) -> object:
    for key, wanted in value.items() if isinstance(value, Mapping) else ():
        if isinstance(wanted, bool) or not isinstance(wanted, str | int) or wanted == "":
            raise ValueError(f'"{key}" must be text or a whole number')
    return value


class Nightly(FrozenTable):
    """When and what an account exports by itself. A provider that knows its filters by name
    inherits from this model and refuses others.
    """

    at: Annotated[dt.time, BeforeValidator(_time_of_day)] = dt.time(2, 30)
    timezone: TimeZone
    settle_minutes: int = Field(120, ge=0)
    filters: Annotated[
        Mapping[str, str | int], FROZEN, THAWED, BeforeValidator(_filters), Table
    ] = Field(default={}, validate_default=True)
    catchup_days: int = Field(7, ge=0)
    delete_after_days: int = Field(0, ge=0)
