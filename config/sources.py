"""The sources of settings: the environment, `.env`, a directory of secrets, the accounts file.

They replace pydantic-settings' own readers, which ignore unknown names (here a mistyped name is an
error) and parse every value of a table as JSON, so that the password "123456" would become a
number. Here a value remains text until the model reads it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from .addresses import HOME_VARIABLE, from_root
from .errors import ConfigurationError

PREFIX = "EARWITNESS_"
_SECRETS_DIR = f"{PREFIX}SECRETS_DIR"


class Environment(PydanticBaseSettingsSource):
    """All values whose names start with EARWITNESS_, in upper or lower case.

    An environment variable overrides a line of `.env`, which overrides a file in
    EARWITNESS_SECRETS_DIR.
    """

    def __init__(self, settings_cls: type[BaseSettings], env_file: Path | None) -> None:
        super().__init__(settings_cls)
        self._env_file = env_file

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the interface's
        """Return the value of one setting, its name, and False: the value is not JSON."""
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all values, nested like the model."""
        given = {name: (value, "in .env") for name, value in _dotenv(self._env_file)}
        given |= {name: (value, "in the environment") for name, value in _environment()}
        given = {name: (value, "in SECRETS_DIR") for name, value in _secret_files(given)} | given
        tree: dict[str, Any] = {}
        for name, (value, place) in given.items():
            path = name.removeprefix(PREFIX).lower().split("__")
            self._check(name, path, value, place)
            if not _insert(tree, path, value):
                raise ConfigurationError(
                    f"{name} ({place}) conflicts with a longer name that begins with it: keep "
                    "one of them"
                )
        return tree

    def _check(self, name: str, path: list[str], value: str, place: str) -> None:
        settings = self.settings_cls.model_fields.keys() - {"accounts", "webhooks"}
        is_setting = len(path) == 1 and path[0] in settings
        is_account = len(path) >= 3 and path[0] == "accounts" and all(path)
        is_webhook = len(path) == 3 and path[0] == "webhooks" and all(path)
        if not (is_setting or is_account or is_webhook):
            known = [f"{PREFIX}{field}".upper() for field in settings]
            near = get_close_matches(name, known, n=1, cutoff=0.8)
            raise ConfigurationError(
                f"{name} ({place}) is not a setting{f'; did you mean {near[0]}?' if near else ''}: "
                "correct or remove it (.env.example names every setting)"
            )
        if not _is_text(value):
            raise ConfigurationError(f"{name} ({place}) is not UTF-8 text: write it in UTF-8")
        if not value.strip():
            raise ConfigurationError(
                f"{name} ({place}) is empty: give it a value, or remove it for the default"
            )


def _is_text(value: str) -> bool:
    """Return whether the value was UTF-8; Python keeps other bytes as lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _insert(tree: dict[str, Any], path: list[str], value: str) -> bool:
    """Insert the value at the path; return False if another value is in the way."""
    branch = tree
    for step in path[:-1]:
        below = branch.setdefault(step, {})
        if not isinstance(below, dict):
            return False
        branch = below
    if path[-1] in branch:
        return False
    branch[path[-1]] = value
    return True


class AccountsFile(PydanticBaseSettingsSource):
    """The accounts, from the TOML file that EARWITNESS_ACCOUNTS_FILE names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the interface's
        """Return the value of ``accounts``, None for other fields."""
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the tables of the file by alias."""
        default = self.settings_cls.model_fields["accounts_file"].default
        path = from_root(Path(self.current_state.get("accounts_file", default)))
        document = _toml(path)
        for key in document:
            if key != "accounts":
                raise ConfigurationError(
                    f'{path}: "{key}" is not a key; every table is called [accounts.<alias>]'
                )
        return {"accounts": document.get("accounts", {})}


def _environment() -> Iterator[tuple[str, str]]:
    for name, value in os.environ.items():
        if name.upper().startswith(PREFIX) and name != HOME_VARIABLE:
            yield name.upper(), value


def _dotenv(path: Path | None) -> Iterator[tuple[str, str]]:
    """Yield the lines of `.env`; `${NAME}` is not expanded, since a password may contain it."""
    if path is None or not os.path.lexists(path):
        return
    try:
        with path.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {_reason(error)}") from None
    for binding in bindings:
        if binding.error:
            raise ConfigurationError(
                f"{path}, line {binding.original.line}: not a setting; write it like NAME=value"
            )
        if binding.key is not None and binding.key.upper().startswith(PREFIX):
            yield binding.key.upper(), binding.value or ""


def _secret_files(given: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    if _SECRETS_DIR not in given:
        return
    directory = from_root(Path(given[_SECRETS_DIR][0]))
    try:
        for path in sorted(directory.iterdir()):
            if not path.name.upper().startswith(PREFIX):
                continue
            if not path.is_file():
                raise ConfigurationError(
                    f"{path.name.upper()} (in SECRETS_DIR) is not a file but a folder or a broken "
                    "link: is the mount missing?"
                )
            yield path.name.upper(), path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{_SECRETS_DIR}: {directory} cannot be read ({_reason(error)}): name a directory in "
            "which each secret is a file such as earwitness_accounts__india__password"
        ) from None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"{PREFIX}ACCOUNTS_FILE: {path} does not exist: copy accounts.example.toml to it and "
            "fill it in, or name another file"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: no TOML, or no UTF-8
        raise ConfigurationError(
            f"{PREFIX}ACCOUNTS_FILE: {path} cannot be read ({_reason(error)}): correct it"
        ) from None


def _reason(error: Exception) -> str:
    """Return why reading failed; some errors' own messages quote the content."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, tomllib.TOMLDecodeError):
        return f"not valid TOML: {error}"
    return "not UTF-8 text"
