"""The demo's live calls: each way to start a recording, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.console import Console

from ledger.core import states
from ledger.core.job import Job
from ledger.ledger import Ledger

from .deployment import DemoHouse, eventually

_PBX = "demo-app"
#: Each Ozeki account and how its calls are controlled.
_CONTROLS = {
    "office": "http",
    "reception": "ozml_third_party",
    "hotline": "ozml_extension",
}


class LiveCalls:
    """Live calls at the simulated telephone systems of ``house``."""

    def __init__(self, house: DemoHouse, console: Console) -> None:
        self._house = house
        self._console = console

    def accounts(self) -> dict[str, dict[str, Any]]:
        """An account at VoipNow, and one at Ozeki for each way of control."""
        app = self._house.simulator("voipnow", "account", client_id=_PBX)
        address = self._house.simulator("voipnow", "addresses")["base_url"]
        secrets = {name: app[name] for name in ("client_id", "client_secret")}
        voipnow = {"provider": "voipnow", "base_url": address, **secrets}
        ozeki = {alias: self._ozeki(alias, control) for alias, control in _CONTROLS.items()}
        return {"pbx": voipnow, **ozeki}

    def record(self, ledger: Ledger) -> int:
        """Start one recording each way, and show what became of it; 0 where all went well."""
        call = self._house.simulator("voipnow", "begin_call", client_id=_PBX)
        told = self._house.send("recording.start", account="pbx", call_id=call["id"])
        self._console.print(f"recording confirmed on pbx since {told['recording_since']}")
        return max(self._collected(ledger, alias) for alias in _CONTROLS)

    def _ozeki(self, alias: str, control: str) -> dict[str, Any]:
        notify = f"{self._house.hooks_url}/ozeki/{alias}/notify"
        made = self._house.simulator(
            "ozeki", "account", name=alias, control=control, notify_url=notify
        )
        fields = {name: made[name] for name in ("base_url", "username", "password")}
        networks = {"allowed_networks": ["127.0.0.0/8"]}
        return {"provider": "ozeki", "control": control, **fields, **networks}

    def _collected(self, ledger: Ledger, alias: str) -> int:
        """Record a call of an account, let it end, and show the file that came of it."""
        call_id = self._house.simulator("ozeki", "call", name=alias, state="Ringing")["call_id"]
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(
                self._house.send, "recording.start", account=alias, call_id=call_id
            )
            # The call goes on: under OzML its next notification is answered with the document.
            eventually(
                lambda: asked.done() or self._change(alias, call_id, "InCall"),
                f"the recording of {alias} was not started",
            )
            told = asked.result()
        self._house.simulator("ozeki", "advance", name=alias, call_id=call_id, seconds=3)
        self._change(alias, call_id, "Completed")
        job = _ended(lambda: ledger.jobs.job(told["collect_job_id"]))
        if job.state != states.DONE or job.result is None:
            self._console.print(f"recording of {alias}: {job.state}, {job.reason}")
            return 1
        path = f"{self._house.archive}/{job.result['path']}"
        self._console.print(f"recording collected from {alias} ({_CONTROLS[alias]}): {path}")
        return 0

    def _change(self, alias: str, call_id: str, state: str) -> bool:
        self._house.simulator("ozeki", "change", name=alias, call_id=call_id, state=state)
        return False


def _ended(look: Callable[[], Job]) -> Job:
    eventually(lambda: look().ended, "no recording was collected")
    return look()
