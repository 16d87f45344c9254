"""The receiver of notifications: an HTTP service with two addresses for each account.

``POST /<provider>/<account>/notify`` receives the events of calls, and answers with the document of
an instruction that is armed for the call. ``POST /<provider>/<account>/completed/<token>`` receives
the end of a recording. ``GET /health`` answers whether the receiver works, and nothing else.

Nothing signs these forms, so the token, the account's ``allowed_networks`` and a size limit are the
only protection. Refusals reveal nothing: unknown providers, accounts, tokens and networks are all
answered 404.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tornado.netutil import bind_sockets
from tornado.web import Application

from config.settings import settings
from worker.health.service_manager import ALIVE, READY, STOPPING, notify
from worker.listen_errors import listening
from worker.reloading import reload_at_hangup

from .connections import Server
from .handlers import MAX_BYTES, Completed, Health, NotificationHandler, Notify, is_allowed
from .inbox import Inbox
from .instruction_cache import InstructionCache
from .receiver import Receiver

_log = logging.getLogger(__name__)

_BODY_SECONDS = 10.0
_STOP_SECONDS = 10.0
_ALIVE_SECONDS = 1.0
#: With a full backlog, senders would wait for seconds although there is room.
_BACKLOG = 4096
_ACCOUNT = r"/([a-z0-9_]{1,40})/([a-z0-9_]{1,40})"


def application(receiver: Receiver) -> Application:
    """Return the application with the service's addresses."""
    shared = {"receiver": receiver}
    return Application(
        [
            ("/health", Health, shared),
            (_ACCOUNT + "/notify", Notify, shared),
            (_ACCOUNT + "/completed/([A-Za-z0-9_-]{43})", Completed, shared),
        ],
        default_handler_class=NotificationHandler,
        default_handler_args=shared,
        # Tornado's own line would contain the address, and with it the token.
        log_function=lambda handler: _log.debug("answered %d", handler.get_status()),
    )


async def serve(bind_to: str, started: Callable[[int], Any]) -> None:
    """Serve until SIGTERM or SIGINT, then answer the open requests and return.

    ``started`` is called with the port. Raises CannotListen, and OSError if the inbox's folder
    cannot be used.
    """
    host, _, port = bind_to.rpartition(":")
    receiver = Receiver(InstructionCache(), Inbox(settings().spool_dir / "hooks"))
    receiver.idle.set()
    with listening("the receiver of notifications", bind_to, "EARWITNESS_HOOKS_BIND"):
        sockets = bind_sockets(int(port), host.strip("[]"), backlog=_BACKLOG)
    receiver.inbox.start()
    receiver.instructions.start()
    server = Server(
        application(receiver),
        # Our own limit answers 413; Tornado's would close the connection without an answer.
        max_body_size=1 << 62,
        max_buffer_size=4 * MAX_BYTES,
        max_header_size=16 << 10,
        chunk_size=16 << 10,
        body_timeout=_BODY_SECONDS,
        idle_connection_timeout=30,
    )
    server.is_allowed = is_allowed
    server.add_sockets(sockets)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    reload_at_hangup()
    started(sockets[0].getsockname()[1])
    notify(READY)
    await _until(stop, receiver)
    notify(STOPPING)
    server.stop()
    with suppress(TimeoutError):
        await asyncio.wait_for(receiver.idle.wait(), _STOP_SECONDS)
    await server.close_all_connections()
    receiver.instructions.stop()
    receiver.inbox.stop()


async def _until(stop: asyncio.Event, receiver: Receiver) -> None:
    """Wait for the end, and feed systemd's watchdog while the receiver works."""
    while not stop.is_set():
        if receiver.is_working:
            notify(ALIVE)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _ALIVE_SECONDS)
