"""The Valkey that tests share: each meets it empty, and unchanged by any test before it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import closing

import celery.exceptions
import psutil
import pytest

from .callers import caller
from .one_valkey import OneValkey
from .servers import Valkey
from .simulators import Simulators


@pytest.fixture
def lender() -> Iterator[OneValkey]:
    """One of the test's own."""
    with closing(OneValkey()) as made:
        yield made


def test_the_next_test_meets_nothing_of_the_last(lender: OneValkey) -> None:
    """The same server, without its keys in any database, its connections and its statistics."""
    with lender.lent() as first, first.client() as client, first.client(db=3) as other:
        client.set("a", 1)
        other.lpush("b", 1)
        subscriber = client.pubsub()
        subscriber.subscribe("c")
        pid = first.pid
    with lender.lent() as second, second.client() as client:
        assert second.pid == pid
        assert client.info("keyspace") == {}
        assert client.pubsub_channels() == []
        assert len(client.client_list()) == 1
        assert "cmdstat_lpush" not in client.info("commandstats")


def _configure(server: Valkey) -> None:
    with server.client() as client:
        client.config_set("maxmemory", "20mb")


def _add_a_user(server: Valkey) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "eve", "on")


def _restart(server: Valkey) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize(
    "act", [_configure, _add_a_user, _restart, Valkey.stop, Valkey.kill, Valkey.freeze]
)
def test_one_that_was_changed_for_good_is_lent_no_more(
    lender: OneValkey, act: Callable[[Valkey], None]
) -> None:
    """Configured, restarted, ended or frozen: it is ended, and the next test gets another one."""
    with lender.lent() as first:
        act(first)
        pid = first.pid
    with lender.lent() as second, second.client() as client:
        assert second.pid != pid
        assert client.ping()
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


def test_two_at_once_are_two(lender: OneValkey) -> None:
    """A module's and a test's: neither meets the other's keys."""
    with lender.lent() as outer, lender.lent() as inner:
        assert outer.port != inner.port


def test_a_caller_leaves_no_socket(lender: OneValkey) -> None:
    """Nor does a result that is collected after its application was closed."""
    with lender.lent() as server:
        with caller(server.url, server.url) as app, caller(server.url, server.url) as other:
            result = app.send_task("x")
            other.send_task("y")
            with pytest.raises(celery.exceptions.TimeoutError):
                result.get(timeout=0.1)
            assert app.control.ping(timeout=0.1) == []
        del result
        gc.collect()
        with caller(server.url) as again:
            again.send_task("z")
        links = psutil.Process().net_connections()
        assert [link for link in links if link.raddr and link.raddr.port == server.port] == []


def test_simulators_are_started_once() -> None:
    """Two threads on one socket: the one that outlives it would take a whole core."""
    with Simulators() as running, pytest.raises(RuntimeError, match="started already"):
        running.start()
