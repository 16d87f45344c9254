"""What processes of tests have loaded before they are forked: libraries, and our modules.

A module that reads a setting while it is imported, or then makes what each process has for itself,
is loaded by the new process. So is every module that imports one of these.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

_LIBRARIES = (
    "alembic.command",
    "anyio",
    "celery.__main__",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.backends.redis",
    "celery.bin.celery",
    "celery.concurrency.thread",
    "celery.fixups.django",
    "celery.worker.consumer",
    "celery.worker.worker",
    "celery.worker.pidbox",
    "cryptography.fernet",
    "cryptography.hazmat.primitives.kdf.hkdf",
    "defusedxml.ElementTree",
    "flower.command",
    "h11",
    "httpcore._async",
    "httpcore._sync",
    "httpx",
    "kombu.transport.redis",
    "obstore",
    "phonenumbers",
    "prometheus_client.core",
    "psycopg",
    "pydantic.networks",
    "pydantic_settings",
    "rich.console",
    "rich.live",
    "rich.table",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "stamina",
    "yaml",
)

#: The folders of our modules.
LAYERS = ("config", "providers", "archive", "ledger", "tasks", "worker")

#: Modules of ours that each process loads for itself, and why.
_LOADED_LATER = {
    "config.celery": "it reads the settings",
    "worker.app": "it reads the settings",
    "worker.flower.redaction": "it has a key of its process",
    "worker.health.heartbeat": "it has a thread",
    "worker.redis.tags": "it has the id of its process",
}


def _modules() -> list[str]:
    """The modules of ours. Alembic loads the migrations by their path."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name in LAYERS
        for path in sorted((ROOT / name).rglob("*.py"))
        if "migrations" not in path.parts and path.name != "__main__.py"
    ]
    return [name.removesuffix(".__init__") for name in names]


def _is_left_out(error: ImportError) -> bool:
    """Whether it is of ``from folder import module`` for one of these."""
    name = str(error).partition("cannot import name '")[2].partition("'")[0]
    return f"{error.name}.{name}" in _LOADED_LATER


def _load() -> None:
    for name in _LIBRARIES:
        importlib.import_module(name)
    for name in _LOADED_LATER:
        # Python then refuses to import it.
        sys.modules[name] = None  # type: ignore[assignment]
    for name in _modules():
        try:
            importlib.import_module(name)
        except ImportError as error:
            # One that imports a module of these; any other would be missing in production as well.
            if error.name not in _LOADED_LATER and not _is_left_out(error):
                raise
    for name in _LOADED_LATER:
        del sys.modules[name]


_load()
