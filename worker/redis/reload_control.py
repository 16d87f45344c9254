"""A worker's reload: at SIGHUP, and at the remote control command of ``earwitness reload``.

Celery restarts a worker at SIGHUP, which would interrupt running work. Here the worker continues,
with the accounts that the files name now.
"""

from __future__ import annotations

from typing import Any, ClassVar

from celery import bootsteps, current_app
from celery.worker.control import control_command

from config.reloading import Reloaded
from config.settings import ConfigurationError
from tasks.runtime import metrics
from tasks.runtime.corrected_accounts import begin_to_try_again
from worker.reloading import reload, reload_at_hangup

from .possessions import announce

#: The remote control command's name.
RELOAD_COMMAND = "earwitness_reload"


def reload_worker() -> Reloaded:
    """Reload, say in Redis which accounts this worker knows now, and let jobs be tried that waited
    for a changed account. Raises ConfigurationError.
    """
    done = reload(lambda fresh: metrics.begin(fresh.accounts))
    announce(current_app.backend.client, current_app.amqp.queues.consume_from.keys(), done.removed)
    begin_to_try_again((*done.added, *done.changed))
    return done


@control_command(name=RELOAD_COMMAND)
def _reload(_state: Any) -> dict[str, str]:
    """Reload the accounts; answer what changed, or why nothing did."""
    try:
        return {"done": str(reload_worker())}
    except ConfigurationError as error:
        return {"refused": str(error)}


class Reloading(bootsteps.StartStopStep):
    """Takes SIGHUP from Celery, whose own handler is installed just before the steps start."""

    requires: ClassVar = {"celery.worker.components:Pool"}

    def start(self, _parent: Any) -> None:
        """Reload at SIGHUP from now on."""
        reload_at_hangup(reload_worker)
