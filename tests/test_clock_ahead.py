"""The machine's clock was an hour ahead until the worker started anew: nothing waits for that hour,
and ``doctor`` says what it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from celery import Celery
from celery.beat import PersistentScheduler

from ledger.core import states
from ledger.core.schema import jobs, obligations, waiters

from .certified_calls import call_house
from .deployment import Deployment
from .ledgers import pass_time
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

HOUR = 3_600.0
#: What beat sends (config/celery.py).
TIMETABLE = ("nightly.plan", "archive.verify")


def the_clock_was_ahead(house: Deployment) -> None:
    """Move everything that was written into the future."""
    times = ("lease_until", "next_attempt_at", "hinted_at", "created_at", "updated_at", "not_after")
    columns = [jobs.c[name] for name in times]
    for column in (*columns, waiters.c.due_at, obligations.c.due_at, obligations.c.created_at):
        pass_time(house.ledger, -HOUR, column)


def test_calls_of_the_wrong_hour_end_as_they_should(deploy: Deploy, simulators: Simulators) -> None:
    """One was being sent when its worker was killed, one waits: the first needs a decision, the
    second is placed, and doctor has named both before a worker ran.
    """
    calling = call_house(deploy, simulators, timeout_seconds=30, settings={"LEASE_SECONDS": "4"})
    house = calling.house
    house.ledger.accounts.postpone("legal", 600, "the test wants it so")
    worker = house.worker("first")
    with house.producer() as app:
        waits = calling.ask(app, "waits")
        calling.in_state("waits", states.WAITING)
        house.ledger.accounts.resume("legal")
        calling.platform.fault("call", "hang", seconds=20.0, when="before")
        calling.ask(app, "sent")
        calling.in_state("sent", states.SENDING)
        worker.kill()
        the_clock_was_ahead(house)
        said = {
            one["subject"]: one["meaning"]
            for one in json.loads(house.run("doctor", "--json").stdout)
        }
        sent = calling.job("sent")
        assert sent is not None
        assert f"the lease of job {sent.job_id} by 3" in said["clock"]
        second = house.worker("second")
        calling.in_state("sent", states.NEEDS_DECISION)
        assert waits.get(timeout=60)["state"] == "done"
    assert "a clock was ahead" in second.log()
    after = house.run("doctor", "--json").stdout
    assert {one["level"] for one in json.loads(after) if one["subject"] == "clock"} == {"ok"}


def test_beat_does_not_wait_for_an_hour_that_it_has_seen_before(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Its file says that everything ran in the future: it counts from now, and says so."""
    house = call_house(deploy, simulators).house
    file = house.folder / "beat.schedule"
    with Celery("beat", set_as_current=False) as app:
        app.conf.beat_schedule = {name: {"task": name, "schedule": 300.0} for name in TIMETABLE}
        kept = PersistentScheduler(app, schedule_filename=str(file))
        before = datetime.now(UTC) + timedelta(hours=1)
        for entry in kept.schedule.values():
            entry.last_run_at = before
        kept.close()
    beat = house.beat()
    eventually(lambda: beat.log().count("the clock was ahead") == len(TIMETABLE))
    assert "in the future: the clock was ahead" in beat.log()
    beat.stop()
    assert beat.log().count("the clock was ahead") == len(TIMETABLE)
