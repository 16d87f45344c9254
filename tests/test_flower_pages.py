"""What docs/flower.md promises of Flower's pages, seen in a real Chromium, 1440 pixels wide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from celery import Celery

from .browsers import Page, needs_chromium, page
from .certified_calls import ASKED
from .dashboards import Dashboard, caller, dashboard
from .deployment import Deployment, account_toml
from .simulators import Simulators
from .waiting import eventually

pytestmark = needs_chromium

DAY = date(2026, 11, 10)
EARLIER = "2026-11-09"
ZONE = "Asia/Kolkata"
WIDTH = 1440
#: The call that a test decides; of the other one the others say that it needs a decision.
DECIDED = "notice-of-eviction-4712"
#: A browser without a password; Flower listens on this machine alone.
OPEN = {"FLOWER_BASIC_AUTH": None, "FLOWER_UNAUTHENTICATED_API": "true"}
#: Every row of the table as a reader of the page has it: the texts of its cells, by column.
ROWS = """
(() => {
    const heads = [...document.querySelectorAll("#tasks-table thead th")];
    const names = heads.map(th => th.dataset.column);
    return [...document.querySelectorAll("#tasks-table tbody tr")].map(tr => Object.fromEntries(
        [...tr.cells].map((td, index) => [names[index], td.innerText.trim()])
    ));
})()
"""
#: The elements that are wider inside than outside, and whose reader would have to scroll.
WIDER = """
[document.documentElement, ...document.querySelectorAll("body, main, .dataTables_scrollBody, td")]
    .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.className || one.tagName)
"""
#: The texts of a row that the window cuts off.
OUTSIDE = f"""
[...document.querySelectorAll("#tasks-table tbody td *")]
    .filter(one => one.getBoundingClientRect().right > {WIDTH}).map(one => one.textContent)
