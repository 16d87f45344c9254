"""What Flower says of jobs: only what our workers say, each thing only in its own form."""

from __future__ import annotations

import pickle
import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from celery.events.state import State, Task

from tasks.runtime import job_events
from tasks.runtime.job_events import DECIDED, FIELD
from worker.flower.dashboard import _masking_events
from worker.flower.events import well_formed
from worker.flower.jobs import JobTask, arguments_of, in_words, merged_job, shown_job
from worker.flower.redaction import masked_event

JOB = "56d26f73-0abf-5b51-80e5-0c1b2a3d4e5f"
TOLD = {
    "job_id": JOB,
    "account": "legal_es",
    "request_id": "notice-4711",
    "day": "2026-11-20",
    "state": "waiting",
    "next_attempt_at": 1.8e9,
}
SENT = {"type": "task-started", "hostname": "worker@host", "timestamp": 1.7e9, "uuid": "a-task"}


def kept(event: dict[str, Any]) -> dict[str, Any] | None:
    """What Flower keeps of an event's job."""
    return masked_event(well_formed({**SENT, **event})[0]).get(FIELD)


def test_what_a_worker_says_of_a_job_is_kept() -> None:
    """The account need not be one of Flower's own configuration: it may be newer."""
    assert kept({FIELD: TOLD}) == TOLD
    assert kept({FIELD: {**TOLD, "state": "joined"}}) == {**TOLD, "state": "joined"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("account", "Asunción Ibárruri"),
        ("account", "34600123987 "),
        ("account", ["legal"]),
        ("request_id", "34600123987"),
        ("request_id", "call-34600123987"),
        ("request_id", "Asunción"),
        ("request_id", "two words"),
        ("request_id", "x" * 201),
        ("request_id", None),
        ("day", "20.11.2026"),
        ("day", "660111222"),
        ("job_id", "660111222"),
        ("job_id", JOB.upper()),
        ("state", "Asunción"),
        ("state", ["done"]),
        ("next_attempt_at", "soon"),
        ("next_attempt_at", 1e300),
        ("next_attempt_at", float("nan")),
        ("next_attempt_at", True),
        ("phone", "660111222"),
        ("notes", {"cnam": "Asunción"}),
    ],
)
def test_what_has_another_form_is_left_out(name: str, value: Any) -> None:
    """Whoever sends it: names, numbers and what is none of ours are not kept."""
    others = {key: one for key, one in TOLD.items() if key != name}
    assert kept({FIELD: {**others, name: value}}) == others


@pytest.mark.parametrize("value", ["legal", 7, [TOLD], {}, dict.fromkeys(map(str, range(99)), 1)])
def test_a_field_that_is_not_ours_is_left_out(value: Any) -> None:
    """Another application may call a field of its events as it likes."""
    assert not kept({FIELD: value})


def test_producers_say_nothing_of_jobs() -> None:
    """Only workers know jobs: what a sender says is not believed."""
    assert kept({FIELD: TOLD, "type": "task-sent"}) is None


def test_arguments_say_what_is_known() -> None:
    """Where the arguments do not tell the account, the day or the request id, the job does."""
    assert arguments_of(TOLD, "{}") == "{account: legal_es, day: 2026-11-20}"
    without_day = {name: one for name, one in TOLD.items() if name != "day"}
    assert arguments_of(without_day, None) == "{account: legal_es, request_id: notice-4711}"
    shown = "{account: ..., my_account: ..., phone: ..., request_id: ...}"
    assert arguments_of(TOLD, shown) == (
        "{account: legal_es, my_account: ..., phone: ..., request_id: notice-4711}"
    )
    assert arguments_of({"state": "done"}, shown) == shown


def test_a_state_ends_when_the_task_goes_on() -> None:
    """What is true for long stays; the state and the next try are those of the newest event."""
    heard = {"job_id": JOB, "account": "legal_es"}
    lasting = {name: TOLD[name] for name in ("job_id", "account", "request_id", "day")}
    assert merged_job(TOLD, heard) == lasting
    assert merged_job(None, heard) == heard


def task(
    celery_state: str, exception: str | None = None, /, result: str | None = None, **job: Any
) -> Any:
    """A task of ours as Flower has it."""
    named = {"name": "earwitness.export.run", "kwargs": "{}"}
    told = {"state": celery_state, "exception": exception, "result": result, FIELD: job}
    return SimpleNamespace(**told, **named)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (task("PENDING"), "SENT"),
        (task("RECEIVED"), "QUEUED"),
        (task("STARTED"), "RUNS"),
        (task("RETRY", "accepted", state="pending"), "WAITS: accepted"),
        (task("RETRY", "waits for 2 parts", state="waiting"), "WAITS: for 2 parts"),
        (task("RETRY", "accepted", state="running"), "RUNS: accepted"),
        (
            task("RETRY", "x", state="joined", job_id=JOB),
            "WAITS: for job 56d26f73, which another task opened",
        ),
        (task("RETRY", f"export {JOB}: not ready yet"), "WAITS: not ready yet"),
        (task("RETRY", "Retry(...)"), "WAITS: Retry(...)"),
        (task("SUCCESS", result="<2 recordings>"), "DONE: <2 recordings>"),
        (task("SUCCESS", result=f"{{listed: 2, job_id: {JOB}, state: done}}"), "DONE: listed: 2"),
        (
            task("FAILURE", "Incomplete('not done: 1 of 2 missing')"),
            "FAILED: Incomplete: 1 of 2 missing",
        ),
        (
            task("FAILURE", "Uncertain('unknown: why')", state="needs_decision"),
            "NEEDS A DECISION: why",
        ),
        (task("FAILURE", "Uncertain('unknown: why')", state="failed"), "FAILED: Uncertain: why"),
        (
            task("FAILURE", "Uncertain('decided by ana: the call was placed')", state="done"),
            "DONE: decided by ana: the call was placed",
        ),
        (
            task("FAILURE", "Cancelled('not done: why')", state="cancelled"),
            "CANCELLED: Cancelled: why",
        ),
        (task("FAILURE", "ValueError(...)"), "FAILED: ValueError(...)"),
        (task("REVOKED"), "CANCELLED"),
        (task("PROGRESS"), "PROGRESS"),
    ],
)
def test_each_state_has_its_words(shown: Any, words: str) -> None:
    """The state first, then why or what came of it."""
    assert in_words(shown) == words


