"""Flower with masking and our defaults: `celery -A worker flower`, from any directory.

Celery's command line loads Flower before it loads our application. The setup therefore needs no
configuration file, which could be missing from the current directory, and no such file can undo the
masking. Flower's options keep their names: FLOWER_* variables, a `flowerconfig.py` and the
command's options override the defaults here
(https://flower.readthedocs.io/en/latest/config.html).
"""

from __future__ import annotations

import ipaddress
import logging
import os
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
from flower.views.tasks import TASK_COLUMNS
from tornado import web

from config import logging as our_logging
from config.settings import ROOT, settings
from tasks.runtime.job_events import DECIDED, FIELD
from worker.listen_errors import CannotListen, listening
from worker.reloading import reload_at_hangup
from worker.short_secrets import notice_short_secrets

from .events import Receiver, dropped_events
from .jobs import (
    NEEDS_A_DECISION,
    JobTask,
    arguments_of,
    job_of,
    merged_job,
    needs_a_decision,
    raised,
    shortened,
)
from .pages import Templates
from .redaction import (
    masked_event,
    masked_exception,
    masked_inspection,
    masked_result,
    masked_traceback,
)
from .sentinel import install_sentinel_broker

_OWN_KEYS = {
    f"unacked{end}_key": f"earwitness.flower.unacked{end}" for end in ("", "_index", "_mutex")
}
_HIGHEST_PORT = 65_535
#: Ours, not Flower's. The file overrides FLOWER_BASIC_AUTH.
_LOGIN_FILE = "FLOWER_BASIC_AUTH_FILE"
_DEFAULTS = {
    "address": "127.0.0.1",
    "read_only": True,
    "persistent": True,
    "db": str(ROOT / "var" / "flower"),
    "state_save_interval": 60_000,  # milliseconds; without it Flower saves only on a clean exit
    "max_tasks": 20_000,  # Flower answers nothing for four seconds while it saves 100,000
    "purge_offline_workers": 3_600,  # seconds
    "natural_time": True,  # people in many time zones look at the same night
    # No runtime: a job mostly waits, and Flower knows the runtime of its last attempt only.
    "tasks_columns": "state,name,kwargs,result,received,worker,uuid",
}

#: Of the columns that our template fills (worker/flower/templates/tasks.html).
_HEADINGS = {"kwargs": "Account and day", "result": "Reason or result", "uuid": "Task and command"}


def prepare() -> None:
    """Apply our defaults and masking, in case the command starts Flower."""
    for name, value in _DEFAULTS.items():
        setattr(options, name, value)
    if file := os.environ.get(_LOGIN_FILE):
        options.basic_auth = _logins(Path(file))
    options.format_task = show_reason
    TASK_COLUMNS.update(_HEADINGS)
    flower.command.Flower = Dashboard


def _logins(file: Path) -> list[str]:
    """Read the logins from a file.

    Every tool that inspects a container shows its environment variables, but not its files.
    """
    try:
        logins = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(
            f"earwitness: {_LOGIN_FILE}: {file} cannot be read "
            f"({getattr(error, 'strerror', None) or 'not UTF-8 text'}), so Flower was not started; "
            "write user:password into it"
        )
    return logins.split(",")


def show_reason(task: Any) -> Any:
    """Format a task for Flower's pages: the result column shows why the task waits or failed."""
    if task.state in (states.RETRY, states.FAILURE, states.REVOKED) and task.exception:
        prefix = f"{NEEDS_A_DECISION}: " if needs_a_decision(task) else ""
        task.result = prefix + shortened(raised(task.exception))
    return task


