"""What every object store promises alike, whichever service holds its objects."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.errors import Damaged, Missing, StoreRefused
from archive.store.bucket import ObjectStore

from .archives import overwrite
from .buckets import Buckets
from .test_store import spooled


def notices_a_replaced_object(store: ObjectStore, folder: Path) -> None:
    """Half of one object and half of another are never taken for one; a removed one is missing."""
    store.keep("a/x", *spooled(folder, bytes(1_000_000)))
    for changed, error in ((os.urandom(1_000_000), Damaged), (None, Missing)):
        with store.open("a/x") as file:
            file.read(10)
            overwrite(store, "a/x", changed)
            file.seek(500_000)
            with pytest.raises(error):
                file.read()


def refuses_naming(
    buckets: Buckets, status: str, said: str, *, never: tuple[str, ...] = ()
) -> None:
    """Every refused step says what to change, without the secret and without these words."""
    store = buckets.store()
    for method in ("GET", "PUT"):
        buckets.front.misbehave(status, method, times=100)
    actions: list[Callable[[], object]] = [
        lambda: store.read("a/x.json"),
        lambda: store.create("a/y.json", b"{}"),
        store.gives_names_once,
    ]
    for action in actions:
        with pytest.raises(StoreRefused, match=said) as caught:
            action()
        for word in (buckets.secret, *never):
            assert word not in str(caught.value)
