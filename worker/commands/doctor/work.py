"""``doctor`` on the work: decisions that people owe, what is owed to them and what failed,
incomplete days.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator

from archive.errors import ArchiveError
from config.settings import Settings
from ledger import alerts
from ledger.core import states
from ledger.core.job import iso
from ledger.core.outbox import WEBHOOK
from ledger.errors import NotPossible
from ledger.quarantine import MEANING, WAY_OUT
from tasks.rebuild import backup_check
from tasks.rebuild.rebuild import archived_identity
from tasks.runtime.context import ledger

from .findings import Finding, error, ok, warning

_DAY_SECONDS = 86_400
#: What is owed is tried again within ten minutes; older than this it does not go away by itself.
_OWED_SECONDS = 1_200
#: An alert that nobody takes for so long is told here.
_UNTOLD_SECONDS = 300
_MOST_FAILED = 1_000
_MOST_NAMED = 10


def examined(settings: Settings) -> Iterator[Finding]:
    """What there is to say of jobs, days and accounts."""
    yield _future_times()
    yield _quarantine()
    yield from _compared()
    yield _decisions()
    yield _owed()
    yield _notifications()
    yield _answers()
    yield _alerts(settings)
    yield _failed()
    yield _days()
    for alias in sorted(settings.accounts):
        pause = ledger().accounts.pause(alias)
        if pause is not None:
            seconds, because = pause
            meaning = f"rests for {seconds:.0f} s more: {because}"
            yield warning(f"account {alias}", meaning, "run: python -m worker accounts check")


def _future_times() -> Finding:
    """Whether something waits for a time that only a clock which was ahead can have written."""
    found = ledger().future_times.found()
    if not found:
        return ok("clock", "no time in the ledger lies further ahead than it can")
    named = "; ".join(
        f"{one.what} {one.name} by {one.seconds:.0f} s" for one in found[:_MOST_NAMED]
    )
    more = f", and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return warning(
        "clock",
        f"{len(found)} times in the ledger lie further ahead than they can ({named}{more}): the "
        "clock was ahead when they were written",
        "see that this machine's clock is right now (NTP); a worker that runs brings them back to "
        "now within a minute",
    )


def _quarantine() -> Finding:
    if not ledger().identity.quarantined():
        return ok("quarantine", "the ledger is in none")
    return warning("quarantine", f"the ledger is in quarantine: {MEANING}", WAY_OUT)


def _compared() -> Iterator[Finding]:
    """Whether the archive, if it is this ledger's, knows of jobs that the ledger does not."""
    try:
        if archived_identity() != ledger().identity.identity():
            return
        unknown = backup_check.unknown_files()
    except NotPossible:
        return
    except (ArchiveError, OSError) as failure:
        yield warning("restored", f"the archive cannot be listed: {failure}", "see the archive")
        return
    if unknown:
        yield error("restored", backup_check.said(unknown), backup_check.WAY_OUT)
    else:
        yield ok("restored", "the ledger knows the archive's newest receipts and manifests")


def _decisions() -> Finding:
    waiting = ledger().jobs.undecided()
    if not waiting:
        return ok("decisions", "none is waited for")
    oldest, since = waiting[0]
    meaning = (
        f"{len(waiting)} wait for a person's, the oldest since {iso(since)} ({oldest.job_id}): "
        "nobody knows whether these paid calls were placed, and no program tries them again"
    )
    advice = "see python -m worker show JOB and the provider's panel, then python -m worker resolve"
    return warning("decisions", meaning, advice)


def _owed() -> Finding:
    owed = ledger().outbox.waiting()
    if not owed:
        return ok("owed", "nothing")
    many = ", ".join(f"{one['count']} {one['kind']}" for one in owed)
    oldest = min(owed, key=lambda one: one["oldest"])
    meaning = f"{many}, the oldest since {iso(oldest['oldest'])}"
    if time.time() - oldest["oldest"] < _OWED_SECONDS:
        return ok("owed", meaning)
    why = f": {oldest['reason']}" if oldest["reason"] else ""
    advice = "see the workers' logs; it is tried again without end, a notification for a day"
    return warning("owed", meaning + why, advice)


