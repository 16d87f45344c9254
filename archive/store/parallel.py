"""Requests to a bucket that are made at once, since each waits for an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from archive.errors import StoreAway

Given = TypeVar("Given")
Done = TypeVar("Done")

_AT_ONCE = 8


def in_parallel(do: Callable[[Given], Done], given: Sequence[Given]) -> list[Done | Exception]:
    """Call ``do`` with each of several values; return the results, or the errors, in this order.

    Once the storage does not answer, it is asked nothing more: all that is left fails with the same
    error. The threads are daemons, so that storage that hangs does not keep the process from
    ending.
    """
    done: dict[int, Done | Exception] = {}
    left = iter(enumerate(given))
    away: list[StoreAway] = []

    def run() -> None:
        for number, one in left:
            try:
                done[number] = away[0] if away else do(one)
            except StoreAway as error:
                away.append(error)
                done[number] = error
            except Exception as error:  # noqa: BLE001 - it is the result
                done[number] = error

    threads = [
        threading.Thread(target=run, name="earwitness-bucket", daemon=True)
        for _ in range(min(_AT_ONCE, len(given)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [done[number] for number in range(len(given))]
