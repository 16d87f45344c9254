"""Strategies that bring the recordings of a run into the archive: in bulk, or file by file.

Both begin with a look at the list and end with `reconciliation.reconcile`, which compares the list
with the archive, has what is missing fetched in batches, and writes the list and the manifest.
"""

from __future__ import annotations

from typing import Any, Protocol

from config.error_names import ErrorName
from config.queues import DOWNLOADS
from ledger.core.opening import Request
from providers import registry
from providers.interface import ExportsInBulk
from tasks.runtime.client import client
from tasks.runtime.context import account, ledger
from tasks.runtime.error_policy import apply_error_policy
from tasks.runtime.runner import Attempt, Ended, Parts

from . import creation, runs
from .preview import preview
from .reconciliation import reconcile


class Night(Protocol):
    """A strategy to archive the recordings of a run."""

    def run(self, attempt: Attempt) -> Ended | Parts:
        """Continue a run until it waits for parts or ends; ``{manifest, listed, archived,
        missing}``.
        """


class BulkNight:
    """For a provider that makes ZIPs: create an export, retrieve every part, reconcile."""

    def run(self, attempt: Attempt) -> Ended | Parts:
        """Continue a run; exports that it has created and parts that it has retrieved are kept."""
        if "provider_job_ids" not in attempt.job.work:
            begun = self._begin(attempt)
            if begun is not None:
                return begun
        lost = _lost_parts(attempt)
        if lost and not attempt.job.work.get("created_anew"):
            # The provider has dropped the export, or never finished it: a new one is created, once.
            return self._created(attempt, created_anew=lost)
        return reconcile(attempt)

    def _begin(self, attempt: Attempt) -> Ended | Parts | None:
        """Look at what there is to export, and create the export; return None if none is needed."""
        found = preview(attempt)
        attempt.job.work.update(
            listed=found.listed, expected_bytes=found.bytes, is_sized=found.is_sized
        )
        if not found.needs_export:
            attempt.note(provider_job_ids=[])
            return None
        return self._created(attempt)

    def _created(self, attempt: Attempt, **more: Any) -> Ended | Parts:
        with (
            apply_error_policy(attempt, waits_for_credentials=True),
            client(attempt, ExportsInBulk) as provider,
        ):
            ids = creation.create(attempt, provider, runs.export_request(attempt.job.parameters))
        known = attempt.job.work.get("provider_job_ids", [])
        fresh = [one for one in dict.fromkeys(ids) if one not in known]
        attempt.note(provider_job_ids=[*known, *fresh], **more)
        # Without ids there is nothing to retrieve: what is listed is fetched in batches.
        return _parts(attempt, fresh) if fresh else reconcile(attempt)


class SingleFilesNight:
    """For a provider that gives single files only: fetch each recording once, in batches that each
    take one transfer slot.

    Recordings that are in the archive already are not fetched again.
    """

    def run(self, attempt: Attempt) -> Ended | Parts:
        """Continue a run, once the day has settled."""
        if "listed" not in attempt.job.work:
            found = preview(attempt)
            attempt.note(listed=found.listed, expected_bytes=found.bytes)
        return reconcile(attempt)


def night_of(alias: str) -> Night:
    """Return the strategy for an account's provider."""
    in_bulk = registry.has(account(alias), ExportsInBulk)
    return BulkNight() if in_bulk else SingleFilesNight()


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
                "day": job.day,
                "expected_bytes": each,
                "is_sized": job.work.get("is_sized", False),
            },
        )
        for provider_job_id in ids
    ]
    return Parts(parts, DOWNLOADS)


def _lost_parts(attempt: Attempt) -> list[str]:
    lost = (ErrorName.NOT_READY, ErrorName.REJECTED)
    return [
        part.parameters["provider_job_id"]
        for part in ledger().jobs.parts(attempt.job.job_id, kind="export.retrieve")
        if part.error is not None and part.error["type"] in lost
    ]
