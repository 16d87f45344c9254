"""Tasks of an event loop, one and hundreds, while Redis is away or frozen."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from earwitness_client import AsyncEarwitness, AsyncJob, NotAnswered, NotQueued, NotSent

from .servers import Valkey
from .test_client_faults import queued

CROWD = 400
#: How many connections a client has.
PLACES = 8
#: An attempt that begins before all have come does not count for those who come later.
ATTEMPTS = 10
#: Seconds; and how often a loop that goes on comes back meanwhile, at the least.
PATIENCE, BEATS = 0.2, 3


async def _count(turns: list[int], seconds: float = 0.01) -> None:
    """Count the turns of the loop, or how often it comes back after some seconds."""
    while True:
        turns[0] += 1
        await asyncio.sleep(seconds)


async def _outcomes(client: AsyncEarwitness, turns: list[int]) -> list[tuple[type, int]]:
    """What became of the crowd's requests: an error's type, and the turn of the loop."""

    async def one(number: int) -> tuple[type, int]:
        try:
            await client.recording.download(account="india", recording_id=str(number))
        except NotQueued as error:
            return type(error), turns[0]
        return type(None), turns[0]

    counting = asyncio.create_task(_count(turns, 0))
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
            # Not more at once than there are connections: on a busy machine the rest time out.
            for number in range(0, 40, PLACES):
                given = [
                    {"account": "india", "recording_id": str(one)}
                    for one in range(number, number + PLACES)
                ]
                await asyncio.gather(*(client.recording.download(**one) for one in given))
            assert await asyncio.to_thread(queued, valkey) == before + 40

    asyncio.run(main())


def _questions(
    client: AsyncEarwitness, job: AsyncJob[Any]
) -> dict[str, Callable[[], Awaitable[Any]]]:
    """What may be asked about a job, each with little patience."""
    named = {"request_id": "r", "account": "india", "timeout": PATIENCE}

    async def completed() -> list[Any]:
        return [one async for one in client.as_completed([job], PATIENCE)]

    async def state() -> str:
        return await job.state

    return {
        "attach": lambda: client.job.attach(**named),
        "accepted": lambda: job.accepted(PATIENCE),
        "status": lambda: job.status(PATIENCE),
        "wait": lambda: job.wait(PATIENCE),
        "ready": job.ready,
        "state": state,
        "send_again": job.send_again,
        "wait_many": lambda: client.wait_many([job, job], PATIENCE),
        "as_completed": completed,
    }


def test_every_question_while_redis_is_frozen(valkey: Valkey) -> None:
    """The loop goes on while each waits, each ends with an error of ours, and each may be
    cancelled; afterwards the client works as before.
    """

    async def main() -> None:
        turns = [0]
        async with AsyncEarwitness(valkey.url) as client:
            job = await client.recording.download(account="india", recording_id="7")
            counting = asyncio.create_task(_count(turns))
            valkey.freeze()
            questions = _questions(client, job)
            for name, question in questions.items():
                # What disturbs the machine meanwhile does not count: one of a few questions does.
                for _ in range(5):
                    before = turns[0]
                    (outcome,) = await asyncio.gather(question(), return_exceptions=True)
                    first = outcome[0] if isinstance(outcome, list) else outcome
                    assert isinstance(first, NotAnswered | NotSent), (name, outcome)
                    if turns[0] - before > BEATS:
                        break
                assert turns[0] - before > BEATS, name
            asked = [asyncio.ensure_future(one()) for one in questions.values()]
            await asyncio.sleep(0.05)
            for one in asked:
                one.cancel()
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
            assert {type(one) for one in outcomes} == {asyncio.CancelledError}
            valkey.thaw()
            counting.cancel()
            assert await job.state == "PENDING"
            await job.send_again()

    asyncio.run(main())
