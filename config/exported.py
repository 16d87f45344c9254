"""The configuration as text without secrets, for a backup."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from . import sentinels
from .address_parts import split_address
from .settings import Settings
from .sources import AccountsFile, Environment

_ADDRESSES = ("ledger_url", "redis_url")
_LEFT_OUT = "left out of this backup"


def exported_settings(settings: Settings) -> str:
    """Return the settings that are not the defaults as lines of `.env`, without secrets.

    Of an address with a password only the password is left out.
    """
    lines = ["# The settings, without secrets: complete the lines that begin with #."]
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if name in ("accounts", "webhooks") or value is None or value == field.default:
            continue
        variable = f"EARWITNESS_{name.upper()}"
        if name in _ADDRESSES:
            lines += _address(variable, value.get_secret_value())
        elif isinstance(value, SecretStr):
            lines.append(f"# {variable}={_LEFT_OUT}")
        else:
            lines.append(f"{variable}={value}")
    lines += [f"# {variable}={_LEFT_OUT}" for variable in _webhook_secrets(settings)]
    return "\n".join([*lines, ""])


def exported_accounts(settings: Settings, env_file: Path) -> str:
    """Return the accounts as an accounts file, without secrets.

    The values are those of the accounts file, of `.env` and of the environment, as written there.
    """
    written = _written(settings, env_file)
    lines = ["# The accounts, without secrets: complete the lines that begin with #.", ""]
    for alias, account in settings.accounts.items():
        lines += [*_table(f"accounts.{alias}", written.get(alias, {}), account), ""]
    return "\n".join(lines)


def secrets_left_out(settings: Settings) -> list[str]:
    """Return the names of the settings and fields that a backup lacks."""
    names = [f"EARWITNESS_{name.upper()}" for name in ("alert_url", "alert_secret")]
    found = [name for name in names if getattr(settings, name[11:].lower()) is not None]
    found += [
        f"the password in EARWITNESS_{name.upper()}"
        for name in _ADDRESSES
        if _has_password(getattr(settings, name).get_secret_value())
    ]
    found += _webhook_secrets(settings)
    for alias, account in settings.accounts.items():
        found += [f"accounts.{alias}.{name}" for name in _secret_fields(account)]
    return found


def _webhook_secrets(settings: Settings) -> list[str]:
    return [
        f"EARWITNESS_WEBHOOKS__{name.upper()}__{field.upper()}"
        for name, webhook in settings.webhooks.items()
        for field in type(webhook).model_fields
    ]


def _address(variable: str, url: str) -> list[str]:
    if not _has_password(url):
        return [f"{variable}={url}"]
    parts = split_address(sentinels.without_password(url) if sentinels.is_sentinel(url) else url)
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    return [
        f"# the password of {variable} is {_LEFT_OUT}",
        f"# {variable}={parts._replace(netloc=f'{user}{host}').geturl()}",
    ]


def _has_password(url: str) -> bool:
    return split_address(url).password is not None or sentinels.password(url) is not None


def _written(settings: Settings, env_file: Path) -> dict[str, dict[str, Any]]:
    """Return the accounts' tables as they were written, before they were read as accounts."""
    source = AccountsFile(Settings)
    source._set_current_state({"accounts_file": settings.accounts_file})  # noqa: SLF001 - pydantic-settings offers no other way
    tables: dict[str, dict[str, Any]] = source()["accounts"]
    for alias, table in Environment(Settings, env_file)().get("accounts", {}).items():
        tables[alias] = _merged(tables.get(alias, {}), table)
    return tables


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        inner = merged.get(name)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            merged[name] = _merged(inner, value)
        else:
            merged[name] = value
    return merged


def _secret_fields(account: BaseModel) -> Iterator[str]:
    for name in type(account).model_fields:
        if isinstance(getattr(account, name), SecretStr):
            yield name


def _table(name: str, written: Mapping[str, Any], account: BaseModel) -> Iterator[str]:
    secret = set(_secret_fields(account))
    yield f"[{name}]"
    for key, value in written.items():
        if key in secret:
            yield f"# {key} is {_LEFT_OUT}"
        elif not isinstance(getattr(account, key, None), BaseModel):
            yield f"{_key(key)} = {_toml(value)}"
    for key, value in written.items():
        inner = getattr(account, key, None)
        if isinstance(inner, BaseModel):
            yield ""
            yield from _table(f"{name}.{key}", value, inner)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool | int | float | str):
        return json.dumps(value)
    return value.isoformat() if hasattr(value, "isoformat") else json.dumps(str(value))


def _key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() else json.dumps(key)
