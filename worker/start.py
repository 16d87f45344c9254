"""What a worker makes sure of before it takes up anything: that ledger, archive and Redis belong
together.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from redis.exceptions import RedisError

from archive.layout import IDENTITY_PATH
from config.settings import settings
from ledger.errors import Foreign, LedgerAway, LedgerError
from ledger.identity import refuse_foreign
from tasks.resources import ledger, store

from .redis_trouble import trouble

_log = logging.getLogger(__name__)

#: Stands in Redis so that two deployments on one database notice each other.
REDIS_KEY = "earwitness.ledger"
_ARCHIVE_WAY_OUT = (
    "give back the ledger that belongs to this archive, or set EARWITNESS_ARCHIVE_URL to another "
    "folder"
)
REDIS_WAY_OUT = (
    "give each deployment a Redis database of its own (EARWITNESS_REDIS_URL) or a prefix of its "
    "own (EARWITNESS_REDIS_KEY_PREFIX), or, if the other one is gone for good, delete the key {key}"
)


def start_checks(app: Any) -> None:
    """Prepare an empty ledger, and refuse one that is not this archive's or this Redis'.

    Ends the process with a sentence; nothing was taken up. With the ledger away it waits for it.
    """
    try:
        identity = _patient_identity()
        claim_archive(identity)
        claim_redis(app, identity)
    except LedgerError as error:
        sys.exit(f"earwitness: {error}")


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
        refuse_foreign(identity, theirs, where, _ARCHIVE_WAY_OUT)


def claim_redis(app: Any, identity: str) -> None:
    """Write the identity into Redis where none stands. Raises Foreign. With Redis away nothing can
    be read: the sweeper's rounds go on, and messages can not come either.
    """
    key = settings().redis_key(REDIS_KEY)
    try:
        client = app.backend.client
        client.set(key, identity, nx=True)
        theirs = client.get(key)
    except RedisError as error:
        _log.warning("Redis: %s; %s", *trouble(error))
        return
    if theirs is not None:
        way_out = REDIS_WAY_OUT.format(key=key)
        refuse_foreign(identity, theirs.decode(), "this Redis database", way_out)


def _patient_identity() -> str:
    while True:
        try:
            return ledger().identity.prepare()
        except LedgerAway as error:
            _log.warning("%s; waiting for it", error)
