"""Certified calls, and live calls."""

from __future__ import annotations

from . import arguments as check
from .answers import Answer, Job
from .arguments import Instant, Notify
from .group import Group
from .results import CallList, CertifiedCall


class CertifiedCalls(Group):
    """Calls that a certified platform places."""

    def request(  # noqa: PLR0913 - the contract's
        self,
        *,
        account: str,
        country: str,
        phone: str,
        max_seconds: int,
        request_id: str,
        company_name: str | None = None,
        company_id: str | None = None,
        not_after: Instant | None = None,
        notify: Notify | None = None,
    ) -> Job[CertifiedCall]:
        """Place a paid call, at most once for a ``request_id``, which is required.

        ``max_seconds`` is the call's longest duration. After ``not_after`` (default: 15 minutes
        after acceptance) the call is not placed any more and the job ends with Expired.
        """
        return self.open(
            "certified_call.request",
            account=account,
            country=check.country(country),
            phone=check.phone(phone),
            max_seconds=check.whole("max_seconds", max_seconds, 1),
            company_name=check.optional_text("company_name", company_name),
            company_id=check.optional_text("company_id", company_id),
            request_id=check.request_id(request_id),
            not_after=check.instant("not_after", not_after),
            notify=notify,
        )


class Calls(Group):
    """Live calls."""

    def list(
        self,
        *,
        account: str,
        extension: str | int | None = None,
        user_id: str | int | None = None,
    ) -> Answer[CallList]:
        """List the live calls (VoipNow, Ozeki)."""
        return self.ask(
            "call.list",
            account=account,
            extension=check.optional_text("extension", extension),
            user_id=check.optional_text("user_id", user_id),
        )
