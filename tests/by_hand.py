"""The commands of docs/archive-format.md, run as a stranger would."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from config.settings import ROOT

PAGE = (ROOT / "docs/archive-format.md").read_text(encoding="utf-8")
COMMANDS = dict(
    re.findall(r"^\*\*(.+?)\.\*\*.*?^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)
STEPS = {title: command for title, command in COMMANDS.items() if title[0].isdigit()}
TOOLS = ("jq", "unzip", "sha256sum")
needs_tools = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in TOOLS),
    reason=f"not all of {', '.join(TOOLS)} are installed, so no step of the page was run",
)


def run(command: str, root: Path, **values: str) -> str:
    """What a command of the page prints, errors included; ``values`` for its first lines."""
    for name, value in values.items():
        command, found = re.subn(rf"^{name}=.*$", f"{name}={value}", command, flags=re.MULTILINE)
        assert found == 1
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout.decode(errors="backslashreplace")


def step(number: int, root: Path) -> str:
    """What one step prints, without the heads."""
    (command,) = [command for title, command in STEPS.items() if title.startswith(f"{number}.")]
    printed = run(command, root).splitlines(keepends=True)
    return "".join(line for line in printed if not line.startswith("head of "))
