"""A ledger's database of another encoding than UTF8: PostgreSQL makes one where nobody says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ledger.errors import Unsuitable
from ledger.ledger import Ledger

from .deployment import Deployment, account_toml
from .servers import Postgres
from .waiting import eventually

CALLS = {
    "provider": "gsmblockchain",
    "username": "myuser",
    "password": "sesame-open",
    "timezone": "Europe/Madrid",
    "max_calls_per_day": 5,
    "max_seconds_per_call": 60,
    "countries": ["ES"],
}


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_another_encoding_is_refused_in_a_sentence(postgres: Postgres, encoding: str) -> None:
    """Whatever first asks the ledger is told which database it is, that nothing was changed, and
    the command that makes a right one.
    """
    with postgres.database(encoding) as url:
        ledger = Ledger(url)
        for use in (ledger.identity.prepare, ledger.identity.version, ledger.database.time):
            with pytest.raises(Unsuitable) as refused:
                use()
            said = str(refused.value)
            assert f"encoding {encoding}, but a ledger needs UTF8; nothing was changed" in said
            assert "createdb --encoding=UTF8 --template=template0" in said
        ledger.close()


def test_a_worker_does_not_start_and_doctor_says_why(
    deploy: Callable[..., Deployment], postgres: Postgres
) -> None:
    """A worker, ``doctor`` and every other command end with that sentence, and no traceback."""
    with postgres.database("SQL_ASCII") as url:
        house = deploy(account_toml("legal", CALLS), ledger_url=url)
        for command in ("doctor", "status", "migrate"):
            done = house.run(command)
            assert done.returncode == 1, command
            assert "a ledger needs UTF8" in done.stdout + done.stderr
            assert "Traceback" not in done.stderr
        worker = house.worker(ready=False)
        eventually(lambda: not worker.alive, what="the worker did not end")
        assert "earwitness: the ledger's database" in worker.log()
        assert "Traceback" not in worker.log()
