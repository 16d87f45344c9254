"""``doctor`` on the work: decisions, pending receipts and notifications, failures, missing days."""

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
from worker.commands.pending import described

from .findings import Finding, error, ok, warning

_DAY_SECONDS = 86_400
#: Owed work is tried again within ten minutes. If it is older than this, a person must act.
_OWED_SECONDS = 1_200
#: An alert that is not delivered for so long is a warning.
_UNDELIVERED_SECONDS = 300
_MAX_FAILED = 1_000
_MAX_NAMED = 10


def examined(settings: Settings) -> Iterator[Finding]:
    """Examine jobs, days and accounts."""
    yield _future_times()
    yield _quarantine()
    yield _decisions()
    yield _held()
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
            meaning = f"is paused for another {seconds:.0f} s: {because}"
            yield warning(f"account {alias}", meaning, "run: earwitness accounts check")


def _future_times() -> Finding:
    """Find times in the ledger that only a clock that was ahead can have written."""
    found = ledger().future_times.found()
    if not found:
        return ok("clock", "no timestamp in the ledger is too far in the future")
    named = "; ".join(f"{one.what} {one.name} by {one.seconds:.0f} s" for one in found[:_MAX_NAMED])
    more = f", and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
    are, were, them = f"{len(found)} timestamps in the ledger are", "they were", "them"
    if len(found) == 1:
        are, were, them = "1 timestamp in the ledger is", "it was", "it"
    return warning(
        "clock",
        f"{are} too far in the future ({named}{more}): the clock was ahead when {were} written",
        f"check that this machine's clock is right now (NTP); a running worker sets {them} to now "
        "within a minute",
    )


def _quarantine() -> Finding:
    if not ledger().identity.quarantined():
        return ok("quarantine", "the ledger is not in quarantine")
    return warning("quarantine", f"the ledger is in quarantine: {MEANING}", WAY_OUT)


def restored() -> Iterator[Finding]:
    """Find jobs that the archive knows and the ledger does not, if the two belong together."""
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
        yield error("restored", backup_check.describe(unknown), backup_check.WAY_OUT)
    else:
        yield ok("restored", "the ledger knows the archive's newest receipts and manifests")


def _decisions() -> Finding:
    waiting = ledger().jobs.undecided()
    if not waiting:
        return ok("decisions", "no call awaits a decision")
    oldest, since = waiting[0]
    wait, were, are = f"{len(waiting)} wait", "these paid calls were", "they are"
    if len(waiting) == 1:
        wait, were, are = "1 waits", "this paid call was", "it is"
    meaning = (
        f"{wait} for a person's decision, the oldest since {iso(since)} ({oldest.job_id}): whether "
        f"{were} placed is unknown, and {are} not retried"
    )
    advice = "see earwitness show JOB and the provider's panel, then earwitness resolve"
    return warning("decisions", meaning, advice)


def _held() -> Finding:
    """Find jobs that the archive, a disk or refused credentials hold."""
    held = ledger().held_jobs.held()
    if not held:
        return ok("held", "no job is held by the archive, a disk, credentials or an account")
    counts = ", ".join(f"{one.jobs} of {one.account} by {one.obstacle}" for one in held)
    oldest = iso(min(one.since for one in held))
    meaning = f"jobs are held: {counts}, the oldest since {oldest}; they continue by themselves"
    advice = "see earwitness status --state waiting, and repair what holds them"
    return warning("held", meaning, advice)


def _owed() -> Finding:
    owed = ledger().outbox.waiting()
    if not owed:
        return ok("pending", "nothing")
    counts = ", ".join(map(described, owed))
    oldest = min(owed, key=lambda one: one["oldest"])
    meaning = f"{counts}, the oldest since {iso(oldest['oldest'])}"
    if time.time() - oldest["oldest"] < _OWED_SECONDS:
        return ok("pending", meaning)
    why = f": {oldest['reason']}" if oldest["reason"] else ""
    advice = "check the workers' logs; workers retry for ever, but notifications only for a day"
    return warning("pending", meaning + why, advice)


