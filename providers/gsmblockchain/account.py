"""An account at gsmblockchain."""

from __future__ import annotations

from typing import Literal

from config.fields import Secret, Text, WebAddress
from providers.accounts import CertifiedCallsAccount


class GsmblockchainAccount(CertifiedCallsAccount):
    """An account for certified calls. The address of each request holds user and password."""

    provider: Literal["gsmblockchain"]
    base_url: WebAddress = "https://sms.gsmblockchain.com"
    username: Text
    password: Secret

    @property
    def login(self) -> str | None:
        """The user, which distinguishes this account from another at the same address."""
        return self.username
