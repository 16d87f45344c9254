"""The settings: where they come from, what is refused, and that no secret shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery
from pydantic import ValidationError
from redis import ConnectionPool

from config.settings import ROOT, ConfigurationError, Settings, load, settings

Load = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load with these variables, these lines of `.env`, and an accounts file without accounts."""
    accounts = tmp_path / "accounts.toml"
    accounts.write_text("[accounts]\n")
    env_file = tmp_path / ".env"

    def _read(*lines: str, **variables: str) -> Settings:
        monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(accounts))
        for name, value in variables.items():
            monkeypatch.setenv(f"EARWITNESS_{name}", value)
        env_file.write_text("".join(f"{line}\n" for line in lines))
        return load(env_file)

    return _read


def test_defaults_lie_below_the_root(read: Load) -> None:
    """With nothing said, everything lies in the project's own folder `var`, as absolute paths."""
    said = read()

    assert said.redis_url.get_secret_value() == "redis://127.0.0.1:6379/0"
    assert said.ledger_url.get_secret_value() == f"sqlite:///{ROOT}/var/ledger.sqlite3"
    assert said.archive_url == str(ROOT / "var/archive")
    assert said.spool_dir == ROOT / "var/spool"
    assert (said.poll_first_seconds, said.poll_max_seconds, said.lease_seconds) == (15, 300, 30)


def test_relative_paths_ignore_the_current_directory(
    read: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is started from another directory uses the same archive, spool and ledger."""
    monkeypatch.chdir(tmp_path)

    said = read(ARCHIVE_URL="kept", SPOOL_DIR="./part", LEDGER_URL="sqlite:///l.db?timeout=5")

    assert said.archive_url == str(ROOT / "kept")
    assert said.spool_dir == ROOT / "part"
    assert said.ledger_url.get_secret_value() == f"sqlite:///{ROOT}/l.db?timeout=5"


def test_absolute_paths_stay(read: Load) -> None:
    """An absolute path is taken as it is."""
    said = read(ARCHIVE_URL="/srv/archive", LEDGER_URL="sqlite:////srv/ledger.db")

    assert said.archive_url == "/srv/archive"
    assert said.ledger_url.get_secret_value() == "sqlite:////srv/ledger.db"


def test_the_environment_wins(read: Load, tmp_path: Path) -> None:
    """A variable wins over `.env`, and `.env` over a file in the directory of secrets."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name, value in (
        ("poll_first_seconds", "1"),
        ("sweep_seconds", "2"),
        ("log_format", "json"),
    ):
        (secrets / f"earwitness_{name}").write_text(f"{value}\n")

    said = read(
        "export EARWITNESS_SWEEP_SECONDS='3.5'",
        "EARWITNESS_POLL_FIRST_SECONDS=4",
        f"EARWITNESS_SECRETS_DIR={secrets}",
        POLL_FIRST_SECONDS="5.5",
    )

    assert said.poll_first_seconds == 5.5
    assert said.sweep_seconds == 3.5
    assert said.log_format == "json"


def test_other_programs_may_share_env(read: Load) -> None:
    """Names without our prefix in `.env` are left alone, and `${...}` in a value stays as it is."""
    said = read("FLOWER_PORT=5555", "EARWITNESS_REDIS_URL=redis://:a${HOME}b@h/1")

    assert said.redis_url.get_secret_value() == "redis://:a${HOME}b@h/1"


