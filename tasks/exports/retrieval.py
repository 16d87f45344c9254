"""Retrieving one part of an export: poll until it is a ZIP, then transfer, verify and store it."""

from __future__ import annotations

from dataclasses import asdict
from typing import NoReturn

from archive import paths
from archive.errors import Damaged, Dangerous
from archive.spool.member_lists import Hearing
from archive.spool.partial_download import PartialDownload
from archive.store.directory import Stored
from providers.errors import NotReady
from providers.interface import ExportsInBulk
from tasks import errors
from tasks.runtime import metrics
from tasks.runtime.client import client
from tasks.runtime.context import store
from tasks.runtime.error_policy import apply_error_policy, as_job_error
from tasks.runtime.runner import Attempt, Wait
from tasks.transfers import refused
from tasks.transfers.transfer import fetched

from . import members
from .progress import refuse_lost, refuse_unready

#: How many damaged downloads end the job; after each earlier one the ZIP is fetched again from its
#: first byte.
_MOST_DAMAGED = 3
#: Every healthy export answers so many polls with "not ready"; later ones may mean something else.
_USUAL_POLLS = 10


def retrieve(attempt: Attempt, provider_job_id: str, folder: str) -> tuple[Stored, int]:
    """Archive the ZIP of an export job in ``folder``; return it and its number of members.

    Raises Wait while the ZIP is not ready, and errors.NotReady, Damaged, Dangerous and Rejected
    (410: the export is gone; or the provider gave it up) if it cannot be had.
    """
    kept = attempt.job.work.get("kept")
    if kept is not None and store().exists(kept["path"]):
        return Stored(kept["path"], kept["bytes"], kept["sha256"]), kept["members"]
    expected = attempt.job.work.get("expected_bytes")
    with (
        apply_error_policy(attempt, waits_for_credentials=True),
        client(attempt, ExportsInBulk) as provider,
    ):
        refuse_unready(attempt, provider, provider_job_id)
        try:
            with fetched(
                attempt,
                f"zip-{attempt.job.job_id}",
                lambda etag, offset: provider.retrieve(provider_job_id, etag=etag, offset=offset),
                expected_bytes=expected,
            ) as (part, sha256, _):
                stored, count = _keep(attempt, part, sha256, provider_job_id, folder)
        except NotReady as error:
            refuse_lost(attempt, provider_job_id)
            _poll_again(attempt, error)
        except Damaged as error:
            _fetch_again(attempt, error)
    # Noted for the worker that seals the ZIP later: the provider does not keep an export for ever.
    attempt.note(kept={**asdict(stored), "members": count})
    return stored, count


def _keep(
    attempt: Attempt, part: PartialDownload, sha256: str, provider_job_id: str, folder: str
) -> tuple[Stored, int]:
    name = f"the ZIP of export {provider_job_id}"
    try:
        heard = _hearing(attempt)
        found = members.verified(attempt, part.path, sha256, name=name, heard=heard)
        count = sum(1 for _ in found)
        path = paths.part_path(folder, provider_job_id, sha256)
        stored = store().keep(
            path, part.path, sha256, on_bytes=lambda _: attempt.check(), state=part.state
        )
    except (Damaged, Dangerous) as error:
        kind = metrics.DANGEROUS if isinstance(error, Dangerous) else metrics.DAMAGED
        metrics.verification_failures.labels(attempt.job.account, kind).inc()
        # The provider does not keep an export for ever: this may be the last copy.
        place = refused.set_aside(part, attempt.job.account, provider_job_id, sha256)
        # A refused download is not resumed: the next try begins at the first byte.
        part.discard()
        raise type(error)(error.path, error.reason + place) from None
    part.discard()
    refused.drop(attempt.job.account, provider_job_id)
    metrics.archived_bytes.labels(attempt.job.account).inc(stored.bytes)
    return stored, count


def _hearing(attempt: Attempt) -> Hearing:
    """Return how much of each member's audio to check.

    An export's run matches recordings by their audio later; a ZIP that is retrieved by itself is
    not matched.
    """
    if attempt.job.parent_id is None:
        return "unheard"
    return members.hearing(is_sized=attempt.job.work.get("is_sized", False))


def _poll_again(attempt: Attempt, error: NotReady) -> NoReturn:
    lasting = f"{error}; {error.if_it_lasts}" if error.if_it_lasts else str(error)
    if attempt.past_deadline:
        raise errors.NotReady(f"not done: the deadline passed: {lasting}") from None
    seconds = attempt.next_backoff("polls")
    is_usual = attempt.job.work["polls"] <= _USUAL_POLLS
    raise Wait(str(error) if is_usual else lasting, seconds) from None


def _fetch_again(attempt: Attempt, error: Damaged) -> NoReturn:
    times = int(attempt.job.work.get("damaged", 0)) + 1
    attempt.job.work["damaged"] = times
    if times >= _MOST_DAMAGED:
        raise as_job_error(error) from None
    raise Wait(
        f"{error}; will download it again from the start", attempt.next_backoff("fetches")
    ) from None
