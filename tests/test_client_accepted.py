"""``accepted`` returns for jobs alone, and what was refused can be asked for: both clients."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from earwitness_client import (
    Cancelled,
    Earwitness,
    Expired,
    InvalidArgument,
    JobError,
    JobFailed,
    NoSuchJob,
    NotAnswered,
    Rejected,
    RequestConflict,
)

from .both_clients import KINDS, Both, both
from .callers import caller
from .client_house import House, client_house
from .deployment import Deployment
from .malformed import message
from .servers import Valkey
from .simulators import Simulators
from .waiting import eventually

PICKLE = "application/x-python-serialize"
_JOB = {"job_id": "00000000-0000-4000-8000-000000000000"}
FOREIGN: list[dict[str, Any]] = [
    {"status": "SUCCESS", "result": "pong"},
    {"status": "SUCCESS", "result": None},
    {"status": "SUCCESS", "result": {"state": "done"}},
    {"status": "SUCCESS", "result": _JOB},
    {"status": "SUCCESS", "result": {**_JOB, "kind": "recording.download", "state": "done"}},
    {"status": "SUCCESS", "result": _JOB, "earwitness": {"version": "0.1.0", **_JOB}},
    {"status": "SUCCESS", "result": _JOB, "earwitness": {"version": "0.1.0"}},
    {"status": "RETRY", "result": {"exc_type": "Retry", "exc_message": ["in 180s"]}},
    {"status": "RETRY", "result": {"exc_type": "Waiting", "exc_message": ["accepted"]}},
    {"status": "RETRY", "result": None, "earwitness": {"version": "0.1.0", **_JOB}},
    {"status": "STARTED", "result": {"pid": 7}},
    {"status": "PROGRESS", "result": {"done": 7}},
    {"result": "no state"},
]
FAILED: list[tuple[dict[str, Any], type[JobError]]] = [
    ({"status": "REVOKED", "result": {"exc_type": "TaskRevokedError", "exc_message": ["expired"]}},
     Cancelled),
    ({"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": ["7"]}}, JobFailed),
    ({"status": "FAILURE", "result": {"exc_type": "Rejected", "exc_message": ["no"]}}, Rejected),
]  # fmt: skip


def _store(valkey: Valkey, task_id: str, stored: dict[str, Any]) -> None:
    with valkey.client() as redis:
        redis.set(f"celery-task-meta-{task_id}", json.dumps({**stored, "task_id": task_id}))


def _download(recording: str = "7", **more: Any) -> Callable[[Any], Any]:
    given = {"account": "india", "recording_id": recording, **more}
    return lambda client: client.recording.download(**given)


@KINDS
def test_another_s_result_is_no_job(kind: type, valkey: Valkey) -> None:
    """No worker runs. What another task stored under the same id is not taken for the job's, by
    ``accepted``, ``wait`` and ``ready``, and no end of the task is called certain.
    """
    with both(kind, valkey.url) as client:
        job = client.of(_download())
        for stored in FOREIGN:
            _store(valkey, job.task_id, stored)
            with pytest.raises(NotAnswered, match="unknown: "):
                client.of(lambda _: job.accepted(0.1))
            with pytest.raises(NotAnswered, match="unknown: "):
                client.of(lambda _: job.wait(0.05))
            assert client.of(lambda _: job.ready()) is False
            again = client.of(lambda made: made.job.attach(task_id=job.task_id))
            if "job_id" not in stored.get(
                "earwitness", {}
            ):  # else it is the job that was asked for
                with pytest.raises(NotAnswered, match="unknown: "):
                    client.of(lambda _, again=again: again.accepted(0.1))
        for stored, error in FAILED:
            _store(valkey, job.task_id, stored)
            with pytest.raises(error, match="unknown: "):
                client.of(lambda _: job.accepted(0.5))
            # The contract's exceptions without a mark are those of older workers.
            said = "no" if error is Rejected else "unknown: "
            with pytest.raises(error, match=said):
                client.of(lambda _: job.wait(0.5))
        own = {"version": "9.9", "job_id": job.id}
        for state in ("SUCCESS", "FAILURE", "RETRY", "REVOKED"):
            _store(valkey, job.task_id, {"status": state, "result": None, "earwitness": own})
            client.of(lambda _: job.accepted(0))
        _store(valkey, job.task_id, {"status": "SUCCESS", "result": {"job_id": job.id}})
        client.of(lambda _: job.accepted(0))


class Visit:
    """A client of a running house, and what comes between the two."""

    def __init__(self, house: House, client: Both, valkey: Valkey) -> None:
        self.house = house
        self.client = client
        self.valkey = valkey

    def held(self, send: Callable[[Any], Any]) -> tuple[Any, Callable[[], None]]:
        """Send a request that stays away from the queue until it is let go."""
        kind = type(self.client.client)
        with both(kind, self.valkey.url, queue="held") as other, self.valkey.client() as redis:
            sent = other.of(send)
            taken: Any = redis.lpop("held")
        job = type(sent)(self.client.client._broker, sent._request)

        def let_go() -> None:
            with self.valkey.client() as redis:
                redis.lpush("earwitness", taken)

        return job, let_go

    def accepted(self, job: Any, seconds: float = 30) -> None:
        """Wait until the job is accepted."""
        self.client.of(lambda _: job.accepted(seconds))

    def attach(self, task_id: str) -> Any:
        """The job of a task, as another process has it."""
        return self.client.of(lambda client: client.job.attach(task_id=task_id))

    def status(self, task_id: str) -> Any:
        """What the worker answers about a task."""
        return self.client.question(lambda client: client.job.status(task_id=task_id))


@pytest.fixture
def visit(
    kind: type, deploy: Callable[..., Deployment], simulators: Simulators, valkey: Valkey
) -> Iterator[Visit]:
    """One account of four recordings, and a worker."""
    with client_house(deploy, simulators) as house:
        house.deployment.worker()
        with both(kind, valkey.url) as client:
            yield Visit(house, client, valkey)


@KINDS
def test_only_what_is_in_the_ledger_is_accepted(visit: Visit) -> None:
    """A task that was revoked before, one that the worker does not know, and another's result under
    the same id: the ledger decides. A job whose time has passed is a job.
    """
    _revoked(visit)
    _unknown(visit)
    _beside_another_s(visit)
    _expired(visit)


def _revoked(visit: Visit) -> None:
    job, let_go = visit.held(_download())
    with visit.house.deployment.producer() as app:
        app.control.revoke(job.task_id)
        eventually(lambda: job.task_id in str(app.control.inspect(timeout=10, limit=1).revoked()))
    let_go()
    for attempt in (job, visit.attach(job.task_id)):
        with pytest.raises(Cancelled, match=r"^not done: revoked before"):
            visit.accepted(attempt)
        with pytest.raises(NoSuchJob) as caught:
            visit.client.of(lambda _, attempt=attempt: attempt.status(30))
        assert isinstance(caught.value.refusal, Cancelled)
    # The same request under another task opens the job, which then counts for both.
    again = visit.client.of(_download(request_id=job.request_id))
    visit.accepted(again)
    visit.accepted(job)


def _unknown(visit: Visit) -> None:
    given = {"request_id": None, "notify": None, "account": "india"}
    job = visit.client.of(lambda client: client.recording.open("recording.erase", **given))
    for attempt in (job, visit.attach(job.task_id)):
        with pytest.raises(JobFailed, match=r"^not done: no task is called"):
            visit.accepted(attempt)
    with pytest.raises(NoSuchJob) as caught:
        visit.client.of(lambda _: job.status(30))
    assert isinstance(caught.value.refusal, JobFailed)
    assert visit.status(job.task_id)["error"]["type"] == "NotRegistered"


def _beside_another_s(visit: Visit) -> None:
    for stored in FOREIGN[::3]:
        job, let_go = visit.held(_download(visit.house.recording))
        _store(visit.valkey, job.task_id, stored)
        with pytest.raises(NotAnswered):
            visit.accepted(job, 0.3)
        let_go()
        visit.accepted(job)
        assert visit.client.of(lambda _, job=job: job.status(30))["job_id"] == job.id
        _after_another_s(visit, job, stored)


def _after_another_s(visit: Visit, job: Any, stored: dict[str, Any]) -> None:
    """Its result is waited for, and then another's stands in its place: the ledger still has it."""
    result = visit.client.of(lambda _: job.wait(30))
    assert result["job_id"] == job.id
    _store(visit.valkey, job.task_id, stored)
    if "result" in stored and stored.get("status") == "SUCCESS":
        assert visit.client.of(lambda _: job.wait(30)) == result
        (many,) = visit.client.of(lambda client: client.wait_many([job], 30))
        assert many == result


