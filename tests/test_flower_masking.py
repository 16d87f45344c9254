"""Nothing personal and nothing secret in Flower, whoever sent it: pages, API, log and files."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from worker.flower.redaction import masked_event, masked_exception, masked_inspection, masked_result

from .canaries import found
from .dashboards import Dashboard, caller, dashboard
from .deployment import Deployment, Process, account_toml
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]
DAY = date(2026, 11, 10)
PERSON = "Asunción Ibárruri"
NUMBER = "34600123987"
SPOKEN = "+34 600 123 987"
UUID = str(uuid.UUID(int=0xABCDEF << 96))
TAX_ID = "B8765432J"
PASSWORD = "correct horse/battery+staple"
CANARIES = [PERSON, PERSON.partition(" ")[2], NUMBER, NUMBER[2:], SPOKEN, TAX_ID, PASSWORD]
PERSONAL = {"cnam": PERSON, "caller_id": NUMBER, "dnis": SPOKEN, "tax": TAX_ID}

#: An application of somebody else's on the same database, which has never heard of masking.
THEIRS = f"""
import os
import redis
from celery import Celery

URL = os.environ["THEIR_REDIS"]
PERSONAL = {PERSONAL!r}
app = Celery("theirs", broker=URL, backend=URL)
app.conf.update(task_send_sent_event=True, worker_send_task_events=True, task_track_started=True)
app.conf.beat_schedule = {{"x": {{"task": "theirs.x", "schedule": 9e9, "kwargs": PERSONAL}}}}

@app.task(name="theirs.tell")
def tell(*args, **kwargs):
    listed = {{"recordings": [PERSONAL, PERSONAL], "path": "{PERSON}", "found": PERSONAL}}
    return {{**listed, "platform_phone": "{SPOKEN}"}}

@app.task(name="theirs.text")
def text(*args, **kwargs):
    return "{PERSON} {NUMBER}"

@app.task(name="theirs.fail")
def fail(*args, **kwargs):
    raise ValueError("{PERSON} has no {NUMBER}")

@app.task(name="theirs.retry", bind=True)
def retry(self, *args, **kwargs):
    raise self.retry(exc=RuntimeError("{PERSON} does not answer"), countdown=600)

@app.task(name="theirs.hold")
def hold(*args, **kwargs):
    redis.Redis.from_url(URL, socket_timeout=90).blpop("theirs.go", 60)
