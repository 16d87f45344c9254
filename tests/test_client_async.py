"""The producer's library on an event loop: the same requests, and no fault of Redis blocks it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from earwitness_client import (
    AsyncEarwitness,
    AsyncJob,
    Closed,
    Earwitness,
    InvalidArgument,
    MaybeQueued,
    NotAnswered,
    NotQueued,
    NotSent,
)

from .servers import Valkey, free_port
from .test_client_contract import EVERY_CALL, FUNCTIONS, WRONG, _sent
from .test_client_crowd import PLACES
from .test_client_faults import SAME_ID, _cutting, queued, step_by_step
from .waiting import LOADED_SECONDS, in_time

_log = logging.getLogger(__name__)

#: As many requests as a service may have in hand at once.
CROWD = 500
#: How long the loop may stand still on a machine that is busy with other things.
STANDSTILL_SECONDS = 10.0


def _function(client: object, task: str) -> Callable[..., Any]:
    group, _, name = task.partition(".")
    function: Callable[..., Any] = getattr(getattr(client, group), name)
    return function


def _send(client: AsyncEarwitness) -> Awaitable[AsyncJob[Any]]:
    return client.recording.download(account="india", recording_id="7", request_id="order-7")


async def _failed(sending: Awaitable[object]) -> NotSent:
    with in_time(LOADED_SECONDS), pytest.raises(NotSent) as caught:
        await sending
    assert caught.value.request_id == "order-7"
    return caught.value


@asynccontextmanager
async def _alive() -> AsyncIterator[list[float]]:
    """A heart that beats on the loop: the times of its beats."""
    beats = [time.monotonic()]

    async def beat() -> None:
        while True:
            await asyncio.sleep(0.01)
            beats.append(time.monotonic())

    heart = asyncio.create_task(beat())
    try:
        yield beats
    finally:
        heart.cancel()
        beats.append(time.monotonic())


def _longest(beats: list[float]) -> float:
    return max(later - one for one, later in pairwise(beats))


@pytest.mark.parametrize("task", sorted(FUNCTIONS))
def test_a_function_takes_what_the_blocking_one_takes(task: str) -> None:
    """The same arguments under the same documentation; what it returns is awaited."""
    ours = _function(AsyncEarwitness("redis://h/0"), task.removeprefix("earwitness."))
    signature, theirs = inspect.signature(ours), inspect.signature(FUNCTIONS[task])

    assert inspect.iscoroutinefunction(ours)
    assert signature.parameters == theirs.parameters
    assert signature.return_annotation == f"Async{theirs.return_annotation}"
    assert ours.__doc__ == FUNCTIONS[task].__doc__


@pytest.mark.parametrize("task", EVERY_CALL)
def test_it_sends_what_the_blocking_client_sends(valkey: Valkey, task: str) -> None:
    """The same message but for the ids of the two tasks, and a job of the same id."""
    given = EVERY_CALL[task]

    async def main() -> Any:
        async with AsyncEarwitness(valkey.url) as client:
            return await _function(client, task)(**given)

    ours = asyncio.run(main())
    envelope, body = _sent(valkey)
    with Earwitness(valkey.url) as client:
        theirs = _function(client, task)(**given)
    their_envelope, their_body = _sent(valkey)
    assert body == their_body
    assert envelope["headers"].keys() == their_envelope["headers"].keys()
    assert envelope["headers"]["kwargsrepr"] == their_envelope["headers"]["kwargsrepr"]
    assert getattr(ours, "id", None) == getattr(theirs, "id", None)


@pytest.mark.parametrize(("task", "given", "named"), WRONG[:8])
def test_a_wrong_argument_is_named_and_nothing_is_sent(
    valkey: Valkey, task: str, given: dict[str, Any], named: str
) -> None:
    """The checks are those of the blocking client."""

    async def main() -> None:
        async with AsyncEarwitness(valkey.url) as client:
            with pytest.raises(InvalidArgument, match=f"not done: {named}.*nothing was sent"):
                await _function(client, task)(**given)

    asyncio.run(main())
    with valkey.client() as redis:
        assert redis.dbsize() == 0


def test_nobody_listens() -> None:
    """Refused: certainly not queued."""

    async def main() -> None:
        async with AsyncEarwitness(f"redis://127.0.0.1:{free_port()}/0") as client:
            error = await _failed(_send(client))
            assert isinstance(error, NotQueued)
            assert str(error).endswith(SAME_ID)

    asyncio.run(main())


def test_cut_after_the_message() -> None:
    """The connection breaks where the confirmation should come: it may be queued."""

    async def main(port: int) -> None:
        async with AsyncEarwitness(f"redis://127.0.0.1:{port}/0?protocol=2") as client:
            assert isinstance(await _failed(_send(client)), MaybeQueued)

    with _cutting() as port:
        asyncio.run(main(port))


def test_frozen_at_every_step(valkey: Valkey) -> None:
    """Until the last step it is certainly not queued, at the last it may be."""

    async def main(port: int) -> type[NotSent] | None:
        async with AsyncEarwitness(f"redis://127.0.0.1:{port}/0") as client:
            try:
                await _send(client)
            except NotSent as error:
                return type(error)
        return None

    outcomes = step_by_step(valkey, lambda port: asyncio.run(main(port)))
    assert outcomes == [NotQueued] * (len(outcomes) - 1) + [MaybeQueued]
    assert len(outcomes) > 1
    assert queued(valkey) == 0


def test_packets_vanish() -> None:
    """A server whose queue of connections is full never takes one: certainly not queued."""

    async def main(port: int) -> None:
        async with AsyncEarwitness(f"redis://127.0.0.1:{port}/0") as client:
            assert isinstance(await _failed(_send(client)), NotQueued)

    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        asyncio.run(main(port))
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("fault", ["none", "freeze", "stop"])
def test_a_crowd_does_not_block_the_loop(valkey: Valkey, fault: str) -> None:
    """Five hundred at once, with Redis alive, frozen and gone: no thread is used, the loop goes on,
    each is told in time, and the client works when Redis does again.
    """

    async def main() -> None:
        async with AsyncEarwitness(valkey.url) as client:
            await _send(client)
            if fault != "none":
                getattr(valkey, fault)()
            threads = set(threading.enumerate())
            async with _alive() as beats:
                with in_time(LOADED_SECONDS):
                    sent = await asyncio.gather(
                        *(_send(client) for _ in range(CROWD)), return_exceptions=True
                    )
            assert set(threading.enumerate()) <= threads
            _report(fault, beats)
            assert _longest(beats) < STANDSTILL_SECONDS
            kinds = Counter(type(one) for one in sent)
            if fault == "none":
                assert kinds.keys() <= {AsyncJob, NotQueued, MaybeQueued}
                assert kinds[AsyncJob]
                more = queued(valkey) - 1 - kinds[AsyncJob]
                assert 0 <= more <= kinds[MaybeQueued]
            else:
                assert kinds.keys() <= {MaybeQueued, NotQueued}
                # One refused attempt counts for all, so that a Redis that is gone takes no time.
                assert len(beats) > (10 if fault == "freeze" else 2)
            valkey.thaw()
            if fault == "stop":
                valkey.start()
            await _send(client)

    asyncio.run(main())


def _report(fault: str, beats: list[float]) -> None:
    lags = sorted(later - one - 0.01 for one, later in pairwise(beats))
    p99 = lags[int(len(lags) * 0.99) - 1] * 1000
    _log.info("Redis %s: p99 of the loop's lag %.1f ms", fault, p99)


def test_a_cancelled_sending_says_whether_it_was_sent(valkey: Valkey) -> None:
    """Cancelled while Redis is silent: before the message, certainly not queued; after it, it may
    be. The connection in whose answer it was cancelled is not used again.
    """

    async def cancelled(client: AsyncEarwitness) -> str:
        task = asyncio.ensure_future(_send(client))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        return str(caught.value.__notes__[-1])

    async def main() -> None:
        async with AsyncEarwitness(valkey.url) as client:
            valkey.freeze()
            first = await cancelled(client)
            valkey.thaw()
            await _send(client)
            valkey.freeze()
            second = await cancelled(client)
            valkey.thaw()
            assert first.startswith("not done: earwitness.recording.download was not queued")
            assert second.startswith("unknown: earwitness.recording.download may be queued")
            assert first.endswith(SAME_ID)
            assert second.endswith(SAME_ID)
            job = await _send(client)
            assert await job.state == "PENDING"

    asyncio.run(main())


def test_cancelled_at_any_moment_no_answer_is_mistaken(valkey: Valkey) -> None:
    """Hundreds of questions cancelled at odd moments: every later answer is that to its question,
    and no place for a connection is lost.
    """

    async def main() -> None:
        async with AsyncEarwitness(valkey.url) as client:
            job = await _send(client)
            for number in range(300):
                tasks = [asyncio.ensure_future(job.ready()) for _ in range(20)]
                for _ in range(number % 12):
                    await asyncio.sleep(0)
                for task in tasks[::2]:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            # Not more at once than there are connections: on a busy machine the rest time out.
            for _ in range(12):
                assert not any(await asyncio.gather(*(job.ready() for _ in range(PLACES))))
            assert (await _send(client)).id == job.id

    asyncio.run(main())
    assert queued(valkey) == 2


def test_waiting_is_a_task_among_others(valkey: Valkey) -> None:
    """A hundred waits without a worker end with NotAnswered, on the loop alone."""

    async def main() -> None:
        async with AsyncEarwitness(valkey.url) as client:
            job = await _send(client)
            threads = set(threading.enumerate())
            waits = [job.wait(0.5) for _ in range(50)] + [job.accepted(0.5) for _ in range(50)]
            outcomes = await asyncio.gather(*waits, return_exceptions=True)
            assert {type(one) for one in outcomes} == {NotAnswered}
            assert set(threading.enumerate()) <= threads
            valkey.freeze()
            with in_time(LOADED_SECONDS), pytest.raises(NotAnswered):
                await job.wait(0.2)
            valkey.thaw()

    asyncio.run(main())


def test_each_loop_has_connections_of_its_own(valkey: Valkey) -> None:
    """One client on several loops, one after the other and at the same time in threads."""
    client = AsyncEarwitness(valkey.url)

    async def main() -> None:
        await asyncio.gather(*(_send(client) for _ in range(5)))

    async def end() -> None:
        await main()
        await client.aclose()

    async def several() -> None:
        await asyncio.gather(*(asyncio.to_thread(asyncio.run, _and_close()) for _ in range(3)))

    async def _and_close() -> None:
        await main()
        own = client._broker._by_loop.pop(asyncio.get_running_loop())
        await own.close()

    asyncio.run(several())
    asyncio.run(end())
    assert queued(valkey) == 20
    with pytest.raises(Closed, match="was closed; create another client, and send it again"):
        asyncio.run(main())
