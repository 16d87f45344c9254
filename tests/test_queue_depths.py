"""What a worker finds in Redis for its metrics: whether it serves, and how long messages wait."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from config.queues import OLDEST, TICKED
from config.settings import settings
from worker.redis import queue_depths
from worker.redis.queue_depths import RedisState

from .redis_page import PASSWORD, denied, make_users
from .servers import Valkey
from .waiting import LOADED_SECONDS, in_time


@pytest.fixture
def redis(valkey: Valkey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Valkey]:
    """The Redis of this process' settings, with a timeout that a busy machine keeps."""
    monkeypatch.setattr(queue_depths, "_SECONDS", LOADED_SECONDS)
    (tmp_path / "accounts.toml").write_text("")
    monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))
    use(valkey.url, monkeypatch)
    yield valkey
    valkey.thaw()
    settings.cache_clear()


def use(url: str, monkeypatch: pytest.MonkeyPatch, prefix: str = "") -> None:
    """Let the settings of this process name this Redis."""
    monkeypatch.setenv("EARWITNESS_REDIS_URL", url)
    if prefix:
        monkeypatch.setenv("EARWITNESS_REDIS_KEY_PREFIX", prefix)
    settings.cache_clear()


def message(task_id: str) -> str:
    """A message as producers write it, with something that nobody may note elsewhere."""
    return json.dumps({"body": "secret", "headers": {"id": task_id}, "properties": {}})


def ages(state: RedisState) -> dict[str, tuple[int, bool]]:
    """The messages of each queue, and whether the oldest has an age."""
    return {queue: (one.messages, one.age > 0) for queue, one in state.depths.items()}


def test_messages_and_the_age_of_the_oldest(redis: Valkey) -> None:
    """Each queue's messages of every priority; the oldest has an age from the second look on, which
    another worker and a new message do not change. When it is taken, the next begins at 0.
    """
    with redis.client() as client:
        client.lpush("earwitness", message("a"), message("b"))
        client.lpush("earwitness\x06\x163", message("c"))
        first = queue_depths.look()
        assert (first.broker, first.results, first.error) == (True, True, None)
        assert ages(first)["earwitness"] == (3, False)
        assert ages(first)["earwitness.due"] == (0, False)
        client.lpush("earwitness", message("d"))
        time.sleep(0.05)
        second = queue_depths.look().depths["earwitness"]
        assert second.messages == 4
        assert 0.05 <= second.age < 60
        client.delete("earwitness\x06\x163")
        assert queue_depths.look().depths["earwitness"].age >= second.age
        taken = client.rpop("earwitness")
        assert ages(queue_depths.look())["earwitness"] == (2, False)
        client.rpush("earwitness", taken)
        noted = b"".join(client.hgetall(OLDEST).values())
        assert b"secret" not in noted
        assert client.ttl(OLDEST) > 0
        client.delete("earwitness")
    assert ages(queue_depths.look())["earwitness"] == (0, False)


def test_a_message_that_was_put_back_keeps_its_age(redis: Valkey) -> None:
    """A redelivered message differs in its bytes, not in its id."""
    with redis.client() as client:
        client.lpush("earwitness.due", message("a"))
        queue_depths.look()
        client.delete("earwitness.due")
        client.lpush("earwitness.due", json.dumps({"headers": {"id": "a"}, "body": "", "n": 1}))
        time.sleep(0.05)
        assert queue_depths.look().depths["earwitness.due"].age >= 0.05


@pytest.mark.parametrize("item", ["", "no JSON", "[1]", '{"headers": 7}', "\x00" * 1000])
def test_whatever_lies_there_is_counted(redis: Valkey, item: str) -> None:
    """What is no message at all lies there all the same, and grows old."""
    with redis.client() as client:
        client.lpush("earwitness", item)
        queue_depths.look()
        time.sleep(0.02)
        found = queue_depths.look().depths["earwitness"]
        assert (found.messages, found.age > 0) == (1, True)
        client.delete("earwitness")


def test_keys_of_another_type_hide_nothing_else(redis: Valkey) -> None:
    """A queue's key that is no list counts as empty, the notes' key that is none as absent."""
    with redis.client() as client:
        client.set("earwitness.downloads", "no list")
        client.set(OLDEST, "no hash")
        client.lpush("earwitness", message("a"))
        state = queue_depths.look()
        assert state.broker
        assert ages(state)["earwitness"] == (1, False)
        assert ages(state)["earwitness.downloads"] == (0, False)
        client.delete("earwitness.downloads", OLDEST, "earwitness")


def test_only_its_own_deployment_is_looked_at(
    redis: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a prefix, the queues and notes of that prefix alone."""
    with redis.client() as client:
        client.lpush("earwitness", message("theirs"))
        client.lpush("ours:earwitness", message("a"), message("b"))
        use(redis.url, monkeypatch, "ours:")
        assert ages(queue_depths.look())["earwitness"] == (2, False)
        assert client.exists(f"ours:{OLDEST}")
        assert not client.exists(OLDEST)
        client.delete("earwitness", "ours:earwitness", f"ours:{OLDEST}")


def test_redis_that_does_not_serve(redis: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen, a password refused, a right missing: each is told within a scrape's patience, and
    raises nothing. A right that only results need leaves the broker up.
    """
    with redis.client() as client:
        client.execute_command(
            *["ACL", "SETUSER", "w", "on", ">pw", "~earwitness*", "~celery-task-meta-*", "+@all"]
        )
        name = redis.url.replace("redis://", "redis://w:{}@")
        use(name.format("pw"), monkeypatch)
        assert queue_depths.look().broker
        use(name.format("old"), monkeypatch)
        refused = queue_depths.look()
        assert (refused.broker, refused.results, refused.depths) == (False, False, {})
        use(name.format("pw"), monkeypatch)
        client.execute_command(*["ACL", "SETUSER", "w", "resetkeys", "~earwitness*"])
        half = queue_depths.look()
        assert (half.broker, half.results) == (True, False)
        client.execute_command(*["ACL", "SETUSER", "w", "resetkeys", "~celery-task-meta-*"])
        other = queue_depths.look()
        assert (other.broker, other.results, other.depths) == (False, True, {})
        client.execute_command("ACL", "DELUSER", "w")
    redis.freeze()
    use(redis.url, monkeypatch)
    monkeypatch.setattr(queue_depths, "_SECONDS", 1.5)
    with in_time():
        assert not queue_depths.look().broker
    redis.thaw()


def test_the_rule_for_workers_allows_it(redis: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rights that docs/redis.md gives to a worker are enough."""
    make_users(redis)
    with redis.client() as client:
        client.lpush("earwitness", message("a"))
        use(
            redis.url.replace("redis://", f"redis://earwitness:{quote(PASSWORD, '')}@"), monkeypatch
        )
        queue_depths.look()
        time.sleep(0.02)
        state = queue_depths.look()
        assert (state.broker, state.results) == (True, True)
        assert state.depths["earwitness"].age > 0
        client.delete("earwitness", OLDEST)
    assert denied(redis) == set()


def test_a_tick_that_cannot_be_read_is_unknown(redis: Valkey) -> None:
    """A key of another type under the tick's name hides neither the queues nor the results."""
    with redis.client() as client:
        client.delete(TICKED)
        client.lpush(TICKED, "no time")
        try:
            state = queue_depths.look()
        finally:
            client.delete(TICKED)
    assert (state.broker, state.results, state.error, state.ticked_at) == (True, True, None, None)
    assert state.depths
