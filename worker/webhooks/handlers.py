"""The handlers of the receiver's addresses: notifications, ends of recordings, and its health."""

from __future__ import annotations

import logging

from tornado.http1connection import HTTP1Connection
from tornado.web import RequestHandler, stream_request_body

from config.logging import bind
from config.masking import mask_foreign
from config.settings import settings
from ledger.recording_instructions import Instruction
from providers import registry
from providers.accounts import NotifyingAccount
from providers.interface import CollectsRecordings
from providers.live_calls import Notification, Unreadable
from tasks.live.completion_address import completion_address

from .connections import Address, address_of
from .inbox import Full
from .receiver import Receiver

_log = logging.getLogger(__name__)

MAX_BYTES = 64 << 10
#: So many bytes of a form that is too large are read and discarded, so that its sender can read the
#: answer. Then the connection is closed.
_MAX_DISCARDED = 256 << 10


@stream_request_body
class NotificationHandler(RequestHandler):
    """Reads a form; refuses foreign or too large ones before reading, and answers others 404."""

    def initialize(self, receiver: Receiver) -> None:
        """Tornado's constructor."""
        self.receiver = receiver
        self.form = b""
        self.refused = False
        self.discarded = 0
        self.receiver.begin(id(self))

    def set_default_headers(self) -> None:
        """Hide the server's name."""
        self.clear_header("Server")
        self.set_header("Content-Type", "text/xml; charset=utf-8")

    def prepare(self) -> None:
        """Refuse a request by its address and headers."""
        if not self._is_allowed():
            self.refuse(404)
        elif self.request.method != "POST":
            self.refuse(405)
        elif not (length := self.request.headers.get("Content-Length", "0")).isdecimal():
            self.refuse(400)
        elif int(length[:20]) > MAX_BYTES:
            self.refuse(413)

    def data_received(self, chunk: bytes) -> None:
        """Add a piece to the form, or discard it if the request is refused."""
        if not self.refused:
            self.form += chunk
            if len(self.form) > MAX_BYTES:
                self.refuse(413)
            return
        self.discarded += len(chunk)
        connection = self.request.connection
        if self.discarded > _MAX_DISCARDED and isinstance(connection, HTTP1Connection):
            connection.stream.close()

    def refuse(self, status: int) -> None:
        """Answer at once without a body, and close the connection after the form."""
        self.refused, self.form = True, b""
        self.set_status(status)
        self.set_header("Content-Length", "0")
        self.set_header("Connection", "close")
        self.flush()

    async def post(self, *_: str) -> None:
        """Handle the whole form, unless the request is refused."""
        if not self.refused:
            await self.accept()

    async def get(self, *_: str) -> None:
        """Do nothing: ``prepare`` has refused every method but POST."""

    head = delete = patch = put = options = get

    async def accept(self) -> None:
        """Handle the form. Not called on this class, which refuses every address."""

    def on_finish(self) -> None:
        """Note that the request has been answered."""
        self.receiver.end(id(self))

    def on_connection_close(self) -> None:
        """Note that the sender has given up."""
        super().on_connection_close()
        self.receiver.end(id(self))

    def _is_allowed(self) -> bool:
        if not self.path_args:
            return False
        provider, alias = self.path_args[:2]
        account = _notifying_accounts().get(alias)
        if account is None or account.provider != provider:
            return False
        self.server = registry.client_class(account, CollectsRecordings)
        address = address_of(self.request.remote_ip)
        if address is not None and _is_in(address, account):
            return True
        _log.warning("%s: refused, %s is in none of its allowed_networks", alias, address)
        return False

    def read(self) -> Notification | None:
        """Return the form as a notification; answer 400 and return None if it is none."""
        try:
            return self.server.notification(self.form)
        except Unreadable as error:
            _log.warning("%s: not understood: %s", self.path_args[1], error)
            self.set_status(400)
            return None


def _notifying_accounts() -> dict[str, NotifyingAccount]:
    """Return the accounts whose servers notify us, by alias."""
    return registry.accounts_of(settings().accounts, NotifyingAccount)


def _is_in(address: Address, account: NotifyingAccount) -> bool:
    return any(address in network for network in account.allowed_networks)


def is_allowed(address: Address) -> bool:
    """Return whether any account's telephone system may notify from this address."""
    return any(_is_in(address, account) for account in _notifying_accounts().values())


class Health(RequestHandler):
    """Answers anybody whether the receiver works: 204, or 503."""

    def initialize(self, receiver: Receiver) -> None:
        """Tornado's constructor."""
        self.receiver = receiver

    def get(self) -> None:
        """Answer 204 while the instructions are refreshed and the inbox is recorded."""
        self.clear_header("Server")
        self.set_status(204 if self.receiver.is_working else 503)


class Notify(NotificationHandler):
    """Receives the events of an account's calls."""

    async def accept(self) -> None:
        """Answer with the document of an instruction, or with an empty one."""
        alias = self.path_args[1]
        event = self.read()
        if event is not None:
            with bind(account=alias):
                self.write(await self._answer(alias, event))

    async def _answer(self, alias: str, event: Notification) -> bytes:
        if event.call_id is None:
            return self.server.nothing_to_do()
        instruction = self.receiver.instructions.take(
            alias, event.call_id, lambda control: self.server.answerable(control, event)
        )
        if instruction is None:
            return self.server.nothing_to_do()
        with bind(job_id=instruction.job_id):
            return await self._document(instruction, event)

    async def _document(self, instruction: Instruction, event: Notification) -> bytes:
        job_id, token = instruction.job_id, instruction.token
        try:
            # Stored before the answer, so that a started recording never looks as if not started.
            await self.receiver.store(lambda: self.receiver.inbox.add_answered(token))
        except (OSError, Full) as error:
            _log.error("job %s: not answered, because that could not be stored: %s", job_id, error)
            return self.server.nothing_to_do()
        name = mask_foreign(event.name)[:40]
        _log.info("job %s: %s is answered with its document", job_id, name)
        return self.server.document(
            instruction.control, instruction.parameters, completion_address(instruction)
        )


class Completed(NotificationHandler):
    """Receives the end of a recording."""

    async def accept(self) -> None:
        """Store the end on disk and answer with an empty document, never with another Record."""
        _, alias, token = self.path_args
        if not await self.receiver.may_be_valid(alias, token):
            _log.warning("%s: the end of a recording came with an unknown token", alias)
            self.set_status(404)
            return
        event = self.read()
        if event is None:
            return
        url = event.finished_url
        if url is None:
            name = mask_foreign(event.name)[:40]
            _log.warning("%s: a %s without an address does not end a recording", alias, name)
        elif not await self._store(alias, token, url):
            self.set_status(503)
            return
        self.write(self.server.nothing_to_do())

    async def _store(self, alias: str, token: str, url: str) -> bool:
        inbox = self.receiver.inbox
        try:
            await self.receiver.store(lambda: inbox.add_completed(alias, token, url))
        except (OSError, Full) as error:
            _log.error("%s: the end of a recording could not be stored: %s", alias, error)
            return False
        return True
