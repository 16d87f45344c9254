"""A whole house at work, with secrets that would be seen: every task, every trouble, every page."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from celery import Celery

from .deployment import Deployment, Process, account_toml
from .servers import free_port
from .simulators import Simulators
from .waiting import eventually

DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"

#: What makes a password look different in every notation.
ODD = " '&\"ä/ö\\%<+>="

#: How long a request hangs.
HANGS_SECONDS = 3.0
#: What each operation of the account ``trouble`` meets, one after the other.
TROUBLES: list[tuple[str, dict[str, Any]]] = [
    ("answer", {"status": 401, "body": "wso2-json"}),
    ("hang", {"seconds": HANGS_SECONDS}),
    ("reset", {}),
    ("answer", {"status": 200, "body": "html"}),
    ("answer", {"status": 500, "body": "json"}),
]
FLOWER_PASSWORD = "flower-pass/word+3f9c27"
OPERATIONS = ("login", "list", "get", "export", "retrieve", "audio", "delete")


class Scene:
    """Everything that is deployed, everything that happens, and every place that is searched."""

    def __init__(
        self, deploy: Callable[..., Deployment], simulators: Simulators, *secrets: str
    ) -> None:
        self.simulators = simulators
        self.planted = f"planted-{uuid.uuid4().hex}"
        self.accounts = {name: self._account(name) for name in ("good", "trouble", "wrong", "slow")}
        self.paying = simulators.gsmblockchain.account(
            username=f"payer-{uuid.uuid4().hex[:12]}", password=f"paid-{uuid.uuid4().hex}{ODD}"
        )
        self.pbx = simulators.voipnow.account(client_secret=f"pbx/{uuid.uuid4().hex}{ODD}")
        self.office = simulators.ozeki.account(
            username=f"desk-{uuid.uuid4().hex[:12]}", password=f"desk-{uuid.uuid4().hex}{ODD}"
        )
        passwords = {one.password for one in (self.paying, self.office)}
        self.secrets = {*secrets, *passwords, FLOWER_PASSWORD, "mistyped" + ODD}
        bind = f"127.0.0.1:{free_port()}"
        hooks = {"HOOKS_BIND": bind, "HOOKS_URL": f"http://{bind}"}
        settings = {"POLL_DEADLINE_HOURS": "0.002", **hooks}
        self.house = deploy(self._accounts_file(), settings=settings)
        self.node = f"{self.planted}@{socket.gethostname()}"
        self.answers: list[Any] = []
        #: The tasks that ended with a result.
        self.done: set[str] = set()
        self.pages: dict[str, bytes] = {}
        self.spool = b""

    def _account(self, name: str) -> Any:
        made = self.simulators.vonage.account(
            username=f"{name}@vbc.prod",
            password=f"{name}-{uuid.uuid4().hex[:12]}{ODD}",
            client_secret=f"{name}/{uuid.uuid4().hex}+{ODD}",
        )
        # What people called, as the provider tells it: found again in results and in the archive.
        made.seed(DAY, ZONE, 2)
        made.add({"start": "2026-11-10T06:00:00+00:00", "cnam": self.planted})
        made.configure(ready_after_polls=0)
        return made

    def _accounts_file(self) -> str:
        sections = []
        for name, account in self.accounts.items():
            # Only the account whose requests hang has a short limit: the others' must succeed.
            seconds = 1 if name == "trouble" else 10
            told = {**account.configuration(), "timeout_seconds": seconds, "allow_delete": True}
            if name == "wrong":
                told["password"] = "mistyped" + ODD
            sections.append(account_toml(name, told, {"catchup_days": 1}))
        lasting = self.simulators.vonage.account(username="lasting@vbc.prod")
        addresses = {key: lasting.configuration()[key] for key in ("base_url", "token_url")}
        token = {"provider": "vonage", **addresses, "access_token": lasting.issue_token()}
        paying = {**self.paying.configuration(), "timeout_seconds": HANGS_SECONDS - 0.5}
        mistyped = {**paying, "username": "somebody", "password": "mistyped" + ODD}
        sections += [account_toml("paying", paying), account_toml("unpaid", mistyped)]
        pbx = {**self.pbx.configuration(), "timeout_seconds": 10}
        office = {**self.office.configuration(), "control": "http"}
        office["timeout_seconds"] = HANGS_SECONDS - 0.5
        sections += [account_toml("lasting", token), account_toml("pbx", pbx)]
        return "\n".join([*sections, account_toml("office", office)])

    def start(self) -> None:
        """Worker, beat, Flower and the receiver, as talkative as they can be."""
        worker = self.house.worker(self.planted, loglevel="DEBUG")
        schedule = str(self.house.folder / "beat.schedule")
        beat = self.house.celery("beat", "--loglevel", "DEBUG", "-s", schedule, name="beat")
        port = free_port()
        self.flower_url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "celery", "-A", "worker", "flower"]
        command += ["--address=127.0.0.1", f"--port={port}", "--logging=debug", "--debug"]
        environment = {**self.house.environment, "FLOWER_BASIC_AUTH": f"ops:{FLOWER_PASSWORD}"}
        flower = Process(command, environment, self.house.folder / "flower.log")
        self.house.processes.append(flower)
        command = [sys.executable, "-m", "worker", "hooks"]
        hooks = Process(command, self.house.environment, self.house.folder / "hooks.log")
        self.house.processes.append(hooks)
        self.processes = [worker, beat, flower, hooks]
        eventually(self._flower_hears, what="Flower does not hear of the worker")
        eventually(lambda: "listening" in hooks.log(), what="the receiver did not start")

    def _flower_hears(self) -> bool:
        """Whether it lists the worker, of which it knows by events: what happens now, it shows."""
        auth = ("ops", FLOWER_PASSWORD)
        url = f"{self.flower_url}/workers?json=1"
        try:
            return self.node in httpx.get(url, auth=auth, trust_env=False, timeout=30).text
        except httpx.HTTPError:
            return False

    def ask(self, app: Celery, task: str, **kwargs: Any) -> Any:
        """The end of a task: its result or its exception, which is kept for the search."""
        asked = self.house.send(app, task, **kwargs)
        answer = asked.get(timeout=60, propagate=False)
        self.answers.append((asked.id, answer))
        if not isinstance(answer, Exception):
            self.done.add(f"earwitness.{task}")
        return answer

    def every_task(self, app: Celery) -> None:
        """Every kind of task once, with tokens renewed and logins repeated in between."""
        good = self.accounts["good"]
        ids = [str(one["id"]) for one in good.recordings()]
        self.ask(app, "recording.list", account="good")
        good.expire_tokens()
        self.ask(app, "recording.get", account="good", recording_id=ids[2])
        good.revoke_tokens()
        created = self.ask(app, "export.create", account="good", filters={})
        asked = {"account": "good", "provider_job_id": created["provider_job_ids"][0]}
        self.ask(app, "export.retrieve", **asked, request_id=self.planted)
        assert self.ask(app, "export.run", account="good", day=DAY.isoformat())["archived"] == 3
        job = self.ask(app, "recording.download", account="good", recording_id=ids[2])
        # A recording is deleted only once its export is under the chain.
        eventually(lambda: not self.house.ledger.archive_record.unchained())
        self.ask(app, "recording.delete", account="good", recording_id=ids[0])
        for task in ("job.status", "job.cancel"):
            self.ask(app, task, job_id=job["job_id"])
        failed = self.ask(app, "recording.download", account="good", recording_id="404404")
        assert isinstance(failed, Exception)
        self.ask(app, "job.retry", task_id=self.answers[-1][0], by="ana", note="again")
        self.ask(app, "archive.verify")
        self.ask(app, "recording.list", account="lasting")
        app.send_task(
            "earwitness.job.status",
            task_id=self.planted,
            queue="earwitness",
            kwargs={"job_id": "x"},
        ).get(timeout=30, propagate=False)

    def every_trouble(self, app: Celery) -> None:
        """Each operation, the login too, meets each misbehaviour; and a password is wrong."""
        trouble, day = self.accounts["trouble"], DAY.isoformat()
        self.ask(app, "recording.list", account="trouble")
        for operation in OPERATIONS:
            for kind, parameters in [*TROUBLES, ("answer", self._repeating())]:
                trouble.fault(operation, kind, times=1, **parameters)
        recording = {"account": "trouble", "recording_id": str(trouble.recordings()[0]["id"])}
        asked = [
            self.house.send(app, "recording.list", account="trouble"),
            self.house.send(app, "recording.get", **recording),
            self.house.send(app, "recording.download", **recording),
            self.house.send(
                app, "recording.delete", **recording, unarchived=True, reason="a wrong number"
            ),
            self.house.send(app, "export.run", account="trouble", day=day),
            self.house.send(app, "recording.list", account="wrong"),
            self.house.send(app, "recording.download", account="wrong", recording_id="1"),
        ]
        self.house.send(app, "export.run", account="wrong", day=day)
        eventually(
            lambda: self._is_over(app, asked[4].id), within=90, what="the export did not end"
        )
        self.answers += [(one.id, one.get(timeout=90, propagate=False)) for one in asked]

    def _is_over(self, app: Celery, task_id: str) -> bool:
        """Whether an export has ended. Which troubles it meets is chance; where one leaves it
        unknown whether it was created, that rests for 15 minutes, and a person cancels it.
        """
        job = self.house.send(app, "job.status", task_id=task_id).get(timeout=30, propagate=False)
        if isinstance(job, Exception):
            return False
        if job["state"] == "waiting" and "create it again at" in job["reason"]:
            self.house.send(app, "job.cancel", task_id=task_id).get(timeout=30, propagate=False)
        return job["state"] in ("done", "failed", "cancelled")

    def calls(self, app: Celery) -> None:
        """A certified call with each misbehaviour, answers that repeat the address among them."""
        sent = f"/?user={self.paying.username}&pass={self.paying.password}"
        escaped = f"/?pass={quote(self.paying.password)}"
        wrongly = {"kind": "ko", "message": f"wrong password in {sent}"}
        page = {"kind": "answer", "status": 404, "body": {"asked": sent, "as": escaped}}
        faults = [None, wrongly, page, *({"kind": kind, **more} for kind, more in TROUBLES)]
        for number, fault in enumerate(faults):
            if fault is not None:
                given = {name: value for name, value in fault.items() if name != "kind"}
                self.paying.fault("call", str(fault["kind"]), **given)
            self._call(app, "paying", number)
        undecided = self.house.ledger.jobs.jobs(state="needs_decision")[0].job_id
        self.house.without_ledger()
        note = {"by": "ana", "note": "seen in the panel"}
        self.ask(app, "job.resolve", job_id=undecided, outcome="placed", **note)
        self._call(app, "unpaid", 0)

    def _call(self, app: Celery, account: str, number: int) -> None:
        asked = {"country": "ES", "phone": "660111222", "max_seconds": 60}
        company = {"company_name": self.planted, "company_id": "A4562154"}
        self.ask(
            app,
            "certified_call.request",
            account=account,
            request_id=f"{self.planted}-{account}-{number}",
            **asked,
            **company,
        )

    def _repeating(self) -> dict[str, Any]:
        """An error that says everything that we sent, by a gateway that means well."""
        account = self.accounts["trouble"]
        issued = self.simulators.log.effects("token_issued", account.username)[-1]["secrets"]
        sent = " ".join([account.password, account.client_secret, *issued])
        return {"status": 400, "body": {"msg": f"Rejected: {sent}", "status": 400}}

    def live_calls(self, app: Celery) -> None:
        """A call is listed and recorded, and a server says again what it was sent."""
        call = self.pbx.begin_call()
        asked = {"account": "pbx", "call_id": call["id"]}
        self.ask(app, "call.list", account="pbx")
        sent = " ".join(self.simulators.voipnow.secrets())
        echo = {"status": 400, "body": {"error": {"code": "refused", "message": f"Got {sent}"}}}
        for operation in ("list", "start", "stop"):
            self.pbx.fault(operation, "answer", **echo)
        for task in ("call.list", "call.list", "recording.start", "recording.stop"):
            self.ask(app, task, **(asked if task.startswith("recording") else {"account": "pbx"}))
        self.pbx.revoke_tokens()
        self.pbx.fault("token", "answer", **echo)
        assert isinstance(self.ask(app, "recording.start", **asked), Exception)
        self.ask(app, "recording.start", **asked)

    def telephone_system(self, app: Celery) -> None:
        """A call is recorded and collected, and a server says again what it was sent."""
        call = self.office.call(source=self.planted)
        asked = {"account": "office", "call_id": call}
        started = self.ask(app, "recording.start", **asked)
        assert started["collected"] is True, started
        self.office.end(call)
        eventually(lambda: list((self.house.archive / "office").rglob("*.mp3")), what="no file")
        self.ask(app, "recording.collect", account="office", call_id=call)
        sent = f"/?user={self.office.username}&password={self.office.password}"
        echo = {"status": 400, "body": {"asked": sent, "as": quote(sent)}}
        again = self.office.call()
        for kind, given in [*TROUBLES, ("answer", echo)]:
            self.office.fault("list", kind, times=3, **given)
            self.office.fault("record", kind, **given)
            self.ask(app, "call.list", account="office")
            soon = datetime.now(UTC) + timedelta(seconds=3)
            told = {"call_id": again, "not_after": soon.isoformat()}
            self.ask(app, "recording.start", account="office", **told)
            self.simulators.ozeki.clear_faults()

    def transfer(self, app: Celery) -> None:
        """A slow transfer, whose spool is looked at while it grows."""
        slow = self.accounts["slow"]
        slow.add({"start": "2026-11-10T07:00:00+00:00", "size_bytes": 2_000_000})
        slow.configure(bytes_per_second=1_000_000)
        asked = self.house.send(app, "export.run", account="slow", day=DAY.isoformat())
        eventually(lambda: list(self.house.spool.glob("zip-*.json")), what="no sidecar came")
        (self.house.spool / "planted.json").write_text(self.planted)
        self.spool = contents(self.house.spool)
        self.answers.append((asked.id, asked.get(timeout=60, propagate=False)))

    def visit(self, app: Celery) -> None:
        """Every page of Flower's that shows something, and what its API tells."""
        app.control.add_consumer(self.planted, destination=[self.node], reply=True)
        table = "draw=1&start=0&length=1000&order[0][column]=0&columns[0][data]=name"
        paths = ["/", "/workers", f"/worker/{self.node}", "/tasks", "/broker", "/metrics"]
        paths += [f"/tasks/datatable?{table}", "/api/tasks?limit=10000", "/api/task/types"]
        paths += ["/api/workers?refresh=true", "/api/queues/length"]
        for task_id in (self.planted, *(task_id for task_id, _ in self.answers)):
            paths += [
                f"/task/{task_id}",
                f"/api/task/info/{task_id}",
                f"/api/task/result/{task_id}",
            ]
        paths.append(f"/nowhere/{self.planted}")
        auth = ("ops", FLOWER_PASSWORD)
        with httpx.Client(
            base_url=self.flower_url, auth=auth, trust_env=False, timeout=30
        ) as client:
            assert client.get("/tasks", auth=("ops", "wrong")).status_code == 401
            for path in paths:
                kind = re.sub("/(planted-[^/]*|[^/]*(-[^/]*){4})$", "/<id>", path.partition("?")[0])
                self.pages[kind] = self.pages.get(kind, b"") + self._page(client, path)

    def _page(self, client: httpx.Client, path: str) -> bytes:
        """What Flower serves there, once the events have come that it needs for that."""
        wanted = 404 if "nowhere" in path else 200

        def look() -> httpx.Response | None:
            answer = client.get(path, timeout=30)
            return answer if answer.status_code == wanted else None

        found = eventually(look, what=f"Flower did not answer {path} with {wanted}")
        assert found is not None
        return found.content

    def canaries(self) -> set[str]:
        """Every credential, every token that was issued, and the header that carries a login."""
        headers = {
            base64.b64encode(f"{one.client_id}:{one.client_secret}".encode()).decode()
            for one in self.accounts.values()
        }
        tokens = {*self.simulators.vonage.secrets(), *self.simulators.voipnow.secrets()}
        return self.secrets | headers | tokens


def contents(folder: Path) -> bytes:
    """Every path below a folder, and the content of each file that still exists when it is read."""
    paths = sorted(folder.rglob("*"))
    files = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            files.append(path.read_bytes())
    return b"\n".join([*(str(path.relative_to(folder)).encode() for path in paths), *files])
