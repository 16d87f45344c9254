"""An account on an Ozeki server."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from config.fields import Secret, Text, WebAddress
from providers.accounts import NotifyingAccount


class OzekiAccount(NotifyingAccount):
    """Recordings of live calls on an Ozeki server."""

    provider: Literal["ozeki"]
    base_url: WebAddress
    username: Text | None = None
    password: Secret | None = None
    control: Literal["http", "ozml_third_party", "ozml_extension"] = "http"

    @property
    def login(self) -> str | None:
        """The user, which distinguishes this account from another at the same address."""
        return self.username

    @model_validator(mode="after")
    def _whole_login(self) -> OzekiAccount:
        if (self.username is None) != (self.password is None):
            raise ValueError("has only one of username and password; give both, or neither")
        return self
