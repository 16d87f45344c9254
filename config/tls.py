"""TLS options of Redis' address, with one meaning for redis-py, kombu, Celery and Flower.

Without this module they differ. For an address without ``ssl_cert_reqs``, redis-py checks the
certificate, while kombu 5.7 warns and accepts any. Celery's backend accepts values that redis-py
does not. Flower ignores the address' options.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlunsplit

from .address_parts import split_address

_REQUIRED = "required"
_CHECKS = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}
_SWITCH = {"true", "false"}
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_KNOWN = {"ssl_cert_reqs", "ssl_check_hostname", *_FILES}


def complete_address(url: str, root: Path) -> str:
    """Return an address over TLS with explicit TLS options that all libraries understand.

    The certificate is checked unless the address has ``ssl_cert_reqs=none``; paths of files become
    absolute. Raises ValueError for an unknown or wrong option, or a missing file.
    """
    parts = split_address(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(name for name in query if name.startswith("ssl_") and name not in _KNOWN)
    if unknown:
        raise ValueError(
            f"has an unknown option {unknown[0]}; the options are {', '.join(sorted(_KNOWN))}"
        )
    query["ssl_cert_reqs"] = _check(query.get("ssl_cert_reqs", _REQUIRED))
    if "ssl_check_hostname" in query:
        query["ssl_check_hostname"] = _switch(query["ssl_check_hostname"])
    for name in _FILES:
        if name in query:
            query[name] = _file(name, query[name], root)
    return urlunsplit(parts._replace(query=urlencode(query, safe="/")))


def refuse_options_without_tls(url: str, scheme: str = "rediss://") -> None:
    """Raise ValueError if an address without TLS has TLS options, which would have no effect.

    ``scheme`` is what an address over TLS begins with.
    """
    named = [name for name, _ in parse_qsl(split_address(url).query) if name.startswith("ssl_")]
    if named:
        raise ValueError(f"has {named[0]} without TLS; write {scheme} for it")


def options(url: str) -> dict[str, Any] | None:
    """Return the TLS options for Celery's ``broker_use_ssl``, None without TLS.

    Flower reads no other source.
    """
    if not url.startswith(("rediss://", "sentinels://")):
        return None
    query = dict(parse_qsl(split_address(url).query))
    found: dict[str, Any] = {name: query[name] for name in _FILES if name in query}
    found["ssl_cert_reqs"] = _CHECKS[query["ssl_cert_reqs"]]
    if "ssl_check_hostname" in query:
        found["ssl_check_hostname"] = query["ssl_check_hostname"] == "true"
    return found


def _check(value: str) -> str:
    word = value.lower().removeprefix("cert_")
    if word not in _CHECKS:
        raise ValueError("has an ssl_cert_reqs other than required, optional and none")
    return word


def _switch(value: str) -> str:
    if value.lower() not in _SWITCH:
        raise ValueError("has an ssl_check_hostname other than true and false")
    return value.lower()


def _file(name: str, value: str, root: Path) -> str:
    path = root / value
    if not path.is_file():
        raise ValueError(f"has an {name} that names no file ({path})")
    return str(path)
