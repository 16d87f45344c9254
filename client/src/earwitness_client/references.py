"""The clients of this process, which a job that was pickled finds again by their address."""

from __future__ import annotations

import weakref
from typing import Generic, TypeVar

from .errors import Closed

Broker = TypeVar("Broker")


class Registry(Generic[Broker]):
    """The brokers of one kind that were made in this process, by the place of their queue."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._made: weakref.WeakValueDictionary[str, Broker] = weakref.WeakValueDictionary()

    def add(self, place: str, broker: Broker) -> None:
        """Remember the latest broker of a place for as long as something else holds it."""
        self._made[place] = broker

    def find(self, place: str) -> Broker:
        """Return the broker of a place. Raises Closed if this process has none."""
        found = self._made.get(place)
        if found is None:
            raise Closed(
                f"unknown: this process has no client of {place}, to which the job belongs; create "
                f"{self._what} with that address first, and keep it"
            )
        return found
