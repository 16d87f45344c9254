"""Common keyword arguments of all tasks; each flow declares its own ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from celery import current_app
from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from config.queues import TASK_PREFIX, is_own
from config.settings import settings
from tasks.errors import InvalidArgument

from .argument_faults import first_fault
from .fields import Id, RequestId
from .versions import difference_of_task


class Arguments(BaseModel):
    """Base of all tasks' arguments: unknown arguments are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class NotifyTask(Arguments):
    """A task of the caller's own, on a queue of its own, that is sent at the end of a job."""

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

    def stored(self) -> dict[str, str]:
        """Return the destination as the ledger holds it."""
        return {"task": self.task, "queue": self.queue}


class NotifyWebhook(Arguments):
    """A webhook that the settings define and that is called at the end of a job."""

    webhook: Id

    @field_validator("webhook")
    @classmethod
    def _of_the_settings(cls, name: str) -> str:
        if name not in settings().webhooks:
            raise ValueError("is not the name of a webhook that the worker's settings define")
        return name

    def stored(self) -> dict[str, str]:
        """Return the destination as the ledger holds it.

        A version that knows no webhooks refuses this queue, and leaves the notification to others.
        """
        return {"task": "webhook", "queue": f"/webhook:{self.webhook}", "webhook": self.webhook}


def _task_or_webhook(given: Any, _: ValidatorFunctionWrapHandler) -> NotifyTask | NotifyWebhook:
    if isinstance(given, NotifyTask | NotifyWebhook):
        return given
    if not (isinstance(given, Mapping) and "webhook" in given):
        return NotifyTask.model_validate(given)
    if given.keys() & NotifyTask.model_fields.keys():
        raise ValueError("give either a webhook, or a task and its queue")
    return NotifyWebhook.model_validate(given)


#: Where to notify the end of a job.
Notify = Annotated[NotifyTask | NotifyWebhook, WrapValidator(_task_or_webhook)]


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
