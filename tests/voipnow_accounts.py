"""What the tests of the VoipNow client share: an account, and a server of set answers."""

from __future__ import annotations

from typing import Any

import httpx

from providers.voipnow.account import VoipnowAccount
from providers.voipnow.client import Voipnow

from .laid_out import LaidOutWithTokens, Step
from .simulators.voipnow_door import AppDoor
from .vonage_accounts import MemoryShelf, raw, shown

BASE = "https://pbx.example"
TOKEN = f"{BASE}/oauth/token.php"
SECRET = 'client"secret/= &% canary'
CALL = "b817d2618fe6f1804333"
OTHER = "34600123456"


def account(**more: Any) -> VoipnowAccount:
    """An account with its own server."""
    fields = {"base_url": BASE, "client_id": "~app-1", "client_secret": SECRET, **more}
    return VoipnowAccount.model_validate({"provider": "voipnow", "alias": "pbx", **fields})


class Server(LaidOutWithTokens):
    """A VoipNow server of set answers; ``grants`` are those to token requests."""

    def __init__(self, *answers: Step, grants: list[Step] | None = None) -> None:
        super().__init__(*answers, token_url=TOKEN, granted=granted, grants=grants)


def granted(number: int = 1, **more: Any) -> httpx.Response:
    """The token endpoint's answer with the token access-N."""
    return shown({"access_token": f"access-{number}", "expires_in": 3600, **more})


def client(*answers: Step, **more: Any) -> Voipnow:
    """A client whose server answers so, on a shelf of its own."""
    return Voipnow(account(**more), MemoryShelf(), transport=Server(*answers))


def connect(door: AppDoor, shelf: MemoryShelf | None = None, **more: Any) -> Voipnow:
    """A client of the simulated server, as one more worker has it."""
    table = {"alias": "pbx", "timeout_seconds": 10, **door.configuration(), **more}
    return Voipnow(VoipnowAccount.model_validate(table), shelf or MemoryShelf())


def view(number: object = "01", **more: Any) -> dict[str, Any]:
    """A view as the vendor's page shows it; a field that is None is left out."""
    told = {
        "id": number,
        "extension": "0003*210",
        "answered": "2012-06-27T16:08:55+03:00",
        "status": "5",
        "callerId": "John Doe <3333>",
        "source": ["7778888"],
        "destination": ["0003*210"],
        **more,
    }
    return {name: value for name, value in told.items() if value is not None}


def phone_call(*views: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A call as the vendor's page shows it."""
    return {
        "id": CALL,
        "extension": "0003*210",
        "ownerId": "3",
        "published": "2012-06-27T16:08:50+02:00",
        "phoneCallView": list(views) or [view()],
        **more,
    }


def listed(*calls: dict[str, Any], **more: Any) -> httpx.Response:
    """A list of calls."""
    return shown({"entry": list(calls), "totalResults": len(calls), **more})


def refused(code: str, status: int = 400, message: str = "no") -> httpx.Response:
    """An error of the API."""
    return shown({"error": {"code": code, "message": message}}, status)


__all__ = [
    "BASE",
    "CALL",
    "OTHER",
    "SECRET",
    "TOKEN",
    "MemoryShelf",
    "Server",
    "account",
    "client",
    "connect",
    "granted",
    "listed",
    "phone_call",
    "raw",
    "refused",
    "shown",
    "view",
]
