"""Common keyword arguments of all tasks; each flow declares its own ones."""

from __future__ import annotations

from typing import Any, TypeVar

from celery import current_app
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from config.queues import TASK_PREFIX, is_own
from tasks.errors import InvalidArgument

from .argument_faults import first_fault
from .fields import Id, RequestId
from .versions import difference_of_task


class Arguments(BaseModel):
    """Base of all tasks' arguments: unknown arguments are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Notify(Arguments):
    """Where to notify the end of a job: a task of the caller's own, on a queue of its own."""

    task: Id
    queue: Id

    @field_validator("task")
    @classmethod
    def _no_task_of_ours(cls, task: str) -> str:
        if task.startswith(TASK_PREFIX):
            raise ValueError("must be a task of your own; earwitness.* are the worker's")
        return task

    @field_validator("queue")
    @classmethod
    def _of_the_caller(cls, queue: str) -> str:
        if is_own(queue) or queue in current_app.amqp.queues.consume_from:
            raise ValueError("is a queue of Earwitness or Celery; name a queue of your own")
        return queue


class JobArguments(Arguments):
    """Arguments of a task that opens a job."""

    account: Id
    request_id: RequestId | None = None
    notify: Notify | None = None


Model = TypeVar("Model", bound=Arguments)


def parse(model: type[Model], arguments: dict[str, Any]) -> Model:
    """Validate a task's keyword arguments.

    Raises InvalidArgument, which names the first wrong argument; nothing was changed, and the same
    request id may be sent again.
    """
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        fault = first_fault(model, error)
        raise InvalidArgument(f"not done: {fault}{difference_of_task()}") from None
