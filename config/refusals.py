"""Pydantic's errors as sentences that name the field and the remedy, and quote no value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from .accounts import keys, models
from .errors import ConfigurationError
from .nightly import Nightly
from .sources import PREFIX
from .webhooks import Webhook

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Advice for keys that accounts of earlier versions do not have.
_WHAT_TO_GIVE = {
    "countries": 'the countries that certified calls may go to, such as ["ES", "PT"]; each call '
    "costs money, and calls to other countries are refused"
}

_Location = tuple[str | int, ...]


def refusal(error: ValidationError) -> ConfigurationError:
    """Return an error with one line for each fault."""
    found = error.errors(include_url=False, include_input=False)
    return ConfigurationError("\n".join(_line(one["loc"], one) for one in found))


def _line(location: _Location, found: Mapping[str, Any]) -> str:
    name, place = _name(location), _place(location)
    match found["type"]:
        case "missing":
            if wanted := _WHAT_TO_GIVE.get(str(location[-1])):
                return f"{name} is missing: give {wanted} ({place})"
            return f"{name} is missing: give it {place}"
        case "extra_forbidden":
            known = _listed(_keys(location))
            return f"{name} is not a known key: correct or remove it. The keys are {known}"
        case "union_tag_not_found":
            known = _listed(models())
            return f"{name}.provider is missing: is the alias right? The providers are {known}"
        case "union_tag_invalid":
            return f"{name}.provider is not a known provider: the providers are {_listed(models())}"
        case "value_error":
            return f"{name} {found['ctx']['error']} ({place})"
    return f"{name} is wrong: {found['msg'][:1].lower()}{found['msg'][1:]} ({place})"


def _name(location: _Location) -> str:
    if location[0] == "webhooks":
        return f"{PREFIX}{'__'.join(map(str, location))}".upper()
    if location[0] != "accounts":
        return f"{PREFIX}{location[0]}".upper()
    return ".".join(map(str, _without_provider(location)))


def _place(location: _Location) -> str:
    if location[0] != "accounts":
        return "in the environment or .env"
    steps = [step for step in _without_provider(location) if isinstance(step, str)]
    if len(steps) < 3:
        return "in accounts.toml"
    return f"in accounts.toml or as {PREFIX}{'__'.join(map(str, steps)).upper()}"


def _without_provider(location: _Location) -> _Location:
    """Remove the provider, which pydantic inserts after the alias."""
    return location[:2] + location[3:]


def _keys(location: _Location) -> Iterable[str]:
    if location[0] == "webhooks":
        return Webhook.model_fields
    if "nightly" in location[:-1]:
        return Nightly.model_fields
    return keys(models()[str(location[2])])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
