"""What producers read of a wrong argument: one set of sentences for Celery and the typed client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from earwitness_client import Earwitness
from earwitness_client import InvalidArgument as ClientsInvalidArgument
from tasks.certified_calls import tasks as certified_calls  # noqa: F401 - KINDS
from tasks.errors import InvalidArgument
from tasks.exports import tasks as exports  # noqa: F401 - KINDS
from tasks.jobs import tasks as jobs  # noqa: F401 - KINDS
from tasks.live import tasks as live_recordings  # noqa: F401 - KINDS
from tasks.recordings import tasks as recordings  # noqa: F401 - KINDS
from tasks.runtime.arguments import parse
from tasks.runtime.fields import check_task_id
from tasks.runtime.kinds import KINDS

from .test_client_contract import EVERY_CALL, WRONG

#: Where the two cannot be the same: the library takes objects of its own, or looks more closely.
_OF_THE_LIBRARY = ("notify", "phone")


@pytest.fixture
def client() -> Iterator[Earwitness]:
    """A client that never comes to send."""
    with Earwitness("redis://127.0.0.1:1/0") as made:
        yield made


def of_the_worker(task: str, given: dict[str, Any]) -> str:
    """Return the sentence that a Celery producer gets for these arguments."""
    with pytest.raises(InvalidArgument) as caught:
        parse(KINDS[task].arguments, given)
    return str(caught.value)


def of_the_client(client: Earwitness, task: str, given: dict[str, Any]) -> str:
    """What the library says of them."""
    group, _, name = task.partition(".")
    function: Callable[..., Any] = getattr(getattr(client, group), name)
    with pytest.raises(ClientsInvalidArgument) as caught:
        function(**given)
    return str(caught.value).removesuffix("; nothing was sent")


def _met_by_both(given: dict[str, Any], named: str) -> bool:
    # The library is stricter with objects of Python's own.
    strict = type(given.get("unarchived")) is int or isinstance(given.get("day"), datetime)
    is_alias = given.get("account") == "India"  # the worker knows its accounts, and names them
    return not (named.startswith(_OF_THE_LIBRARY) or strict or is_alias)


@pytest.mark.parametrize(
    ("task", "given"), [(task, given) for task, given, named in WRONG if _met_by_both(given, named)]
)
def test_both_say_the_same(client: Earwitness, task: str, given: dict[str, Any]) -> None:
    """For every wrong argument that both can meet, word by word."""
    base = EVERY_CALL[task] if task == "certified_call.request" else {}
    whole = {**base, **given}
    said = of_the_client(client, task, whole)
    sent = {name: value for name, value in whole.items() if name != "notify"}
    told = of_the_worker(task, sent)
    if None in given.values() or said.endswith("means every recording"):
        # Left out, for the library, which has a default for everything it may leave out.
        assert told.partition(":")[2].split(":")[0] == said.partition(":")[2].split(":")[0]
        return
    assert told == said


@pytest.mark.parametrize(
    ("task", "given", "said"),
    [
        (
            "export.run",
            {"account": "india", "dya": "2026-11-20"},
            "dya: is not an argument of this",
        ),
        ("export.run", {"account": "india", "dya": "2026-11-20"}, "did you mean 'day'?"),
        ("export.run", {"acount": "india", "day": "2026-11-20"}, "did you mean 'account'?"),
        ("export.retrieve", {"account": "india", "provider_jobid": "9"}, "'provider_job_id'?"),
        ("recording.list", {"account": "i", "filters": {"extention": "1"}}, "'extension'?"),
        ("recording.list", {"account": "i", "filters": {"start:get": "x"}}, "'start:gte'?"),
        ("recording.get", {"account": "india", "Recording_ID": "7"}, "'recording_id'?"),
        (
            "export.run",
            {"account": "india", "zzz": 1, "day": "2026-11-20"},
            "the arguments are account, ",
        ),
        ("certified_call.request", {"phone": "1", "mobile": "2"}, "account: is missing"),
        ("recording.download", {"account": "i", "recording_id": "7", "notify": "me"}, "a mapping"),
        (
            "recording.download",
            {"account": "i", "recording_id": "7", "notify": {"task": "t"}},
            "notify.queue: is missing",
        ),
    ],
)
def test_a_misspelt_name_is_told_with_the_right_one(
    task: str, given: dict[str, Any], said: str
) -> None:
    """Before anything that follows from it, at any depth."""
    assert said in of_the_worker(task, given)


def _values() -> list[Any]:
    texts = ["", "x" * 5_000, "\0", "\ud800"]
    return [None, True, 0, -1, 1.5, 10**30, *texts, [], [1], {}, {"a": 1}, datetime.now(UTC)]


@pytest.mark.parametrize("task", sorted(KINDS))
def test_no_raw_text_of_a_library_reaches_a_producer(task: str) -> None:
    """Whatever stands in an argument: its name, what it must be, and no words of Pydantic."""
    model = KINDS[task].arguments
    base = EVERY_CALL.get(task, {})
    for field in model.model_fields:
        for value in _values():
            given = {**base, field: value}
            given.pop("notify", None)
            if field == "notify":
                given["notify"] = value
            try:
                parse(model, given)
            except InvalidArgument as error:
                _is_ours(str(error))


def _is_ours(said: str) -> None:
    assert said.startswith("not done: ")
    for words in (
        "should",
        "Input",
        "permitted",
        "Field required",
        "valid ",
        "Value error",
        "pydantic",
    ):
        assert words not in said, said
    assert "cannot be understood" not in said, said


@pytest.mark.parametrize("name", ["660111222", "a" * 500, "a\nb", ""])
def test_a_strange_name_is_not_repeated_as_it_is(name: str) -> None:
    """No number, no further line and no endless text."""
    said = of_the_worker("export.run", {"account": "india", "day": "2026-11-20", name: 1})
    assert "660111222" not in said
    assert "\n" not in said
    assert len(said) < 300


@pytest.mark.parametrize(("task_id", "is_key"), [("", False), ("x" * 300, False), ("a b", True)])
def test_a_task_id_that_does_not_serve_is_said_in_the_same_words(
    task_id: str, is_key: bool
) -> None:
    """It is the request id where none is given."""
    with pytest.raises(InvalidArgument) as caught:
        check_task_id(task_id, is_key=is_key)
    _is_ours(str(caught.value))
