"""A limit on the silence of PostgreSQL.

The server ends statements that last too long by itself, unless the server hangs (a frozen machine,
a stopped process, a network that drops packets). Then a statement would wait for ever.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Engine, event


def connect_within(engine: Engine, seconds: float) -> None:
    """Have the engine's connections wait at most so many seconds for each answer of the server.

    A connection whose server is silent for longer is closed and raises the driver's
    OperationalError.
    """
    # The driver is loaded only where a ledger is on PostgreSQL.
    import psycopg  # noqa: PLC0415

    class Bounded(psycopg.Connection[Any]):
        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            if timeout is not None:
                return super().wait(gen, interval, timeout)
            asked_at = time.monotonic()
            try:
                return super().wait(gen, interval, seconds)
            except psycopg.OperationalError:
                if time.monotonic() - asked_at < seconds:
                    raise
                # What the server has done is unknown, and its answer may still come.
                self.pgconn.finish()
                message = f"no answer from the server for {seconds:.0f} s"
                raise psycopg.OperationalError(message) from None

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, arguments: Any, parameters: Any) -> Any:
        return Bounded.connect(*arguments, **parameters)
