"""Prometheus metrics at EARWITNESS_METRICS_BIND: ``GET /metrics``, and nothing else.

They are never a reason not to work: where the address is taken, the worker works without them and
tries again until it gets it.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from celery import bootsteps
from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    make_wsgi_app,
)
from prometheus_client.exposition import ThreadingWSGIServer

from archive.errors import ArchiveError
from config.settings import settings
from ledger.core import transitions
from providers.http import instrumentation
from tasks.archive_watch.chain_heads import heads
from tasks.runtime import metrics
from tasks.runtime.context import ledger

from .gauges import ChainGauges, LedgerGauges
from .stats_cache import Asked

_log = logging.getLogger(__name__)

_PATH = "/metrics"
#: A predecessor that is stopping gives the address free within moments.
_AGAIN_SECONDS = 2.0
#: How often the archive is asked for the heads of the chains, which other workers lengthen too.
_HEADS_SECONDS = 3600.0
#: A statement of a scrape is given up by then, if the database can be given up.
_LEDGER_SECONDS = 1.0

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Metrics(bootsteps.StartStopStep):
    """Serves them from the start of a worker to its end."""

    requires: ClassVar = {"celery.worker.components:Pool"}

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._exporter: Exporter | None = None

    def include_if(self, _parent: Any) -> bool:
        """Whether an operator wants them."""
        return settings().metrics_bind is not None

    def start(self, _parent: Any) -> None:
        """Begin to count, and to serve as soon as the address is to be had."""
        assert settings().metrics_bind is not None
        metrics.begin(settings().accounts)
        transitions.end_listeners.append(metrics.ended)
        instrumentation.observers.append(metrics.requested)
        self._exporter = Exporter(str(settings().metrics_bind), application())
        self._exporter.start()

    def stop(self, _parent: Any) -> None:
        """Give the address free."""
        if self._exporter is not None:
            self._exporter.stop()


def application() -> Application:
    """What answers: 200 to ``GET /metrics`` and 404 or 405 to all else."""
    registry = CollectorRegistry()
    registry.register(metrics.REGISTRY)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    ask = partial(ledger().stats, patience_seconds=_LEDGER_SECONDS)
    registry.register(LedgerGauges(Asked(ask), settings().accounts))
    registry.register(ChainGauges(heads))
    scraped: Application = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != _PATH:
            return _refused(start, "404 Not Found", [])
        if environ["REQUEST_METHOD"] != "GET":
            return _refused(start, "405 Method Not Allowed", [("Allow", "GET")])
        return scraped(environ, start)

    return answer


def _refused(
    start: Callable[..., Any], status: str, headers: list[tuple[str, str]]
) -> Iterable[bytes]:
    start(status, [*headers, ("Content-Type", "text/plain; charset=utf-8")])
    return [f"{status}; the metrics are at {_PATH}\n".encode()]


class Exporter:
    """A thread that gets the address and serves there; ``address`` is ``host:port``."""

    def __init__(self, address: str, answers: Application) -> None:
        self._address = address
        self._answers = answers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="earwitness-metrics", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End it; what is being answered is answered."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        server = self._listening()
        if server is None:
            return
        threading.Thread(
            target=server.serve_forever, name="earwitness-scrapes", daemon=True
        ).start()
        _log.info("metrics are served at http://%s%s", self._address, _PATH)
        try:
            self._look_at_chains()
            while not self._stop.wait(_HEADS_SECONDS):
                self._look_at_chains()
        finally:
            server.shutdown()
            server.server_close()

    def _listening(self) -> WSGIServer | None:
        """The server, once the address is to be had; None where the worker ends before."""
        warned = False
        while not self._stop.is_set():
            try:
                return listen(self._address, self._answers)
            except (OSError, UnicodeError) as error:
                if not warned:
                    _log.warning(
                        "no metrics yet: EARWITNESS_METRICS_BIND=%s cannot be listened at (%s); "
                        "this worker works on and tries again; give each worker of a machine an "
                        "address of its own",
                        self._address,
                        getattr(error, "strerror", None) or error,
                    )
                warned = True
            self._stop.wait(_AGAIN_SECONDS)
        return None

    def _look_at_chains(self) -> None:
        for account in settings().accounts:
            if self._stop.is_set():
                return
            try:
                heads.read(account)
            except (ArchiveError, OSError) as error:
                _log.info("the head of the chain of %s is not known: %s", account, error)
            except Exception:  # noqa: BLE001 - logged; the other metrics go on
                _log.exception("the head of the chain of %s is not known", account)


def listen(address: str, answers: Application) -> WSGIServer:
    """A server at ``host:port`` that does not serve yet. Raises OSError."""
    host, _, port = address.rpartition(":")
    family, *_, place = socket.getaddrinfo(
        host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    served = type("Served", (ThreadingWSGIServer,), {"address_family": family})
    return make_server(str(place[0]), int(port), answers, served, handler_class=_Quiet)


class _Quiet(WSGIRequestHandler):
    """Logs no request, and waits for no slow one."""

    timeout = 10

    def log_message(self, *_: Any) -> None:
        """A scrape is nothing to tell of."""
