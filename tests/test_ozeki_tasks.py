"""From recording.start on a live call of an Ozeki server to the file in the archive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ledger.core import states
from tasks.errors import Expired, InvalidArgument, Rejected

from .deployment import Deployment
from .ozeki_house import ozeki_house
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]


@pytest.mark.parametrize("form", ["mp3", "wav"])
def test_by_http_from_start_to_archive(deploy: Deploy, simulators: Simulators, form: str) -> None:
    """A live call is recorded; when it ends, the file lies in the archive with its metadata, under
    the chain, byte for byte what the telephone system made.
    """
    office = ozeki_house(deploy, simulators)
    office.hooks()
    office.house.worker()
    call_id = office.pbx.call()

    with office.house.producer() as app:
        result = office.ask(app, call_id, format=form).get(timeout=60)
    assert (result["call_id"], result["format"], result["collected"]) == (call_id, form, True)
    assert result["recording_since"]

    office.pbx.end(call_id)
    job = office.collected()
    assert job.job_id == result["collect_job_id"]
    (made,) = office.pbx.recordings()
    assert job.result is not None
    assert (job.result["sha256"], job.result["bytes"]) == (made["sha256"], made["bytes"])
    folder, _, name = job.result["path"].rpartition("/")
    assert folder.startswith("office/recordings/20")
    assert name == f"{job.job_id}.{form}"
    told = office.archived(job)
    assert told["provider"] == "ozeki"
    assert told["recording"]["call_id"] == call_id
    assert told["recording"]["file_name"] == made["file_name"]
    verified = office.house.run("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize(
    ("control", "given"),
    [
        ("ozml_third_party", {"announcement": "This call is recorded"}),
        ("ozml_extension", {"max_seconds": 60, "finish_digits": "#", "silence_seconds": 5}),
    ],
)
def test_by_ozml_from_start_to_archive(
    deploy: Deploy, simulators: Simulators, control: str, given: dict[str, Any]
) -> None:
    """The next notification of the call is answered with the document, as it was asked for; the
    start ends then, and the recording's end brings the file into the archive.
    """
    office = ozeki_house(deploy, simulators, control)
    office.hooks()
    office.house.worker()
    call_id = office.pbx.call(state="Ringing")

    with office.house.producer() as app:
        asked = office.ask(app, call_id, **given)
        _until_recorded(office, call_id)
        assert asked.get(timeout=60)["collected"] is True

    office.pbx.end(call_id)
    job = office.collected()
    (made,) = office.pbx.recordings()
    assert made["via"] == "ozml"
    assert job.result is not None
    assert job.result["sha256"] == made["sha256"]
    assert office.archived(job)["recording"]["control"] == control
    # The end was answered with nothing to do: with another Record it would never end.
    answers = [sent["answer"] for sent in office.notified("RecordCompleted")]
    assert len(answers) == 1
    assert "Record" not in answers[0]


def _until_recorded(office: Any, call_id: str) -> None:
    """The call goes on, and tells of it, until one of its notifications was answered."""
    office.armed()

    def recorded() -> bool:
        office.pbx.change(call_id, "InCall")
        return bool(office.pbx.recordings())

    eventually(recorded, what="no notification was answered with the document")


def test_who_asks_for_a_collection(deploy: Deploy, simulators: Simulators) -> None:
    """Who asks for a call's collection joins the one that the start opened; the start's notify is
    told of both ends.
    """
    office = ozeki_house(deploy, simulators)
    office.hooks()
    office.house.worker()
    with office.house.producer() as app:
        call_id = office.recorded(notify={"task": "crm.told", "queue": "crm"})
        asked = office.house.send(app, "recording.collect", account="office", call_id=call_id)
        unknown = office.house.send(app, "recording.collect", account="office", call_id="none")
        with pytest.raises(InvalidArgument, match="call_id"):
            unknown.get(timeout=60)
        office.pbx.end(call_id)
        result = asked.get(timeout=60)
    job = office.collected()
    assert job.result is not None
    assert result == {"job_id": job.job_id, **job.result}
    with office.house.valkey.client() as client:
        eventually(lambda: client.llen("crm") == 2, what="two ends were not told")


def test_the_call_is_gone(deploy: Deploy, simulators: Simulators) -> None:
    """A start that comes after the call's end fails at once, and so does its collection."""
    office = ozeki_house(deploy, simulators)
    office.house.worker()
    call_id = office.pbx.call()
    office.pbx.end(call_id)

    with office.house.producer() as app, pytest.raises(Rejected, match="CallNotFound"):
        office.ask(app, call_id).get(timeout=60)
    failed = office.collected("r1", states.FAILED)
    assert "was not started" in str(failed.reason)


