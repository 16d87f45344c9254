"""Misbehaviour on request: which operation, which kind, how many times."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from .audio import PRETENDERS

MIB = 1 << 20

# What an answer can be replaced or preceded by: taken by every request of the operation.
ANSWER_KINDS: dict[str, dict[str, Any]] = {
    "hang": {"seconds": 3600.0, "when": "before"},
    "reset": {"when": "before"},
    "close": {"when": "before"},
    "answer": {
        "status": 200,
        "body": "empty",
        "content_type": None,
        "retry_after": None,
        "retry_after_as": "seconds",
        "headers": {},
        "when": "before",
    },
}

# How an answer travels: where the operation serves a file, taken only when the file is served.
WIRE_KINDS: dict[str, dict[str, Any]] = {
    "cut": {"after_bytes": 0, "how": "broken"},
    "freeze": {"after_bytes": 0, "seconds": 3600.0},
    "slow": {"bytes_per_second": 1000.0},
    "trickle": {"seconds_per_byte": 0.1, "part": "body"},
}

# What a served file turns out to be.
FILE_KINDS: dict[str, dict[str, Any]] = {
    "wrong_range": {"by": -1},
    "padded": {"bytes": 1},
    "preceded": {"bytes": 417},
    "cut_file": {"share": 0.6},
    "other_file": {"file": "webvtt"},
}

# What is wrong with the ZIP archive of an export.
ZIP_KINDS: dict[str, dict[str, Any]] = {
    "truncated_zip": {"missing_bytes": 100},
    "bad_crc": {"member": 0},
    "zip_bomb": {"bytes": 256 * MIB, "honest": True},
    "overlapping_members": {},
    "bad_name": {"name": "../../evil.mp3"},
    "encrypted_member": {"member": 0},
    "rebuilt_zip": {},
    "surrounded_zip": {"before": "", "after": "\r\n"},
    "cut_member": {"member": 0, "share": 0.6},
    "other_member": {"member": 0, "file": "webvtt"},
}

# What becomes of the jobs that an export of Vonage's creates. A stalled job stays at this share of
# its files; a failed one gets as far, then has this status; an expired one is complete, but its
# archive is gone by then; a lost one was promised, but does not exist.
JOB_KINDS: dict[str, dict[str, Any]] = {
    "stalled_job": {"share": 0.5},
    "failed_job": {"share": 0.5, "status": "failed"},
    "expired_job": {},
    "lost_job": {},
}

# What the status of an export job shows: so many files fewer than the last time, or some fields
# with other values or left out.
STATUS_KINDS: dict[str, dict[str, Any]] = {
    "backwards": {"files": 1},
    "altered_job": {"fields": {}, "without": []},
}

# How gsmblockchain refuses a call that it could have made.
REFUSAL_KINDS: dict[str, dict[str, Any]] = {
    "ko": {"message": "The call cannot be made"},
}

# What befalls a notification that Ozeki sends: repeated, delayed (in real seconds), sent before the
# start that it belongs to is answered, with a RecordURL at another host, to another token than the
# last part of its address, with a body of this size, or never sent.
NOTIFICATION_KINDS: dict[str, dict[str, Any]] = {
    "repeat": {"count": 3},
    "delayed": {"seconds": 1.0},
    "early": {},
    "foreign_host": {"host": "foreign.invalid"},
    "wrong_token": {"token": "wrong"},
    "huge": {"bytes": 10 * MIB},
    "lost": {},
}
NOTIFICATIONS = ("CallChanged", "CallConnected", "IncomingCall", "RecordCompleted")

KINDS = {
    **ANSWER_KINDS,
    **WIRE_KINDS,
    **FILE_KINDS,
    **ZIP_KINDS,
    **JOB_KINDS,
    **STATUS_KINDS,
    **REFUSAL_KINDS,
    **NOTIFICATION_KINDS,
}
CHOICES: dict[str, tuple[str, ...]] = {
    "when": ("before", "after"),
    "how": ("broken", "clean", "close-delimited", "reset"),
    "part": ("headers", "body", "all"),
    "retry_after_as": ("seconds", "date"),
    "file": tuple(PRETENDERS),
}
FILE_OPERATIONS = ("retrieve", "audio", "recording")
ONLY_FOR: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(FILE_KINDS, FILE_OPERATIONS),
    **dict.fromkeys(ZIP_KINDS, ("retrieve",)),
    **dict.fromkeys(JOB_KINDS, ("export", "on_demand_export")),
    **dict.fromkeys(STATUS_KINDS, ("job", "jobs")),
    **dict.fromkeys(REFUSAL_KINDS, ("call",)),
    **dict.fromkeys(NOTIFICATION_KINDS, NOTIFICATIONS),
    "early": ("RecordCompleted",),
    "foreign_host": ("RecordCompleted",),
}


@dataclass
class Rule:
    """One misbehaviour. `times` None means always; the first `skip` requests are spared."""

    number: int
    operation: str
    kind: str
    times: int | None
    skip: int
    account: str | None
    parameters: dict[str, Any] = field(default_factory=dict)

    def meets(self, operations: Collection[str], account: str | None) -> bool:
        if self.operation != "*" and self.operation not in operations:
            return False
        return self.account is None or self.account == account


class Rules:
    """The misbehaviours still to come, in the order in which they were asked for.

    Rules of one kind follow each other; rules of different kinds meet in one request.
    """

    def __init__(self, operations: Collection[str]) -> None:
        self._operations = operations
        self._rules: list[Rule] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(
        self,
        operation: str,
        kind: str,
        *,
        times: int | None = 1,
        skip: int = 0,
        account: str | None = None,
        **parameters: Any,
    ) -> int:
        """Adds a rule and returns its number; ValueError where the wish is not understood."""
        self._check(operation, kind, parameters)
        with self._lock:
            rule = Rule(next(self._numbers), operation, kind, times, skip, account)
            rule.parameters = {**KINDS[kind], **parameters}
            self._rules.append(rule)
        return rule.number

    def _check(self, operation: str, kind: str, parameters: Mapping[str, Any]) -> None:
        if operation != "*" and operation not in self._operations:
            raise ValueError(f"no operation {operation!r}; there are {sorted(self._operations)}")
        if kind not in KINDS:
            raise ValueError(f"no kind {kind!r}; there are {sorted(KINDS)}")
        if unknown := sorted(set(parameters) - set(KINDS[kind])):
            raise ValueError(f"{kind} takes {sorted(KINDS[kind])}, not {unknown}")
        if kind in ONLY_FOR and operation not in ONLY_FOR[kind]:
            raise ValueError(f"{kind} is for {sorted(ONLY_FOR[kind])}, not {operation}")
        for name, choices in CHOICES.items():
            if name in parameters and parameters[name] not in choices:
                raise ValueError(f"{name} is one of {choices}, not {parameters[name]!r}")

    def take(
        self, operations: Collection[str], account: str | None, kinds: Collection[str]
    ) -> dict[str, dict[str, Any]]:
        """The rules this request meets, by kind, each counted down."""
        taken: dict[str, dict[str, Any]] = {}
        with self._lock:
            for rule in list(self._rules):
                if rule.kind not in kinds or rule.kind in taken:
                    continue
                if not rule.meets(operations, account):
                    continue
                if rule.skip > 0:
                    rule.skip -= 1
                    continue
                taken[rule.kind] = rule.parameters
                self._count_down(rule)
        return taken

    def _count_down(self, rule: Rule) -> None:
        if rule.times is None:
            return
        rule.times -= 1
        if rule.times <= 0:
            self._rules.remove(rule)

    def clear(self, operation: str | None = None) -> None:
        """Forgets every rule, or those of one operation."""
        with self._lock:
            self._rules = [r for r in self._rules if operation not in (None, r.operation)]

    def pending(self) -> list[dict[str, Any]]:
        """The rules that have not been used up."""
        with self._lock:
            return [dict(vars(rule)) for rule in self._rules]
