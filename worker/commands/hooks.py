"""``hooks``: the receiver of notifications."""

from __future__ import annotations

import asyncio
import logging

import click

from config import logging as our_logging
from ledger.errors import LedgerAway
from tasks.runtime.context import ledger
from worker.short_secrets import notice_short_secrets
from worker.webhooks.webhook_server import serve

from .deployment import configured

_log = logging.getLogger(__name__)


@click.command()
def hooks() -> None:
    """Receive the notifications of telephone systems, until SIGTERM.

    The receiver listens on EARWITNESS_HOOKS_BIND. Servers reach it at EARWITNESS_HOOKS_URL,
    under /PROVIDER/ACCOUNT/notify. Each account's allowed_networks says which addresses may connect
    to notify it.
    """
    found = configured()
    our_logging.configure(found.log_format, logging.INFO, found.secret_values())
    notice_short_secrets(found)
    try:
        ledger().identity.prepare()
    except LedgerAway as error:
        _log.warning("%s; notifications are kept meanwhile", error)
    if found.hooks_url is None:
        _log.warning(
            "EARWITNESS_HOOKS_URL is not set: servers do not learn this receiver's address"
        )
    asyncio.run(serve(found.hooks_bind, lambda port: _log.info("listening at port %d", port)))
    ledger().close()
