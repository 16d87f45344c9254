"""An account on a VoipNow server."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from config.accounts import Account
from config.fields import Secret, Text, WebAddress


class VoipnowAccount(Account):
    """Recordings of live calls on a VoipNow server."""

    provider: Literal["voipnow"]
    base_url: WebAddress
    api_path: Annotated[str, StringConstraints(pattern="^(/[^/?#]+)*$")] = "/uapi"
    client_id: Text
    client_secret: Secret

    @property
    def login(self) -> str | None:
        """The client, which distinguishes this account from another at the same address."""
        return self.client_id
