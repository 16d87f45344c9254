"""Remote control, from Celery's commands and Flower's buttons: what a worker cannot do, it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from celery import Celery

from ledger.core import states

from .certified_calls import CallHouse, call_house
from .deployment import Deployment
from .servers import free_port
from .simulators import Simulators
from .waiting import eventually

pytestmark = pytest.mark.long

Deploy = Callable[..., Deployment]
CALL = "earwitness.certified_call.request"

#: Commands that a worker refuses, their arguments, and words of its reason.
REFUSED = {
    "pool_grow": ({"n": 2}, "number of threads is fixed"),
    "pool_shrink": ({"n": 2}, "number of threads is fixed"),
    "autoscale": ({"max": 9, "min": 1}, "number of threads is fixed"),
    "pool_restart": ({}, "drain the worker and start it again"),
    "rate_limit": ({"task_name": CALL, "rate_limit": "1/m"}, "by the account's rate"),
    "time_limit": ({"task_name": CALL, "hard": 1, "soft": 1}, "timeout_seconds"),
    "add_consumer": ({"queue": "\n"}, "not the name of a queue"),
    "cancel_consumer": ({"queue": "another"}, "does not consume another, but earwitness"),
}
#: Flower's addresses of the same.
BUTTONS = {
    "worker/pool/grow/{node}": {"n": 1},
    "worker/pool/shrink/{node}": {"n": 1},
    "worker/pool/autoscale/{node}": {"min": 1, "max": 2},
    "worker/pool/restart/{node}": {},
    f"task/rate-limit/{CALL}": {"workername": "{node}", "ratelimit": "1/m"},
    f"task/timeout/{CALL}": {"workername": "{node}", "soft": 1, "hard": 1},
}


def told(app: Celery, command: str, arguments: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The only worker, and what it answers."""
    (reply,) = app.control.broadcast(command, arguments=arguments, reply=True, limit=1, timeout=10)
    ((node, answer),) = reply.items()
    return node, answer


def test_a_worker_says_why_it_does_not_do_it(
    deploy: Deploy, simulators: Simulators, tmp_path: Path
) -> None:
    """Each command that cannot work is refused in a sentence and changes nothing; consumers can be
    cancelled and added; Flower shows the sentences; shutdown ends the worker in order.
    """
    calling = call_house(deploy, simulators, timeout_seconds=60)
    house = calling.house
    worker = house.worker()
    with house.producer() as app:
        for command, (arguments, words) in REFUSED.items():
            node, answer = told(app, command, arguments)
            assert words in answer["error"], command
            assert answer["error"].startswith("not done: "), command
        assert "ok" in told(app, "cancel_consumer", {"queue": "earwitness"})[1]
        assert "ok" in told(app, "add_consumer", {"queue": "earwitness"})[1]
        assert calling.ask(app, "one").get(timeout=60)
        terminates_nothing(calling, app)
        for answer in flower_says(house, tmp_path, node):
            assert (answer.status_code, "not done: " in answer.text) == (403, True), answer.text
        app.control.shutdown(destination=[node])
        assert worker.popen.wait(timeout=60) == 0
    assert "Traceback" not in worker.log()


def terminates_nothing(calling: CallHouse, app: Celery) -> None:
    """A call that is being placed is not interrupted, and its caller learns that it was placed."""
    calling.platform.configure(answer_seconds=4.0)
    for name in ("two", "three", "four", "five"):
        asked = calling.ask(app, name)
        calling.in_state(name, states.SENDING, states.DONE)
        answer = told(app, "terminate", {"signal": "SIGKILL", "task_id": asked.id})[1]
        assert "a call that is being placed is not interrupted" in answer["ok"]
        in_time = calling.in_state(name, states.SENDING, states.DONE).state == states.SENDING
        assert asked.get(timeout=60)["job_id"] == calling.in_state(name, states.DONE).job_id
        if in_time:
            return
    raise AssertionError("no call was still being placed when the worker answered")


def flower_says(house: Deployment, tmp_path: Path, node: str) -> list[httpx.Response]:
    """What Flower answers to its buttons."""
    login = tmp_path / "login"
    login.write_text("ana:correct-horse\n")
    port = free_port()
    house.surroundings = {
        "FLOWER_BASIC_AUTH_FILE": str(login),
        "FLOWER_PORT": str(port),
        "FLOWER_READ_ONLY": "false",
    }
    house.celery("flower", name="flower")
    base = f"http://127.0.0.1:{port}/api"
    with httpx.Client(trust_env=False, auth=("ana", "correct-horse"), timeout=20) as visitor:

        def knows() -> bool:
            try:
                return node in visitor.get(f"{base}/workers?refresh=1").text
            except httpx.TransportError:
                return False

        def pressed(address: str, given: dict[str, Any]) -> httpx.Response:
            answers: list[httpx.Response] = []

            def is_told() -> bool:
                data = {name: str(one).format(node=node) for name, one in given.items()}
                answers[:] = [visitor.post(f"{base}/{address.format(node=node)}", data=data)]
                return "Unknown reason" not in answers[0].text

            # Flower waits for a worker's answer for one second, which a busy machine may take.
            eventually(is_told, what=f"the worker did not answer {address}")
            return answers[0]

        eventually(knows, within=60, what="Flower does not know the worker")
        return [pressed(address, given) for address, given in BUTTONS.items()]