@pytest.mark.parametrize(
    ("url", "for_celery", "database"),
    [
        ("redis://:pw@redis.internal:6380/3", "redis://:pw@redis.internal:6380/3", 3),
        ("rediss://u:pw@h/1", "rediss://u:pw@h/1?ssl_cert_reqs=required", 1),
        ("rediss://h/1?ssl_cert_reqs=none", "rediss://h/1?ssl_cert_reqs=none", 1),
        ("rediss://h/1?ssl_cert_reqs=CERT_NONE", "rediss://h/1?ssl_cert_reqs=none", 1),
        ("unix:///run/redis.sock?db=4", "redis+socket:///run/redis.sock?virtual_host=4", 4),
    ],
)
def test_celery_gets_redis_in_its_own_words(
    read: Load, url: str, for_celery: str, database: int
) -> None:
    """Redis is said once, and both Celery's broker and its result backend understand it; over TLS
    the certificate is checked unless the address says otherwise.
    """
    said = read(REDIS_URL=url)
    address = said.celery_url.get_secret_value()

    told = said.redis_url.get_secret_value()
    assert told == (for_celery if url.startswith("rediss") else url)
    assert ConnectionPool.from_url(told).connection_kwargs["db"] == database
    assert address == for_celery
    with Celery(broker=address, backend=address, set_as_current=False) as app:
        assert app.connection().as_uri()
        assert app.backend.connparams["db"] == database


def test_a_socket_may_be_said_as_celery_says_it(read: Load) -> None:
    """`redis+socket://` is taken too."""
    said = read(REDIS_URL="redis+socket:///run/redis.sock?virtual_host=2")

    assert said.redis_url.get_secret_value() == "unix:///run/redis.sock?db=2"


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_postgresql_is_spoken_to_through_psycopg(read: Load, scheme: str) -> None:
    """Whoever writes postgresql:// gets the driver that is installed."""
    said = read(LEDGER_URL=f"{scheme}://u:pw@h/ledger")

    assert said.ledger_url.get_secret_value() == "postgresql+psycopg://u:pw@h/ledger"


def test_object_storage_is_an_archive(read: Load) -> None:
    """s3://, gs:// and az:// with a bucket are accepted."""
    assert read(ARCHIVE_URL="gs://my.bucket_1/a/b/").archive_url == "gs://my.bucket_1/a/b"
    assert read(ARCHIVE_URL="az://my-container/x").archive_url == "az://my-container/x"
    assert read(ARCHIVE_URL="s3://bucket/prefix/").archive_url == "s3://bucket/prefix"
    assert read(ARCHIVE_URL="s3://my.bucket_1").archive_url == "s3://my.bucket_1"


