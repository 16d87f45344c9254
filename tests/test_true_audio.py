"""Only what is audio by its own bytes counts as a recording, and no true audio is thrown away."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from .archives import Builder, audio, content_of, lines_of, recording, zipped
from .deployment import Deployment, account_toml
from .simulators import Simulators
from .simulators.audio import PRETENDERS
from .waiting import eventually

DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"
Deploy = Callable[..., Deployment]

_BESIDE = "vtt,json,txt,srt,csv,html,xml,pdf,empty,apple_double,wav"
#: Accounts by what they send, the numbers of their days: archived, unexpected, fetched singly.
NIGHTS: dict[
    str, tuple[dict[str, Any], tuple[str, dict[str, Any]] | None, tuple[int, int, int]]
] = {
    "before": ({"companions": _BESIDE, "companions_at": "before"}, None, (3, 33, 0)),
    "behind": ({"companions": _BESIDE}, None, (3, 33, 0)),
    "by_id": (
        {"companions": _BESIDE, "companions_at": "before", "members": "id"},
        None,
        (3, 33, 0),
    ),
    "deflated": ({"companions": "vtt", "compression": "deflated"}, None, (3, 3, 0)),
    "zero": ({"companions": "vtt", "companions_at": "before", "sizes": "zero"}, None, (3, 3, 0)),
    "cut": ({}, ("cut_member", {"share": 0.6}), (3, 1, 1)),
    "another": ({}, ("other_member", {"file": "webvtt"}), (3, 1, 1)),
    "page": ({}, ("other_member", {"file": "html"}), (3, 1, 1)),
    "zeros": ({}, ("other_member", {"file": "sync_and_zeros"}), (3, 1, 1)),
    "line_end": ({}, ("surrounded_zip", {}), (3, 0, 0)),
    "stub": ({}, ("surrounded_zip", {"before": "MZ" + "\0" * 5000, "after": "\n"}), (3, 0, 0)),
    "early_line": ({}, ("surrounded_zip", {"before": "\r\n", "after": "\x1a"}), (3, 0, 0)),
}


def account_of(simulators: Simulators, name: str, **switches: Any) -> Any:
    """An account that lists no sizes unless told, with exports that are ready at once."""
    account = simulators.vonage.account(username=f"{name}@vbc.prod")
    account.configure(**{"ready_after_polls": 0, "sizes": "absent", **switches})
    return account


def test_a_night_counts_only_audio(deploy: Deploy, simulators: Simulators) -> None:
    """Transcripts, texts, pages, empty files and a second file beside each recording, before it or
    behind it, and cut or exchanged members: each recording is the file that is one, fetched singly
    where the ZIP has none, and everything else is kept in the ZIP and counted as unexpected.
    """
    sections = []
    for name, (switches, fault, _) in NIGHTS.items():
        account = account_of(simulators, name, **switches)
        account.seed(DAY, ZONE, 3)
        if fault:
            account.fault("retrieve", fault[0], times=None, **fault[1])
        sections.append(account_toml(name, account.configuration(), {}))
    house = deploy("\n".join(sections))
    house.worker()
    with house.producer() as app:
        asked = {
            name: house.send(app, "export.run", account=name, day=DAY.isoformat())
            for name in NIGHTS
        }
        for name, (_, _, (archived, unexpected, singly)) in NIGHTS.items():
            result = asked[name].get(timeout=120)
            assert (result["listed"], result["archived"]) == (3, archived), (name, result)
            written = content_of(house.store, result["manifest"])
            assert (written["unexpected"], len(written["files"])) == (unexpected, singly), name
            lines = lines_of(house.store, written)
            assert [line["audio"] for line in lines] == ["mp3"] * 3, name
            assert all(line.get("member", "x.mp3").endswith(".mp3") for line in lines), name
    assert json.loads(house.run("verify", "--json").stdout)["problems"] == []


def test_names_are_the_same_in_every_form_of_unicode(
    deploy: Deploy, simulators: Simulators
) -> None:
    """A list that composes its letters and a ZIP that does not, of files of one size."""
    account = account_of(simulators, "india", name_form="NFD", sizes="listed")
    for name in ("José Müller.mp3", "Ångström ñ.mp3", "한국어.mp3"):
        start = f"{DAY.isoformat()}T06:00:00Z"
        account.add({"start": start, "file_name": name, "size_bytes": 4000})
    house = deploy(account_toml("india", account.configuration(), {}))
    house.worker()
    with house.producer() as app:
        run = house.send(app, "export.run", account="india", day=DAY.isoformat())
        assert run.get(timeout=60)["archived"] == 3
    assert simulators.log.requests("audio", None) == []


#: Single recordings by what is sent in their place: the ending they are kept with, or words.
SINGLES: dict[str, tuple[dict[str, Any], tuple[str, dict[str, Any]] | None, str]] = {
    "download": ({"audio_type": "application/download"}, None, ".mp3"),
    "untyped": ({"audio_type": ""}, None, ".mp3"),
    "called_a_page": ({"audio_type": "text/html"}, None, ".mp3"),
    "behind_zeros": ({}, ("preceded", {"bytes": 417}), ".mp3"),
    "cut": ({}, ("cut_file", {"share": 0.61}), " s of the listed "),
    "cut_untimed": ({"durations": "absent"}, ("cut_file", {"share": 0.61}), "its last frame"),
    "zeros": ({}, ("other_file", {"file": "sync_and_zeros"}), "no frames after them"),
    "transcript": ({}, ("other_file", {"file": "webvtt"}), "a transcript (WebVTT)"),
    "page": ({}, ("other_file", {"file": "html"}), "a web page (HTML)"),
}


def test_true_audio_is_kept_and_what_is_refused_is_set_aside(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Whatever the content type says, the bytes decide. What is refused and may be a recording lies
    in the spool, named by the job's error and by doctor, once however often it was fetched.
    """
    sections, ids = [], {}
    for name, (switches, fault, _) in SINGLES.items():
        account = account_of(simulators, name, **switches)
        ids[name] = str(account.seed(DAY, ZONE, 1)[0]["id"])
        if fault:
            account.fault("audio", fault[0], times=None, **fault[1])
        sections.append(account_toml(name, account.configuration()))
    house = deploy("\n".join(sections), settings={"POLL_FIRST_SECONDS": "0.1"})
    house.worker()
    aside = house.spool / "refused"
    with house.producer() as app:
        asked = {
            name: house.send(app, "recording.download", account=name, recording_id=ids[name])
            for name in SINGLES
        }
        for name, (_, _, words) in SINGLES.items():
            outcome = asked[name].get(timeout=120, propagate=False)
            if words.startswith("."):
                assert outcome["path"].endswith(words), (name, outcome)
                continue
            assert type(outcome).__name__ == "Damaged", (name, outcome)
            assert words in str(outcome), (name, outcome)
            kept = list(aside.glob(f"{name}-{ids[name]}.*"))
            assert len(kept) == (name != "page"), (name, kept)
            assert all(f"set aside as {path}" in str(outcome) for path in kept), (name, outcome)
        # One that came cut once comes whole the next time: nothing of it is left aside.
        once = simulators.vonage.account(username="cut@vbc.prod")
        simulators.vonage.clear_faults("audio")
        once.fault("audio", "cut_file", share=0.61, times=1)
        again = house.send(app, "recording.download", account="cut", recording_id=ids["cut"])
        assert again.get(timeout=60)["path"].endswith(".mp3")
        assert list(aside.glob("cut-*")) == []
    doctor = house.run("doctor").stdout
    assert "3 refused files may be recordings" in doctor, doctor


