"""The account models that providers share, one for each thing that a provider can do.

A provider's own account inherits from the models of the provider's capabilities, and adds its
credentials. Tasks use these models and never a provider's own (`registry.account`).
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, IPvAnyNetwork, StringConstraints, model_validator

from config.accounts import Account, Nightly
from config.fields import HostName, Several, Text, TimeZone

#: A country that certified calls may be placed to, by ISO 3166.
Country = Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")]


class RecordingsAccount(Account):
    """An account whose provider lists recordings, which can be archived each night."""

    nightly: Nightly | None = None

    @property
    def nights(self) -> Nightly | None:
        """The schedule of the account's automatic exports, or None without one."""
        return self.nightly

    @property
    def _to_delete(self) -> str:
        return "this provider cannot delete recordings; leave it out"

    @model_validator(mode="after")
    def _may_delete_by_night(self) -> Self:
        if self.nightly is not None and self.nightly.delete_after_days and not self.may_delete:
            raise ValueError(
                f"has nightly.delete_after_days, but {self._to_delete}, or delete_after_days = 0"
            )
        return self


class DeletingAccount(RecordingsAccount):
    """An account whose provider also deletes recordings if ``allow_delete`` permits it."""

    allow_delete: bool = False

    @property
    def may_delete(self) -> bool:
        """Whether recordings may be deleted at the provider."""
        return self.allow_delete

    @property
    def _to_delete(self) -> str:
        return "allow_delete is not set; set allow_delete = true"


class CertifiedCallsAccount(Account):
    """An account that places certified calls. Limits and countries are required, since each call is
    paid.
    """

    timezone: TimeZone
    max_calls_per_day: int = Field(ge=0)
    max_seconds_per_call: int = Field(gt=0)
    countries: Annotated[tuple[Country, ...], Several, Field(min_length=1)]
    company_name: Text | None = None
    company_id: Text | None = None

    @property
    def zone(self) -> str:
        """The IANA time zone by which the account's days are counted."""
        return self.timezone


class NotifyingAccount(Account):
    """An account whose server notifies us of its calls and of the addresses of finished recordings.

    ``control`` is how a recording is started: by a request ("http"), or by a document in the answer
    to a notification.
    """

    control: str
    allowed_networks: Annotated[tuple[IPvAnyNetwork, ...], Several] = ()
    recording_hosts: Annotated[tuple[HostName, ...], Several] = ()
    collect_deadline_hours: float = Field(24, gt=0)
