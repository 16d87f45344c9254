"""Verifying the archive, every checksum and every chain, in slices that free the slot."""

from __future__ import annotations

import time
from typing import Any

from archive import paths as archive_paths
from archive.problem import escaped
from archive.verify import verification
from config.queues import DOWNLOADS
from ledger.alerts import EVERY_ACCOUNT
from ledger.core.opening import Request
from ledger.errors import NoSuchJob
from tasks import errors
from tasks.runtime import metrics
from tasks.runtime.context import account, ledger, store
from tasks.runtime.entry import job_task
from tasks.runtime.runner import Attempt, Ended, Wait

from .arguments import VerifyArchive
from .results import VerifiedArchive

#: The length of one slice; then the slot goes to other jobs and the cursor to the ledger.
_SLICE_SECONDS = 300.0
_MOST_NAMED, _MOST_KEPT = 20, 1000
#: How often to look again at a file that nothing vouches for and whose chain entry is not due: the
#: job that stored it may not have ended.
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


@job_task("archive.verify", VerifyArchive, _request, VerifiedArchive)
def verify_archive(attempt: Attempt) -> Ended:
    """Verify every file and every chain.

    Pending files are counted; the next verification reports them if nothing vouches for them then.
    """
    work = attempt.job.work
    only = attempt.job.parameters["account"]
    problems: list[str] = work.setdefault("problems", [])
    until = time.monotonic() + _SLICE_SECONDS
    for name in ("files", "bytes", "pending", "unnamed"):
        work.setdefault(name, 0)
    for path, problem, size in verification.files(
        store(), only, after=work.get("after", ""), on_bytes=lambda _: attempt.check()
    ):
        attempt.check()
        work.update(after=path, files=work["files"] + 1, bytes=work["bytes"] + size)
        if problem is not None:
            _note(work, problem)
        if time.monotonic() > until:
            many = f"{work['files']} file{'s' * (work['files'] != 1)}"
            raise Wait(f"verified {many} so far, up to {escaped(path)}", 0)
    problems += _left_unvouched(attempt, work.get("unvouched", []))
    # The chains must be at least as long as the ledger knows.
    known = {
        head.account: head.sha256 for head in ledger().archive_record.heads().values() if head.n
    }
    problems += [str(problem) for problem in verification.chains(store(), only, known)]
    if work["unnamed"]:
        problems.append(f"and {work['unnamed']} more file{'s' * (work['unnamed'] != 1)}")
    heads = verification.heads_of(store(), only)
    result = {name: work[name] for name in ("files", "bytes", "pending")} | {"heads": heads}
    if not problems:
        return Ended(result)
    metrics.found_wrong(problems)
    count = f"{len(problems)} problem{'s' * (len(problems) != 1)}"
    message = f"{count} in the archive: " + "; ".join(problems[:_MOST_NAMED])
    return Ended(
        {**result, "problems": problems},
        errors.Damaged(f"done: {message}"),
    )


def _note(work: dict[str, Any], problem: verification.Problem) -> None:
    """Keep a problem for the end; of very many only the number, since the ledger stores them."""
    unvouched: list[str] = work.setdefault("unvouched", [])
    if isinstance(problem, verification.Pending):
        work["pending"] += 1
    elif len(unvouched) + len(work["problems"]) >= _MOST_KEPT:
        work["unnamed"] += 1
    elif isinstance(problem, verification.Unvouched):
        unvouched.append(problem.path)
    else:
        work["problems"].append(str(problem))


def _left_unvouched(attempt: Attempt, unvouched: list[str]) -> list[str]:
    """Return the problems of files for which nothing vouched when they were read.

    Raises Wait while their entries may still come: a file is stored first, and its entry is written
    after its job has ended.
    """
    left = [
        problem
        for problem in verification.still_wrong(store(), unvouched, lambda _: attempt.check())
        if not _is_of_a_run(problem.path)
    ]
    paths = {problem.path for problem in left}
    pending = paths & ledger().archive_record.unchained()
    looks = int(attempt.job.work.get("looks", 0))
    if (pending and not attempt.past_deadline) or (paths and looks < _FEWEST_LOOKS):
        are = "is" if len(paths) == 1 else "are"
        raise Wait(
            f"verified every file; {len(paths)} of them {are} not in a chain yet",
            attempt.next_backoff("looks"),
        )
    return [str(problem) for problem in left]


def _is_of_a_run(path: str) -> bool:
    """Return whether a file belongs to an export in progress.

    An export's manifest is written last, and the first of many ZIPs may lie there for hours before.
    """
    if archive_paths.kind_of(path) not in ("zip", "recordings"):
        return False
    try:
        return not ledger().jobs.job(path.split("/")[-2]).ended
    except NoSuchJob:
        return False
