"""python -m tests.simulators: the simulated providers as a server of their own."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import threading
import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from .server import Simulators
from .vonage_variants import GLOBAL, region_of

TIMEZONE = "Asia/Kolkata"
NIGHTLY = {"at": "02:30", "timezone": TIMEZONE}
COMPANY = {"company_name": "MyCompany", "company_id": "A4562154"}


def main() -> None:
    """Serve until SIGINT or SIGTERM. The first line printed ends with the address."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulators", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free port")
    parser.add_argument("--data", type=Path, help="keep archives and log.jsonl here")
    parser.add_argument(
        "--sandbox",
        action="store_true",
        help="create and print accounts: one of each Vonage API, with recordings of the last two "
        "days, and one for certified calls",
    )
    parser.add_argument(
        "--accounts",
        type=Path,
        metavar="FILE",
        help="create the Vonage and gsmblockchain accounts of an accounts.toml, the former "
        "with recordings of the last two days",
    )
    parser.add_argument(
        "--into",
        type=Path,
        metavar="FOLDER",
        help="with --sandbox: write the accounts and the settings to use them here",
    )
    parser.add_argument("--url", help="the address that others reach (default: its own)")
    arguments = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    place = (arguments.port, arguments.host, arguments.data, arguments.url)
    try:
        server = Simulators(*place)
    except OSError as error:
        parser.exit(
            1,
            f"cannot listen at {arguments.host}:{arguments.port}: {error.strerror}; stop the other "
            "program there, such as another sandbox, or say another --port\n",
        )
    with server as simulators:
        print(f"simulators at {simulators.url}", flush=True)
        if arguments.accounts:
            play(simulators, tomllib.loads(arguments.accounts.read_text()).get("accounts", {}))
        if arguments.sandbox:
            accounts = sandbox(simulators)
            print(accounts, flush=True)
            if arguments.into:
                print(f"\n{write_sandbox(arguments.into.resolve(), accounts)}", flush=True)
        stopped.wait()


def write_sandbox(folder: Path, accounts: str) -> str:
    """Write the accounts, and settings that name them and keep all data in the folder; return what
    to type.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "accounts.toml"
    file.touch()
    file.chmod(0o600)
    file.write_text(accounts)
    settings = {
        "ACCOUNTS_FILE": file,
        "LEDGER_URL": f"sqlite:///{folder / 'ledger.sqlite3'}",
        "ARCHIVE_URL": folder / "archive",
        "SPOOL_DIR": folder / "spool",
    }
    lines = [
        f"export EARWITNESS_{name}={shlex.quote(str(value))}\n" for name, value in settings.items()
    ]
    (folder / "env").write_text("".join(lines))
    return (
        f"These accounts work until this program ends; they are in {file}. In every other "
        f"terminal, first type: . {shlex.quote(str(folder / 'env'))}"
    )


def sandbox(simulators: Simulators) -> str:
    """An account of each of Vonage's APIs with recordings and one for certified calls, as sections
    of accounts.toml.
    """
    india = simulators.vonage.account(username="john.doe@vbc.prod")
    abroad = simulators.vonage.account(username="jane.doe@vbc.prod", region=GLOBAL.region)
    for account in (india, abroad):
        seed(account, TIMEZONE)
    calling = simulators.gsmblockchain.account(username="myuser")
    sections = [
        section("sandbox", {**india.configuration(), "nightly": NIGHTLY}),
        section("sandbox_calls", {**calling.configuration(), **COMPANY}),
        section("sandbox_global", abroad.configuration()),
    ]
    return "\n".join(sections)


def play(simulators: Simulators, accounts: Mapping[str, Mapping[str, Any]]) -> None:
    """Make the accounts that an accounts file names, with their credentials."""
    for told in accounts.values():
        if told["provider"] == "vonage":
            names = ("username", "password", "client_id", "client_secret", "login_name")
            given = {name: told[name] for name in names}
            account = simulators.vonage.account(region=region_of(told), **given)
            seed(account, told.get("nightly", {}).get("timezone", TIMEZONE))
        elif told["provider"] == "gsmblockchain":
            names = ("username", "password")
            simulators.gsmblockchain.account(**{name: told[name] for name in names})


def seed(account: Any, timezone: str) -> None:
    """Give an account recordings of the two days before today, with its user's on-demand ones
    where its API has them.
    """
    today = datetime.now(ZoneInfo(timezone)).date()
    for days in (2, 1):
        account.seed(today - timedelta(days=days), timezone, 10)
        if account.region == GLOBAL.region:
            account.seed(today - timedelta(days=days), timezone, 5, user_id="self")


def section(alias: str, configuration: Mapping[str, Any]) -> str:
    """An account's section of accounts.toml, after an empty line."""
    tables = {name: value for name, value in configuration.items() if isinstance(value, Mapping)}
    lines = [f"\n[accounts.{alias}]"]
    for name, value in configuration.items():
        if name not in tables:
            lines.append(f"{name} = {json.dumps(value)}")
    for name, table in tables.items():
        lines.append(section(f"{alias}.{name}", table))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
