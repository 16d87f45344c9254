"""The export jobs of an account: how far each is, and where its ZIP lies.

The global API documents a status of them; India may have it as well (docs/providers/vonage.md, Q3).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from providers.errors import NotFound, Uncertain
from providers.http.exchange import Answer
from providers.http.json_answers import json_object
from providers.http.redaction import redact_reason
from providers.http.session import SUCCESS, Session
from providers.instants import instant
from providers.interface import ExportProgress

from .account import VonageAccount
from .recording_list import component
from .recordings import identifier, whole
from .refusals import NAME, refusal

_RETRIEVE = "/api/bulkDownload/retrieve"
#: How an API says that it has no such request, or not for this account.
_ABSENT = (403, 404, 405, 501)
#: The vendor shows this status alone (docs/providers/vonage.md, Q13).
_READY = ("complete", "completed")
#: Words for an end without an archive; the vendor shows none.
_FAILED = (
    *("failed", "failure", "error", "cancelled", "canceled"),
    *("aborted", "rejected", "expired", "deleted"),
)


class ExportJobs:
    """Asks for the status of an account's export jobs, and remembers their addresses."""

    def __init__(self, session: Session, account: VonageAccount) -> None:
        self._session = session
        self._account = account
        # Jobs of both kinds of recordings stand under the user who created them, which is us.
        user = f"/api/accounts/{quote(account.account_id, safe='')}/users/self"
        self._path = f"{user}/call_recordings/jobs"
        self._addresses: dict[str, httpx.URL] = {}

    def progress(self, provider_job_id: str) -> ExportProgress | None:
        """Return how far an export is; None where the account's API has no status of exports.

        Raises NotFound for an export that is not among the user's, Uncertain for an answer that
        cannot be read.
        """
        what = f"the status of export {provider_job_id}"
        answer = self._asked("export_status", f"/{component(provider_job_id)}", what)
        if answer.status in _ABSENT:
            # Only the list of all jobs tells a job that is unknown from a request that is.
            if self._asked("export_status_list", "", "the list of exports").status in _ABSENT:
                return None
            raise NotFound(NAME, f"{what}: HTTP {answer.status}: the account has no such export")
        content = json_object(answer.body, NAME, what)
        if content.get("id") is not None and identifier(content["id"]) != provider_job_id:
            raise Uncertain(NAME, f"{what}: the answer is about another export")
        self._remember(provider_job_id, content.get("download_url"))
        return _progress(content, is_addressed=provider_job_id in self._addresses)

    def address(self, provider_job_id: str) -> str | httpx.URL:
        """Return where the ZIP of an export lies: as its status said, else as India documents."""
        query = httpx.QueryParams(
            {"jobId": provider_job_id, "userName": self._account.login_name or ""}
        )
        return self._addresses.get(provider_job_id, f"{_RETRIEVE}?{query}")

    def _asked(self, operation: str, path: str, what: str) -> Answer:
        answer = self._session.answer(
            operation, "GET", self._path + path, what, success=(*SUCCESS, *_ABSENT)
        )
        if answer.status == 204:
            raise refusal(answer, what)
        return answer

    def _remember(self, provider_job_id: str, told: object) -> None:
        """Keep an address that is one of the API's own for this job: the token is sent to it."""
        self._addresses.pop(provider_job_id, None)
        try:
            address = httpx.URL(told) if isinstance(told, str) else None
        except (httpx.InvalidURL, UnicodeError):
            return
        if address is None:
            return
        is_ours = str(address.copy_with(query=None)) == self._account.base_url + _RETRIEVE
        if is_ours and provider_job_id in address.params.values():
            self._addresses[provider_job_id] = address


def _progress(content: dict[str, Any], *, is_addressed: bool) -> ExportProgress:
    status = content.get("status")
    word = redact_reason(status) if isinstance(status, str) else ""
    completed, total = whole(content.get("files_completed")), whole(content.get("files_total"))
    if completed is not None and total is not None:
        completed = min(completed, total)
    has_failed = word.casefold() in _FAILED
    return ExportProgress(
        status=word or None,
        # Another word than the vendor's may mean it too: a running job has no address.
        is_ready=not has_failed and (word.casefold() in _READY or is_addressed),
        has_failed=has_failed,
        files_completed=completed,
        files_total=total,
        valid_until=instant(content.get("valid_until")),
    )
