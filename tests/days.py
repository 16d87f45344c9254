"""Days asked for at once, for tests of what they outlive: some wait, one transfers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from celery import Celery

from archive.verify.verification import verify
from ledger.core import states
from ledger.core.job import Job

from .deployment import Deployment, account_toml, zip_is_whole
from .simulators import Simulators
from .waiting import eventually

MB = 1_000_000
FIRST = date(2026, 11, 10)
ZONE = "Asia/Kolkata"
_NEVER = 1_000_000


class Days:
    """Three days of an account whose exports are not ready until ``release``, and one day of
    another, whose ZIP of ``size`` bytes comes slowly, within ``seconds``, until ``hurry``.
    """

    def __init__(
        self,
        deploy: Callable[..., Deployment],
        simulators: Simulators,
        *,
        size: int = 6 * MB,
        seconds: float = 60,
        **options: Any,
    ) -> None:
        self.log = simulators
        self.size = size
        self.waiting = simulators.vonage.account(username="waiting@vbc.prod")
        self.waiting.configure(ready_after_polls=_NEVER)
        self.moving = simulators.vonage.account(username="moving@vbc.prod")
        self.moving.configure(ready_after_polls=0, bytes_per_second=round(size / seconds))
        self.moving.seed(FIRST, ZONE, 4, size_bytes=size // 4)
        self.asked = [("moving", FIRST)]
        for n in range(3):
            self.waiting.seed(FIRST + timedelta(days=n), ZONE, 3)
            self.asked.append(("waiting", FIRST + timedelta(days=n)))
        accounts = "\n".join(
            account_toml(alias, account.configuration(), {"catchup_days": 1})
            for alias, account in (("waiting", self.waiting), ("moving", self.moving))
        )
        self.house = deploy(accounts, **options)

    def ask(self, app: Celery) -> list[Any]:
        """Ask for every day, and return once three wait at the provider and one transfers."""
        results = [
            self.house.send(app, "export.run", account=alias, day=day.isoformat())
            for alias, day in self.asked
        ]
        eventually(lambda: len(self.log.log.exports()) == 4, what="not every export was created")
        eventually(lambda: len(self.not_ready()) == 3, what="three days do not wait")
        self.until_held(0.03)
        return results

    def not_ready(self) -> set[str]:
        """The provider's ids of the exports that were polled in vain."""
        return {one["job_id"] for one in self.log.log.retrieves() if not one.get("file")}

    def held(self) -> int:
        """How many bytes of the slow ZIP lie on disk."""
        return max((path.stat().st_size for path in self.house.spool.glob("zip-*.part")), default=0)

    def until_held(self, share: float) -> None:
        """Wait until this share of the slow ZIP lies on disk; it is not over yet."""
        eventually(lambda: self.held() >= share * self.size, what=f"{share:.0%} did not come")
        assert not self.runs("moving")[0].ended, "it was over too soon"

    def transferred(self) -> bool:
        """Whether the slow ZIP was taken into the archive."""
        (run,) = self.runs("moving")
        return all(part.ended for part in self.house.ledger.jobs.parts(run.job_id))

    def transfers(self) -> list[Any]:
        """Every answer that carried bytes of the slow ZIP, as the provider saw it."""
        (export,) = self.log.log.exports("moving@vbc.prod")
        return list(self.log.log.transfers(export["job_ids"][0]))

    def release(self) -> None:
        """The provider has every export ready from now on, and what is slow comes fast."""
        self.waiting.configure(ready_after_polls=0)
        self.hurry()

    def hurry(self) -> None:
        """The rest of the slow ZIP comes at once."""
        self.moving.configure(bytes_per_second=None)

    def runs(self, alias: str | None = None) -> list[Job]:
        """The days' own jobs."""
        jobs = self.house.ledger.jobs.jobs(kind="export.run")
        return [job for job in jobs if alias in (None, job.account)]

    def archived(self, within: float = 60) -> None:
        """Wait until every day is archived; then look at what lies on disk, and count the exports
        at the provider: one for each day's window.
        """

        def all_ended() -> bool:
            runs = self.runs()
            return len(runs) == len(self.asked) and all(run.ended for run in runs)

        eventually(all_ended, within=within, what="not every day ended")
        assert {(run.state, run.reason) for run in self.runs()} == {(states.DONE, None)}
        assert {(run.account, run.parameters["day"]) for run in self.runs()} == {
            (alias, day.isoformat()) for alias, day in self.asked
        }
        eventually(lambda: not self.house.ledger.outbox.waiting(), what="something is owed")
        self._on_disk()
        windows = [(one["account"], *one["window"]) for one in self.log.log.exports()]
        assert len(windows) == len(set(windows)) == len(self.asked)

    def _on_disk(self) -> None:
        zips = sorted(self.house.archive.rglob("*.zip"))
        assert len(zips) == len(self.asked)
        assert all(zip_is_whole(path) for path in zips)
        report = verify(self.house.store)
        assert (report.problems, report.notes) == ([], [])
        counts = sorted((run.result or {})["archived"] for run in self.runs())
        assert counts == sorted(4 if alias == "moving" else 3 for alias, _ in self.asked)
