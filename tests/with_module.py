"""Celery, or a command of ours, in a process that loads one more module first:
``python -m tests.with_module MODULE celery -A worker worker``, ``... MODULE worker doctor``.
"""

from __future__ import annotations

import importlib
import sys


def main() -> int:
    """Load the module, and go on as the program that is named after it would."""
    _, module, program, *arguments = sys.argv
    sys.argv = [program, *arguments]
    importlib.import_module(module)
    if program == "celery":
        celery = importlib.import_module("celery.__main__")
        return int(celery.main() or 0)
    commands = importlib.import_module("worker.commands.cli")
    return int(commands.run() or 0)


if __name__ == "__main__":
    sys.exit(main())
