"""What happens between the modules: answers that are lost, looks that cross, disks that fill up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from archive import paths
from archive.errors import NoSpace
from archive.reconciliation import Reconciliation
from archive.store.directory import Stored
from ledger.core.schema import jobs, obligations

from .archives import Builder, age, audio, recording, zipped
from .deployment import Deployment, account_toml
from .disks import small_disk
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .test_deletions import ago
from .test_nights import DAY as A_DAY
from .test_nights import manifests, planner, settled
from .test_tasks import DAY, House, opened
from .waiting import eventually

Deploy = Callable[..., Deployment]


def test_a_deletion_whose_answer_was_lost_is_known_as_done(
    deploy: Deploy, simulators: Simulators
) -> None:
    """The provider deletes the recording and its answer is lost: sent again, it is gone, and that
    is what was wanted; the job is done and names its proof.
    """
    with opened(deploy, simulators, allow_delete=True) as house:
        house.ask("recording.download", recording_id=house.ids[0])
        eventually(lambda: not house.house.ledger.outbox.waiting())
        house.account.fault("delete", "reset", times=1, when="after")
        ended = house.ask("recording.delete", recording_id=house.ids[0])
        assert isinstance(ended, dict), ended
        assert ended["archived_as"].endswith(f"{house.ids[0]}.json")
        assert len(simulators.log.effects("recording_deleted")) == 1


def test_what_a_last_look_found_is_deleted_as_well(
    deploy: Deploy, simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day was deleted at the provider, and a later look archives one more of its recordings: that
    is deleted too when its time has come.
    """
    day = YESTERDAY - A_DAY
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.seed(day, ZONE, 2)
    account.configure(ready_after_polls=0)
    accounts = account_toml(
        "india",
        {**account.configuration(), "allow_delete": True},
        {"timezone": ZONE, "catchup_days": 2, "delete_after_days": 1},
    )
    house = deploy(accounts)
    house.worker()

    def deletions() -> list[str]:
        return [job.state for job in house.ledger.jobs.jobs(kind="recording.delete")]

    with planner(house, monkeypatch) as plan:
        plan(day)
        settled(house, "india", day, "complete")
        eventually(lambda: not house.ledger.outbox.waiting())
        ago(house, 3)
        plan(day)
        eventually(lambda: deletions() == ["done"], what="the day was not deleted")
        late = account.add({"start": f"{day}T06:00:00+00:00"})
        plan(day + A_DAY)
        eventually(lambda: len(manifests(house, "india", day)) == 2)
        settled(house, "india", day, "complete")
        eventually(lambda: not house.ledger.outbox.waiting())
        ago(house, 5)
        plan(day + A_DAY)
        plan(day + A_DAY)
        eventually(lambda: deletions() == ["done"] * 2, what="the late one is still there")
    deleted = simulators.log.effects("recording_deleted")
    assert str(late["id"]) in {str(effect["recording_id"]) for effect in deleted}


def test_a_verification_waits_for_what_is_owed_to_the_chain(
    deploy: Deploy, simulators: Simulators
) -> None:
    """A file that was written a moment ago, whose entry in the chain is still owed, is no damage:
    the verification looks again when it was discharged. What nobody owes is told.
    """
    with opened(deploy, simulators) as house:
        house.ask("recording.download", recording_id=house.ids[0])
        eventually(lambda: not house.house.ledger.outbox.waiting())
        owed, forgotten = _receipt(house, "owed"), _receipt(house, "forgotten")
        age(house.house.store)
        job = house.house.ledger.jobs.jobs()[0]
        entry = {"path": owed.path, "sha256": owed.sha256}
        house.house.ledger.outbox.owe(job.job_id, "india", "chain", entry)
        with house.house.ledger.database.engine.begin() as connection:
            later = {"due_at": obligations.c.due_at + 3}
            changed = update(obligations).where(obligations.c.discharged_at.is_(None))
            # Where the sweeper was quicker, the test says nothing, and passes.
            connection.execute(changed.values(**later))
        failed = house.send("archive.verify").get(timeout=30, propagate=False)
        assert f"{forgotten.path}: is not covered by the chain" in str(failed)
        assert owed.path not in str(failed)


def _receipt(house: House, name: str) -> Stored:
    path = paths.receipt_path("india", DAY, name, 1)
    return house.house.store.create(path, name.encode())


