"""Mistakes that would pass in silence: a queue, a database or a prefix in which nobody listens, a
worker that consumes the wrong queues, two workers of one name, another application's worker.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from earwitness_client import Earwitness, NotAnswered

from .deployment import Deployment, Process, account_toml
from .servers import Valkey
from .simulators import Simulators
from .waiting import eventually

pytestmark = pytest.mark.long


Deploy = Callable[..., Deployment]

ASKED = {"account": "legal"}
#: A worker of another application that consumes our queue.
THEIRS = """
from celery import Celery

app = Celery("crm", broker={url!r}, backend={url!r})
app.conf.task_default_queue = "earwitness"
"""


@pytest.fixture
def house(deploy: Deploy, simulators: Simulators) -> Deployment:
    """A deployment that needs no account in particular."""
    account = simulators.gsmblockchain.account(username="myuser")
    return deploy(account_toml("legal", account.configuration()))


def found(house: Deployment, subject: str) -> dict[str, list[str]]:
    """What doctor finds about a subject, by level."""
    levels: dict[str, list[str]] = {}
    for one in json.loads(house.run("doctor", "--json").stdout):
        if one["subject"] == subject:
            levels.setdefault(one["level"], []).append(f"{one['meaning']} -> {one['advice']}")
    return levels


def says(process: Process, words: str) -> None:
    """Wait until a process has said so in its log."""
    eventually(lambda: words in process.log(), within=60, what=f"it did not say {words!r}")


def database(valkey: Valkey, number: int) -> str:
    """The address of another database."""
    return f"{valkey.url.rpartition('/')[0]}/{number}"


# --- where nobody listens ------------------------------------------------------------------------


#: Where a client may look for workers in vain, and what its error calls that place.
ELSEWHERE: list[tuple[int, dict[str, str]]] = [
    (3, {}),
    (0, {"key_prefix": "a:"}),
    (0, {"queue": "earwitnes"}),
]


def test_a_client_is_told_that_no_worker_listens(house: Deployment, valkey: Valkey) -> None:
    """Another database, prefix or queue than the worker's: soon, not after its whole patience, or
    in what it is told at the end, which names where it was sent.
    """
    house.worker()
    with Earwitness(valkey.url) as right:
        eventually(lambda: _listened(valkey), what="the worker did not show itself")
        with pytest.raises(Exception, match="no job has the id"):
            right.job.status(job_id="x").wait(30)
    # All at once: each client looks for workers for ten seconds before it says that there are none.
    with ThreadPoolExecutor() as threads:
        asked = [
            threads.submit(act, valkey, number, more)
            for act in (_no_answer, _not_accepted)
            for number, more in ELSEWHERE
        ]
    for one in asked:
        one.result()


def _no_answer(valkey: Valkey, number: int, more: dict[str, str]) -> None:
    patience = 4 if "queue" in more else 120
    with Earwitness(database(valkey, number), **more) as wrong:
        began = time.monotonic()
        with pytest.raises(NotAnswered, match="no worker listens on this Redis") as told:
            wrong.job.status(job_id="x").wait(patience)
        assert time.monotonic() - began < 60
    assert f"database {number}, queue {more.get('queue', 'earwitness')}" in str(told.value)


def _not_accepted(valkey: Valkey, number: int, more: dict[str, str]) -> None:
    if "queue" in more:
        return  # workers of a queue of this name are not known
    with Earwitness(database(valkey, number), **more) as wrong:
        began = time.monotonic()
        job = wrong.recording.download(account="legal", recording_id="7")
        with pytest.raises(NotAnswered, match="no worker listens on this Redis"):
            job.accepted(120)
        assert time.monotonic() - began < 60


def _listened(valkey: Valkey) -> bool:
    with valkey.client() as client:
        return client.get("earwitness.listening.earwitness") is not None


def test_a_worker_that_comes_late_is_waited_for(house: Deployment, valkey: Valkey) -> None:
    """Where workers are known, their absence ends no waiting before its time; and where they are
    not, as after a flush, one that shows itself within seconds.
    """
    worker = house.worker()
    eventually(lambda: _listened(valkey))
    worker.stop()
    with valkey.client() as redis, Earwitness(valkey.url) as client:
        redis.delete("earwitness.listening.earwitness")
        answer = client.job.status(job_id="x")
        with pytest.raises(NotAnswered, match=r"no worker listens on this Redis .* now"):
            answer.wait(2)
        house.worker("late")
        with pytest.raises(Exception, match="no job has the id"):
            answer.wait(60)
        redis.flushall()
        with pytest.raises(Exception, match="no job has the id"):
            client.job.status(job_id="y").wait(60)


def test_a_worker_that_shows_nothing_is_no_absence(valkey: Valkey) -> None:
    """Something takes from the queue, as a worker of an earlier release does: the client waits as
    long as it was told to.
    """
    with Earwitness(valkey.url) as client, valkey.client() as redis:
        answer = client.job.status(job_id="x")
        redis.delete("earwitness")
        with pytest.raises(NotAnswered, match="within 12 s"):
            answer.wait(12)


def test_tasks_that_lie_where_no_worker_looks_are_found(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """In the queue ``celery``, without the prefix, in another database: doctor and the worker name
    each, and nothing is taken; what belongs to others is not counted.
    """
    account = simulators.gsmblockchain.account()
    house = deploy(
        account_toml("legal", account.configuration()), settings={"REDIS_KEY_PREFIX": "a:"}
    )
    with house.producer() as app:
        for _ in range(2):
            app.send_task("earwitness.call.list", kwargs=ASKED)
        app.send_task("crm.invoice", kwargs=ASKED)
        app.send_task("earwitness.call.list", kwargs=ASKED, queue="earwitness")
    with Earwitness(database(valkey, 3), key_prefix="a:") as client:
        client.call.list(account="legal")
    with valkey.client() as redis:
        redis.lpush("celery", "no JSON", b"\xff", "[]", '{"headers": []}')
        before = redis.lrange("celery", 0, -1)
        warned = "\n".join(found(house, "redis")["warning"])
        assert "2 tasks for Earwitness in the queue celery of database 0" in warned
        assert "1 task for Earwitness in the queue earwitness of database 0" in warned
        assert "1 task for Earwitness in the queue a:earwitness of database 3" in warned
        assert 'use queue="earwitness"' in warned
        worker = house.worker()
        says(worker, "2 tasks for Earwitness in the queue celery of database 0")
        assert redis.lrange("celery", 0, -1) == before


# --- workers -------------------------------------------------------------------------------------


def test_a_worker_of_the_wrong_queue_says_so(house: Deployment) -> None:
    """``-Q celery``: at its start, in what it consumes and in what nobody consumes; doctor too."""
    worker = house.celery("worker", "-Q", "celery", "-n", "wrong@%h", "-l", "INFO", name="wrong")
    says(worker, "this worker consumes celery, which is not a queue of Earwitness")
    says(worker, "this worker consumes none of earwitness, earwitness.due, earwitness.downloads")
    for queue in ("earwitness:", "earwitness.due:", "earwitness.downloads:"):
        says(worker, f"no worker consumes {queue}")
    errors = "\n".join(found(house, "workers")["error"])
    assert "consumes celery, which is not a queue of Earwitness" in errors
    assert "no worker consumes earwitness: no tasks are accepted" in errors


def test_a_queue_that_nobody_consumes_is_said_until_somebody_does(house: Deployment) -> None:
    """A worker of two queues alone warns of the third; beside one that has it, neither warns."""
    half = ("worker", "-Q", "earwitness,earwitness.due", "-l", "INFO")
    alone = house.celery(*half, "-n", "alone@%h", name="alone")
    says(alone, "no worker consumes earwitness.downloads: nothing is downloaded")
    assert "no worker consumes earwitness:" not in alone.log()
    house.celery("worker", "-Q", "earwitness.downloads", "-n", "other@%h", name="other")
    with house.valkey.client() as redis:
        key = "earwitness.listening.earwitness.downloads"
        eventually(lambda: redis.get(key) is not None)
    later = house.celery(*half, "-n", "later@%h", name="later")
    says(later, " ready.")
    time.sleep(12)  # so long it looks for others before it says anything
    assert "no worker consumes" not in later.log()


@pytest.mark.soak
def test_two_workers_of_one_name_are_told(house: Deployment) -> None:
    """By both workers' logs and by doctor; one that was killed and comes again is not two."""
    first = house.worker("same")
    first.kill()
    again = house.celery("worker", "-n", "same@%h", "-l", "INFO", name="again")
    says(again, " ready.")
    eventually(lambda: _held_long(house))
    assert "another worker is called" not in again.log()
    second = house.celery("worker", "-n", "same@%h", "-l", "INFO", name="second")
    says(again, "another worker is called same@")
    says(second, "another worker is called same@")
    says(second, " ready.")
    warned = "\n".join(found(house, "workers")["warning"])
    assert "2 of them are called same@" in warned


