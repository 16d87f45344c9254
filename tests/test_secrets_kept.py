"""What is kept of an answer that repeats a password, and what commands show of a recording."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.masking import holds_secret
from config.settings import load
from providers.gsmblockchain.client import Refused, Unanswered
from providers.gsmblockchain.redaction import kept_answer
from worker.commands.redaction import masked_line

from .gsmblockchain_calls import PASSWORD, account, answering, call, serving

SPELT = {
    "JSON": json.dumps(PASSWORD).replace("/", "\\/"),
    "letters": "".join(f"\\u{ord(letter):04x}" for letter in PASSWORD),
    "entities": "".join(f"&#{ord(letter)};" for letter in PASSWORD),
    "hexadecimal": PASSWORD.encode().hex(),
    "twice": "".join(f"%25{byte:02x}" for byte in PASSWORD.encode()),
}


@pytest.mark.parametrize("spelt", SPELT.values(), ids=SPELT.keys())
def test_a_password_in_another_notation_is_neither_quoted_nor_kept(spelt: str) -> None:
    """Neither in the reason of a refusal, nor of an answer that was not understood, nor in the
    bytes that the receipt holds.
    """
    refusal = json.dumps({"status": "KO", "errorMessage": f"no {spelt} here"}).encode()
    for body, kind in ((refusal, Refused), (f"Oops {spelt}".encode(), Unanswered)):
        with serving(answering(body)) as server, pytest.raises(kind) as caught:
            call(account(server.url))
        assert not holds_secret(str(caught.value), [PASSWORD])
        assert not holds_secret(kept_answer(account(), body), [PASSWORD])


def test_an_answer_is_evidence_unless_it_repeats_the_password() -> None:
    """It stays byte for byte; a word of the platform's own format is no repetition."""
    answer = b'{ status: "OK", phone: 912080202, }'
    assert kept_answer(account(), answer) == answer
    assert kept_answer(account(password="phone"), answer) == answer
    assert kept_answer(account(password="phone"), b"no such phone") == b"***"


def test_short_secrets_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By account and field or by setting, without the value."""
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(
        '[accounts.legal]\nprovider = "gsmblockchain"\nusername = "u"\npassword = "call"\n'
        'timezone = "Europe/Madrid"\nmax_calls_per_day = 1\nmax_seconds_per_call = 60\n'
        'countries = ["ES"]\n'
    )
    monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(accounts))
    monkeypatch.setenv("EARWITNESS_REDIS_URL", "redis://:abc@127.0.0.1:1/0")
    found = load(tmp_path / "none").short_secrets()
    assert found == ("the password in EARWITNESS_REDIS_URL", "accounts.legal.password")


def test_a_recording_shows_no_number() -> None:
    """Neither of a party nor in a file's name at the provider; where it lies is shown."""
    line = {
        "id": "1234567890",
        "caller_id": 34660111222,
        "dnis": "+34 912 080 202",
        "cnam": "Ana",
        "file_name": "out/20261120_34660111222.mp3",
        "path": "india/recordings/2026/11/20/1234567890.mp3",
        "duration": 61000,
    }
    shown = masked_line(line)
    assert shown["id"] == "1234567890"
    assert shown["path"] == line["path"]
    assert (shown["caller_id"], shown["dnis"], shown["cnam"]) == ("***222", "***202", "***")
    assert "34660111222" not in json.dumps(shown)
