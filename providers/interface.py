"""What a provider can do: all that tasks know of providers.

Each capability is a Protocol. A provider's client inherits from those that it has, and
`registry.register` refuses one that lacks an operation of them. Tasks ask for a client by
capability (`registry.client`). Every operation raises the errors of `providers.errors`, and
WrongField for an argument that the provider does not take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from .http.streaming import Body
from .live_calls import LiveCall, LiveRecording, Notification, Unreadable
from .recordings import Page, Recording, Window

__all__ = [
    "Body",
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
    """The platform took a certified call. ``platform_phone`` is the number that it tells, None
    where it tells none; ``answer`` is the body as it came.
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
    """What every client can do. It is a context manager, used by one thread.

    ``provider_time`` is the provider's own time in UTC, from the newest answer, or None.
    ``tries_credentials`` is false where nothing harmless can be asked that needs them.
    """

    tries_credentials: ClassVar[bool] = True

    @property
    def provider_time(self) -> datetime | None:
        """The provider's own time in UTC, from its newest answer; None before one came."""

    def probe(self) -> str:
        """Ask something harmless, with the credentials where that is possible; what came of it, in
        a sentence without an end.
        """

    def close(self) -> None:
        """Give the connections back."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class ListsRecordings(Probes, Protocol):
    """Recordings that the provider keeps: they can be listed, fetched and archived by night."""

    def recordings(
        self,
        filters: Mapping[str, Any],
        *,
        page: int = 1,
        page_size: int = 10,
        order: str = "start:DESC",
    ) -> Page:
        """One page, ``page`` counted from 1. ``filters`` have the provider's names. Raises NotFound
        past the end, where the provider answers so.
        """

    def every_recording(
        self, filters: Mapping[str, Any], *, window: Window | None = None
    ) -> Iterator[Recording]:
        """Every recording once, oldest first, those that are set aside too; with ``window``, those
        that start in it. Raises Uncertain when the provider counts more than it lists.
        """

    def recording(self, recording_id: str) -> Recording:
        """One recording. Raises NotFound."""

    def audio(
        self, recording_id: str, *, etag: str | None = None, offset: int = 0
    ) -> AbstractContextManager[Body]:
        """The audio of one recording, from byte ``offset`` where ``etag`` still holds, else from
        its first. Raises NotFound and Gone.
        """


class ExportsInBulk(ListsRecordings, Protocol):
    """Many recordings in few ZIP archives, which the provider takes its time to make.

    ``exports`` is how many exports have to be created for everything that is listed: more than one
    where the provider keeps kinds of recordings apart.
    """

    exports: int = 1

    def export(
        self, filters: Mapping[str, Any], *, window: Window | None = None, number: int = 0
    ) -> list[str]:
        """Create an export; the provider's ids of it, several or none. ``number`` is which of the
        `exports`, from 0; it is left out where there is one.
        """

    def retrieve(
        self, provider_job_id: str, *, etag: str | None = None, offset: int = 0
    ) -> AbstractContextManager[Body]:
        """The ZIP of an export, from byte ``offset`` where ``etag`` still holds, else from its
        first. Raises NotReady while it is made, and Gone.
        """


class TellsExportProgress(ExportsInBulk, Protocol):
    """The provider reports the progress of exports, so that only ready ones are retrieved."""

    def progress(self, provider_job_id: str) -> ExportProgress | None:
        """Return the progress of an export; None where the provider reports that of no export of
        this account. Raises NotFound for an export that the provider does not know.
        """


class DeletesRecordings(ListsRecordings, Protocol):
    """Recordings can be deleted at the provider."""

    def delete(self, recording_id: str) -> bool:
        """Delete a recording; false where it was gone already."""


class ListsCalls(Probes, Protocol):
    """Calls that are going on."""

    def calls(self, user_id: str | None = None, extension: str | None = None) -> list[LiveCall]:
        """The calls that are going on now, of a user and an extension where the provider tells
        calls apart by them.
        """


class StartsRecordings(ListsCalls, Protocol):
    """A call that is going on can be recorded. ``not_collected_because`` says why nobody collects
    the recording, for a provider that keeps it.
    """

    not_collected_because: ClassVar[str] = ""

    @staticmethod
    def start_parameters(account: Any, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a start, judged and with the provider's defaults. ``asked`` has those
        that were given. Raises WrongField for one that is wrong or that the provider ignores.
        """

    def start_recording(
        self,
        parameters: Mapping[str, Any],
        *,
        before_action: Callable[[], None] | None = None,
        looks_first: bool = False,
    ) -> LiveRecording:
        """Record a call; ``parameters`` are those of `start_parameters`. ``before_action`` is
        called before each request that starts something. ``looks_first``: the same was asked for
        before, and what runs already is a success. A provider that notifies us tells the end of
        the recording to ``finished_url`` among the parameters.
        """


class StopsRecordings(StartsRecordings, Protocol):
    """The recording of a call can be ended while the call goes on."""

    @staticmethod
    def stop_parameters(account: Any, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The same for the arguments of a stop."""

    def stop_recording(
        self,
        parameters: Mapping[str, Any],
        *,
        before_action: Callable[[], None] | None = None,
        looks_first: bool = False,
    ) -> LiveRecording:
        """End the recording of a call. Parameters as for `start_recording`."""


class CollectsRecordings(StartsRecordings, Protocol):
    """The server notifies us of calls and of finished recordings, whose files can be fetched."""

    def collected(
        self, url: str, *, etag: str | None = None, offset: int = 0
    ) -> AbstractContextManager[Body]:
        """A finished recording from the address in its notification, from byte ``offset`` where
        ``etag`` still holds, else from its first. Raises Rejected where the address is not one of
        the account's, NotFound and Gone.
        """

    @staticmethod
    def notification(form: bytes) -> Notification:
        """The notification that the server posted. Raises Unreadable."""

    @staticmethod
    def answerable(control: str, notification: Notification) -> bool:
        """Whether a recording may be begun by the answer to this notification, under an account's
        ``control``.
        """

    @staticmethod
    def document(control: str, parameters: Mapping[str, Any], finished_url: str | None) -> bytes:
        """The answer to a notification that begins a recording with these parameters of
        `start_parameters`; its end is told to ``finished_url``. Raises WrongField.
        """

    @staticmethod
    def nothing_to_do() -> bytes:
        """The answer to a notification that begins nothing."""


class PlacesCertifiedCalls(Probes, Protocol):
    """A call that is recorded and certified: each is paid, and none can be asked about."""

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
        """Ask for one certified call, once. ``before_bytes`` is called when the connection stands
        and nothing of the request has left, once or never.
        """

    @staticmethod
    def error_message(answer: bytes) -> str | None:
        """The platform's own words in an answer that refuses a call; None where it has none."""

    @staticmethod
    def kept_answer(account: Any, answer: bytes) -> bytes:
        """The answer as a receipt may keep it: without the account's secrets."""

    @staticmethod
    def kept_field(account: Any, text: str | None) -> str | None:
        """A field of the answer as a receipt may keep it."""
