"""Types of the fields of settings and accounts, with plain error messages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    SecretStr,
    StringConstraints,
)

Key = TypeVar("Key")
Value = TypeVar("Value")

_RATE = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour)")
_HOST = re.compile(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]|[0-9a-f]*:[0-9a-f:.]*:[0-9a-f.]*")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` requests in any `seconds` seconds."""

    count: int
    seconds: float


class FrozenTable(BaseModel):
    """A table of `accounts.toml`: immutable, without unknown keys, and errors quote no value."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


def _rate(value: object) -> object:
    if value is None or isinstance(value, Rate):
        return value
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('is not a rate; write it like "5/second", "30/minute" or "1000/hour"')
    return Rate(int(match[1]), _SECONDS[match[2]])


def _not_empty(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError("is empty; give the secret")
    return secret


def _printable_ascii(secret: SecretStr) -> SecretStr:
    """Refuse a token that cannot be sent in a header: httpx's error would quote the whole token."""
    token = secret.get_secret_value()
    if not (token.isascii() and token.isprintable()) or token != token.strip():
        raise ValueError(
            "contains characters that a token cannot have; give it as the portal shows it"
        )
    return secret


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a name; the name of a folder of zones
        raise ValueError(
            f'"{name}" is not a time zone; give an IANA name such as "Europe/Madrid"'
        ) from None
    return name


def _web_address(url: str) -> str:
    """Normalise a web address, so that equal addresses compare equal.

    Scheme and host become lower case; the default port and a trailing slash are removed.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", url):
        raise ValueError("is not a web address; write it like https://pbx.example.com")
    if "@" in parts.netloc:
        raise ValueError("contains a user name or password; use the fields for those")
    if parts.query or parts.fragment:
        raise ValueError('has a part after "?" or "#"; remove that part')
    netloc = parts.netloc.lower().removesuffix(_DEFAULT_PORTS[parts.scheme])
    return parts._replace(netloc=netloc).geturl().rstrip("/")


def _host_name(value: str) -> str:
    """Normalise a host name, which is compared with the host of a normalised address."""
    host = value.lower()
    if not _HOST.fullmatch(host):
        raise ValueError(
            'is not a host; write it like "files.example.com", "192.0.2.7" or "[2001:db8::7]", '
            "without http:// or a port, and names in other scripts as xn--..."
        )
    return host


def _secret_address(secret: SecretStr) -> SecretStr:
    """Normalise a web address that is itself a secret, as chat webhooks are; keep its query."""
    address, mark, query = secret.get_secret_value().partition("?")
    if "#" in query or re.search(r"\s", query):
        raise ValueError('is not a web address: it contains a space or "#"')
    return SecretStr(f"{_web_address(address)}{mark}{query}")


def _bind_address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("is not an address to listen on; write it like 127.0.0.1:8765")
    return value


def _split(value: object) -> object:
    """Read a list from an environment variable: JSON, or values separated by commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return _json(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _json(value: object) -> object:
    """Read a table from an environment variable: JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError(
            'is not JSON; write it like ["ES", "PT"] or {"extension": "1001"}'
        ) from None


def _frozen(value: Mapping[Key, Value]) -> Mapping[Key, Value]:
    return MappingProxyType(dict(value))


def _thawed(value: Mapping[Key, Value]) -> dict[Key, Value]:
    return dict(value)


Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Secret = Annotated[SecretStr, AfterValidator(_not_empty)]
Token = Annotated[Secret, AfterValidator(_printable_ascii)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
HostName = Annotated[Text, AfterValidator(_host_name)]
SecretAddress = Annotated[SecretStr, AfterValidator(_secret_address)]
BindAddress = Annotated[str, AfterValidator(_bind_address)]
RateLimit = Annotated[Rate | None, BeforeValidator(_rate)]
Several = BeforeValidator(_split)
Table = BeforeValidator(_json)
#: Annotate a Mapping with both, to make it immutable and still serialisable.
FROZEN = AfterValidator(_frozen)
THAWED = PlainSerializer(_thawed)
