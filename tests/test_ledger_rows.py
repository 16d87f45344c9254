"""The rows that the steps of jobs write: the same on either database, and the same as ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ledger.ledger import Ledger

from .ledger_cases import CASES, rows

KNOWN = Path(__file__).parent / "samples" / "ledger_rows.json"


def test_every_step_writes_the_rows_it_always_wrote(open_ledger: Callable[..., Ledger]) -> None:
    """Row by row and column by column: other releases read these tables too."""
    # No lease may be renewed meanwhile, however slow the machine is.
    ledger = open_ledger(lease_seconds=3000)
    for case in CASES:
        case(ledger)
    known = json.loads(KNOWN.read_text())
    found = json.loads(json.dumps(rows(ledger)))
    assert sorted(found) == sorted(known)
    for table, expected in known.items():
        assert found[table] == expected, table
