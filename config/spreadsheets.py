"""Texts in CSV files, which a spreadsheet must not run as formulas."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def spreadsheet_text(text: str) -> str:
    """Return a text that every spreadsheet shows as it is, quoted if it would be a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
