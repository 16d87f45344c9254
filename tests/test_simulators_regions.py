"""The Vonage simulator's two APIs beside each other: whose account is subscribed to which."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest

from tests.simulators import Simulators
from tests.simulators.remote import ROOT, Remote, running
from tests.visitor import COMPANY, ON_DEMAND, Visitor

DAY = date(2026, 11, 19)
ZONE = "Asia/Kolkata"


@pytest.fixture(scope="module")
def simulators() -> Iterator[Simulators]:
    """One entrance for all tests of this file, each with accounts of its own."""
    with Simulators() as running:
        yield running


def test_a_token_is_good_for_the_api_it_was_subscribed_to(
    simulators: Simulators,
) -> None:
    """The token endpoint is one, but each API refuses the other's tokens with 403."""
    accounts = [simulators.vonage.account(region=region) for region in ("india", "global")]
    with Visitor(accounts[0]) as indian, Visitor(accounts[1]) as abroad:
        assert indian.configuration["token_url"] == abroad.configuration["token_url"]
        for one, other in ((abroad, indian), (indian, abroad)):
            headers = {"Authorization": f"Bearer {one.token}"}
            url = f"{other.configuration['base_url']}/api/{COMPANY}"
            refused = one.http.get(url, headers=headers)
            assert (refused.status_code, refused.json()["fault"]["code"]) == (403, 900908)
            assert one.page().status_code == 200


def test_india_has_no_on_demand_recordings(simulators: Simulators) -> None:
    """The API of India knows no such path, and a wish for such recordings is refused."""
    account = simulators.vonage.account(ready_after_polls=0)
    with pytest.raises(ValueError, match="the india API has no on-demand recordings"):
        account.seed(DAY, ZONE, 1, user_id="self")
    account.seed(DAY, ZONE, 1)
    one = account.recordings()[0]["id"]
    asked = [("GET", ""), ("GET", f"/{one}"), ("DELETE", f"/{one}"), ("POST", "/export")]
    with Visitor(account) as visitor:
        for method, path in asked:
            refused = visitor.ask(method, ON_DEMAND + path, json={})
            assert (refused.status_code, refused.json()["fault"]["code"]) == (404, 900906)
        assert visitor.listed() == [one]
        (job,) = visitor.export()
        assert visitor.ask("GET", f"bulkDownload/retrieve?jobId={job}").status_code == 404
        assert visitor.retrieve(job).status_code == 200


def test_a_wish_for_an_unknown_api_or_user_is_refused(simulators: Simulators) -> None:
    """The error names what there is."""
    with pytest.raises(ValueError, match=r"region is one of \['global', 'india'\], not 'mars'"):
        simulators.vonage.account(region="mars")
    account = simulators.vonage.account(region="global")
    with pytest.raises(ValueError, match="has no user 7"):
        account.recordings("7")


@pytest.mark.parametrize("region", ["india", "global"])
def test_credentials_and_addresses_make_a_section(simulators: Simulators, region: str) -> None:
    """What the control answers over HTTP is all that accounts.toml needs, and nothing else."""
    control = f"{simulators.url}/_simulator/vonage"
    asked = {"account": {"username": f"{region}@vbc.prod", "region": region}}
    asked["addresses"] = {"region": region}
    section: dict[str, str] = {"provider": "vonage"}
    for method, arguments in asked.items():
        section |= httpx.post(f"{control}/{method}", json=arguments, trust_env=False).json()
    account = simulators.vonage.account(f"{region}@vbc.prod")
    assert section | {"account_id": "self"} == account.configuration()
    assert account.region == region


def test_another_process_has_the_global_api_too(tmp_path: Path) -> None:
    """Region, on-demand recordings and their exports work over HTTP control."""
    with running(tmp_path) as simulators:
        account = simulators.vonage.account("jane.doe@vbc.prod", region="global")
        made = account.seed(DAY, ZONE, 3, user_id="self")
        assert simulators.vonage.account("jane.doe@vbc.prod").region == "global"
        with Visitor(account) as visitor:
            assert set(visitor.listed(ON_DEMAND)) == {one["id"] for one in made}
            visitor.export(ON_DEMAND)
        assert account.jobs()[0]["recording_ids"] == [one["id"] for one in made]


def test_accounts_of_a_file_are_of_the_api_they_name(tmp_path: Path) -> None:
    """--accounts reads the API from region or base_url; --sandbox prints a global account. Both
    come with recordings of each kind.
    """
    names = ("username", "password", "client_id", "client_secret", "login_name")
    common = {name: f"some {name}" for name in names} | {"provider": "vonage"}
    sections = {
        "by_url": {"base_url": "https://api.vonage.com/t/vbc.prod/call_recording"},
        "by_region": {"region": "global"},
        "india": {"base_url": "https://api.vonage.com/t/vbc.prod/call_recording_india"},
        "unsaid": {},
    }
    lines = []
    for alias, more in sections.items():
        values = {**common, "username": alias, **more}
        lines += [f"[accounts.{alias}]", *(f"{k} = {json.dumps(v)}" for k, v in values.items())]
    file = tmp_path / "accounts.toml"
    file.write_text("\n".join(lines))
    command = [sys.executable, "-m", "tests.simulators", "--sandbox", "--accounts", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            simulators = Remote(process.stdout.readline().split()[-1])
            printed = ""
            for line in process.stdout:
                printed += line
                if "[accounts.sandbox_global]" in printed and line.startswith("client_secret"):
                    break
            section = tomllib.loads(printed)["accounts"]["sandbox_global"]
            made = {alias: simulators.vonage.account(alias) for alias in sections}
            made["printed"] = simulators.vonage.account(section["username"])
            assert made["printed"].configuration() == section
            held = {alias: (one.region, len(one.recordings())) for alias, one in made.items()}
            on_demand = {alias: len(one.recordings("self")) for alias, one in made.items()}
        finally:
            process.terminate()
    everywhere = dict.fromkeys(("by_url", "by_region", "printed"), ("global", 20))
    assert held == everywhere | dict.fromkeys(("india", "unsaid"), ("india", 20))
    assert on_demand == dict.fromkeys(everywhere, 10) | {"india": 0, "unsaid": 0}
