"""The receiver of notifications: an HTTP service of two addresses an account (and
``GET /health``, which tells nothing but whether it works).

``POST /<provider>/<account>/notify`` takes what happens in calls, and answers with the document of
an instruction that is armed for the call; ``POST /<provider>/<account>/completed/<token>`` takes
the end of a recording. Nothing signs these forms: the token, the account's ``allowed_networks`` and
a limit of size are what there is. Who is refused learns nothing: a provider, an account, a token
and a network that are not ours are all answered 404.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, stream_request_body

from config.logging import bind
from config.masking import mask_foreign
from config.settings import settings
from ledger.recording_instructions import Instruction
from providers import registry
from providers.accounts import NotifyingAccount
from providers.interface import CollectsRecordings
from providers.live_calls import Notification, Unreadable
from tasks.live.completion_address import completion_address
from worker.listen_errors import listening

from .connections import Address, Server, address_of
from .inbox import Deliveries, Full
from .instruction_cache import ArmedInstructions
from .receiver import Receiver

_log = logging.getLogger(__name__)

MOST_BYTES = 64 << 10
#: What is still read, and dropped, of a form that is too large, so that its sender can take the
#: answer; then the connection is closed.
_MOST_DROPPED = 256 << 10
_BODY_SECONDS = 10.0
_STOP_SECONDS = 10.0
#: Behind a queue that is full, a sender would wait for seconds though there is room.
_BACKLOG = 4096
_ACCOUNT = r"/([a-z0-9_]{1,40})/([a-z0-9_]{1,40})"


@stream_request_body
class Refusing(RequestHandler):
    """Refuses before the form is read what is not for us, or too large; 404 for all else."""

    def initialize(self, receiver: Receiver) -> None:
        """Tornado's constructor."""
        self.receiver = receiver
        self.form = b""
        self.refused = False
        self.dropped = 0
        self.receiver.begun(id(self))

    def set_default_headers(self) -> None:
        """Nobody has to know what serves."""
        self.clear_header("Server")
        self.set_header("Content-Type", "text/xml; charset=utf-8")

    def prepare(self) -> None:
        """Judge by the address and the headers alone."""
        if not self._is_for_us():
            self.refuse(404)
        elif self.request.method != "POST":
            self.refuse(405)
        elif not (length := self.request.headers.get("Content-Length", "0")).isdecimal():
            self.refuse(400)
        elif int(length[:20]) > MOST_BYTES:
            self.refuse(413)

    def data_received(self, chunk: bytes) -> None:
        """A piece of the form."""
        if not self.refused:
            self.form += chunk
            if len(self.form) > MOST_BYTES:
                self.refuse(413)
            return
        self.dropped += len(chunk)
        connection = self.request.connection
        if self.dropped > _MOST_DROPPED and isinstance(connection, HTTP1Connection):
            connection.stream.close()

    def refuse(self, status: int) -> None:
        """Answer now, without a word, and close the connection once the form has come or is too
        long.
        """
        self.refused, self.form = True, b""
        self.set_status(status)
        self.set_header("Content-Length", "0")
        self.set_header("Connection", "close")
        self.flush()

    async def post(self, *_: str) -> None:
        """The whole form is there."""
        if not self.refused:
            await self.told()

    async def get(self, *_: str) -> None:
        """Refused already, as every other method."""

    head = delete = patch = put = options = get

    async def told(self) -> None:
        """Take what a form tells; here, at an address that is none of ours, it never comes."""

    def on_finish(self) -> None:
        """Answered."""
        self.receiver.over(id(self))

    def on_connection_close(self) -> None:
        """Given up by its sender."""
        super().on_connection_close()
        self.receiver.over(id(self))

    def _is_for_us(self) -> bool:
        if not self.path_args:
            return False
        provider, alias = self.path_args[:2]
        account = _notifying().get(alias)
        if account is None or account.provider != provider:
            return False
        self.server = registry.client_class(account, CollectsRecordings)
        address = address_of(self.request.remote_ip)
        if address is not None and _is_in(address, account):
            return True
        _log.warning("%s: refused, %s is in none of its allowed_networks", alias, address)
        return False

    def read(self) -> Notification | None:
        """The form as a notification; None, and answered, where it is none."""
        try:
            return self.server.notification(self.form)
        except Unreadable as error:
            _log.warning("%s: not understood: %s", self.path_args[1], error)
            self.set_status(400)
            return None


def _notifying() -> dict[str, NotifyingAccount]:
    """The accounts whose servers notify us, by alias."""
    return registry.accounts_of(settings().accounts, NotifyingAccount)


def _is_in(address: Address, account: NotifyingAccount) -> bool:
    return any(address in network for network in account.allowed_networks)


