"""Messages about wrong arguments of a task.

The client library uses the same sentences (client/src/earwitness_client/arguments.py), so that
every producer reads the same.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from config.masking import mask_message

#: Sentences that depend on the argument's name.
BY_NAME = {
    "account": "must be an account's alias: lower-case letters, digits and single _",
    "request_id": "must be 1 to 128 characters of A-Z, a-z, 0-9 and . _ : -",
    "country": "must be a two-letter country code, such as IN",
    "phone": "must be a telephone number as text, such as +<country><number>",
    "order": 'must be a field and a direction, such as "start:DESC"',
    "outcome": 'must be "placed" or "not_placed"',
    "notify": 'must be a mapping such as {"task": "...", "queue": "..."}',
    "filters": 'must be a mapping such as {"start:gte": "2026-11-20T00:00:00Z"}',
}
#: The sentence about an id that the ledger has to hold.
ID = "must be text of 1 to 200 characters"
_DAY = "must be a day such as 2026-11-20"
_TIME = "must be a time such as 2026-11-20T00:00:00Z"
_TIME_WITH_OFFSET = "must be a time with an offset, such as 2026-11-20T00:00:00Z"
_MOST_LETTERS = 60
#: Characters of a name beyond this are neither searched for secrets nor shown.
_MOST_READ = 4096

Fault = Mapping[str, Any]


def first_fault(model: type[BaseModel], error: ValidationError) -> str:
    """Return the first wrong argument and what is wrong with it.

    An argument that looks like a misspelt name comes first, since the other faults may only follow
    from it.
    """
    faults = error.errors(include_input=False, include_url=False)
    misspelt = [one for one in faults if _is_unknown(one) and _closest_name(model, one) is not None]
    fault = (misspelt or faults)[0]
    if _is_unknown(fault):
        return _unknown(model, fault)
    sentence = validator_message(fault) or _sentence(fault, _schema(model, fault["loc"]))
    return ": ".join([".".join(map(str, fault["loc"])), sentence] if fault["loc"] else [sentence])


def _is_unknown(fault: Fault) -> bool:
    return bool(fault["type"] == "extra_forbidden")


def _unknown(model: type[BaseModel], fault: Fault) -> str:
    *within, name = fault["loc"]
    shown = f"{mask_message(str(name)[:_MOST_READ])[:_MOST_LETTERS]!r}"
    closest = _closest_name(model, fault)
    hint = f": did you mean {closest!r}?" if closest else ""
    if within:
        return f"{'.'.join(map(str, within))}: has no field {shown}{hint}"
    return f"{shown[1:-1]}: is not an argument of this task{hint}" + (
        "" if closest else f"; the arguments are {', '.join(_names(model, within))}"
    )


def _closest_name(model: type[BaseModel], fault: Fault) -> str | None:
    *within, name = fault["loc"]
    names = _names(model, within)
    close = get_close_matches(str(name)[:_MOST_LETTERS].lower(), names, n=1)
    return close[0] if close else None


def _names(model: type[BaseModel], within: Sequence[Any]) -> list[str]:
    return list(_schema(model, within).get("properties", {}))


def validator_message(fault: Fault) -> str | None:
    """Return the message of one of our own validators, or None."""
    if fault["type"] != "value_error":
        return None
    return str(fault["msg"]).removeprefix("Value error, ")


def _sentence(fault: Fault, schema: Mapping[str, Any]) -> str:
    if fault["type"] == "missing":
        return "is missing"
    name = fault["loc"][-1] if fault["loc"] else ""
    if name in BY_NAME:
        return BY_NAME[str(name)]
    return _of_its_type(fault, schema)


def _of_its_type(fault: Fault, schema: Mapping[str, Any]) -> str:
    sentence = f"cannot be understood ({fault['type']})"
    match schema:
        case {"format": "date"}:
            sentence = _DAY
        case {"format": "date-time"}:
            sentence = _TIME_WITH_OFFSET if fault["type"] == "timezone_aware" else _TIME
        case {"enum": [*words]}:
            sentence = f"must be one of {', '.join(map(str, words))}"
        case {"type": "integer"}:
            sentence = _whole(fault, schema)
        case {"type": "boolean"}:
            sentence = "must be True or False"
        case {"type": "string"}:
            most = schema.get("maxLength")
            sentence = f"must be text of 1 to {most} characters" if most else "must be text"
    return sentence


def _whole(fault: Fault, schema: Mapping[str, Any]) -> str:
    if fault["type"] not in ("greater_than_equal", "less_than_equal"):
        return "must be a whole number"
    least, most = schema.get("minimum"), schema.get("maximum")
    return f"must be at least {least}" if most is None else f"must be {least} to {most}"


def _schema(model: type[BaseModel], path: Sequence[Any]) -> Mapping[str, Any]:
    """Return what the catalogue says of an argument, or of a field within it."""
    whole = model.model_json_schema(by_alias=True)
    found: Mapping[str, Any] = whole
    for name in path:
        found = _resolved(found.get("properties", {}).get(name, {}), whole)
    return found


def _resolved(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema without null among its alternatives, and with its reference resolved.

    Several alternatives are objects: the first one, with the properties of all.
    """
    found = [_resolved(one, whole) for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if found:
        properties = [one["properties"] for one in found if "properties" in one]
        return {**found[0], "properties": dict(ChainMap(*properties))} if properties else found[0]
    if "$ref" in schema:
        resolved: Mapping[str, Any] = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        return resolved
    return schema
