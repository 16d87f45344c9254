"""Fingerprints of a configuration, by which processes find out in what they differ.

They travel through Redis, so they must not help anybody to guess a secret. A secret is compared
only if the deployment has passwords of its own (of Redis, of the ledger, of alerts) to key its
fingerprint with: nobody can try passwords of an account without knowing those, too. Every
fingerprint is short and holds for one question alone.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from functools import lru_cache

from pydantic import BaseModel, SecretStr

from . import sentinels
from .accounts import Account, keys
from .address_parts import split_address
from .settings import Settings
from .version import VERSION

#: Settings that may differ from host to host: places and sizes of that host, or another address of
#: the same server.
_OF_THE_HOST = {
    "accounts",
    "accounts_file",
    "archive_url",
    "hooks_bind",
    "ledger_url",
    "log_format",
    "metrics_bind",
    "redis_key_prefix",
    "redis_url",
    "report_dir",
    "secrets_dir",
    "spool_dir",
    "spool_reserve_bytes",
    "transfers_per_worker",
}
#: Hexadecimal digits.
_LENGTH = 6
_VERSION, _PASSWORDS = "version", "passwords"


def fingerprints(settings: Settings, salt: str) -> dict[str, str]:
    """Return a fingerprint of every setting and field that all workers must have in common.

    The names are ``EARWITNESS_LEASE_SECONDS``, ``accounts.india.base_url`` and so on. ``version``
    is the program's version in clear, ``passwords`` a fingerprint of what keys the secrets'.
    ``salt`` is new for every comparison.
    """
    passwords = _passwords(settings)
    key = _key(passwords, salt)
    found = {_VERSION: VERSION}
    if passwords:
        found[_PASSWORDS] = _fingerprint(key, _PASSWORDS, "")
    for name in sorted(Settings.model_fields.keys() - _OF_THE_HOST):
        value = getattr(settings, name)
        found |= _of_value(f"EARWITNESS_{name.upper()}", value, key, is_keyed=bool(passwords))
    for account in settings.accounts.values():
        found |= _of_fields(account, key, is_keyed=bool(passwords))
    return found


def of_account(settings: Settings, account: Account, salt: str) -> str | None:
    """Return one fingerprint of all fields of an account, secrets included; None without a password
    that keys it.

    The ledger keeps it. So the ledger's own password, which everybody who reads the ledger or a
    backup of it may know, does not count.
    """
    passwords = _passwords(settings, with_ledger=False)
    if not passwords:
        return None
    key = _key(passwords, salt)
    fields = sorted(_of_fields(account, key, is_keyed=True).items())
    return _fingerprint(key, account.alias, repr(fields))


def differences(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """Return the names that differ or are on one side only, with whole accounts by their alias.

    Secrets are left out where they were keyed with other passwords on the other side.
    """
    names = ours.keys() | theirs.keys()
    if ours.get(_PASSWORDS) != theirs.get(_PASSWORDS):
        return [f"{_PASSWORDS} of Redis, the ledger or alerts", *_one_sided(ours, theirs)]
    one_sided = _one_sided(ours, theirs)
    whole = tuple(f"accounts.{one.partition(' ')[2]}." for one in one_sided)
    return one_sided + [
        name
        for name in sorted(names)
        if ours.get(name) != theirs.get(name) and not name.startswith(whole)
    ]


def _one_sided(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    mine, others = aliases(ours), aliases(theirs)
    return [
        *(f"lacks {alias}" for alias in sorted(mine - others)),
        *(f"adds {alias}" for alias in sorted(others - mine)),
    ]


def aliases(found: dict[str, str]) -> set[str]:
    """Return the aliases of the accounts that the fingerprints are of."""
    return {name.split(".")[1] for name in found if name.startswith("accounts.")}


def _of_fields(account: Account, key: bytes, *, is_keyed: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in keys(type(account)):
        value = getattr(account, name)
        found |= _of_value(f"accounts.{account.alias}.{name}", value, key, is_keyed=is_keyed)
    return found


def _of_value(name: str, value: object, key: bytes, *, is_keyed: bool) -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):
        for inner in type(value).model_fields:
            yield from _of_value(f"{name}.{inner}", getattr(value, inner), key, is_keyed=is_keyed)
    elif isinstance(value, Mapping) and any(isinstance(one, BaseModel) for one in value.values()):
        yield name, _fingerprint(key, name, repr(sorted(value)))
        for named, inner in value.items():
            yield from _of_value(f"{name}.{named}", inner, key, is_keyed=is_keyed)
    elif not isinstance(value, SecretStr):
        yield name, _fingerprint(key, name, repr(value))
    elif is_keyed:
        yield name, _fingerprint(key, name, value.get_secret_value())


def _fingerprint(key: bytes, name: str, value: str) -> str:
    whole = f"{name}\0{value}".encode()
    return hmac.new(key, whole, hashlib.sha256).hexdigest()[:_LENGTH]


def _passwords(settings: Settings, *, with_ledger: bool = True) -> tuple[str, ...]:
    """Return the deployment's own passwords, none of which is an account's."""
    addresses = [settings.ledger_url] * with_ledger + [settings.redis_url]
    found = [split_address(one.get_secret_value()).password or "" for one in addresses]
    if password := sentinels.password(settings.redis_url.get_secret_value()):
        found.append(password)
    if settings.alert_secret is not None:
        found.append(settings.alert_secret.get_secret_value())
    return tuple(found) if any(found) else ()


@lru_cache(maxsize=4)
def _key(passwords: tuple[str, ...], salt: str) -> bytes:
    """Return a key that takes time and memory to try passwords against."""
    return hashlib.scrypt("\0".join(passwords).encode(), salt=salt.encode(), n=2**14, r=8, p=1)
