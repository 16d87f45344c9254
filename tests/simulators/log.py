"""The log of everything that reached the simulators and of every effect it had."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]
ADMITTED = ("valid", "not needed")


class Log:
    """Requests while they run and when they end, and effects; also as JSON lines in a file.

    A request is written to the file twice, when it is recognised and when it ends, under the
    same `n`, so that one which never ended can be told from one that did.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._records: list[Record] = []
        self._lock = threading.Lock()
        self._count = 0

    def begin(self, **fields: Any) -> Record:
        """Opens a request; the record returned is filled in while it runs."""
        with self._lock:
            self._count += 1
            record = {"record": "request", "n": self._count, "at": time.time(), **fields}
            record |= {"status": None, "sent_bytes": 0, "outcome": "running"}
            self._records.append(record)
        return record

    def recognised(self, record: Record, **fields: Any) -> None:
        """Notes whose request it is and what it asks for."""
        with self._lock:
            record |= fields
            self._write(record)

    def end(self, record: Record, outcome: str) -> None:
        """Closes a request: "complete", or how it was severed."""
        with self._lock:
            record |= {"outcome": outcome, "seconds": round(time.time() - record["at"], 6)}
            self._write(record)

    def effect(self, request: Record, name: str, **fields: Any) -> None:
        """Notes that a request changed something at the provider."""
        effect = {"record": "effect", "effect": name, "n": request["n"], "at": time.time()}
        effect |= {"provider": request["provider"], "account": request.get("account"), **fields}
        with self._lock:
            self._records.append(effect)
            self._write(effect)

    def records(self) -> Records:
        """What has happened until now."""
        with self._lock:
            return Records([dict(record) for record in self._records])

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _write(self, record: Record) -> None:
        if not self._file.closed:
            self._file.write(json.dumps(record, default=str) + "\n")
            self._file.flush()


class Records:
    """A log read at one moment, and the questions that tests ask of it."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._records = list(records)

    @classmethod
    def load(cls, path: Path) -> Records:
        """Reads a log file, also of a simulator that was killed."""
        newest: dict[tuple[Any, ...], Record] = {}
        for index, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the last line of a process that was killed while writing it
            own = (index,) if record["record"] == "effect" else ()
            newest[(record["record"], record["n"], *own)] = record
        return cls(newest.values())

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def requests(
        self, operation: str | None = None, account: str | None = None, **fields: Any
    ) -> list[Record]:
        """Requests in order of arrival, narrowed by any field of theirs."""
        wanted = {"operation": operation, "account": account, **fields}
        return self._select("request", wanted)

    def effects(
        self, name: str | None = None, account: str | None = None, **fields: Any
    ) -> list[Record]:
        """Effects in order: export_created, token_issued, recording_deleted."""
        return self._select("effect", {"effect": name, "account": account, **fields})

    def exports(
        self, account: str | None = None, window: tuple[str, str] | None = None
    ) -> list[Record]:
        """Exports created: account, user_id (whose on-demand recordings, None for the company's),
        filters, window [start:gte, start:lte] as sent, job_ids.
        """
        found = self.effects("export_created", account)
        return [e for e in found if window is None or tuple(e["window"]) == tuple(window)]

    def retrieves(self, job_id: str | None = None) -> list[Record]:
        """Requests for an archive, the ones answered "not ready" among them."""
        return self.requests("retrieve", job_id=job_id)

    def transfers(self, job_id: str | None = None) -> list[Record]:
        """Requests that were answered with bytes of the archive, whole or from an offset."""
        return [r for r in self.retrieves(job_id) if r.get("file")]

    def sent_bytes(self, job_id: str) -> int:
        """Bytes of the archive handed to the network, over all transfers of the job."""
        return sum(r["sent_bytes"] for r in self.transfers(job_id))

    def logins(self, account: str | None = None) -> list[Record]:
        """Password grants, the refused ones too (see `status`)."""
        return self.requests("login", account)

    def refreshes(self, account: str | None = None) -> list[Record]:
        """Refresh grants, the refused ones too (see `status`)."""
        return self.requests("refresh", account)

    def unauthorised(self) -> list[Record]:
        """Requests without a token, or with one that was not (or no longer) valid."""
        return [r for r in self.requests() if r.get("authorization") not in ADMITTED]

    def secrets(self) -> list[str]:
        """Every token ever issued, as far as this log goes."""
        return [s for effect in self.effects("token_issued") for s in effect["secrets"]]

    def _select(self, kind: str, wanted: Record) -> list[Record]:
        fields = {name: value for name, value in wanted.items() if value is not None}
        return [
            record
            for record in self._records
            if record["record"] == kind
            and all(record.get(name) == value for name, value in fields.items())
        ]
