"""The redacted arguments and results of tasks, as people see them.

People see the names of arguments, the account and the day, and a result without numbers.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from config.masking import mask, mask_field, mask_tree
from config.settings import settings

#: A caller may give an argument any name; a name that cannot be ours is not repeated.
_NAME = re.compile(r"[a-z][a-z_]{0,39}")


def shown_arguments(given: Mapping[Any, Any]) -> str:
    """Return the arguments' names: `{account: india, day: 2026-11-20, filters: ...}`.

    Only an account of this deployment and a day keep their values.
    """
    names = sorted({name if _is_name(name) else "..." for name in given})
    return "{" + ", ".join(_shown(name, given.get(name)) for name in names) + "}"


def shown_result(text: str) -> str:
    """Return a result, given as Python writes it, with masked texts; counts stay as they are."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return mask(text)
    return repr(mask_tree(value, _masked, key=mask_field))


def _masked(_name: str, value: Any) -> Any:
    return mask_field(value) if isinstance(value, str) else value


def known_account(value: object) -> bool:
    """Return whether the value is the alias of an account."""
    return isinstance(value, str) and value in settings().accounts


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _shown(name: str, value: object) -> str:
    if name == "...":
        return name
    harmless = (name == "account" and known_account(value)) or (name == "day" and is_day(value))
    return f"{name}: {value if harmless else '...'}"


def is_day(value: object) -> bool:
    """Return whether the value is a day, such as 2026-11-20."""
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
