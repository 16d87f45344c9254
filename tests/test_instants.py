"""Dates of providers: read right or refused, never taken for another instant."""

from __future__ import annotations

from typing import Any

import pytest

from providers.instants import iso

HALF_PAST_TEN = "2026-11-10T10:30:00Z"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-11-10T10:30:00Z", HALF_PAST_TEN),
        ("2026-11-10t10:30:00z", HALF_PAST_TEN),
        ("2026-11-10T10:30:00+0000", HALF_PAST_TEN),
        ("2026-11-10T16:00:00+05:30", HALF_PAST_TEN),
        ("2026-11-10T16:00:00+0530", HALF_PAST_TEN),
        ("2026-11-10 05:30:00 -0500", HALF_PAST_TEN),
        ("2026-11-10T05:30:00-05", HALF_PAST_TEN),
        (" 2026-11-10 10:30:00 ", HALF_PAST_TEN),
        ("2026-11-10T10:30Z", HALF_PAST_TEN),
        ("20261110T103000Z", HALF_PAST_TEN),
        ("2026-11-10T10:30:00.5Z", "2026-11-10T10:30:00.500Z"),
        ("2026-11-10T10:30:00,123456789Z", "2026-11-10T10:30:00.123Z"),
        ("2026-11-10T24:00:00Z", "2026-11-11T00:00:00Z"),
        ("2026-12-31T24:00:00+05:30", "2026-12-31T18:30:00Z"),
    ],
)
def test_a_form_that_is_known_is_read_right(text: str, read: str) -> None:
    """With a T or a space, with any offset or none, with the end of a day as 24:00."""
    assert iso(text) == read


@pytest.mark.parametrize(
    "value",
    [
        "0000-00-00T00:00:00+0000",
        "0000-00-00 00:00:00",
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "20261110103000Z",
        "20261110103000",
        "1794306600",
        "1794306600000",
        "1794306600000000",
        1794306600,
        1794306600.5,
        True,
        None,
        {},
        ["2026-11-10T10:30:00Z"],
        "",
        "26-11-10T10:30:00Z",
        "10/11/2026 10:30:00",
        "11-10-2026 10:30:00",
        "2026/11/10 10:30:00",
        "2026-11-10 10:30:00 PM",
        "2026-11-10T10:30:00 UTC",
        "2026-11-10",
        "2026-11-10T10Z",
        "2026-11-10T10:30.5Z",
        "2026-W46-2T10:30:00Z",
        "2026-314T10:30:00Z",
        "2026-02-30T10:30:00Z",
        "2026-11-10T23:59:60Z",
        "2026-11-10T24:00:01Z",
        "2026-11-10T25:00:00Z",
        "2026-11-10T10:30:00+5:30",
        "2026-11-10T10:30:00+05:",
        "2026-11-10T10:30:00+05:60",
        "2026-11-10T10:30:00+15:00",
        "2026-11-10T10:30:00 0000",
        "2026-11-10T10:30:00Z+05:30",
        "\u0662\u0660\u0662\u0666-11-10T10:30:00Z",
        "2026-11-10T10:30:00Z\0",
    ],
)
def test_any_other_form_is_refused(value: Any) -> None:
    """Zero dates, seconds since 1970, digits in a row, other orders and other calendars."""
    assert iso(value) is None


def test_a_text_without_an_offset_can_be_refused() -> None:
    """Where a provider's clock may be in any zone, it names no instant."""
    assert iso("2026-11-10T10:30:00", without_offset=None) is None
    assert iso("2026-11-10T10:30:00Z", without_offset=None) == HALF_PAST_TEN
