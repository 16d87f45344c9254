"""An account at gsmblockchain."""

from __future__ import annotations

from typing import Literal

from config.fields import Secret, Text, WebAddress
from providers.accounts import CertifiedCallsAccount


class GsmblockchainAccount(CertifiedCallsAccount):
    """Certified calls; user and password travel in the address of each request."""

    provider: Literal["gsmblockchain"]
    base_url: WebAddress = "https://sms.gsmblockchain.com"
    username: Text
    password: Secret

    @property
    def login(self) -> str | None:
        """The user that tells this account from another at the same address."""
        return self.username
