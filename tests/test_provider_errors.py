"""Providers' errors: what a person reads, and what survives the way through a queue."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from providers.errors import ProviderError, Temporary, Throttled, Uncertain


def _tree(error: type[ProviderError]) -> Iterator[type[ProviderError]]:
    yield error
    for below in error.__subclasses__():
        yield from _tree(below)


@pytest.mark.parametrize("kind", list(_tree(ProviderError)), ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling_and_reads_as_its_reason(kind: type[ProviderError]) -> None:
    """Every error comes back from a queue as the same kind, with the same words."""
    more = (2.5,) if issubclass(kind, Throttled) else ()
    error = pickle.loads(pickle.dumps(kind("vonage", "it said no", *more)))
    assert type(error) is kind
    assert (error.provider, error.reason, str(error)) == ("vonage", "it said no", "it said no")
    if isinstance(error, Throttled):
        assert error.retry_after == 2.5


def test_an_uncertain_call_is_neither_repeatable_nor_refused() -> None:
    """Whoever repeats what is temporary does not repeat what may already have been done."""
    assert Uncertain.__bases__ == (ProviderError,)
    assert issubclass(Throttled, Temporary)
