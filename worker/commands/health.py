"""``health``: whether a service on this host does what it is there for.

It judges the process, not what the process depends on: it fails exactly where starting the service
anew would help. A worker that waits for Redis or for the ledger is as it should be; who ends it
would also end the transfer that it has under way.
"""

from __future__ import annotations

import http.client
import os
import socket
import time
from collections.abc import Callable, Iterator

import click

from config.queues import DOWNLOADS, DUE, FRONT_DOOR
from config.settings import settings
from providers import registry  # noqa: F401 - it knows the accounts that the settings name
from worker.health.heartbeat import redis_answers
from worker.health.heartbeat_files import Mark, marks

#: What each kind of worker must consume, and may consume beside it.
_QUEUES = {"worker": frozenset({FRONT_DOOR, DUE}), "downloads": frozenset({DOWNLOADS})}
_WITHIN_SECONDS = 45.0
_ANSWER_SECONDS = 5.0
_FLOWER_PORT = 5555


@click.command()
@click.argument("service", type=click.Choice([*_QUEUES, "beat", "hooks", "flower"]))
@click.option(
    "--within",
    default=_WITHIN_SECONDS,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(min=1),
    help="A worker or beat that has done nothing for longer is not healthy.",
)
@click.option("--node", metavar="NODE", help="Of this node name (-n) alone.")
def health(service: str, within: float, node: str | None) -> None:
    """Tell whether SERVICE on this host does what it is there for: status 0, or 1 and the reason.

    SERVICE is worker (consumes earwitness and earwitness.due), downloads (earwitness.downloads),
    beat, hooks or flower. A worker that consumes all queues is both of the first two. Run it where
    the service runs, with the same settings.
    """
    click.echo(
        _answering(service) if service in ("hooks", "flower") else _of_marks(service, within, node)
    )


def _of_marks(service: str, within: float, node: str | None) -> str:
    found = [mark for mark in _mine(service) if node in (None, mark.node)]
    if not found:
        raise click.ClickException(
            f"no {service} runs here: none has left a sign of life in {settings().spool_dir}; "
            "start it, with the same EARWITNESS_SPOOL_DIR"
        )
    now = time.monotonic()
    return "; ".join(judged(mark, service, within, now=now) for mark in found)


def _mine(service: str) -> Iterator[Mark]:
    """The marks of this host's processes that are this service, or may become it."""
    for mark in marks(settings().spool_dir):
        if mark.host != socket.gethostname():
            continue
        needed = _QUEUES.get(service)
        if needed is None:
            wanted = mark.kind == service
        else:
            wanted = mark.kind == "worker" and (mark.phase == "starting" or needed <= mark.queues)
        if wanted:
            yield mark


def judged(
    mark: Mark,
    service: str,
    within: float,
    *,
    now: float,
    redis_answers: Callable[[], bool] = redis_answers,
) -> str:
    """What is well about a process, by its mark. ``within`` is in seconds, ``now`` a reading of the
    monotonic clock. Raises ClickException where it is not well.
    """
    if not 0 <= now - mark.at <= within:
        raise click.ClickException(
            f"{mark.node} (process {mark.pid}) gives no sign of life any more: it was killed, or "
            "stands still; start it anew"
        )
    if mark.phase != "working":
        return f"{mark.node} is {mark.phase}"
    # It is ready a moment before it first asks.
    missing = _QUEUES.get(service, frozenset()) - mark.consumed if mark.consumed else frozenset()
    idle = now - (mark.worked_at or 0.0)
    if idle <= within and not missing:
        return f"{mark.node} {_does(mark)}"
    if not redis_answers():
        return f"{mark.node} waits for Redis, which does not answer"
    if mark.redis_away_at is not None and now - mark.redis_away_at <= within:
        return f"{mark.node} finds its way back to Redis, which answers again"
    if idle <= within:
        lost = ", ".join(sorted(missing))
        raise click.ClickException(
            f"{mark.node} lives but does not consume {lost}; start it anew, or give it back: "
            f"celery -A worker control -d {mark.node} add_consumer {min(missing)}"
        )
    raise click.ClickException(
        f"{mark.node} lives and Redis answers, but it {_does_not(mark)} for {idle:.0f} s; "
        "start it anew"
    )


def _does(mark: Mark) -> str:
    if mark.kind == "beat":
        return "ticks"
    return f"consumes {', '.join(sorted(mark.consumed)) or 'in a moment'}"


def _does_not(mark: Mark) -> str:
    return "has not ticked" if mark.kind == "beat" else "has not asked for messages"


def _answering(service: str) -> str:
    """That its HTTP server answers as it should. Raises ClickException where it does not."""
    host, port, path = _hooks() if service == "hooks" else _flower()
    where = f"{service} at {host}:{port}"
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise click.ClickException(
            f"{where} does not answer ({str(error) or type(error).__name__}); start it anew"
        ) from None
    finally:
        connection.close()
    if status not in (200, 204):
        raise click.ClickException(f"{where} answers {status}; see its log, and start it anew")
    return f"{where} answers"


def _hooks() -> tuple[str, int, str]:
    host, _, port = settings().hooks_bind.rpartition(":")
    return _reachable(host.strip("[]")), int(port), "/health"


def _flower() -> tuple[str, int, str]:
    """By Flower's own names; where its options were given otherwise, set them for this command."""
    prefix = os.environ.get("FLOWER_URL_PREFIX", "").strip("/")
    host = _reachable(os.environ.get("FLOWER_ADDRESS", "127.0.0.1"))
    port = os.environ.get("FLOWER_PORT", str(_FLOWER_PORT))
    if not port.isdecimal():
        raise click.UsageError(f"FLOWER_PORT is {port!r}, which is no port.")
    return host, int(port), f"{'/' if prefix else ''}{prefix}/healthcheck"


def _reachable(host: str) -> str:
    """The address by which this host reaches what listens there."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
