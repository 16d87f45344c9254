"""Days of more and more recordings, exported by a worker: its CPU, its memory, its statements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path

from celery import Celery

from tests.deployment import Deployment, account_toml
from tests.servers import Valkey
from tests.simulators.remote import Remote

from . import counting
from .house import STARTED_ANEW, deployment, start_worker
from .processes import PeakMemory, cpu_seconds
from .sizes import Sizes

_FIRST = date(2026, 11, 1)
_BYTES = 500
#: Each of them is exported, listed twice, unpacked, matched and put into the manifest.
_PATIENCE_SECONDS = 1_800


def days(
    folder: Path, sizes: Sizes, valkey: Valkey, simulators: Remote
) -> Iterator[tuple[str, Mapping[int, float]]]:
    """Yield what a day's export costs by its number of recordings: CPU seconds and memory."""
    account = simulators.vonage.account(username="growth@vbc.prod")
    account.configure(ready_after_polls=0)
    with ExitStack() as stack:
        house = deployment(
            folder / "days",
            valkey,
            account_toml("bench", account.configuration(), {"catchup_days": 1, "timezone": "UTC"}),
            surroundings=STARTED_ANEW if sizes.anew else {},
        )
        stack.callback(house.close)
        pid = start_worker(house, slots=4).pid
        app = Celery("caller", broker=house.valkey.url, backend=house.valkey.url)
        stack.callback(app.close)
        cpu, memory = {}, {}
        for number, recordings in enumerate(sizes.days_grow_to):
            day = _FIRST + timedelta(days=number)
            account.seed(day, "UTC", recordings, size_bytes=_BYTES)
            before, peak = cpu_seconds(pid), PeakMemory(pid)
            _export(house, app, day, recordings)
            cpu[recordings] = cpu_seconds(pid) - before
            memory[recordings] = max(peak.growth(), 1.0)
    yield "CPU seconds by recordings", cpu
    yield "MB of memory above idle by recordings", memory


def _export(house: Deployment, app: Celery, day: date, recordings: int) -> None:
    asked = house.send(app, "export.run", account="bench", day=day.isoformat())
    done = asked.get(timeout=_PATIENCE_SECONDS)
    counting.compare("growth", {"archived": done["archived"]}, {"archived": recordings})
    counting.settle(house)
