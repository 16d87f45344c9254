"""What the receiver of notifications has taken: on the disk first, then entered in the ledger.

The server may notify only once (docs/providers/ozeki.md, Q7), and the ledger may be away just then.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from archive.store.fsync import flush_folder, make_folder
from config.logging import bind
from ledger.errors import LedgerAway
from tasks.runtime.context import ledger

_log = logging.getLogger(__name__)

#: With the ledger away anybody of an allowed network may tell of ends that nobody waits for.
MOST_PENDING = 10_000
_SECONDS = 0.5
_ABANDONED_SECONDS = 3600


class Full(Exception):
    """So much waits for the ledger that no more is taken."""


class Deliveries:
    """A folder of facts, each in a file of its own until the ledger has it; any number of processes
    may share it, since a fact that is entered twice changes nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pending = 0
        self._told = False
        self._came = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="earwitness-deliveries", daemon=True)

    @property
    def runs(self) -> bool:
        """Whether what is told is still entered."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to enter what lies there. Raises OSError where the folder can not be made."""
        make_folder(self._folder)
        self._folder.chmod(0o700)
        for left in self._folder.glob(".*"):
            # What a killed process did not finish was never answered as taken.
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                    left.unlink()
        self._thread.start()

    def stop(self) -> None:
        """Enter nothing more; what is left is entered after the next start."""
        self._stop.set()
        self._came.set()
        self._thread.join(timeout=10)

    def told_answered(self, token: str) -> None:
        """A notification is about to be answered with the document of this instruction."""
        self._keep({"kind": "answered", "token": token})

    def told_completed(self, account: str, token: str, record_url: str) -> None:
        """The end of a recording was told. On the disk when this returns. Raises OSError, Full."""
        fact = {"account": account, "token": token, "record_url": record_url}
        self._keep({"kind": "completed", **fact})

    def _keep(self, fact: dict[str, str]) -> None:
        if self._pending >= MOST_PENDING:
            raise Full
        data = json.dumps(fact, sort_keys=True).encode()
        # The same told again is the same file.
        path = self._folder / f"{hashlib.sha256(data).hexdigest()[:32]}.json"
        temporary = self._folder / f".{secrets.token_hex(8)}"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
            flush_folder(self._folder)
        finally:
            temporary.unlink(missing_ok=True)
        self._pending += 1
        self._came.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._came.clear()
            try:
                self._enter_all()
                self._told = False
            except LedgerAway as error:
                if not self._told:
                    _log.warning("notifications wait for the ledger: %s", error)
                self._told = True
            except Exception:  # noqa: BLE001 - logged; a thread that dies enters nothing more
                _log.exception("notifications were not entered in the ledger")
            if self._pending:
                self._stop.wait(_SECONDS)
            else:
                self._came.wait(_SECONDS)

    def _enter_all(self) -> None:
        paths = sorted(self._folder.glob("*.json"))
        self._pending = len(paths)
        for path in paths:
            if self._stop.is_set():
                return
            self._enter_one(path)
            self._pending -= 1

    def _enter_one(self, path: Path) -> None:
        try:
            fact = json.loads(path.read_bytes())
            with bind(account=fact.get("account")):
                _enter(fact)
        except FileNotFoundError:
            return
        except LedgerAway:
            raise
        except Exception:  # noqa: BLE001 - logged; the others must not wait behind it
            _log.exception("%s was not understood; it is kept, look at it", path.name)
            path.rename(path.with_suffix(".unreadable"))
            return
        path.unlink(missing_ok=True)


def _enter(fact: dict[str, Any]) -> None:
    if fact["kind"] == "answered":
        ledger().recording_instructions.answered(fact["token"])
        return
    told = ledger().recording_instructions.completed(
        fact["account"], fact["token"], fact["record_url"]
    )
    if told == "nobody":
        _log.warning("%s: the end of a recording was told that nobody asked for", fact["account"])
    else:
        _log.info("%s: the end of a recording was told (%s)", fact["account"], told)
