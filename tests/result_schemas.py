"""Real results of tasks against the catalogue's schemas, wherever a test waits for one."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.result import AsyncResult

from tasks.errors import BY_NAME, JobError
from worker.catalogue.contents import contents

# It would make 38 parsers, which takes more than a second, for a format that no schema of ours has:
# jsonschema does without it.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
from jsonschema import Draft202012Validator  # noqa: E402


def closed(schema: Any) -> Any:
    """The schema without room for fields of later versions: a field that it does not name is
    refused, where it does not say that others come too.
    """
    if isinstance(schema, dict):
        made = {name: closed(one) for name, one in schema.items()}
        if isinstance(schema.get("properties"), dict):
            made.setdefault("additionalProperties", False)
        return made
    return [closed(one) for one in schema] if isinstance(schema, list) else schema


@functools.cache
def _validators() -> dict[str, Draft202012Validator]:
    catalogue = contents()
    schemas = {task: one["result"] for task, one in catalogue["tasks"].items()}
    schemas |= {name: catalogue[name] for name in ("notify", "alert", "error")}
    return {name: Draft202012Validator(closed(schema)) for name, schema in schemas.items()}


def check(name: str, value: Any) -> None:
    """Compare a result with what the catalogue says of its task; of ``notify``, ``alert`` and
    ``error`` with what it says of these bodies.
    """
    faults = [f"{one.json_path}: {one.message}" for one in _validators()[name].iter_errors(value)]
    assert not faults, f"{name} answered {value}: {faults}"


def check_error(error: BaseException) -> None:
    """An error of ours begins as the closed list says."""
    known = BY_NAME.get(type(error).__name__)
    if known is not None and type(error).__module__ == JobError.__module__:
        outcome = str(error).partition(": ")[0]
        assert outcome in known.outcomes, f"{type(error).__name__}: {error}"


class Checked(AsyncResult):  # type: ignore[misc] # Celery has no types
    """An AsyncResult whose outcome is compared with the catalogue when a test gets it."""

    def __init__(self, task_id: str, *, app: Celery, task: str) -> None:
        super().__init__(task_id, app=app)
        self._task = task

    def get(self, *arguments: Any, **options: Any) -> Any:
        """The result, or the exception."""
        try:
            value = super().get(*arguments, **options)
        except Exception as error:
            check_error(error)
            raise
        if isinstance(value, BaseException):
            check_error(value)
        else:
            check(self._task, value)
        return value


def checked(app: Celery, task: str) -> Callable[[str], Checked]:
    """What ``send_task`` makes of the id of a task, for its ``result_cls``."""
    return functools.partial(Checked, app=app, task=task)
