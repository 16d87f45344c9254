"""``calls`` and ``record``: live calls on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from .deployment import Deployment, account_toml
from .live_calls import LiveHouse, live_house
from .simulators import Simulators


@pytest.fixture
def live(deploy: Callable[..., Deployment], simulators: Simulators) -> LiveHouse:
    """A house with a worker."""
    made = live_house(deploy, simulators)
    made.house.worker()
    return made


def test_a_call_is_listed_and_recorded(live: LiveHouse) -> None:
    """What ``calls`` shows is what ``record`` takes; it ends when the recording is confirmed, and
    the list then says so. The same request id asks for the same recording.
    """
    call = live.app.begin_call(other="0003*211")
    shown = live.house.run("calls", "--account", "pbx")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert call["id"] in shown.stdout
    assert "01 of 0003*210" in shown.stdout
    asked = ["record", "--account", "pbx", "--call", call["id"], "--extension", "0003*211"]
    done = live.house.run(*asked, "--request-id", "r1")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"view 00 of call {call['id']} is being recorded as wav since " in done.stdout
    assert "not collected: VoipNow offers no way to fetch a file" in done.stdout
    again = live.house.run(*asked, "--request-id", "r1", "--json")
    result = json.loads(again.stdout)
    assert result["job_id"] in done.stdout
    (listed,) = json.loads(live.house.run("calls", "--account", "pbx", "--json").stdout)
    since = {view["view_id"]: view["recording"] for view in listed["views"]}
    assert since == {"00": result["recording_since"], "01": None}
    assert live.outcomes() == ["started"]


def test_what_fails_is_one_sentence(live: LiveHouse) -> None:
    """A call that is gone is status 1 and its reason; what is wrong is status 2, without a job."""
    call = live.app.begin_call()
    live.app.end_call(call["id"])
    asked = ["record", "--account", "pbx", "--call", call["id"]]
    gone = live.house.run(*asked)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr.startswith("earwitness: not done: ")
    assert "list the calls" in gone.stderr
    assert len(gone.stderr.splitlines()) == 1
    for wrong, named in (
        ([*asked, "--format", "mp3"], "format"),
        (["record", "--account", "nobody", "--call", "1"], "account"),
        (["calls", "--account", "pbx", "--extension", "210"], "extension"),
        (["calls", "--account", "nobody"], "account"),
    ):
        refused = live.house.run(*wrong)
        assert refused.returncode == 2
        assert f"not done: {named}: " in refused.stderr
    assert live.house.ledger.jobs.counts() == {"failed": 1}


def test_without_redis_it_says_so(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """``calls`` needs no worker and no Redis; ``record`` ends with one sentence that says where to
    look.
    """
    live = live_house(deploy, simulators)
    call = live.app.begin_call()
    live.house.valkey.kill()
    assert call["id"] in live.house.run("calls", "--account", "pbx").stdout
    done = live.house.run("record", "--account", "pbx", "--call", call["id"])
    assert done.returncode == 1
    assert "unknown: Redis does not answer" in done.stderr
    assert "earwitness show" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_accounts_of_live_calls_are_tried_without_harm(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """``accounts check`` lists the calls at VoipNow and Ozeki, starts nothing, and says what is
    wrong where credentials are.
    """
    app, office = simulators.voipnow.account(), simulators.ozeki.account()
    app.begin_call()
    office.call()
    office.call()
    wrong = {"client_id": "nobody", "client_secret": "sesame"}
    other = {"username": "nobody", "password": "sesame"}
    sections = {
        "pbx": app.configuration(),
        "office": office.configuration(),
        "pbx_wrong": {**app.configuration(), **wrong},
        "office_wrong": {**office.configuration(), **other},
    }
    house = deploy("\n".join(account_toml(alias, told) for alias, told in sections.items()))
    done = house.run("accounts", "check", "--json")
    assert done.returncode == 1
    found = {one["account"]: one for one in json.loads(done.stdout)}
    assert [found[alias]["outcome"] for alias in sections] == ["ok", "ok", "failed", "failed"]
    assert found["pbx"]["about"] == "1 call in progress"
    assert found["office"]["about"] == "2 calls in progress"
    assert "sesame" not in done.stdout + done.stderr
    assert (app.actions(), office.recordings()) == ([], [])
    assert {path.name for path in house.folder.iterdir()} == {"accounts.toml"}
