"""``calls`` and ``record``: calls that are going on, and the recording of one of them."""

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
from tasks.live.tasks import LIFETIME_SECONDS, start_request
from tasks.runtime.arguments import ListCalls, StartRecording, parse
from tasks.runtime.context import account as account_of

from .deployment import announcing, configured, opened, operator
from .display import print_json, print_lines, print_table
from .options import as_json

_account = click.option("--account", required=True, metavar="ALIAS")
_extension = click.option(
    "--extension", help="Of this extension alone, such as 0003*210, where its server has them."
)
_user = click.option(
    "--user", "user_id", help="Of this user: @me, @owner or a number, where its server has them."
)

#: Of a call and of each of its views.
_PARTIES = frozenset({"source", "destination", "caller"})
_IN_PARTIES = set("0123456789+-. ()*,")
#: What the server says in words of its own.
_SAID = _PARTIES | {"state", "recording"}

#: After ``not_after`` nothing is sent, but what was sent before is still followed to its end.
_CONFIRMED_SECONDS = 15.0


@click.command()
@_account
@_extension
@_user
@click.option("--reveal", is_flag=True, help="Show personal data in clear; this is noted.")
@as_json
def calls(account: str, reveal: bool, as_json: bool, **given: str | None) -> None:
    """Show the calls that are going on, as their server lists them."""
    ledger = opened()
    found = calls_of(parse(ListCalls, {"account": account, **given}))
    if reveal:
        why = f"{len(found)} calls of account {account} were shown in clear"
        ledger.identity.revealed(by=operator(), why=why)
    else:
        found = mask_tree(found, _masked)
    if as_json:
        print_json(found)
        return
    columns = ("call", "state", "from", "to", "caller", "since", "views")
    print_table(columns, map(_row, found))


def _masked(name: str, value: Any) -> Any:
    """Of a party at most its number's last three digits; an extension, which is short, stays, and
    of a name nothing.
    """
    if not isinstance(value, str) or name not in _SAID:
        return value
    is_name = name in _PARTIES and not set(value) <= _IN_PARTIES
    return HIDDEN if is_name else mask_foreign(value)


def _row(call: dict[str, Any]) -> tuple[Any, ...]:
    names = ("call_id", "state", "source", "destination", "caller", "started_at")
    return *(call[name] for name in names), ", ".join(map(_view, call["views"]))


def _view(view: dict[str, Any]) -> str:
    shown = f"{view['view_id']} of {view['extension']}"
    return f"{shown}, recorded since {view['recording']}" if view["recording"] else shown


@click.command()
@_account
@click.option("--call", "call_id", required=True, metavar="CALL", help="As `calls` lists it.")
@click.option("--format", help="Such as wav or mp3, as the account's server has them.")
@click.option("--view", "view_id", help="The view to record, where its server has several.")
@_extension
@_user
@click.option("--request-id", help="Yours: the same id again asks for the same recording.")
@as_json
def record(as_json: bool, **given: str | None) -> None:
    """Start recording a call that is going on, and wait until it is known to run.

    It is a job like any other: a worker does it, and within a minute or not at all.
    """
    configured()
    not_after = datetime.now(UTC) + timedelta(seconds=LIFETIME_SECONDS)
    named = {"request_id": f"command-{uuid.uuid4()}", "not_after": not_after.isoformat()}
    asked = {**named, **{name: value for name, value in given.items() if value is not None}}
    request = start_request(parse(StartRecording, asked), asked["request_id"])
    result = _outcome(asked, request)
    if as_json:
        print_json(result)
    else:
        print_lines(_told(result))


def _outcome(asked: dict[str, str], request: Request) -> dict[str, Any]:
    """The job's result. Raises what its task raises, click.ClickException where nobody tells."""
    look = f"look with: python -m worker show {request.job_id}"
    patience = LIFETIME_SECONDS + _CONFIRMED_SECONDS + account_of(asked["account"]).timeout_seconds
    # Each of its tries would be a line; what came of them becomes the command's own sentence.
    logging.getLogger("celery").setLevel(logging.CRITICAL + 1)
    try:
        with announcing() as app:
            sent = app.send_task(
                "earwitness.recording.start", kwargs=asked, queue=FRONT_DOOR, retry=False
            )
            result: dict[str, Any] = sent.get(timeout=patience)
    except exceptions.TimeoutError:
        raise click.ClickException(
            f"unknown: no worker told the outcome within {patience:.0f} s, and nothing is sent any "
            f"more; {look}"
        ) from None
    except (OperationalError, RedisError, OSError, RuntimeError) as error:
        raise click.ClickException(
            f"unknown: Redis does not answer ({type(error).__name__}); {look}"
        ) from None
    return result


def _told(result: dict[str, Any]) -> list[str]:
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
