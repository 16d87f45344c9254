"""The demo's live calls: every way to start a recording, and the resulting files."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.console import Console

from ledger.core import states
from ledger.core.job import Job
from ledger.ledger import Ledger

from .deployment import DemoDeployment, eventually

_PBX = "demo-app"
#: The Ozeki accounts and how their calls are controlled.
_CONTROLS = {
    "office": "http",
    "reception": "ozml_third_party",
    "hotline": "ozml_extension",
}


class LiveCalls:
    """Live calls at the deployment's simulated telephone systems."""

    def __init__(self, deployment: DemoDeployment, console: Console) -> None:
        self._deployment = deployment
        self._console = console

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Make an account at VoipNow, and one at Ozeki for each way of control."""
        app = self._deployment.simulator("voipnow", "account", client_id=_PBX)
        address = self._deployment.simulator("voipnow", "addresses")["base_url"]
        secrets = {name: app[name] for name in ("client_id", "client_secret")}
        voipnow = {"provider": "voipnow", "base_url": address, **secrets}
        ozeki = {alias: self._ozeki(alias, control) for alias, control in _CONTROLS.items()}
        return {"pbx": voipnow, **ozeki}

    def record(self, ledger: Ledger) -> int:
        """Record one call in every way and show the files; return the exit status."""
        call = self._deployment.simulator("voipnow", "begin_call", client_id=_PBX)
        answer = self._deployment.send("recording.start", account="pbx", call_id=call["id"])
        self._console.print(f"recording confirmed on pbx since {answer['recording_since']}")
        return max(self._collected(ledger, alias) for alias in _CONTROLS)

    def _ozeki(self, alias: str, control: str) -> dict[str, Any]:
        notify = f"{self._deployment.hooks_url}/ozeki/{alias}/notify"
        made = self._deployment.simulator(
            "ozeki", "account", name=alias, control=control, notify_url=notify
        )
        fields = {name: made[name] for name in ("base_url", "username", "password")}
        networks = {"allowed_networks": ["127.0.0.0/8"]}
        return {"provider": "ozeki", "control": control, **fields, **networks}

    def _collected(self, ledger: Ledger, alias: str) -> int:
        """Record a call of an account until it ends, show the file, and return the exit status."""
        call_id = self._deployment.simulator("ozeki", "call", name=alias, state="Ringing")[
            "call_id"
        ]
        with ThreadPoolExecutor(1) as thread:
            request = thread.submit(
                self._deployment.send, "recording.start", account=alias, call_id=call_id
            )
            # Under OzML, the start needs a notification of the call, which this change sends.
            eventually(
                lambda: request.done() or self._change(alias, call_id, "InCall"),
                f"the recording of {alias} was not started",
            )
            answer = request.result()
        self._deployment.simulator("ozeki", "advance", name=alias, call_id=call_id, seconds=3)
        self._change(alias, call_id, "Completed")
        job = _wait_for_end(lambda: ledger.jobs.job(answer["collect_job_id"]))
        if job.state != states.DONE or job.result is None:
            self._console.print(f"recording of {alias}: {job.state}, {job.reason}")
            return 1
        path = f"{self._deployment.archive}/{job.result['path']}"
        self._console.print(f"recording collected from {alias} ({_CONTROLS[alias]}): {path}")
        return 0

    def _change(self, alias: str, call_id: str, state: str) -> bool:
        self._deployment.simulator("ozeki", "change", name=alias, call_id=call_id, state=state)
        return False


def _wait_for_end(look: Callable[[], Job]) -> Job:
    eventually(lambda: look().ended, "no recording was collected")
    return look()
