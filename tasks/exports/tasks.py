"""Exports: create one, retrieve one, or run one from its creation to a reconciled archive."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from archive import paths
from config.queues import DOWNLOADS, DUE
from ledger.core.job import Job
from ledger.core.opening import Request
from tasks.days import day as day_rows
from tasks.days import windows
from tasks.runtime.arguments import CreateExport, RetrieveExport, RunExport
from tasks.runtime.context import ledger, vonage_account
from tasks.runtime.entry import Opening, job_task
from tasks.runtime.error_policy import consequences
from tasks.runtime.job_requests import vonage_request
from tasks.runtime.obligations import under_chain
from tasks.runtime.runner import Attempt, Ended, Parts
from tasks.transfers.vonage_client import client

from . import creation, retrieval, runs
from .preview import survey
from .reconciliation import reconcile, seal_alone


def _create_request(asked: CreateExport, task_id: str) -> Request:
    parameters = {"filters": asked.filters.canonical()}
    return vonage_request("export.create", asked, task_id, parameters, queue=DUE)


@job_task("export.create", CreateExport, _create_request)
def create_export(attempt: Attempt) -> Ended:
    """Create an export at the provider: ``{job_id, provider_job_ids}``."""
    with consequences(attempt, waits_for_credentials=True), client(attempt) as vonage:
        ids = creation.create(attempt, vonage, attempt.job.parameters["filters"])
    return Ended({"provider_job_ids": ids})


def _retrieve_request(asked: RetrieveExport, task_id: str) -> Request:
    parameters = {"provider_job_id": asked.provider_job_id}
    return vonage_request("export.retrieve", asked, task_id, parameters, queue=DOWNLOADS)


@job_task("export.retrieve", RetrieveExport, _retrieve_request)
def retrieve_export(attempt: Attempt) -> Ended:
    """Poll an export until its ZIP is archived: ``{job_id, path, sha256, bytes, members}``."""
    provider_job_id = attempt.job.parameters["provider_job_id"]
    folder = attempt.job.work.get("folder") or _own_folder(attempt.job)
    stored, count = retrieval.retrieve(attempt, provider_job_id, folder)
    outcome = retrieval.result(stored, count, provider_job_id)
    if attempt.job.parent_id is not None:
        return Ended(outcome)
    with consequences(attempt, waits_for_credentials=True):
        return Ended(outcome, owed=[under_chain(seal_alone(attempt, folder, stored))])


def _own_folder(job: Job) -> str:
    opened = datetime.fromtimestamp(job.created_at, UTC)
    day = windows.local_day(opened, windows.zone(vonage_account(job.account)))
    return paths.export_folder(job.account, day, job.job_id)


def _run_request(asked: RunExport, task_id: str) -> Request | Opening:
    account = vonage_account(asked.account)
    if asked.day is not None:
        by = f"task {task_id}"
        return partial(day_rows.open_day, asked.account, asked.day, by=by, task_id=task_id)
    assert asked.filters is not None
    filters = asked.filters.canonical()
    start = datetime.fromisoformat(filters["start:gte"])
    timezone = windows.zone(account)
    parameters = {
        "filters": {k: v for k, v in filters.items() if not k.startswith("start:")},
        "window": {"start": filters["start:gte"], "last": filters["start:lte"]},
        "folder_day": windows.local_day(start, timezone).isoformat(),
    }
    return vonage_request("export.run", asked, task_id, parameters, queue=DUE)


@job_task("export.run", RunExport, _run_request)
def run_export(attempt: Attempt) -> Ended | Parts:
    """Create, retrieve every part, reconcile: ``{job_id, manifest, listed, archived, missing}``."""
    work = attempt.job.work
    if "provider_job_ids" not in work:
        asked = _begin(attempt)
        if asked is not None:
            return asked
    lost = _lost_parts(attempt)
    if lost and not work.get("created_anew"):
        # The provider has thrown the export away, or never finished it: asked for once more.
        return _created(attempt, created_anew=lost)
    return reconcile(attempt)


def _begin(attempt: Attempt) -> Ended | Parts | None:
    """Look at what there is to export, and create the export; None where none is needed."""
    found = survey(attempt)
    attempt.job.work.update(
        listed=found.listed, expected_bytes=found.bytes, is_sized=found.is_sized
    )
    if not found.needs_export:
        attempt.note(provider_job_ids=[])
        return None
    return _created(attempt)


def _created(attempt: Attempt, **more: Any) -> Ended | Parts:
    with consequences(attempt, waits_for_credentials=True), client(attempt) as vonage:
        ids = creation.create(attempt, vonage, runs.provider_filters(attempt.job.parameters))
    known = attempt.job.work.get("provider_job_ids", [])
    fresh = [one for one in dict.fromkeys(ids) if one not in known]
    attempt.note(provider_job_ids=[*known, *fresh], **more)
    # Without ids there is nothing to retrieve: what is listed is fetched one by one.
    return _parts(attempt, fresh) if fresh else reconcile(attempt)


def _parts(attempt: Attempt, ids: list[str]) -> Parts:
    job = attempt.job
    folder = runs.folder(job)
    each = job.work.get("expected_bytes") if len(ids) == 1 else None
    parts = [
        Request(
            kind="export.retrieve",
            account=job.account,
            request_id=f"{job.job_id}/{provider_job_id}",
            parameters={"provider_job_id": provider_job_id},
            queue=DOWNLOADS,
            parent_id=job.job_id,
            work={
                "folder": folder,
                "expected_bytes": each,
                "is_sized": job.work.get("is_sized", False),
            },
        )
        for provider_job_id in ids
    ]
    return Parts(parts, DOWNLOADS)


def _lost_parts(attempt: Attempt) -> list[str]:
    lost = ("NotReady", "Rejected")
    return [
        part.parameters["provider_job_id"]
        for part in ledger().jobs.parts(attempt.job.job_id)
        if part.error is not None and part.error["type"] in lost
    ]