def _held_long(house: Deployment) -> bool:
    """Whether the worker has shown its name several times: its mark was renewed."""
    with house.valkey.client() as redis:
        keys = list(redis.scan_iter("earwitness.node.same@*"))
        if not keys:
            return False
        before = redis.pttl(keys[0])
        time.sleep(0.5)
        return int(redis.pttl(keys[0])) >= int(before) - 300  # type: ignore[arg-type]


def test_another_application_on_our_queue_is_told(
    house: Deployment, valkey: Valkey, tmp_path: Path
) -> None:
    """Its worker would take our tasks and discard them; one on a queue of its own is no matter."""
    (tmp_path / "crm.py").write_text(THEIRS.format(url=valkey.url))
    house.worker()
    for name, more in (("theirs", []), ("harmless", ["-Q", "crm"])):
        command = [sys.executable, "-m", "celery", "--workdir", str(tmp_path), "-A", "crm"]
        command += ["worker", "-n", f"{name}@crm", "-P", "solo", "-l", "INFO", *more]
        process = Process(command, {"PATH": "", "PYTHONPATH": str(tmp_path)}, tmp_path / name)
        house.processes.append(process)
        says(process, " ready.")
    errors = "\n".join(found(house, "workers")["error"])
    assert "theirs@crm consumes earwitness and does not answer as a worker of Earwitness" in errors
    assert "harmless@crm" not in errors
