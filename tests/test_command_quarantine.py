"""``quarantine``: begun and lifted by a person, and said wherever people look."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from .deployment import Deployment, account_toml
from .simulators import Simulators

WHO = ("--by", "ana", "--note", "restored the copy of 02:00")


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> Deployment:
    """A deployment without a worker, with a ledger of its own."""
    made = deploy(account_toml("legal", simulators.gsmblockchain.account().configuration()))
    made.ledger.identity.prepare()
    return made


def test_it_is_begun_shown_and_lifted(house: Deployment) -> None:
    """``status`` and ``doctor`` say so and what to do; the ledger's history says who and why."""
    assert "is not in quarantine" in house.run("quarantine").stdout
    begun = house.run("quarantine", "--begin", *WHO)
    assert (begun.returncode, "IN QUARANTINE" in begun.stdout) == (0, True)
    assert json.loads(house.run("quarantine", "--json").stdout)["quarantined"] is True
    assert "quarantine --lift --by WHO --note WHY" in house.run("status").stdout
    found = json.loads(house.run("doctor", "--json").stdout)
    (said,) = [one for one in found if one["subject"] == "quarantine"]
    assert (said["level"], "quarantine --lift" in said["advice"]) == ("warning", True)
    lifted = house.run("quarantine", "--lift", *WHO)
    assert (lifted.returncode, "is not in quarantine" in lifted.stdout) == (0, True)
    history = house.ledger.jobs.history(house.ledger.identity.identity())
    assert [(one["to"], one["by"], one["why"]) for one in history] == [
        ("quarantined", "ana", "restored the copy of 02:00"),
        ("open", "ana", "restored the copy of 02:00"),
    ]


def test_it_is_whole_or_refused(house: Deployment) -> None:
    """Who and why are asked for, and one of the two changes; else nothing is changed."""
    for asked, said in (
        (("--begin",), "--by and --note"),
        (("--lift", "--by", "ana"), "--by and --note"),
        (("--begin", "--lift", *WHO), "either --begin or --lift"),
        (("--begin", "--by", " ", "--note", "x"), "--by"),
    ):
        refused = house.run("quarantine", *asked)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
        assert said in refused.stderr
    assert not house.ledger.identity.quarantined()
