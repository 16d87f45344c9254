"""The sweeper looks at the queues over one connection, and over a new one where that is lost."""

from __future__ import annotations

from typing import Any

from .deployment import account_toml
from .servers import Valkey
from .simulators import Simulators
from .test_tasks import Deploy
from .waiting import eventually


def looks(admin: Any) -> int:
    """How often anybody has looked for messages in a queue since the server's start."""
    return int(admin.info("commandstats").get("cmdstat_exists", {"calls": 0})["calls"])


def test_the_sweeper_keeps_its_connection(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """Looks at the queues open no connections; after a restart of Redis the next look has one."""
    house = deploy(account_toml("india", simulators.vonage.account().configuration()))
    house.worker()
    with valkey.client() as admin:
        eventually(lambda: looks(admin) > 0, what="the sweeper does not look")
        first, connected = looks(admin), admin.info("stats")["total_connections_received"]
        eventually(lambda: looks(admin) > first + 120, within=60, what="the sweeper stopped")
        opened = admin.info("stats")["total_connections_received"] - connected
        assert opened < 5
    valkey.stop()
    valkey.start()
    with valkey.client() as admin:
        eventually(lambda: looks(admin) > 0, within=60, what="the sweeper does not look again")
