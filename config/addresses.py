"""Addresses and paths: the configuration's root, Redis, the ledger and the archive.

Relative paths start at EARWITNESS_HOME or at the project's root, never at the current directory, so
that a worker started elsewhere does not begin an archive of its own.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from pydantic import AfterValidator, SecretStr

from . import sentinels, tls
from .address_parts import split_address
from .storage import OBJECT_ADDRESSES, OBJECT_STORES

#: Names another folder for the configuration and for relative paths than the project's own.
HOME_VARIABLE = "EARWITNESS_HOME"
#: Where `accounts.toml` and `.env` lie, and where relative paths start.
ROOT = Path(os.environ.get(HOME_VARIABLE) or Path(__file__).resolve().parent.parent)

_DATABASE = re.compile(r"(/\d*)?")
#: Celery's result backend puts "_" after a prefix that ends otherwise, and kombu does not.
_KEY_PREFIX = re.compile(r"[A-Za-z0-9._:-]{0,63}[._:-]")
#: The start of another store's address, such as `file:`, `gcs://`, `S3://`, `s3:/bucket`, `s3//`.
_LIKE_A_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(:|//)")
_ARCHIVE = f"name a directory, {OBJECT_ADDRESSES}"
#: The names that each object store gives its buckets, and where its settings belong.
_BUCKETS = {
    "s3": (
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"),
        "AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL",
    ),
    "gs": (
        re.compile(r"[a-z0-9][a-z0-9._-]*[a-z0-9]"),
        "GOOGLE_APPLICATION_CREDENTIALS, GOOGLE_BASE_URL",
    ),
    "az": (
        re.compile(r"[a-z0-9](?:-?[a-z0-9])+"),
        "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_ENDPOINT",
    ),
}
_REDIS = (
    'write it like "redis://127.0.0.1:6379/0", "rediss://...", "unix:///run/redis.sock?db=0" or '
    '"sentinel://h1:26379,h2:26379/0?master_name=mymaster"'
)
_LEDGER = 'write it like "sqlite:///var/ledger.sqlite3" or "postgresql://user:password@host/name"'


def from_root(path: Path) -> Path:
    """Return an absolute path unchanged, a relative one below the project's root."""
    return ROOT / path


def _local(path: Path) -> Path:
    """Resolve a path; refuse "~", which would become a folder below the project's root."""
    if path.parts[:1] and path.parts[0].startswith("~"):
        raise ValueError('begins with "~", which only a shell expands; write the full path')
    return from_root(path)


def _redis_address(secret: SecretStr) -> SecretStr:
    """Return Redis' address in redis-py's format, where a socket is `unix:///path?db=0`."""
    url = secret.get_secret_value()
    scheme = url.partition("://")[0].lower()
    if "cluster" in scheme:
        raise ValueError(
            "names a Redis cluster, which Celery's queues do not support; "
            "name a single Redis or Valkey server, or its sentinels"
        )
    if sentinels.is_sentinel(url):
        return SecretStr(sentinels.complete_address(url, ROOT))
    if scheme not in {"redis", "rediss", "unix", "redis+socket"}:
        raise ValueError(f"is not a Redis address; {_REDIS}")
    if not _is_complete(url, is_socket=scheme in {"unix", "redis+socket"}):
        raise ValueError(f"is not the address of a single Redis server; {_REDIS}")
    if scheme == "rediss":
        return SecretStr(tls.complete_address(url, ROOT))
    tls.refuse_options_without_tls(url)
    return SecretStr(_with_scheme(url, "unix", "virtual_host", "db") if "+" in scheme else url)


def _is_complete(url: str, *, is_socket: bool) -> bool:
    try:
        parts = split_address(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:  # an invalid port; unbalanced brackets
        return False
    if is_socket:
        return not host and parts.path.strip("/") != ""
    return (
        bool(host)
        and not set(host or "") & set(",;")
        and _DATABASE.fullmatch(parts.path) is not None
    )


def _with_scheme(url: str, scheme: str, old: str, new: str) -> str:
    parts = split_address(url)
    query = [(new if key == old else key, value) for key, value in parse_qsl(parts.query)]
    return f"{scheme}://{parts.netloc}{parts.path}{'?' if query else ''}{urlencode(query)}"


def celery_address(url: str) -> str:
    """Return the address in Celery's format, where a socket is `redis+socket:///path?virtual_host=0`
    and only the first sentinel is named.
    """
    if sentinels.is_sentinel(url):
        return sentinels.celery_address(url)
    if url.partition("://")[0].lower() == "unix":
        return _with_scheme(url, "redis+socket", "db", "virtual_host")
    return url


def _key_prefix(prefix: str) -> str:
    if not _KEY_PREFIX.fullmatch(prefix):
        raise ValueError(
            "is not a key prefix; write up to 64 letters, digits, '.', '_', ':' or '-', ending "
            'with one that is neither a letter nor a digit, such as "earwitness-a:"'
        )
    return prefix


def _ledger_address(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    scheme, separator, rest = url.partition("://")
    if separator and scheme in {"postgresql", "postgresql+psycopg"}:
        return SecretStr(f"postgresql+psycopg://{rest}")
    if separator and scheme in {"sqlite", "sqlite+pysqlite"}:
        return SecretStr(_sqlite_address(rest))
    raise ValueError(f"is not an SQLite or PostgreSQL address; {_LEDGER}")


def _sqlite_address(rest: str) -> str:
    host, _, tail = rest.partition("/")
    file, question, query = tail.partition("?")
    if host or not file or file.startswith((":memory:", "file:")):
        raise ValueError(
            f"names no file, and a ledger in memory would be lost with its process; {_LEDGER}"
        )
    return f"sqlite:///{_local(Path(file))}{question}{query}"


def is_like_an_address(named: str) -> bool:
    """Return whether an archive's name starts like a store's address and not like a path.

    Taken for a folder, a mistyped address would become an empty archive below the project's root.
    """
    return _LIKE_A_SCHEME.match(named) is not None


def _archive_address(url: str) -> str:
    if not url.strip():
        raise ValueError(f"is empty; {_ARCHIVE}")
    if url != url.strip() or not url.isprintable():
        raise ValueError(
            f"begins or ends with a space, or contains a control character; {_ARCHIVE}"
        )
    if not is_like_an_address(url):
        return str(_local(Path(url)))
    scheme, _, rest = url.partition("://")
    bucket, slash, prefix = rest.partition("/")
    if scheme not in OBJECT_STORES or not bucket:
        raise ValueError(
            f"is not an archive address; {_ARCHIVE}, or the full path of a directory whose "
            "name looks like an address"
        )
    named, variables = _BUCKETS[scheme]
    if not named.fullmatch(bucket) or set(prefix) & set("?#\\"):
        raise ValueError(
            f"names no {OBJECT_STORES[scheme]} and prefix; {_ARCHIVE}; credentials and options "
            f"belong in environment variables ({variables})"
        )
    return f"{scheme}://{bucket}{slash}{prefix}".rstrip("/")


RedisAddress = Annotated[SecretStr, AfterValidator(_redis_address)]
KeyPrefix = Annotated[str, AfterValidator(_key_prefix)]
LedgerAddress = Annotated[SecretStr, AfterValidator(_ledger_address)]
ArchiveAddress = Annotated[str, AfterValidator(_archive_address)]
LocalPath = Annotated[Path, AfterValidator(_local)]
