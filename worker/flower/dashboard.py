"""Flower as we run it: `celery -A worker flower`, from the project's root or anywhere else.

Celery's command line has loaded Flower when it loads our application, so this needs no
configuration file that could be missing from the current directory, and none can undo the masking.
Flower's own names stay: what is here are defaults, over which come FLOWER_* of the environment, a
`flowerconfig.py`, and the command's options (https://flower.readthedocs.io/en/latest/config.html).
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flower.command
import flower.events
from celery import states
from flower.api import BaseApiHandler
from flower.api.tasks import BaseTaskHandler
from flower.app import Flower
from flower.events import EventsState
from flower.inspector import Inspector
from flower.options import options
from flower.views.monitor import Metrics
from tornado import web

from config import logging as our_logging
from config.error_names import ErrorName
from config.settings import ROOT, settings
from worker.listen_errors import CannotListen, listening
from worker.short_secrets import notice_short_secrets

from .events import Receiver, left_out
from .redaction import (
    masked_event,
    masked_exception,
    masked_inspection,
    masked_result,
    masked_traceback,
)

#: What Python makes of an exception: Incomplete('not done: ...').
_RAISED = re.compile(r"^(\w+)\((['\"])(.*)\2\)$", re.DOTALL)
#: What waits for a person says so where the column ends early.
_UNDECIDED = {
    ("earwitness.certified_call.request", str(ErrorName.UNCERTAIN)): "NEEDS A DECISION: ",
}
_UUID = re.compile(r"\b([0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")

_OWN_KEYS = {
    f"unacked{end}_key": f"earwitness.flower.unacked{end}" for end in ("", "_index", "_mutex")
}
_MOST_PORTS = 65_535
#: No name of Flower's own. FLOWER_BASIC_AUTH wins where both are set.
_LOGIN_FILE = "FLOWER_BASIC_AUTH_FILE"
_DEFAULTS = {
    "address": "127.0.0.1",
    "read_only": True,
    "persistent": True,
    "db": str(ROOT / "var" / "flower"),
    "state_save_interval": 60_000,  # milliseconds; by itself it saves only when it ends in order
    "max_tasks": 20_000,  # saving 100,000 keeps it from answering for four seconds
    "purge_offline_workers": 3_600,  # seconds
    "natural_time": True,  # a night is looked at from many time zones
    # No runtime: what a job takes is mostly waiting, and this is only its last attempt's.
    "tasks_columns": "state,name,kwargs,result,received,worker,uuid",
}


def prepare() -> None:
    """Have Flower start as ours, should it be Flower that is started."""
    for name, value in _DEFAULTS.items():
        setattr(options, name, value)
    if file := os.environ.get(_LOGIN_FILE):
        options.basic_auth = _logins(Path(file))
    options.format_task = with_its_reason
    flower.command.Flower = Dashboard


def _logins(file: Path) -> list[str]:
    """What FLOWER_BASIC_AUTH would say, from a file: a variable of the environment is shown by
    whatever inspects a container.
    """
    try:
        said = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(
            f"earwitness: {_LOGIN_FILE}: {file} cannot be read "
            f"({getattr(error, 'strerror', None) or 'no UTF-8 text'}), so Flower was not started; "
            "write user:password into it"
        )
    return said.split(",")


def with_its_reason(task: Any) -> Any:
    """A task for the pages: why it waits or failed stands where else its result does, and in words
    that fit there.
    """
    if task.state in (states.RETRY, states.FAILURE, states.REVOKED) and task.exception:
        words = _RAISED.sub(r"\1: \3", task.exception)
        task.result = _UNDECIDED.get((task.name, words.partition(":")[0]), "") + _UUID.sub(
            r"\1...", words
        )
    return task


class Dashboard(Flower):
    """Flower, masked, and on a network only with authentication."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        refuse_strangers()
        _let_messages_be(more.get("capp"))
        hidden = [*settings().secret_values(), *_passwords()]
        our_logging.configure(settings().log_format, logging.getLogger().level, hidden)
        notice_short_secrets(settings())
        _mask_everything()
        if options.persistent:
            Path(options.db).parent.mkdir(parents=True, exist_ok=True)
        super().__init__(*arguments, **more)

    def start_http_server(self) -> int | None:
        """Listen, and return the port; end the process with a sentence where that cannot be."""
        if options.unix_socket:
            address, said = options.unix_socket, "FLOWER_UNIX_SOCKET (--unix-socket)"
        else:
            address = f"{options.address or '*'}:{options.port}"
            said = "FLOWER_ADDRESS (--address) and FLOWER_PORT (--port)"
        try:
            with listening("Flower", address, said):
                if not 0 <= options.port <= _MOST_PORTS:
                    # It would be taken for another one.
                    raise OverflowError(f"a port is at most {_MOST_PORTS}")
                port: int | None = super().start_http_server()
        except CannotListen as error:
            sys.exit(f"earwitness: {error}")
        return port


