"""One small export at a provider, to see how it answers; nothing of it is kept in the archive."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import click

from config.settings import Settings
from providers.errors import NotReady
from providers.vonage.account import VonageAccount
from providers.vonage.client import Vonage
from tasks.days import windows
from tasks.runtime.fields import utc_text

#: How long one export is waited for.
_PATIENCE_SECONDS = 900.0
_FIRST_BYTES = 1024


def try_export(
    account: VonageAccount, vonage: Vonage, newest: list[dict[str, Any]], settings: Settings
) -> str:
    """Create an export of the day of the newest recording, poll it, and read the first bytes of
    its ZIP; what came of it, in words. Raises what the client raises.
    """
    if not newest:
        return "no export was tried: no recording is listed"
    zone = account.zone
    day = windows.local_day(max(datetime.fromisoformat(one["start"]) for one in newest), zone)
    start, end = windows.window(day, zone)
    filters = {
        "start:gte": utc_text(start),
        "start:lte": utc_text(end - timedelta(seconds=1)),
    }
    ids = vonage.export(filters)
    click.echo(f"{account.alias}: export of {day} created, {len(ids)} parts", err=True)
    ready = sum(_ready(account, vonage, provider_job_id, settings) for provider_job_id in ids)
    return f"{ready} of {len(ids)} parts of an export of {day} were ready"


def _ready(
    account: VonageAccount, vonage: Vonage, provider_job_id: str, settings: Settings
) -> bool:
    until = time.monotonic() + _PATIENCE_SECONDS
    wait = settings.poll_first_seconds
    while True:
        try:
            with vonage.retrieve(provider_job_id) as body:
                body.first(_FIRST_BYTES)
        except NotReady as error:
            click.echo(f"{account.alias}: {error}", err=True)
            if time.monotonic() + wait > until:
                return False
            time.sleep(wait)
            wait = min(wait * 2, settings.poll_max_seconds)
        else:
            return True
