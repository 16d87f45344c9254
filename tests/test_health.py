"""``earwitness health``: real processes, and each way in which they stop doing their work."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from socket import gethostname

import httpx
import pytest
from click import ClickException

from worker.commands.health import judge
from worker.health.heartbeat_files import Mark, marks, write

from .deployment import Deployment, account_toml
from .ozeki_house import ozeki_house
from .servers import free_port
from .simulators import Simulators
from .waiting import LOADED_SECONDS, eventually

pytestmark = pytest.mark.long


Deploy = Callable[..., Deployment]
FRONT = frozenset({"earwitness", "earwitness.due"})

#: Signs of life come every second, and while Redis is frozen every three; here they count so long.
WITHIN = "6"


@pytest.fixture
def house(deploy: Deploy, simulators: Simulators) -> Deployment:
    """A deployment that needs no account in particular."""
    account = simulators.gsmblockchain.account(username="myuser")
    return deploy(account_toml("legal", account.configuration()))


def health(house: Deployment, service: str, *more: str) -> tuple[int, str]:
    """Its status, and the one line that it says."""
    ended = house.run("health", service, "--within", WITHIN, *more)
    said = (ended.stdout + ended.stderr).strip()
    assert "\n" not in said, said
    return ended.returncode, said


def becomes(house: Deployment, service: str, status: int, words: str, *more: str) -> None:
    """Wait until the command ends so, and says so."""

    def look() -> bool:
        time.sleep(0.3)  # the command takes a tenth of a second of a core
        seen.append(health(house, service, *more))
        return seen[-1][0] == status and words in seen[-1][1]

    seen: list[tuple[int, str]] = []
    eventually(look, within=45, what=f"{service} was not {status} with {words!r}: {seen}")


def answers_ping(house: Deployment, node: str) -> bool:
    """Whether the node's remote control answers."""
    with house.producer() as app:
        return any(node in one for one in app.control.ping(timeout=LOADED_SECONDS, limit=1) or ())


def test_a_worker(house: Deployment) -> None:
    """A worker that consumes is healthy. One whose queue was taken away is not, though it answers
    ping, until it has it back; nor is one that stands still, or was killed. While Redis is away it
    is, and so it is afterwards.
    """
    assert health(house, "worker")[0] == 1  # nothing was ever started
    worker = house.worker("all")
    node = next(iter(marks(house.spool))).node
    becomes(house, "worker", 0, "consumes earwitness, earwitness.downloads, earwitness.due")
    becomes(house, "downloads", 0, "consumes")
    assert health(house, "beat")[0] == 1

    with house.producer() as app:
        app.control.cancel_consumer("earwitness", reply=True, limit=1, timeout=LOADED_SECONDS)
        becomes(house, "worker", 1, "does not consume earwitness;")
        assert answers_ping(house, node)
        becomes(house, "downloads", 0, "consumes")
        app.control.add_consumer("earwitness", reply=True, limit=1, timeout=LOADED_SECONDS)
        becomes(house, "worker", 0, "consumes")

    house.valkey.freeze()
    becomes(house, "worker", 0, "waits for Redis")
    assert worker.alive
    house.valkey.thaw()
    becomes(house, "worker", 0, "")  # on its way back, or there

    worker.signal_group(signal.SIGSTOP)
    becomes(house, "worker", 1, "is stuck")
    worker.signal_group(signal.SIGCONT)
    becomes(house, "worker", 0, "consumes", "--node", node)
    assert health(house, "worker", "--node", "other@host")[0] == 1

    worker.kill()
    becomes(house, "worker", 1, "it was killed")


def test_each_kind_of_worker(house: Deployment) -> None:
    """Of two kinds of workers each is judged by its own queues; one that ended in order leaves
    no mark.
    """
    celery = ("worker", "--loglevel", "INFO")
    short = house.celery(*celery, "-n", "short@%h", "-Q", "earwitness,earwitness.due", name="short")
    long = house.celery(*celery, "-n", "long@%h", "-Q", "earwitness.downloads", name="long")
    becomes(house, "worker", 0, "consumes earwitness, earwitness.due")
    becomes(house, "downloads", 0, "consumes earwitness.downloads")
    assert len(list(marks(house.spool))) == 2

    assert short.stop() == 0
    assert "no worker process is running here" in health(house, "worker")[1]
    assert [mark.node.partition("@")[0] for mark in marks(house.spool)] == ["long"]
    becomes(house, "downloads", 0, "consumes")
    assert long.alive


def test_a_worker_that_asks_no_more(house: Deployment) -> None:
    """A worker that lives, and has asked for nothing for long, is not healthy while Redis answers,
    unless that has just come back; one that starts or ends is, and another host's is not ours.
    """
    now = 1000.0
    mark = Mark("worker", f"a@{gethostname()}", "working", FRONT, FRONT, at=now, worked_at=now - 60)
    said = {
        mark: (1, "for 60 s"),
        replace(mark, redis_away_at=now - 2): (0, "reconnecting to Redis"),
        replace(mark, redis_away_at=now - 30): (1, "has not asked for messages"),
        replace(mark, worked_at=now): (0, "consumes earwitness, earwitness.due"),
        replace(mark, phase="starting"): (0, "is starting"),
        replace(mark, phase="stopping"): (0, "is stopping"),
        replace(mark, at=now - 60): (1, "no longer shows any sign of life"),
        # A mark from before the machine was restarted.
        replace(mark, at=now + 60): (1, "no longer shows any sign of life"),
    }
    for one, (status, words) in said.items():
        if status:
            with pytest.raises(ClickException, match=words):
                judge(one, "worker", 10, now=now, redis_answers=lambda: True)
        else:
            assert words in judge(one, "worker", 10, now=now, redis_answers=lambda: True)
    waits = judge(mark, "worker", 10, now=now, redis_answers=lambda: False)
    assert "waits for Redis" in waits

    write(replace(mark, node="a@elsewhere"), house.spool)
    assert "no worker process is running here" in health(house, "worker")[1]


