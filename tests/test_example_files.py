"""The example files: they say what the models say, and they work as they are."""

from __future__ import annotations

import itertools
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from config.accounts import Nightly, models
from config.settings import ROOT, Settings, load

LINE = re.compile(r"^# (EARWITNESS_[A-Z_]+)=(.*)$", re.MULTILINE)
#: Said in words at the top of the example, since every account takes them.
OF_EVERY_ACCOUNT = {"rate", "timeout_seconds", "verify_tls"}


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """`.env.example` as an operator copies it, every setting that has a default switched on."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    env_file = tmp_path / ".env"
    env_file.write_text(re.sub(r"(?m)^# (EARWITNESS_[A-Z_]+=.+)$", r"\1", text))
    return env_file


def test_env_example_names_every_setting_once() -> None:
    """Every setting stands in .env.example, once and in the model's order, and nothing else."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    fields = [name for name in Settings.model_fields if name not in ("accounts", "webhooks")]

    assert "EARWITNESS_WEBHOOKS__ORDERS__URL" in text
    assert [name for name, _ in LINE.findall(text)] == [
        f"EARWITNESS_{name.upper()}" for name in fields
    ]


def test_env_example_explains_every_setting() -> None:
    """Above each setting stands what it is for."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()

    for above, line in itertools.pairwise(lines):
        if LINE.match(line):
            assert re.match(r"# [A-Z].*[.]$", above) or "EARWITNESS_ACCOUNTS__" in above


def test_env_example_says_the_defaults(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Switching every line of .env.example on changes nothing."""
    accounts = tmp_path / "accounts.toml"
    accounts.touch()
    monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(accounts))

    assert load(example) == load(tmp_path / "none")


def test_env_example_says_the_default_accounts_file() -> None:
    """The accounts file is called in .env.example as the model calls it."""
    said = dict(LINE.findall((ROOT / ".env.example").read_text(encoding="utf-8")))

    assert said["EARWITNESS_ACCOUNTS_FILE"] == str(Settings.model_fields["accounts_file"].default)


def test_accounts_example_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of accounts.example.toml is accepted unchanged."""
    shutil.copy(ROOT / "accounts.example.toml", tmp_path / "accounts.toml")
    monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))

    said = load(tmp_path / "none")

    assert list(said.accounts) == ["legal_es", "pbx", "office", "india"]


def test_accounts_example_shows_every_field() -> None:
    """Every field of every provider stands in the example; those of every account, at its top."""
    text = (ROOT / "accounts.example.toml").read_text(encoding="utf-8")
    tables = {table["provider"]: table for table in tomllib.loads(text)["accounts"].values()}

    for provider, model in models().items():
        shown = set(tables[provider]) | OF_EVERY_ACCOUNT | {"alias"}
        assert set(model.model_fields) - shown <= {"access_token"}
    assert set(tables["vonage"]["nightly"]) == set(Nightly.model_fields)
    for name in (*OF_EVERY_ACCOUNT, "access_token"):
        assert f"{name} = " in text
