"""``rebuild`` and ``quarantine``: recovery of a ledger that was lost or restored from a backup."""

from __future__ import annotations

from collections.abc import Iterator

import click

from tasks.rebuild import backup_check
from tasks.rebuild.rebuild import Rebuilt
from tasks.rebuild.rebuild import rebuild as rebuilt

from .deployment import configured, opened, operator
from .display import print_json, print_lines
from .notices import quarantine_lines
from .options import Words, as_json
from .verify import VerificationProgress

#: So many files are named; the rest are counted.
_MOST_NAMED = 20


@click.command()
@click.option("--restored", is_flag=True, help="Add to a ledger that was restored from a backup.")
@as_json
def rebuild(restored: bool, as_json: bool) -> int:
    """Rebuild a ledger from the archive: days, exports, single recordings and certified calls.

    Stop every worker first. The whole archive is verified but not changed. The new ledger is in
    quarantine: a certified call that it does not know is not placed, but needs a decision. A ledger
    that is not empty is refused, unless it comes from a backup (--restored). The status is 1 if
    damaged documents were left out.
    """
    configured()
    with VerificationProgress() as watched:
        done = rebuilt(by=operator(), restored=restored, on_file=watched)
    if as_json:
        print_json(_content(done))
    else:
        print_lines(_lines(done))
    return int(bool(done.not_taken))


@click.command()
@click.option(
    "--begin", is_flag=True, help="Place no certified calls that the ledger does not know."
)
@click.option("--lift", is_flag=True, help="Place certified calls as usual again.")
@click.option("--by", metavar="WHO", type=Words(200), help="Who decides.")
@click.option("--note", type=Words(1000), help="Why; kept in the ledger's history.")
@as_json
def quarantine(begin: bool, lift: bool, by: str | None, note: str | None, as_json: bool) -> None:
    """Show whether the ledger is in quarantine, begin the quarantine, or lift it.

    In quarantine, a certified call that the ledger does not know or has not sent yet is not placed,
    but needs a decision. Everything else continues. Begin the quarantine after restoring a ledger
    from a backup; lift it after comparing the calls in the provider's panel with the ledger's.
    """
    if begin and lift:
        raise click.UsageError("Give either --begin or --lift.")
    if (begin or lift) and (by is None or note is None):
        raise click.UsageError("Give --by and --note: who decides, and why.")
    ledger = opened()
    if begin:
        ledger.identity.quarantine(by=str(by), note=str(note))
    elif lift:
        _refuse_older()
        ledger.identity.lift(by=str(by), note=str(note))
    is_on = ledger.identity.quarantined()
    if as_json:
        print_json({"ledger": ledger.identity.identity(), "quarantined": is_on})
    else:
        print_lines(quarantine_lines() if is_on else ["the ledger is not in quarantine"])


def _refuse_older() -> None:
    """Refuse to lift the quarantine of a ledger that is older than its archive.

    A call that only the archive knows could be placed once more.
    """
    unknown = backup_check.unknown_files()
    if unknown:
        raise click.ClickException(
            f"not done: {backup_check.describe(unknown)}; a call among them could be placed "
            f"again; {backup_check.WAY_OUT}"
        )


def _lines(done: Rebuilt) -> Iterator[str]:
    yield f"ledger {done.identity}: taken from the archive:"
    for (kind, state), count in sorted(done.jobs.items()):
        yield f"  {count} {kind} {state}"
    for state, count in sorted(done.days.items()):
        yield f"  {count} day{'s' * (count != 1)} {state.replace('_', ' ')}"
    if not done.jobs and not done.days:
        yield "  nothing that it did not hold already"
    if done.uncovered:
        yield from _named(_uncovered(len(done.uncovered)), done.uncovered)
    if done.not_taken:
        wrong = [f"{path}: {why}" for path, why in sorted(done.not_taken.items())]
        yield from _named(f"SKIPPED because damaged: {len(wrong)}", wrong)
    if done.undecided:
        need = "1 call needs" if done.undecided == 1 else f"{done.undecided} calls need"
        yield f"{need} a decision: see earwitness status"
    yield from quarantine_lines()


def _uncovered(count: int) -> str:
    if count == 1:
        return "1 file was not yet in a chain; a worker will add it:"
    return f"{count} files were not yet in a chain; a worker will add them:"


def _named(many: str, names: list[str]) -> Iterator[str]:
    yield many
    yield from (f"  {name}" for name in names[:_MOST_NAMED])
    if len(names) > _MOST_NAMED:
        yield f"  and {len(names) - _MOST_NAMED} more: earwitness verify, or --json"


def _content(done: Rebuilt) -> dict[str, object]:
    return {
        "ledger": done.identity,
        "jobs": [
            {"kind": kind, "state": state, "count": count}
            for (kind, state), count in sorted(done.jobs.items())
        ],
        "days": dict(sorted(done.days.items())),
        "uncovered": done.uncovered,
        "not_taken": done.not_taken,
        "quarantined": True,
    }
