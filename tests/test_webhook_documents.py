"""What the receiver answers notifications with: the document once, and nothing to do else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ledger import recording_instructions as recorded

from .deployment import Deployment
from .ozeki_house import OzekiHouse, ozeki_house
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]


def _told(office: OzekiHouse, name: str, call_id: str, **more: str) -> str:
    """What a notification of a call is answered with."""
    fields = {"NotificationName": name, "CallId": call_id, **more}
    answer = office.post(f"{office.url}/ozeki/office/notify", fields)
    assert answer.status_code == 200
    return answer.text


@pytest.mark.parametrize(
    ("control", "heeded", "other"),
    [
        ("ozml_third_party", "CallChanged", "CallConnected"),
        ("ozml_extension", "IncomingCall", "CallChanged"),
    ],
)
def test_the_document_is_given_once(
    deploy: Deploy, simulators: Simulators, control: str, heeded: str, other: str
) -> None:
    """Only a notification of the very call, that the control allows, of a call that goes on, and
    that is no RecordCompleted takes the document; the next one takes nothing.
    """
    office = ozeki_house(deploy, simulators, control)
    office.hooks()
    office.house.worker()
    with office.house.producer() as app:
        asked = office.ask(app, "uteom", format="wav")
        token = office.armed().token

        # The receiver reads what is armed a moment later: from here on it has.
        def never() -> list[str]:
            return [
                _told(office, heeded, "other"),
                _told(office, other, "uteom"),
                _told(office, heeded, "uteom", CallState="Completed"),
                _told(office, "RecordCompleted", "uteom", RecordURL=office.pbx.base_url + "/x.mp3"),
                _told(office, heeded, ""),
            ]

        given = eventually(
            lambda: [*never(), _told(office, heeded, "uteom")][-1].partition("<Record ")[2],
            what="the document was not given",
        )
        assert all("<Record" not in answer for answer in never())
        assert "<Record" not in _told(office, heeded, "uteom")
        assert 'Format="wav"' in given
        assert f'FinishedUrl="{office.completed_url(token)}"' in given
        assert ('CallId="uteom"' in given) is (control == "ozml_third_party")
        assert asked.get(timeout=60)["collected"] is True
    assert office.instruction().state == recorded.ANSWERED


def test_a_cancelled_start_gives_nothing(deploy: Deploy, simulators: Simulators) -> None:
    """Once a start is cancelled, no notification is answered with its document."""
    office = ozeki_house(deploy, simulators, "ozml_third_party")
    office.hooks()
    office.house.worker()
    with office.house.producer() as app:
        office.ask(app, "uteom")
        job_id = office.armed().job_id
        eventually(
            lambda: (job := office.start()) is not None and job.state == "waiting",
            what="the start does not wait",
        )
        assert office.house.run("cancel", job_id).returncode == 0
        # Another that is armed after it is given: so the receiver has read of both.
        office.ask(app, "other", "later")
        eventually(
            lambda: "<Record" in _told(office, "CallChanged", "other"), what="nothing was read"
        )
    assert "<Record" not in _told(office, "CallChanged", "uteom")
