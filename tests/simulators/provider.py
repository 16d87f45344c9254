"""What the server needs of each simulated provider; its requests begin with `/<name>/`."""

from __future__ import annotations

from typing import Any, Protocol

from .log import Record
from .messages import Reply, Request
from .wire import Delivery, Wire


class Provider(Protocol):
    """Answers requests."""

    def answer(self, request: Request, record: Record, wire: Wire) -> tuple[Reply, Delivery]:
        """The answer to one request and how it is to travel; raises Severed for none."""


class ProviderControl(Protocol):
    """What tests and people may do to it: each public method is a control method."""

    def addresses(self) -> dict[str, Any]:
        """Where its interfaces are."""
