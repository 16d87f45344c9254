"""How messages reach us: what a worker shows of them, when it acknowledges them, what a hint is."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from celery import current_app
from celery.utils.time import maybe_iso8601
from celery.worker.request import Request as CeleryRequest
from kombu import Queue

from config.logging import bind, received
from config.masking import mask
from config.queues import DUE, INNER
from config.settings import settings
from ledger.core.job import Job
from ledger.core.wakeups import Hint

from .message_headers import check_body, check_headers, without_impostors
from .redaction import shown_arguments, shown_result
from .redis_errors import BROKER_AWAY

_log = logging.getLogger(__name__)

#: The header that makes a message a hint: the job's id. A hint has no arguments.
JOB_HEADER = "earwitness_job"
NUMBER_HEADER = "earwitness_hint"
#: Whose job it is, for the log alone.
ACCOUNT_HEADER = "earwitness_account"
_OF_HINTS = (JOB_HEADER, NUMBER_HEADER, ACCOUNT_HEADER)
#: In a request: why its message, which says that it is a hint, is not taken for one.
REFUSED = "earwitness_refused"

#: Headers that the tasks read by themselves: Celery would drop what it cannot read.
_TIMES = ("eta", "expires")
_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

#: What a revoked task id means is decided elsewhere; the worker hands the ids over here.
revoked_listeners: list[Callable[[str], None]] = []


class Message(CeleryRequest):
    """A received message. Of its arguments account and day are shown, and the others' names; a hint
    is acknowledged at acceptance, any other message when its task has returned, that is, when its
    row is committed.
    """

    def __init__(self, message: Any, *args: Any, headers: Any = None, **kwargs: Any) -> None:
        given = without_impostors(message.headers if headers is None else headers)
        check_headers(given)
        behind = check_body(kwargs["body"] if kwargs["decoded"] else message.payload)
        readable = {name: _readable(given.get(name)) for name in _TIMES}
        super().__init__(message, *args, headers={**given, **readable}, **kwargs)
        self._request_dict.update({name: given.get(name) for name in _TIMES})
        self._keep_from_body(behind)
        self._take_for_hint()
        self._argsrepr = "()" if not self._args else "(...)"
        self._kwargsrepr = shown_arguments(self._kwargs if isinstance(self._kwargs, dict) else {})
        self._request_dict["argsrepr"] = self._argsrepr
        self._request_dict["kwargsrepr"] = self._kwargsrepr
        received(self.id, **self.said)

    def _keep_from_body(self, behind: dict[str, Any]) -> None:
        """Let what stands behind the arguments in the body say what Celery writes there, and no
        more: Celery would let it replace any header.
        """
        self._body = (self._args, self._kwargs, behind)
        self._content_type = self._content_encoding = None

    def _take_for_hint(self) -> None:
        """Heed the headers of a hint only in a message of an inner queue, which producers may not
        write to.
        """
        said = {name: self._request_dict.pop(name, None) for name in _OF_HINTS}
        self._request_dict.pop(REFUSED, None)
        if all(value is None for value in said.values()):
            return
        if self._delivery_info["routing_key"] not in INNER:
            self._request_dict[REFUSED] = f"only Earwitness itself sends {JOB_HEADER}"
        elif not _is_hint(said[JOB_HEADER], said[NUMBER_HEADER]):
            self._request_dict[REFUSED] = (
                f"{JOB_HEADER} or {NUMBER_HEADER} is not as Earwitness sends"
            )
        else:
            account = said[ACCOUNT_HEADER] if isinstance(said[ACCOUNT_HEADER], str) else None
            self._request_dict.update({**said, ACCOUNT_HEADER: account})

    @property
    def eta(self) -> None:
        """None: Celery would hold the message in memory until then, unacknowledged, so that it
        would be delivered again and again. It is accepted at once, and its row waits
        (`tasks/runtime/timing.py`).
        """
        return

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
        return JOB_HEADER in self._request_dict

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
        ``not_after``. Only messages of tasks that declare it may be dropped.
        """
        if getattr(self._task, "may_expire", False):
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


def _readable(moment: Any) -> Any:
    """A time as Celery may have it, None where it would drop the message."""
    try:
        return moment if isinstance(moment, str) and maybe_iso8601(moment) else None
    except (ArithmeticError, ValueError):
        return None


def _is_hint(job_id: Any, number: Any) -> bool:
    counted = number is None or (type(number) is int and 0 <= number < 2**63)
    return isinstance(job_id, str) and bool(_JOB_ID.fullmatch(job_id)) and counted


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


def notify(producer: Any, task_id: str, task: str, queue: str, kwargs: dict[str, Any]) -> None:
    """Send a caller's notification to the queue of its own application. The same notification sent
    twice has the same task id.
    """
    amqp = current_app.amqp
    message = amqp.create_task_message(task_id, task, (), kwargs, kwargsrepr="{...}")
    # Nothing is declared: who reads the queue does that, and it is no queue of this application.
    place = Queue(queue)
    amqp.send_task_message(producer, task, message, queue=place, declare=(), retry=False)