class Dashboard(Flower):
    """Flower with masking; listens on a network only with authentication."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        refuse_public_without_login()
        _leave_unacked_alone(more.get("capp"))
        secrets = [*settings().secret_values(), *_passwords()]
        our_logging.configure(settings().log_format, logging.getLogger().level, secrets)
        notice_short_secrets(settings())
        reload_at_hangup()
        _install_masking()
        install_sentinel_broker()
        if options.persistent:
            Path(options.db).parent.mkdir(parents=True, exist_ok=True)
        super().__init__(*arguments, **{**more, "template_loader": Templates()})
        for task in self.events.state.tasks.values():
            task.__class__ = JobTask

    def start_http_server(self) -> int | None:
        """Listen and return the port; exit with an error message if that fails."""
        if options.unix_socket:
            address, setting = options.unix_socket, "FLOWER_UNIX_SOCKET (--unix-socket)"
        else:
            address = f"{options.address or '*'}:{options.port}"
            setting = "FLOWER_ADDRESS (--address) and FLOWER_PORT (--port)"
        try:
            with listening("Flower", address, setting):
                if not 0 <= options.port <= _HIGHEST_PORT:
                    # The system would wrap the number and listen on another port.
                    raise OverflowError(f"a port is at most {_HIGHEST_PORT}")
                port: int | None = super().start_http_server()
        except CannotListen as error:
            sys.exit(f"earwitness: {error}")
        return port


def refuse_public_without_login() -> None:
    """Exit with an error message if Flower would listen on a network without authentication."""
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


def _leave_unacked_alone(app: Any) -> None:
    """Point kombu at other keys than the workers' unacknowledged messages.

    Every consumer of kombu restores the messages of dead workers. Flower only reads events, so it
    must not restore messages, and its Redis user needs no permission to.
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


def _install_masking() -> None:
    """Mask all data that Flower receives, and require the login for its metrics.

    The receiver drops malformed events and fields before Flower reads them.
    """
    flower.events.EventReceiver = Receiver
    EventsState.Task = JobTask
    EventsState.event = _masking_events(EventsState.event)
    Inspector._on_update = _masking_inspections(Inspector._on_update)  # noqa: SLF001 - no other way in
    BaseTaskHandler.update_response_result = _write_masked_result
    # Flower serves its metrics without a login; here they need the login of the API.
    Metrics.prepare = BaseApiHandler.prepare
    Metrics.get = web.authenticated(Metrics.get)


def _masking_events(keep: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def on_event(state: Any, event: Any) -> None:
        try:
            shown = masked_event(event)
            if shown["type"] == DECIDED:
                _note_decision(state, shown)
            else:
                keep(state, _in_context(state, shown))
        except Exception as error:  # noqa: BLE001 - the event loop would log the event unmasked
            dropped_events.note(f"one that Flower cannot read ({type(error).__name__})")

    return on_event


def _note_decision(state: Any, event: dict[str, Any]) -> None:
    """Show a decision at every failed task of its job that Flower knows. A caller that asked again
    after the decision has a task that succeeded.
    """
    heard = event.get(FIELD) or {}
    for task in list(state.tasks.data.values()):
        is_of_job = heard.get("job_id") and job_of(task).get("job_id") == heard["job_id"]
        if is_of_job and task.state == states.FAILURE:
            decided = {FIELD: merged_job(job_of(task), heard), "exception": event.get("exception")}
            task.__dict__.update(decided)


def _in_context(state: Any, event: dict[str, Any]) -> dict[str, Any]:
    """Fit the event to the task that Flower has: keep its arguments and its job, drop an outdated
    exception.
    """
    task = state.tasks.data.get(event.get("uuid"))
    arguments = getattr(task, "kwargs", None)
    if arguments not in (None, "{}") and (
        event.get("kwargs") == "{}" or event["type"] == "task-retried"
    ):
        event.pop("kwargs", None)  # hints carry no arguments; keep those of the task itself
    if heard := event.pop(FIELD, None):
        event[FIELD] = job = merged_job(getattr(task, FIELD, None), heard)
        event["kwargs"] = arguments_of(job, event.get("kwargs", arguments))
    if task is None:
        return event
    goes_on = event["type"] == "task-started" and task.state not in states.READY_STATES
    if goes_on or event["type"] == "task-succeeded":
        event.update(exception=None, traceback=None)  # those of an earlier attempt
    return event


def _masking_inspections(keep: Callable[..., None]) -> Callable[..., None]:
    def on_update(inspector: Any, worker: str, method: str, response: Any) -> None:
        keep(inspector, worker, method, masked_inspection(response))

    return on_update


def _write_masked_result(_handler: Any, response: dict[str, Any], result: Any) -> None:
    value = result.result
    is_error = isinstance(value, BaseException)
    response["result"] = masked_exception(repr(value)) if is_error else masked_result(value)
    if result.state == states.FAILURE:
        response["traceback"] = masked_traceback(result.traceback or "")
