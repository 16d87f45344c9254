"""How messages reach us: what a worker shows of them, when it acknowledges them, what a hint is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import current_app
from celery.exceptions import InvalidTaskError
from celery.worker.request import Request as CeleryRequest
from kombu import Queue
from kombu.exceptions import KombuError

from config.logging import bind, received
from config.masking import mask
from config.queues import DUE
from config.settings import settings
from ledger.hints import Hint
from ledger.job import Job

from .redis_errors import BROKER_AWAY
from .shown import shown_arguments, shown_result

_log = logging.getLogger(__name__)

#: The header that makes a message a hint: the job's id. A hint has no arguments.
JOB_HEADER = "earwitness_job"
NUMBER_HEADER = "earwitness_hint"
#: Whose job it is, for the log alone.
ACCOUNT_HEADER = "earwitness_account"

#: What a revoked task id means is decided elsewhere; the worker hands the ids over here.
revoked_listeners: list[Callable[[str], None]] = []


class Message(CeleryRequest):
    """A received message. Of its arguments account and day are shown, and the others' names; a hint
    is acknowledged at acceptance, any other message when its task has returned, that is, when its
    row is committed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Of any other exception the worker ends, with the message put back for the next one.
        try:
            super().__init__(*args, **kwargs)
        except (InvalidTaskError, KombuError):
            raise
        except Exception as error:  # noqa: BLE001 - Celery drops it with a line of the log
            kind = type(error).__name__
            raise InvalidTaskError(f"it is written as no task is ({kind})") from None
        if not isinstance(self.id, str):
            raise InvalidTaskError("its id is no text")
        self._argsrepr = "()" if not self._args else "(...)"
        self._kwargsrepr = shown_arguments(self._kwargs if isinstance(self._kwargs, dict) else {})
        self._request_dict["argsrepr"] = self._argsrepr
        self._request_dict["kwargsrepr"] = self._kwargsrepr
        received(self.id, **self.said)

    @property
    def said(self) -> dict[str, Any]:
        """What the message says of its job and account, for the log."""
        given = self._kwargs if isinstance(self._kwargs, dict) else {}
        alias = self._request_dict.get(ACCOUNT_HEADER) or given.get("account")
        known = isinstance(alias, str) and alias in settings().accounts
        return {
            "job_id": self._request_dict.get(JOB_HEADER),
            "account": alias if known else None,
        }

    @property
    def is_hint(self) -> bool:
        """Whether this message only says that a job may be due."""
        return bool(self._request_dict.get(JOB_HEADER))

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002 - Celery's signature
        """What ``inspect`` and Flower's page of a worker show of a task that runs."""
        return dict(super().info(safe=True))

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Acknowledge a hint before it runs: the row protects the job, and a transfer of hours
        would otherwise be delivered again every 30 seconds.
        """
        with bind(task_id=self.id, **self.said):
            super().on_accepted(pid, time_accepted)
            if self.is_hint:
                self.acknowledge()

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        """Send an event, which Flower and anybody on this Redis may read: results and errors lose
        their numbers, as in the log.
        """
        masked = {
            name: mask(str(fields[name])) for name in ("exception", "traceback") if fields.get(name)
        }
        if fields.get("result"):
            masked["result"] = shown_result(str(fields["result"]))
        super().send_event(type, **{**fields, **masked})

    def maybe_expire(self) -> bool:
        """Celery drops an expired message before there is a row; ours treat ``expires`` as
        ``not_after``. Only the planner's ticks may be dropped.
        """
        if self.name == "earwitness.nightly.plan":
            return bool(super().maybe_expire())
        return False

    def revoked(self) -> bool:
        """A revoked task is a cancelled job."""
        with bind(task_id=self.id, **self.said):
            revoked = bool(super().revoked())
        if revoked:
            for listener in revoked_listeners:
                listener(self.id)
        return revoked


def publish(hint: Hint) -> None:
    """Send a hint; it is a row already, so a failure to send it is nobody's loss.

    Not by ``send_task``, which subscribes to the result and would open one subscription a message.
    """
    amqp = current_app.amqp
    message = amqp.create_task_message(hint.task_id, f"earwitness.{hint.kind}", (), {})
    headers = {
        JOB_HEADER: hint.job_id,
        NUMBER_HEADER: hint.number,
        ACCOUNT_HEADER: hint.account,
    }
    with current_app.producer_or_acquire() as producer:
        amqp.send_task_message(
            producer,
            f"earwitness.{hint.kind}",
            message,
            queue=hint.queue or DUE,
            headers=headers,
            retry=False,
        )


def publish_first(job: Job, number: int) -> None:
    """Send the first hint of a job whose row was just committed. When the broker does not take it,
    a sweeper announces the job in its time.
    """
    try:
        publish(Hint(job.job_id, job.kind, job.task_id, job.queue, number, job.account))
    except BROKER_AWAY as error:
        with bind(job_id=job.job_id, account=job.account):
            _log.warning("job %s is accepted; its hint waits for Redis (%s)", job.job_id, error)


def notify(task_id: str, task: str, queue: str, kwargs: dict[str, Any]) -> None:
    """Send a caller's notification to the queue of its own application. The same notification sent
    twice has the same task id.
    """
    amqp = current_app.amqp
    message = amqp.create_task_message(task_id, task, (), kwargs, kwargsrepr="{...}")
    # Nothing is declared: who reads the queue does that, and it is no queue of this application.
    place = Queue(queue)
    with current_app.producer_or_acquire() as producer:
        amqp.send_task_message(producer, task, message, queue=place, declare=(), retry=False)
