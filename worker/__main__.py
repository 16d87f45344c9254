"""``python -m worker`` from the project's root, or ``python /path/to/worker`` from anywhere."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __package__:
    from .start import main

    sys.exit(main())

# Started as a folder: Python searches this folder for modules, where celery.py is our entry module
# and not the library. Search the project's root instead.
_HERE = Path(__file__).resolve().parent
sys.path[:] = [str(_HERE.parent), *(path for path in sys.path if Path(path).resolve() != _HERE)]
runpy.run_module("worker", run_name="__main__", alter_sys=True)