"""


@pytest.fixture
def house(deploy: Deploy, simulators: Simulators) -> Deployment:
    """An account whose recordings are of a person, and whose password is in no log."""
    account = simulators.vonage.account(username="india@vbc.prod", password=PASSWORD)
    account.configure(ready_after_polls=0)
    fields = {"cnam": PERSON, "caller_id": int(NUMBER), "dnis": int(NUMBER)}
    for hour in (6, 7):
        account.add({"start": f"2026-11-10T0{hour}:00:00+00:00", **fields})
    return deploy(account_toml("india", account.configuration(), {}))


@pytest.fixture
def theirs(house: Deployment, tmp_path: Path) -> Process:
    """Their worker, at work."""
    (tmp_path / "theirs.py").write_text(THEIRS)
    environment = {"THEIR_REDIS": house.valkey.url, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "celery", "-A", "theirs", "worker", "--pool=threads"]
    command += ["-n", "theirs@%h", "--loglevel", "INFO"]
    process = Process(command, environment, tmp_path / "theirs.log")
    house.processes.append(process)
    eventually(lambda: " ready." in process.log(), what="their worker was not ready")
    return process


def send(app: Celery, task: str, queue: str = "earwitness", **more: Any) -> str:
    """Send a task of ours or theirs; its id."""
    return str(app.send_task(task, queue=queue, **more).id)


def tell(app: Celery, kind: str, **fields: Any) -> None:
    """Send an event as it is."""
    with app.connection_for_write() as connection, app.events.Dispatcher(connection) as events:
        events.send(kind, **fields)


def clean(shown: Dashboard, tasks: set[str], workers: set[str]) -> dict[str, bytes]:
    """Everything that Flower serves of these, once it is sure that nothing of it leaks."""
    places = {**shown.pages(tasks, workers), "log": shown.process.output.read_bytes()}
    assert sorted(found(CANARIES, places)) == []
    for task in tasks:
        assert task.encode() in places[f"/api/task/info/{task}"], places[f"/api/task/info/{task}"]
    return places


def end(shown: Dashboard, house: Deployment) -> None:
    """Stop it, and look at what it kept."""
    assert shown.process.stop() == 0
    files = [path for path in house.folder.glob("flower*") if path.suffix != ".log"]
    assert files
    kept = {path.name: path.read_bytes() for path in files}
    assert b"earwitness.recording.list" in b"".join(kept.values())
    kept["log"] = shown.process.output.read_bytes()
    assert sorted(found(CANARIES, kept)) == []


def test_what_a_producer_tells_is_masked(house: Deployment) -> None:
    """A producer that publishes its arguments as they are, while no worker runs: an expired message
    too, positional arguments, arguments that are no dictionary's names. Then the worker comes; and
    a `task-sent` that comes after the end is masked as well. All this is really sent.
    """
    filters = {"caller_id": NUMBER, "cnam": PERSON}
    personal = {"account": PERSON, PERSON: 1, "day": NUMBER, "extra": [PASSWORD]}
    with (
        caller(house, task_send_sent_event=True) as app,
        dashboard(house, FLOWER_LOGGING="debug") as shown,
    ):
        listed = {"account": "india", "filters": filters}
        ids = {
            "list": send(app, "earwitness.recording.list", kwargs=listed),
            "expired": send(app, "earwitness.recording.list", kwargs=listed, expires=0.1),
            "get": send(app, "earwitness.recording.get", kwargs=personal),
            "args": send(app, "earwitness.recording.get", args=[NUMBER, PERSON]),
            "run": send(app, "earwitness.export.run", kwargs={"account": "india", "day": str(DAY)}),
            "none": send(app, "earwitness.no.such", kwargs=personal, argsrepr=PERSON),
            "text": send(app, "earwitness.no.such", kwargsrepr=f"{{account: {PERSON}, day: x}}"),
        }
        eventually(lambda: set(ids.values()) == set(shown.tasks()), what="not all was received")
        places = clean(shown, set(ids.values()), set())
        assert b"{account: india, filters: ...}" in places[f"/task/{ids['list']}"]
        assert b"{..., account: ..., day: ..., extra: ...}" in places[f"/task/{ids['get']}"]
        house.worker()
        assert shown.task(ids["list"], "SUCCESS")["result"] == "<2 recordings>"
        assert shown.task(ids["expired"], "FAILURE")["expires"]
        assert shown.task(ids["run"], "SUCCESS")["kwargs"] == f"{{account: india, day: {DAY}}}"
        assert shown.task(ids["args"], "FAILURE")["args"] == "(...)"
        for late in (ids["list"], ids["run"]):
            raw = {"args": repr([NUMBER]), "kwargs": repr(personal), "name": f"to {NUMBER}"}
            tell(app, "task-sent", uuid=late, queue=NUMBER, routing_key=SPOKEN, retries=0, **raw)
        eventually(lambda: shown.tasks()[ids["run"]]["routing_key"], what="the event was not seen")
        (worker,) = shown.workers()
        clean(shown, set(ids.values()), {worker})
        end(shown, house)


def test_the_results_of_listing_tasks_are_counts(house: Deployment) -> None:
    """What a caller reads in its own result, people in clear, Flower shows as counts: also where it
    reads the result itself. Other results keep ids, paths, sums and counts.
    """
    house.worker()
    with house.producer() as app, dashboard(house) as shown:
        listed = house.send(app, "recording.list", account="india")
        recording = listed.get(timeout=60)["recordings"][0]
        assert PERSON in json.dumps(recording, ensure_ascii=False)
        one = house.send(app, "recording.get", account="india", recording_id=recording["id"])
        assert NUMBER in json.dumps(one.get(timeout=60))
        run = house.send(app, "export.run", account="india", day=str(DAY))
        done = run.get(timeout=60)
        for asked in (listed, one, run):
            shown.task(asked.id, "SUCCESS")
        places = clean(shown, {listed.id, one.id, run.id}, set(eventually(shown.workers)))
        assert shown.tasks()[listed.id]["result"] == "<2 recordings>"
        assert json.loads(places[f"/api/task/result/{listed.id}"])["result"]["recordings"] == 2
        assert json.loads(places[f"/api/task/result/{one.id}"])["result"] == "{...}"
        assert json.loads(places[f"/api/task/result/{run.id}"])["result"] == done
        assert done["manifest"] in shown.tasks()[run.id]["result"]
        end(shown, house)


@pytest.mark.usefixtures("theirs")
def test_what_another_application_tells_is_masked(house: Deployment) -> None:
    """Another application's worker on the same database: its arguments, results, exceptions,
    tracebacks, what it holds and its configuration come as they are, and are masked; events that no
    one understands do no harm.
    """
    house.worker()
    with (
        caller(house, task_send_sent_event=True) as app,
        # A worker's page has what the worker answers within this time, in milliseconds.
        dashboard(house, FLOWER_LOGGING="debug", FLOWER_INSPECT_TIMEOUT="5000") as shown,
    ):
        send(app, "earwitness.recording.list", kwargs={"account": "india"})
        sent: dict[str, Any] = {"queue": "celery", "args": [PERSON], "kwargs": PERSONAL}
        ends = {"tell": "SUCCESS", "text": "SUCCESS", "fail": "FAILURE", "hold": "STARTED"}
        ids = {name: send(app, f"theirs.{name}", **sent) for name in (*ends, "retry")}
        for name, state in ends.items():
            shown.task(ids[name], state)
        eventually(lambda: shown.tasks()[ids["retry"]]["retried"], what="it was not tried again")
        odd = send(app, "theirs.tell", task_id=f"call-{NUMBER}", root_id=f"of-{NUMBER}", **sent)
        tell(app, "task-received", name=PERSON, kwargs=PERSON)
        tell(app, "task-progress", uuid=ids["hold"], who=PERSON, result=repr(PERSONAL))
        tell(app, f"task-{NUMBER}", uuid=ids["hold"], who=PERSON)
        eventually(lambda: len(shown.tasks()) == 7, what="not all was received")
        workers = set(shown.workers())
        (theirs,) = {worker for worker in workers if worker.startswith("theirs@")}
        places = clean(shown, set(ids.values()), workers)
        assert ids["hold"].encode() in places[f"/worker/{theirs}"]
        assert ids["retry"].encode() in places[f"/worker/{theirs}"]
        assert places["log"].count(b"an event was left out") == 1
        tasks = shown.tasks()
        assert odd not in tasks
        assert [task for task in tasks if task.startswith("call-***987~")]
        assert tasks[ids["tell"]]["result"] == "{recordings: 2, platform_phone: ***987}"
        assert tasks[ids["fail"]]["exception"] == "ValueError(...)"
        assert tasks[ids["retry"]]["exception"] == "Retry(...)"
        assert 'File "' in tasks[ids["fail"]]["traceback"]
        with house.valkey.client() as client:
            client.rpush("theirs.go", "go")
        shown.task(ids["hold"], "SUCCESS")
        end(shown, house)


def test_a_configuration_of_ones_own_does_not_take_the_masks_off(
    house: Deployment, tmp_path: Path
) -> None:
    """Whatever --conf says, and wherever it is started, events are masked before they are kept."""
    own = tmp_path / "own.py"
    own.write_text("format_task = lambda task: task\nmax_tasks = 5\n")
    with (
        caller(house, task_send_sent_event=True) as app,
        dashboard(house, f"--conf={own}", folder=tmp_path) as shown,
    ):
        asked = send(app, "earwitness.recording.list", kwargs={"account": "india", **PERSONAL})
        eventually(lambda: asked in shown.tasks(), what="it was not received")
        clean(shown, {asked}, set())
        end(shown, house)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (7, "..."),
        (NUMBER, "..."),
        ([PERSONAL], 1),
        ({}, "{...}"),
        (PERSONAL, "{...}"),
        ({"bytes": 104_857_600, "job_id": UUID, "sha256": "ab" * 32}, ...),
        ({"path": "india/recordings/2026/11/10/1.mp3", "state": "done"}, ...),
        ({"path": PERSON, "manifest": f"india/{PERSON}", "job_id": "ibarruri"}, "{...}"),
        ({"created_at": "2026-11-10T06:00:00Z", "kind": "export.run", "deleted": True}, ...),
        ({"bytes": NUMBER, "missing": [PERSON]}, "{...}"),
        ({"platform_phone": SPOKEN, "path": {"of": PERSON}}, {"platform_phone": "***987"}),
        ({"account": PERSON, "state": "done"}, {"state": "done"}),
        ({"heads": {"india": "ab"}, "calls": [1, 2]}, {"calls": 2, "heads": 1}),
    ],
    ids=str,
)
def test_a_result_shows_what_is_known_to_be_harmless(
    value: Any, shown: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Counts, ids, paths and sums, each only where it has its form; the rest is not shown."""
    (tmp_path / "accounts.toml").write_text("")
    monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))
    told = masked_result(value)
    assert told == (value if shown is ... else shown)
    assert not found(CANARIES, {"result": json.dumps(told).encode()})


