"""Messages that no producer of ours writes: none is done or repeated, and the worker continues."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

from .simulators import Simulators
from .test_tasks import Deploy, opened
from .waiting import LOADED_SECONDS, eventually

#: A person who must not stand in a log.
_NAME = "Wilhelmina Quirrel"


def message(body: Any, **headers: Any) -> str:
    """A message as it lies in Redis."""
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    known = {"lang": "py", "task": "earwitness.recording.get", "id": str(uuid.uuid4())}
    return json.dumps(
        {
            "body": base64.b64encode(written).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {**known, "kwargsrepr": _NAME, **headers},
            "properties": {
                "body_encoding": "base64",
                "delivery_info": {"exchange": "", "routing_key": "earwitness"},
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    )


def test_a_message_that_is_none_ends_no_worker_and_is_not_repeated(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Ids that are no text, bodies that are no task's, what is neither JSON nor a message, and the
    task of a later version, in a queue and told to all workers: the same worker answers the next
    caller, nothing comes again, and the log names nobody.
    """
    arguments: Any = [[], {"company_name": _NAME}, {}]
    with opened(deploy, simulators) as house:
        (worker,) = house.house.processes
        redis = house.app.backend.client
        for strange in (
            message(arguments, id=["a"]),
            message(arguments, id=5),
            message([_NAME]),
            message({}),
            message(b"\xff" + _NAME.encode()),
            message(arguments, task="earwitness.of_a_later_version"),
            message(arguments, eta="soon"),
            json.dumps({**json.loads(message(arguments)), "headers": {}}),
            _NAME,
            json.dumps({"company_name": _NAME}),
            json.dumps([_NAME]),
            json.dumps(_NAME),
            json.dumps({"body": _NAME, "properties": {"body_encoding": _NAME}}),
            json.dumps({"body": _NAME, "properties": {"delivery_tag": None}, "headers": None}),
            json.dumps({"body": _NAME, "properties": {"delivery_tag": "1", "delivery_info": {}}}),
        ):
            redis.lpush("earwitness", strange)
            redis.publish("/0.celery.pidbox", strange)
        assert house.ask("recording.get", recording_id=house.ids[0])["id"] == house.ids[0]
        eventually(
            lambda: redis.hlen("earwitness.unacked") == 0,
            within=LOADED_SECONDS,
            what="one stayed in hand",
        )
        assert worker.alive
        assert redis.llen("earwitness") == 0
        assert _NAME not in worker.log()
        assert "of_a_later_version" in worker.log()
