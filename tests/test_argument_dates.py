"""Instants and days that callers give: text in ISO 8601, never a number that is one in disguise."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from tasks.runtime.fields import Day, Instant

NUMBERS = [
    1794306600,
    1794306600.5,
    True,
    "1794306600",
    "1794306600000",
    "20261110103000",
    " 20261110 ",
    "-1",
    "1794268800",
    "1794268800.0",
]


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize("kind", [Instant, Day])
def test_a_number_is_no_date(kind: object, value: object) -> None:
    """20261110103000 is half past ten to a person, and the year 2612 to a program."""
    with pytest.raises(ValidationError, match=r"must be a (time with an offset,|day) such as"):
        TypeAdapter(kind).validate_python(value)


def test_a_date_is_one() -> None:
    """In the form that the page shows."""
    assert str(TypeAdapter(Day).validate_python("2026-11-10")) == "2026-11-10"
    read = TypeAdapter(Instant).validate_python("2026-11-10T10:30:00+05:30")
    assert read.isoformat() == "2026-11-10T10:30:00+05:30"
