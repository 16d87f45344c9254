"""The capabilities of providers. Tasks know nothing else of providers.

Each capability is a Protocol. A provider's client inherits from the capabilities that it has, and
`registry.register` refuses a client that lacks an operation. Tasks ask for a client by capability
(`registry.client`). Every operation raises the errors of `providers.errors`, and WrongField for an
argument that the provider does not take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from .live_calls import LiveCall, LiveRecording, Notification, Unreadable
from .recordings import Page, Recording, Window

if TYPE_CHECKING:
    from .http.streaming import Body

__all__ = [
    "CollectsRecordings",
    "DeletesRecordings",
    "ExportProgress",
    "ExportsInBulk",
    "ListsCalls",
    "ListsRecordings",
    "LiveCall",
    "LiveRecording",
    "Notification",
    "Page",
    "Placed",
    "PlacesCertifiedCalls",
    "Probes",
    "Recording",
    "StartsRecordings",
    "StopsRecordings",
    "TellsExportProgress",
    "Unreadable",
    "Window",
]


@dataclass(frozen=True)
class Placed:
    """A certified call that the platform accepted. ``platform_phone`` is the platform's number,
    None if not given; ``answer`` is the raw body.
    """

    platform_phone: str | None = field(repr=False)
    http_status: int
    answer: bytes = field(repr=False)


@dataclass(frozen=True)
class ExportProgress:
    """How far a provider has come with an export.

    ``status`` is the provider's own word. ``is_ready``: its ZIP can be retrieved. ``has_failed``:
    it will never be. ``files_completed`` of ``files_total`` are in the ZIP; ``valid_until`` is when
    it expires, in UTC. A field that the provider does not report is None.
    """

    status: str | None
    is_ready: bool
    has_failed: bool = False
    files_completed: int | None = None
    files_total: int | None = None
    valid_until: datetime | None = None


class Probes(Protocol):
    """The operations of every client, which is a context manager used by one thread.

    ``provider_time`` is the provider's own time in UTC, from the newest answer, or None.
    ``tries_credentials`` is false if no harmless request needs the credentials.
    """

    tries_credentials: ClassVar[bool] = True

    @property
    def provider_time(self) -> datetime | None:
        """The provider's own time in UTC, from its newest answer; None before the first answer."""

    def probe(self) -> str:
        """Send a harmless request, with the credentials if possible; return the result as a
        sentence without a full stop.
        """

    def close(self) -> None:
        """Close the connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class ListsRecordings(Probes, Protocol):
    """Recordings that the provider keeps: they can be listed, fetched and archived each night."""

    def recordings(
        self,
        filters: Mapping[str, Any],
        *,
        page: int = 1,
        page_size: int = 10,
        order: str = "start:DESC",
    ) -> Page:
        """Return one page; ``page`` counts from 1. ``filters`` have the provider's names. Raises
        NotFound past the end if the provider answers so.
        """

    def every_recording(
        self, filters: Mapping[str, Any], *, window: Window | None = None
    ) -> Iterator[Recording]:
        """Yield every recording once, oldest first, including those that are set aside; with
        ``window``, only those that start in it. Raises Uncertain when the provider counts more than
        it lists.
        """

    def recording(self, recording_id: str) -> Recording:
        """Return one recording. Raises NotFound."""

    def audio(
        self, recording_id: str, *, etag: str | None = None, offset: int = 0
    ) -> AbstractContextManager[Body]:
        """Open the audio of one recording, from byte ``offset`` if ``etag`` is still valid,
        otherwise from the first byte. Raises NotFound and Gone.
        """


class ExportsInBulk(ListsRecordings, Protocol):
    """Many recordings in few ZIP archives, which the provider needs time to make.

    ``exports`` is the number of exports to create for everything that is listed: more than one if
    the provider keeps kinds of recordings apart.
    """

    exports: int = 1

    def export(
        self, filters: Mapping[str, Any], *, window: Window | None = None, number: int = 0
    ) -> list[str]:
        """Create an export; return the provider's ids of it, several or none. ``number`` selects
        one of the `exports`, from 0; it is left out if there is one.
        """

    def retrieve(
        self, provider_job_id: str, *, etag: str | None = None, offset: int = 0
    ) -> AbstractContextManager[Body]:
        """Open the ZIP of an export, from byte ``offset`` if ``etag`` is still valid, otherwise
        from the first byte. Raises NotReady while the provider makes the ZIP, and Gone.
        """


class TellsExportProgress(ExportsInBulk, Protocol):
    """The provider reports the progress of exports, so that only ready ones are retrieved."""

    def progress(self, provider_job_id: str) -> ExportProgress | None:
        """Return the progress of an export; None if the provider reports no progress
        for this account. Raises NotFound for an export that the provider does not know.
        """


class DeletesRecordings(ListsRecordings, Protocol):
    """Recordings that can be deleted at the provider."""

    def delete(self, recording_id: str) -> bool:
        """Delete a recording; return false if it was gone already."""


class ListsCalls(Probes, Protocol):
    """Calls in progress."""

    def calls(self, user_id: str | None = None, extension: str | None = None) -> list[LiveCall]:
        """Return the calls in progress, of a user and an extension if the provider distinguishes
        calls by them.
        """


class StartsRecordings(ListsCalls, Protocol):
    """Recording of calls in progress. ``not_collected_because`` says why no worker collects the
    recording, for a provider that keeps it.
    """

    not_collected_because: ClassVar[str] = ""

    @staticmethod
    def start_parameters(account: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the checked arguments of a start with the provider's defaults. ``given`` holds the
        caller's. Raises WrongField for an argument that is wrong or that the provider ignores.
        """

    def start_recording(
        self,
        parameters: Mapping[str, Any],
        *,
        before_action: Callable[[], None] | None = None,
        looks_first: bool = False,
    ) -> LiveRecording:
        """Record a call; ``parameters`` are those of `start_parameters`.

        ``before_action`` is called before each request that starts something. ``looks_first`` means
        that the same start was requested before, so that a running recording is a success. A
        provider that notifies us reports the end of the recording to ``finished_url`` in the
        parameters.
        """


