"""A house that places certified calls, as several files of tests need it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import Celery

from ledger.core.job import Job, job_id

from .deployment import Deployment, account_toml
from .result_schemas import checked
from .simulators import Simulators
from .waiting import eventually

#: What a call is asked with, unless a test says otherwise.
ASKED = {
    "account": "legal",
    "country": "ES",
    "phone": "660111222",
    "max_seconds": 120,
    "company_name": "MyCompany",
    "company_id": "A4562154",
}


@dataclass
class CallHouse:
    """A deployment with the account ``legal``, and its platform."""

    house: Deployment
    platform: Any

    def ask(self, app: Celery, request_id: str, **given: Any) -> Any:
        """Ask for a call as another application would; its AsyncResult."""
        options = {key: given.pop(key) for key in ("task_id", "expires") if key in given}
        return app.send_task(
            "earwitness.certified_call.request",
            kwargs={**ASKED, "request_id": request_id, **given},
            queue="earwitness",
            result_cls=checked(app, "earwitness.certified_call.request"),
            **options,
        )

    def placed(self) -> int:
        """How many calls the platform has counted."""
        return len(self.platform.calls())

    def job(self, request_id: str) -> Job | None:
        """The call's job, or None while there is none."""
        found = self.house.ledger.jobs.named(
            job_id("legal", "earwitness.certified_call.request", request_id)
        )
        return found[0] if found else None

    def in_state(self, request_id: str, *states: str, within: float = 60) -> Job:
        """The call's job once it is in one of these states."""

        def look() -> Job | None:
            job = self.job(request_id)
            return job if job is not None and job.state in states else None

        return eventually(
            look, within=within, what=f"{request_id} was not {states}, but {self.job(request_id)}"
        )

    def receipts(self) -> list[dict[str, Any]]:
        """Every receipt in the archive; of one call, the first comes first."""
        store = self.house.store
        paths = sorted(store.paths("legal/certified-calls"), key=lambda path: (len(path), path))
        return [json.loads(store.read(path)) for path in paths]


def call_house(
    deploy: Callable[..., Deployment], simulators: Simulators, **given: Any
) -> CallHouse:
    """A house with one account for certified calls; ``given`` are fields of the account, and
    ``settings`` and ``ledger_url`` of the deployment.
    """
    options = {key: given.pop(key) for key in ("settings", "ledger_url") if key in given}
    platform = simulators.gsmblockchain.account()
    fields = {**platform.configuration(), "timeout_seconds": 10, **given}
    return CallHouse(deploy(account_toml("legal", fields), **options), platform)
