"""``rebuild`` from archives of other times and other hands: it takes what can be believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from archive import paths
from archive.store.directory import DirectoryStore
from ledger.core.job import job_id
from ledger.days import Day
from ledger.ledger import Ledger

from .archive_kinds import reseal
from .archives import DAY, Builder, age, audio, recording, zipped
from .deployment import Deployment, account_toml
from .hostile_archives import DEEP, GIB, put, sparse
from .simulators import Simulators

Deploy = Callable[..., Deployment]


class Lost:
    """An archive of one account and two days, whose ledger is gone."""

    def __init__(self, deploy: Deploy, simulators: Simulators, timezone: str) -> None:
        account = simulators.vonage.account()
        nightly = {"catchup_days": 1, "timezone": timezone}
        self.house = deploy(account_toml("india", account.configuration(), nightly))
        self.builder = Builder(self.house.folder)
        self.builder.identity()
        self.days = [DAY, DAY + timedelta(days=1)]
        self.manifests = [self.export(day) for day in self.days]

    def export(self, day: date, *, chained: bool = True) -> str:
        """A complete day with one recording; the path of its manifest."""
        known = job_id("india", "earwitness.export.run", f"day:{day}#1")
        part = zipped([(f"730048.{day.day}.mp3", audio(day.day))])
        sealed = self.builder.export(
            "india", known, [recording(day.day)], {"p": part}, day=day, chained=chained
        )
        return str(sealed["path"])

    @property
    def store(self) -> DirectoryStore:
        """The archive."""
        assert isinstance(self.builder.store, DirectoryStore)
        return self.builder.store

    def rebuilt(self) -> tuple[dict[str, Any], list[Day]]:
        """What the command says, and the days that were exported."""
        done = self.house.run("rebuild", "--json")
        assert done.stdout, done.stderr
        assert "Traceback" not in done.stderr
        ledger = Ledger(self.house.ledger_url)
        try:
            return json.loads(done.stdout), [
                day for day in ledger.days.of("india") if day.generation
            ]
        finally:
            ledger.close()


def test_a_day_keeps_the_time_zone_that_its_manifest_names(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Whatever is configured now; a manifest of an older version, and one that names no zone on
    earth, have the configured one.
    """
    lost = Lost(deploy, simulators, "Europe/Madrid")
    third = DAY + timedelta(days=2)
    lost.manifests.append(lost.export(third))
    reseal(lost.store, lost.manifests[1], lambda content, _: content.pop("timezone") and None)
    reseal(lost.store, lost.manifests[2], lambda content, _: content.update(timezone="Mars/../x"))
    told, days = lost.rebuilt()

    assert told["not_taken"] == {}
    assert [day.timezone for day in days] == ["Asia/Kolkata", "Europe/Madrid", "Europe/Madrid"]


def test_a_hostile_archive_ends_no_rebuild(deploy: Deploy, simulators: Simulators) -> None:
    """Each file that cannot be read is named, and the rest is taken; no centuries of days open."""
    lost = Lost(deploy, simulators, "Asia/Kolkata")
    receipt = "india/certified-calls/2026/11/x.json"
    metadata = "india/recordings/2026/11/20/x.json"
    manifests = [
        paths.manifest_path(paths.export_folder("india", day, "x"))
        for day in (date(2026, 1, 1), date(1, 1, 1), date(9999, 12, 31))
    ]
    sparse(receipt, 20 * GIB)(lost.store)
    put(lost.store, metadata, b'{"path": ' + DEEP)
    for path in manifests:
        put(lost.store, path, DEEP)
    far = lost.export(date(9999, 12, 30), chained=False)
    told, days = lost.rebuilt()

    assert {receipt, metadata, *manifests, far} <= set(told["not_taken"]) | set(told["uncovered"])
    assert [day.day for day in days if day.state == "complete"][:2] == lost.days
    assert len(days) < 10


def test_what_nothing_vouches_for_makes_no_day_incomplete(
    deploy: Deploy, simulators: Simulators
) -> None:
    """A ZIP that a run left before it died, young or old, says nothing against the day's other
    export; a manifest that was not yet under the chain is taken and owed.
    """
    lost = Lost(deploy, simulators, "Asia/Kolkata")
    third = lost.export(DAY + timedelta(days=2), chained=False)
    folder = paths.export_folder("india", DAY, "gone")
    data = zipped([("a.mp3", b"a")])
    stored = lost.builder.keep(f"scratch/{'1' * 16}.zip", data)
    lost.builder.keep(paths.part_path(folder, "p", stored.sha256), data)
    age(lost.store)
    (lost.store.root / third).touch()
    told, days = lost.rebuilt()

    assert told["uncovered"] == [third]
    assert told["not_taken"] == {}
    assert [day.state for day in days] == ["complete"] * 3