"""


@dataclass
class Scene:
    """A night with everything that can happen to a task, and a page that shows it."""

    house: Deployment
    flowers: ExitStack
    shown: Dashboard
    page: Page
    tasks: dict[str, str]

    def restart(self) -> None:
        """Stop Flower and start another, which any other test may find in its place."""
        assert self.shown.process.stop() == 0
        self.shown = self.flowers.enter_context(dashboard(self.house, **OPEN))

    def open(self, path: str) -> None:
        self.page.open(f"{self.shown.stranger.base_url}{path}".replace("//t", "/t"))

    def rows(self, query: str = "") -> list[dict[str, str]]:
        """The rows of the Tasks page, once all are there."""
        self.open(f"/tasks{query}")
        return list(eventually(lambda: self.page.value(ROWS), what="the page showed no rows"))

    def row(self, about: str, name: str) -> dict[str, str]:
        """The one row of what the task is about and of its name."""
        rows = [
            one
            for one in self.rows()
            if (one["kwargs"], one["name"]) == (about, f"earwitness.{name}")
        ]
        assert len(rows) == 1, self.rows()
        return rows[0]


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory,
    deploy_for_module: Any,
    simulators_of_module: Simulators,
) -> Iterator[Scene]:
    """A day that comes whole, one that is not ready, two calls
    that need a decision, a list, a refusal; opened by an application, the planner and a command;
    and an account that is younger than Flower.
    """
    made = _accounts(simulators_of_module)
    younger = made.pop("younger")
    house = deploy_for_module(
        "\n".join(made.values()), settings={"POLL_FIRST_SECONDS": "600", "POLL_MAX_SECONDS": "900"}
    )
    with (
        ExitStack() as flowers,
        caller(house) as app,
        page(tmp_path_factory.mktemp("chromium"), width=WIDTH) as seen,
    ):
        shown = flowers.enter_context(dashboard(house, **OPEN))
        house.accounts_file.write_text("\n".join([*made.values(), younger]))
        house.worker()
        yield Scene(house, flowers, shown, seen, _happen(house, shown, app))


def _accounts(simulators: Simulators) -> dict[str, str]:
    sections = {}
    for name in ("india", "mumbai", "younger"):
        account = simulators.vonage.account(username=f"{name}@vbc.prod")
        account.seed(DAY, ZONE, 3)
        account.seed(date.fromisoformat(EARLIER), ZONE, 2)
        account.configure(ready_after_polls=10_000 if name == "mumbai" else 0)
        sections[name] = account_toml(name, account.configuration())
    platform = simulators.gsmblockchain.account()
    platform.fault("call", "reset", times=2)
    sections["legal"] = account_toml("legal", platform.configuration())
    return sections


def _happen(house: Deployment, shown: Dashboard, app: Celery) -> dict[str, str]:
    day = DAY.isoformat()
    sent = {
        name: house.send(app, "export.run", account=name, day=day).id
        for name in ("india", "mumbai", "younger")
    }
    call = {**ASKED, "request_id": "notice-of-termination-4711"}
    sent["call"] = house.send(app, "certified_call.request", **call).id
    shown.task(sent["call"], "FAILURE")
    house.ledger.accounts.resume("legal")
    call["request_id"] = DECIDED
    sent["decided"] = house.send(app, "certified_call.request", **call).id
    sent["list"] = house.send(app, "recording.list", account="india").id
    sent["plan"] = house.send(app, "nightly.plan").id
    sent["refused"] = house.send(
        app, "recording.download", account="india", recording_id="404404", request_id="appeal-7"
    ).id
    window = [f"start:gte={day}T00:00:00Z", f"start:lte={day}T09:00:00Z"]
    filters = [word for one in window for word in ("--filter", one)]
    for arguments in (
        ("export", "run", "--account", "india", "--request-id", "morning", *filters),
        ("export", "--account", "mumbai", "--from", EARLIER, "--to", EARLIER),
    ):
        told = house.run(*arguments)
        assert told.returncode == 0, told.stdout + told.stderr
    ends = dict.fromkeys(("india", "younger", "list", "plan"), "SUCCESS")
    ends |= {"mumbai": "RETRY", "decided": "FAILURE", "refused": "FAILURE"}
    for name, state in ends.items():
        shown.task(sent[name], state)
    return sent


def test_every_column_fits(scene: Scene) -> None:
    """Nothing scrolls sideways, and nothing of a row lies outside the window."""
    assert len(scene.rows()) >= 8
    assert scene.page.value("window.innerWidth") == WIDTH
    assert scene.page.value(WIDER) == []
    assert scene.page.value(OUTSIDE) == []


def test_every_row_says_what_it_is_about(scene: Scene) -> None:
    """Account and day, or the request id: of tasks that an application sent, that a command opened,
    of their parts, and of an account that is younger than Flower.
    """
    listed = {(one["name"].removeprefix("earwitness."), one["kwargs"]) for one in scene.rows()}
    days = {f"india {DAY}", f"younger {DAY}", f"mumbai {DAY}", f"mumbai {EARLIER}"}
    assert {about for name, about in listed if name == "export.run"} == {*days, "india morning"}
    parts = {about for name, about in listed if name == "export.retrieve"}
    morning = parts - days
    assert parts >= days
    assert [
        re.fullmatch(r"india [0-9a-f]{8}/[0-9a-f]{8}", about) is not None for about in morning
    ] == [True]
    assert {about for name, about in listed if "export" not in name} == {
        "",  # the plan is of no account
        "india",
        "india appeal-7",
        "legal notice-of-termination-4711",
        f"legal {DECIDED}",
    }


def test_the_state_is_said_in_words(scene: Scene) -> None:
    """What waits says for what and until when, what failed why, what is done what came of it."""
    call = scene.row("legal notice-of-termination-4711", "certified_call.request")
    assert call["state"] == "NEEDS A DECISION"
    assert call["result"].startswith("NEEDS A DECISION: the certified call may have been placed")

    def part_waits() -> dict[str, str] | None:
        part = scene.row(f"mumbai {DAY}", "export.retrieve")
        return part if part["state"] == "WAITS" else None

    part = eventually(part_waits, what="the part does not wait")
    assert re.fullmatch(
        r"WAITS: not ready yet .*, next try (\d{4}-\d\d-\d\d )?\d\d:\d\d UTC", part["result"]
    )
    assert scene.row(f"mumbai {DAY}", "export.run")["result"] == "WAITS: for 1 part"
    assert scene.row("", "nightly.plan")["result"] == "DONE"
    refused = scene.row("india appeal-7", "recording.download")
    assert refused["result"].startswith("FAILED: Rejected: recording 404404: HTTP 404")
    done = scene.row(f"younger {DAY}", "export.run")
    assert done["state"] == "DONE"
    assert done["result"].startswith("DONE: listed: 2, archived: 2, missing: 0, manifest: younger/")


def test_the_command_of_every_job_is_ready(scene: Scene) -> None:
    """Each row of a job, and its own page, has the command that shows it; it works unchanged."""
    for row in scene.rows():
        has_job = row["name"] not in ("earwitness.recording.list", "earwitness.nightly.plan")
        assert ("earwitness show " in row["uuid"]) == has_job, row
    scene.open(f"/task/{scene.tasks['call']}")
    card = scene.page.value("document.querySelector('#earwitness-job').innerText")
    assert "NEEDS A DECISION: the certified call may have been placed" in card
    assert "legal notice-of-termination-4711" in card
    command = scene.page.value(
        "document.querySelector('#earwitness-job [data-copies]').dataset.copies"
    )
    told = scene.house.run(*command.split()[1:])
    assert told.returncode == 0, told.stderr
    assert "notice-of-termination-4711" in told.stdout


def test_a_decision_is_shown(scene: Scene) -> None:
    """Once a person has decided, the row says what, in place of what waits."""
    decided = ("--placed", "--by", "ana", "--note", "María López confirmed")
    told = scene.house.run("resolve", DECIDED, *decided)
    assert told.returncode == 0, told.stderr
    task = scene.tasks["decided"]
    said = "DONE: decided: the call was placed; run earwitness show "

    def is_shown() -> bool:
        return any(row["uuid"] == task and row["words"].startswith(said) for row in rows())

    def rows() -> list[dict[str, Any]]:
        return list(scene.shown.rows().values())

    eventually(is_shown, what=f"Flower does not say {said!r}: {rows()}")
    assert "López" not in repr(rows())


def test_flower_keeps_what_it_knows(scene: Scene) -> None:
    """After a restart every row reads as before."""
    before = {one["uuid"]: one for one in scene.shown.rows().values()}
    scene.restart()
    after = scene.shown.rows()
    kept = ("words", "about", "command", "job")
    assert {task: [row[name] for name in kept] for task, row in after.items()} == {
        task: [row[name] for name in kept] for task, row in before.items()
    }
