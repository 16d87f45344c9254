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
from collections.abc import Callable

import click

from config.queues import DOWNLOADS, DUE, FRONT_DOOR
from config.settings import settings
from worker.health.heartbeat import Ping
from worker.health.heartbeat_files import STARTING, Mark, marks
from worker.health.judgement import WITHIN_SECONDS, liveness, readiness

#: The queues that distinguish the two kinds of workers; a worker may be of both.
_QUEUES = {"worker": frozenset({FRONT_DOOR, DUE}), "downloads": frozenset({DOWNLOADS})}
_ANSWER_SECONDS = 5.0
_FLOWER_PORT = 5555


@click.command()
@click.argument("service", type=click.Choice([*_QUEUES, "beat", "hooks", "flower"]))
@click.option(
    "--within",
    default=WITHIN_SECONDS,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(min=1),
    help="Inactivity after which a worker or beat is unhealthy.",
)
@click.option("--node", metavar="NODE", help="Only the process with this node name (-n).")
@click.option(
    "--live",
    "asked",
    flag_value="live",
    default="live",
    help="Check whether it is alive: a failure calls for a restart. [default]",
)
@click.option("--ready", "asked", flag_value="ready", help="Check whether a worker takes work now.")
def health(service: str, within: float, node: str | None, asked: str) -> None:
    """Check whether SERVICE on this host works: the status is 0, or 1 with the reason.

    SERVICE is worker (consumes earwitness or earwitness.due), downloads (earwitness.downloads),
    beat, hooks or flower. A worker that consumes all queues is both of the first two. Each worker
    must consume the queues that it was started with. Run the command where the service runs, with
    the same settings.

    With --ready, a worker that is starting, stopping, drained or waiting for Redis is not healthy.
    """
    click.echo(
        _judge_server(service)
        if service in ("hooks", "flower")
        else _judge_marks(service, within, node, asked)
    )


def _judge_marks(service: str, within: float, node: str | None, asked: str) -> str:
    found = [mark for mark in marks(settings().spool_dir) if _is_meant(mark, service, node)]
    if not found:
        raise click.ClickException(
            f"no {service} process is running here: {settings().spool_dir} shows no sign of life "
            "of one; "
            "start it, with the same EARWITNESS_SPOOL_DIR"
        )
    now = time.monotonic()
    return "; ".join(judge(mark, service, within, now=now, asked=asked) for mark in found)


def _is_meant(mark: Mark, service: str, node: str | None) -> bool:
    """Return whether a process of this host is asked about, or is starting and may be."""
    if mark.host != socket.gethostname() or node not in (None, mark.node):
        return False
    wanted = _QUEUES.get(service)
    if wanted is None:
        return mark.kind == service
    if mark.kind != "worker":
        return False
    return node is not None or mark.phase == STARTING or bool(wanted & mark.queues)


def judge(
    mark: Mark,
    service: str,
    within: float,
    *,
    now: float,
    redis_answers: Callable[[], bool] | None = None,
    asked: str = "live",
) -> str:
    """Describe a healthy process by its mark. Raises ClickException if it is not healthy.

    ``within`` is in seconds, ``now`` in seconds of the monotonic clock.
    """
    needed = mark.queues & _QUEUES.get(service, frozenset()) or mark.queues
    judged = (liveness if asked == "live" else readiness)(
        mark, needed, within, now=now, redis_answers=redis_answers or Ping().is_answered
    )
    if not judged.is_well:
        raise click.ClickException(judged.sentence)
    return judged.sentence


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
