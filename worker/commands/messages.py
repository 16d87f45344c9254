"""``messages``: show invalid messages, remove them or put them back."""

from __future__ import annotations

from typing import Any

import click
from redis.exceptions import RedisError

from worker.redis.connecting import connected
from worker.redis.diagnosis import diagnose
from worker.redis.set_aside import SetAside, SetAsideMessage

from .deployment import configured
from .display import plain, print_json, print_lines, print_table
from .options import as_json

_SECONDS = 3.0
_ALL = "all"


@click.command()
@click.option("--put-back", metavar="ID", help="Put this message back into its queue.")
@click.option("--remove", metavar="ID", help="Remove this message for good, or `all` of them.")
@as_json
def messages(put_back: str | None, remove: str | None, as_json: bool) -> int:
    """Show the messages that no worker could read, oldest first; the status is 1 if there is
    one.

    The last 200 messages are kept, each for a week. Their content is not shown, because it may
    contain names and numbers. Put a message back if it was set aside for a reason other than its
    own form, for example because five workers were killed while they had it in hand.
    """
    if put_back is not None and remove is not None:
        raise click.UsageError("Give --put-back or --remove, not both.")
    settings = configured()
    try:
        with connected(
            settings, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
        ) as client:
            aside = SetAside(client, settings.redis_key(""))
            if put_back is not None:
                return _put_back(aside, put_back)
            if remove is not None:
                return _remove(aside, remove)
            return _show(aside.messages(), as_json=as_json)
    except (OSError, RedisError) as error:
        meaning, advice = diagnose(error)
        raise click.ClickException(f"not done: Redis: {meaning}; {advice}") from None


def _show(messages: list[SetAsideMessage], *, as_json: bool) -> int:
    if as_json:
        print_json([_shown(one) for one in messages])
    elif not messages:
        click.echo("no message is set aside")
    else:
        rows = [_shown(one) for one in messages]
        print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
        print_lines(["", "to remove one: earwitness messages --remove ID"])
    return int(bool(messages))


def _shown(message: SetAsideMessage) -> dict[str, Any]:
    return {
        "id": message.id,
        "at": message.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "queue": message.queue,
        "bytes": message.length,
        "reason": message.reason,
    }


def _put_back(aside: SetAside, kept_id: str) -> int:
    message = _found(aside, kept_id)
    if not message.is_whole or not message.has_known_queue:
        raise click.ClickException(
            f"not done: message {kept_id} cannot be put back: it was too long to be kept whole, "
            "or its queue is unknown; ask its sender to send it again"
        )
    if not aside.put_back(message):
        raise _gone(kept_id)
    click.echo(plain(f"message {kept_id} is back in the queue {message.queue}"))
    return 0


def _remove(aside: SetAside, kept_id: str) -> int:
    wanted = aside.messages() if kept_id == _ALL else [_found(aside, kept_id)]
    removed = sum(aside.remove(one.id) for one in wanted)
    click.echo(f"removed: {removed}")
    return 0


def _found(aside: SetAside, kept_id: str) -> SetAsideMessage:
    found = [one for one in aside.messages() if one.id == kept_id]
    if not found:
        raise _gone(kept_id)
    return found[0]


def _gone(kept_id: str) -> click.ClickException:
    return click.ClickException(
        f"not done: no message {kept_id} is set aside; see: earwitness messages"
    )
