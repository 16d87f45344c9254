"""``health``: check whether a service on this host works.

The command judges the process and not the services that it depends on: it fails only if restarting
the process would help. A worker that waits for Redis or the ledger is healthy, and ending it would
also end its running transfers.
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
from worker.health.heartbeat import redis_answers
from worker.health.heartbeat_files import Mark, marks

#: The queues that each kind of worker must consume; it may consume others as well.
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
@click.option("--node", metavar="NODE", help="Only the process of this node name (-n).")
def health(service: str, within: float, node: str | None) -> None:
    """Check whether SERVICE on this host works: the status is 0, or 1 with the reason.

    SERVICE is worker (consumes earwitness and earwitness.due), downloads (earwitness.downloads),
    beat, hooks or flower. A worker that consumes all queues is both of the first two. Run it where
    the service runs, with the same settings.
    """
    click.echo(
        _judge_server(service)
        if service in ("hooks", "flower")
        else _judge_marks(service, within, node)
    )


def _judge_marks(service: str, within: float, node: str | None) -> str:
    found = [mark for mark in _marks_of(service) if node in (None, mark.node)]
    if not found:
        raise click.ClickException(
            f"no {service} runs here: there is no sign of life of one in "
            f"{settings().spool_dir}; "
            "start it, with the same EARWITNESS_SPOOL_DIR"
        )
    now = time.monotonic()
    return "; ".join(judge(mark, service, within, now=now) for mark in found)


def _marks_of(service: str) -> Iterator[Mark]:
    """Yield the marks of this host's processes that are this service or are starting."""
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


def judge(
    mark: Mark,
    service: str,
    within: float,
    *,
    now: float,
    redis_answers: Callable[[], bool] = redis_answers,
) -> str:
    """Describe a healthy process by its mark. Raises ClickException if it is not healthy.

    ``within`` is in seconds, ``now`` in seconds of the monotonic clock.
    """
    if not 0 <= now - mark.at <= within:
        raise click.ClickException(
            f"{mark.node} (process {mark.pid}) shows no sign of life any more: it was killed or "
            "is stuck; restart it"
        )
    if mark.phase != "working":
        return f"{mark.node} is {mark.phase}"
    # A worker is ready a moment before it first asks Redis for messages.
    missing = _QUEUES.get(service, frozenset()) - mark.consumed if mark.consumed else frozenset()
    idle = now - (mark.worked_at or 0.0)
    if idle <= within and not missing:
        return f"{mark.node} {_activity(mark)}"
    if not redis_answers():
        return f"{mark.node} waits for Redis, which does not answer"
    if mark.redis_away_at is not None and now - mark.redis_away_at <= within:
        return f"{mark.node} is reconnecting to Redis, which answers again"
    if idle <= within:
        lost = ", ".join(sorted(missing))
        raise click.ClickException(
            f"{mark.node} is alive but does not consume {lost}; restart it, or add the queue "
            f"again: celery -A worker control -d {mark.node} add_consumer {min(missing)}"
        )
    raise click.ClickException(
        f"{mark.node} is alive and Redis answers, but it {_inactivity(mark)} for {idle:.0f} s; "
        "restart it"
    )


def _activity(mark: Mark) -> str:
    if mark.kind == "beat":
        return "ticks"
    return f"consumes {', '.join(sorted(mark.consumed)) or 'in a moment'}"


def _inactivity(mark: Mark) -> str:
    return "has not ticked" if mark.kind == "beat" else "has not asked for messages"


def _judge_server(service: str) -> str:
    """Describe a service whose HTTP server answers. Raises ClickException if it does not."""
    host, port, path = _hooks() if service == "hooks" else _flower()
    where = f"{service} at {host}:{port}"
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise click.ClickException(
            f"{where} does not answer ({str(error) or type(error).__name__}); restart it"
        ) from None
    finally:
        connection.close()
    if status not in (200, 204):
        raise click.ClickException(f"{where} answers {status}; see its log, and restart it")
    return f"{where} answers"


def _hooks() -> tuple[str, int, str]:
    host, _, port = settings().hooks_bind.rpartition(":")
    return _reachable(host.strip("[]")), int(port), "/health"


def _flower() -> tuple[str, int, str]:
    """Read Flower's FLOWER_* variables; set them for this command if Flower got options instead."""
    prefix = os.environ.get("FLOWER_URL_PREFIX", "").strip("/")
    host = _reachable(os.environ.get("FLOWER_ADDRESS", "127.0.0.1"))
    port = os.environ.get("FLOWER_PORT", str(_FLOWER_PORT))
    if not port.isdecimal():
        raise click.UsageError(f"FLOWER_PORT is {port!r}, which is not a port.")
    return host, int(port), f"{'/' if prefix else ''}{prefix}/healthcheck"


def _reachable(host: str) -> str:
    """Return the address at which this host reaches a service that listens on ``host``."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
