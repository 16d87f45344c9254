"""The producer's library and a real worker, while Redis loses what lies between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from .client_house import House, Waiting, client_house
from .deployment import Deployment
from .servers import Valkey
from .simulators import Simulators
from .waiting import eventually


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> Iterator[House]:
    """One account of four recordings; no worker runs yet."""
    with client_house(deploy, simulators) as made:
        yield made


def test_redis_is_emptied_before_a_worker_has_seen_the_request(
    house: House, valkey: Valkey
) -> None:
    """The request is lost; its caller notices, and sends it again under the same id."""
    job = house.day()
    with valkey.client() as redis:
        assert redis.llen("earwitness") == 1
        redis.flushall()
    house.deployment.worker()
    job.accepted(60)
    assert job.wait(60)["job_id"] == job.id
    assert len(house.runs()) == 1


def test_a_question_is_lost(house: House, valkey: Valkey) -> None:
    """It is asked again."""
    answer = house.client.recording.get(account="india", recording_id=house.recording)
    with valkey.client() as redis:
        redis.flushall()
    house.deployment.worker()
    assert answer.wait(60)["id"] == house.recording


def _emptied(valkey: Valkey) -> None:
    with valkey.client() as redis:
        redis.flushall()


def _restarted(valkey: Valkey) -> None:
    valkey.stop()
    valkey.start()


def _frozen(valkey: Valkey) -> None:
    valkey.freeze()
    threading.Event().wait(3)  # longer than the client waits for any answer: the fault itself
    valkey.thaw()


@pytest.mark.parametrize("fault", [_emptied, _restarted, _frozen])
def test_redis_fails_while_somebody_waits(
    house: House, valkey: Valkey, fault: Callable[[Valkey], None]
) -> None:
    """Emptied, restarted without what it held, or frozen while a job waits at the provider: whoever
    waits for it gets its result, and it was opened once.
    """
    house.hold_back()
    house.deployment.worker()
    job = house.day()
    waiting = Waiting(job)
    house.until_it_waits()
    fault(valkey)
    house.release()
    assert waiting.answered()["job_id"] == job.id
    assert len(house.runs()) == 1


def test_an_answer_is_lost_after_the_end(house: House, valkey: Valkey) -> None:
    """Redis is emptied after the job has ended and before anybody looked: it is answered again."""
    house.deployment.worker()
    job = house.day()
    eventually(lambda: [one for one in house.runs() if one.ended], what="it did not end")
    _emptied(valkey)
    assert job.wait(60)["job_id"] == job.id
