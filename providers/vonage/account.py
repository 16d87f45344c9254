"""An account at Vonage Business Communications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import field_validator, model_validator

from config.accounts import Nightly
from config.fields import HostName, Secret, Several, Text, Token, WebAddress
from providers.accounts import DeletingAccount

#: The vendor's filters of an export, except the two bounds of a recording's start.
FILTERS = frozenset(
    {
        "call_direction",
        "call_id",
        "caller_id",
        "cnam",
        "dnis",
        "duration:gte",
        "duration:lte",
        "extension",
    }
)


class VonageNightly(Nightly):
    """The schedule of an account's automatic exports, with the vendor's filters."""

    @field_validator("filters")
    @classmethod
    def _refuse_unknown(cls, filters: Mapping[str, str | int]) -> Mapping[str, str | int]:
        for key in filters:
            if key in {"start:gte", "start:lte"}:
                raise ValueError(f'"{key}" cannot be set: the day decides when a recording started')
            if key not in FILTERS:
                raise ValueError(f'"{key}" is no filter; there are {", ".join(sorted(FILTERS))}')
        return filters


class VonageAccount(DeletingAccount):
    """Bulk exports and single recordings of Vonage Business Communications."""

    provider: Literal["vonage"]
    base_url: WebAddress = "https://api.vonage.com/t/vbc.prod/call_recording_india"
    token_url: WebAddress = "https://api.vonage.com/token"  # noqa: S105 - an address
    account_id: Text = "self"
    username: Text | None = None
    login_name: Text | None = None
    password: Secret | None = None
    client_id: Text | None = None
    client_secret: Secret | None = None
    access_token: Token | None = None
    download_hosts: Annotated[tuple[HostName, ...], Several] = ()
    nightly: VonageNightly | None = None

    @property
    def login(self) -> str | None:
        """The user or token, which distinguishes this account from another at the same address."""
        if self.access_token is not None:
            return self.access_token.get_secret_value()
        return self.username

    @model_validator(mode="after")
    def _one_way_in(self) -> VonageAccount:
        grant = ("username", "password", "client_id", "client_secret")
        missing = [name for name in grant if getattr(self, name) is None]
        if self.access_token is not None and len(missing) < len(grant):
            raise ValueError(
                f"has access_token beside {', '.join(n for n in grant if n not in missing)}; "
                "give access_token alone, or none"
            )
        if self.access_token is None and missing:
            raise ValueError(
                f"has no {', '.join(missing)}; give {', '.join(grant)}, or access_token alone"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _default_login_name(cls, table: object) -> object:
        if isinstance(table, Mapping) and isinstance(table.get("username"), str):
            return {"login_name": table["username"].strip().partition("@")[0], **table}
        return table

    @model_validator(mode="after")
    def _may_export(self) -> VonageAccount:
        if self.nightly is not None and self.login_name is None:
            raise ValueError(
                "has nightly, but neither username nor login_name, for which an export is made; "
                "give login_name"
            )
        return self
