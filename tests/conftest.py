"""What every test starts from: no setting of the machine, and no proxy of it."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from archive.store.directory import DirectoryStore, Store
from config.masking import conceal
from config.settings import settings
from ledger.ledger import Ledger
from providers import registry  # noqa: F401 - it knows the accounts that the settings name

from . import buckets as object_stores
from . import unused_ledgers
from .buckets import Buckets
from .deployment import Deployment, deploying
from .emulators import azure, gcs
from .one_valkey import OneValkey
from .order import early_first
from .servers import Postgres, Valkey
from .simulators import Simulators

#: What tests keep of their caller's environment, besides pytest's own.
KEPT = {"HOME", "PATH", "TMPDIR"}


def _forget_the_callers_environment() -> None:
    """Drop every other variable: settings, proxies, time zone, locale, colours, packages' indexes.

    It happens once, before any fixture, so that processes that tests start are bare as well.
    """
    for name in list(os.environ):
        if name not in KEPT and not name.startswith("PYTEST_"):
            del os.environ[name]
    time.tzset()


_forget_the_callers_environment()


# What is imported and collected stays to the end: to look for garbage in it takes seconds.
gc.disable()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage from now on, and only in what tests leave."""
    collected = yield
    gc.freeze()
    gc.enable()
    return collected


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the tests that take long first."""
    items[:] = early_first(items)


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    """Each test says all of its settings itself, and leaves no secret that others' texts lack."""
    settings.cache_clear()
    yield
    settings.cache_clear()
    conceal([])


@pytest.fixture(scope="session")
def all_buckets() -> Iterator[Buckets]:
    """One object store for each process that runs tests; every archive has a bucket of its own."""
    with object_stores.running() as server:
        yield server


@pytest.fixture(scope="session")
def all_gcs_buckets() -> Iterator[Buckets]:
    """The same on Google Cloud Storage, as far as its emulator is."""
    with gcs.running() as server:
        yield server


@pytest.fixture(scope="session")
def all_azure_containers() -> Iterator[Buckets]:
    """The same on Azure Blob Storage, as far as Azurite is."""
    with azure.running() as server:
        yield server


@pytest.fixture
def buckets(all_buckets: Buckets) -> Iterator[Buckets]:
    """The same, well-behaved again after the test."""
    yield all_buckets
    all_buckets.front.behave()


@pytest.fixture(
    params=[
        "all_buckets",
        pytest.param("all_gcs_buckets", marks=pytest.mark.soak),
        pytest.param("all_azure_containers", marks=pytest.mark.soak),
    ],
    ids=["s3", "gs", "az"],
)
def each_store(request: pytest.FixtureRequest) -> Iterator[Buckets]:
    """Each kind of object store, well-behaved again after the test."""
    server: Buckets = request.getfixturevalue(request.param)
    yield server
    server.front.behave()


@pytest.fixture(
    scope="module",
    params=[
        "directory",
        "all_buckets",
        pytest.param("all_gcs_buckets", marks=pytest.mark.soak),
        pytest.param("all_azure_containers", marks=pytest.mark.soak),
    ],
    ids=["directory", "s3", "gs", "az"],
)
def new_store(request: pytest.FixtureRequest) -> Callable[[Path], Store]:
    """Makes empty archives, once in directories (below the folder given), once in each kind of
    object store.
    """
    if request.param == "directory":
        return lambda folder: DirectoryStore(folder / "archive")
    server: Buckets = request.getfixturevalue(request.param)
    return lambda _: server.store()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for each process that runs tests; every test takes a database of its own."""
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database in which nothing stands yet: an SQLite file, and one on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    else:
        with request.getfixturevalue("postgres").database() as url:
            yield url


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A ledger that was never used: once as an SQLite file, once on PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "ledger.sqlite3"
        unused_ledgers.copy(tmp_path_factory.getbasetemp() / "unused.sqlite3", path)
        yield f"sqlite:///{path}"
    else:
        with request.getfixturevalue("postgres").ledger() as url:
            yield url


@pytest.fixture
def open_ledger(ledger_url: str) -> Iterator[Callable[..., Ledger]]:
    """Opens the test's ledger, once more with each call, as one more process would."""
    with ExitStack() as stack:

        def another(lease_seconds: float = 30) -> Ledger:
            ledger = Ledger(ledger_url, lease_seconds=lease_seconds)
            stack.callback(ledger.close)
            ledger.identity.prepare()
            return ledger

        yield another


@pytest.fixture
def ledger(open_ledger: Callable[..., Ledger]) -> Ledger:
    """A ledger that was never used."""
    return open_ledger()


@pytest.fixture(scope="session")
def one_valkey() -> Iterator[OneValkey]:
    """One Redis for each process that runs tests, and another one after a test that breaks it."""
    lender = OneValkey()
    yield lender
    lender.close()


@pytest.fixture
def valkey(one_valkey: OneValkey) -> Iterator[Valkey]:
    """An empty Redis that the test has alone, and may stop, kill, freeze and configure."""
    with one_valkey.lent() as server:
        yield server


@pytest.fixture
def simulators(tmp_path: Path) -> Iterator[Simulators]:
    """The simulated providers, over HTTP."""
    with Simulators(port=0, data=tmp_path / "simulators") as running:
        yield running


@pytest.fixture
def deploy(tmp_path: Path, valkey: Valkey) -> Iterator[Callable[..., Deployment]]:
    """Makes a deployment of its own: from its accounts file's text and ``Deployment``'s options."""
    with deploying(tmp_path, valkey) as make:
        yield make


@pytest.fixture(scope="module")
def simulators_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulators]:
    """The simulated providers, for all tests of a module that change nothing there."""
    with Simulators(port=0, data=tmp_path_factory.mktemp("simulators")) as running:
        yield running


@pytest.fixture(scope="module")
def deploy_for_module(
    tmp_path_factory: pytest.TempPathFactory, one_valkey: OneValkey
) -> Iterator[Callable[..., Deployment]]:
    """Makes a deployment for all tests of a module that only read, as ``deploy`` does for one."""
    with (
        one_valkey.lent() as server,
        deploying(tmp_path_factory.mktemp("deployments"), server) as make,
    ):
        yield make
