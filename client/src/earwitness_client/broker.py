"""The worker's Redis for threads: carries out steps with blocking, bounded operations.

Celery makes the task's message and kombu its envelope. Only the last step, pushing the message to
the queue, is done here. For a producer that must not hang, Celery's own step has three faults:
without ``socket_timeout`` it waits for ever for a Redis that has stopped answering; with it,
several nested layers retry (25 seconds were seen); and its error does not say whether the message
may have been delivered.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from typing import Any, cast

from .addresses import Address
from .connections import Connections
from .errors import Closed
from .operations import Ask, Listen, Operation, Push, Steps, Value
from .redis_faults import FAULTS
from .references import Registry
from .worker_queue import WorkerQueue

CLOSED = "this client was closed"
#: What a closed client says to everything but a sending.
CLOSED_MEANING = (
    f"unknown: {CLOSED}; an accepted job continues; create another client and attach to the "
    "job (job.attach), or send the same request again"
)

_REGISTRY: Registry[Broker]


class Broker:
    """Carries out steps, from any thread and after a fork."""

    def __init__(self, address: Address, queue: str) -> None:
        self._address = address
        self.queue: WorkerQueue = WorkerQueue(address, queue)
        self._closed = False
        self._connections = Connections(address)
        _REGISTRY.add(self.queue.place, self)

    def run(self, steps: Steps[Value]) -> Value:
        """Carry out steps and return their result."""
        result: Any = None
        fault: Exception | None = None
        with closing(steps):
            while True:
                try:
                    operation = steps.send(result) if fault is None else steps.throw(fault)
                except StopIteration as end:
                    return cast("Value", end.value)
                result = fault = None
                try:
                    result = self._perform(operation)
                except FAULTS as error:
                    fault = error

    def close(self) -> None:
        """Close every connection; the client raises Closed afterwards."""
        self._closed = True
        if self._connections.pid == os.getpid():
            self._connections.close()

    def _perform(self, operation: Operation) -> Any:
        if self._closed:
            raise Closed(CLOSED if isinstance(operation, Push) else CLOSED_MEANING)
        if isinstance(operation, Push):
            requests, encode = operation.requests, self.queue.encode
            return self._current().push(self.queue.key, lambda: [encode(one) for one in requests])
        if isinstance(operation, Ask):
            return self._current().ask(operation.commands)
        if isinstance(operation, Listen):
            return self._current().subscription.listen(operation.keys)
        if operation.listening is None:
            return time.sleep(operation.seconds)
        woken = operation.listening.woken
        assert isinstance(woken, threading.Event)
        return woken.wait(operation.seconds)

    def _current(self) -> Connections:
        own = self._connections
        if own.pid != os.getpid():
            # No lock, because another thread could have held it at the fork. If two threads get
            # here together, one of them uses connections that close when it has finished.
            own = self._connections = Connections(self._address)
        return own

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Pickle as a reference, without the address's password."""
        return BrokerReference, (self.queue.place,)


class BrokerReference:
    """A pickled broker: the one of the same place in this process, looked up when it is used."""

    def __init__(self, place: str) -> None:
        self._place = place

    @property
    def queue(self) -> WorkerQueue:
        """The queue of the process' own broker."""
        return _REGISTRY.find(self._place).queue

    def run(self, steps: Steps[Value]) -> Value:
        """Carry out steps by the process' own broker."""
        return _REGISTRY.find(self._place).run(steps)


_REGISTRY = Registry[Broker]("an Earwitness")
