"""How long anything waits for Redis: nothing that the libraries bring along is longer unseen."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

from .deployment import ROOT, Deployment, account_toml

#: What Celery and kombu use in a worker of ours, in seconds.
_TIMES = """
import json
from datetime import timedelta
from celery.app.defaults import NAMESPACES, flatten
from kombu.transport.redis import Channel
from worker.celery import app

words = ("delay", "expire", "heartbeat", "interval", "sleep", "timeout", "ttl", "wait")
names = [name for name, _ in flatten(NAMESPACES)]
found = {name: app.conf[name] for name in names}
options = app.conf.broker_transport_options
found |= {name: options.get(name, getattr(Channel, name)) for name in vars(Channel)
          if isinstance(getattr(Channel, name), int | float)}
found = {name: value.total_seconds() if isinstance(value, timedelta) else value
         for name, value in found.items() if any(word in name for word in words)}
print(json.dumps({name: value for name, value in found.items()
                  if isinstance(value, int | float) and not isinstance(value, bool)}))
"""
#: Other transports and backends than Redis, and pools that we refuse.
_OTHERS = (
    "arangodb",
    "azureblockblob",
    "cassandra",
    "cosmosdb",
    "dynamodb",
    "elasticsearch",
    "gcs",
)


def test_every_time_over_a_minute_stands_on_the_page(deploy: Callable[..., Deployment]) -> None:
    """A default of Celery or kombu that is longer than a minute, also one that a later version
    brings, is set shorter or explained in docs/redis.md; the mutex ends within seconds.
    """
    house = deploy(account_toml("india", {"provider": "vonage", "access_token": "x" * 20}))
    done = subprocess.run(
        [sys.executable, "-c", _TIMES],
        cwd=ROOT,
        env=house.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    times = {
        name: value / 1000 if name.endswith("_ms") else value
        for name, value in json.loads(done.stdout).items()
    }
    long = {
        name: seconds
        for name, seconds in times.items()
        if seconds > 60 and not name.startswith(_OTHERS)
    }
    page = (ROOT / "docs" / "redis.md").read_text()
    assert {name for name in long if f"`{name}`" not in page} == set()
    assert times["unacked_mutex_expire"] <= 5
    assert times["visibility_timeout"] <= 30
    assert times["broker_pool_acquire_timeout"] <= 10
