"""A house whose calls are going on at a VoipNow server, as several files of tests need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import Celery

from ledger.core.job import Job, job_id

from .deployment import Deployment, account_toml
from .simulators import Simulators
from .simulators.voipnow_door import AppDoor


@dataclass
class LiveHouse:
    """A deployment with an account at VoipNow, and its App at the server."""

    house: Deployment
    app: AppDoor
    alias: str = "pbx"

    def send(self, caller: Celery, task: str, **given: Any) -> Any:
        """Ask for something of the account as another application would; its AsyncResult."""
        return self.house.send(caller, task, **{"account": self.alias, **given})

    def start(self, caller: Celery, call: dict[str, Any], **given: Any) -> Any:
        """Ask for a call's recording; its AsyncResult."""
        return self.send(caller, "recording.start", call_id=call["id"], **given)

    def job(self, request_id: str, kind: str = "recording.start") -> Job | None:
        """The job of a request, or None while there is none."""
        name = job_id(self.alias, f"earwitness.{kind}", request_id)
        found = self.house.ledger.jobs.named(name)
        return found[0] if found else None

    def outcomes(self) -> list[str]:
        """What came of every start and stop that reached the server."""
        return [one["outcome"] for one in self.app.actions()]

    def recorded(self) -> list[str]:
        """The views that are being recorded."""
        return [
            view["id"]
            for call in self.app.calls()
            for view in call["phoneCallView"]
            if "recording" in view
        ]


def live_house(
    deploy: Callable[..., Deployment], simulators: Simulators, **given: Any
) -> LiveHouse:
    """A house with one account at VoipNow; ``given`` are its fields."""
    app = simulators.voipnow.account()
    fields = {**app.configuration(), "timeout_seconds": 10, **given}
    return LiveHouse(deploy(account_toml("pbx", fields)), app)
