"""Requests to Ozeki, whose addresses hold the password: they are sent hidden (`hidden_urls`), and
no error keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import httpx

from .account import OzekiAccount


def command(account: OzekiAccount, parameters: Mapping[str, str | None]) -> httpx.URL:
    """Return the address of a command, with the credentials; a parameter that is None is left out.

    Its shape is ``http://host:7780/?command=...`` (docs/providers/ozeki.md, "Transport").
    """
    sent = {name: value for name, value in parameters.items() if value is not None}
    if account.username is not None and account.password is not None:
        sent |= {"Username": account.username, "Password": account.password.get_secret_value()}
    return httpx.URL(f"{account.base_url}/?{urlencode(sent, quote_via=quote, safe='')}")
