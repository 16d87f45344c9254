"""The settings of a process, read once and immutable.

A setting comes from an environment variable with the prefix EARWITNESS_, from a line of `.env` in
the project's root, or from a file in EARWITNESS_SECRETS_DIR. `.env.example` explains each setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from . import sentinels
from .accounts import Accounts
from .address_parts import split_address
from .addresses import (
    HOME_VARIABLE,
    ROOT,
    ArchiveAddress,
    KeyPrefix,
    LedgerAddress,
    LocalPath,
    RedisAddress,
    celery_address,
)
from .errors import ConfigurationError
from .fields import BindAddress, SecretAddress, WebAddress
from .refusals import refusal
from .secrets import LONG
from .sources import PREFIX, AccountsFile, Environment
from .storage import storage_secrets
from .webhooks import AlertSecret, Webhooks

__all__ = ["ROOT", "ConfigurationError", "Settings", "load", "settings"]

#: Addresses are secret only if they contain a password.
_ADDRESS_FIELDS = {"redis_url", "ledger_url"}


class Settings(BaseSettings):
    """The settings of one process. Addresses that may contain a password are secrets."""

    model_config = SettingsConfigDict(
        env_prefix="EARWITNESS_",
        env_file=ROOT / ".env",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    redis_url: RedisAddress = SecretStr("redis://127.0.0.1:6379/0")
    redis_key_prefix: KeyPrefix | None = None
    result_extended: bool = False
    ledger_url: LedgerAddress = SecretStr("sqlite:///var/ledger.sqlite3")
    archive_url: ArchiveAddress = "var/archive"
    spool_dir: LocalPath = Path("var/spool")
    spool_reserve_bytes: int = Field(1_073_741_824, ge=0)
    accounts_file: LocalPath = Path("accounts.toml")
    secrets_dir: LocalPath | None = None

    poll_first_seconds: float = Field(15, gt=0)
    poll_max_seconds: float = Field(300, gt=0)
    poll_deadline_hours: float = Field(24, gt=0)
    sweep_seconds: float = Field(5, gt=0)
    lease_seconds: float = Field(30, gt=0)
    transfers_per_worker: int = Field(2, ge=1)
    transfer_max_hours: float = Field(6, gt=0)

    zip_max_members: int = Field(1_000_000, ge=1)
    zip_max_bytes: int = Field(1_099_511_627_776, ge=1)
    zip_max_ratio: float = Field(200, ge=1)

    hooks_url: WebAddress | None = None
    hooks_bind: BindAddress = "127.0.0.1:8765"
    metrics_bind: BindAddress | None = None
    alert_url: SecretAddress | None = None
    alert_secret: AlertSecret | None = None
    webhooks: Webhooks = Field(default_factory=dict)
    report_dir: LocalPath | None = None
    log_format: Literal["text", "json"] = "text"

    accounts: Accounts

    @property
    def celery_url(self) -> SecretStr:
        """`redis_url` in the format of Celery and kombu; redis-py takes `redis_url` itself."""
        return SecretStr(celery_address(self.redis_url.get_secret_value()))

    def redis_key(self, name: str) -> str:
        """Return the name of a key or queue with the prefix, which kombu adds but redis-py not."""
        return f"{self.redis_key_prefix or ''}{name}"

    def secret_values(self) -> tuple[str, ...]:
        """Return every value that no log may show, for `config.logging.configure`.

        The object store's secrets are included, although they are not our settings.
        """
        named = [value for _, value in _secrets_of(self)]
        return tuple(dict.fromkeys([*named, *storage_secrets()]))

    def short_secrets(self) -> tuple[str, ...]:
        """Return the names of settings whose secret is too short to be hidden in a finished line.

        A name is, for example, ``accounts.india.password``. See `config.masking`.
        """
        short = [name for name, value in _secrets_of(self) if len(value) < LONG]
        return tuple(dict.fromkeys(short))

    @model_validator(mode="after")
    def _in_order(self) -> Settings:
        if self.poll_max_seconds < self.poll_first_seconds:
            raise ConfigurationError(
                "EARWITNESS_POLL_MAX_SECONDS is below EARWITNESS_POLL_FIRST_SECONDS: raise it"
            )
        if (self.alert_url is None) != (self.alert_secret is None):
            raise ConfigurationError(
                "only one of EARWITNESS_ALERT_URL and EARWITNESS_ALERT_SECRET is set, and alerts "
                "are always signed: set both or neither"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - config/sources.py has the reason
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources by precedence: arguments, environment, accounts file."""
        assert isinstance(dotenv_settings, DotEnvSettingsSource)
        env_file = dotenv_settings.env_file
        environment = Environment(settings_cls, Path(str(env_file)) if env_file else None)
        return init_settings, environment, AccountsFile(settings_cls)


def load(env_file: Path = ROOT / ".env") -> Settings:
    """Read all settings again.

    Raises:
        ConfigurationError: a setting is missing, unknown or wrong.
    """
    if not (ROOT.is_absolute() and ROOT.is_dir()):
        raise ConfigurationError(
            f"{HOME_VARIABLE} is not the full path of a folder: {ROOT}; set it to the folder "
            "of accounts.toml and .env, or unset it"
        )
    try:
        return Settings(_env_file=env_file)
    except ValidationError as error:
        raise refusal(error) from None


class _OfThisProcess:
    """The settings of this process, read on the first call. Only the accounts and webhooks ever
    change.
    """

    def __init__(self) -> None:
        self._read: Settings | None = None

    def __call__(self) -> Settings:
        """Return the settings. Raises ConfigurationError if one is missing, unknown or wrong."""
        if self._read is None:
            self._read = load()
        return self._read

    def adopt(self, fresh: Settings) -> None:
        """Use the accounts and webhooks of ``fresh`` from now on, and keep every other setting."""
        changed = {"accounts": fresh.accounts, "webhooks": fresh.webhooks}
        self._read = self().model_copy(update=changed)

    def cache_clear(self) -> None:
        """Forget the settings, so that the next call reads them again."""
        self._read = None


settings = _OfThisProcess()


def _secrets_of(model: BaseModel, prefix: str = "EARWITNESS_") -> Iterator[tuple[str, str]]:
    """Yield the name of each setting with a secret, and the secret."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if name == "accounts":
            for alias, account in value.items():
                yield from _secrets_of(account, f"accounts.{alias}.")
        elif name == "webhooks":
            for key, webhook in value.items():
                yield from _secrets_of(webhook, f"{prefix}WEBHOOKS__{key.upper()}__")
        elif isinstance(value, BaseModel):
            yield from _secrets_of(value, f"{prefix}{name}.")
        elif isinstance(value, SecretStr):
            secret = value.get_secret_value()
            shown = f"{prefix}{name.upper() if prefix.startswith(PREFIX) else name}"
            if name not in _ADDRESS_FIELDS:
                yield shown, secret
                continue
            for one in _address_secrets(secret):
                yield f"the password in {shown}", one


def _address_secrets(url: str) -> Iterator[str]:
    """Yield the secrets of an address with a password: the address, the password, its decoding."""
    password = split_address(url).password
    found = [one for one in (password, unquote(password or ""), sentinels.password(url)) if one]
    if found:
        yield url
        yield from found