def test_a_directory_may_have_a_colon_in_its_whole_path(read: Load) -> None:
    """Only what begins like an address is refused."""
    assert read(ARCHIVE_URL="/srv/s3:/archive").archive_url == "/srv/s3:/archive"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("REDIS_URL", "redis-cluster://:s3cr3t@h:6379", "cluster"),
        ("REDIS_URL", "rediss+cluster://:s3cr3t@h:6379", "cluster"),
        ("REDIS_URL", "sentinel://:s3cr3t@h:26379", "has no master_name"),
        ("REDIS_URL", "sentinel://:s3cr3t@h?master_name=a b", "that sentinels do not accept"),
        ("REDIS_URL", "sentinel://:s3cr3t@h,?master_name=m", "without a host"),
        ("REDIS_URL", "sentinel://:s3cr3t@h:0?master_name=m", "invalid port"),
        ("REDIS_URL", "sentinel://:s3cr3t@h/x?master_name=m", "number of a database"),
        (
            "REDIS_URL",
            "sentinel://h?master_name=m&sentinel_password=a&s3cr3t=b",
            "an unknown option",
        ),
        (
            "REDIS_URL",
            "sentinel://h?master_name=m&sentinel_username=u",
            "without sentinel_password",
        ),
        ("REDIS_URL", "sentinel://:s3cr3t@h;redis://k?master_name=m", "other than sentinel://"),
        ("REDIS_URL", "sentinel://:s3cr3t@h;sentinel://:x@k?master_name=m", "more than one user"),
        ("REDIS_URL", "sentinel://:s3cr3t@h/1;sentinel://k/2?master_name=m", "more than one data"),
        ("REDIS_URL", "sentinel://:s3cr3t@h?master_name=m&ssl_cert_reqs=none", "sentinels://"),
        ("REDIS_URL", "sentinels://:s3cr3t@h?master_name=m&ssl_ca_certs=/nowhere", "no file"),
        ("REDIS_URL", "amqp://u:s3cr3t@h", "redis://"),
        ("REDIS_URL", "rediss://:s3cr3t@h?ssl_cert_reqs=maybe", "required, optional and none"),
        ("REDIS_URL", "rediss://:s3cr3t@h?ssl_ca_cert=x.pem", "ssl_ca_cert;"),
        ("REDIS_URL", "rediss://:s3cr3t@h?ssl_ca_certs=/nowhere/ca.pem", "no file"),
        ("REDIS_URL", "rediss://:s3cr3t@h?ssl_check_hostname=maybe", "true and false"),
        ("REDIS_URL", "redis://:s3cr3t@h?ssl_cert_reqs=required", "rediss://"),
        ("REDIS_KEY_PREFIX", "earwitness", "earwitness-a:"),
        ("REDIS_KEY_PREFIX", "ear*:", "earwitness-a:"),
        ("REDIS_URL", "redis://:s3cr3t@a:6379;redis://b:6379", "single Redis server"),
        ("REDIS_URL", "redis://:s3cr3t@h:6379/zero", "single Redis server"),
        ("REDIS_URL", "unix://", "single Redis server"),
        ("REDIS_URL", "127.0.0.1:6379", "redis://"),
        ("LEDGER_URL", "mysql://u:s3cr3t@h/l", "PostgreSQL"),
        ("LEDGER_URL", "sqlite://", "file"),
        ("LEDGER_URL", "sqlite:///:memory:", "file"),
        ("LEDGER_URL", "var/ledger.sqlite3", "sqlite:///"),
        ("ARCHIVE_URL", "gcs://bucket", "gs://"),
        ("ARCHIVE_URL", "azure://container/x", "az://"),
        ("ARCHIVE_URL", "gs://", "gs://bucket/prefix"),
        ("ARCHIVE_URL", "gs://Bucket/x", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("ARCHIVE_URL", "az://example@container/x", "AZURE_STORAGE_ACCOUNT_NAME"),
        ("ARCHIVE_URL", "az://my_container/x", "names no container"),
        ("ARCHIVE_URL", "az://container/x?sig=s3cr3t", "AZURE_STORAGE_ACCOUNT_KEY"),
        ("ARCHIVE_URL", "s3://", "s3://"),
        ("ARCHIVE_URL", "~/archive", "the full path"),
        *(
            ("ARCHIVE_URL", mistyped, "s3://bucket/prefix")
            for mistyped in (
                "s3:/bucket/x",
                "s3:bucket",
                "s3//bucket/x",
                "S3://bucket/x",
                "s3a://bucket/x",
                "abfs://container/x",
                "file:/srv/archive",
                "file:",
                "https://bucket.example.com/x",
                "C:/archive",
                "s3:///prefix",
                "s3://key:s3cr3t@bucket/x",
                "s3://bucket/x?region=eu-west-1",
                " s3://bucket/x",
                "/srv/archive\n",
            )
        ),
        ("LEDGER_URL", "sqlite:///~/ledger.sqlite3", "the full path"),
        ("SPOOL_DIR", "~other/spool", "the full path"),
        ("ARCHIVE_URL", "file:///srv", "directory"),
        ("POLL_FIRST_SECONDS", "soon", "number"),
        ("SWEEP_SECONDS", "0", "greater than 0"),
        ("LEASE_SECONDS", "inf", "finite"),
        ("POLL_DEADLINE_HOURS", "nan", "finite"),
        ("ALERT_SECRET", "s3cr3t\udcf1", "UTF-8"),
        ("TRANSFERS_PER_WORKER", "0", "greater than or equal to 1"),
        ("ZIP_MAX_MEMBERS", "1.5", "integer"),
        ("LOG_FORMAT", "xml", "'text' or 'json'"),
        ("HOOKS_URL", "pbx.example.com", "https://"),
        ("HOOKS_URL", "https://u:s3cr3t@h", "use the fields for those"),
        ("HOOKS_BIND", "8765", "127.0.0.1:8765"),
        ("METRICS_BIND", "localhost:99999", "127.0.0.1"),
        ("SPOOL_DIR", "", "empty"),
        ("ALERT_SECRET", " ", "empty"),
        ("ALERT_URL", "alerts.example.com", "https://"),
        ("ALERT_URL", "https://alerts.example.com/?key=s3cr3t#x", "#"),
        ("REDIS_UR", "redis://:s3cr3t@h", "did you mean EARWITNESS_REDIS_URL?"),
        ("NOISE", "s3cr3t", ".env.example"),
        ("ACCOUNTS", "{}", "not a setting"),
        ("ACCOUNTS__INDIA", "s3cr3t", "not a setting"),
        ("SECRETS_DIR", "/nowhere", "cannot be read"),
    ],
)
def test_refuses_with_the_name_and_the_remedy(
    read: Load, name: str, value: str, words: str
) -> None:
    """What is wrong is refused with the setting's name, and a password in it is not repeated."""
    with pytest.raises(ConfigurationError) as refused:
        read(**{name: value})

    assert f"EARWITNESS_{name}" in str(refused.value)
    assert words in str(refused.value)
    assert "s3cr3t" not in repr(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("EARWITNESS_SPOOL_DRI=/srv", "EARWITNESS_SPOOL_DRI (in .env)"),
        ("EARWITNESS_SPOOL_DIR", "EARWITNESS_SPOOL_DIR (in .env) is empty"),
        ("EARWITNESS_SPOOL_DIR /srv", "line 1"),
    ],
)
def test_refuses_what_it_does_not_understand_in_env(read: Load, line: str, words: str) -> None:
    """A mistyped name, a missing value and an unreadable line of `.env` are refused."""
    with pytest.raises(ConfigurationError) as refused:
        read(line)

    assert words in str(refused.value)