def _is_allowed(address: Address) -> bool:
    """Whether some account's telephone system may notify from there."""
    return any(_is_in(address, account) for account in _notifying().values())


class Health(RequestHandler):
    """Whether this receiver works, said to anybody by a status alone: 204, or 503."""

    def initialize(self, receiver: Receiver) -> None:
        """Tornado's constructor."""
        self.receiver = receiver

    def get(self) -> None:
        """It works while it still reads what is armed and enters what it is told."""
        self.clear_header("Server")
        self.set_status(204 if self.receiver.works else 503)


class Notify(Refusing):
    """What happens in an account's calls."""

    async def told(self) -> None:
        """Answer with the document of an instruction, or with nothing to do."""
        alias = self.path_args[1]
        told = self.read()
        if told is not None:
            with bind(account=alias):
                self.write(await self._answer(alias, told))

    async def _answer(self, alias: str, told: Notification) -> bytes:
        if told.call_id is None:
            return self.server.nothing_to_do()
        given = self.receiver.armed.take(
            alias, told.call_id, lambda control: self.server.answerable(control, told)
        )
        if given is None:
            return self.server.nothing_to_do()
        with bind(job_id=given.job_id):
            return await self._document(given, told)

    async def _document(self, given: Instruction, told: Notification) -> bytes:
        try:
            # Before the answer: what is recorded must not look as if it had never begun.
            await self.receiver.kept(lambda: self.receiver.deliveries.told_answered(given.token))
        except (OSError, Full) as error:
            _log.error("job %s: not answered, it could not be noted: %s", given.job_id, error)
            return self.server.nothing_to_do()
        name = mask_foreign(told.name)[:40]
        _log.info("job %s: %s is answered with its document", given.job_id, name)
        return self.server.document(given.control, given.parameters, completion_address(given))


class Completed(Refusing):
    """The end of a recording."""

    async def told(self) -> None:
        """Keep it on the disk, and answer with nothing to do: never with another Record."""
        _, alias, token = self.path_args
        if not await self.receiver.may_be_ours(alias, token):
            _log.warning("%s: the end of a recording was told under a token of nobody", alias)
            self.set_status(404)
            return
        told = self.read()
        if told is None:
            return
        url = told.finished_url
        if url is None:
            name = mask_foreign(told.name)[:40]
            _log.warning("%s: %s without an address ends no recording", alias, name)
        elif not await self._kept(alias, token, url):
            self.set_status(503)
            return
        self.write(self.server.nothing_to_do())

    async def _kept(self, alias: str, token: str, url: str) -> bool:
        deliveries = self.receiver.deliveries
        try:
            await self.receiver.kept(lambda: deliveries.told_completed(alias, token, url))
        except (OSError, Full) as error:
            _log.error("%s: the end of a recording could not be kept: %s", alias, error)
            return False
        return True


def application(receiver: Receiver) -> Application:
    """The service's addresses."""
    shared = {"receiver": receiver}
    return Application(
        [
            ("/health", Health, shared),
            (_ACCOUNT + "/notify", Notify, shared),
            (_ACCOUNT + "/completed/([A-Za-z0-9_-]{43})", Completed, shared),
        ],
        default_handler_class=Refusing,
        default_handler_args=shared,
        # Tornado's own line would hold the address, and with it the token.
        log_function=lambda handler: _log.debug("answered %d", handler.get_status()),
    )


async def serve(bind_to: str, started: Callable[[int], Any]) -> None:
    """Serve until SIGTERM or SIGINT, then answer what has come and end. ``started`` hears of the
    port. Raises CannotListen, and OSError where it cannot keep anything.
    """
    host, _, port = bind_to.rpartition(":")
    receiver = Receiver(ArmedInstructions(), Deliveries(settings().spool_dir / "hooks"))
    receiver.idle.set()
    with listening("the receiver of notifications", bind_to, "EARWITNESS_HOOKS_BIND"):
        sockets = bind_sockets(int(port), host.strip("[]"), backlog=_BACKLOG)
    receiver.deliveries.start()
    receiver.armed.start()
    server = Server(
        application(receiver),
        # Our own limit answers 413; Tornado's would close the connection without a word.
        max_body_size=1 << 62,
        max_buffer_size=4 * MOST_BYTES,
        max_header_size=16 << 10,
        chunk_size=16 << 10,
        body_timeout=_BODY_SECONDS,
        idle_connection_timeout=30,
    )
    server.is_allowed = _is_allowed
    server.add_sockets(sockets)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    started(sockets[0].getsockname()[1])
    await stop.wait()
    server.stop()
    with suppress(TimeoutError):
        await asyncio.wait_for(receiver.idle.wait(), _STOP_SECONDS)
    await server.close_all_connections()
    receiver.armed.stop()
    receiver.deliveries.stop()
