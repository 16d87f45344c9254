"""The addresses that a notification may make us fetch from: hosts of the account only.

Anyone who learns the notification's address can send a notification with any RecordURL. The fetched
address must not be another machine of the network.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv6Address
from urllib.parse import urlsplit

import httpx

from providers.errors import Rejected

from .refusals import NAME

#: A host name, an IPv4 address or an IPv6 address in brackets, and a port; no user, no escapes.
_AUTHORITY = re.compile(
    r"(?P<host>[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
)
#: Programs disagree on these characters: one program's path is another program's host.
_TREACHEROUS = re.compile(r"[\x00-\x1f\x7f-\xa0\\\u2000-\u200f\u2028-\u202f\ufeff]")
_LONGEST = 4096


def recording_address(url: str, base_url: str, recording_hosts: Collection[str]) -> httpx.URL:
    """Return the address of a recording, if it may be fetched.

    Its host must be that of ``base_url`` or one of ``recording_hosts``, letter by letter except for
    upper and lower case and the spelling of an IPv6 address; no name is looked up. Any port is
    allowed.

    Raises Rejected, which gives the reason without repeating the address.
    """
    host = _host(url)
    own = _canonical(_read(base_url))
    if host != own and host not in {_canonical(one.strip().lower()) for one in recording_hosts}:
        raise _refused(
            "its host is not that of the account's base_url; if it belongs to the telephone "
            "system, add it to recording_hosts"
        )
    return httpx.URL(url).copy_with(fragment=None)


def _host(url: str) -> str:
    """Return the host on which two independent parsers agree."""
    if len(url) > _LONGEST or _TREACHEROUS.search(url):
        raise _refused("it is too long, or contains characters that an address cannot have")
    try:
        parts = urlsplit(url)
        found = _AUTHORITY.fullmatch(parts.netloc.lower())
        other = _read(url)
    except (ValueError, httpx.InvalidURL):
        raise _refused("it is not an address") from None
    if parts.scheme not in ("http", "https"):
        raise _refused("it does not begin with http:// or https://")
    if found is None or not 0 < int(found["port"] or 80) < 65536:
        raise _refused("its host is not a plain name or address, with or without a port")
    host = _canonical(found["host"])
    if _canonical(other) != host:
        raise _refused("its host is ambiguous")
    return host


def _read(url: str) -> str:
    """Return the host that httpx will request, with other scripts encoded (``xn--``)."""
    return httpx.URL(url).raw_host.decode("ascii").lower()


def _canonical(host: str) -> str:
    """Return one spelling for every spelling of an IPv6 address; return anything else as it is."""
    try:
        return str(IPv6Address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        return host


def _refused(why: str) -> Rejected:
    return Rejected(NAME, f"the recording was not fetched from its RecordURL: {why}")
