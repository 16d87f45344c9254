"""Requests to Ozeki, whose addresses hold the password: they are sent veiled (`veil`), and no error
keeps them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar
from urllib.parse import quote, urlencode

import httpx

from config.accounts import OzekiAccount

from .errors import ProviderError

_Asked = ParamSpec("_Asked")
_Found = TypeVar("_Found")


def command(account: OzekiAccount, parameters: Mapping[str, str | None]) -> httpx.URL:
    """The address of a command, credentials included; a parameter that is None is left out.

    The shape is the vendor's, ``http://host:7780/?command=...`` (seed 003, providers.md 2.1).
    """
    sent = {name: value for name, value in parameters.items() if value is not None}
    if account.username is not None and account.password is not None:
        sent |= {"Username": account.username, "Password": account.password.get_secret_value()}
    return httpx.URL(f"{account.base_url}/?{urlencode(sent, quote_via=quote, safe='')}")


def forgetful(ask: Callable[_Asked, _Found]) -> Callable[_Asked, _Found]:
    """What is asked and answered holds secrets and telephone numbers: an error about it keeps none
    of the frames that it passed.
    """

    @functools.wraps(ask)
    def asking(*asked: _Asked.args, **more: _Asked.kwargs) -> _Found:
        try:
            return ask(*asked, **more)
        except ProviderError as error:
            failure = type(error)(*error.args)
        del asked, more
        raise failure

    return asking
