"""The pages in docs/ as programs: their files are written, their commands run, what is printed is
compared with what the page prints.

What a page must keep to: a file's name stands alone in the line before its block, as in
"`shop/views.py`:", or as "At the end of `project/settings.py`:"; a ``console`` block is a session
(commands after "$ ", then what they print); a ``sh`` block is a program that runs on, such as a
server; a ``text`` block is something that is printed at another time.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from . import page_packages
from .caller_environments import Environment
from .deployment import ROOT, Process
from .waiting import eventually

DOCS = ROOT / "docs"
#: What a bare machine may lack.
PROGRAMS = Path(__file__).parent / "programs"

#: What differs from run to run, and what is compared in its place.
SHAPES = [
    (re.compile(r"\b[0-9a-f]{64}\b"), "<sha256>"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "<time>"),
    (re.compile(r"\b\d{4}([-/])\d\d\1\d\d\b"), "<day>"),
    (re.compile(r"\b\d{8,}\b"), "<number>"),
    (re.compile(r"\b\d+\.\d+ s\b"), "<seconds>"),
]
#: What Celery 5.7 may print while the interpreter ends, as the page says: it unsubscribes from a
#: result that did not come.
_LATE_UNSUBSCRIPTION = re.compile(
    r"^Exception ignored [^\n]*AsyncResult\.__del__[^\n]*\nTraceback [^\n]*\n(?: [^\n]*\n)*"
    r"ImportError: sys\.meta_path is None, Python is likely shutting down\n",
    re.MULTILINE,
)
#: A file's name in the line before its block.
_NAMED = re.compile(r"(At the end of )?`([^`\s]+)`:")


@dataclass
class Command:
    """A command of a session, and what the page says that it prints."""

    line: str
    printed: str = ""


@dataclass
class Page:
    """A page of docs/: its files by name, what it adds to files, its sessions' commands in order,
    its programs that run on, its texts.
    """

    files: dict[str, str] = field(default_factory=dict)
    additions: dict[str, str] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def read_page(name: str) -> Page:
    """The page ``docs/<name>.md``."""
    page = Page()
    tokens = MarkdownIt().parse((DOCS / f"{name}.md").read_text(encoding="utf-8"))
    for place, token in enumerate(tokens):
        if token.type != "fence":
            continue
        kind = token.info.strip()
        if named := _file_name(tokens[:place]):
            files = page.additions if named[1] else page.files
            files[named[2]] = token.content
        elif kind == "console":
            page.commands += _session(token.content)
        elif kind == "sh":
            page.programs += token.content.splitlines()
        elif kind == "text":
            page.texts.append(token.content)
    return page


def _file_name(before: list[Token]) -> re.Match[str] | None:
    """The name that the paragraph right before a block consists of."""
    if not before or before[-1].type != "paragraph_close":
        return None
    return _NAMED.fullmatch(before[-2].content)


def _session(text: str) -> list[Command]:
    commands: list[Command] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            commands.append(Command(line[2:].rstrip("\n")))
        else:
            commands[-1].printed += line
    return commands


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def shape(text: str) -> str:
    """A text with everything that differs from run to run replaced by what it is."""
    for pattern, name in SHAPES:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def need(packages: page_packages.Packages) -> None:
    """Skip the test that calls this where the packages of its page were not fetched."""
    if not packages.fetched:
        name = packages.folder.name
        pytest.skip(
            f"{name} was not fetched: `make test` and `make soak` do, where a registry answers"
        )


def need_environment(caller: Environment) -> None:
    """Skip the test that calls this where an environment of callers was not made."""
    if caller.interpreter is None:
        oldest = ".".join(map(str, caller.oldest_python))
        pytest.skip(f"{caller.name} needs Python {oldest} or later, which is not on this machine")
    need(caller.packages())


class Reader:
    """Somebody who follows a page in a folder of their own.

    ``environment`` is what they have set; ``names`` are what the page says and what it is called
    here, such as addresses and paths.
    """

    def __init__(
        self,
        page: Page,
        folder: Path,
        environment: Mapping[str, str],
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.page = page
        self.folder = folder
        self.names = dict(names or {})
        self._ahead = list(page.commands)
        path = os.pathsep.join(
            [str(Path(sys.executable).parent), os.environ["PATH"], str(PROGRAMS)]
        )
        self.environment = {
            "PATH": path,
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(ROOT / "client" / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **page_packages.offline(),
            **environment,
        }
        folder.mkdir(parents=True, exist_ok=True)

    def write_files(self) -> None:
        """Write the page's files, and add to others what it adds."""
        for name, text in self.page.files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.here(text), encoding="utf-8")
        for name, text in self.page.additions.items():
            with (self.folder / name).open("a", encoding="utf-8") as file:
                file.write(self.here(text))

    def run(self, line: str, *, within: float = 150) -> subprocess.CompletedProcess[str]:
        """Run a line in a shell; what it printed, in the page's names. One that installs something
        takes it from the packages that were fetched when the tests were set up.
        """
        done = subprocess.run(
            ["sh", "-c", self.here(line)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within,
            check=False,
        )
        done.stdout = self.as_printed(done.stdout)
        return done

    def follow(self, many: int | None = None) -> list[str]:
        """Run the page's next commands, all that are left unless told how many, and compare what
        they print; what that was.
        """
        ahead = self._ahead[:many]
        del self._ahead[:many]
        assert ahead, "the page has no more commands"
        assert many in (None, len(ahead)), "the page has too few commands left"
        printed = []
        for command in ahead:
            done = self.run(command.line)
            done.stdout = _LATE_UNSUBSCRIPTION.sub("", done.stdout)
            assert shape(done.stdout) == shape(command.printed), f"$ {command.line}\n{done.stdout}"
            printed.append(done.stdout)
        return printed

    @contextmanager
    def running(
        self, *, address: str = "", says: str = "", program: int | None = None
    ) -> Iterator[Process]:
        """The page's program that runs on, once it listens at the page's ``address``, or ``says``
        that it is ready. ``program`` is its number where the page has several.
        """
        lines = self.page.programs
        assert program is not None or len(lines) == 1, "the page has several programs"
        line = lines[program or 0]
        command = ["sh", "-c", f"exec {self.here(line)}"]
        log = self.folder / f"program{program or ''}.log"
        process = Process(command, self.environment, log, folder=self.folder)

        def is_ready() -> bool:
            return _listens(self.here(address)) if address else says in process.log()

        try:
            eventually(lambda: is_ready() or not process.alive, what=f"not ready: {line}")
            assert process.alive, process.log()
            yield process
        finally:
            process.close()

    def as_printed(self, text: str) -> str:
        """A text of this machine in the page's names."""
        for name, here in self.names.items():
            text = text.replace(here, name)
        return text

    def here(self, text: str) -> str:
        """A text of the page in this machine's names."""
        for name, here in self.names.items():
            text = text.replace(name, here)
        return text