def test_refuses_an_unknown_file_of_secrets(read: Load, tmp_path: Path) -> None:
    """A file with our prefix and no setting's name is refused; files of others are left alone."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "tls_key").write_text("x")
    assert read(SECRETS_DIR=str(tmp_path / "secrets")).secrets_dir == tmp_path / "secrets"

    (tmp_path / "secrets" / "earwitness_passwrod").write_text("s3cr3t")
    with pytest.raises(ConfigurationError, match="EARWITNESS_PASSWROD") as refused:
        read()

    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("is_link", [True, False])
def test_a_secret_that_is_no_file_is_not_passed_over(
    read: Load, tmp_path: Path, is_link: bool
) -> None:
    """A container's mount that is missing leaves a folder, or a link to nothing: the default in its
    place would be another Redis.
    """
    (tmp_path / "secrets").mkdir()
    secret = tmp_path / "secrets" / "earwitness_redis_url"
    secret.symlink_to("nothing") if is_link else secret.mkdir()
    with pytest.raises(ConfigurationError, match=r"EARWITNESS_REDIS_URL .* is not a file"):
        read(SECRETS_DIR=str(tmp_path / "secrets"))


@pytest.mark.parametrize("is_link", [True, False])
def test_an_env_that_is_no_file_is_not_passed_over(tmp_path: Path, is_link: bool) -> None:
    """As a secret: a mount that is missing must not mean the defaults."""
    env = tmp_path / ".env"
    env.symlink_to("nothing") if is_link else env.mkdir()
    with pytest.raises(ConfigurationError, match=r"\.env cannot be read"):
        load(env)


def test_refuses_contradictions(read: Load) -> None:
    """A longest wait below the first one, and an alert address without its secret, are refused."""
    with pytest.raises(ConfigurationError, match="EARWITNESS_POLL_MAX_SECONDS"):
        read(POLL_FIRST_SECONDS="600")
    with pytest.raises(ConfigurationError, match="EARWITNESS_ALERT_SECRET"):
        read(POLL_FIRST_SECONDS="6", ALERT_URL="https://alerts.example.com")


def test_says_everything_that_is_wrong_at_once(read: Load) -> None:
    """Two mistakes are told in one message, a line each."""
    with pytest.raises(ConfigurationError) as refused:
        read(LOG_FORMAT="xml", SWEEP_SECONDS="never")

    assert len(str(refused.value).splitlines()) == 2


def test_cannot_be_changed(read: Load) -> None:
    """Settings are frozen, and so are the accounts in them."""
    said = read()

    with pytest.raises(ValidationError):
        said.archive_url = "/tmp"  # type: ignore[misc]
    with pytest.raises(TypeError):
        said.accounts["other"] = None  # type: ignore[index]


def test_shows_no_secret(read: Load) -> None:
    """Neither repr nor str nor a dump of the settings shows a password."""
    said = read(
        REDIS_URL="redis://:s3cr3t@h/0",
        LEDGER_URL="postgresql://u:s3cr3t@h/l",
        ALERT_URL="https://alerts.example.com/?key=s3cr3t",
        ALERT_SECRET="s3cr3t",
    )

    for shown in (repr(said), str(said), said.model_dump_json(), repr(said.model_dump())):
        assert "s3cr3t" not in shown


def test_knows_what_logs_must_hide(read: Load) -> None:
    """The log's mask is told every secret: of an address, its password in both spellings."""
    said = read(
        REDIS_URL="redis://:p%40ss@h/0",
        ALERT_URL="https://alerts.example.com",
        ALERT_SECRET="signed",
    )

    assert {"p%40ss", "p@ss", "signed", "https://alerts.example.com"} <= set(said.secret_values())
    assert said.ledger_url.get_secret_value() not in said.secret_values()


