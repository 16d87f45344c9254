"""The producer's library and the worker agree: on names, arguments, ids and messages."""

from __future__ import annotations

import base64
import inspect
import json
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from click.testing import CliRunner

import earwitness_client
import ledger.core.job
from earwitness_client import Earwitness, InvalidArgument, Job, NotAnswered, Notify, errors
from earwitness_client.arguments import Filters
from tasks import errors as worker_errors
from tasks.days.filters import Filters as WorkerFilters
from tasks.runtime import arguments as of_the_worker
from tasks.runtime.kinds import KINDS
from worker.commands.catalogue import catalogue

from .callers import caller
from .servers import Valkey

#: Beat sends these, so that the library has no functions for them.
NOT_FOR_CALLERS = {"earwitness.nightly.plan", "earwitness.report.write"}
GROUPS = ("certified_call", "recording", "call", "export", "job", "archive")


@pytest.fixture
def client(valkey: Valkey) -> Iterator[Earwitness]:
    """A client of a Redis from which nobody takes anything."""
    with Earwitness(valkey.url) as made:
        yield made


def _catalogue() -> dict[str, Any]:
    printed = CliRunner().invoke(catalogue, catch_exceptions=False)
    return dict(json.loads(printed.output)["tasks"])


def _functions() -> dict[str, Callable[..., Any]]:
    """Every function of the client by the name of its task."""
    client = Earwitness("redis://127.0.0.1:1/0")
    return {
        f"earwitness.{group}.{name}": function
        for group in GROUPS
        for name, function in inspect.getmembers(getattr(client, group), inspect.ismethod)
        if not name.startswith("_") and name not in {"ask", "open", "open_day", "attach"}
    }


CATALOGUE = _catalogue()
FUNCTIONS = _functions()


def test_there_is_a_function_for_every_task() -> None:
    """What the worker's catalogue has and callers may send, the library has, and nothing else."""
    assert FUNCTIONS.keys() == CATALOGUE.keys() - NOT_FOR_CALLERS


