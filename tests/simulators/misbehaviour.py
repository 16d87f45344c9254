"""What the misbehaviours that a request meets (faults.py) do to it and to its answer."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from time import time
from typing import Any

from .messages import Reply
from .wire import Delivery, Severed, Wire


def misbehave(met: dict[str, dict[str, Any]], moment: str, wire: Wire) -> None:
    """Hangs, closes or resets, if that is due `before` or `after` the effect."""
    if "hang" in met and met["hang"]["when"] == moment:
        wire.wait(float(met["hang"]["seconds"]))
    if "reset" in met and met["reset"]["when"] == moment:
        wire.reset()
        raise Severed(f"reset {moment}")
    if "close" in met and met["close"]["when"] == moment:
        raise Severed(f"closed {moment}")


def dress(reply: Reply, parameters: Mapping[str, Any]) -> Reply:
    """Gives an "answer" fault's reply the headers that the fault asks for."""
    if parameters["content_type"]:
        reply.headers["Content-Type"] = parameters["content_type"]
    if parameters["retry_after"] is not None:
        seconds = float(parameters["retry_after"])
        date = formatdate(time() + seconds, usegmt=True)
        as_date = parameters["retry_after_as"] == "date"
        reply.headers["Retry-After"] = date if as_date else f"{seconds:g}"
    reply.headers.update(parameters["headers"])
    return reply


def delivery(met: dict[str, dict[str, Any]], clock_offset: float = 0) -> Delivery:
    """How an answer travels that meets these wire faults, from a clock so many seconds ahead."""
    travelling = Delivery(clock_offset=clock_offset)
    if "slow" in met:
        travelling.bytes_per_second = float(met["slow"]["bytes_per_second"])
    if "cut" in met:
        cut = met["cut"]
        travelling.cut_after, travelling.cut_how = int(cut["after_bytes"]), cut["how"]
    if "freeze" in met:
        travelling.freeze_after = int(met["freeze"]["after_bytes"])
        travelling.freeze_seconds = float(met["freeze"]["seconds"])
    if "trickle" in met:
        travelling.trickle_seconds = float(met["trickle"]["seconds_per_byte"])
        travelling.trickle_part = met["trickle"]["part"]
    return travelling
