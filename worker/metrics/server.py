"""Prometheus metrics and probes at EARWITNESS_METRICS_BIND: ``GET /metrics``, ``/healthz`` and
``/readyz``, from before a worker's checks to its end.

Metrics never stop a worker: if the address is taken, the worker works without them and tries again
until the address is free.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from functools import cache, partial
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
from worker.health.judgement import Judgement
from worker.health.probes import PROBES

from .dependencies import DependencyGauges, this_worker
from .from_zero import FromZero
from .gauges import ChainGauges, LedgerGauges
from .stats_cache import StatsCache

_log = logging.getLogger(__name__)

_PATH = "/metrics"
#: A stopping predecessor frees the address within moments.
_RETRY_SECONDS = 2.0
#: How often the heads of the chains are read, which other workers extend, too.
_CHAINS_INTERVAL_SECONDS = 3600.0
#: The time limit of a scrape's statements, if the database supports one.
_LEDGER_SECONDS = 1.0

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Metrics(bootsteps.StartStopStep):
    """Completes the metrics once the checks at the start are over, and serves them to the end."""

    requires: ClassVar = {"celery.worker.components:Pool"}

    def include_if(self, _parent: Any) -> bool:
        """Return whether the operator has configured an address."""
        return settings().metrics_bind is not None

    def start(self, parent: Any) -> None:
        """Read the heads of the chains from now on: archive and ledger are known to be ours."""
        this_worker.slots = parent.concurrency or 1
        exporter = serve()
        if exporter is not None:
            exporter.read_chain_heads()

    def stop(self, _parent: Any) -> None:
        """Stop serving and free the address."""
        exporter = serve()
        if exporter is not None:
            exporter.stop()


@cache
def serve() -> Exporter | None:
    """Start counting, and serve as soon as the address is free; None if none is configured.

    Called before the checks at a worker's start, which may wait for long.
    """
    if settings().metrics_bind is None:
        return None
    metrics.begin(settings().accounts)
    transitions.end_listeners.append(metrics.ended)
    instrumentation.observers.append(metrics.requested)
    exporter = Exporter(str(settings().metrics_bind), application())
    exporter.start()
    return exporter


def application() -> Application:
    """Return the WSGI application.

    It answers ``GET /metrics``, and 200 or 503 with a sentence to the probes; 404 and 405 to other
    requests.
    """
    registry = CollectorRegistry()
    registry.register(FromZero(metrics.REGISTRY))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    read_stats = partial(ledger().stats, patience_seconds=_LEDGER_SECONDS)
    statistics, dependencies = StatsCache(read_stats), DependencyGauges()
    registry.register(LedgerGauges(statistics, lambda: settings().accounts, dependencies.ticked_at))
    registry.register(ChainGauges(heads))
    registry.register(dependencies)
    registry.register(this_worker)
    scraped: Application = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        probe = PROBES.get(environ["PATH_INFO"])
        if probe is None and environ["PATH_INFO"] != _PATH:
            return _refused(start, "404 Not Found", [])
        if environ["REQUEST_METHOD"] != "GET":
            return _refused(start, "405 Method Not Allowed", [("Allow", "GET")])
        if probe is not None:
            return _judged(start, probe())
        statistics.refresh()
        dependencies.refresh()
        return scraped(environ, start)

    return answer


def _judged(start: Callable[..., Any], judgement: Judgement) -> Iterable[bytes]:
    """Answer a probe; no cache may keep the answer."""
    status = "200 OK" if judgement.is_well else "503 Service Unavailable"
    kind = ("Content-Type", "text/plain; charset=utf-8")
    start(status, [kind, ("Cache-Control", "no-store")])
    return [f"{judgement.sentence}\n".encode()]


def _refused(
    start: Callable[..., Any], status: str, headers: list[tuple[str, str]]
) -> Iterable[bytes]:
    start(status, [*headers, ("Content-Type", "text/plain; charset=utf-8")])
    return [f"{status}; the metrics are at {_PATH}\n".encode()]


class Exporter:
    """A thread that binds ``address``, which is ``host:port``, and serves the metrics there."""

    def __init__(self, address: str, answers: Application) -> None:
        self._address = address
        self._answers = answers
        self._stop = threading.Event()
        self._may_read = threading.Event()
        self._thread = threading.Thread(target=self._run, name="earwitness-metrics", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def read_chain_heads(self) -> None:
        """Read the heads of the chains from now on."""
        self._may_read.set()

    def stop(self) -> None:
        """Stop the thread after the running scrapes."""
        self._stop.set()
        self._may_read.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        server = self._wait_for_address()
        if server is None:
            return
        threading.Thread(
            target=server.serve_forever, name="earwitness-scrapes", daemon=True
        ).start()
        _log.info("metrics are served at http://%s%s", self._address, _PATH)
        try:
            self._may_read.wait()
            self._read_chain_heads()
            while not self._stop.wait(_CHAINS_INTERVAL_SECONDS):
                self._read_chain_heads()
        finally:
            server.shutdown()
            server.server_close()

    def _wait_for_address(self) -> WSGIServer | None:
        """Return the server once the address is free, None if the worker ends before."""
        warned = False
        while not self._stop.is_set():
            try:
                return listen(self._address, self._answers)
            except (OSError, UnicodeError) as error:
                if not warned:
                    _log.warning(
                        "no metrics yet: cannot listen on EARWITNESS_METRICS_BIND=%s (%s); this "
                        "worker continues and retries; give each worker of a machine an address "
                        "of its own",
                        self._address,
                        getattr(error, "strerror", None) or error,
                    )
                warned = True
            self._stop.wait(_RETRY_SECONDS)
        return None

    def _read_chain_heads(self) -> None:
        for account in settings().accounts:
            if self._stop.is_set():
                return
            try:
                heads.read(account)
            except (ArchiveError, OSError) as error:
                _log.info("cannot read the head of the chain of %s: %s", account, error)
            except Exception:  # noqa: BLE001 - logged; the other metrics are still served
                _log.exception("cannot read the head of the chain of %s", account)


def listen(address: str, answers: Application) -> WSGIServer:
    """Return a server bound to ``host:port`` that does not serve yet. Raises OSError."""
    host, _, port = address.rpartition(":")
    family, *_, address_info = socket.getaddrinfo(
        host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    served = type("Served", (ThreadingWSGIServer,), {"address_family": family})
    return make_server(
        str(address_info[0]), int(port), answers, served, handler_class=_QuietHandler
    )


class _QuietHandler(WSGIRequestHandler):
    """Logs no requests, and closes a slow connection after ten seconds."""

    timeout = 10

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