@pytest.mark.parametrize("task", sorted(FUNCTIONS))
def test_a_function_takes_what_its_task_takes(task: str) -> None:
    """The same arguments, the same ones required, and all of them by keyword."""
    schema = CATALOGUE[task]["arguments"]
    parameters = inspect.signature(FUNCTIONS[task]).parameters
    required = {name for name, one in parameters.items() if one.default is inspect.Parameter.empty}

    assert parameters.keys() == schema.get("properties", {}).keys()
    assert required == set(schema.get("required", []))
    assert {one.kind for one in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("task", sorted(FUNCTIONS))
def test_a_function_returns_a_job_where_its_task_opens_one(task: str) -> None:
    """Job for a task that opens a job, else Answer."""
    returns = str(inspect.signature(FUNCTIONS[task]).return_annotation)

    assert returns.partition("[")[0] == ("Job" if CATALOGUE[task]["opens_job"] else "Answer")


def test_the_filters_are_the_worker_s() -> None:
    """Every filter of the worker's, under the vendor's name, and no other."""
    schema = WorkerFilters.model_json_schema(by_alias=True)

    assert Filters.__annotations__.keys() == schema["properties"].keys()


def test_the_exceptions_are_the_worker_s() -> None:
    """Each exception that the worker may store has a class of the same name and the same base."""
    theirs = {
        name: error.__base__.__name__
        for name, error in worker_errors.BY_NAME.items()
        if error is not worker_errors.JobError and error.__base__ is not None
    }

    assert {name: error.__base__.__name__ for name, error in errors.BY_NAME.items()} == theirs


EVERY_CALL: dict[str, dict[str, Any]] = {
    "certified_call.request": {
        "account": "gsm",
        "country": "IN",
        "phone": "+911234500000",
        "max_seconds": 60,
        "company_name": "Example",
        "company_id": "B-1",
        "request_id": "order-1",
        "not_after": datetime(2026, 11, 20, 12, tzinfo=UTC),
        "notify": Notify(task="caller.told", queue="theirs"),
    },
    "recording.start": {
        "account": "voip",
        "call_id": 17,
        "format": "wav",
        "not_after": "2026-11-20T12:00:00+01:00",
        "view_id": "1",
        "extension": "@self",
        "user_id": "@me",
        "announcement": "recorded",
        "max_seconds": 10,
        "silence_seconds": 3,
        "finish_digits": "#",
        "hang_up_after_seconds": 0,
        "finished_url": "https://example.com/finished",
        "request_id": "r",
    },
    "recording.stop": {"account": "voip", "call_id": "17", "request_id": "r"},
    "recording.collect": {"account": "ozeki", "call_id": "17", "request_id": "r"},
    "recording.list": {
        "account": "india",
        "filters": {"start:gte": datetime(2026, 11, 20, tzinfo=UTC), "caller_id": 12},
        "page": 2,
        "page_size": 1000,
        "order": "start:ASC",
    },
    "recording.get": {"account": "india", "recording_id": 7},
    "recording.download": {"account": "india", "recording_id": "7", "request_id": "r"},
    "recording.delete": {
        "account": "india",
        "recording_id": "7",
        "reason": "asked for",
        "unarchived": True,
        "request_id": "r",
    },
    "call.list": {"account": "voip", "extension": "100", "user_id": "@me"},
    "export.create": {"account": "india", "filters": {"duration:gte": 0}, "request_id": "r"},
    "export.retrieve": {"account": "india", "provider_job_id": "9", "request_id": "r"},
    "export.run": {"account": "india", "day": date(2026, 11, 20)},
    "job.status": {"job_id": "j"},
    "job.cancel": {"task_id": "t"},
    "job.retry": {"job_id": "j", "by": "ops", "note": "the line is back"},
    "job.resolve": {"job_id": "j", "outcome": "placed", "by": "ops", "note": "on the bill"},
    "archive.verify": {"request_id": "r"},
}


def test_every_function_is_tried_here() -> None:
    """The list of examples has one for every function."""
    assert {f"earwitness.{name}" for name in EVERY_CALL} == FUNCTIONS.keys()


def _call(client: Earwitness, task: str, **arguments: Any) -> Any:
    group, _, name = task.partition(".")
    return getattr(getattr(client, group), name)(**arguments)


def _sent(valkey: Valkey, queue: str = "earwitness") -> tuple[dict[str, Any], list[Any]]:
    """The only message on a queue: its envelope and its body."""
    with valkey.client() as redis:
        assert redis.llen(queue) == 1
        envelope = json.loads(redis.lpop(queue))  # type: ignore[arg-type]
    return envelope, json.loads(base64.b64decode(envelope["body"]))


@pytest.mark.parametrize("task", EVERY_CALL)
def test_what_is_sent_is_valid_for_the_worker(
    client: Earwitness, valkey: Valkey, task: str
) -> None:
    """Every argument that was given arrives, nothing else, and the worker's own model takes it."""
    given = EVERY_CALL[task]
    _call(client, task, **given)
    envelope, (args, kwargs, _) = _sent(valkey)

    assert envelope["headers"]["task"] == f"earwitness.{task}"
    assert args == []
    assert kwargs.keys() == given.keys()
    of_the_worker.parse(KINDS[task].arguments, kwargs)


@pytest.mark.parametrize(
    "task",
    [
        name
        for name in EVERY_CALL
        if inspect.signature(FUNCTIONS[f"earwitness.{name}"]).return_annotation.startswith("Job")
    ],
)
def test_a_job_s_id_is_the_ledger_s(client: Earwitness, task: str) -> None:
    """The id that a job has before any worker knows it is the one that the ledger will give it."""
    given = EVERY_CALL[task]
    job = _call(client, task, **given)
    account = given.get("account", "*")
    request_id = "day:2026-11-20#1" if "day" in given else given["request_id"]

    assert isinstance(job, Job)
    assert job.id == ledger.core.job.job_id(account, f"earwitness.{task}", request_id)


def test_a_request_without_an_id_is_given_one(client: Earwitness, valkey: Valkey) -> None:
    """So that it can be sent again under the same."""
    job = client.recording.download(account="india", recording_id="7")
    _, (_, kwargs, _) = _sent(valkey)
    job.send_again()
    _, (_, again, _) = _sent(valkey)

    assert kwargs == again
    assert kwargs["request_id"] == job.request_id


def test_the_message_is_celery_s_own(client: Earwitness, valkey: Valkey) -> None:
    """But for ids, the shown arguments, who awaits an answer and the client's version, it is what
    ``send_task`` puts on the same queue; nothing in its headers shows what an argument says.
    """
    client.recording.get(account="india", recording_id="secret-7")
    ours, our_body = _sent(valkey)
    with caller(valkey.url) as app:
        kwargs = {"account": "india", "recording_id": "secret-7"}
        app.send_task("earwitness.recording.get", kwargs=kwargs, queue="earwitness")
    theirs, their_body = _sent(valkey)

    assert our_body == their_body
    assert "secret-7" not in json.dumps(ours["headers"])
    differ = {"id", "root_id", "origin", "argsrepr", "kwargsrepr", "stack", "ignore_result"}
    assert ours["headers"].pop("earwitness_client") == earwitness_client.__version__
    assert ours["headers"].keys() == theirs["headers"].keys()
    for name in ours["headers"].keys() - differ:
        assert ours["headers"][name] == theirs["headers"][name], name
    assert ours["headers"]["ignore_result"] is False
    ids = {"correlation_id", "reply_to", "delivery_tag"}
    assert ours["properties"].keys() <= theirs["properties"].keys()
    for name in ours["properties"].keys() - ids:
        assert ours["properties"][name] == theirs["properties"][name], name
    assert {k: ours[k] for k in ("content-type", "content-encoding")} == {
        k: theirs[k] for k in ("content-type", "content-encoding")
    }


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("recording.get", {"account": "India", "recording_id": "7"}, "account"),
    ("recording.get", {"account": None, "recording_id": "7"}, "account"),
    ("recording.get", {"account": "india", "recording_id": ""}, "recording_id"),
    ("recording.get", {"account": "india", "recording_id": True}, "recording_id"),
    ("recording.list", {"account": "india", "page": 0}, "page"),
    ("recording.list", {"account": "india", "page_size": 1001}, "page_size"),
    ("recording.list", {"account": "india", "page_size": "10"}, "page_size"),
    ("recording.list", {"account": "india", "order": "start"}, "order"),
    ("recording.list", {"account": "india", "filters": {"number": "1"}}, "filters"),
    ("recording.list", {"account": "india", "filters": ["start:gte"]}, "filters"),
    ("recording.list", {"account": "india", "filters": {"duration:gte": -1}}, "filters.duration"),
    (
        "recording.list",
        {"account": "india", "filters": {"start:gte": "2026-11-20T00:00:00"}},
        "filters.start:gte",
    ),
    (
        "recording.list",
        {"account": "india", "filters": {"call_direction": "UP"}},
        "filters.call_direction",
    ),
    (
        "recording.download",
        {"account": "india", "recording_id": "7", "request_id": "a b"},
        "request_id",
    ),
    (
        "recording.download",
        {"account": "india", "recording_id": "7", "request_id": "day:1"},
        "request_id",
    ),
    ("recording.download", {"account": "india", "recording_id": "7", "notify": "me"}, "notify"),
    (
        "recording.download",
        {"account": "india", "recording_id": "7", "notify": Notify(task="", queue="q")},
        "notify.task",
    ),
    (
        "recording.download",
        {"account": "india", "recording_id": "7", "notify": Notify(webhook="")},
        "notify.webhook",
    ),
    (
        "recording.download",
        {"account": "india", "recording_id": "7", "notify": Notify(webhook="orders", task="t")},
        "notify: give either",
    ),
    ("recording.delete", {"account": "india", "recording_id": "7", "unarchived": True}, "reason"),
    ("recording.delete", {"account": "india", "recording_id": "7", "unarchived": 1}, "unarchived"),
    ("export.create", {"account": "india", "filters": None}, "filters"),
    ("export.run", {"account": "india"}, "day"),
    ("export.run", {"account": "india", "day": "2026-13-01"}, "day"),
    ("export.run", {"account": "india", "day": datetime(2026, 11, 20, tzinfo=UTC)}, "day"),
    ("export.run", {"account": "india", "day": "2026-11-20", "request_id": "r"}, "request_id"),
    (
        "export.run",
        {"account": "india", "filters": {"start:gte": "2026-11-20T00:00:00Z"}},
        "filters",
    ),
    (
        "export.run",
        {
            "account": "india",
            "filters": {"start:gte": "2026-11-21T00:00:00Z", "start:lte": "2026-11-20T00:00:00Z"},
        },
        "filters",
    ),
    ("certified_call.request", {"country": "India"}, "country"),
    ("certified_call.request", {"phone": "nobody"}, "phone"),
    ("certified_call.request", {"max_seconds": 0}, "max_seconds"),
    ("certified_call.request", {"not_after": "tomorrow"}, "not_after"),
    ("certified_call.request", {"request_id": None}, "request_id"),
    ("job.status", {}, "job_id"),
    ("job.status", {"job_id": "j", "task_id": "t"}, "job_id"),
    ("job.retry", {"job_id": "j", "by": "", "note": "n"}, "by"),
    ("job.resolve", {"job_id": "j", "outcome": "maybe", "by": "b", "note": "n"}, "outcome"),
]


