"""The service of docs/producers/fastapi.md with five hundred requests at once."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .pages import Reader, read_page
from .servers import Valkey, free_port
from .test_client_faults import queued

_log = logging.getLogger(__name__)

CROWD = 500
#: Far longer than a sending; a loop that is blocked by each of them in turn needs minutes.
PATIENCE_SECONDS = 90
#: The page's application, and what its event loop notices of the client.
WATCHED = """
import asyncio
import threading
import time

from main import app

lags, threads = [], set()


async def beat():
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.005)
        lags.append(time.monotonic() - began - 0.005)
        threads.add(threading.active_count())


@app.get("/watched")
async def watched(anew: bool = False):
    if anew:
        lags.clear()
        threads.clear()
        app.state.heart = asyncio.create_task(beat())
    return {"beats": len(lags), "p99": sorted([0.0, *lags])[int(len(lags) * 0.99)],
            "threads": sorted(threads)}
"""


@pytest.fixture
def service(valkey: Valkey, tmp_path: Path) -> Iterator[str]:
    """The address of the page's service, which is watched."""
    address = f"127.0.0.1:{free_port()}"
    names = {"127.0.0.1:8000": address, "--port 8000": f"--port {address.rpartition(':')[2]}"}
    names["main:app"] = "watched:app"
    reader = Reader(read_page("producers/fastapi"), tmp_path, {"REDIS_URL": valkey.url}, names)
    reader.write_files()
    (tmp_path / "watched.py").write_text(WATCHED)
    with reader.running(address="127.0.0.1:8000"):
        yield f"http://{address}"


@pytest.mark.parametrize("fault", ["none", "freeze", "stop"])
def test_five_hundred_at_once(service: str, valkey: Valkey, fault: str) -> None:
    """With Redis alive, frozen and gone: each is answered, 202 or 503; the loop goes on, without
    one thread more; afterwards the service works as before.
    """

    async def main() -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=service, timeout=PATIENCE_SECONDS, limits=limits, trust_env=False
        ) as client:
            assert (await _ask(client, 0)).status_code == 202
            await client.get("/watched", params={"anew": True})
            if fault != "none":
                getattr(valkey, fault)()
            answers = await asyncio.gather(*(_ask(client, one) for one in range(1, CROWD + 1)))
            seen = (await client.get("/watched")).json()
            _log.info(
                "Redis %s: %s, p99 of the loop's lag %.1f ms", fault, seen, seen["p99"] * 1000
            )
            statuses = Counter(answer.status_code for answer in answers)
            assert statuses.keys() <= ({202, 503} if fault == "none" else {503}), statuses
            assert statuses[202] or fault != "none"
            assert len(seen["threads"]) == 1
            assert seen["beats"] > 10
            if fault == "none":
                assert queued(valkey) == 1 + statuses[202]
            valkey.thaw()
            if fault == "stop":
                valkey.start()
            assert (await _ask(client, 0)).status_code == 202

    asyncio.run(main())


async def _ask(client: httpx.AsyncClient, order: int) -> httpx.Response:
    given = {"country": "ES", "phone": "660111222"}
    return await client.post(f"/orders/{order}/call", params=given)
