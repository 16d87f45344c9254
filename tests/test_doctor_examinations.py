"""An examination of `doctor` that fails in the middle: what it found, why it failed, what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis.exceptions import AuthenticationError

from archive.errors import Damaged, StoreAway
from ledger.errors import LedgerAway
from worker.commands.doctor.examination import Examination
from worker.commands.doctor.findings import Finding, ok

FAILURES = {
    "check EARWITNESS_LEDGER_URL and its server": LedgerAway("the ledger cannot be reached"),
    "check EARWITNESS_ARCHIVE_URL and its storage": StoreAway("the bucket", "no answer"),
    "check EARWITNESS_ARCHIVE_URL and": Damaged("receipts/1.json", "cannot be read"),
    "EARWITNESS_REDIS_URL": AuthenticationError("invalid username-password pair"),
    "as a user who may read and write": PermissionError(13, "Permission denied"),
    "check the disks and the network": OSError(5, "Input/output error"),
    "report it as a fault of Earwitness": KeyError("day"),
}


@pytest.mark.parametrize("advice", FAILURES)
def test_a_failed_examination_names_its_cause_and_what_to_do(advice: str) -> None:
    """What was found before stands; the failure is an error of the same subject."""

    def examine(_alive: object) -> Iterator[Finding]:
        yield ok("jobs", "no call awaits a decision")
        raise FAILURES[advice]

    first, last = Examination("jobs", examine).findings()
    assert first == ok("jobs", "no call awaits a decision")
    assert (last.level, last.subject) == ("error", "jobs")
    assert last.meaning.startswith("the check did not finish: ")
    assert advice in (last.advice or "")
