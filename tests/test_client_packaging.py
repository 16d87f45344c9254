"""The producer's library as a distribution: what it requires, shows, and refuses by its types."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import earwitness_client
from earwitness_client import results

from . import page_packages
from .deployment import ROOT
from .pages import need
from .servers import Valkey

CLIENT = ROOT / "client"
SENDING = """
import sys
from earwitness_client import Earwitness, __version__

with Earwitness(sys.argv[1]) as earwitness:
    earwitness.recording.download(account="india", recording_id="7")
print(__version__)
"""


def _pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", *arguments],
        env={**os.environ, **page_packages.offline()},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from this checkout."""
    need(page_packages.wheels())
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "client"
    # Other tests' processes write there what they compile.
    shutil.copytree(CLIENT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(copy))
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture
def metadata(wheel: Path) -> Message:
    """What an index would show of it."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_a_wheel_can_send(wheel: Path, valkey: Valkey, tmp_path: Path) -> None:
    """Installed in a virtual environment of its own, the wheel sends a request."""
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    printed = subprocess.run(
        [tmp_path / "venv" / "bin" / "python", "-c", SENDING, valkey.url],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert printed.strip() == earwitness_client.__version__
    with valkey.client() as redis:
        assert redis.llen("earwitness") == 1


def test_what_a_wheel_says_of_itself(metadata: Message, wheel: Path) -> None:
    """Plain Celery could not send over Redis, so its extra is required; the version, the licence's
    text, authors and classifiers are there; no link leads out of the description into nothing.
    """
    required = metadata.get_all("Requires-Dist", [])
    assert {"celery[redis]<6,>=5.4", "kombu[redis]<6,>=5.3.4"} <= set(required)
    assert metadata.get_all("Provides-Extra") == ["async", "django"]
    assert "django>=4.2; extra == 'django'" in required
    assert metadata["Version"] == earwitness_client.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"]
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    links = re.findall(r"\]\(([^)]*)\)", str(metadata.get_payload()))
    assert [one for one in links if not one.startswith(("https://", "#"))] == []
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
        assert archive.read(name) == (ROOT / "LICENSE").read_bytes()


def test_a_wheel_has_the_whole_django_application(wheel: Path) -> None:
    """Its migrations, its command and the admin's templates are there."""
    whole = CLIENT / "src" / "earwitness_client" / "django"
    files = {
        str(path.relative_to(CLIENT / "src"))
        for path in whole.rglob("*")
        if path.suffix in {".py", ".html"}
    }
    with zipfile.ZipFile(wheel) as archive:
        assert files <= set(archive.namelist())
    named = {Path(file).name for file in files}
    assert {"0001_initial.py", "earwitness_follow.py", "change_form.html", "retry.html"} <= named


def test_the_licence_is_the_project_s() -> None:
    """The copy that the distribution needs beside its sources is the same text."""
    assert (CLIENT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_every_result_s_type_is_exported() -> None:
    """Callers name what a job gives them without reaching into modules."""
    public = {
        name
        for name, one in vars(results).items()
        if not name.startswith("_") and getattr(one, "__module__", "") == results.__name__
    }
    assert public <= set(earwitness_client.__all__)
    assert all(hasattr(earwitness_client, name) for name in earwitness_client.__all__)


#: The same on an event loop.
TYPED_ASYNC = {
    'export.run(account="a", day="2026-11-20")': True,
    'export.run(account="a", day="2026-11-20", filters={})': False,
    'export.run(account="a")': False,
    'recording.download(account="a", recording_id="7")': True,
    'recording.download(account="a")': False,
    'recording.download(account="a", recording_id="7", by="me")': False,
    'job.status(job_id="j")': True,
    'job.status("j")': False,
    "send_many(loop.recording.download, [{}])": True,
}
#: The functions of the Django application take the arguments of the task that they are given.
TYPED_DJANGO = {
    'send_on_commit(client.export.run, account="a", day="2026-11-20")': True,
    'send_on_commit(client.recording.download, account="a", recording_id="7").state': True,
    'send_on_commit(client.recording.download, account="a", recording="7")': False,
    'send_on_commit(client.job.status, job_id="j")': False,
}
#: Each line, and whether its types are right.
TYPED = {
    'send_many(client.recording.download, [{}])[0].wait(None)["sha256"]': True,
    'send_many(client.recording.download, [{}])[0].wait(None)["sha"]': False,
    'job.attach(task_id="t").wait(None)': True,
    'export.run(account="a", day="2026-11-20")': True,
    'export.run(account="a", filters={"call_id": "1"}, request_id="r")': True,
    'export.run(account="a")': False,
    'export.run(account="a", day="2026-11-20", filters={})': False,
    'export.run(account="a", day="2026-11-20", request_id="r")': False,
    'recording.download(account="a")': False,
    'export.run(account="a", day="2026-11-20").wait(1)["manifest"]': True,
    'export.run(account="a", day="2026-11-20").wait(1)["manifesto"]': False,
}


def test_what_the_types_refuse(tmp_path: Path) -> None:
    """mypy, strict, takes the lines that are right and refuses those that would raise."""
    lines = {f"client.{line}": right for line, right in TYPED.items()}
    lines |= TYPED_DJANGO
    lines |= {f"    await loop.{line}": right for line, right in TYPED_ASYNC.items()}
    program = tmp_path / "program.py"
    head = "from earwitness_client import AsyncEarwitness, Earwitness\n"
    head += "from earwitness_client.django import send_on_commit\n"
    head += "client, loop = Earwitness('redis://h/0'), AsyncEarwitness('redis://h/0')\n"
    blocking = [line for line in lines if not line.startswith(" ")]
    waiting = [line for line in lines if line.startswith(" ")]
    text = [*head.splitlines(), *blocking, "async def main() -> None:", *waiting]
    program.write_text("\n".join(text) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), program],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "MYPYPATH": str(CLIENT / "src")},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    refused = {text[int(one) - 1] for one in re.findall(r"program\.py:(\d+): error", done.stdout)}
    assert {line: line not in refused for line in lines} == lines, done.stdout


def test_every_public_symbol_has_its_type() -> None:
    """pyright finds a type for every name that the library exports. Django has no types of its own,
    so that classes which inherit from its are not examined.
    """
    need(page_packages.pyright())
    pyright = page_packages.pyright().folder / "node_modules" / "pyright" / "index.js"
    options = ["--pythonpath", sys.executable, "--ignoreexternal", "--outputjson"]
    done = subprocess.run(
        [page_packages.node(), pyright, *options, "--verifytypes", "earwitness_client"],
        cwd=CLIENT / "src",
        env={**os.environ, "PYTHONPATH": str(CLIENT / "src")},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    symbols = json.loads(done.stdout)["typeCompleteness"]["symbols"]
    without = [one["name"] for one in symbols if one["isExported"] and not one["isTypeKnown"]]
    assert [one for one in without if ".django." not in one] == []
    assert len(symbols) > 400
