"""The receiver of notifications loses nothing: Redis or the ledger away, ends that never come."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

import pytest

from ledger import recording_instructions as recorded
from ledger.core import states
from ledger.core.schema import instructions, jobs

from .deployment import Deployment
from .ledgers import pass_time
from .ozeki_house import OzekiHouse, ozeki_house
from .servers import Postgres
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

NOBODYS = "x" * 43


@pytest.fixture
def office(deploy: Deploy, simulators: Simulators) -> OzekiHouse:
    """A house with receiver and worker."""
    made = ozeki_house(deploy, simulators)
    made.hooks()
    made.house.worker()
    return made


def test_redis_is_gone(office: OzekiHouse) -> None:
    """The receiver needs no Redis: what it took while that was away is collected afterwards."""
    call_id = office.recorded()
    office.house.valkey.stop()
    office.pbx.end(call_id)
    assert office.notified("RecordCompleted")[0]["status"] == 200
    eventually(
        lambda: office.instruction().state == recorded.COMPLETED, what="the ledger was not told"
    )

    office.house.valkey.start()
    office.one_file()


def _told_quickly(office: OzekiHouse, url: str) -> None:
    """Ends are taken without the ledger being waited for, one of a token that nobody can judge
    now too.
    """
    told = {"NotificationName": "RecordCompleted", "RecordURL": f"{office.pbx.base_url}/x.mp3"}

    def quick() -> bool:
        begun = time.monotonic()
        assert office.post(url, told).status_code == 200
        return time.monotonic() - begun < 0.4  # a look into the ledger is given up after 0.5

    # The first may come before the receiver has noticed that the ledger is away.
    eventually(quick, within=60, what="it was never quick")


def test_sqlite_is_locked(office: OzekiHouse) -> None:
    """While somebody holds the ledger's lock, ends are taken quickly, kept on the disk over a kill
    of the receiver, and entered when the lock is gone.
    """
    call_id = office.recorded()
    path = office.house.folder / "ledger.sqlite3"
    lock = sqlite3.connect(path, isolation_level=None, timeout=20)
    lock.execute("BEGIN IMMEDIATE")
    try:
        office.pbx.end(call_id)
        assert office.notified("RecordCompleted")[0]["status"] == 200
        assert list((office.house.spool / "hooks").glob("*.json"))
        assert office.instruction().state == recorded.ANSWERED
        office.house.processes[0].kill()
        office.hooks("again")
    finally:
        lock.execute("ROLLBACK")
        lock.close()

    office.one_file()
    eventually(lambda: not list((office.house.spool / "hooks").glob("*")), what="files were left")


def test_ends_that_wait_for_the_ledger_are_entered_in_their_order(office: OzekiHouse) -> None:
    """Of several addresses that were reported for one recording, and that the next receiver finds,
    the first one counts.
    """
    office.recorded()
    url = office.completed_url(office.instruction().token)
    lock = sqlite3.connect(office.house.folder / "ledger.sqlite3", isolation_level=None, timeout=20)
    lock.execute("BEGIN IMMEDIATE")
    try:
        for number in range(8):
            told = {
                "NotificationName": "RecordCompleted",
                "RecordURL": f"{office.pbx.base_url}/{number}",
            }
            assert office.post(url, told).status_code == 200
        office.house.processes[0].kill()
    finally:
        lock.execute("ROLLBACK")
        lock.close()

    office.hooks("again")
    hooks = office.house.spool / "hooks"
    eventually(lambda: not list(hooks.glob("*")), what="ends were not entered")
    assert office.instruction().record_url == f"{office.pbx.base_url}/0"


@pytest.mark.parametrize("control", ["http", "ozml_third_party"])
def test_postgres_is_stopped(deploy: Deploy, simulators: Simulators, control: str) -> None:
    """With PostgreSQL stopped, notifications are answered from memory and ends are taken within
    milliseconds; both are entered after its return, and the recording is collected.
    """
    with Postgres() as server, server.database() as url:
        office = ozeki_house(deploy, simulators, control, ledger_url=url)
        office.hooks()
        office.house.worker()
        call_id = str(office.pbx.call())
        with office.house.producer() as app:
            asked = office.ask(app, call_id)
            if control == "http":
                assert asked.get(timeout=60)["collected"] is True
            token = office.armed().token
            _is_read(office)

            server.stop()
            if control != "http":
                office.pbx.change(call_id, "Hold")
                assert call_id in [one["call_id"] for one in office.pbx.recordings()]
            _told_quickly(office, office.completed_url(NOBODYS))
            office.pbx.end(call_id)
            assert office.notified("RecordCompleted")[0]["status"] == 200
            server.start()

            assert asked.get(timeout=60)["collected"] is True
        assert office.instruction().token == token
        office.one_file()
        eventually(
            lambda: "was not requested" in office.log("hooks"),
            what="the token of nobody was not judged",
        )
        office.house.close()


def _is_read(office: OzekiHouse) -> None:
    """What is armed in the ledger by now has been read by the receiver: so it has when an
    instruction that was armed later was given away.
    """
    if office.control == "http":
        return
    other = str(office.pbx.call())
    with office.house.producer() as app:
        office.ask(app, other, "later")
        office.armed("later")

        def given() -> bool:
            office.pbx.change(other, "Hold")
            return bool(office.pbx.recordings())

        eventually(given, what="nothing armed was ever read")
    office.pbx.end(other)
    office.collected("later")


def test_an_end_that_never_comes(office: OzekiHouse) -> None:
    """A RecordCompleted that is lost ends in a visible failure, ten minutes after the call is no
    longer listed, and not before.
    """
    call_id = office.recorded()
    office.pbx.fault("RecordCompleted", "lost")
    office.pbx.end(call_id)
    eventually(lambda: office.instruction().call_gone_at, what="nobody noticed the call's end")

    # A slow machine has half a minute for the looks before the ten minutes are over.
    pass_time(office.house.ledger, 570, instructions.c.call_gone_at)
    looks = office.collected("r1", states.WAITING).attempts
    eventually(
        lambda: (job := office.collect()) is not None and job.attempts > looks + 1,
        what="it was not looked at again",
    )
    assert office.collected("r1", states.WAITING)
    pass_time(office.house.ledger, 31, instructions.c.call_gone_at)
    failed = office.collected("r1", states.FAILED)
    assert failed.error is not None
    assert failed.error["type"] == "NotReady"
    assert "was not reported within ten minutes" in str(failed.reason)


def test_an_end_that_comes_too_late(office: OzekiHouse) -> None:
    """After collect_deadline_hours a collection fails though its call goes on. The end that is told
    afterwards is an alert, and a retry collects it.
    """
    call_id = office.recorded()
    eventually(lambda: (job := office.collect()) and job.attempts, what="it was not looked at")
    pass_time(office.house.ledger, 25 * 3600, jobs.c.created_at)
    failed = office.collected("r1", states.FAILED)
    assert "collect_deadline_hours" in str(failed.reason)

    office.pbx.end(call_id)
    eventually(
        lambda: "retry this job" in office.log("worker"),
        what="nobody was alerted",
    )
    retried = office.house.run("retry", failed.job_id, "--by", "ana", "--note", "told late")
    assert retried.returncode == 0, retried.stderr
    eventually(
        lambda: list(office.house.store.paths("office/recordings")), what="it was not collected"
    )
