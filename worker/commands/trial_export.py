"""One small export at a provider, to record its answers; the archive keeps nothing of it."""

from __future__ import annotations

import time
from datetime import timedelta

import click

from config.accounts import Account
from config.settings import Settings
from providers.errors import NotFound, NotReady
from providers.interface import ExportsInBulk, Window
from tasks.days import windows
from tasks.exports.creation import exported
from tasks.exports.progress import in_words, progress_of

#: How long to wait for one part.
_MAX_WAIT_SECONDS = 900.0
_FIRST_BYTES = 1024


def try_export(account: Account, client: ExportsInBulk, settings: Settings) -> str:
    """Export the day of the newest recording, and read the first bytes of each part when ready.

    Return a sentence about the result. Raises the client's errors.
    """
    starts = [one.start for one in client.recordings({}).recordings if one.start is not None]
    if not starts:
        return "no export was tried: no recording is listed"
    day = windows.local_day(max(starts), account.zone)
    start, end = windows.window(day, account.zone)
    span = Window(start, end - timedelta(seconds=1))
    ids = [one for number in range(client.exports) for one in exported(client, {}, span, number)]
    parts = f"{len(ids)} part{'s' * (len(ids) != 1)}"
    click.echo(f"{account.alias}: export of {day} created, {parts}", err=True)
    ready = sum(_ready(account, client, provider_job_id, settings) for provider_job_id in ids)
    were = "was" if 1 in (ready, len(ids)) else "were"
    return f"{ready} of {parts} of an export of {day} {were} ready"


def _ready(
    account: Account, client: ExportsInBulk, provider_job_id: str, settings: Settings
) -> bool:
    until = time.monotonic() + _MAX_WAIT_SECONDS
    wait = settings.poll_first_seconds
    while True:
        _print_progress(account, client, provider_job_id)
        try:
            with client.retrieve(provider_job_id) as body:
                body.first(_FIRST_BYTES)
        except NotReady as error:
            click.echo(f"{account.alias}: {error}", err=True)
            if time.monotonic() + wait > until:
                return False
            time.sleep(wait)
            wait = min(wait * 2, settings.poll_max_seconds)
        else:
            return True


def _print_progress(account: Account, client: ExportsInBulk, provider_job_id: str) -> None:
    """Ask for the status of an export too, to see how the provider answers."""
    try:
        found = progress_of(account, client, provider_job_id)
    except NotFound as error:
        click.echo(f"{account.alias}: {error}", err=True)
        return
    if found is not None:
        click.echo(f"{account.alias}: {in_words(found)}", err=True)
