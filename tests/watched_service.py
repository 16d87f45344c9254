"""The service of docs/producers/fastapi.md, watched from inside while many ask it at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from .pages import Reader, read_page
from .servers import Valkey, free_port

#: Far longer than a sending; a loop that is blocked by each of them in turn needs minutes.
PATIENCE_SECONDS = 90
#: What may be wrong with Redis: what a Valkey server does then.
FAULTS = ("none", "freeze", "stop")
#: The page's application, and what its event loop notices of the client: blocking calls too. A
#: socket that does not wait has the timeout 0.
WATCHED = """
import asyncio
import sys
import threading
import time

lags, threads, blocking = [], set(), set()
sleep = time.sleep


def notice(event, arguments):
    if threading.current_thread() is not threading.main_thread():
        return
    if event in {"time.sleep", "socket.getaddrinfo"}:
        blocking.add(event)
    elif event == "socket.connect" and arguments[0].gettimeout() != 0:
        blocking.add(event)


def noticed_sleep(seconds):
    notice("time.sleep", (seconds,))
    sleep(seconds)


sys.addaudithook(notice)
time.sleep = noticed_sleep  # Python 3.11 has no event for it

from main import app


async def beat():
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.005)
        lags.append(time.monotonic() - began - 0.005)
        threads.add(threading.active_count())


@app.get("/watched")
async def watched(anew: bool = False):
    if anew:
        for one in (lags, threads, blocking):
            one.clear()
        if hasattr(app.state, "heart"):
            app.state.heart.cancel()
        app.state.heart = asyncio.create_task(beat())
    return {"beats": len(lags), "p99": sorted([0.0, *lags])[int(len(lags) * 0.99)],
            "threads": sorted(threads), "blocking": sorted(blocking)}


@app.get("/blocked")
async def blocked():
    time.sleep(0)
"""


@dataclass(frozen=True)
class Watched:
    """What many requests at once came to: statuses, and what the service saw of itself.

    ``p99_seconds`` is of the lag of its event loop, which was looked at ``beats`` times;
    ``threads`` are the numbers of its threads, ``blocking`` the blocking calls on the loop.
    """

    statuses: Counter[int]
    beats: int
    p99_seconds: float
    threads: tuple[int, ...]
    blocking: tuple[str, ...]


@contextmanager
def watched_service(folder: Path, redis_url: str) -> Iterator[str]:
    """Yield the address of the page's service, which is watched."""
    address = f"127.0.0.1:{free_port()}"
    names = {"127.0.0.1:8000": address, "--port 8000": f"--port {address.rpartition(':')[2]}"}
    names["main:app"] = "watched:app"
    reader = Reader(read_page("producers/fastapi"), folder, {"REDIS_URL": redis_url}, names)
    reader.write_files()
    (folder / "watched.py").write_text(WATCHED)
    with reader.running(address="127.0.0.1:8000"):
        yield f"http://{address}"


def ask_at_once(address: str, valkey: Valkey, fault: str, count: int) -> Watched:
    """Ask for so many calls at once, under a fault of Redis; afterwards it is mended."""
    return asyncio.run(_ask_at_once(address, valkey, fault, count))


async def _ask_at_once(address: str, valkey: Valkey, fault: str, count: int) -> Watched:
    # No connection is used twice: the server closes those that idle for five seconds.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=address, timeout=PATIENCE_SECONDS, limits=limits, trust_env=False
    ) as client:
        assert (await _ask(client, 0)).status_code == 202
        await client.get("/watched", params={"anew": True})
        if fault != "none":
            getattr(valkey, fault)()
        answers = await asyncio.gather(*(_ask(client, one) for one in range(1, count + 1)))
        seen = (await client.get("/watched")).json()
        valkey.thaw()
        if fault == "stop":
            valkey.start()
        assert (await _ask(client, 0)).status_code == 202
    return Watched(
        Counter(answer.status_code for answer in answers),
        seen["beats"],
        seen["p99"],
        tuple(seen["threads"]),
        tuple(seen["blocking"]),
    )


async def _ask(client: httpx.AsyncClient, order: int) -> httpx.Response:
    given = {"country": "ES", "phone": "660111222"}
    return await client.post(f"/orders/{order}/call", params=given)
