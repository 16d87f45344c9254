"""The jobs of the tasks that Flower shows: what each is about, its state in words, its command.

Our workers' events have a field of their own for it (tasks/runtime/job_events.py). Every other task
is shown as far as Celery's own fields go.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from celery import states
from celery.events.state import Task, _depickle_task

from config.accounts import is_alias
from config.error_names import ErrorName
from ledger.core import states as job_states
from tasks.runtime.job_events import FIELD, JOINED, is_harmless_id
from tasks.runtime.redaction import is_day

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID = re.compile(r"\b([0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_STATES = frozenset((*job_states.ALL, JOINED))
#: Outdated as soon as the task continues.
_OF_THE_MOMENT = ("state", "next_attempt_at")
#: Seconds after which a next try is late.
_LATE = 60.0

#: The repr of an exception: Incomplete('not done: ...').
_RAISED = re.compile(r"^(\w+)\((['\"])(.*)\2\)$", re.DOTALL)
_OUTCOME = re.compile(r"^(?:not done|unknown): ")
#: The row says which export waits.
_OF_EXPORT = re.compile(r"^export \S+: (?=not ready)")
#: How our workers write the arguments of a task: {account: india, day: 2026-11-20}.
_ARGUMENT = re.compile(r"[{ ](account|day): ([a-z0-9_-]+)(?=[,}])")

_HIDDEN_ARGUMENT = re.compile(r"\b(account|day|request_id): \.\.\.(?=[,}])")

#: Fields of results that tell people nothing more.
_ELSEWHERE = frozenset({"job_id", "sha256", "state"})

NEEDS_A_DECISION = "NEEDS A DECISION"
#: Tasks whose uncertain outcome waits for a person.
_DECIDED = {("earwitness.certified_call.request", str(ErrorName.UNCERTAIN))}
_WORDS = {
    states.PENDING: "SENT",
    states.RECEIVED: "QUEUED",
    states.STARTED: "RUNS",
    states.RETRY: "WAITS",
    states.SUCCESS: "DONE",
    states.FAILURE: "FAILED",
    states.REVOKED: "CANCELLED",
}
_JOB_WORDS = {
    job_states.NEEDS_DECISION: NEEDS_A_DECISION,
    job_states.CANCELLED: "CANCELLED",
}


def shown_job(value: Any) -> dict[str, Any] | None:
    """Return what an event may say about a job: each thing only if it has its form."""
    if not isinstance(value, Mapping):
        return None
    shown = {
        name: value[name] for name, fits in _FORMS.items() if name in value and fits(value[name])
    }
    return shown or None


def merged_job(known: Mapping[str, Any] | None, heard: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known about a job after one more event."""
    lasting = {name: one for name, one in (known or {}).items() if name not in _OF_THE_MOMENT}
    return {**lasting, **heard}


def arguments_of(job: Mapping[str, Any], shown: str | None) -> str:
    """Return a task's arguments with what is known about its job: a hint has no arguments, and an
    account may be newer than Flower's configuration.
    """
    if shown in (None, "{}"):
        names = ("account", "day" if "day" in job else "request_id")
        return "{" + ", ".join(f"{name}: {job[name]}" for name in names if name in job) + "}"
    return _HIDDEN_ARGUMENT.sub(
        lambda one: f"{one[1]}: {job[one[1]]}" if one[1] in job else one[0], shown
    )


class JobTask(Task):
    """A task of Flower's with its job. Flower's file holds it as Celery's task."""

    __slots__ = ()

    @property
    def words(self) -> str:
        """The state in words, and why the task waits, what failed, or what came of it."""
        return in_words(self)

    @property
    def about(self) -> str:
        """The account, and the day or the request id."""
        return _about(self)

    @property
    def command(self) -> str:
        """The command that shows the job; empty if the task has none."""
        job_id = job_of(self).get("job_id")
        return f"earwitness show {job_id[:8]}" if job_id else ""

    def as_dict(self) -> dict[str, Any]:
        """Return the task as Flower's API and pages have it, with the job and its words."""
        fields: dict[str, Any] = super().as_dict()
        return {
            **fields,
            "job": job_of(self) or None,
            "words": self.words,
            "about": self.about,
            "command": self.command,
        }

    def __copy__(self) -> JobTask:
        """Return a copy for a page, whose fields may be rewritten."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __reduce__(self) -> Any:
        return _depickle_task, (Task, {**super().as_dict(), FIELD: getattr(self, FIELD, None)})


def job_of(task: Any) -> dict[str, Any]:
    """Return what is known about a task's job; empty if nothing is."""
    return getattr(task, FIELD, None) or {}


