"""The start of the command line, which says in a sentence what is wrong with the environment.

This module must not import any package: that is what it checks. Any Python, however old, must be
able to read it, to be told that it is too old.
"""

import sys

#: How the program is called: by the command that `make setup` makes, or as a module.
COMMAND, MODULE = "earwitness", "python -m worker"
_OLDEST = (3, 11)
_OURS = ("config", "providers", "archive", "ledger", "tasks", "worker", "demo", "tests")


def main(program=MODULE):
    # type: (str) -> int
    """Run the command line; return its exit status, 2 if this Python cannot run it."""
    if sys.version_info < _OLDEST:
        version = ".".join(str(part) for part in sys.version_info[:3])
        return _refuse(
            "needs Python 3.11 or later, and " + sys.executable + " is Python " + version
        )
    try:
        from .commands.cli import run  # noqa: PLC0415 - it imports packages

        return run(program=program)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in _OURS:
            raise
        return _refuse("the package " + str(error.name) + " is not installed for " + sys.executable)


def _refuse(reason):
    # type: (str) -> int
    sys.stderr.write(
        COMMAND + ": " + reason + "; run `make setup` in the project's folder (`make develop` for "
        "the demo and the tests), then use its .venv/bin/earwitness\n"
    )
    return 2
