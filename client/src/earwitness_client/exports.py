"""Exports of many recordings, and the archive."""

from __future__ import annotations

from datetime import date
from typing import overload

from . import arguments as check
from .answers import Job
from .arguments import Filters, Notify, invalid
from .group import Group
from .results import CreatedExport, RunExport, StoredExport, Verified


class Exports(Group):
    """Exports of many recordings (Vonage)."""

    def create(
        self,
        *,
        account: str,
        filters: Filters,
        request_id: str | None = None,
        notify: Notify | None = None,
    ) -> Job[CreatedExport]:
        """Create an export at the provider."""
        if filters is None:
            raise invalid("filters", "is missing; {} means every recording")
        return self.open(
            "export.create",
            account=account,
            filters=check.filters(filters),
            request_id=request_id,
            notify=notify,
        )

    def retrieve(
        self,
        *,
        account: str,
        provider_job_id: str | int,
        request_id: str | None = None,
        notify: Notify | None = None,
    ) -> Job[StoredExport]:
        """Wait until an export's ZIP is ready, and store it in the archive."""
        return self.open(
            "export.retrieve",
            account=account,
            provider_job_id=check.text("provider_job_id", provider_job_id),
            request_id=request_id,
            notify=notify,
        )

    @overload
    def run(
        self, *, account: str, day: date | str, notify: Notify | None = None
    ) -> Job[RunExport]: ...

    @overload
    def run(
        self,
        *,
        account: str,
        filters: Filters,
        request_id: str | None = None,
        notify: Notify | None = None,
    ) -> Job[RunExport]: ...

    def run(
        self,
        *,
        account: str,
        day: date | str | None = None,
        filters: Filters | None = None,
        request_id: str | None = None,
        notify: Notify | None = None,
    ) -> Job[RunExport]:
        """Create an export, retrieve it and reconcile it with the provider's list.

        Give either a ``day`` in the account's time zone, which is its own key and takes no
        ``request_id``, or ``filters`` with both bounds of start.
        """
        if (day is None) == (filters is None):
            raise invalid("day", "give either day or filters")
        if day is not None:
            if request_id is not None:
                raise invalid("request_id", "cannot be given with day, which is the key")
            return self.open_day(account=account, day=check.day(day), notify=notify)
        return self.open(
            "export.run",
            account=account,
            filters=check.filters(filters, bounded=True),
            request_id=request_id,
            notify=notify,
        )


class Archive(Group):
    """The archive."""

    def verify(
        self,
        *,
        account: str | None = None,
        request_id: str | None = None,
        notify: Notify | None = None,
    ) -> Job[Verified]:
        """Verify every file and chain of an account, or of all accounts.

        The job ends with Damaged if anything differs.
        """
        named = {} if account is None else {"account": account}
        return self.open("archive.verify", **named, request_id=request_id, notify=notify)
