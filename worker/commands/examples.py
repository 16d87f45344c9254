"""An example of every command, which its help ends with. A test runs each of them."""

from __future__ import annotations

import click

#: By the command's name, with the names of the groups that it is in. The day, the accounts and the
#: ids are those of the test.
EXAMPLES = {
    "accounts check": "earwitness accounts check",
    "alerts": "earwitness alerts",
    "archive": "earwitness archive",
    "backup": "earwitness backup --to backup-2026-11-30",
    "call": (
        "earwitness call --account legal_es --request-id contract-4711 --country ES "
        "--phone 660111222 --max-seconds 120 --yes --wait"
    ),
    "calls": "earwitness calls --account pbx",
    "cancel": "earwitness cancel import-17",
    "catalogue": "earwitness catalogue",
    "completion": "earwitness completion bash > earwitness.bash",
    "coverage": "earwitness coverage --account india --from 2026-11-01 --to 2026-11-30",
    "demo": "earwitness demo --once",
    "doctor": "earwitness doctor",
    "drain": "earwitness drain --wait",
    "undrain": "earwitness undrain",
    "export": "earwitness export --account india --from 2026-11-20 --to 2026-11-21 --wait",
    "export create": (
        "earwitness export create --account india --filter start:gte=2026-11-20T00:00:00Z "
        "--filter start:lte=2026-11-20T23:59:59Z --wait --json"
    ),
    "export retrieve": "earwitness export retrieve 0f3c2a9e --account india",
    "export run": (
        "earwitness export run --account india --filter extension=101 "
        "--filter start:gte=2026-11-20T00:00:00Z --filter start:lte=2026-11-20T23:59:59Z"
    ),
    "extract": "earwitness extract --from 2026-11-20 --to 2026-11-21 --into case-17",
    "find": "earwitness find --account india --from 2026-11-20 --to 2026-11-21",
    "health": "earwitness health worker",
    "hooks": "earwitness hooks",
    "messages": "earwitness messages",
    "migrate": "earwitness migrate",
    "quarantine": "earwitness quarantine",
    "rebuild": "earwitness rebuild",
    "record": "earwitness record --account pbx --call CALL",
    "recordings download": "earwitness recordings download 193238 --account india --wait",
    "recordings get": "earwitness recordings get 193238 --account india",
    "recordings list": (
        "earwitness recordings list --account india --from 2026-11-20 --to 2026-11-21"
    ),
    "recordings delete": (
        "earwitness recordings delete 193238 --account india --unarchived --reason duplicate --yes"
    ),
    "reload": "earwitness reload",
    "report": "earwitness report --from 2026-11-01 --to 2026-11-30 --out november.html",
    "resolve": ('earwitness resolve contract-4712 --placed --by ana --note "in the panel, 10:42"'),
    "retry": "earwitness retry import-17 --by ana",
    "show": "earwitness show contract-4711",
    "status": "earwitness status --account india --state failed",
    "stop": "earwitness stop --account pbx --call CALL --wait",
    "verify": "earwitness verify --account india",
}


def add_examples(command: click.Command, name: str) -> None:
    """End the help of a command, and of the commands in a group, with its example."""
    if name in EXAMPLES:
        # The mark keeps the line whole, so that it can be copied.
        command.epilog = f"\b\nExample:\n  {EXAMPLES[name]}"
    if isinstance(command, click.Group):
        for below, one in command.commands.items():
            add_examples(one, f"{name} {below}")
