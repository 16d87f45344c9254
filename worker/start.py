"""What a worker makes sure of before it takes up anything: that ledger, archive and Redis belong
together.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from redis.exceptions import RedisError

from archive.errors import ArchiveError
from archive.layout import IDENTITY_PATH
from config.settings import settings
from ledger.errors import Foreign, LedgerAway, LedgerError
from ledger.identity import refuse_foreign
from ledger.quarantine import MEANING, WAY_OUT
from tasks import comparing
from tasks.resources import ledger, store

_log = logging.getLogger(__name__)
_alerts = logging.getLogger("earwitness.alerts")

#: Stands in Redis so that two deployments on one database notice each other.
REDIS_KEY = "earwitness.ledger"
_ARCHIVE_WAY_OUT = (
    "give back the ledger that belongs to this archive, or set EARWITNESS_ARCHIVE_URL to another "
    "folder"
)
_REBUILD = (
    f"{_ARCHIVE_WAY_OUT}; if that ledger is lost, let EARWITNESS_LEDGER_URL name an empty one and "
    "run: python -m worker rebuild"
)
_REDIS_WAY_OUT = (
    "give each deployment a Redis database of its own (EARWITNESS_REDIS_URL), or, if the other one "
    f"is gone for good, delete the key {REDIS_KEY}"
)


def start_checks(app: Any) -> None:
    """Prepare an empty ledger, and refuse one that is not this archive's or this Redis'.

    Ends the process with a sentence; nothing was taken up. With the ledger away it waits for it.
    """
    try:
        identity = _patient_identity()
        claim_archive(identity)
        claim_redis(app, identity)
        notice_older_ledger()
    except LedgerError as error:
        sys.exit(f"earwitness: {error}")


def notice_older_ledger() -> None:
    """Quarantine a ledger that is older than its archive: calls may have been placed since its copy
    was made. Say that there is a quarantine, whoever began it.
    """
    try:
        unknown = comparing.unknown_files()
    except (ArchiveError, OSError) as error:
        _log.warning("whether the ledger is older than the archive is not known: %s", error)
        unknown = []
    if unknown:
        sentence = comparing.said(unknown)
        ledger().identity.quarantine(by=f"worker {ledger().worker}", note=sentence)
        _alerts.error("%s; it is in quarantine now; %s", sentence, comparing.WAY_OUT)
    if ledger().identity.quarantined():
        _log.warning("the ledger is in quarantine: %s; %s", MEANING, WAY_OUT)


def claim_archive(identity: str) -> None:
    """Write the ledger's identity into an archive that has none. Raises Foreign."""
    if not store().exists(IDENTITY_PATH) and next(store().paths(), None) is not None:
        raise Foreign(
            f"the archive {settings().archive_url} holds files, but no {IDENTITY_PATH} that says "
            f"whose they are; nothing was started; {_ARCHIVE_WAY_OUT}"
        )
    content = json.dumps({"schema": 1, "ledger": identity}).encode()
    try:
        store().create(IDENTITY_PATH, content)
    except FileExistsError:
        theirs = json.loads(store().read(IDENTITY_PATH))["ledger"]
        where = f"the archive {settings().archive_url}"
        refuse_foreign(identity, theirs, where, _REBUILD)


def claim_redis(app: Any, identity: str) -> None:
    """Write the identity into Redis where none stands. Raises Foreign. With Redis away nothing can
    be read: the sweeper's rounds go on, and messages can not come either.
    """
    try:
        client = app.backend.client
        client.set(REDIS_KEY, identity, nx=True)
        theirs = client.get(REDIS_KEY)
    except RedisError as error:
        _log.warning("Redis does not answer yet (%s)", error)
        return
    if theirs is not None:
        refuse_foreign(identity, theirs.decode(), "this Redis database", _REDIS_WAY_OUT)


def _patient_identity() -> str:
    while True:
        try:
            return ledger().identity.prepare()
        except LedgerAway as error:
            _log.warning("%s; waiting for it", error)
