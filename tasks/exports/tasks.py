"""Export tasks: create or retrieve an export, or run one until its recordings are archived."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from archive import paths
from config.queues import DOWNLOADS, DUE
from ledger.core.job import Job
from ledger.core.opening import Request
from providers.accounts import RecordingsAccount
from providers.interface import ExportsInBulk
from tasks.days import day as day_rows
from tasks.days import windows
from tasks.runtime.client import account_of, client, client_class
from tasks.runtime.context import account
from tasks.runtime.entry import job_task, part_task
from tasks.runtime.error_policy import apply_error_policy
from tasks.runtime.job_requests import job_request
from tasks.runtime.kinds import Opening
from tasks.runtime.obligations import under_chain
from tasks.runtime.runner import Attempt, Ended, Parts
from tasks.transfers.retrieved import retrieved

from . import batches, creation, retrieval, runs
from .arguments import CreateExport, RetrieveExport, RunExport
from .reconciliation import seal_alone
from .results import ArchivedExport, CreatedExport, RetrievedExport
from .strategies import night_of


def _create_request(asked: CreateExport, task_id: str) -> Request:
    parameters = {"filters": asked.filters.canonical()}
    client_class(account(asked.account), ExportsInBulk)
    return job_request("export.create", asked, task_id, parameters, queue=DUE)


@job_task("export.create", CreateExport, _create_request, CreatedExport)
def create_export(attempt: Attempt) -> Ended:
    """Create an export at the provider."""
    request = runs.ExportRequest(attempt.job.parameters["filters"])
    with (
        apply_error_policy(attempt, waits_for_credentials=True),
        client(attempt, ExportsInBulk) as provider,
    ):
        ids = creation.create(attempt, provider, request)
    return Ended({"provider_job_ids": ids})


def _retrieve_request(asked: RetrieveExport, task_id: str) -> Request:
    parameters = {"provider_job_id": asked.provider_job_id}
    client_class(account(asked.account), ExportsInBulk)
    return job_request("export.retrieve", asked, task_id, parameters, queue=DOWNLOADS)


@job_task("export.retrieve", RetrieveExport, _retrieve_request, RetrievedExport)
def retrieve_export(attempt: Attempt) -> Ended:
    """Poll an export until its ZIP is archived."""
    provider_job_id = attempt.job.parameters["provider_job_id"]
    folder = attempt.job.work.get("folder") or _own_folder(attempt.job)
    stored, count = retrieval.retrieve(attempt, provider_job_id, folder)
    outcome = retrieved(stored, count, provider_job_id)
    if attempt.job.parent_id is not None:
        return Ended(outcome)
    with apply_error_policy(attempt, waits_for_credentials=True):
        return Ended(outcome, obligations=[under_chain(seal_alone(attempt, folder, stored))])


@part_task(batches.KIND)
def fetch_batch(attempt: Attempt) -> Ended:
    """Fetch some of a run's recordings: ``{job_id, recordings, archived, missing}``."""
    return batches.fetch(attempt)


def _own_folder(job: Job) -> str:
    opened = datetime.fromtimestamp(job.created_at, UTC)
    day = windows.local_day(opened, account(job.account).zone)
    return paths.export_folder(job.account, day, job.job_id)


def _run_request(asked: RunExport, task_id: str) -> Request | Opening:
    timezone = account_of(asked.account, RecordingsAccount).zone
    if asked.day is not None:
        by = f"task {task_id}"
        return partial(day_rows.open_day, asked.account, asked.day, by=by, task_id=task_id)
    assert asked.filters is not None
    filters = asked.filters.canonical()
    start = datetime.fromisoformat(filters["start:gte"])
    parameters = {
        "filters": {k: v for k, v in filters.items() if not k.startswith("start:")},
        "window": {"start": filters["start:gte"], "last": filters["start:lte"]},
        "folder_day": windows.local_day(start, timezone).isoformat(),
    }
    return job_request("export.run", asked, task_id, parameters, queue=DUE)


@job_task("export.run", RunExport, _run_request, ArchivedExport)
def run_export(attempt: Attempt) -> Ended | Parts:
    """Archive every listed recording, and write the manifest."""
    return night_of(attempt.job.account).run(attempt)
