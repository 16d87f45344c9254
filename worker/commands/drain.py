"""``drain`` and ``undrain``: stop a worker from taking work, and let it take work again."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection
from typing import Any

import click
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.settings import settings
from worker.control_names import DRAIN_COMMAND, STATE_COMMAND, UNDRAIN_COMMAND
from worker.health.heartbeat_files import WORKING, marks
from worker.health.judgement import WITHIN_SECONDS
from worker.redis.diagnosis import diagnose

from .publisher import announcing

_ANSWER_SECONDS = 3.0
_POLL_SECONDS = 0.5
#: A worker that answers none of so many questions has ended, or lost Redis.
_MOST_SILENT = 5

_node = click.option(
    "--node",
    "nodes",
    metavar="NODE",
    multiple=True,
    help="The worker with this node name (-n), on any host. [default: every worker of this host]",
)


@click.command()
@_node
@click.option("--wait", is_flag=True, help="Wait until the workers have nothing in hand.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="The longest time to wait. [default: without a limit]",
)
def drain(nodes: tuple[str, ...], wait: bool, timeout: float | None) -> int:
    """Stop workers from taking work; they finish or hand over what they have.

    A drained worker keeps running, but is not ready (health --ready). It finishes short
    tasks, and its transfers continue in another worker. It takes work again after undrain or a
    restart. Draining needs Redis. The status is 1 if a worker did not answer or the time ran out.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout has no meaning without --wait.")
    with announcing() as app:
        asked = _asked(nodes)
        answers = _ask(app, DRAIN_COMMAND, asked)
        for node in sorted(answers):
            click.echo(f"{node} takes no more work; in hand: {answers[node]['in_hand']}")
        _refuse_silence(asked, answers)
        if wait:
            _wait(app, set(answers), timeout)
    return 0


@click.command()
@_node
def undrain(nodes: tuple[str, ...]) -> int:
    """Return drained workers to work."""
    with announcing() as app:
        asked = _asked(nodes)
        answers = _ask(app, UNDRAIN_COMMAND, asked)
        for node in sorted(answers):
            click.echo(f"{node} {answers[node]['ok']}")
        _refuse_silence(asked, answers)
    return 0


def _asked(nodes: Collection[str]) -> set[str]:
    """Return the named workers, or those that run on this host. Raises ClickException."""
    if nodes:
        return set(nodes)
    here = _workers_here()
    if not here:
        raise click.ClickException(
            f"no worker is running here: {settings().spool_dir} shows no sign of life of one; "
            "nothing was changed; use --node for a worker on another host"
        )
    return here


def _workers_here() -> set[str]:
    now = time.monotonic()
    return {
        mark.node
        for mark in marks(settings().spool_dir)
        if mark.kind == "worker"
        and mark.host == socket.gethostname()
        and 0 <= now - mark.at <= WITHIN_SECONDS
    }


def _ask(app: Celery, command: str, nodes: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the answers by worker. Raises ClickException if Redis or a worker refuses."""
    try:
        replies = app.control.broadcast(
            command,
            destination=sorted(nodes),
            reply=True,
            limit=len(nodes),
            timeout=_ANSWER_SECONDS,
        )
    except (OperationalError, RedisError, OSError) as failure:
        meaning, advice = diagnose(failure)
        raise click.ClickException(
            f"the workers could not be reached: Redis {meaning}; {advice}"
        ) from None
    answers = {name: one for reply in replies or [] for name, one in reply.items()}
    for name, one in answers.items():
        if "error" in one:
            raise click.ClickException(f"{name}: {one['error']}")
    return answers


def _refuse_silence(asked: Collection[str], answers: Collection[str]) -> None:
    silent = sorted(set(asked) - set(answers))
    if silent:
        raise click.ClickException(
            f"no answer from {', '.join(silent)}: it is not running, is reconnecting to Redis, or "
            "has another name; see: earwitness doctor"
        )


def _wait(app: Celery, nodes: set[str], timeout: float | None) -> None:
    """Wait until the workers have nothing in hand. Raises ClickException if that is not to come."""
    until = None if timeout is None else time.monotonic() + timeout
    here = _workers_here()
    silent = dict.fromkeys(nodes, 0)
    while True:
        answers = _ask(app, STATE_COMMAND, set(silent))
        for node in sorted(silent):
            silent[node] = 0 if node in answers else silent[node] + 1
            if _is_done(node, answers.get(node), silent[node], is_gone=_is_gone(node, here)):
                del silent[node]
        if not silent:
            return
        if until is not None and time.monotonic() >= until:
            named = ", ".join(
                f"{node} ({answers[node]['in_hand'] if node in answers else 'no answer'})"
                for node in sorted(silent)
            )
            raise click.ClickException(
                f"after {timeout:g} s work is still in hand: {named}; the workers stay drained"
            )
        time.sleep(_POLL_SECONDS)


def _is_gone(node: str, before: Collection[str]) -> bool:
    """Return whether a worker of this host has ended."""
    return node in before and node not in _workers_here()


def _is_done(node: str, answer: dict[str, Any] | None, silent: int, *, is_gone: bool) -> bool:
    """Say that a worker has nothing in hand; return whether this is so. Raises ClickException."""
    if answer is None:
        if is_gone:
            click.echo(f"{node} has ended")
        elif silent >= _MOST_SILENT:
            raise click.ClickException(
                f"{node} no longer answers: it has ended, or lost Redis; what it has in hand is "
                "unknown"
            )
        return is_gone
    if answer["phase"] == WORKING:
        raise click.ClickException(f"{node} takes work again: it was undrained or restarted")
    if answer["is_drained"]:
        click.echo(f"{node} is drained")
    return bool(answer["is_drained"])