def test_beat(house: Deployment) -> None:
    """Beat is healthy while it ticks, not when it stands still or has ended."""
    beat = house.beat()
    becomes(house, "beat", 0, "ticks")
    beat.signal_group(signal.SIGSTOP)
    becomes(house, "beat", 1, "is stuck")
    beat.signal_group(signal.SIGCONT)
    becomes(house, "beat", 0, "ticks")
    assert beat.stop() == 0
    assert "no beat process is running here" in health(house, "beat")[1]


def test_hooks(deploy: Deploy, simulators: Simulators) -> None:
    """The receiver is healthy while it answers; its address for that tells nothing."""
    made = ozeki_house(deploy, simulators)
    receiver = made.hooks()
    house = made.house
    becomes(house, "hooks", 0, "answers")
    receiver.signal_group(signal.SIGSTOP)
    assert health(house, "hooks")[0] == 1
    receiver.signal_group(signal.SIGCONT)
    becomes(house, "hooks", 0, "answers")
    receiver.stop()
    assert "does not answer" in health(house, "hooks")[1]


def test_flower(house: Deployment, tmp_path: Path) -> None:
    """Flower takes its login from a file, asks for it, and is healthy while it answers."""
    login = tmp_path / "login"
    login.write_text("ana:correct-horse\n")
    port = free_port()
    house.surroundings = {
        "FLOWER_BASIC_AUTH_FILE": str(login),
        "FLOWER_ADDRESS": "0.0.0.0",
        "FLOWER_PORT": str(port),
        "FLOWER_URL_PREFIX": "shown",
    }
    flower = house.celery("flower", name="flower")
    becomes(house, "flower", 0, "answers")
    tasks = f"http://127.0.0.1:{port}/shown/api/workers"
    with httpx.Client(trust_env=False, timeout=LOADED_SECONDS) as visitor:
        assert visitor.get(tasks).status_code == 401
        assert visitor.get(tasks, auth=("ana", "correct-horse")).status_code == 200
    assert "correct-horse" not in flower.log()
    flower.signal_group(signal.SIGSTOP)
    assert health(house, "flower")[0] == 1
    flower.signal_group(signal.SIGCONT)
    becomes(house, "flower", 0, "answers")

    house.surroundings["FLOWER_BASIC_AUTH_FILE"] = str(tmp_path / "missing")
    assert house.celery("flower", name="second").popen.wait(timeout=60) == 1
    assert "FLOWER_BASIC_AUTH_FILE" in (house.folder / "second.log").read_text()


def test_a_disk_that_is_full_or_a_mark_that_is_torn(tmp_path: Path) -> None:
    """A mark keeps its length, so renewing it takes no space; a broken one is passed over."""
    mark = Mark("worker", "a/b@host", "working", queues=frozenset({"earwitness"}), at=1.0)
    write(mark, tmp_path)
    path = mark.path(tmp_path)
    before = path.stat()
    write(Mark("worker", "a/b@host", "stopping", at=time.monotonic()), tmp_path)
    assert (path.stat().st_size, path.stat().st_ino) == (before.st_size, before.st_ino)
    assert [one.phase for one in marks(tmp_path)] == ["stopping"]
    assert json.loads(path.read_text())["node"] == "a/b@host"
    for torn in ("{", "[]", "{}", "5"):
        path.write_text(torn)
        assert list(marks(tmp_path)) == []


def test_a_mark_of_another_release(tmp_path: Path) -> None:
    """While one release replaces another on a shared spool, each reads of the other's marks what it
    knows.
    """
    mark = Mark("worker", "celery@host", "working", queues=FRONT, consumed=FRONT, at=1.0)
    write(mark, tmp_path)
    content = json.loads(mark.path(tmp_path).read_text())
    del content["redis_away_at"]
    mark.path(tmp_path).write_text(json.dumps({**content, "of_a_later_release": 1}))
    assert list(marks(tmp_path)) == [mark]


def test_workers_of_any_queues_and_names(house: Deployment) -> None:
    """Each worker of this host is judged by the queues that it was started with, whatever the host
    in its node name; with --ready one that starts, is drained or waits for Redis is not well.
    """
    here, now = gethostname(), time.monotonic()
    long = ("--within", "600")
    one = frozenset({"earwitness.due"})
    alive = Mark(
        "worker", "w@hostA", "working", one, one, at=now, worked_at=now, began_at=1.0, machine=here
    )
    write(alive, house.spool)
    assert health(house, "worker", "--node", "w@hostA", *long) == (
        0,
        "w@hostA consumes earwitness.due",
    )
    assert health(house, "worker", "--ready", *long)[0] == 0
    assert "no downloads process is running here" in health(house, "downloads")[1]
    write(replace(alive, node=f"elsewhere@{here}", machine="another"), house.spool)
    assert "elsewhere" not in health(house, "worker", *long)[1]
    for unready, words in (
        (replace(alive, phase="starting"), "is starting"),
        (replace(alive, phase="draining"), "undrain --node w@hostA"),
        (replace(alive, redis_away_at=now + 1_000), "waits for Redis"),
        (replace(alive, consumed=frozenset()), "has not asked for messages yet"),
    ):
        write(replace(unready, at=time.monotonic(), worked_at=time.monotonic() - 1), house.spool)
        status, said = health(house, "worker", "--ready", *long)
        assert (status, words in said) == (1, True), said
        assert health(house, "worker", "--live", *long)[0] == 0
