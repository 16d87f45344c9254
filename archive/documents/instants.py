"""Points in time as the archive's documents write them: ISO 8601 texts with an offset."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, TypeAdapter

_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_AWARE: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def instant(value: object) -> datetime:
    """Return the point in time that a document names.

    Raises ValueError for other values, and for a year so far away that days around it cannot be
    counted.
    """
    moment = _AWARE.validate_python(value)
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"no recording can be from the year {moment.year}")
    return moment


def _as_text(value: object) -> str:
    moment = instant(value)
    return value if isinstance(value, str) else moment.isoformat()


#: A text that `instant` understands.
Instant = Annotated[str, BeforeValidator(_as_text)]