def test_a_zip_that_is_archived_is_not_fetched_again_to_seal_it(
    deploy: Deploy, simulators: Simulators
) -> None:
    """A worker dies between the ZIP and its manifest, and the provider has thrown the export away
    since: whoever takes over seals the ZIP that lies in the archive.
    """
    with opened(deploy, simulators) as house:
        (provider_job_id,) = house.ask("export.create", filters={})["provider_job_ids"]
        kept = house.ask("export.retrieve", provider_job_id=provider_job_id)
        folder = (house.house.archive / kept["path"]).parent
        sealed = {path.name: path.read_bytes() for path in folder.iterdir()}
        for name in ("manifest.json", "recordings.jsonl"):
            (folder / name).unlink()
        house.account.expire_job(provider_job_id)
        again = {"state": "waiting", "next_attempt_at": 0, "result": None, "hinted_at": None}
        with house.house.ledger.database.engine.begin() as connection:
            mine = update(jobs).where(jobs.c.job_id == kept["job_id"])
            connection.execute(mine.values(**again))
        job = eventually(
            lambda: found if (found := house.house.ledger.jobs.job(kept["job_id"])).ended else None
        )
        assert job.state == "done", job.reason
        assert {"job_id": job.job_id, **(job.result or {})} == kept
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == sealed


def test_a_disk_that_is_full_while_a_run_is_compared_is_no_surprise(tmp_path: Path) -> None:
    """The list of a large run does not fit on the spool's disk any more: that is said as such, so
    that the run waits for room and does not fail as something unforeseen.
    """

    def compare(scratch: Path) -> None:
        with Reconciliation(scratch) as reconciliation:
            reconciliation.start_pass()
            for number in range(40_000):
                reconciliation.listed(recording(number))

    with small_disk(tmp_path, mebibytes=6) as disk, pytest.raises(NoSpace, match="disk is full"):
        compare(disk / "scratch")


def test_an_argument_called_self_is_refused_like_any_other(
    deploy: Deploy, simulators: Simulators
) -> None:
    """No name of an argument reaches Python's own calls: it is refused as one that nobody knows."""
    with opened(deploy, simulators) as house:
        for task in ("recording.list", "recording.download"):
            for name in ("self", "_task"):
                asked = house.app.send_task(
                    f"earwitness.{task}", kwargs={"account": "india", name: "x"}, queue="earwitness"
                )
                refused = asked.get(timeout=30, propagate=False)
                assert type(refused).__name__ == "InvalidArgument", refused


def test_a_gap_of_several_days_lies_under_its_own_day(
    deploy: Deploy, simulators: Simulators
) -> None:
    """What an export of several days fetches singly lies under the local day of its start, where a
    download, a search by days and a proof look for it; it is not fetched once more.
    """
    with opened(deploy, simulators, allow_delete=True) as house:
        house.account.withhold(house.ids[0])
        span = {"start:gte": f"{DAY - 2 * A_DAY}T00:00:00Z", "start:lte": f"{DAY}T23:59:59Z"}
        run = house.ask("export.run", filters=span)
        assert run["missing"] == 0
        (audio,) = house.house.archive.rglob(f"{house.ids[0]}.mp3")
        assert f"{DAY:%Y/%m/%d}" in str(audio)
        single = house.ask("recording.download", recording_id=house.ids[0])
        assert (house.house.archive / single["path"]) == audio


def test_a_rebuild_in_the_middle_of_an_export_knows_no_download_of_it(
    deploy: Deploy, simulators: Simulators
) -> None:
    """The ledger is lost while an export by filters fetches its gaps: a rebuilt one takes them for
    no download, so that the same request can be sent again and is carried out.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    house = deploy(account_toml("india", account.configuration(), {}))
    builder = Builder(house.folder)
    builder.identity()
    _, metadata = builder.single("india", recording(1))
    run = json.loads(builder.store.read(metadata.path))["job_id"]
    data = zipped([("730048.2.mp3", audio(2))])
    folder = paths.export_folder("india", DAY, run)
    builder.keep(paths.part_path(folder, "p1", hashlib.sha256(data).hexdigest()), data)
    done = house.run("rebuild", "--json")
    assert done.stdout, done.stderr
    assert house.ledger.jobs.jobs() == []
