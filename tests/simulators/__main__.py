"""python -m tests.simulators: the simulated providers as a server of their own."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .server import Simulators

TIMEZONE = "Asia/Kolkata"


def main() -> None:
    """Serves until SIGINT or SIGTERM. The first line printed ends with the address."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulators", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--data", type=Path, help="keeps archives and log.jsonl here")
    parser.add_argument(
        "--sandbox",
        action="store_true",
        help="makes accounts, one with recordings of the last two days, and prints them",
    )
    arguments = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with Simulators(arguments.port, arguments.host, arguments.data) as simulators:
        print(f"simulators at {simulators.url}", flush=True)
        if arguments.sandbox:
            print(sandbox(simulators), flush=True)
        stopped.wait()


def sandbox(simulators: Simulators) -> str:
    """An account with recordings and one for certified calls, as sections of accounts.toml."""
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    today = datetime.now(UTC).date()
    for days in (2, 1):
        account.seed(today - timedelta(days=days), TIMEZONE, 10)
    calling = simulators.gsmblockchain.account(username="myuser")
    sections = [
        section("sandbox", account.configuration()),
        section("sandbox_calls", calling.configuration()),
    ]
    return "\n".join(sections)


def section(alias: str, configuration: Mapping[str, Any]) -> str:
    """An account's section of accounts.toml, after an empty line."""
    lines = [f"\n[accounts.{alias}]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in configuration.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