def test_a_transcript_archived_by_an_older_release_deletes_nothing(
    deploy: Deploy, simulators: Simulators, tmp_path: Path
) -> None:
    """Its manifest names the transcript beside the recording: verify says so, the recording stays
    at the provider, and the next look at the day finds the recording in the ZIP that is there. Then
    it may be deleted.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    given = recording(101, file_size_in_bytes=None, file_name=None)
    account.add({"id": 101, "start": given["start"], "file_name": "x.mp3"})
    account.configure(sizes="absent", durations="absent")
    accounts = account_toml("india", {**account.configuration(), "allow_delete": True}, {})
    house = deploy(accounts)
    house.worker()
    eventually(lambda: house.store.exists("ledger.json"), what="no worker made the archive")
    members = [("101.vtt", PRETENDERS["webvtt"]), ("101.mp3", audio(101))]
    day = date(2026, 11, 20)
    written = Builder(tmp_path, house.store).export(
        "india", "1111-one", [given], {"p": zipped(members)}, generation=0, heard=False
    )
    (line,) = lines_of(house.store, written)
    assert line["member"] == "101.vtt"
    found = json.loads(house.run("verify", "--json").stdout)["problems"]
    assert "'101.vtt', which india/exports" in found[0]["message"]
    with house.producer() as app:
        refused = house.send(app, "recording.delete", account="india", recording_id="101").get(
            timeout=60, propagate=False
        )
        assert type(refused).__name__ == "Rejected"
        assert "not audio but a transcript (WebVTT)" in str(refused)
        assert simulators.log.effects("recording_deleted") == []
        again = house.send(app, "export.run", account="india", day=day.isoformat())
        result = again.get(timeout=60)
        assert (result["archived"], result["missing"]) == (1, 0)
        (line,) = lines_of(house.store, content_of(house.store, result["manifest"]))
        assert (line["member"], line["audio"]) == ("101.mp3", "mp3")
        assert simulators.log.requests("audio", None) == []
        eventually(lambda: not house.ledger.outbox.waiting(), what="nothing was chained")
        asked = house.send(
            app, "recording.delete", account="india", recording_id="101", request_id="again"
        )
        assert asked.get(timeout=60)["archived_as"] == result["manifest"]
