"""Everything that is measured, one after the other, on servers of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.servers import Valkey
from tests.simulators import remote

from .acceptance import acceptance
from .keeping import keeping
from .measurement import Row
from .reading import find, verify
from .sizes import Sizes
from .starting import starting
from .transfer import transfer


def measured(sizes: Sizes, on_row: Callable[[Row], object] = lambda _: None) -> Iterator[Row]:
    """Measure everything; ``on_row`` is told each row as it comes."""
    folder = Path(tempfile.mkdtemp(prefix="ew-bench-"))
    try:
        with Valkey() as valkey, remote.running(folder / "simulators") as simulators:
            parts: dict[str, Callable[[Path, Sizes], Iterator[Row]]] = {
                "acceptance": partial(acceptance, valkey=valkey, simulators=simulators),
                "transfer": partial(transfer, valkey=valkey, simulators=simulators),
                "keeping": keeping,
                "verify": verify,
                "find": find,
                "starting": partial(starting, valkey=valkey),
            }
            for name, part in parts.items():
                for row in _alone(folder / name, valkey, part, sizes):
                    on_row(row)
                    yield row
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alone(
    folder: Path,
    valkey: Valkey,
    part: Callable[[Path, Sizes], Iterator[Row]],
    sizes: Sizes,
) -> Iterator[Row]:
    """One measurement in an empty folder, which goes again, and on an empty Redis."""
    folder.mkdir()
    with valkey.client() as client:
        client.flushall()
    yield from part(folder, sizes)
    shutil.rmtree(folder, ignore_errors=True)
