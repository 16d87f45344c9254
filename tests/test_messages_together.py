"""A worker takes the messages that wait together, as many as it has room for, and loses none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import Connection, Consumer, Queue

from worker.redis.broker import install_channel

from .servers import Valkey

QUEUE = "earwitness"
IN_HAND = "earwitness.unacked"
ROOM = 5


class Reader:
    """A consumer with room for some messages."""

    def __init__(self, url: str, on_message: Callable[[Any], None]) -> None:
        options = {"unacked_key": IN_HAND, "unacked_index_key": f"{IN_HAND}_index"}
        self.connection = Connection(url, transport_options=options)
        self.channel: Any = self.connection.default_channel
        queue = Queue(QUEUE, routing_key=QUEUE)
        queue(self.channel).declare()
        self.consumer = Consumer(
            self.channel, [queue], on_message=on_message, prefetch_count=ROOM, auto_declare=False
        )

    def publish(self, *bodies: str) -> None:
        with self.connection.Producer() as producer:
            for body in bodies:
                producer.publish(body, routing_key=QUEUE, retry=False)

    def read(self) -> None:
        """Take what waits, as after one answer of Redis."""
        with self.consumer:
            self.connection.drain_events(timeout=60)


@pytest.fixture
def taken() -> list[Any]:
    """The messages that were taken, in order."""
    return []


@pytest.fixture
def reader(valkey: Valkey, taken: list[Any]) -> Iterator[Reader]:
    """A reader of one queue, to whom nothing was given yet."""
    install_channel()
    made = Reader(valkey.url, taken.append)
    yield made
    made.connection.release()


def numbered(count: int) -> list[str]:
    """Bodies of messages."""
    return [f"message {number}" for number in range(count)]


def test_what_waits_is_taken_as_far_as_there_is_room(
    reader: Reader, taken: list[Any], valkey: Valkey
) -> None:
    """In the order of the queue; each is recorded as in hand, in the form that every release reads,
    and is gone from there once it is acknowledged.
    """
    reader.publish(*numbered(7))
    reader.read()
    assert [message.payload for message in taken] == numbered(ROOM)
    with valkey.client() as redis:
        assert redis.llen(QUEUE) == 2
        records = redis.hgetall(IN_HAND)
        assert {tag.decode() for tag in records} == {one.delivery_tag for one in taken}
        for message in taken:
            content, exchange, queue = json.loads(records[message.delivery_tag.encode()])
            assert (exchange, queue) == ("", QUEUE)
            assert content == json.loads(message.item)
        assert redis.zcard(f"{IN_HAND}_index") == ROOM
        for message in taken[:]:
            message.ack()
        reader.channel.qos.flush()
        assert not redis.exists(IN_HAND, f"{IN_HAND}_index")
    reader.read()
    assert [message.payload for message in taken[ROOM:]] == numbered(7)[ROOM:]


def test_what_is_no_message_holds_up_no_other(
    reader: Reader, taken: list[Any], valkey: Valkey
) -> None:
    """It is set aside and in nobody's hand."""
    reader.publish("first")
    with valkey.client() as redis:
        redis.lpush(QUEUE, b"{", b"\xff", b'"\\"] x')
    reader.publish("last")
    reader.read()
    assert [message.payload for message in taken] == ["first", "last"]
    with valkey.client() as redis:
        assert redis.llen(QUEUE) == 0
        assert redis.hlen(IN_HAND) == redis.zcard(f"{IN_HAND}_index") == 2
        assert redis.hlen("earwitness.set_aside") == 3


def test_messages_behind_one_that_fails_are_put_back(valkey: Valkey) -> None:
    """The process fails on the second of four: all that it has in hand goes back to the queue when
    its connection is closed.
    """
    install_channel()
    seen: list[Any] = []

    def fail(message: Any) -> None:
        seen.append(message.payload)
        if len(seen) == 2:
            raise MemoryError

    reader = Reader(valkey.url, fail)
    reader.publish(*numbered(4))
    with pytest.raises(MemoryError):
        reader.read()
    reader.connection.release()
    with valkey.client() as redis:
        assert redis.llen(QUEUE) == 4
        assert not redis.exists(IN_HAND)


def test_a_user_that_may_not_take_several_takes_them_one_by_one(
    taken: list[Any], valkey: Valkey
) -> None:
    """An earlier release's user lacks a right: no message is lost or taken twice."""
    install_channel()
    with valkey.client() as redis:
        redis.acl_setuser("older", enabled=True, nopass=True, keys="*", commands=["+@all", "-rpop"])
    older = Reader(valkey.url.replace("redis://", "redis://older:x@"), taken.append)
    older.publish(*numbered(3))
    for number in (1, 2, 3):
        older.read()
        assert len(taken) == number
    assert [message.payload for message in taken] == numbered(3)
    with valkey.client() as redis:
        assert redis.hlen(IN_HAND) == redis.zcard(f"{IN_HAND}_index") == 3
        assert redis.llen(QUEUE) == 0
    older.connection.release()


@pytest.mark.parametrize("key", [IN_HAND, f"{IN_HAND}_index"])
def test_what_cannot_be_recorded_stays_in_its_queue(
    reader: Reader, taken: list[Any], valkey: Valkey, key: str
) -> None:
    """A key of those in hand holds something else, until a worker moves it out of the way."""
    reader.publish(*numbered(3))
    with valkey.client() as redis:
        redis.set(key, "in the way")
        reader.read()
        assert [message.payload for message in taken] == numbered(1)
        assert redis.llen(QUEUE) == 2
        redis.delete(key)
        reader.read()
        assert [message.payload for message in taken] == numbered(3)
        assert redis.llen(QUEUE) == 0


def test_without_memory_messages_stay_in_their_queue(
    reader: Reader, taken: list[Any], valkey: Valkey
) -> None:
    """Redis gives the first, as ever, but no more than it can record."""
    reader.publish(*numbered(3))
    with valkey.client() as redis:
        redis.config_set("maxmemory", "1")
        try:
            reader.read()
            assert [message.payload for message in taken] == numbered(1)
            assert redis.llen(QUEUE) == 2
        finally:
            redis.config_set("maxmemory", "0")
