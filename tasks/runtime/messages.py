"""Task messages: what a worker shows of them, when it acknowledges them, and what a hint is."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakMethod

from celery import current_app
from celery.utils.time import maybe_iso8601
from celery.worker.request import Request as CeleryRequest
from kombu import Queue
from kombu.exceptions import BatchPublishError

from config.logging import bind, received
from config.masking import mask
from config.queues import DUE, INNER
from config.settings import settings
from ledger.core.job import Job
from ledger.core.wakeups import Hint

from . import canvas, job_events
from .job_events import ShownArguments
from .message_headers import check_body, check_headers, drop_reserved_headers
from .redaction import shown_arguments, shown_result
from .redis_errors import BROKER_AWAY

_log = logging.getLogger(__name__)

#: The header that makes a message a hint: the job's id. A hint has no arguments.
JOB_HEADER = "earwitness_job"
NUMBER_HEADER = "earwitness_hint"
#: The job's account, request id and day, only for the log and for people who watch the tasks.
ACCOUNT_HEADER = "earwitness_account"
_REQUEST_HEADER = "earwitness_request"
_DAY_HEADER = "earwitness_day"
_ABOUT_HEADERS = (ACCOUNT_HEADER, _REQUEST_HEADER, _DAY_HEADER)
_HINT_HEADERS = (JOB_HEADER, NUMBER_HEADER, *_ABOUT_HEADERS)
#: In a request: why its message, which claims to be a hint, is refused.
REFUSED = "earwitness_refused"
#: In a request: the job that its answer is about, once that is known.
JOB_OF_ANSWER = "earwitness_job_of_answer"

#: Headers that the tasks read themselves: Celery would drop a message whose times it cannot read.
_TIMES = ("eta", "expires")
#: How many hints go to Redis at once: more would fill the buffers between the two, and wait.
_PIPELINED = 20
_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

#: Called with each message of a revoked task; the listener decides what the revocation means.
revoked_listeners: list[Callable[[Message], None]] = []


class Message(CeleryRequest):
    """A received message.

    Of its arguments, people see the names, and the values of account and day only. A hint is
    acknowledged when it is accepted. Any other message is acknowledged when its task has returned,
    which is after its row is committed.
    """

    def __init__(self, message: Any, *args: Any, headers: Any = None, **kwargs: Any) -> None:
        given = drop_reserved_headers(message.headers if headers is None else headers)
        check_headers(given)
        embedded = check_body(kwargs["body"] if kwargs["decoded"] else message.payload)
        readable = {name: _readable(given.get(name)) for name in _TIMES}
        super().__init__(message, *args, headers={**given, **readable}, **kwargs)
        self._request_dict.update({name: given.get(name) for name in _TIMES})
        self._use_checked_body(embedded)
        self._keep_hint_headers()
        self._argsrepr = "()" if not self._args else "(...)"
        arguments = self._kwargs if isinstance(self._kwargs, dict) else {}
        self._shown_job = self._hinted_job() if self.is_hint else job_events.of_arguments(arguments)
        self._kwargsrepr = ShownArguments(shown_arguments(arguments), self._shown_job)
        self._request_dict["argsrepr"] = self._argsrepr
        self._request_dict["kwargsrepr"] = str(self._kwargsrepr)
        # The task runs in a thread of this process and adds what it learns of its job.
        self._request_dict[job_events.FIELD] = self._shown_job
        self._request_dict[job_events.SENDER] = WeakMethod(self.send_event)
        received(self.id, **self.log_fields)

    def _use_checked_body(self, embedded: dict[str, Any]) -> None:
        """Replace the part of the body after the arguments by the checked one.

        Celery would let that part replace any header.
        """
        if embedded:
            canvas.with_ids(self.id, embedded)
        self._body = (self._args, self._kwargs, embedded)
        self._content_type = self._content_encoding = None

    def _keep_hint_headers(self) -> None:
        """Keep the headers of a hint only in a message of an inner queue.

        Producers may not write to inner queues.
        """
        given_headers = {name: self._request_dict.pop(name, None) for name in _HINT_HEADERS}
        self._request_dict.pop(REFUSED, None)
        self._request_dict.pop(JOB_OF_ANSWER, None)
        if all(value is None for value in given_headers.values()):
            return
        if self._delivery_info["routing_key"] not in INNER:
            self._request_dict[REFUSED] = f"only Earwitness may send {JOB_HEADER}"
        elif not _is_hint(given_headers[JOB_HEADER], given_headers[NUMBER_HEADER]):
            self._request_dict[REFUSED] = f"{JOB_HEADER} or {NUMBER_HEADER} has a wrong value"
        else:
            about = {name: given_headers[name] for name in _ABOUT_HEADERS}
            texts = {name: text if isinstance(text, str) else None for name, text in about.items()}
            self._request_dict.update({**given_headers, **texts})

    def _hinted_job(self) -> dict[str, Any]:
        names = ("job_id", "account", "request_id", "day")
        headers = (JOB_HEADER, *_ABOUT_HEADERS)
        given = (self._request_dict.get(header) for header in headers)
        return job_events.shown(**dict(zip(names, given, strict=True)))

    @property
    def eta(self) -> None:
        """None, always.

        With an eta, Celery would hold the message in memory, unacknowledged, and Redis would
        deliver it again and again. The message is accepted at once, and its row waits
        (`tasks/runtime/timing.py`).
        """
        return

    @property
    def log_fields(self) -> dict[str, Any]:
        """The job's id and account that the message names, for the log."""
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
        """Return what ``inspect`` and Flower's worker page show of a running task."""
        return dict(super().info(safe=True))

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Acknowledge a hint before it runs.

        The row protects the job, and Redis would otherwise deliver a transfer of hours again every
        30 seconds.
        """
        with bind(task_id=self.id, **self.log_fields):
            super().on_accepted(pid, time_accepted)
            if self.is_hint:
                self.acknowledge()

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        """Send an event with the numbers in its result or error masked, as in the log.

        Flower and every other client of this Redis may read events.
        """
        masked = {
            name: mask(str(fields[name])) for name in ("exception", "traceback") if fields.get(name)
        }
        if fields.get("result"):
            masked["result"] = shown_result(str(fields["result"]))
        job = {job_events.FIELD: dict(self._shown_job)} if self._shown_job else {}
        super().send_event(type, **{**fields, **masked, **job})

    def maybe_expire(self) -> bool:
        """Return whether Celery may drop the message because it has expired.

        Celery drops an expired message before it has a row; our tasks treat ``expires`` as
        ``not_after`` instead. Only tasks that declare ``may_expire`` let their messages be dropped.
        """
        if getattr(self._task, "may_expire", False):
            return bool(super().maybe_expire())
        return False

    def revoked(self) -> bool:
        """Return whether the task was revoked.

        If so, pass the message to the listeners, which cancel the task's job.
        """
        with bind(task_id=self.id, **self.log_fields):
            revoked = bool(super().revoked())
        if revoked:
            for listener in revoked_listeners:
                listener(self)
        return revoked


def _readable(moment: Any) -> Any:
    """Return a time that Celery can read, or None for one that would make it drop the message."""
    try:
        return moment if isinstance(moment, str) and maybe_iso8601(moment) else None
    except (ArithmeticError, ValueError):
        return None


def _is_hint(job_id: Any, number: Any) -> bool:
    counted = number is None or (type(number) is int and 0 <= number < 2**63)
    return isinstance(job_id, str) and bool(_JOB_ID.fullmatch(job_id)) and counted


def publish(hints: Sequence[Hint]) -> None:
    """Send hints together. Their rows exist already, so a failure to send loses nothing.

    Raises BROKER_AWAY. ``send_task`` is not used: it subscribes to the result and would open one
    subscription a message.
    """
    try:
        with current_app.producer_or_acquire() as producer, producer.batch(_PIPELINED):
            for hint in hints:
                _publish(producer, hint)
    except BatchPublishError as error:
        raise error.__cause__ or error from None


def _publish(producer: Any, hint: Hint) -> None:
    amqp = current_app.amqp
    message = amqp.create_task_message(hint.task_id, f"earwitness.{hint.kind}", (), {})
    envelope = hint.envelope or {}
    headers = {
        **envelope.get("headers", {}),
        JOB_HEADER: hint.job_id,
        NUMBER_HEADER: hint.number,
        ACCOUNT_HEADER: hint.account,
        _REQUEST_HEADER: hint.request_id,
        _DAY_HEADER: hint.day,
    }
    more = {"priority": envelope["priority"]} if "priority" in envelope else {}
    amqp.send_task_message(
        producer,
        f"earwitness.{hint.kind}",
        message,
        queue=hint.queue or DUE,
        headers=headers,
        retry=False,
        **more,
    )


def publish_first(job: Job, number: int) -> None:
    """Send the first hint of a job whose row was just committed.

    If the broker does not take the hint, a sweeper announces the job later.
    """
    try:
        publish([Hint.of(job, number)])
    except BROKER_AWAY as error:
        with bind(job_id=job.job_id, account=job.account):
            _log.warning("job %s is accepted; its hint waits for Redis (%s)", job.job_id, error)


def publish_answer(answer: Hint) -> None:
    """Send the answer of a task that was just claimed.

    If the broker does not take the answer, a sweeper sends it later.
    """
    try:
        publish([answer])
    except BROKER_AWAY as error:
        _log.warning("job %s has ended; an answer waits for Redis (%s)", answer.job_id, error)


def notify(producer: Any, task_id: str, task: str, queue: str, kwargs: dict[str, Any]) -> None:
    """Send a notification to a queue of the caller's own application.

    A notification that is sent twice has the same task id.
    """
    amqp = current_app.amqp
    message = amqp.create_task_message(task_id, task, (), kwargs, kwargsrepr="{...}")
    # The reader declares the queue, which belongs to another application.
    place = Queue(queue)
    amqp.send_task_message(producer, task, message, queue=place, declare=(), retry=False)
