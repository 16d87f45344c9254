"""The receiver's inbox: notifications are written to disk first, then recorded in the ledger.

The server may notify only once (docs/providers/ozeki.md, Q7), even while the ledger is away.
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

#: A bound, because tokens cannot be checked while the ledger is away: every sender in an allowed
#: network can then fill the inbox.
MAX_PENDING = 10_000
_INTERVAL_SECONDS = 0.5
_ABANDONED_SECONDS = 3600


class Full(Exception):
    """``MAX_PENDING`` notifications wait for the ledger, so the inbox accepts no more."""


class Inbox:
    """A folder with one file for each notification that the ledger has not recorded yet.

    Several processes may share it, because recording a notification twice changes nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pending = 0
        self._is_logged = False
        self._arrived = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="earwitness-inbox", daemon=True)

    @property
    def runs(self) -> bool:
        """Whether the thread that records notifications is alive."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start recording the folder's notifications. Raises OSError without a usable folder."""
        make_folder(self._folder)
        self._folder.chmod(0o700)
        for unfinished in self._folder.glob(".*"):
            # A killed process left it, before it confirmed the notification to its sender.
            with suppress(FileNotFoundError):
                if time.time() - unfinished.stat().st_mtime > _ABANDONED_SECONDS:
                    unfinished.unlink()
        self._thread.start()

    def stop(self) -> None:
        """Stop recording; the next start continues with the rest."""
        self._stop.set()
        self._arrived.set()
        self._thread.join(timeout=10)

    def add_answered(self, token: str) -> None:
        """Add that a notification is about to be answered with this instruction's document.

        The fact is on disk on return. Raises OSError and Full.
        """
        self._add({"kind": "answered", "token": token})

    def add_completed(self, account: str, token: str, record_url: str) -> None:
        """Add that a recording has ended.

        The fact is on disk on return. Raises OSError and Full.
        """
        fact = {"account": account, "token": token, "record_url": record_url}
        self._add({"kind": "completed", **fact})

    def _add(self, fact: dict[str, str]) -> None:
        if self._pending >= MAX_PENDING:
            raise Full
        data = json.dumps(fact, sort_keys=True).encode()
        # A repeated notification gets the same file.
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
        self._arrived.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._arrived.clear()
            try:
                self._record_all()
                self._is_logged = False
            except LedgerAway as error:
                if not self._is_logged:
                    _log.warning("notifications wait for the ledger: %s", error)
                self._is_logged = True
            except Exception:  # noqa: BLE001 - logged; a dead thread would record nothing more
                _log.exception("notifications were not recorded in the ledger")
            if self._pending:
                self._stop.wait(_INTERVAL_SECONDS)
            else:
                self._arrived.wait(_INTERVAL_SECONDS)

    def _record_all(self) -> None:
        paths = self._in_order_of_arrival()
        self._pending = len(paths)
        for path in paths:
            if self._stop.is_set():
                return
            self._record_one(path)
            self._pending -= 1

    def _in_order_of_arrival(self) -> list[Path]:
        """Return the files that wait: of two addresses for one recording, the first one counts."""
        arrived = []
        for path in self._folder.glob("*.json"):
            with suppress(FileNotFoundError):
                arrived.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(arrived)]

    def _record_one(self, path: Path) -> None:
        try:
            fact = json.loads(path.read_bytes())
            with bind(account=fact.get("account")):
                _record(fact)
        except FileNotFoundError:
            return
        except LedgerAway:
            raise
        except Exception:  # noqa: BLE001 - logged; the other files must not wait behind this one
            _log.exception("%s cannot be read; it is kept for you to look at", path.name)
            path.rename(path.with_suffix(".unreadable"))
            return
        path.unlink(missing_ok=True)


def _record(fact: dict[str, Any]) -> None:
    if fact["kind"] == "answered":
        ledger().recording_instructions.mark_answered(fact["token"])
        return
    effect = ledger().recording_instructions.mark_completed(
        fact["account"], fact["token"], fact["record_url"]
    )
    if effect == "no instruction":
        _log.warning("%s: a recording has ended that was not requested", fact["account"])
    else:
        _log.info("%s: a recording has ended (%s)", fact["account"], effect)
