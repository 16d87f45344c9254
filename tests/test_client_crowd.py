"""Hundreds of tasks of one event loop ask at once, and Redis is away or slow to come."""

from __future__ import annotations

import asyncio
from collections import Counter

from earwitness_client import AsyncEarwitness, NotQueued

from .servers import Valkey
from .test_client_faults import queued

CROWD = 400
#: An attempt that begins before all have come does not count for those who come later.
ATTEMPTS = 10


async def _outcomes(client: AsyncEarwitness, turns: list[int]) -> list[tuple[type, int]]:
    """What became of the crowd's requests: an error's type, and the turn of the loop."""

    async def one(number: int) -> tuple[type, int]:
        try:
            await client.recording.download(account="india", recording_id=str(number))
        except NotQueued as error:
            return type(error), turns[0]
        return type(None), turns[0]

    async def count() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        return await asyncio.gather(*map(one, range(CROWD)))
    finally:
        counting.cancel()


def test_one_attempt_counts_for_all() -> None:
    """A server that hangs up is asked a few times, not by each; each has an error of its own, and
    the errors come in many turns of the loop, so that it serves others between them.
    """
    asked = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.close()

    async def main() -> list[tuple[type, int]]:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, AsyncEarwitness(f"redis://127.0.0.1:{port}/0") as client:
            return await _outcomes(client, [0])

    outcomes = asyncio.run(main())
    assert {kind for kind, _ in outcomes} == {NotQueued}
    assert 1 <= asked <= ATTEMPTS
    assert max(Counter(turn for _, turn in outcomes).values()) <= ATTEMPTS


def test_those_who_wait_may_go(valkey: Valkey) -> None:
    """Many who waited for a frozen Redis are cancelled, at any moment: no place is lost, and the
    next ones are served.
    """

    async def main() -> None:
        async with AsyncEarwitness(valkey.url) as client:
            for rounds in range(12):
                valkey.freeze()
                crowd = asyncio.ensure_future(_outcomes(client, [0]))
                await asyncio.sleep(0.01 * rounds)
                crowd.cancel()
                await asyncio.gather(crowd, return_exceptions=True)
                valkey.thaw()
            before = await asyncio.to_thread(queued, valkey)
            given = ({"account": "india", "recording_id": str(one)} for one in range(40))
            sending = [client.recording.download(**one) for one in given]
            await asyncio.gather(*sending)
            assert await asyncio.to_thread(queued, valkey) == before + 40

    asyncio.run(main())
