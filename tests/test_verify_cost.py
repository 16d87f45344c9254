"""What a verification costs, counted in the files that it opens and the processes it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from archive.store.directory import DirectoryStore
from config.settings import ROOT

from .archives import Builder, recording

#: Verifies an archive; prints how many files it has, how many problems, how often one of them
#: was opened, and how many processes were started.
COUNT = """
import sys
from pathlib import Path
from archive.store.directory import DirectoryStore
from archive.verify import verification

root, opened, started = sys.argv[1], [], []

def note(event, arguments):
    if event == "open" and str(arguments[0]).startswith(f"{root}/india"):
        opened.append(arguments[0])
    if event == "subprocess.Popen":
        started.append(arguments[0])

sys.addaudithook(note)
report = verification.verify(DirectoryStore(Path(root)))
print(report.files, len(report.problems), len(opened), len(started))
"""


def test_a_file_is_opened_about_twice(tmp_path: Path) -> None:
    """A night of single recordings: the metadata of each is named by the manifest, the list and
    the newest entry of the chain, and describes the audio beside it. It is not read for each of
    them again, and no process is started for so few.
    """
    builder = Builder(tmp_path, DirectoryStore(tmp_path / "archive"))
    builder.identity()
    builder.export("india", "0b5e-night", [recording(n) for n in range(1_000_000, 1_000_200)], {})
    command = [sys.executable, "-c", COUNT, str(tmp_path / "archive")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    files, problems, opened, started = map(int, run.stdout.split())
    assert (files, problems, started) == (404, 0, 0)
    assert opened <= 2.6 * files
