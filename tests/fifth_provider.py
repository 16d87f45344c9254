"""A fifth provider, whole: its account, its client and its line in the registry.

It lists recordings and gives each as a file of its own; it makes no exports. Nothing else of ours
knows it: what it can do follows from the capability that its client inherits from.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote, urlencode

import httpx

from config.fields import Secret, WebAddress
from providers.accounts import RecordingsAccount
from providers.errors import ProviderError, Uncertain
from providers.http import statuses
from providers.http.client import HttpClient
from providers.http.exchange import Answer
from providers.http.json_answers import json_object
from providers.http.session import Session
from providers.http.streaming import Body
from providers.http.tokens import TokenStore
from providers.interface import ListsRecordings
from providers.recordings import Page, Recording, Window
from providers.registry import Provider, register

NAME = "fifth"


class FifthAccount(RecordingsAccount):
    """An account whose key travels in the address of each request."""

    provider: Literal["fifth"]
    base_url: WebAddress
    key: Secret

    @property
    def login(self) -> str | None:
        """The key tells this account from another at the same address."""
        return self.key.get_secret_value()


class Fifth(HttpClient, ListsRecordings):
    """One account's client."""

    def __init__(
        self,
        account: FifthAccount,
        _token_store: TokenStore | None = None,
        /,
        *,
        transport: httpx.BaseTransport | None = None,
        before_call: Callable[[], None] | None = None,
    ) -> None:
        session = Session(
            account, _refusal, transport=transport, before_call=before_call, hides_addresses=True
        )
        super().__init__(session)
        self._key = account.key.get_secret_value()

    def probe(self) -> str:
        """List one recording; how many there are."""
        return f"{self.recordings({}, page_size=1).total_items} recordings are listed"

    def recordings(
        self,
        filters: Mapping[str, Any],
        *,
        page: int = 1,
        page_size: int = 10,
        order: str = "start:DESC",
    ) -> Page:
        """One page of recordings."""
        bounds = {"from": filters.get("start:gte"), "to": filters.get("start:lte")}
        return self._page(bounds, page, page_size, newest_first=order.endswith("DESC"))

    def every_recording(
        self, filters: Mapping[str, Any], *, window: Window | None = None
    ) -> Iterator[Recording]:
        """Every recording once, the oldest first."""
        bounds = {"from": filters.get("start:gte"), "to": filters.get("start:lte")}
        if window is not None:
            bounds = {"from": window.start.isoformat(), "to": window.last.isoformat()}
        seen = 0
        for number in itertools.count(1):
            page = self._page(bounds, number, 100, newest_first=False)
            yield from page.recordings
            seen += len(page.recordings)
            if not page.recordings or seen >= (page.total_items or 0):
                break
        if seen < (page.total_items or 0):
            raise Uncertain(NAME, f"{page.total_items} recordings are counted and {seen} listed")

    def recording(self, recording_id: str) -> Recording:
        """One recording."""
        what = f"recording {recording_id}"
        address = self._address(f"/recordings/{quote(recording_id, safe='')}")
        return _recording(self._asked("recording_get", address, what))

    def audio(
        self, recording_id: str, *, etag: str | None = None, offset: int = 0
    ) -> AbstractContextManager[Body]:
        """The audio of one recording."""
        what = f"the audio of recording {recording_id}"
        address = self._address(f"/recordings/{quote(recording_id, safe='')}/audio")
        return self._session.file("recording_audio", address, what, etag=etag, offset=offset)

    def _page(
        self, bounds: Mapping[str, str | None], number: int, size: int, *, newest_first: bool
    ) -> Page:
        asked = {**bounds, "page": number, "size": size, "newest_first": int(newest_first)}
        what = "the list of recordings"
        content = self._asked("recording_list", self._address("/recordings", **asked), what)
        found = [_recording(one) for one in content["items"]]
        return Page(found, number, size, total_items=content["total"])

    def _asked(self, operation: str, address: str, what: str) -> dict[str, Any]:
        return json_object(self._session.answer(operation, "GET", address, what).body, NAME, what)

    def _address(self, path: str, **asked: object) -> str:
        given = {name: value for name, value in asked.items() if value is not None}
        return f"{path}?{urlencode({'key': self._key, **given})}"


def _recording(told: dict[str, Any]) -> Recording:
    return Recording(
        id=told["uid"],
        start=datetime.fromisoformat(told["began"]).astimezone(UTC),
        duration_ms=round(told["seconds"] * 1000),
        caller=told["from"],
        callee=told["to"],
        size_bytes=told["octets"],
        raw=told,
    )


def _refusal(answer: Answer, what: str) -> ProviderError:
    return statuses.refusal(NAME, answer, what)


register(Provider(NAME, FifthAccount, Fifth))
