"""``calls``, ``record`` and ``stop``: show live calls, and record one of them."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from celery import exceptions
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.masking import HIDDEN, mask_foreign, mask_tree
from config.queues import FRONT_DOOR
from ledger.core.opening import Request
from tasks.live.active_calls import calls_of
from tasks.live.arguments import ListCalls, StartRecording
from tasks.live.tasks import LIFETIME_SECONDS, start_request
from tasks.runtime.arguments import parse
from tasks.runtime.context import account as account_of

from .deployment import configured, opened, operator
from .display import print_json, print_lines, print_table
from .job_opening import open_job, report_jobs, request_id_option, request_of, wait_option
from .options import account_option, as_json
from .publisher import announcing

_extension = click.option(
    "--extension", help="Only this extension, such as 0003*210, if the server has extensions."
)
_user = click.option(
    "--user", "user_id", help="Only this user: @me, @owner or a number, if the server has users."
)

#: The fields of a call, and of its views, that name a party.
_PARTIES = frozenset({"source", "destination", "caller"})
_NUMBER_CHARACTERS = set("0123456789+-. ()*,")
#: The fields that contain the server's own text.
_FREE_TEXT = _PARTIES | {"state", "recording"}

#: Nothing is sent after ``not_after``, but a start sent before is followed to its end.
_CONFIRMATION_SECONDS = 15.0


@click.command()
@account_option
@_extension
@_user
@click.option("--reveal", is_flag=True, help="Show personal data unmasked; this is recorded.")
@as_json
def calls(account: str, reveal: bool, as_json: bool, **given: str | None) -> None:
    """List the calls in progress, as their server reports them."""
    ledger = opened()
    found = calls_of(parse(ListCalls, {"account": account, **given}))
    if reveal:
        of, count = f"of account {account}", len(found)
        why = f"1 call {of} was" if count == 1 else f"{count} calls {of} were"
        ledger.identity.note_reveal(by=operator(), why=f"{why} shown in clear")
    else:
        found = mask_tree(found, _masked)
    if as_json:
        print_json(found)
        return
    columns = ("call", "state", "from", "to", "caller", "since", "views")
    print_table(columns, map(_row, found))


def _masked(name: str, value: Any) -> Any:
    """Show the last three digits of a party's number; hide names, keep extensions."""
    if not isinstance(value, str) or name not in _FREE_TEXT:
        return value
    is_name = name in _PARTIES and not set(value) <= _NUMBER_CHARACTERS
    return HIDDEN if is_name else mask_foreign(value)


def _row(call: dict[str, Any]) -> tuple[Any, ...]:
    names = ("call_id", "state", "source", "destination", "caller", "started_at")
    return *(call[name] for name in names), ", ".join(map(_view, call["views"]))


def _view(view: dict[str, Any]) -> str:
    shown = f"{view['view_id']} of {view['extension']}"
    return f"{shown}, recorded since {view['recording']}" if view["recording"] else shown


@click.command()
@account_option
@click.option(
    "--call", "call_id", required=True, metavar="CALL", help="The call's id, as `calls` lists it."
)
@click.option("--format", help="Such as wav or mp3; what the server supports.")
@click.option("--view", "view_id", help="The view to record, if the call has several.")
@_extension
@_user
@click.option("--request-id", help="Your own id; repeating it never starts a second recording.")
@as_json
def record(as_json: bool, **given: str | None) -> None:
    """Start recording a call in progress, and wait until the recording is confirmed.

    The command opens a job like any other: a worker carries it out within a minute, or not at all.
    """
    configured()
    not_after = datetime.now(UTC) + timedelta(seconds=LIFETIME_SECONDS)
    named = {"request_id": f"command-{uuid.uuid4()}", "not_after": not_after.isoformat()}
    arguments = {**named, **{name: value for name, value in given.items() if value is not None}}
    request = start_request(parse(StartRecording, arguments), arguments["request_id"])
    result = _outcome(arguments, request)
    if as_json:
        print_json(result)
    else:
        print_lines(_result_lines(result))


@click.command()
@account_option
@click.option(
    "--call", "call_id", required=True, metavar="CALL", help="The call's id, as `calls` lists it."
)
@click.option("--view", "view_id", help="The view being recorded, if the call has several.")
@_extension
@_user
@request_id_option
@wait_option
@as_json
def stop(wait: bool, as_json: bool, **arguments: Any) -> int:
    """Stop recording a call, if its server supports that.

    With --wait the status is 1 unless the server shows that the call is no longer recorded.
    """
    opened()
    _, made = request_of("recording.stop", arguments)
    return report_jobs([open_job(made)], wait=wait, as_json=as_json)


def _outcome(arguments: dict[str, str], request: Request) -> dict[str, Any]:
    """Return the job's result. Raises the task's errors, and ClickException without an answer."""
    look = f"look with: earwitness show {request.job_id}"
    patience = (
        LIFETIME_SECONDS + _CONFIRMATION_SECONDS + account_of(arguments["account"]).timeout_seconds
    )
    # No line for each retry: the final failure becomes the command's own sentence.
    logging.getLogger("celery").setLevel(logging.CRITICAL + 1)
    try:
        with announcing() as app:
            sent = app.send_task(
                "earwitness.recording.start", kwargs=arguments, queue=FRONT_DOOR, retry=False
            )
            result: dict[str, Any] = sent.get(timeout=patience)
    except exceptions.TimeoutError:
        raise click.ClickException(
            f"unknown: no worker reported the outcome within {patience:.0f} s, and nothing more "
            f"will be sent; {look}"
        ) from None
    except (OperationalError, RedisError, OSError, RuntimeError) as error:
        raise click.ClickException(
            f"unknown: Redis does not answer ({type(error).__name__}); {look}"
        ) from None
    return result


def _result_lines(result: dict[str, Any]) -> list[str]:
    since = result.get("recording_since")
    view = f"view {result['view_id']} of " if result.get("view_id") else ""
    lines = [
        f"{view}call {result['call_id']} is being recorded as {result['format']}"
        + (f" since {since}" if since else "")
    ]
    if not result["collected"]:
        why = result.get("not_collected_because")
        lines.append("its file is not collected" + (f": {why}" if why else ""))
    return [*lines, f"job {result['job_id']}"]