def _expired(visit: Visit) -> None:
    given = {"account": "india", "recording_id": visit.house.recording}
    with visit.house.deployment.producer() as app:
        sent = app.send_task(
            "earwitness.recording.download", kwargs=given, queue="earwitness", expires=-5
        )
    job = visit.attach(sent.id)
    visit.accepted(job)
    with pytest.raises(Expired, match="not done: "):
        visit.client.of(lambda _: job.wait(30))


@KINDS
def test_a_refusal_can_be_asked_for(visit: Visit) -> None:
    """Whether the result was kept, forgotten or ignored: attached by its task id, the job raises
    what the request was refused with, and the worker's answer names it. Nothing is known of what
    was not accepted yet, and nothing is left after FLUSHALL.
    """
    wrong = {"account": "nobody", "recording_id": "7"}
    kept = visit.client.of(lambda client: client.recording.download(**wrong))
    with caller(visit.valkey.url, visit.valkey.url) as app:
        send: Any = app.send_task
        task, queue = "earwitness.recording.download", "earwitness"
        ignored = send(task, kwargs=wrong, queue=queue, ignore_result=True).id
        forgotten = send(task, kwargs=wrong, queue=queue)
        with pytest.raises(Exception, match="not done: account"):
            forgotten.get(timeout=60)
        forgotten.forget()
    for task_id in (kept.task_id, ignored, forgotten.id):
        _is_refused(visit, task_id, InvalidArgument, "not done: account")
    one = visit.client.of(_download(visit.house.recording, request_id="keep"))
    visit.accepted(one)
    other = visit.client.of(_download("8", request_id="keep"))
    with pytest.raises(RequestConflict):
        visit.accepted(other)
    _is_refused(visit, other.task_id, RequestConflict, "not done: request id")
    assert visit.status(one.task_id)["state"] in {"pending", "running", "waiting", "done"}
    _is_unknown(visit, str(uuid.uuid4()))
    _failed(visit)
    with visit.valkey.client() as redis:
        assert 86_000 < redis.ttl(f"earwitness.refused.{ignored}") <= 86_400  # type: ignore[operator]
        redis.flushall()
    _is_unknown(visit, ignored)


