"""Remote control that a senseless command does not make deaf.

Celery subscribes anew after every command that fails. What is sent meanwhile is lost: perhaps an
honest `revoke`.
"""

from __future__ import annotations

import logging
from typing import Any

from celery.worker.consumer.control import Control
from celery.worker.pidbox import Pidbox

from .envelope import why

_log = logging.getLogger(__name__)


class Commands(Pidbox):
    """The commands that a worker receives."""

    def on_message(self, body: Any, message: Any) -> None:
        """Carry out a command, or drop it."""
        self._forward_clock()
        try:
            self.node.handle_message(body, message)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - logged; it concerns one command
            _log.warning("a command of remote control was dropped: %s", why(error))


class RemoteControl(Control):
    """Celery's step, with these commands."""

    def __init__(self, c: Any, **options: Any) -> None:
        super().__init__(c, **options)
        self.box = Commands(c)
        self.start = self.box.start
        self.stop = self.box.stop
        self.shutdown = self.box.shutdown
