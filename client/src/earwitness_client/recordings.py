"""Recordings of live calls, and recordings stored at the provider."""

from __future__ import annotations

from typing import Any

from . import arguments as check
from .answers import Answer, Job
from .arguments import Filters, Instant, Notify, invalid
from .group import Group
from .results import Deleted, LiveRecording, RecordingPage, StoredFile


class Recordings(Group):
    """Recordings of live calls, and recordings stored at the provider."""

    def start(  # noqa: PLR0913 - the contract's
        self,
        *,
        account: str,
        call_id: str | int,
        format: str | None = None,  # noqa: A002 - the contract's word
        not_after: Instant | None = None,
        view_id: str | int | None = None,
        extension: str | int | None = None,
        user_id: str | int | None = None,
        announcement: str | None = None,
        max_seconds: int | None = None,
        silence_seconds: int | None = None,
        finish_digits: str | None = None,
        hang_up_after_seconds: int | None = None,
        finished_url: str | None = None,
        request_id: str | None = None,
        notify: Notify | None = None,
    ) -> Job[LiveRecording]:
        """Start recording a live call.

        VoipNow takes ``view_id``, ``extension`` and ``user_id``. Ozeki takes ``finished_url``; over
        OzML also ``announcement``, and for an extension the limits in seconds and
        ``finish_digits``. After ``not_after`` (default: 60 seconds after acceptance) the recording
        is not started any more and the job ends with Expired.
        """
        return self.open(
            "recording.start",
            account=account,
            call_id=check.text("call_id", call_id),
            format=check.optional_text("format", format),
            not_after=check.instant("not_after", not_after),
            view_id=check.optional_text("view_id", view_id),
            extension=check.optional_text("extension", extension),
            user_id=check.optional_text("user_id", user_id),
            announcement=check.optional_text("announcement", announcement, 1000),
            max_seconds=check.whole("max_seconds", max_seconds, 1),
            silence_seconds=check.whole("silence_seconds", silence_seconds, 1),
            finish_digits=check.optional_text("finish_digits", finish_digits),
            hang_up_after_seconds=check.whole("hang_up_after_seconds", hang_up_after_seconds, 0),
            finished_url=check.optional_text("finished_url", finished_url, 2000),
            request_id=request_id,
            notify=notify,
        )

    def stop(
        self,
        *,
        account: str,
        call_id: str | int,
        view_id: str | int | None = None,
        extension: str | int | None = None,
        user_id: str | int | None = None,
        request_id: str | None = None,
        notify: Notify | None = None,
    ) -> Job[LiveRecording]:
        """Stop recording a live call (VoipNow)."""
        return self.open(
            "recording.stop",
            account=account,
            call_id=check.text("call_id", call_id),
            view_id=check.optional_text("view_id", view_id),
            extension=check.optional_text("extension", extension),
            user_id=check.optional_text("user_id", user_id),
            request_id=request_id,
            notify=notify,
        )

    def collect(
        self,
        *,
        account: str,
        call_id: str | int,
        request_id: str | None = None,
        notify: Notify | None = None,
    ) -> Job[StoredFile]:
        """Store the recording of an ended call in the archive (Ozeki).

        Every start of a recording opens this job by itself.
        """
        return self.open(
            "recording.collect",
            account=account,
            call_id=check.text("call_id", call_id),
            request_id=request_id,
            notify=notify,
        )

    def list(
        self,
        *,
        account: str,
        filters: Filters | None = None,
        page: int | None = None,
        page_size: int | None = None,
        order: str | None = None,
    ) -> Answer[RecordingPage]:
        """List one page of the recordings at the provider (Vonage).

        The default is the first page of 10, the latest recording first. ``page_size`` is at most
        1000. The answer is kept for ten minutes.
        """
        return self.ask(
            "recording.list",
            account=account,
            filters=check.filters(filters),
            page=check.whole("page", page, 1),
            page_size=check.whole("page_size", page_size, 1, 1000),
            order=None if order is None else check.order(order),
        )

    def get(self, *, account: str, recording_id: str | int) -> Answer[dict[str, Any]]:
        """Get one recording with all fields of the vendor; the answer is kept for ten minutes."""
        return self.ask(
            "recording.get",
            account=account,
            recording_id=check.text("recording_id", recording_id),
        )

    def download(
        self,
        *,
        account: str,
        recording_id: str | int,
        request_id: str | None = None,
        notify: Notify | None = None,
    ) -> Job[StoredFile]:
        """Store one recording in the archive."""
        return self.open(
            "recording.download",
            account=account,
            recording_id=check.text("recording_id", recording_id),
            request_id=request_id,
            notify=notify,
        )

    def delete(
        self,
        *,
        account: str,
        recording_id: str | int,
        reason: str | None = None,
        unarchived: bool | None = None,
        request_id: str | None = None,
        notify: Notify | None = None,
    ) -> Job[Deleted]:
        """Delete one archived and verified recording at the provider, if the account allows it.

        ``unarchived`` deletes a recording that is not archived, and requires a ``reason``.
        """
        if unarchived is not None and not isinstance(unarchived, bool):
            raise invalid("unarchived", "must be True or False")
        if unarchived and reason is None:
            raise invalid("reason", "is required when unarchived is true")
        return self.open(
            "recording.delete",
            account=account,
            recording_id=check.text("recording_id", recording_id),
            reason=check.optional_text("reason", reason, 1000),
            unarchived=unarchived,
            request_id=request_id,
            notify=notify,
        )
