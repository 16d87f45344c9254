"""``python -m worker`` from the project's root, or ``python /path/to/worker`` from anywhere.

Any Python, however old, must be able to read it, to be told that it is too old.
"""

import os
import runpy
import sys

if __package__:
    from .start import main

    sys.exit(main())

# Started as a folder: Python searches this folder for modules, where celery.py is our entry module
# and not the library. Search the project's root instead.
_HERE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - old Pythons have no pathlib
sys.path[:] = [path for path in sys.path if os.path.realpath(path) != _HERE]
sys.path.insert(0, os.path.dirname(_HERE))  # noqa: PTH120
runpy.run_module("worker", run_name="__main__", alter_sys=True)
