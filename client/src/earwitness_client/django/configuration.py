"""The setting EARWITNESS: what it may contain, and whether it is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from earwitness_client import arguments as check
from earwitness_client.addresses import read_address
from earwitness_client.arguments import Notify
from earwitness_client.errors import InvalidArgument

NAME = "EARWITNESS"
#: The task of this application that the worker sends when a job ends.
NOTIFIED_TASK = "earwitness_client.django.job_ended"

_FIELDS = ("URL", "QUEUE", "KEY_PREFIX", "NOTIFY_QUEUE")


@dataclass(frozen=True)
class Configuration:
    """What the setting says.

    ``url``, ``queue`` and ``key_prefix`` are those of ``Earwitness``. ``notify_queue`` is the queue
    of the project's own Celery workers to which the worker sends notifications, None for none.
    """

    url: str
    queue: str
    key_prefix: str
    notify_queue: str | None

    @property
    def notify(self) -> Notify | None:
        """What is sent when a job ends."""
        return Notify(NOTIFIED_TASK, self.notify_queue) if self.notify_queue else None


@dataclass(frozen=True)
class Fault:
    """What is wrong with a field of the setting; ``field`` is empty for the setting itself."""

    field: str
    what: str

    def __str__(self) -> str:
        named = f'["{self.field}"]' if self.field else ""
        return f"{NAME}{named}: {self.what}"


@cache
def configuration() -> Configuration:
    """Return what the setting says. Raises ImproperlyConfigured, which names the wrong field."""
    for fault in faults():
        raise ImproperlyConfigured(str(fault))
    given = getattr(settings, NAME)
    return Configuration(
        url=given["URL"],
        queue=given.get("QUEUE", "earwitness"),
        key_prefix=given.get("KEY_PREFIX", ""),
        notify_queue=given.get("NOTIFY_QUEUE"),
    )


def faults() -> Iterator[Fault]:
    """Yield everything that is wrong with the setting. No message quotes a value."""
    given = getattr(settings, NAME, None)
    if not isinstance(given, Mapping):
        yield Fault("", 'must be a dictionary such as {"URL": "redis://127.0.0.1:6379/0"}')
        return
    yield from (_unknown(name) for name in given if name not in _FIELDS)
    texts = {name: given[name] for name in _FIELDS if given.get(name) is not None}
    wrong = [name for name, value in texts.items() if not isinstance(value, str)]
    yield from (Fault(name, "must be text") for name in wrong)
    if wrong:
        return
    yield from _faults_of(texts)


def _unknown(name: object) -> Fault:
    near = get_close_matches(str(name).upper(), _FIELDS, 1)
    meant = f"; did you mean {near[0]}?" if near else f"; the names are {', '.join(_FIELDS)}"
    return Fault(str(name), f"is not a field of this setting{meant}")


def _faults_of(texts: Mapping[str, str]) -> Iterator[Fault]:
    queue = texts.get("QUEUE", "earwitness")
    if not queue:
        yield Fault("QUEUE", "must be the queue that the worker consumes")
    if "URL" not in texts:
        yield Fault("URL", "is missing; give the address of the worker's Redis")
    else:
        yield from _checked("URL", lambda: read_address(texts["URL"], ""))
    yield from _checked(
        "KEY_PREFIX", lambda: read_address("redis://127.0.0.1", texts.get("KEY_PREFIX", ""))
    )
    if "NOTIFY_QUEUE" in texts:
        own = Notify(NOTIFIED_TASK, texts["NOTIFY_QUEUE"])
        yield from _checked("NOTIFY_QUEUE", lambda: check.notify(own, queue))


def _checked(field: str, examine: Any) -> Iterator[Fault]:
    try:
        examine()
    except InvalidArgument as error:
        # After what was not done and the argument's name.
        what = str(error).split(": ", 2)[-1].removesuffix("; nothing was sent")
        yield Fault(field, what)
