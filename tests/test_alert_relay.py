"""The relay of docs/alerts.md, as it is written: alerts go on to mail, Slack and Teams."""

from __future__ import annotations

import email
import json
import os
import re
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tasks.runtime.webhook_requests import NotDelivered, send

from .alert_receiver import AlertReceiver
from .deployment import ROOT
from .servers import free_port
from .test_webhooks import OTHER, SECRET
from .waiting import eventually

ALERT = {
    "id": "0b8a6f5e",
    "state": "open",
    "cause": "day:india:2026-11-20",
    "message": "3 of 120 recordings <missing> & more",
}


class Letters(socketserver.StreamRequestHandler):
    """A mail server that keeps one letter for each connection."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = list(iter(self.rfile.readline, b".\r\n"))
                self.server.letters.append(b"".join(lines))  # type: ignore[attr-defined]
            self.wfile.write(b"221 end\r\n" if word == b"QUIT" else b"250 ok\r\n")


@contextmanager
def mail_server() -> Iterator[Any]:
    """A mail server; its ``letters`` are what came."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Letters) as server:
        server.daemon_threads = True
        server.letters = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def relay(folder: Path, to: str, **environment: str) -> Iterator[str]:
    """The page's program; its address."""
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^`relay\.py`:\n\n```python\n(.*?)```", page, re.DOTALL | re.MULTILINE)
    program, port = folder / "relay.py", str(free_port())
    program.write_text(code, encoding="utf-8")
    given = {**os.environ, "ALERT_SECRET": SECRET, "PORT": port, **environment}
    with subprocess.Popen([sys.executable, str(program), to], env=given) as process:
        address = f"http://127.0.0.1:{port}/"
        try:
            eventually(lambda: _answers(address), what="the relay does not listen")
            yield address
        finally:
            process.terminate()


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False).status_code == 501
    except httpx.TransportError:
        return False


def pass_on(address: str, secret: str = SECRET) -> None:
    """Send the alert as a worker does."""
    send("the relay", address, secret, ALERT["id"], json.dumps(ALERT).encode())


def test_an_alert_becomes_a_mail(tmp_path: Path) -> None:
    """With the cause as its subject and the message as its text; what is signed with another
    secret is refused; what the mail server did not take is to be sent again.
    """
    with mail_server() as server:
        place = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(server.server_address[1])}
        people = {"MAIL_FROM": "earwitness@example.com", "MAIL_TO": "ops@example.com"}
        with relay(tmp_path, "mail", **place, **people) as address:
            with pytest.raises(NotDelivered, match="HTTP 401"):
                pass_on(address, OTHER)
            pass_on(address)
            (letter,) = map(email.message_from_bytes, server.letters)
            assert letter["Subject"] == "Earwitness: open: day:india:2026-11-20"
            assert (letter["To"], letter["Message-ID"]) == (
                people["MAIL_TO"],
                "<0b8a6f5e@earwitness>",
            )
            assert ALERT["message"] in letter.get_payload()
            server.shutdown()
            server.socket.close()
            with pytest.raises(NotDelivered, match="HTTP 503"):
                pass_on(address)


@pytest.mark.parametrize("chat", ["slack", "teams"])
def test_an_alert_becomes_a_message_of_a_chat(tmp_path: Path, chat: str) -> None:
    """In the form that the chat's incoming webhooks take; refused by the chat, it comes again."""
    with (
        AlertReceiver() as receiver,
        relay(tmp_path, chat, CHAT_URL=receiver.url, NO_PROXY="*") as address,
    ):
        receiver.meets = [500, 200]
        with pytest.raises(NotDelivered, match="HTTP 503"):
            pass_on(address)
        pass_on(address)
        (_, headers, body) = receiver.received[-1]
    assert headers["Content-Type"] == "application/json"
    said = json.loads(body)
    if chat == "slack":
        assert said == {
            "text": "Earwitness: open: day:india:2026-11-20\n"
            "3 of 120 recordings &lt;missing&gt; &amp; more"
        }
        return
    assert said["type"] == "message"
    (card,) = said["attachments"]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert card["content"]["type"] == "AdaptiveCard"
    assert [one["text"] for one in card["content"]["body"]] == [
        "Earwitness: open: day:india:2026-11-20",
        ALERT["message"],
    ]