def _notifications() -> Finding:
    """Tell whether notifications were given up and their alerts are still open."""
    causes = [
        one["cause"] for one in ledger().alerts.all_open() if one["kind"] == alerts.NOTIFICATION
    ]
    given_up = ledger().notifications.given_up()
    if not causes or given_up is None:
        return ok("notifications", "none that was given up is open")
    meaning = (
        f"{given_up['count']} were given up, the last at {given_up['last']}: "
        f"{given_up['reason']}; the jobs are not touched"
    )
    advice = (
        "mend the queue, then let the caller send the request id with notify again, or close: "
        f"python -m worker alerts --close {shlex.quote(causes[-1])} --by WHO --note WHY"
    )
    return warning("notifications", meaning, advice)


def _answers() -> Finding:
    """Whether results could not be stored in Redis for as long as it would have kept them."""
    lost = ledger().waiters.unanswerable()
    if not lost:
        return ok("answers", "every task that waits is answered")
    meaning = f"the results of {lost} tasks could not be stored in Redis within a day"
    advice = (
        "see the workers' logs and ACL LOG; the ledger has the outcomes, and sending the same "
        "request ids again asks for them"
    )
    return warning("answers", meaning, advice)


def _alerts(settings: Settings) -> Finding:
    """Whether people are told: alerts wait for a receiver that does not take them."""
    if settings.alert_url is None:
        where = "told in the log alone, EARWITNESS_ALERT_URL is not set"
        return ok("alerts", f"{where}; {_open_causes()}")
    waiting = [one for one in ledger().outbox.waiting() if one["kind"] == WEBHOOK]
    if not waiting:
        return ok("alerts", f"every one was delivered; {_open_causes()}")
    (owed,) = waiting
    meaning = f"{owed['count']} not delivered, the oldest since {iso(owed['oldest'])}"
    if time.time() - owed["oldest"] < _UNTOLD_SECONDS or not owed["reason"]:
        return ok("alerts", meaning)
    advice = "see that EARWITNESS_ALERT_URL is right and that its receiver answers with 2xx"
    return warning("alerts", f"{meaning}: {owed['reason']}", advice)


def _open_causes() -> str:
    causes = [one["cause"] for one in ledger().alerts.all_open()]
    named = ", ".join(causes[-_MOST_NAMED:])
    if not causes:
        return "none is open"
    return f"open: {len(causes)}, the last: {named}; see: python -m worker alerts"


def _failed() -> Finding:
    since = time.time() - _DAY_SECONDS
    failed = ledger().jobs.jobs(state=states.FAILED, limit=_MOST_FAILED)
    recent = [job for job in failed if job.updated_at > since]
    if not recent:
        return ok("jobs", "none failed in the last day")
    meaning = f"{len(recent)} failed in the last day, the last {recent[0].job_id}"
    advice = "see python -m worker status --state failed, then retry what is worth it"
    return warning("jobs", f"{meaning}: {recent[0].reason}", advice)


def _days() -> Finding:
    missing = [
        f"{row.account} {row.day} ({row.state.replace('_', ' ')})"
        for alias in ledger().days.accounts()
        for row in ledger().days.of(alias)
        if row.state in (states.DAY_INCOMPLETE, states.DAY_GAVE_UP, states.DAY_DAMAGED)
    ]
    if not missing:
        return ok("days", "none is incomplete")
    named = ", ".join(missing[-_MOST_NAMED:])
    more = f"{len(missing)} are not complete, the last: " if len(missing) > _MOST_NAMED else ""
    advice = "see python -m worker coverage; export by hand what is too old for the next night"
    return warning("days", more + named, advice)