@pytest.mark.parametrize(("task", "given", "named"), WRONG)
def test_a_wrong_argument_is_named_and_nothing_is_sent(
    client: Earwitness, valkey: Valkey, task: str, given: dict[str, Any], named: str
) -> None:
    """The error names the argument, does not repeat a number, and the queue stays empty."""
    base = EVERY_CALL[task] if task == "certified_call.request" else {}
    with pytest.raises(InvalidArgument, match=f"not done: {named}.*nothing was sent") as caught:
        _call(client, task, **{**base, **given})

    assert "1234500000" not in str(caught.value)
    with valkey.client() as redis:
        assert redis.dbsize() == 0


@pytest.mark.parametrize("url", ["", "localhost:6379", "redis+cluster://h/0", "amqp://h"])
def test_an_address_that_is_none(url: str) -> None:
    """Is refused when the client is made."""
    with pytest.raises(InvalidArgument, match="url"):
        Earwitness(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cr/et@h:6379/0",
        "redis://:s3cr#et@h:6379/0",
        "redis://:s3cr3t@h:port/0",
        "redis://:s3cr3t@[::1/0",
        "redis://:s3cr3t@h/0?socket_timeout=soon",
        "redis://:s3cr3t@h/0?nonsense=1",
        "rediss://:s3cr3t@h/0?ssl_cert_reqs=maybe",
        "unix://:s3cr3t@/run/redis.sock?db=zero",
    ],
)
def test_an_address_that_can_not_be_read_is_refused_without_its_password(url: str) -> None:
    """When the client is made, not at the first request, by no error that repeats half of it."""
    with pytest.raises(InvalidArgument, match="not done: url") as caught:
        Earwitness(url)

    assert "s3cr" not in "".join(traceback.format_exception(caught.value)).replace(url, "")


def test_nobody_answers(client: Earwitness) -> None:
    """Without a worker, waiting ends with NotAnswered, a TimeoutError that says what to do."""
    job = client.export.run(account="india", day="2026-11-20")
    for wait in (job.accepted, job.wait):
        with pytest.raises(NotAnswered, match=r"unknown: .* wait longer, or send it again"):
            wait(0.1)
    with pytest.raises(TimeoutError, match="ask again"):
        client.recording.get(account="india", recording_id="7").wait(0.1)
