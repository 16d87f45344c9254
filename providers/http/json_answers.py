"""JSON as providers really send it: an odd value loses that value, not the answer."""

from __future__ import annotations

import json
import math
from typing import Any

from providers.errors import Uncertain

from .text import decoded

#: Python refuses to read numbers of thousands of digits; such a number stays text.
_LONGEST_NUMBER = 1000
_AROUND = "\ufeff\0 \t\r\n"


def parsed(body: bytes) -> Any:
    """Return the value of an answer's JSON. Raises ValueError if the body is not JSON.

    Text may be in any encoding (`text.decoded`) and hold control characters. NaN, Infinity and
    numbers beyond a float, which are not JSON, become None.
    """
    try:
        return json.loads(
            decoded(body).text.strip(_AROUND),
            strict=False,
            parse_constant=lambda _: None,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def json_object(body: bytes, provider: str, what: str) -> dict[str, Any]:
    """Return the JSON object in an answer to ``what``. Raises Uncertain for anything else."""
    try:
        content = parsed(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Uncertain(provider, f"{what}: the answer could not be read as a JSON object")
    return content


def _finite(text: str) -> float | None:
    return number if math.isfinite(number := float(text)) else None


def _whole(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_NUMBER else text
