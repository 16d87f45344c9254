"""``reload``: have the workers reload the accounts."""

from __future__ import annotations

from typing import Any

import click
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from worker.redis.diagnosis import diagnose
from worker.redis.reload_control import RELOAD_COMMAND

from .display import plain, print_json
from .options import as_json
from .publisher import announcing

_SECONDS = 3.0


@click.command()
@click.option("-n", "--node", multiple=True, metavar="NAME", help="Only this worker; repeatable.")
@as_json
def reload(node: tuple[str, ...], as_json: bool) -> int:
    """Have the workers of all hosts reload the accounts, without a restart.

    Each worker validates its own files as a whole first: if anything is wrong, it keeps
    its present accounts and says why, and the status is 1. Running work finishes with the account
    as it was. Settings other than accounts need a restart.

    This host's files are read first; if they are refused, no worker is asked. The command does
    not reach beat, hooks and Flower; they do the same on SIGHUP.
    """
    answers = _asked(list(node) or None)
    if as_json:
        print_json(answers)
    for name, answer in sorted(answers.items()):
        if not as_json:
            refused = answer.get("refused")
            click.echo(plain(f"{name}: {f'refused: {refused}' if refused else answer['done']}"))
    missing = sorted(set(node) - answers.keys())
    if not answers or missing:
        raise click.ClickException(
            f"{', '.join(missing) or 'no worker'} did not answer: a worker that starts reads the "
            "accounts anyway; send SIGHUP to one that runs without Redis"
        )
    return int(any("refused" in answer for answer in answers.values()))


def _asked(nodes: list[str] | None) -> dict[str, dict[str, str]]:
    """Return the answers by node name; what answers otherwise is no worker of ours."""
    try:
        with announcing() as app:
            replies: list[dict[str, Any]] = (
                app.control.broadcast(
                    RELOAD_COMMAND, destination=nodes, reply=True, timeout=_SECONDS
                )
                or []
            )
    except (OperationalError, RedisError, OSError) as error:
        meaning, advice = diagnose(error)
        raise click.ClickException(f"not done: Redis: {meaning}; {advice}") from None
    return {
        name: answer
        for reply in replies
        for name, answer in reply.items()
        if isinstance(answer, dict) and answer.keys() & {"done", "refused"}
    }
