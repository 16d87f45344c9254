"""What a provider sends instead of recordings is never stored, and is told in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import httpx
import pytest

from .deployment import Deployment, account_toml
from .servers import free_port
from .simulators import Simulators
from .waiting import LOADED_SECONDS, eventually

DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"
Deploy = Callable[..., Deployment]

#: What is sent in place of the ZIP, the error that callers get, and words that people are told.
ZIPS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "html": ("answer", {"status": 200, "body": "html"}, "NotReady", "a page of HTML"),
    "json": ("answer", {"status": 200, "body": "json"}, "NotReady", "JSON"),
    "nothing": ("answer", {"status": 200, "body": "empty"}, "NotReady", "an empty body"),
    "truncated": ("truncated_zip", {"missing_bytes": 700}, "Damaged", "end"),
    "cut": ("cut", {"after_bytes": 4000, "how": "clean"}, "Damaged", "end"),
    "crc": ("bad_crc", {}, "Damaged", "checksum"),
    "bomb": ("zip_bomb", {}, "Dangerous", "times"),
    "climbing": ("bad_name", {"name": "../../evil.mp3"}, "Dangerous", ".."),
    "encrypted": ("encrypted_member", {}, "Dangerous", "encrypted"),
}

#: The same for a single recording.
SINGLES: dict[str, tuple[str, dict[str, Any], str]] = {
    "html": ("answer", {"status": 200, "body": "html"}, "HTML"),
    "nothing": ("answer", {"status": 200, "body": "empty"}, "empty"),
    "cut": ("cut", {"after_bytes": 1500, "how": "clean"}, "is cut"),
    "padded": ("padded", {"bytes": 10}, "lists"),
}


@contextmanager
def flower(house: Deployment) -> Iterator[Callable[[str], dict[str, Any]]]:
    """A real Flower: what it says of a task, and nothing while it does not know the task."""
    port = free_port()
    house.celery(
        "flower", "--address=127.0.0.1", f"--port={port}", "--basic-auth=ops:secret", name="flower"
    )
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        auth=("ops", "secret"),
        timeout=LOADED_SECONDS,
        trust_env=False,
    ) as client:

        def up() -> bool:
            try:
                return client.get("/healthcheck").status_code == 200
            except httpx.HTTPError:
                return False

        def told(task_id: str) -> dict[str, Any]:
            answer = client.get(f"/api/task/info/{task_id}")
            return dict(answer.json()) if answer.status_code == 200 else {}

        eventually(up, what="Flower did not start")
        yield told


def archived_files(house: Deployment) -> list[str]:
    """Everything in the archive but what says whose it is."""
    return [path for path in house.store.paths() if path != "ledger.json"]


def test_what_is_no_whole_and_harmless_zip_is_never_stored(
    deploy: Deploy, simulators: Simulators
) -> None:
    """An HTML page with status 200, JSON, nothing, a truncated ZIP, one that ends cleanly in the
    middle, a bad CRC, a bomb, ``../`` names, an encrypted member: nothing of them is in the
    archive, and status and Flower tell why. A ZIP that was refused is set aside, since the export
    may be gone by then, and the reason says where.
    """
    sections = []
    for name, (kind, parameters, _, _) in ZIPS.items():
        account = simulators.vonage.account(username=f"{name}@vbc.prod")
        account.seed(DAY, ZONE, 3)
        account.configure(ready_after_polls=0)
        account.fault("retrieve", kind, times=None, **parameters)
        sections.append(account_toml(name, account.configuration()))
    house = deploy("\n".join(sections), settings={"POLL_DEADLINE_HOURS": "0.001"})
    with house.producer() as app, flower(house) as told:
        house.worker()
        created = {
            name: house.send(app, "export.create", account=name, filters={}) for name in ZIPS
        }
        retrieved = {
            name: house.send(
                app,
                "export.retrieve",
                account=name,
                provider_job_id=job.get(timeout=60)["provider_job_ids"][0],
            )
            for name, job in created.items()
        }
        for name, (_, _, error, words) in ZIPS.items():
            failed = retrieved[name].get(timeout=60, propagate=False)
            assert type(failed).__name__ == error, (name, failed)
            assert str(failed).startswith("not done: "), (name, failed)
            assert words in str(failed), (name, failed)
            aside = list((house.spool / "refused").glob(f"{name}-*.zip"))
            assert len(aside) == (error != "NotReady"), (name, aside)
            assert all(f"set aside as {path}" in str(failed) for path in aside), (name, failed)
            shown = eventually(
                lambda name=name: (  # type: ignore[misc]
                    info if (info := told(retrieved[name].id)).get("state") == "FAILURE" else None
                ),
                what=f"Flower does not know of {name}",
            )
            assert words in shown["exception"], (name, shown["exception"])
    status = json.loads(house.run("status", "--kind", "export.retrieve", "--json").stdout)
    reasons = {job["account"]: job["reason"] for job in status}
    for name, (_, _, _, words) in ZIPS.items():
        assert words in reasons[name], (name, reasons[name])
    assert archived_files(house) == []


def test_what_is_no_whole_recording_is_never_stored(deploy: Deploy, simulators: Simulators) -> None:
    """A single recording that is an HTML page, empty, cut or of another size than listed."""
    sections = []
    ids = {}
    for name, (kind, parameters, _) in SINGLES.items():
        account = simulators.vonage.account(username=f"{name}@vbc.prod")
        ids[name] = account.seed(DAY, ZONE, 1)[0]["id"]
        account.fault("audio", kind, times=None, **parameters)
        sections.append(account_toml(name, account.configuration()))
    house = deploy("\n".join(sections))
    house.worker()
    with house.producer() as app:
        asked = {
            name: house.send(app, "recording.download", account=name, recording_id=str(ids[name]))
            for name in SINGLES
        }
        for name, (_, _, words) in SINGLES.items():
            failed = asked[name].get(timeout=60, propagate=False)
            assert type(failed).__name__ == "Damaged", (name, failed)
            assert words in str(failed), (name, failed)
            assert str(ids[name]) in str(failed), (name, failed)
    assert archived_files(house) == []


def test_a_damaged_export_does_not_lose_the_day(deploy: Deploy, simulators: Simulators) -> None:
    """Where no ZIP comes whole, every recording of the day is fetched on its own."""
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.seed(DAY, ZONE, 5)
    account.configure(ready_after_polls=0)
    account.fault("retrieve", "bad_crc", times=None)
    house = deploy(account_toml("india", account.configuration(), {}))
    house.worker()
    with house.producer() as app:
        run = house.send(app, "export.run", account="india", day=DAY.isoformat())
        result = run.get(timeout=60)
    assert (result["listed"], result["archived"], result["missing"]) == (5, 5, 0)
    assert list(house.archive.rglob("*.zip")) == []
    assert len(list(house.archive.rglob("recordings/*/*/*/*.mp3"))) == 5


def test_a_zip_damaged_once_is_fetched_again(deploy: Deploy, simulators: Simulators) -> None:
    """What came damaged is dropped whole and fetched from its first byte."""
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.seed(DAY, ZONE, 3)
    account.configure(ready_after_polls=0)
    account.fault("retrieve", "bad_crc", times=1)
    house = deploy(account_toml("india", account.configuration(), {}))
    house.worker()
    with house.producer() as app:
        run = house.send(app, "export.run", account="india", day=DAY.isoformat())
        assert run.get(timeout=60)["archived"] == 3
    (export,) = simulators.log.exports()
    first, second = simulators.log.transfers(export["job_ids"][0])
    assert (first["range"], second["range"]) == (None, None)
    assert len(list(house.archive.rglob("*.zip"))) == 1


@pytest.mark.parametrize(
    "switch", [{"members": "renamed"}, {"members": "id"}, {"members": "folder"}]
)
def test_member_names_of_other_kinds(
    deploy: Deploy, simulators: Simulators, switch: dict[str, str]
) -> None:
    """Members named by id, in folders, or by nothing that can be understood: the day is matched, or
    ends incomplete with three of the names, and nothing is fetched singly.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    # Equal sizes: nothing but a name can tell one from another.
    account.seed(DAY, ZONE, 5, size_bytes=4000)
    account.configure(ready_after_polls=0, **switch)
    house = deploy(account_toml("india", account.configuration(), {}))
    house.worker()
    with house.producer() as app:
        run = house.send(app, "export.run", account="india", day=DAY.isoformat())
        ended = run.get(timeout=60, propagate=False)
    if switch["members"] != "renamed":
        assert ended["archived"] == 5
        return
    assert type(ended).__name__ == "Incomplete"
    assert "member names not understood" in str(ended)
    assert simulators.log.requests("audio", None) == []
    assert len(list(house.archive.rglob("*.zip"))) == 1
