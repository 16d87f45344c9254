"""The blocking client and the one for asyncio behind one face, for tests that try both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from earwitness_client import AsyncEarwitness, Earwitness

KINDS = pytest.mark.parametrize("kind", [Earwitness, AsyncEarwitness])


class Both:
    """A client of either kind; ``of`` carries out what is asked of it, on a loop if need be."""

    def __init__(self, client: Any, runner: asyncio.Runner) -> None:
        self.client = client
        self._runner = runner

    def of(self, asked: Callable[[Any], Any]) -> Any:
        """Return the value of what a function asks of the client."""
        return self._runner.run(_value(asked, self.client))

    def question(self, asked: Callable[[Any], Any]) -> Any:
        """Send a question and return its answer within half a minute."""
        sent = self.of(asked)
        return self.of(lambda _: sent.wait(30))


async def _value(asked: Callable[[Any], Any], client: Any) -> Any:
    found = asked(client)
    return await found if inspect.isawaitable(found) else found


@contextmanager
def both(kind: type, url: str, **options: Any) -> Iterator[Both]:
    """A client of a kind, which is closed at the end."""
    with asyncio.Runner() as runner:
        one = Both(kind(url, **options), runner)
        try:
            yield one
        finally:
            one.of(lambda client: client.aclose() if kind is AsyncEarwitness else client.close())
