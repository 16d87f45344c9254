"""The producer's library in processes of its own: forks, an interpreter's end, surroundings."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .deployment import ROOT
from .servers import Valkey, free_port

#: What every script begins with.
PREFACE = """
import json, os, sys, threading, time
from earwitness_client import *

def send(client, **more):
    return client.recording.download(account="india", recording_id="7", **more)
"""
Said = dict[str, Any]
#: How soon an interpreter is over that waits for nothing, in the quickest of a few runs: what holds
#: the machine up does not count.
AT_ONCE_SECONDS, TRIES = 2.0, 5


def run(script: str, *arguments: str, environment: dict[str, str] | None = None) -> Said:
    """Run a script in an interpreter that makes errors of warnings; what it printed as JSON last,
    and under ``ended`` how many seconds after that it was over.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREFACE + script, *arguments],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "client" / "src"),
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    over = time.monotonic()
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    return {**said, "ended": over - said["now"]}


ENDING = """
client = Earwitness(sys.argv[1])
pid = int(sys.argv[2])
if pid:
    send(client)
    os.kill(pid, 19)
try:
    send(client)
except NotSent as error:
    told = type(error).__name__
def late():
    while True:
        try:
            send(client)
        except NotSent:
            pass
threading.Thread(target=late, daemon=True).start()
print(json.dumps({"told": told, "now": time.monotonic()}), flush=True)
"""


def test_an_interpreter_ends_with_redis_dead() -> None:
    """Nobody listens, the client was not closed, a thread sends again and again: the process ends
    all the same.
    """
    url = f"redis://127.0.0.1:{free_port()}/0"
    for _ in range(TRIES):
        said = run(ENDING, url, "0")
        assert said["told"] == "NotQueued"
        if said["ended"] < AT_ONCE_SECONDS:
            return
    raise AssertionError(f"it went on for {said['ended']:.1f} s")


def test_an_interpreter_ends_with_redis_frozen(valkey: Valkey) -> None:
    """As above, with open connections to a Redis that has stopped answering."""
    for _ in range(TRIES):
        valkey._frozen = True
        said = run(ENDING, valkey.url, str(valkey.pid))
        valkey.thaw()
        assert said["told"] == "MaybeQueued"
        if said["ended"] < AT_ONCE_SECONDS:
            return
    raise AssertionError(f"it went on for {said['ended']:.1f} s")


WAITING = """
from redis import Redis

redis = Redis.from_url(sys.argv[1])
redis.set("earwitness.listening.earwitness", 1)
client = Earwitness(sys.argv[1])
job = send(client)

def wait(results):
    results.append(job.wait(120))

def until_listeners(number):
    while len(redis.client_list(_type="pubsub")) < number:
        time.sleep(0.02)

mine, theirs = [], []
thread = threading.Thread(target=wait, args=(mine,))
thread.start()
until_listeners(1)
child = os.fork()
if child == 0:
    wait(theirs)
    os._exit(0 if theirs == [7] else 1)
until_listeners(2)
key = "celery-task-meta-" + job.task_id
mark = {"job_id": job.id}
stored = {"status": "SUCCESS", "result": 7, "task_id": job.task_id, "earwitness": mark}
stored = json.dumps(stored)
redis.set(key, stored)
redis.publish(key, stored)
thread.join()
end = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
redis.delete(key)
threading.Thread(target=wait, args=([],), daemon=True).start()
until_listeners(1)
print(json.dumps({"mine": mine, "end": end, "now": time.monotonic()}), flush=True)
"""


def test_waits_in_several_processes(valkey: Valkey) -> None:
    """Each process listens on a connection of its own, also after a fork, and gets its result. An
    interpreter ends at once while a thread of it still waits.
    """
    for _ in range(TRIES):
        said = run(WAITING, valkey.url)
        assert (said["mine"], said["end"]) == ([7], 0)
        if said["ended"] < AT_ONCE_SECONDS:
            return
    raise AssertionError(f"it went on for {said['ended']:.1f} s")


FORKING = """
client = Earwitness(sys.argv[1])
send(client)
busy = threading.Event()
def keep_sending():
    while not busy.is_set():
        send(client, request_id="other")
thread = threading.Thread(target=keep_sending)
thread.start()
children = []
for number in range(10):
    child = os.fork()
    if child == 0:
        try:
            for _ in range(20):
                send(client, request_id=f"child-{number}")
        except BaseException:
            os._exit(1)
        os._exit(0)
    children.append(child)
for _ in range(50):
    send(client, request_id="parent")
ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
busy.set()
thread.join()
send(client, request_id="last")
print(json.dumps({"ends": ends, "now": time.monotonic()}), flush=True)
"""


def test_a_client_made_before_a_fork(valkey: Valkey) -> None:
    """Ten children are forked while two threads send; every sending of each process arrives once,
    on connections of its own.
    """
    said = run(FORKING, valkey.url)
    assert said["ends"] == [0] * 10
    with valkey.client() as redis:
        messages = [json.loads(one) for one in redis.lrange("earwitness", 0, -1)]  # type: ignore[union-attr]
    shown = [_request_id(one) for one in messages]
    assert [shown.count(f"child-{number}") for number in range(10)] == [20] * 10
    assert (shown.count("parent"), shown.count("last")) == (50, 1)


def _request_id(message: dict[str, str]) -> str:
    return str(json.loads(base64.b64decode(message["body"]))[1]["request_id"])


SURROUNDED = """
import celery._state
Earwitness(sys.argv[1]).close()
untouched = celery._state.default_app is None and celery._state._tls.current_app is None
celery.Celery("own", broker="memory://", fixups=[])
with Earwitness(sys.argv[1]) as client:
    send(client)
print(json.dumps({
    "untouched": untouched,
    "current": celery.current_app.main,
    "read": "planted" in sys.modules,
    "now": time.monotonic(),
}))
"""


def test_nothing_around_it_matters_or_is_changed(valkey: Valkey, tmp_path: Path) -> None:
    """Celery's environment variables and a configuration module are not read, and the application
    that is current stays so.
    """
    (tmp_path / "planted.py").write_text("raise SystemExit('it was read')")
    environment = {
        "CELERY_CONFIG_MODULE": "planted",
        "CELERY_BROKER_URL": "amqp://nowhere",
        "CELERY_RESULT_BACKEND": "nowhere://",
        "DJANGO_SETTINGS_MODULE": "planted",
        "PYTHONPATH": f"{ROOT / 'client' / 'src'}:{tmp_path}",
    }
    said = run(SURROUNDED, valkey.url, environment=environment)

    assert (said["untouched"], said["current"], said["read"]) == (True, "own", False)
    with valkey.client() as redis:
        assert redis.llen("earwitness") == 1


@pytest.mark.parametrize("module", ["kombu.transport.redis", "celery.backends.redis", "config"])
def test_it_brings_no_more_than_it_needs(module: str) -> None:
    """Neither Celery's result backend nor anything of the worker is imported."""
    script = f'print(json.dumps({{"there": {module!r} in sys.modules, "now": time.monotonic()}}))'

    assert run(script)["there"] is False
