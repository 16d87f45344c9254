"""The parts of an address whose host may be a list."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

_AUTHORITY = re.compile(r"([a-z][a-z0-9+.-]*://)([^/?#]*)", re.IGNORECASE)


def split_address(url: str) -> SplitResult:
    """Split an address as `urlsplit` does, also one that lists several hosts.

    From Python 3.14 on, `urlsplit` refuses such a list if one of the hosts is an IPv6 address.
    Raises ValueError if the brackets of an IPv6 address are not balanced.
    """
    found = _AUTHORITY.match(url)
    if found is None or "," not in found[2]:
        return urlsplit(url)
    if found[2].count("[") != found[2].count("]"):
        raise ValueError("the brackets of an IPv6 address are not balanced")
    return urlsplit(found[1] + url[found.end() :])._replace(netloc=found[2])
