"""What the tests of the Vonage client share: an account, a shelf, and a provider of set answers."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import httpx

from providers.http.streaming import Body
from providers.vonage.account import VonageAccount
from providers.vonage.client import Vonage

from .laid_out import LaidOutWithTokens, Step

BASE = "https://vonage.example/t/vbc.prod/call_recording_india"
LISTING = f"{BASE}/api/accounts/self/company_call_recordings"
TOKEN = "https://vonage.example/token"
PASSWORD = 'pass"wörd+&%'
CLIENT_SECRET = "client/secret= canary"
CALLER = "34600123456"
JOB = "7a688e12-99ee-4816-8385-b21b90583838"
ZIP = b"PK\x03\x04" + bytes(range(256)) * 40
TAG = '"a-strong-tag"'


def account(**more: Any) -> VonageAccount:
    """An account with a login, unless access_token is among ``more``."""
    login = {
        "username": "john.doe@vbc.prod",
        "password": PASSWORD,
        "client_id": "client",
        "client_secret": CLIENT_SECRET,
    }
    fields = {"base_url": BASE, "token_url": TOKEN, **({} if "access_token" in more else login)}
    return VonageAccount.model_validate({"provider": "vonage", "alias": "india", **fields, **more})


@dataclass(frozen=True)
class Kept:
    """What lies on a MemoryShelf."""

    version: int
    ciphertext: bytes

    @property
    def read_at(self) -> float:
        return time.time()


class MemoryShelf:
    """The rules of the ledger's shelf, in memory."""

    def __init__(self) -> None:
        self.kept: Kept | None = None
        self._claim: tuple[str, float] | None = None
        self._names = map(str, itertools.count())
        self._lock = threading.Lock()

    def read(self) -> Kept | None:
        return self.kept

    def time(self) -> float:
        return time.time()

    def claim(self, version: int, seconds: float) -> str | None:
        with self._lock:
            is_taken = self._claim is not None and time.monotonic() < self._claim[1]
            if is_taken or version != (self.kept.version if self.kept else 0):
                return None
            self._claim = (next(self._names), time.monotonic() + seconds)
            return self._claim[0]

    def put(self, claim: str, ciphertext: bytes) -> bool:
        with self._lock:
            if self._claim is None or self._claim[0] != claim:
                return False
            self.kept = Kept((self.kept.version if self.kept else 0) + 1, ciphertext)
            self._claim = None
            return True

    def release(self, claim: str) -> None:
        with self._lock:
            if self._claim is not None and self._claim[0] == claim:
                self._claim = None


class Pieces(httpx.SyncByteStream):
    """A body in pieces, which an error may end."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def raw(status: int, *pieces: bytes | Exception, **headers: str) -> httpx.Response:
    """An answer whose body comes in these pieces; `Content_Type` stands for `Content-Type`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, stream=Pieces(*pieces))


def shown(content: Any, status: int = 200, **headers: str) -> httpx.Response:
    """An answer in JSON."""
    return raw(status, json.dumps(content).encode(), Content_Type="application/json", **headers)


class Provider(LaidOutWithTokens):
    """Vonage with set answers; ``grants`` are those to token requests. Any address but those below
    ``base`` and TOKEN fails the test.
    """

    base = BASE

    def __init__(self, *answers: Step, grants: list[Step] | None = None) -> None:
        super().__init__(
            *answers, token_url=TOKEN, granted=granted, grants=grants, below=f"{self.base}/api/"
        )


def granted(number: int = 1, **more: Any) -> httpx.Response:
    """The token endpoint's answer with the tokens access-N and refresh-N."""
    told = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}"}
    return shown({**told, "token_type": "Bearer", "expires_in": 86400, **more})


def client(*answers: Step, **more: Any) -> Vonage:
    """A client whose provider answers so, on a shelf of its own."""
    return Vonage(account(**more), MemoryShelf(), transport=Provider(*answers))


def opened(provider: Provider, **more: Any) -> tuple[Vonage, AbstractContextManager[Body]]:
    """A client and the export that it retrieves."""
    vonage = Vonage(account(), MemoryShelf(), transport=provider)
    return vonage, vonage.retrieve(JOB, **more)


def retrieved(*answers: Step, **more: Any) -> bytes:
    """The bytes of an export."""
    vonage, opening = opened(Provider(*answers), **more)
    with vonage, opening as body:
        return b"".join(body.chunks())


def recording(number: object = 193228, **more: Any) -> dict[str, Any]:
    """A recording as the vendor's page shows it."""
    return {
        "_links": {"self": {"href": f"{LISTING}/{number}"}},
        "call_direction": "INBOUND",
        "call_id": "c91150a6-8cc4-4e73-9fef-17fd925c6448",
        "caller_id": 17325550100,
        "cnam": "JOHN SMITH",
        "dnis": "17325550100",
        "download_url": f"{BASE}/api/audio/recording/{number}",
        "duration": 60000,
        "end": "2019-01-01T00:00:00+0000",
        "extensions": [999],
        "file_name": "730048.11826465111463122315701.95a7584be856e34a582025d420c20d9d.mp3",
        "file_size_in_bytes": 100000,
        "id": number,
        "rule_ids": [1989, 2012, 449],
        "start": "2019-01-01T00:00:00+0000",
        **more,
    }


def listed(*recordings: dict[str, Any], **more: Any) -> httpx.Response:
    """A page as the vendor's page shows it, its misspelt next link and placeholders included."""
    misspelt = LISTING.replace("call_recording_india", "call_recordingindia")
    return shown(
        {
            "_embedded": {"recordings": list(recordings)},
            "_links": {"next": {"href": f"{misspelt}?page=3"}},
            "page": 0,
            "page_size": 0,
            "total_items": 0,
            "total_pages": 0,
            **more,
        }
    )
