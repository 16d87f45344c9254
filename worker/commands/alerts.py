"""``alerts``: show open alerts, or close one by hand."""

from __future__ import annotations

from typing import Any

import click

from config.masking import mask
from ledger.alert_rules import late_cause
from ledger.alerts import (
    ARCHIVE,
    CREDENTIALS,
    DAY,
    DECISION,
    EVERY_ACCOUNT,
    HELD,
    JOB,
    NOTIFICATION,
    QUARANTINE,
    REDIS,
    UNUSUAL,
    VERIFICATION,
)
from ledger.core.job import iso
from tasks.nights.tasks import unplanned_cause
from tasks.runtime.alerts import FOREIGN_REDIS
from worker.redis.set_aside import CAUSE as SET_ASIDE
from worker.redis.set_aside import COMMAND

from .deployment import opened
from .display import plain, print_json, print_lines, print_table
from .options import Words, as_json

_NEVER = "only --close, once a person has dealt with the cause"

#: What closes an alert, by its kind or its cause.
_CLOSES = {
    ARCHIVE: "the archive is there, complete and writable again; now: earwitness archive",
    CREDENTIALS: "the provider accepts them: correct the account, then: earwitness reload",
    HELD: "no job is held by it any longer; held jobs continue once the cause is repaired",
    REDIS: "the worker reaches Redis again",
    NOTIFICATION: "a later notification to the queue succeeds, or --close",
    QUARANTINE: "earwitness quarantine --lift --by WHO --note WHY",
    SET_ASIDE: f"no message is set aside any longer, at most a week later; to see them: {COMMAND}",
    UNUSUAL: "a later check of the day finds usual numbers, or --close once the cause is known",
    VERIFICATION: "a later verification that does not find it",
}


@click.command()
@click.option("--close", "cause", metavar="CAUSE", help="Close this alert.")
@click.option("--by", metavar="WHO", type=Words(200), help="Who closes it.")
@click.option(
    "--note", type=Words(1000), help="Why; sent with the message that the alert is closed."
)
@as_json
def alerts(cause: str | None, by: str | None, note: str | None, as_json: bool) -> int:
    """Show every open alert, oldest first, and what closes it; the status is 1 if there is one.

    --close closes an alert that nothing else closes, and sends a message that it is closed. If the
    same cause occurs again, a new alert opens. Alerts about calls that need a decision, and about
    quarantine, are closed by their own commands.
    """
    if cause is not None:
        if by is None or note is None:
            raise click.UsageError("Give --by and --note: who closes it, and why.")
        _close(cause, by, note, as_json=as_json)
        return 0
    if by is not None or note is not None:
        raise click.UsageError("Name the alert to close: --close CAUSE.")
    found = [_open(row) for row in opened().alerts.all_open()]
    if as_json:
        print_json(found)
    elif not found:
        click.echo("no alert is open")
    else:
        _print(found)
    return int(bool(found))


def _close(cause: str, by: str, note: str, *, as_json: bool) -> None:
    row = opened().alerts.close_by_hand(cause, by=by, note=note)
    if as_json:
        closing = {"closed_at": iso(row["closed_at"]), "closed_by": by, "note": mask(note)}
        print_json({**_shown(row), **closing})
    else:
        click.echo(plain(f"alert {cause} is closed by {by}: {mask(note)}"))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "cause": row["cause"],
        "kind": row["kind"],
        "account": row["account"],
        "job_id": row["job_id"],
        "since": iso(row["opened_at"]),
        "repeated": row["repeated"],
        "last_at": iso(row["last_at"]),
        "message": mask(row["message"]),
    }


def _open(row: dict[str, Any]) -> dict[str, Any]:
    return {**_shown(row), "closes": _closes(row)}


def _print(found: list[dict[str, Any]]) -> None:
    for one in found:
        account = "all accounts" if one["account"] == EVERY_ACCOUNT else one["account"]
        fields = {
            "cause": one["cause"],
            "kind": f"{one['kind']} of {account}",
            "since": one["since"],
            "repeated": f"{one['repeated']}, last at {one['last_at']}",
            "message": one["message"],
            "closes": one["closes"],
        }
        print_table(("", "value"), fields.items(), head=False)
        click.echo()
    print_lines(["to close one by hand: earwitness alerts --close CAUSE --by WHO --note WHY"])


def _closes(row: dict[str, Any]) -> str:
    """Return what closes an alert, with the command if there is one."""
    kind = row["kind"]
    if kind == DECISION:
        return f"earwitness resolve {row['job_id']} --placed|--not-placed --by WHO --note WHY"
    if kind == DAY:
        return _closes_day(row)
    if kind == JOB:
        return _closes_job(row)
    return _CLOSES.get(row["cause"]) or _CLOSES.get(kind) or _closes_contradiction(row)


def _closes_day(row: dict[str, Any]) -> str:
    if row["cause"] == unplanned_cause(row["account"]):
        return "the nights of the account are planned again"
    if row["job_id"] is not None:
        return f"the export of the day is done; now: earwitness retry {row['job_id']}"
    if ".." in row["cause"]:
        return f"the exports of these days are done: {_exports(row['cause'])}"
    return f"the export of the day is done: {_exports(row['cause'])}"


def _exports(cause: str) -> str:
    _, account, days = cause.split(":")
    first, _, last = days.partition("..")
    return f"earwitness export --account {account} --from {first} --to {last or first}"


def _closes_job(row: dict[str, Any]) -> str:
    # Certified calls cannot be repeated, and a repeated deletion has another cause.
    if row["cause"].startswith(f"{JOB}:deletion:") or row["job_kind"] is None:
        return _NEVER
    if row["job_kind"].startswith("certified_call."):
        return _NEVER
    return f"a retry that succeeds: earwitness retry {row['job_id']}"


def _closes_contradiction(row: dict[str, Any]) -> str:
    _, late, collection = row["cause"].partition(late_cause(""))
    if late:
        return f"a retry of the collection that succeeds: earwitness retry {collection}"
    if row["cause"] == FOREIGN_REDIS:
        return "this deployment's mark is in Redis again"
    return _NEVER