def test_the_next_try_has_its_time() -> None:
    """Today's as a time of day, another day's with its date; one that is late says so."""
    now = time.time()
    for seconds, form in ((3 * 86_400, ", next try 2"), (-3600, ", due since "), (-5, "busy")):
        words = in_words(task("RETRY", "busy", state="waiting", next_attempt_at=now + seconds))
        assert form in words
        assert words.endswith(" UTC") == (form != "busy")


def test_another_release_of_flower_can_read_the_file() -> None:
    """The file has Celery's own tasks, with what is known of their jobs."""
    kept_task = JobTask(uuid="a-task", **{FIELD: shown_job(TOLD)})
    read = pickle.loads(pickle.dumps(kept_task))
    assert type(read) is Task
    assert getattr(read, FIELD) == TOLD
    read.__class__ = JobTask
    assert read.command == "earwitness show 56d26f73"
    assert read.about == "legal_es 2026-11-20"


def test_a_decision_is_shown_at_every_task_of_its_job() -> None:
    """At the one that opened the job and those that joined it, and at no other job's. One of a job
    that Flower does not know makes no task.
    """
    other = JOB.replace("56d26f73", "11111111")
    tasks = {
        name: JobTask(uuid=name, state="FAILURE", **{FIELD: {"job_id": job_id, "state": state}})
        for name, job_id, state in (
            ("opened", JOB, "needs_decision"),
            ("joined", JOB, "needs_decision"),
            ("other", other, "needs_decision"),
        )
    }
    state = SimpleNamespace(tasks=SimpleNamespace(data=tasks))
    passed_on: list[Any] = []
    listen = _masking_events(lambda _, event: passed_on.append(event))
    tasks["again"] = JobTask(
        uuid="again", state="SUCCESS", **{FIELD: {"job_id": JOB, "state": "done"}}
    )
    decided = "Rejected('not done: decided by ana: the call was not placed; María López')"
    for job_id in (JOB, JOB.replace("56d26f73", "22222222")):
        about = {FIELD: {"job_id": job_id, "state": "failed"}}
        listen(state, {**SENT, "type": DECIDED, "exception": decided, **about})
    words = {name: one.words for name, one in tasks.items()}
    said = "FAILED: Rejected: decided: the call was not placed"
    shown = {"opened": said, "joined": said, "other": "NEEDS A DECISION", "again": "DONE"}
    assert words == shown
    assert tasks["again"].exception is None
    read = pickle.loads(pickle.dumps(tasks["joined"]))  # Flower restarts
    read.__class__ = JobTask
    assert read.words == said
    assert passed_on == []


def test_a_decision_changes_no_state_in_other_monitors() -> None:
    """Celery's own state takes every `task-` event for a state of the task."""
    state = State()
    failed = {**SENT, "type": "task-failed", "exception": "Uncertain('x')", "local_received": 1.7e9}
    decided = {**failed, "type": DECIDED, "timestamp": 1.8e9, "local_received": 1.8e9}
    for event in (failed, decided):
        state.event({**event, "clock": 1, "pid": 1, "utcoffset": 0})
    assert state.tasks["a-task"].state == "FAILURE"
    assert well_formed({**SENT, "type": DECIDED})[0]["type"] == DECIDED


@pytest.mark.parametrize("error", [None, "stored"])
def test_a_decision_is_told_without_what_the_person_wrote(
    monkeypatch: pytest.MonkeyPatch, error: str | None
) -> None:
    """The note and the name stay in the ledger and the receipt."""
    sent: list[Any] = []
    dispatcher = SimpleNamespace(send=lambda *kind, **fields: sent.append((kind, fields)))
    events = SimpleNamespace(default_dispatcher=lambda: nullcontext(dispatcher))
    monkeypatch.setattr(job_events, "current_app", SimpleNamespace(events=events))
    monkeypatch.setattr(job_events, "known_account", lambda _: True)
    about = {"job_id": JOB, "account": "legal_es", "request_id": "r1", "day": None}
    reason = "decided by Ana Ruiz: the call was placed; customer María López confirmed"
    job: Any = SimpleNamespace(**about, task_id="t", state="done", error=error, reason=reason)
    job_events.announce_decision(job)
    assert len(sent) == 1
    assert not any(word in repr(sent) for word in ("María", "López", "Ana", "Ruiz", "customer"))
    placed = "not placed" if error else "placed"
    assert f"decided: the call was {placed}; run earwitness show 56d26f73" in repr(sent)


@pytest.mark.parametrize("quote", ["'", '"'])
def test_the_answer_of_a_decided_job_is_shown_without_its_note(quote: str) -> None:
    """Its caller gets the note; Flower does not show it."""
    said = "not done: decided by Ana: the call was not placed; María López's son; to place the call"
    shown = masked_event(
        {**SENT, "type": "task-failed", "exception": f"Rejected({quote}{said}{quote})"}
    )
    assert shown["exception"] == "Rejected('not done: decided: the call was not placed')"