def test_an_object_store_s_secrets_are_hidden_too(
    read: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stand in the environment under names of their own, and no log shows them either."""
    secret = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SSE_CUSTOMER_KEY_BASE64")
    for name in secret:
        monkeypatch.setenv(name, f"{name} itself")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")

    hidden = read().secret_values()

    assert {f"{name} itself" for name in secret} <= set(hidden)
    assert "eu-west-1" not in hidden


def test_is_read_once(read: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process keeps the settings that it began with."""
    read()
    first = settings()
    monkeypatch.setenv("EARWITNESS_LOG_FORMAT", "json")

    assert settings() is first


def test_without_accounts_says_what_to_copy(tmp_path: Path) -> None:
    """A fresh checkout, started from anywhere, is told to copy accounts.example.toml."""
    shutil.copytree(ROOT / "config", tmp_path / "fresh" / "config")

    ended = _run("settings()", fresh=tmp_path / "fresh")

    assert ended.returncode != 0
    assert (
        f"{tmp_path}/fresh/accounts.toml does not exist: copy accounts.example.toml" in ended.stderr
    )
    assert "during handling" not in ended.stderr.lower()


def test_env_lies_in_the_root(tmp_path: Path) -> None:
    """`.env` is read from the project's root, whatever the current directory."""
    fresh = tmp_path / "fresh"
    shutil.copytree(ROOT / "config", fresh / "config")
    (fresh / "accounts.toml").write_text("")
    (fresh / ".env").write_text("EARWITNESS_ARCHIVE_URL=kept\n")
    (tmp_path / ".env").write_text("EARWITNESS_ARCHIVE_URL=wrong\n")

    ended = _run("print(settings().archive_url)", fresh=fresh)

    assert ended.stdout.strip() == str(fresh / "kept")


def _run(statement: str, *, fresh: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with the code in `fresh` and the current directory above it."""
    program = f"from config.settings import settings; {statement}"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=fresh.parent,
        env={**os.environ, "PYTHONPATH": str(fresh)},
        capture_output=True,
        text=True,
        check=False,
    )