def refuse_strangers() -> None:
    """End the process with a sentence where anybody on the network could look."""
    for login in options.basic_auth or ():
        user, _, password = login.partition(":")
        if not (user and password):
            sys.exit(
                "earwitness: FLOWER_BASIC_AUTH is not written like user:password, so Flower was "
                "not started; give both, and several with commas between them"
            )
    if options.basic_auth or options.auth or options.unix_socket or _is_loopback(options.address):
        return
    sys.exit(
        f"earwitness: Flower would listen on {options.address or 'every address'} without "
        "authentication, so it was not started; set FLOWER_BASIC_AUTH=user:password, or "
        "FLOWER_ADDRESS=127.0.0.1"
    )


def _let_messages_be(app: Any) -> None:
    """Whatever consumes puts the messages of dead workers back; who only looks has no part in it,
    and needs no right to.
    """
    if app is not None:
        app.conf.broker_transport_options = {**app.conf.broker_transport_options, **_OWN_KEYS}


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _passwords() -> list[str]:
    return [login.partition(":")[2] for login in options.basic_auth or ()]


def _mask_everything() -> None:
    """Put masks wherever Flower takes something in, and a lock on its metrics. Events are made well
    formed before anything reads them.
    """
    flower.events.EventReceiver = Receiver
    EventsState.event = _masked_before(EventsState.event)
    Inspector._on_update = _masked_inspections(Inspector._on_update)  # noqa: SLF001 - no other way in
    BaseTaskHandler.update_response_result = _tell_result
    # Flower serves them to anybody; here to whom it serves the API.
    Metrics.prepare = BaseApiHandler.prepare
    Metrics.get = web.authenticated(Metrics.get)


def _masked_before(keep: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def event(state: Any, told: Any) -> None:
        try:
            keep(state, _in_context(state, masked_event(told)))
        except Exception as error:  # noqa: BLE001 - the event loop would log the event as it came
            left_out.note(f"one that Flower cannot read ({type(error).__name__})")

    return event


def _in_context(state: Any, told: dict[str, Any]) -> dict[str, Any]:
    """The event, so that it says nothing that is no longer so, and hides nothing that still is."""
    task = state.tasks.data.get(told.get("uuid"))
    if task is None:
        return told
    if task.kwargs not in (None, "{}") and (
        told.get("kwargs") == "{}" or told["type"] == "task-retried"
    ):
        told.pop("kwargs", None)  # a hint has none, but the task that it announces has
    goes_on = told["type"] == "task-started" and task.state not in states.READY_STATES
    if goes_on or told["type"] == "task-succeeded":
        told.update(exception=None, traceback=None)  # why it waited before
    return told


def _masked_inspections(keep: Callable[..., None]) -> Callable[..., None]:
    def on_update(inspector: Any, worker: str, method: str, response: Any) -> None:
        keep(inspector, worker, method, masked_inspection(response))

    return on_update


def _tell_result(_handler: Any, response: dict[str, Any], result: Any) -> None:
    value = result.result
    is_error = isinstance(value, BaseException)
    response["result"] = masked_exception(repr(value)) if is_error else masked_result(value)
    if result.state == states.FAILURE:
        response["traceback"] = masked_traceback(result.traceback or "")
