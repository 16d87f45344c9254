"""Redis over TLS, with a user of its own for each part, typed as docs/redis.md says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from earwitness_client import Earwitness, NotQueued

from . import forked
from .callers import caller
from .certificates import Authority
from .deployment import ROOT, Deployment, Process, account_toml
from .redis_page import PASSWORD, denied, make_users
from .servers import Valkey, free_port
from .simulators import Simulators
from .tls_tunnel import Tunnel
from .waiting import eventually

pytestmark = pytest.mark.long


DAY = date(2026, 11, 10)
LOGIN = ("ops", "flower-pass/word")

#: What a part has no business with.
FORBIDDEN = [
    ("producer", "LPUSH earwitness.due x"),
    ("producer", "RPOP earwitness"),
    ("producer", "GET earwitness.ledger"),
    ("producer", "DEL celery-task-meta-x"),
    ("producer", "KEYS *"),
    ("producer", "PUBLISH /0.celery.pidbox x"),
    ("celery-producer", "LPUSH earwitness.downloads x"),
    ("celery-producer", "RPOP earwitness"),
    ("celery-producer", "PUBLISH /0.celery.pidbox x"),
    ("celery-producer", "SUBSCRIBE /0.celeryev/task.received"),
    ("flower", "LPUSH earwitness x"),
    ("flower", "DEL earwitness.unacked"),
    ("flower", "SET celery-task-meta-x y"),
    ("earwitness", "FLUSHDB"),
    ("earwitness", "GET somebody-elses"),
    ("earwitness", "CONFIG GET requirepass"),
    ("earwitness", "ACL WHOAMI"),
]


class Secured:
    """A deployment whose Redis is reached by TLS alone, and by the page's users."""

    def __init__(self, house: Deployment, ca: Authority, port: int) -> None:
        self.house = house
        self.ca = ca
        self.port = port
        self.house.settings["REDIS_URL"] = self.url("earwitness")

    def url(self, user: str, *, password: str = PASSWORD, **options: str) -> str:
        """The address for a user; ``options`` over the CA that is trusted."""
        query = {"ssl_ca_certs": str(self.ca.file), **options}
        said = "&".join(f"{name}={value}" for name, value in query.items() if value)
        login = f"{user}:{quote(password, safe='')}"
        return f"rediss://{login}@127.0.0.1:{self.port}/0{'?' if said else ''}{said}"

    def redis(self, user: str) -> Redis:
        """A connection of a user."""
        return Redis.from_url(self.url(user))

    def flower(self) -> str:
        """Start Flower as its own user; its address."""
        port = free_port()
        environment = {
            **self.house.environment,
            "EARWITNESS_REDIS_URL": self.url("flower"),
            "FLOWER_BASIC_AUTH": ":".join(LOGIN),
        }
        command = [sys.executable, "-m", "celery", "-A", "worker", "flower", f"--port={port}"]
        log = self.house.folder / "flower.log"
        self.house.processes.append(Process(command, environment, log))
        return f"http://127.0.0.1:{port}"

    def doctor(self, **settings: str) -> dict[str, str]:
        """What doctor says of Redis and the workers, by level and subject."""
        more = {f"EARWITNESS_{name}": value for name, value in settings.items()}
        environment = {**self.house.environment, **more}
        done = forked.run("worker", ("doctor", "--json"), environment, ROOT, within=60)
        assert PASSWORD not in done.stdout + done.stderr
        found: dict[str, str] = {}
        for one in json.loads(done.stdout):
            key = f"{one['level']} {one['subject']}"
            found[key] = f"{found.get(key, '')}{one['meaning']} -> {one['advice']}\n"
        return found


@pytest.fixture
def secured(
    deploy: Callable[..., Deployment], valkey: Valkey, simulators: Simulators, tmp_path: Path
) -> Iterator[Secured]:
    """One account with two recordings; nothing is started yet."""
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.seed(DAY, "Asia/Kolkata", 2)
    account.configure(ready_after_polls=1)
    make_users(valkey)
    ca = Authority(tmp_path)
    house = deploy(account_toml("india", account.configuration(), {"catchup_days": 1}))
    with Tunnel(valkey.port, ca.certificate("127.0.0.1")) as tunnel:
        yield Secured(house, ca, tunnel.port)