def test_unknown_is_asked_again_while_the_call_is_live(
    deploy: Deploy, simulators: Simulators
) -> None:
    """An answer that was lost leaves a recording that may be; it is asked for once more while the
    call is listed, and what is told first is collected.
    """
    office = ozeki_house(deploy, simulators)
    office.hooks()
    office.house.worker()
    call_id = office.pbx.call()
    office.pbx.fault("record", "reset", when="after")

    with office.house.producer() as app:
        assert office.ask(app, call_id).get(timeout=60)["collected"] is True
    assert len(office.pbx.recordings()) == 2
    # The first notification counts, and both would arrive at the same moment.
    office.pbx.fault("RecordCompleted", "delayed", skip=1, seconds=4.0)
    office.pbx.end(call_id)
    job = office.collected()
    assert job.result is not None
    assert job.result["sha256"] == office.pbx.recordings()[0]["sha256"]
    alerts = eventually(lambda: _alerts(office), what="nobody was told of the second file")
    assert "another recording of a call" in alerts


def _alerts(office: Any) -> str:
    log = (office.house.folder / "worker.log").read_text()
    return log if "another recording of a call" in log else ""


def test_unknown_of_a_call_that_has_ended(deploy: Deploy, simulators: Simulators) -> None:
    """Where the call ended before anybody confirmed, nobody says that it was not recorded; what was
    recorded is collected all the same.
    """
    office = ozeki_house(deploy, simulators)
    office.hooks()
    office.house.worker()
    call_id = office.pbx.call()
    office.pbx.fault("record", "reset", when="after")
    office.pbx.fault("list", "answer", status=200, body="html", times=1)

    with office.house.producer() as app:
        asked = office.ask(app, call_id)
        eventually(office.pbx.recordings, what="it was not recorded")
        office.pbx.end(call_id)
        ended = asked.get(timeout=30, propagate=False)
    # Told of the recording's end in time, the start knows that it was done.
    assert isinstance(ended, dict) or str(ended).startswith("unknown")
    job = office.collected()
    assert job.result is not None
    assert job.result["sha256"] == office.pbx.recordings()[0]["sha256"]


def test_no_notification_in_time(deploy: Deploy, simulators: Simulators) -> None:
    """Where no notification comes before not_after, nothing was done and both jobs say so."""
    office = ozeki_house(deploy, simulators, "ozml_extension")
    office.house.worker()

    with office.house.producer() as app, pytest.raises(Expired, match="not_after has passed"):
        office.ask(app, "uteom", not_after="2026-01-01T00:00:00Z").get(timeout=60)
    assert "was not started" in str(office.collected("r1", states.FAILED).reason)


def test_not_collected(deploy: Deploy, simulators: Simulators) -> None:
    """With a finished_url of the caller's own nothing is collected, and the result says why."""
    office = ozeki_house(deploy, simulators)
    office.house.worker()
    call_id = office.pbx.call()
    own = "http://127.0.0.1:9/own?x=1"

    with office.house.producer() as app:
        result = office.ask(app, call_id, finished_url=own).get(timeout=60)
    assert result["collected"] is False
    assert "finished_url" in result["not_collected_because"]
    assert office.collect() is None
    assert office.pbx.recordings()[0]["finished_url"] == own


def test_without_hooks_url(deploy: Deploy, simulators: Simulators) -> None:
    """Without HOOKS_URL nothing is collected, and the result says why."""
    office = ozeki_house(deploy, simulators, settings={"HOOKS_URL": ""}, allowed_networks=[])
    office.house.settings.pop("HOOKS_URL")
    office.house.worker()
    call_id = office.pbx.call()

    with office.house.producer() as app:
        result = office.ask(app, call_id).get(timeout=60)
    assert result["collected"] is False
    assert "HOOKS_URL" in result["not_collected_because"]
    assert office.pbx.recordings()[0]["finished_url"] is None


def test_what_the_control_ignores(deploy: Deploy, simulators: Simulators) -> None:
    """An argument that the server would ignore is refused by its name, and opens no job."""
    office = ozeki_house(deploy, simulators)
    office.house.worker()
    with office.house.producer() as app:
        for name, value in (("max_seconds", 5), ("announcement", "x"), ("finished_url", "ftp:x")):
            with pytest.raises(InvalidArgument, match=f"^not done: {name}: "):
                office.ask(app, "uteom", **{name: value}).get(timeout=60)
    assert office.start() is None