def _about(task: Any) -> str:
    """Return a task's account, and its day or request id."""
    job = job_of(task) or dict(_ARGUMENT.findall(task.kwargs or ""))
    request_id = _ID.sub(lambda one: one[0][:8], job.get("request_id", ""))
    parts = (job.get("account"), job.get("day") or request_id)
    return " ".join(part for part in parts if part)


def in_words(task: Any) -> str:
    """Return a task's state in words, and why it waits, what failed, or what came of it."""
    state, why = _state(task), shortened(_why(task))
    return f"{state}: {why}" if why else state


def raised(exception: str) -> str:
    """Return the repr of an exception as a sentence: its type, a colon, its message."""
    return _RAISED.sub(r"\1: \3", exception)


def shortened(text: str) -> str:
    """Return a text with eight characters of each UUID; commands need no more."""
    return _UUID.sub(r"\1...", text)


def needs_a_decision(task: Any) -> bool:
    """Return whether a task's job waits for a person."""
    kind = raised(task.exception or "").partition(":")[0]
    told = job_of(task).get("state")
    return task.state == states.FAILURE and (
        told == job_states.NEEDS_DECISION or (told is None and (task.name, kind) in _DECIDED)
    )


def _state(task: Any) -> str:
    if needs_a_decision(task):
        return NEEDS_A_DECISION
    if task.state == states.FAILURE and job_of(task).get("state") == job_states.CANCELLED:
        return "CANCELLED"
    if _was_decided_done(task):
        return _WORDS[states.SUCCESS]
    if task.state == states.RETRY and job_of(task).get("state") in _AT_WORK:
        return "RUNS"
    return _WORDS.get(task.state, task.state)


def _why(task: Any) -> str:
    if task.state == states.RETRY:
        return _waits_for(job_of(task), raised(task.exception or ""))
    if task.state in (states.FAILURE, states.REVOKED):
        kind, _, message = raised(task.exception or "").partition(": ")
        plain = _OUTCOME.sub("", message)
        if needs_a_decision(task) or _was_decided_done(task):
            return plain
        return f"{kind}: {plain}" if message else kind
    return _counts_and_paths(task.result or "") if task.state == states.SUCCESS else ""


def _was_decided_done(task: Any) -> bool:
    """Return whether a person decided, after the task had failed, that its job is done."""
    return task.state == states.FAILURE and job_of(task).get("state") == job_states.DONE


def _waits_for(job: Mapping[str, Any], reason: str) -> str:
    if job.get("state") == JOINED:
        return f"for job {job['job_id'][:8]}, which another task opened" if "job_id" in job else ""
    reason = _OF_EXPORT.sub("", reason).removeprefix("waits ")
    return ", ".join(part for part in (reason, _next_try(job.get("next_attempt_at"))) if part)


def _next_try(at: float | None) -> str:
    if at is None:
        return ""
    now, moment = time.time(), datetime.fromtimestamp(at, UTC)
    is_today = moment.date() == datetime.fromtimestamp(now, UTC).date()
    shown = f"{moment:%H:%M}" if is_today else f"{moment:%Y-%m-%d %H:%M}"
    if at > now:
        return f"next try {shown} UTC"
    return f"due since {shown} UTC" if at + _LATE < now else ""


def _counts_and_paths(result: str) -> str:
    """Return a result as Flower shows it, without braces and without what stands elsewhere."""
    plain = result[1:-1] if result[:1] == "{" and result[-1:] == "}" else result
    return ", ".join(part for part in plain.split(", ") if part.partition(":")[0] not in _ELSEWHERE)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 4e9


_AT_WORK = (job_states.RUNNING, job_states.SENDING)
_FORMS = {
    "job_id": lambda value: isinstance(value, str) and _ID.fullmatch(value) is not None,
    "account": is_alias,
    "day": is_day,
    "request_id": is_harmless_id,
    "state": lambda value: isinstance(value, str) and value in _STATES,
    "next_attempt_at": _is_time,
}