def _is_refused(visit: Visit, task_id: str, error: type[JobError], text: str) -> None:
    again = visit.attach(task_id)
    for act in (again.accepted, again.wait):
        with pytest.raises(error, match=text):
            visit.client.of(lambda _, act=act: act(30))
    with pytest.raises(NoSuchJob, match=f"opened no job: {error.__name__}") as caught:
        visit.client.of(lambda _: again.status(30))
    assert isinstance(caught.value.refusal, error)
    view = visit.status(task_id)
    assert (view["state"], view["job_id"], view["kind"]) == ("refused", "", "recording.download")
    assert view["error"]["type"] == error.__name__
    assert view["error"]["message"] == view["reason"]
    with pytest.raises(NoSuchJob, match=f"it was refused \\({error.__name__}: "):
        visit.client.question(lambda client: client.job.cancel(task_id=task_id))


def _is_unknown(visit: Visit, task_id: str) -> None:
    with pytest.raises(NoSuchJob) as caught:
        visit.status(task_id)
    assert caught.value.refusal is None
    with pytest.raises(NotAnswered):
        visit.accepted(visit.attach(task_id), 0.2)


def _failed(visit: Visit) -> None:
    gone = visit.client.of(_download("404404"))
    visit.accepted(gone)
    with pytest.raises(Rejected) as caught:
        visit.client.of(lambda _: gone.wait(30))
    status = visit.client.of(lambda _: gone.status(30))
    assert status["error"] == {"type": "Rejected", "message": str(caught.value)}
    by_id = visit.client.of(lambda client: client.job.attach(job_id=gone.id))
    with pytest.raises(Rejected):
        visit.client.of(lambda _: by_id.wait(30))
    done = visit.client.of(_download(visit.house.recording))
    visit.client.of(lambda _: done.wait(60))
    assert visit.client.of(lambda _: done.status(30))["error"] is None


UNREADABLE: dict[str, dict[str, Any]] = {
    "pickle": {"content-type": PICKLE, "content-encoding": "binary"},
    "yaml": {"content-type": "application/x-yaml"},
    "msgpack": {"content-type": "application/x-msgpack", "content-encoding": "binary"},
    "no type": {"content-type": "x"},
    "no base64": {"body": "%%%"},
    "no JSON": {"body": "AAAA"},
    "half": {"body": "W10="},
}
#: Opening it would leave a trace.
_EVIL = b"cos\nsystem\n(S'touch %s'\ntR."


@pytest.mark.parametrize("kind", [Earwitness])
def test_what_is_not_understood_is_refused(visit: Visit, tmp_path: Any) -> None:
    """A pickle, other contents and broken bodies: the sender has a result, and can ask for it; each
    is set aside as well, and no pickle is opened. What has the id of a job changes nothing.
    """
    trace = tmp_path / "trace"
    sent = {name: {**message(), **wrong} for name, wrong in UNREADABLE.items()}
    sent["packed"] = message(compression="application/x-unheard")
    sent["header"] = message(timelimit="soon")
    sent["evil"] = {**message(_EVIL % str(trace).encode()), "content-type": PICKLE}
    sent["unknown task"] = {**message(task="shop.bill"), "content-type": PICKLE}
    job = visit.client.of(_download(visit.house.recording))
    visit.accepted(job)
    result = visit.client.of(lambda _: job.wait(60))
    with visit.valkey.client() as redis:
        redis.delete(f"celery-task-meta-{job.task_id}")
        redis.lpush("earwitness", json.dumps({**message(id=job.task_id), "content-type": PICKLE}))
        for one in sent.values():
            redis.lpush("earwitness", json.dumps(one))
        for name, one in sent.items():
            again = visit.attach(one["headers"]["id"])
            error = JobFailed if name == "unknown task" else InvalidArgument
            with pytest.raises(error, match=r"^not done: ") as caught:
                visit.accepted(again)
            assert "no job was opened" in str(caught.value), name
            assert visit.status(one["headers"]["id"])["state"] == "refused"
        eventually(lambda: redis.hlen("earwitness.set_aside") == len(sent), what="set aside")
        assert redis.get(f"celery-task-meta-{job.task_id}") is None
    assert visit.client.of(lambda _: job.wait(60)) == result
    assert not trace.exists()