@pytest.mark.parametrize(
    "text",
    [
        f"ValueError('{PERSON}')",
        f"their.module.Error('{PERSON}', {NUMBER})",
        f"1 validation error for Call\nphone\n  {PERSON} [input_value='{NUMBER}']",
        f"<Error {PERSON}>",
        f"Rejected('not done: the number {SPOKEN} of {NUMBER}')",
        PERSON,
        "",
    ],
)
@pytest.mark.parametrize("kind", ["task-failed", "task-retried", "task-odd"])
def test_an_exception_shows_no_person(text: str, kind: str) -> None:
    """Of exceptions that are not ours only the kind is shown, of ours masked numbers."""
    event = {"type": kind, "uuid": str(uuid.uuid4()), "exception": text, "traceback": text}
    event = masked_event(event)
    assert not found(CANARIES, {"event": json.dumps(event, ensure_ascii=False).encode()})
    assert not found(CANARIES, {"alone": masked_exception(text).encode()})


def test_only_fields_of_celery_are_kept() -> None:
    """What an event carries besides is left out, and a number's field holds numbers."""
    event = {"type": "task-sent", "uuid": "u", "hostname": "h", "runtime": NUMBER, "who": PERSON}
    told = masked_event({**event, "state": PERSON, "children": [PERSON], "loadavg": [0.1, NUMBER]})
    assert told == {
        "type": "task-sent",
        "uuid": "u",
        "hostname": "h",
        "runtime": "***987",
        "loadavg": [0.1, "***987"],
    }


