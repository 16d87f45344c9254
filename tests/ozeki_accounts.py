"""What the tests of the Ozeki client share: an account, and a server of set answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx

from providers.ozeki.account import OzekiAccount
from providers.ozeki.client import Ozeki

from .laid_out import LaidOut, Step
from .vonage_accounts import raw

SAMPLES = Path(__file__).parent / "samples" / "ozeki"
BASE = "http://pbx.local:7780"
USERNAME = "user1000"
PASSWORD = 'päss"word+&%=<'
HOOK = "http://hooks.example/ozeki/office/9f8e7d6c?task=1&of=2"
RECORDING = "http://pbx.local:7780/HttpRecordings/2026-11-20 uteom.mp3?key=recording-canary"


def account(**more: Any) -> OzekiAccount:
    """An account with a login."""
    fields = {"base_url": BASE, "username": USERNAME, "password": PASSWORD}
    return OzekiAccount.model_validate({"provider": "ozeki", "alias": "office", **fields, **more})


class Server(LaidOut):
    """An Ozeki server of set answers."""

    def query(self, number: int = 0) -> dict[str, str]:
        """The parameters of a request, each of which was sent once."""
        pairs = parse_qsl(self.requests[number].url.query.decode(), keep_blank_values=True)
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)


def client(*answers: Step, **more: Any) -> Ozeki:
    """A client whose server answers so."""
    return Ozeki(account(**more), transport=Server(*answers))


def told(code: int | str, message: str = "", status: int = 200) -> httpx.Response:
    """An answer with this code."""
    return xml(f"<Response><Code>{code}</Code><Message>{message}</Message></Response>", status)


def xml(text: str | bytes, status: int = 200) -> httpx.Response:
    """An answer in XML."""
    body = text.encode() if isinstance(text, str) else text
    return raw(status, body, Content_Type="application/xml")


def sample(name: str) -> bytes:
    """An example of the vendor's pages."""
    return (SAMPLES / name).read_bytes()
