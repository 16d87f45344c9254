"""An object store in a process of its own, which a test may stop by a signal."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .servers import free_port
from .waiting import eventually


@contextmanager
def object_store(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str], str]]:
    """An S3 server in a process of its own; with the environment that reaches it, and a bucket."""
    port = free_port()
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
        )
    endpoint = f"http://127.0.0.1:{port}"

    def made() -> bool:
        request = urllib.request.Request(f"{endpoint}/archive", method="PUT")
        try:
            urllib.request.urlopen(request, timeout=5).close()
        except OSError:
            return False
        return True

    try:
        eventually(made, what="the object store did not start")
        yield (
            process,
            {
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": endpoint,
            },
            "s3://archive/house",
        )
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(timeout=20)
