"""Remote control that survives invalid commands.

Celery subscribes again after every command that fails, and loses the commands sent meanwhile, such
as a `revoke`.
"""

from __future__ import annotations

import logging
from typing import Any

from celery.worker.consumer.control import Control
from celery.worker.pidbox import Pidbox

from .envelope import describe

_log = logging.getLogger(__name__)


class CommandBox(Pidbox):
    """Celery's mailbox of remote commands, which drops those that fail."""

    def on_message(self, body: Any, message: Any) -> None:
        """Carry out a command; log and drop it if it fails."""
        self._forward_clock()
        try:
            self.node.handle_message(body, message)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - logged; only this command fails
            _log.warning("a command of remote control was dropped: %s", describe(error))


class RemoteControl(Control):
    """Celery's remote control step with ``CommandBox``."""

    def __init__(self, c: Any, **options: Any) -> None:
        super().__init__(c, **options)
        self.box = CommandBox(c)
        self.start = self.box.start
        self.stop = self.box.stop
        self.shutdown = self.box.shutdown
