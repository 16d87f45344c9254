"""The Celery tasks of this application, which the project's own workers run."""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task
from django.db import router

from .configuration import NOTIFIED_TASK
from .following import follow
from .models import Job

_log = logging.getLogger("earwitness_client")


@shared_task(
    name=NOTIFIED_TASK,
    acks_late=True,
    ignore_result=True,
    autoretry_for=(Exception,),
    retry_backoff=True,
    retry_backoff_max=600,
    max_retries=10,
)
def job_ended(
    *,
    job_id: str,
    state: str,
    kind: str = "",
    request_id: str = "",
    result: Any = None,
    error: dict[str, str] | None = None,
    **_: Any,
) -> None:
    """Store the end of a job, of which the worker notifies at least once.

    Where the database or a receiver of the signal fails, it is tried again for some minutes; after
    that ``follow`` finds the end.
    """
    rows = Job.objects.using(router.db_for_write(Job)).answered_by(job_id, kind, request_id)
    if not rows:
        _log.info("job %s was not requested by this project; its end is ignored", job_id)
    error = error or {}
    for job in rows:
        news = {
            "job_id": job_id,
            "error": error.get("type", ""),
            "reason": error.get("message", ""),
        }
        job.record(state, result=result, **news)


@shared_task(name="earwitness_client.django.follow", ignore_result=True)
def follow_jobs() -> None:
    """Do what ``manage.py earwitness_follow`` does, for a project whose beat runs it."""
    for problem in follow().problems:
        _log.warning("%s", problem)