def _notifications() -> Finding:
    """Find notifications that were given up and whose alerts are open."""
    causes = [
        one["cause"] for one in ledger().alerts.all_open() if one["kind"] == alerts.NOTIFICATION
    ]
    given_up = ledger().notifications.given_up()
    if not causes or given_up is None:
        return ok("notifications", "no alert of a given-up notification is open")
    count = given_up["count"]
    meaning = (
        f"{count} {'was' if count == 1 else 'were'} given up, the last at {given_up['last']}: "
        f"{given_up['reason']}; the jobs are not affected"
    )
    advice = (
        "repair the queue or webhook, then have the caller send the request id with notify again, "
        f"or close: earwitness alerts --close {shlex.quote(causes[-1])} --by WHO --note WHY"
    )
    return warning("notifications", meaning, advice)


def _answers() -> Finding:
    """Find results that could not be stored in Redis for as long as it would have kept them."""
    lost = ledger().waiters.unanswerable()
    if not lost:
        return ok("answers", "every waiting task was answered")
    results = "the result of 1 task" if lost == 1 else f"the results of {lost} tasks"
    meaning = f"{results} could not be stored in Redis within a day"
    advice = (
        "see the workers' logs and ACL LOG; the ledger has the outcomes; sending the same "
        "request ids again returns them"
    )
    return warning("answers", meaning, advice)


def _alerts(settings: Settings) -> Finding:
    """Find alerts that their receiver does not accept."""
    if settings.alert_url is None:
        where = "only logged, because EARWITNESS_ALERT_URL is not set"
        return ok("alerts", f"{where}; {_open_causes()}")
    waiting = [one for one in ledger().outbox.waiting() if one["kind"] == WEBHOOK]
    if not waiting:
        return ok("alerts", f"every one was delivered; {_open_causes()}")
    (owed,) = waiting
    meaning = f"{owed['count']} not delivered, the oldest since {iso(owed['oldest'])}"
    if time.time() - owed["oldest"] < _UNDELIVERED_SECONDS or not owed["reason"]:
        return ok("alerts", meaning)
    advice = "check that EARWITNESS_ALERT_URL is right and that its receiver answers with 2xx"
    return warning("alerts", f"{meaning}: {owed['reason']}", advice)


def _open_causes() -> str:
    causes = [one["cause"] for one in ledger().alerts.all_open()]
    named = ", ".join(causes[-_MAX_NAMED:])
    if not causes:
        return "no alert is open"
    return f"open: {len(causes)}, the last: {named}; see: earwitness alerts"


def _failed() -> Finding:
    since = time.time() - _DAY_SECONDS
    failed = ledger().jobs.jobs(state=states.FAILED, limit=_MAX_FAILED)
    recent = [job for job in failed if job.updated_at > since]
    if not recent:
        return ok("jobs", "no job failed in the last day")
    meaning = f"{len(recent)} failed in the last day, the last {recent[0].job_id}"
    advice = "see earwitness status --state failed, then retry the jobs that are worth it"
    return warning("jobs", f"{meaning}: {recent[0].reason}", advice)


def _days() -> Finding:
    missing = [
        f"{row.account} {row.day} ({row.state.replace('_', ' ')})"
        for alias in ledger().days.accounts()
        for row in ledger().days.of(alias)
        if row.state in (states.DAY_INCOMPLETE, states.DAY_GAVE_UP, states.DAY_DAMAGED)
    ]
    if not missing:
        return ok("days", "no day is incomplete")
    named = ", ".join(missing[-_MAX_NAMED:])
    total = f"{len(missing)} are not complete, the last: " if len(missing) > _MAX_NAMED else ""
    advice = "see earwitness coverage; export older days by hand"
    return warning("days", total + named, advice)
