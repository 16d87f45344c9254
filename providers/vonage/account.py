"""An account at Vonage Business Communications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


#: The kinds of recordings that an account is for.
COMPANY = "company"
ON_DEMAND = "on_demand"
BOTH = "both"
_BASE = "https://api.vonage.com/t/vbc.prod/"
#: The last part of each API's address, by its region.
_APIS = {"india": "call_recording_india", "global": "call_recording"}


class VonageNightly(Nightly):
    """The schedule of an account's automatic exports, with the vendor's filters."""

    @field_validator("filters")
    @classmethod
    def _refuse_unknown(cls, filters: Mapping[str, str | int]) -> Mapping[str, str | int]:
        for key in filters:
            if key in {"start:gte", "start:lte"}:
                raise ValueError(f'"{key}" cannot be set: the day decides when a recording started')
            if key not in FILTERS:
                raise ValueError(
                    f'"{key}" is not a filter; the filters are {", ".join(sorted(FILTERS))}'
                )
        return filters


class VonageAccount(DeletingAccount):
    """Bulk exports and single recordings of Vonage Business Communications."""

    provider: Literal["vonage"]
    region: Literal["india", "global"] = "india"
    base_url: WebAddress = _BASE + _APIS["india"]
    token_url: WebAddress = "https://api.vonage.com/token"  # noqa: S105 - an address
    account_id: Text = "self"
    recordings: Literal["company", "on_demand", "both"] = "company"
    user_id: Text = "self"
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
                f"has access_token as well as {', '.join(n for n in grant if n not in missing)}; "
                "give either access_token alone or the others"
            )
        if self.access_token is None and missing:
            raise ValueError(
                f"has no {', '.join(missing)}; give {', '.join(grant)}, or access_token alone"
            )
        return self

    @field_validator("recordings", mode="before")
    @classmethod
    def _both_kinds(cls, value: object) -> object:
        """Accept a list of kinds for the one word that means it."""
        if isinstance(value, Sequence) and not isinstance(value, str):
            kinds = sorted(map(str, value))
            return BOTH if kinds == [COMPANY, ON_DEMAND] else ", ".join(kinds)
        return value

    @model_validator(mode="before")
    @classmethod
    def _one_api(cls, table: object) -> object:
        """Derive the region from the address, or the address from the region."""
        if not isinstance(table, Mapping):
            return table
        region, address = table.get("region"), table.get("base_url")
        if address is None and isinstance(region, str) and region in _APIS:
            return {**table, "base_url": _BASE + _APIS[region]}
        if region is None and isinstance(address, str):
            return {**table, "region": _region_of(address) or "india"}
        return table

    @model_validator(mode="after")
    def _fits_the_api(self) -> VonageAccount:
        named = _region_of(self.base_url)
        if named is not None and named != self.region:
            raise ValueError(
                f'has region = "{self.region}", but base_url is that of region "{named}"; '
                "leave one of them out"
            )
        if self.recordings != COMPANY and self.region == "india":
            raise ValueError(
                f'has recordings = "{self.recordings}", but India\'s API has no on-demand '
                'recordings; set region = "global", or recordings = "company"'
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
                "has nightly, but neither username nor login_name, and an export needs one; "
                "give login_name"
            )
        return self


def _region_of(base_url: str) -> str | None:
    """Return the region whose API is at such an address, or None."""
    last = base_url.strip().rstrip("/").rpartition("/")[2]
    return next((region for region, name in _APIS.items() if name == last), None)