class StopsRecordings(StartsRecordings, Protocol):
    """A recording can be stopped while its call continues."""

    @staticmethod
    def stop_parameters(account: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the checked arguments of a stop, as `start_parameters` does for a start."""

    def stop_recording(
        self,
        parameters: Mapping[str, Any],
        *,
        before_action: Callable[[], None] | None = None,
        looks_first: bool = False,
    ) -> LiveRecording:
        """End the recording of a call. The parameters are as for `start_recording`."""


class CollectsRecordings(StartsRecordings, Protocol):
    """The server notifies us of calls and of finished recordings, whose files can be fetched."""

    def collected(
        self, url: str, *, etag: str | None = None, offset: int = 0
    ) -> AbstractContextManager[Body]:
        """Open a finished recording at the address in its notification, from byte ``offset`` if
        ``etag`` is still valid, otherwise from the first byte. Raises Rejected if the address is
        not one of the account's, NotFound and Gone.
        """

    @staticmethod
    def notification(form: bytes) -> Notification:
        """Return the notification that the server posted. Raises Unreadable."""

    @staticmethod
    def answerable(control: str, notification: Notification) -> bool:
        """Return whether the answer to this notification may begin a recording, under an account's
        ``control``.
        """

    @staticmethod
    def document(control: str, parameters: Mapping[str, Any], finished_url: str | None) -> bytes:
        """Return the answer to a notification that begins a recording with these parameters of
        `start_parameters`; its end is reported to ``finished_url``. Raises WrongField.
        """

    @staticmethod
    def nothing_to_do() -> bytes:
        """Return the answer to a notification that begins nothing."""


class PlacesCertifiedCalls(Probes, Protocol):
    """Recorded and certified calls. Each call is paid, and the provider cannot be asked about
    it.
    """

    def call(
        self,
        *,
        country: str,
        phone: str,
        max_seconds: int,
        company_name: str,
        company_id: str,
        before_bytes: Callable[[], None],
    ) -> Placed:
        """Request one certified call, once. ``before_bytes`` is called at most once, when the
        connection is open and nothing of the request has left.
        """

    @staticmethod
    def error_message(answer: bytes) -> str | None:
        """Return the platform's own reason in an answer that refuses a call, or None."""

    @staticmethod
    def kept_answer(account: Any, answer: bytes) -> bytes:
        """Return the answer without the account's secrets, as a receipt may keep it."""

    @staticmethod
    def kept_field(account: Any, text: str | None) -> str | None:
        """Return a field of the answer as a receipt may keep it."""
