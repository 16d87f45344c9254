"""A transport that answers a client with what a test laid out, for the client of any provider."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import parse_qsl

import httpx

#: What a test lays out: an answer, an error, or what makes an answer of a request.
Step = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class LaidOut(httpx.BaseTransport):
    """Answers in order, and keeps what it was asked. One more request than answers fails the test.

    Parameters: ``answers``; ``below``, with which the address of every request has to begin.
    """

    def __init__(self, *answers: Step, below: str = "") -> None:
        self.requests: list[httpx.Request] = []
        self._answers = iter(answers)
        self._below = below

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url).startswith(self._below), f"unexpected: {request.url}"
        self.requests.append(request)
        return self._taken(self._answers, request)

    @staticmethod
    def _taken(steps: Iterator[Step], request: httpx.Request) -> httpx.Response:
        step = next(steps, None)
        assert step is not None, f"one more request than expected: {request.method} {request.url}"
        if isinstance(step, Exception):
            raise step
        return step(request) if callable(step) else step


class LaidOutWithTokens(LaidOut):
    """Answers token requests too: with ``grants``, or with a new token each time.

    Parameters besides those of ``LaidOut``: ``token_url``; ``granted``, which makes the answer with
    the token of a number; ``grants``, the answers to token requests, where a test lays out these.
    """

    def __init__(
        self,
        *answers: Step,
        token_url: str,
        granted: Callable[[int], httpx.Response],
        grants: Iterable[Step] | None = None,
        below: str = "",
    ) -> None:
        super().__init__(*answers, below=below)
        self.forms: list[dict[str, str]] = []
        self._token_url = token_url
        self._grants: Iterator[Step] = (
            iter(grants) if grants is not None else map(granted, itertools.count(1))
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if str(request.url) != self._token_url:
            return super().handle_request(request)
        self.forms.append(dict(parse_qsl(request.read().decode())))
        return self._taken(self._grants, request)

    @property
    def grant_types(self) -> list[str]:
        """The kinds of token requests so far."""
        return [form["grant_type"] for form in self.forms]
