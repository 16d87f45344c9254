"""A task that is revoked while its message waits in a worker, behind hints that take long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .certified_calls import CallHouse
from .deployment import Deployment, account_toml
from .simulators import Simulators
from .waiting import eventually


def test_a_revoked_call_is_not_placed(
    deploy: Callable[..., Deployment], simulators: Simulators, tmp_path: Path
) -> None:
    """The only slot hangs at a provider, for a hint, which is acknowledged: the worker takes a
    call's message meanwhile, and the call is revoked. When the slot is free, its caller is told, it
    has no job, and only the next call is placed.
    """
    platform = simulators.gsmblockchain.account()
    with Simulators(data=tmp_path / "exports") as exports:
        account = exports.vonage.account()
        accounts = account_toml("legal", platform.configuration())
        accounts += account_toml("india", {**account.configuration(), "timeout_seconds": 250})
        house = CallHouse(deploy(accounts), platform)
        account.fault("export", "hang", seconds=3600)
        options = ("-n", "one@%h", "-c", "1", "--loglevel", "INFO", "--without-mingle")
        worker = house.house.celery("worker", *options, name="one")
        eventually(lambda: " ready." in worker.log(), what="it was not ready")
        with house.house.producer() as app:
            house.house.send(app, "export.create", account="india", filters={})
            eventually(lambda: exports.log.requests("export"), what="the slot was not taken")
            revoked = house.ask(app, "revoked")
            inspected = app.control.inspect(timeout=5, limit=1)
            eventually(
                lambda: revoked.id in str(inspected.reserved()), what="the call was not taken"
            )
            revoked.revoke()
            eventually(
                lambda: revoked.id in str(inspected.revoked()), what="the worker was not told"
            )
            exports.stop()
            eventually(lambda: revoked.state == "REVOKED", what="the caller was not told")
            house.ask(app, "placed").get(timeout=60)
    assert house.placed() == 1
    assert house.job("revoked") is None
