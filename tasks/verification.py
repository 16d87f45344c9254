"""Verifying the archive: every checksum and every chain, in slices that never hold a slot long."""

from __future__ import annotations

import time
from typing import Any

from archive import verification
from config.queues import DOWNLOADS
from ledger.alerts import EVERY_ACCOUNT
from ledger.requests import Request

from . import errors, measures
from .arguments import VerifyArchive
from .attempt import Attempt, Ended, Wait
from .front_door import job_task
from .resources import account, ledger, store

#: One slice of a long verification; then the slot goes to others and the cursor to the ledger.
_SLICE_SECONDS = 300.0
_MOST_NAMED = 20
#: How often a file that no chain covers is looked at again though nobody owes an entry for it yet:
#: the job that stored it may not have ended.
_FEWEST_LOOKS = 3


def _request(asked: VerifyArchive, task_id: str) -> Request:
    if asked.account is not None:
        account(asked.account)
    return Request(
        kind="archive.verify",
        account=asked.account or EVERY_ACCOUNT,
        request_id=asked.request_id or task_id,
        parameters={"account": asked.account},
        queue=DOWNLOADS,
        task_id=task_id,
    )


@job_task("archive.verify", VerifyArchive, _request)
def verify_archive(attempt: Attempt) -> Ended:
    """Read every file and every chain: ``{job_id, files, bytes, heads}``, or what differs."""
    work = attempt.job.work
    only = attempt.job.parameters["account"]
    problems: list[str] = work.setdefault("problems", [])
    uncovered: list[str] = work.setdefault("uncovered", [])
    work.setdefault("files", 0)
    work.setdefault("bytes", 0)
    until = time.monotonic() + _SLICE_SECONDS
    for path, problem, size in verification.files(
        store(), only, after=work.get("after", ""), on_bytes=lambda _: attempt.check()
    ):
        attempt.check()
        work.update(after=path, files=work["files"] + 1, bytes=work["bytes"] + size)
        if problem is not None and problem.message == verification.UNCOVERED:
            uncovered.append(problem.path)
        elif problem is not None:
            problems.append(_said(problem))
        if time.monotonic() > until:
            raise Wait(f"verified {work['files']} files so far, up to {path}", 0)
    problems += _left_uncovered(attempt, uncovered)
    # As long as the ledger knows the chains to be, at least.
    known = {head.account: head.sha256 for head in ledger().archived.heads().values() if head.n}
    problems += [_said(problem) for problem in verification.chains(store(), only, known)]
    heads = verification.heads_of(store(), only)
    result: dict[str, Any] = {"files": work["files"], "bytes": work["bytes"], "heads": heads}
    if not problems:
        return Ended(result)
    measures.found_wrong(problems)
    message = f"{len(problems)} problems in the archive: " + "; ".join(problems[:_MOST_NAMED])
    return Ended(
        {**result, "problems": problems},
        errors.Damaged(f"done: {message}"),
    )


def _left_uncovered(attempt: Attempt, uncovered: list[str]) -> list[str]:
    """What is wrong with files that no chain covered when they were read. Raises Wait while their
    entries may still come: the file is stored first, its entry is owed with its job's end.
    """
    left = list(verification.still_wrong(store(), uncovered, lambda _: attempt.check()))
    paths = {problem.path for problem in left}
    owed = paths & ledger().obligations.unchained()
    looks = int(attempt.job.work.get("looks", 0))
    if (owed and not attempt.past_deadline) or (paths and looks < _FEWEST_LOOKS):
        raise Wait(
            f"verified every file; {len(paths)} of them are not yet under the chain",
            attempt.patience("looks"),
        )
    return [_said(problem) for problem in left]


def _said(problem: verification.Problem) -> str:
    return f"{problem.path}: {problem.message}"
