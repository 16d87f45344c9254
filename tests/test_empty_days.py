"""A day without a recording is archived as whole as any other, though its list is an empty file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ledger.core import states

from .deployment import Deployment
from .simulators import Simulators
from .vouched_house import FIRST, VouchedHouse

Deploy = Callable[..., Deployment]

EMPTY = FIRST + timedelta(days=1)
SPAN = ("--account", "india", "--from", str(EMPTY), "--to", str(EMPTY))
FOLDER = f"india/exports/{EMPTY:%Y/%m/%d}/*"


def test_a_day_without_a_recording_is_not_damaged(deploy: Deploy, simulators: Simulators) -> None:
    """Every command calls it complete, and nothing exports it again; without its list it is
    damaged, as any other day.
    """
    vouched = VouchedHouse(deploy, simulators)
    house = vouched.house
    with house.producer() as app:
        vouched.begin(app)
        assert vouched.export(app, EMPTY)["listed"] == 0
        vouched.owes_nothing()
        (list_of_it,) = vouched.root.glob(f"{FOLDER}/recordings.jsonl")
        assert list_of_it.read_bytes() == b""

        assert vouched.coverage()[1][str(EMPTY)] == "complete"
        assert vouched.doctor() == []
        assert house.run("archive").returncode == 0
        assert house.run("export", *SPAN, "--wait").returncode == 0
        vouched.export(app, EMPTY)
        assert (vouched.day(EMPTY).state, vouched.day(EMPTY).generation) == (states.DAY_COMPLETE, 1)
        assert vouched.open_causes() == []

        list_of_it.unlink()
        assert vouched.coverage()[1][str(EMPTY)] == "damaged"
        assert vouched.export(app, EMPTY)["listed"] == 0
        assert vouched.day(EMPTY).generation == 2
