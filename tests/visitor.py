"""A visitor of a simulated Vonage account: plain requests, with httpx and on a raw socket."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from .simulators.doors import AccountDoor
from .waiting import eventually

PATIENCE = 30.0
COMPANY = "accounts/self/company_call_recordings"
ON_DEMAND = "accounts/self/users/self/call_recordings"


class Visitor:
    """Logs in as the account's user and sends whatever a test wants; a context manager."""

    def __init__(self, account: AccountDoor) -> None:
        self.account = account
        self.configuration = account.configuration()
        self.http = httpx.Client(trust_env=False, timeout=PATIENCE)
        self.token = ""

    def grant(self, **form: str) -> httpx.Response:
        """A token request with the client's credentials filled in."""
        known = {"client_id": self.account.client_id, "client_secret": self.account.client_secret}
        return self.http.post(self.configuration["token_url"], data=known | form)

    def log_in(self, **form: str) -> dict[str, Any]:
        """The password grant; later requests carry its token."""
        user = {"username": self.account.username, "password": self.account.password}
        answer = self.grant(grant_type="password", **(user | form))
        assert answer.status_code == 200, answer.text
        granted: dict[str, Any] = answer.json()
        self.token = granted["access_token"]
        return granted

    def refresh(self, refresh_token: str) -> httpx.Response:
        return self.grant(grant_type="refresh_token", refresh_token=refresh_token)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request below the API's base, with the token unless headers say otherwise."""
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        url = f"{self.configuration['base_url']}/api/{path}"
        return self.http.request(method, url, headers=headers, **more)

    def page(self, path: str = COMPANY, **query: Any) -> httpx.Response:
        """One page; `start__gte` stands for `start:gte`."""
        params = {name.replace("__", ":"): value for name, value in query.items()}
        return self.ask("GET", path, params=params)

    def listed(self, path: str = COMPANY, **query: Any) -> list[int]:
        """The ids of one page."""
        answer = self.page(path, **query)
        assert answer.status_code == 200, answer.text
        return [int(r["id"]) for r in answer.json()["_embedded"]["recordings"]]

    def export(self, path: str = COMPANY, **filters: Any) -> list[str]:
        body = {name.replace("__", ":"): value for name, value in filters.items()}
        answer = self.ask("POST", f"{path}/export", json=body)
        assert answer.is_success, answer.text
        return list(answer.json()["job_ids"])

    def status(self, job_id: str) -> dict[str, Any]:
        """The status of an export job."""
        answer = self.ask("GET", f"{ON_DEMAND}/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def progress(self, job_id: str, polls: int) -> list[tuple[str, int, int]]:
        """Status, files completed and files in all, as so many polls show them."""
        shown = [self.status(job_id) for _ in range(polls)]
        return [(one["status"], one["files_completed"], one["files_total"]) for one in shown]

    def jobs(self, **query: Any) -> list[dict[str, Any]]:
        """The export jobs of one page."""
        answer = self.page(f"{ON_DEMAND}/jobs", **query)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["_embedded"]["jobs"])

    def download(self, url: str) -> httpx.Response:
        """What lies at an address that an answer gave."""
        return self.http.get(url, headers={"Authorization": f"Bearer {self.token}"})

    def retrieve(self, job_id: str, **headers: str) -> httpx.Response:
        query = {"jobId": job_id, "userName": self.account.login_name}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("GET", "bulkDownload/retrieve", params=query, headers=named)

    def archive(self, job_id: str) -> httpx.Response:
        """Poll until the archive is there."""

        def ready() -> httpx.Response | None:
            answer = self.retrieve(job_id)
            return answer if answer.headers.get("content-type") == "application/zip" else None

        return eventually(ready, what="the archive did not become ready", pause=0.01)

    def audio(self, recording_id: int, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("GET", f"audio/recording/{recording_id}", headers=named)

    def raw(self, path: str, patience: float = PATIENCE) -> tuple[bytes, str]:
        """A GET on a socket of its own: every byte that came, and how the connection ended:
        "closed", "reset" or "open" (nothing more within `patience` seconds; for the first byte it
        waits longer).
        """
        base = urlsplit(f"{self.configuration['base_url']}/api/{path}")
        target = base.path + (f"?{base.query}" if base.query else "")
        head = f"GET {target} HTTP/1.1\r\nHost: {base.netloc}\r\n"
        head += f"Authorization: Bearer {self.token}\r\n\r\n"
        assert base.hostname is not None
        with socket.create_connection((base.hostname, base.port or 80), timeout=PATIENCE) as link:
            link.sendall(head.encode())
            received = b""
            try:
                while piece := link.recv(65536):
                    received += piece
                    link.settimeout(patience)
            except TimeoutError:
                return received, "open"
            except ConnectionResetError:
                return received, "reset"
            return received, "closed"

    def __enter__(self) -> Self:
        self.log_in()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()
