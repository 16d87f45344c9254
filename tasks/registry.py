"""The modules that declare tasks or only discharge obligations.

Celery loads these modules, and so does every tool that needs all kinds of jobs.
"""

from __future__ import annotations

import importlib

#: Each module registers its kinds when it is imported.
TASK_MODULES = (
    "tasks.archive_watch.chain_entries",
    "tasks.certified_calls.tasks",
    "tasks.exports.tasks",
    "tasks.jobs.tasks",
    "tasks.live.active_calls",
    "tasks.live.collection",
    "tasks.live.tasks",
    "tasks.nights.tasks",
    "tasks.recordings.tasks",
    "tasks.reports.tasks",
    "tasks.verification.tasks",
)


def load() -> None:
    """Import every module that declares tasks."""
    for module in TASK_MODULES:
        importlib.import_module(module)
