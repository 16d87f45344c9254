"""What docs/restore.md says to type where the archive was moved, lost, or restored from a copy."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable

from archive.verify.verification import verify
from ledger.core import states

from .deployment import Deployment
from .pages import DOCS
from .simulators import Simulators
from .vouched_house import FIRST, SECOND, VouchedHouse, copied, moved
from .waiting import eventually

Deploy = Callable[..., Deployment]
PAGE = (DOCS / "restore.md").read_text()


def section(heading: str) -> list[str]:
    """The commands of ours that stand under a heading of the page, in their order."""
    _, _, text = PAGE.partition(f"## {heading}\n")
    text = text.partition("\n## ")[0]
    blocks = re.findall(r"(?ms)^ *```\n(.*?)^ *```$", text)
    return [block.strip() for block in blocks if block.strip().startswith("earwitness ")]


def types(vouched: VouchedHouse, command: str, day: object = FIRST, job: str = "") -> str:
    """Type a command of the page for a day or a job; what it prints. It must end well."""
    told = {"A": "india", "DAY": str(day), "WHO": "ana", "WHY": "a note", "JOB": job}
    words = [told.get(word, word) for word in shlex.split(command)]
    done = vouched.house.run(*words[1:])
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def test_the_archive_was_moved(deploy: Deploy, simulators: Simulators) -> None:
    """To another place, which the setting names from then on."""
    vouched = VouchedHouse(deploy, simulators)
    with vouched.house.producer() as app:
        assert vouched.begin(app).stop() == 0
        vouched.house.settings["ARCHIVE_URL"] = str(moved(vouched.root))
        (compare,) = section("The archive was moved")
        assert types(vouched, compare).strip() in PAGE
        vouched.house.worker("second")
        vouched.export(app, SECOND)
        vouched.owes_nothing()
    assert not vouched.root.exists()
    assert verify(vouched.house.store).problems == []


def test_the_archive_is_not_mounted(deploy: Deploy, simulators: Simulators) -> None:
    """The page's words are said; mounted again, a running worker goes on and others start."""
    vouched = VouchedHouse(deploy, simulators)
    with vouched.house.producer() as app:
        vouched.begin(app)
        elsewhere = moved(vouched.root)
        vouched.root.mkdir()
        (compare,) = section("The archive is not mounted")
        said = vouched.house.run(*shlex.split(compare)[1:])
        words = "is not there: it has no ledger.json, although this ledger has archived files"
        assert (said.returncode, words in said.stderr, words in PAGE) == (1, True, True)
        asked = vouched.house.send(app, "export.run", account="india", day=SECOND.isoformat())
        vouched.root.rmdir()
        elsewhere.rename(vouched.root)
        types(vouched, compare)
        assert asked.get(timeout=60)["archived"] == 3
        vouched.house.worker("second")


def test_the_archive_was_restored_from_a_copy(deploy: Deploy, simulators: Simulators) -> None:
    """An older one is accepted, and what it lacks is exported again; then there is none left, and a
    new archive is begun.
    """
    vouched = VouchedHouse(deploy, simulators)
    accept, export, begin = section("The archive was restored from a copy")
    with vouched.house.producer() as app:
        worker = vouched.begin(app)
        copy = copied(vouched.root, "copy")
        vouched.export(app, SECOND)
        vouched.owes_nothing()
        assert worker.stop() == 0
        shutil.rmtree(vouched.root)
        copy.rename(vouched.root)
        assert str(SECOND) in types(vouched, accept)
        worker = vouched.house.worker("second")
        types(vouched, export, SECOND)
        assert vouched.day(SECOND).state == states.DAY_COMPLETE
        vouched.owes_nothing()
        assert verify(vouched.house.store).problems == []

        assert worker.stop() == 0
        shutil.rmtree(vouched.root)
        assert str(FIRST) in types(vouched, begin)
        vouched.house.worker("third")
        for day in (FIRST, SECOND):
            types(vouched, export, day)
        vouched.owes_nothing()
    assert verify(vouched.house.store).problems == []


def test_a_file_of_the_archive_is_lost(deploy: Deploy, simulators: Simulators) -> None:
    """Of each kind that the page names: given back, or made anew by its command."""
    vouched = VouchedHouse(deploy, simulators)
    compare, export, retry, accept = section("A file of the archive is lost or damaged")
    with vouched.house.producer() as app:
        worker = vouched.begin(app)
        (path,) = vouched.root.glob(f"india/exports/{FIRST:%Y/%m/%d}/*/*.zip")
        away = path.rename(vouched.house.folder / path.name)
        assert vouched.coverage()[0] == 1
        away.rename(path)
        types(vouched, compare)

        path.unlink()
        assert "archived 3 of 3" in types(vouched, export)
        assert vouched.coverage()[1][str(FIRST)] == "complete"

        audio = vouched.lose("india/recordings/*/*/*/" + _downloaded(vouched))
        types(vouched, retry, job="single")
        eventually(audio.exists, what="it was not fetched again")

        receipt = vouched.lose("legal/certified-calls/*/*/*.json")
        worker.stop()
        worker = vouched.house.worker("second")
        eventually(receipt.exists, what="the receipt was not written")
        vouched.owes_nothing()
        types(vouched, compare)

        assert worker.stop() == 0
        max(vouched.root.glob("india/chain/*.json")).unlink()
        types(vouched, accept)
        vouched.house.worker("third")
        vouched.owes_nothing()


def _downloaded(vouched: VouchedHouse) -> str:
    """The name of the audio of the recording that was fetched by itself."""
    return f"{vouched.india.recordings()[-1]['id']}.mp3"
