"""A message that a dead worker had in hand comes back, whatever else lies in Redis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from kombu import Connection

from worker.redis.broker import install_channel

from .certified_calls import CallHouse, call_house
from .deployment import Deployment
from .malformed import VALUES, arguments, message
from .redis_page import PASSWORD, denied, make_users
from .servers import Valkey
from .simulators import Simulators
from .waiting import LOADED_SECONDS, eventually

Deploy = Callable[..., Deployment]

HASH, INDEX = "earwitness.unacked", "earwitness.unacked_index"
BINDINGS = "_kombu.binding.earwitness"
SEPARATOR = "\x06\x16"
#: What producers may write there: too few parts, too many, no text, and another way for messages.
MEMBERS = (
    "x",
    "",
    b"\xff",
    SEPARATOR,
    SEPARATOR.join("abcd"),
    SEPARATOR.join(["earwitness", "", "elsewhere"]),
)


@pytest.fixture
def calling(deploy: Deploy, simulators: Simulators) -> CallHouse:
    """A house that places certified calls; no worker runs yet."""
    return call_house(deploy, simulators)


def honest(**properties: Any) -> dict[str, Any]:
    """A message that asks for a call."""
    made = message([[], arguments(), {}])
    made["properties"].update(properties)
    return made


def held(redis: Any, content: Any, tag: str = "dead.1", *, prefix: str = "") -> None:
    """As a worker leaves it that was killed a minute ago."""
    text = content if isinstance(content, bytes) else json.dumps(content)
    redis.hset(prefix + HASH, tag, text)
    redis.zadd(prefix + INDEX, {tag: redis.time()[0] - 60})


def nothing_held(redis: Any) -> bool:
    """Whether no message is in hand, nor said to be."""
    return not redis.hgetall(HASH) and not redis.zrange(INDEX, 0, -1)


def set_aside(redis: Any) -> list[str]:
    """The reasons of what was set aside, in order."""
    return sorted(json.loads(one)["reason"] for one in redis.hvals("earwitness.set_aside"))


def _locks(redis: Any) -> Iterator[Callable[[], Any]]:
    key = "earwitness.unacked_mutex"
    yield lambda: redis.set(key, "killed", ex=5)  # ours
    yield lambda: redis.set(key, "killed", ex=300)  # an earlier version's
    yield lambda: redis.set(key, "killed")
    yield lambda: redis.lpush(key, "no lock at all")


@pytest.mark.parametrize("number", range(4))
def test_a_mutex_that_a_killed_worker_left_delays_little(
    calling: CallHouse, valkey: Valkey, number: int
) -> None:
    """Whatever lies where the mutex is, the message of a dead worker comes back in seconds."""
    with valkey.client() as redis:
        list(_locks(redis))[number]()
        held(redis, [honest(), "earwitness", "earwitness"])
        calling.house.worker()
        eventually(lambda: calling.placed() == 1, what="it did not come back")
        eventually(lambda: nothing_held(redis), within=LOADED_SECONDS, what="it stayed in hand")


def test_bindings_that_others_write_lead_no_message_astray(
    calling: CallHouse, valkey: Valkey
) -> None:
    """Members that are no bindings, and one that leads elsewhere: the message of a dead worker goes
    back to its own queue, and what our processes publish goes there alone.
    """
    with valkey.client() as redis:
        redis.sadd(BINDINGS, *MEMBERS)
        held(redis, [honest(), "earwitness", "earwitness"])
        worker = calling.house.worker()
        eventually(lambda: calling.placed() == 1, what="it did not come back")
        assert not redis.exists("elsewhere")
        assert worker.stop() == 0
        install_channel()
        with Connection(valkey.url) as connection, connection.Producer() as producer:
            producer.publish("x", exchange="earwitness", routing_key="earwitness", retry=False)
        assert redis.llen("earwitness") == 1
        assert not redis.exists("elsewhere")


def test_bindings_of_another_type_keep_no_worker_from_its_queue(
    calling: CallHouse, valkey: Valkey
) -> None:
    """A list lies where the bindings belong: a worker reads its queue all the same."""
    with valkey.client() as redis:
        redis.lpush(BINDINGS, "x")
        calling.house.worker()
        redis.lpush("earwitness", json.dumps(honest()))
        eventually(lambda: calling.placed() == 1, what="no call was placed")


def test_what_is_held_and_is_no_message_is_set_aside(calling: CallHouse, valkey: Valkey) -> None:
    """Members of the hash that are no messages, of a queue of nobody's, and tags without a message:
    what there is is kept, nothing stays in hand, and the honest one among them is placed.
    """
    strange: list[Any] = [b"\xff", b"", b"[" * 50_000, b"[1" * 3_000, *VALUES]
    strange += [[], [honest()], [honest(), "earwitness", "somebody.elses"]]
    strange += [[value, "", "earwitness"] for value in VALUES]
    strange += [[honest(), "", value] for value in VALUES]
    strange += [[{**honest(), "properties": value}, "", "earwitness"] for value in VALUES]
    with valkey.client() as redis:
        for number, content in enumerate(strange):
            held(redis, content, f"dead.{number}")
        redis.zadd(INDEX, {"nothing": 1, b"\xff": 1})
        held(redis, [honest(), "", "earwitness"], "dead.honest")
        worker = calling.house.worker()
        eventually(
            lambda: nothing_held(redis), within=LOADED_SECONDS, what="something stayed in hand"
        )
        eventually(lambda: calling.placed() == 1, what="the honest one was not placed")
        assert worker.alive
        reasons = set_aside(redis)
        assert len(reasons) == len(strange)
        assert sum("not one of Earwitness" in one for one in reasons) >= 1


def test_a_message_that_ends_workers_is_given_to_no_further_one(
    calling: CallHouse, valkey: Valkey
) -> None:
    """Four workers ended with it in hand and the fifth does: it is set aside, and its sender gets
    Uncertain. One that only waited in a worker that is alive, and one that is new to this, are
    placed. Put back, it is placed, and its sender has the result.
    """
    deadly = honest(earwitness_deaths=4)
    answer = f"celery-task-meta-{deadly['headers']['id']}"
    with valkey.client() as redis:
        held(redis, [deadly, "", "earwitness"], "dead.1")
        held(redis, [honest(earwitness_deaths=4), "", "earwitness"], "busy.1")
        held(redis, [honest(earwitness_deaths="many"), "", "earwitness"], "dead.2")
        redis.zadd("earwitness.holders", {"busy": redis.time()[0] + 60})
        calling.house.worker()
        eventually(lambda: calling.placed() == 2, what="the others were not placed")
        eventually(lambda: nothing_held(redis), within=LOADED_SECONDS, what="one stayed in hand")
        assert set_aside(redis) == [
            "a worker ended or failed 5 times while it had the message in hand"
        ]
        eventually(lambda: redis.get(answer), what="its sender got no answer")
        assert json.loads(redis.get(answer))["result"]["exc_type"] == "Uncertain"  # type: ignore[arg-type]
        shown = json.loads(calling.house.run("messages", "--json").stdout)
        done = calling.house.run("messages", "--put-back", shown[0]["id"])
        assert done.returncode == 0, done.stderr
        eventually(lambda: calling.placed() == 3, what="it was not put back")
        assert set_aside(redis) == []
        eventually(lambda: b"SUCCESS" in (redis.get(answer) or b""), what="no result")


def test_messages_of_one_name_are_two(calling: CallHouse, valkey: Valkey) -> None:
    """Two senders give their messages the same delivery tag: both calls are placed."""
    with valkey.client() as redis:
        for _ in range(2):
            redis.lpush("earwitness", json.dumps(honest(delivery_tag="1")))
        calling.house.worker()
        eventually(lambda: calling.placed() == 2, what="one was lost")
        eventually(lambda: nothing_held(redis), within=LOADED_SECONDS, what="one stayed in hand")


def test_it_is_done_under_a_prefix_with_the_rights_of_the_page(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """A deployment with a prefix and the page's users restores and sets aside under its prefix, and
    Valkey refuses it nothing.
    """
    make_users(valkey, "a:")
    address = f"redis://earwitness:{quote(PASSWORD, safe='')}@127.0.0.1:{valkey.port}/0"
    settings = {"REDIS_KEY_PREFIX": "a:", "REDIS_URL": address}
    calling = call_house(deploy, simulators, settings=settings)
    with valkey.client() as redis:
        redis.set("a:earwitness.unacked_mutex", "killed")
        held(redis, [honest(), "earwitness", "earwitness"], prefix="a:")
        held(redis, b"nonsense", "dead.2", prefix="a:")
        redis.lpush("a:earwitness", "nonsense")
        calling.house.worker()
        eventually(lambda: calling.placed() == 1, what="it did not come back")
        eventually(lambda: redis.hlen("a:earwitness.set_aside") == 2, what="it was not set aside")
        done = calling.house.run("messages", "--remove", "all")
        assert done.stdout == "removed: 2\n", done.stderr
        assert {key[:2] for key in redis.scan_iter()} == {b"a:"}
    assert denied(valkey) == set()


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_worker_killed_with_a_message_and_the_mutex_in_hand(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """SIGKILL while the worker is alone with a call that was requested, and the mutex is its own:
    the next worker has the message within its time, and knows better than to call again.
    """
    calling = call_house(deploy, simulators, timeout_seconds=60)
    calling.platform.configure(answer_seconds=60)
    first = calling.house.worker("first")
    with valkey.client() as redis, calling.house.producer() as app:
        calling.ask(app, "r1")
        eventually(lambda: calling.placed() == 1, what="it was not requested")
        assert redis.hlen(HASH) == 1
        redis.set("earwitness.unacked_mutex", "first", ex=5)
        first.kill()
        second = calling.house.worker("second")
        eventually(lambda: nothing_held(redis), within=60, what="it did not come back")
        calling.in_state("r1", "needs_decision", within=60)
    assert second.alive
    assert calling.placed() == 1