def test_every_part_works_with_its_own_user(secured: Secured, valkey: Valkey) -> None:
    """Worker, a plain Celery application, the client library, Flower and doctor over TLS, each with
    the rights that docs/redis.md gives it: everything works, and Valkey refused nothing.
    """
    worker = secured.house.worker()
    flower = secured.flower()
    url = secured.url("celery-producer", ssl_cert_reqs="required")
    with caller(url, url) as app:
        told = {"task": "caller.told", "queue": "earwitness.told"}
        asked = {"account": "india", "day": DAY.isoformat(), "notify": told}
        run = secured.house.send(app, "export.run", **asked)
        assert run.get(timeout=60)["archived"] == 2
    with Earwitness(secured.url("producer")) as client:
        assert len(client.recording.list(account="india").wait(30)["recordings"]) == 2
    with valkey.client() as admin:
        eventually(lambda: admin.llen("earwitness.told"), what="nobody was notified")
    _flower_shows(flower, run.id)
    found = secured.doctor()
    assert "error redis" not in found
    assert found["ok workers"].count("is consumed by") == 3
    assert "clocks agree" in found["ok workers"]
    assert worker.stop() == 0
    assert denied(valkey) == set()


def _flower_shows(url: str, task_id: str) -> None:
    """Flower has heard of the task, counts the queues and has asked the worker."""

    def get(path: str) -> Any:
        try:
            answer = httpx.get(url + path, auth=LOGIN, trust_env=False, timeout=20)
        except httpx.HTTPError:
            return None
        return answer.json() if answer.status_code == 200 else None

    eventually(lambda: get("/api/workers"), what="Flower did not start")
    eventually(lambda: get("/api/workers?refresh=true"), what="no worker answered")
    (lengths,) = get("/api/queues/length").values()
    assert "earwitness" in {one["name"] for one in lengths}
    assert get(f"/api/task/result/{task_id}")["state"] == "SUCCESS"


def test_a_user_may_do_no_more(secured: Secured) -> None:
    """What a part has no business with is refused by Redis itself."""
    for user, command in FORBIDDEN:
        with secured.redis(user) as client, pytest.raises(NoPermissionError):
            client.execute_command(*command.split())


def test_troubles_of_access_are_told_apart(
    secured: Secured, valkey: Valkey, tmp_path: Path
) -> None:
    """A certificate of a CA that is not named, one of another host, a wrong password, a right that
    lacks: each is told with its own way out by doctor; a client sends nothing, and says why.
    """
    stranger = Authority(tmp_path, "stranger")
    strange = secured.url("earwitness", ssl_ca_certs=str(stranger.file))
    found = secured.doctor(REDIS_URL=strange)
    assert "certificate is refused" in found["error redis"]
    assert "ssl_ca_certs" in found["error redis"]
    assert "certificate" in found["error workers"]
    with Earwitness(strange) as client, pytest.raises(NotQueued, match="certificate is refused"):
        client.recording.list(account="india")

    # Without any option the certificate is checked: by the system's own authorities.
    bare = secured.url("earwitness", ssl_ca_certs="")
    assert "certificate is refused" in secured.doctor(REDIS_URL=bare)["error redis"]
    unchecked = secured.doctor(REDIS_URL=bare + "?ssl_cert_reqs=none")
    assert "is not checked" in unchecked["warning redis"]
    assert "error redis" not in unchecked

    with Tunnel(valkey.port, secured.ca.certificate("redis.example")) as other:
        elsewhere = strange.replace(str(stranger.file), str(secured.ca.file))
        elsewhere = elsewhere.replace(f":{secured.port}/", f":{other.port}/")
        found = secured.doctor(REDIS_URL=elsewhere)
        assert "certificate is refused" in found["error redis"]

    wrong = secured.url("earwitness", password="wrong")
    assert "refuses user or password" in secured.doctor(REDIS_URL=wrong)["error redis"]
    with Earwitness(wrong) as client, pytest.raises(NotQueued, match="AuthenticationError"):
        client.recording.list(account="india")

    with valkey.client() as admin:
        admin.execute_command("ACL", "SETUSER", "earwitness", "-zrem", "-info")
    found = secured.doctor()
    assert "ZREM earwitness.unacked_index" in found["error redis"]
    assert "docs/redis.md" in found["error redis"]
    assert "+info" in found["warning redis"]


def test_a_worker_that_does_not_trust_redis_says_so(secured: Secured, tmp_path: Path) -> None:
    """It takes up nothing and continues asking, and its log names the certificate."""
    stranger = Authority(tmp_path, "stranger")
    url = secured.url("earwitness", ssl_ca_certs=str(stranger.file))
    secured.house.settings["REDIS_URL"] = url
    worker = secured.house.worker(ready=False)
    eventually(
        lambda: (
            "Redis: its certificate is refused" in worker.log()
            and "Trying again in" in worker.log()
        ),
        what="it did not say why",
    )
    assert worker.alive
    assert " ready." not in worker.log()
    assert PASSWORD not in worker.log()
