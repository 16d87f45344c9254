"""``recordings``: the recordings that a provider keeps."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import click

from providers.accounts import RecordingsAccount
from tasks.days import windows
from tasks.days.filters import Filters
from tasks.recordings.arguments import GetRecording, ListRecordings
from tasks.recordings.tasks import one_recording, page_of_recordings
from tasks.runtime.arguments import parse
from tasks.runtime.client import account_of
from tasks.runtime.fields import utc_text

from .deployment import opened, operator
from .display import print_json, print_table
from .job_opening import open_job, report_jobs, request_id_option, request_of, wait_option
from .options import DAY, account_option, as_json, in_order
from .redaction import masked_line

reveal_option = click.option(
    "--reveal", is_flag=True, help="Show personal data unmasked; this is recorded."
)


def filters_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option of the provider's filters to a command."""
    names = ", ".join(field.alias or name for name, field in Filters.model_fields.items())
    return click.option(
        "--filter",
        "filters",
        multiple=True,
        metavar="NAME=VALUE",
        help=f"Repeatable; one of {names}.",
    )(command)


def filters_of(given: tuple[str, ...]) -> dict[str, str]:
    """Return filters by name. Raises UsageError for one without a value, or given twice."""
    found: dict[str, str] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not value:
            raise click.UsageError(f"--filter {one}: write it as NAME=VALUE.")
        if name in found:
            raise click.UsageError(f"--filter {name}: is given twice.")
        found[name] = value
    return found


@click.group()
def recordings() -> None:
    """List, show, download or delete the recordings that a provider keeps."""


@recordings.command("list")
@account_option
@click.option("--from", "first", type=DAY, help="The first local day of their start.")
@click.option("--to", "last", type=DAY, help="The last one, included.")
@filters_option
@click.option("--page", type=int, default=1, show_default=True)
@click.option("--page-size", type=int, default=50, show_default=True, help="At most 1000.")
@click.option("--order", default="start:DESC", show_default=True)
@reveal_option
@as_json
def list_command(
    account: str,
    first: date | None,
    last: date | None,
    filters: tuple[str, ...],
    reveal: bool,
    as_json: bool,
    **paging: Any,
) -> None:
    """List one page of the recordings that the provider has."""
    in_order(first, last)
    opened()
    wanted = {**filters_of(filters), **_start_filters(account, first, last)}
    page = page_of_recordings(
        parse(ListRecordings, {"account": account, "filters": wanted, **paging})
    )
    content = page.result()
    content["recordings"] = _shown(account, content["recordings"], reveal=reveal)
    if as_json:
        print_json(content)
        return
    columns = ("recording", "start", "seconds", "from", "to", "call")
    print_table(columns, map(_row, content["recordings"]))
    total = content.get("total_items")
    pages = content.get("total_pages")
    if total is not None:
        of = f" of {pages}" if pages is not None else ""
        many = f"{total} recording{'s' * (total != 1)}"
        click.echo(f"page {content['page']}{of}; {many} in all")


@recordings.command("get")
@account_option
@click.argument("recording_id", metavar="RECORDING")
@reveal_option
def get_command(account: str, recording_id: str, reveal: bool) -> None:
    """Show one recording with all the provider's fields, as JSON."""
    opened()
    found = one_recording(parse(GetRecording, {"account": account, "recording_id": recording_id}))
    print_json(_shown(account, [found.line()], reveal=reveal)[0])


@recordings.command("download")
@account_option
@click.argument("recording_ids", metavar="RECORDING...", nargs=-1, required=True)
@request_id_option
@wait_option
@as_json
def download_command(
    account: str, recording_ids: tuple[str, ...], request_id: str | None, wait: bool, as_json: bool
) -> int:
    """Fetch recordings into the archive, one job each."""
    if request_id is not None and len(recording_ids) > 1:
        raise click.UsageError("--request-id names one job; give it with one recording.")
    opened()
    made = [
        request_of(
            "recording.download",
            {"account": account, "recording_id": one, "request_id": request_id},
        )[1]
        for one in recording_ids
    ]
    return report_jobs([open_job(one) for one in made], wait=wait, as_json=as_json)


@recordings.command("delete")
@account_option
@click.argument("recording_id", metavar="RECORDING")
@click.option("--unarchived", is_flag=True, help="Even if the archive does not hold it.")
@click.option("--reason", help="Why; required with --unarchived.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@request_id_option
@wait_option
@as_json
def delete_command(yes: bool, wait: bool, as_json: bool, **arguments: Any) -> int:
    """Delete one recording at the provider, after proof that the archive holds it."""
    opened()
    _, made = request_of("recording.delete", arguments)
    if not yes:
        question = (
            f"Delete recording {arguments['recording_id']} of account {arguments['account']} "
            "at the provider? This cannot be undone"
            + (", and the archive may not hold it." if arguments["unarchived"] else ".")
        )
        if not sys.stdin.isatty():
            raise click.UsageError(f"{question} Nothing was deleted: confirm with --yes.")
        click.confirm(question, abort=True, err=True)
    return report_jobs([open_job(made)], wait=wait, as_json=as_json)


def _start_filters(account: str, first: date | None, last: date | None) -> dict[str, str]:
    """Return the filters of a span of the account's days."""
    zone = account_of(account, RecordingsAccount).zone
    found = {}
    if first is not None:
        found["start:gte"] = utc_text(windows.window(first, zone)[0])
    if last is not None:
        found["start:lte"] = utc_text(windows.window(last, zone)[1] - timedelta(seconds=1))
    return found


def _shown(account: str, found: list[dict[str, Any]], *, reveal: bool) -> list[dict[str, Any]]:
    if not reveal:
        return [masked_line(one) for one in found]
    of, count = f"of account {account}", len(found)
    why = f"1 recording {of} was" if count == 1 else f"{count} recordings {of} were"
    opened().identity.note_reveal(by=operator(), why=f"{why} shown in clear")
    return found


def _row(line: dict[str, Any]) -> tuple[Any, ...]:
    milliseconds = line.get("duration")
    seconds = f"{milliseconds / 1000:.0f}" if isinstance(milliseconds, int | float) else None
    parties = (line.get("caller_id"), line.get("dnis"))
    return line.get("id"), line.get("start"), seconds, *parties, line.get("call_id")
