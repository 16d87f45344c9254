"""The table of jobs, and what an application's own models may inherit."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any, ParamSpec, Self

from django.contrib.contenttypes.fields import GenericForeignKey
from django.db import models, router, transaction
from django.utils import timezone

from earwitness_client.answers import Job as SentJob
from earwitness_client.request import EVERY_ACCOUNT, Request, id_of_job

from . import sending
from .signals import job_changed
from .states import CHOICES, FINAL, FOLLOWED, NOT_ACCEPTED, State, may_follow

Given = ParamSpec("Given")

_DAY = "day:"
#: The tasks that the worker drops when they are late, and the seconds that it allows from their
#: acceptance. A row may lie for hours before it is sent, so the time counts from the request.
_LIFETIME_SECONDS = {"certified_call.request": 900, "recording.start": 60}


class JobQuerySet(models.QuerySet):
    """Jobs, and questions about them."""

    def about(self, subject: models.Model) -> Self:
        """Return the jobs that were requested for an object."""
        from django.contrib.contenttypes.models import ContentType  # noqa: PLC0415 - once loaded

        kind = ContentType.objects.get_for_model(subject, for_concrete_model=False)
        found: Self = self.filter(subject_type=kind, subject_id=str(subject.pk))
        return found

    def to_send(self) -> Self:
        """Return the requests that are not known to have reached the queue, the oldest first."""
        found: Self = self.filter(state=State.TO_SEND).order_by("pk")
        return found

    def sent(self) -> Self:
        """Return the requests that are not known to have been accepted, the oldest first."""
        found: Self = self.filter(state=State.SENT).order_by("pk")
        return found

    def followed(self) -> Self:
        """Return the jobs that were sent and have no final state, the oldest first."""
        found: Self = self.filter(state__in=FOLLOWED).order_by("pk")
        return found

    def answered_by(self, job_id: str, task: str, request_id: str) -> list[Job]:
        """Return the rows of a job that the worker names.

        A day that was exported before has its job under the id of a later generation, which the row
        does not know while it waits for acceptance.
        """
        rows = list(self.filter(job_id=job_id))
        day, number, _ = request_id.rpartition("#")
        if rows or not number or not day.startswith(_DAY):
            return rows
        asked = self.filter(task=task, request_id=f"{day}#1", state__in=(State.TO_SEND, State.SENT))
        named = f"earwitness.{task}"
        return [job for job in asked if id_of_job(job.account, named, request_id) == job_id]


class Job(models.Model):
    """A request to the worker and what is known of its job.

    A request is its ``account``, ``task`` and ``request_id``. ``arguments`` are kept until the
    worker has accepted the job, since they may have to be sent again, and erased then. Results are
    not kept: see ``signals.job_changed``.
    """

    task: Any = models.CharField(max_length=64)
    account: Any = models.CharField(max_length=40, blank=True)
    request_id: Any = models.CharField("request id", max_length=160)
    job_id: Any = models.CharField("job id", max_length=36, db_index=True)
    task_id: Any = models.CharField("task id", max_length=36, blank=True)
    state: Any = models.CharField(
        max_length=16, choices=CHOICES, default=State.TO_SEND.value, db_index=True
    )
    error: Any = models.CharField("exception", max_length=64, blank=True)
    reason: Any = models.TextField(blank=True)
    arguments: Any = models.JSONField(null=True, editable=False)
    repeats: Any = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="repetitions"
    )
    subject_type: Any = models.ForeignKey(
        "contenttypes.ContentType", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    subject_id: Any = models.CharField(max_length=64, blank=True)
    subject: Any = GenericForeignKey("subject_type", "subject_id", for_concrete_model=False)
    requested_at: Any = models.DateTimeField("requested", default=timezone.now)
    created_at: Any = models.DateTimeField("created", default=timezone.now)
    updated_at: Any = models.DateTimeField("updated", default=timezone.now)
    ended_at: Any = models.DateTimeField("ended", null=True, blank=True)

    objects: Any = JobQuerySet.as_manager()

    class Meta:
        """The key of a request, and the permission for the admin's button."""

        ordering = ("-pk",)
        permissions = (("retry_job", "Can retry jobs"),)
        constraints = (
            models.UniqueConstraint(
                fields=("account", "task", "request_id"), name="earwitness_job_request"
            ),
        )
        indexes = (
            models.Index(fields=("subject_type", "subject_id"), name="earwitness_job_subject"),
        )

    def __str__(self) -> str:
        return f"{self.task} {self.request_id}"

    @property
    def is_ended(self) -> bool:
        """Whether nothing changes the job any more."""
        return self.state in FINAL

    def request_again(self, arguments: dict[str, Any] | None = None) -> None:
        """Make a request that opened no job one to be sent, as of now; with other ``arguments``."""
        fields = {
            "requested_at": timezone.now(),
            # The result backend may still have the refusal under the old one.
            "task_id": str(uuid.uuid4()),
            "arguments": self.arguments if arguments is None else arguments,
            "error": "",
            "reason": "",
        }
        if self.state == State.TO_SEND:
            self._replace(router.db_for_write(Job, instance=self), self.state, fields)
        else:
            self.record(State.TO_SEND, **fields)

    def request(self) -> Request:
        """Return the request, to be sent (again) under its own ids."""
        arguments = self.arguments or ({"account": self.account} if self.account else {})
        seconds = _LIFETIME_SECONDS.get(self.task)
        if seconds is not None and self.arguments is not None:
            ends = self.requested_at + timedelta(seconds=seconds)
            arguments = {"not_after": ends.astimezone(UTC).isoformat(), **arguments}
        return Request(
            f"earwitness.{self.task}",
            arguments,
            request_id=None if self.request_id.startswith(_DAY) else self.request_id,
            job_id=self.job_id,
            task_id=self.task_id,
            arguments_known=self.arguments is not None,
        )

    def record(self, state: str, *, result: Any = None, **news: Any) -> bool:
        """Store a new state and send ``job_changed``, unless it is no news; return whether it was.

        ``news`` are other fields. Exactly one of several processes that have the same news stores
        it. What a receiver of the signal raises is raised, and nothing is stored then.
        """
        database, state = router.db_for_write(Job, instance=self), str(state)
        while may_follow(self.state, state):
            previous = self.state
            with transaction.atomic(using=database):
                if self._replace(database, previous, {"state": state, **news}):
                    job_changed.send(sender=Job, job=self, previous=previous, result=result)
                    return True
            self.refresh_from_db(using=database, fields=["state"])
        return False

    def _replace(self, database: str, previous: str, fields: dict[str, Any]) -> bool:
        """Store fields if the row still has the state ``previous``; return whether it had."""
        now = timezone.now()
        stored = {**fields, "updated_at": now}
        state = fields.get("state", previous)
        if state not in NOT_ACCEPTED:
            stored["arguments"] = None
        if state in FINAL:
            stored["ended_at"] = now
        rows = Job.objects.using(database).filter(pk=self.pk, state=previous)
        if not rows.update(**stored):
            return False
        for name, value in stored.items():
            setattr(self, name, value)
        return True


class RequestsJobs(models.Model):
    """For an application's own models: objects for which jobs are requested.

    The jobs outlive the object. Where a join is needed, keep what ``send_on_commit`` returns in a
    foreign key of your own.
    """

    class Meta:
        """No table of its own."""

        abstract = True

    @property
    def earwitness_jobs(self) -> Any:
        """The jobs that were requested for this object, the latest first."""
        return Job.objects.about(self)

    def send_on_commit(
        self,
        function: Callable[Given, SentJob[Any]],
        /,
        *args: Given.args,
        **arguments: Given.kwargs,
    ) -> Job:
        """Request a job for this object, which must have been saved; see ``send_on_commit``."""
        return sending.send_for(self, function, args, arguments)


def account_of(request: Request) -> str:
    """Return the account of a request, empty for all accounts."""
    account = str(request.arguments.get("account", ""))
    return "" if account == EVERY_ACCOUNT else account
