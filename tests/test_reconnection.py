"""After Redis comes back, workers return within seconds; until then doctor says that they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from socket import gethostname

import pytest
from kombu.exceptions import OperationalError

from worker.commands.doctor.workers import _consumers
from worker.health.heartbeat_files import Mark
from worker.redis.reconnection import PromptConnection

from .certified_calls import call_house
from .deployment import Deployment
from .servers import free_port
from .simulators import Simulators
from .waiting import eventually

pytestmark = pytest.mark.long

Deploy = Callable[..., Deployment]
QUEUES = frozenset({"earwitness", "earwitness.due", "earwitness.downloads"})


def test_pauses_grow_to_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long Redis is away, the next attempt to connect follows within five seconds."""
    pauses: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _: None)
    connection = PromptConnection(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(OperationalError):
        connection.ensure_connection(lambda _, pause: pauses.append(pause), max_retries=9)
    assert pauses[0] <= 1
    assert max(pauses) == 5


def test_doctor_says_that_workers_are_reconnecting(deploy: Deploy, simulators: Simulators) -> None:
    """While workers connect again, nobody is told to start one; then they work, and a worker that
    was drained before is drained still.
    """
    calling = call_house(deploy, simulators)
    house = calling.house
    house.worker("one")
    two = f"two@{gethostname()}"
    house.worker("two")
    assert house.run("drain", "--node", two, "--wait").returncode == 0
    house.valkey.kill()
    eventually(
        lambda: house.processes[0].log().count("Trying again in") >= 3,
        what="there were not three attempts",
    )
    house.valkey.start()
    said = house.run("doctor").stdout
    assert "start one: celery" not in said
    assert "is consumed by one@" in said or "one@" in said.partition("reconnecting to Redis")[0]
    with house.producer() as app:
        assert calling.ask(app, "afterwards").get(timeout=60)
        eventually(
            lambda: f"{two} is drained and takes no work" in house.run("doctor").stdout,
            what="the drained worker did not come back",
        )


def test_what_doctor_says_of_a_queue_that_nobody_consumes() -> None:
    """Reconnecting, drained, ended just now, or never started: each gets its own advice."""
    mark = Mark("worker", "a@host", "working", QUEUES, QUEUES)
    of_due = replace(mark, node="b@host", queues=frozenset({"earwitness.due"}))
    found = {
        (finding.level, word)
        for drained, back, lately in (
            ((), [mark], ()),
            ((), [of_due], ()),
            (["c@host"], [], ()),
            ((), [], QUEUES),
            ((), [], ()),
        )
        for finding in _consumers({}, drained, back, lately)
        for word in ("reconnecting to Redis", "drained: c@host", "within the last minute")
        if word in finding.meaning
    }
    assert found == {
        ("warning", "reconnecting to Redis"),
        ("error", "drained: c@host"),
        ("error", "within the last minute"),
        ("error", "reconnecting to Redis"),  # of one that has ended, or is reconnecting
    }
    (due,) = [one for one in _consumers({}, (), [of_due], ()) if one.level == "warning"]
    assert due.meaning.startswith("earwitness.due is not consumed yet: b@host")