def test_what_stands_in_place_of_a_number_is_masked() -> None:
    """Lists in lists, numbers under names, and more levels than any event of Celery's has."""
    deep: Any = NUMBER
    for _ in range(500):
        deep = [deep]
    for value in ([[SPOKEN], [1.5]], {"to": int(NUMBER)}, {NUMBER: [PERSON, int(NUMBER)]}, deep):
        told = json.dumps(masked_event({"type": "worker-heartbeat", "loadavg": value}))
        assert found([NUMBER, SPOKEN], {"the event": told.encode()}) == set()
    assert masked_event({"loadavg": (0.5, 1, None)})["loadavg"] == [0.5, 1, None]


def test_ids_that_look_like_numbers_stay_apart() -> None:
    """A task's id that holds a number is masked, always alike, and not like another one's."""
    ids = [masked_event({"type": "task-x", "uuid": f"call-600{n}987"})["uuid"] for n in (123, 124)]
    again = masked_event({"type": "task-x", "uuid": "call-600123987"})["uuid"]
    assert ids[0] == again
    assert ids[0] != ids[1]
    assert all(one.startswith("call-***987~") for one in ids)


def test_what_a_worker_holds_is_masked() -> None:
    """Arguments in whatever form, at whatever depth; numbers of the worker's own stay."""
    held = {"id": "u", "args": [PERSON], "kwargs": PERSONAL, "time_start": 1.5, "hostname": "h"}
    told = masked_inspection([{"eta": None, "request": held, "pid": 12_345_678}])
    assert not found(CANARIES, {"told": json.dumps(told, ensure_ascii=False).encode()})
    assert told[0]["pid"] == 12_345_678
    assert told[0]["request"]["time_start"] == 1.5
    assert told[0]["request"]["args"] == "(...)"
