"""The demo: what it prints is what lies on disk."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from .deployment import ROOT, zip_is_whole

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """One demo at a time: the newest is the one that ``var/demo/latest`` names."""
    (ROOT / "var").mkdir(exist_ok=True)
    with (ROOT / "var" / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def demo(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo to its end as ``make demo`` does. It starts the worker, the receiver, beat and
    Flower as processes that import everything themselves, while other tests fork them.
    """
    return subprocess.run(
        [sys.executable, "-m", "worker", "demo"],
        cwd=ROOT,
        env={**os.environ, "ONCE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def printed(output: str, what: str) -> Path:
    """The path of the manifest, or of the receipt, as it was printed."""
    found = re.search(rf"^{what}: (.+)$", output, re.MULTILINE)
    assert found, output
    return Path(found[1])


def test_the_demo_shows_a_night_from_start_to_proof() -> None:
    """Services, an export, polls with their reason, a transfer with progress, the counts, the
    manifest, a certified call and its receipt, the verification, and how to look at its data; and
    the ZIP and the receipt on disk are whole. Flower has ended, so its address is not printed.
    """
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    order = [
        r"^services started in .*valkey.*worker.*beat.*flower",
        r"^export created",
        r"waiting, export .*not ready",
        r"^  transfer: [\d.]+ .?B of about .*B/s",
        r"^archived 24 of 24 recordings$",
        r"^manifest: ",
        r"^archived 10 of 10 recordings$",
        r"^manifest: .*/archive/abroad/",
        r"^certified call placed: job [0-9a-f-]{36}$",
        r"^receipt: /.+/archive/legal/certified-calls/\d{4}/\d\d/[0-9a-f-]{36}\.json$",
        r"^recording confirmed on pbx since 20\d\d-",
        r"^recording collected from office \(http\): /.+\.mp3$",
        r"^recording collected from reception \(ozml_third_party\): /.+\.mp3$",
        r"^recording collected from hotline \(ozml_extension\): /.+\.mp3$",
        r"^verify: ok",
        r"^to look at its data, run: \. var/demo/latest/env; .*status$",
    ]
    places = [re.search(pattern, done.stdout, re.MULTILINE) for pattern in order]
    assert all(places), (order, done.stdout)
    starts = [place.start() for place in places if place]
    assert starts == sorted(starts), done.stdout
    shown = re.search(r"abroad: waiting, export .*: \d of \d files, status in_", done.stdout)
    assert shown, done.stdout
    folder = printed(done.stdout, "manifest").parent
    (archive,) = folder.glob("*.zip")
    assert zip_is_whole(archive)
    assert len(zipfile.ZipFile(archive).namelist()) == 24
    summed = subprocess.run(["sha256sum", archive], check=True, capture_output=True, text=True)
    assert archive.name.split(".")[-2] == summed.stdout[:16]
    receipt = json.loads(printed(done.stdout, "receipt").read_text())
    assert (receipt["outcome"], receipt["http_status"]) == ("placed", 200)
    assert f"job {receipt['job_id']}\n" in done.stdout
    assert receipt["phone"] not in done.stdout
    assert "Flower: " not in done.stdout
    typed = re.search(r"^to look at its data, run: (.+)$", done.stdout, re.MULTILINE)
    assert typed
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    shell = ["sh", "-c", typed[1].replace(".venv/bin/earwitness", f"{sys.executable} -m worker")]
    looked = subprocess.run(shell, cwd=ROOT, env=bare, capture_output=True, text=True, check=True)
    assert receipt["job_id"] in looked.stdout
    collected = re.findall(r"^recording collected from .*: (/.+)$", done.stdout, re.MULTILINE)
    for path in collected:
        told = json.loads(Path(path).with_suffix(".json").read_text())
        assert told["sha256"] == hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_the_demo_names_a_recording_that_is_withheld() -> None:
    """With one recording kept back it says so, names it, and ends non-zero."""
    done = demo(WITHHOLD="1")
    assert done.returncode != 0
    assert "archived 23 of 24 recordings" in done.stdout
    named = re.search(r"1 of 24 recordings missing \((\d+)\)", done.stdout)
    assert named, done.stdout
    lines = (printed(done.stdout, "manifest").parent / "recordings.jsonl").read_text().splitlines()
    (missing,) = [line for line in lines if '"missing": true' in line]
    assert f'"id": "{named[1]}"' in missing


def test_a_demo_that_is_killed_in_the_middle_leaves_nothing_running() -> None:
    """SIGTERM while it works, as from a script that has waited long enough: all of it ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "worker", "demo"],
        cwd=ROOT,
        env={**os.environ, "ONCE": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline().startswith("services started")
        started = psutil.Process(killed.pid).children(recursive=True)
        assert len(started) >= 6
        killed.terminate()
        _, alive = psutil.wait_procs(started, timeout=60)
        for process in alive:
            process.kill()
        # Its own end comes after theirs, with a last line to print.
        killed.stdout.read()
    assert (alive, killed.returncode) == ([], 130)
