"""The registry: what a provider can do follows from its client, and its accounts from its model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import pytest

from config import accounts
from config.fields import WebAddress
from config.settings import ConfigurationError, load
from providers import registry
from providers.accounts import (
    CertifiedCallsAccount,
    DeletingAccount,
    NotifyingAccount,
    RecordingsAccount,
)
from providers.errors import Unsupported
from providers.http.client import HttpClient
from providers.http.streaming import Body
from providers.interface import (
    DeletesRecordings,
    ExportsInBulk,
    ListsCalls,
    ListsRecordings,
    PlacesCertifiedCalls,
    Probes,
    TellsExportProgress,
)
from providers.recordings import Page, Recording, Window
from providers.registry import Provider

from . import gsmblockchain_calls, ozeki_accounts, voipnow_accounts, vonage_accounts

ACCOUNT = """
[accounts.attic]
provider = "attic"
base_url = "https://attic.example"
"""
NIGHTLY = """
[accounts.attic.nightly]
timezone = "Europe/Madrid"
"""


class AtticAccount(RecordingsAccount):
    """An account of a provider that lists recordings."""

    provider: Literal["attic"]
    base_url: WebAddress


class Attic(HttpClient, ListsRecordings):
    """A client whose operations are never called here."""

    def probe(self) -> str:
        raise NotImplementedError

    def recordings(
        self,
        filters: Mapping[str, Any],
        *,
        page: int = 1,
        page_size: int = 10,
        order: str = "start:DESC",
    ) -> Page:
        raise NotImplementedError

    def every_recording(
        self, filters: Mapping[str, Any], *, window: Window | None = None
    ) -> Iterator[Recording]:
        raise NotImplementedError

    def recording(self, recording_id: str) -> Recording:
        raise NotImplementedError

    def audio(
        self, recording_id: str, *, etag: str | None = None, offset: int = 0
    ) -> AbstractContextManager[Body]:
        raise NotImplementedError


Read = Callable[[str], Mapping[str, accounts.Account]]


@pytest.fixture
def attic() -> Iterator[None]:
    """The provider, while a test lasts."""
    registry.register(Provider("attic", AtticAccount, Attic))
    yield
    registry.unregister("attic")


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reads the accounts of a text."""

    def _read(text: str) -> Mapping[str, accounts.Account]:
        (tmp_path / "accounts.toml").write_text(text)
        monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))
        return load(tmp_path / ".env").accounts

    return _read


@pytest.mark.parametrize("name", ["probe", "recordings", "every_recording", "recording", "audio"])
def test_a_client_that_lacks_an_operation_is_refused(name: str) -> None:
    """The error names the client, the capability and the operation, and nothing is registered."""
    operations = {key: value for key, value in vars(Attic).items() if key != name}
    lacking = type("Half", (HttpClient, ListsRecordings), operations)

    with pytest.raises(TypeError, match=rf"provider attic: its client Half lacks \w+\.{name}: "):
        registry.register(Provider("attic", AtticAccount, lacking))

    assert "attic" not in registry.providers()


@pytest.mark.usefixtures("attic")
def test_a_new_provider_s_accounts_are_read(read: Read) -> None:
    """By its own model, with nights, since it lists recordings; the others stay known."""
    found = read(ACCOUNT + NIGHTLY)["attic"]

    assert isinstance(found, AtticAccount)
    assert found.nights is not None
    assert (found.zone, found.may_delete) == ("Europe/Madrid", False)
    assert registry.has(found, ListsRecordings)
    assert not registry.has(found, ExportsInBulk)
    with pytest.raises(
        ConfigurationError, match=r"accounts\.x\.provider is not a known provider.*attic"
    ):
        read('[accounts.x]\nprovider = "cellar"\n')


def test_a_provider_that_was_taken_out_is_unknown(read: Read) -> None:
    """Its accounts are refused by name."""
    registry.register(Provider("attic", AtticAccount, Attic))
    registry.unregister("attic")

    with pytest.raises(
        ConfigurationError, match=r"accounts\.attic\.provider is not a known provider"
    ):
        read(ACCOUNT)


def test_accounts_need_a_registry(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that forgot to load the providers is told so; without accounts none are needed."""
    monkeypatch.setattr(accounts, "_models", {})

    assert not read("")
    with pytest.raises(ConfigurationError, match=r"import providers\.registry"):
        read(ACCOUNT)


@pytest.mark.usefixtures("attic")
def test_only_a_provider_that_deletes_deletes_by_night(read: Read) -> None:
    """delete_after_days is refused where nothing could be deleted."""
    with pytest.raises(ConfigurationError, match="this provider cannot delete recordings"):
        read(ACCOUNT + NIGHTLY + "delete_after_days = 30\n")


@pytest.mark.usefixtures("attic")
def test_filters_of_a_night_are_the_provider_s(read: Read) -> None:
    """A provider that does not name its filters takes any text and number, and nothing else."""
    nights = read(ACCOUNT + NIGHTLY + 'filters = { team = "legal", room = 7 }\n')["attic"].nights

    assert nights is not None
    assert dict(nights.filters) == {"team": "legal", "room": 7}
    with pytest.raises(ConfigurationError, match=r"nightly\.filters.*team"):
        read(ACCOUNT + NIGHTLY + "filters = { team = true }\n")


@pytest.mark.parametrize("provider", ["voipnow", "ozeki", "gsmblockchain"])
def test_nights_are_no_key_of_others(read: Read, provider: str) -> None:
    """A provider that lists no recordings knows no nights, and its own keys are named."""
    table = {
        "voipnow": 'base_url = "https://x"\nclient_id = "c"\nclient_secret = "s"\n',
        "ozeki": 'base_url = "https://x"\n',
        "gsmblockchain": 'username = "u"\npassword = "p"\ntimezone = "UTC"\n'
        'max_calls_per_day = 1\nmax_seconds_per_call = 1\ncountries = ["ES"]\n',
    }[provider]
    nightly = '[accounts.x.nightly]\ntimezone = "UTC"\n'
    with pytest.raises(ConfigurationError) as refused:
        read(f'[accounts.x]\nprovider = "{provider}"\n{table}{nightly}')

    said, _, listed = str(refused.value).partition("The keys are ")
    assert said == "accounts.x.nightly is not a known key: correct or remove it. "
    assert listed.startswith("rate, timeout_seconds, verify_tls, provider, base_url, ")
    assert "nightly" not in listed


ACCOUNTS = {
    "gsmblockchain": lambda: gsmblockchain_calls.account("http://x.example"),
    "voipnow": voipnow_accounts.account,
    "ozeki": ozeki_accounts.account,
    "vonage": vonage_accounts.account,
}


@pytest.mark.parametrize("provider", ACCOUNTS)
@pytest.mark.parametrize(
    ("capability", "able"),
    [
        (PlacesCertifiedCalls, ["gsmblockchain"]),
        (ListsCalls, ["voipnow", "ozeki"]),
        (ListsRecordings, ["vonage"]),
        (DeletesRecordings, ["vonage"]),
        (ExportsInBulk, ["vonage"]),
        (TellsExportProgress, ["vonage"]),
        (Probes, list(ACCOUNTS)),
    ],
)
def test_a_client_is_given_by_what_it_can_do(
    provider: str, capability: type[Probes], able: list[str]
) -> None:
    """Or the account is refused, with the providers that can do it; nothing is sent either way."""
    account = ACCOUNTS[provider]()
    store = vonage_accounts.MemoryShelf()
    if provider in able:
        with registry.client(account, capability, store) as client:
            assert isinstance(client, registry.client_class(account, capability))
        return
    with pytest.raises(Unsupported) as refused:
        registry.client(account, capability, store)

    assert refused.value.able == tuple(able)
    assert str(refused.value) == (
        f"account: {account.alias!r} is a {provider} account; this task is for {' and '.join(able)}"
    )


def test_an_account_is_given_by_its_kind() -> None:
    """Without asking which provider it is of."""
    every = {one.alias: one for one in (make() for make in ACCOUNTS.values())}
    office = ozeki_accounts.account()

    assert registry.account(office, NotifyingAccount) is office
    assert [*registry.accounts_of(every, DeletingAccount).values()] == [vonage_accounts.account()]
    with pytest.raises(Unsupported, match="this task is for gsmblockchain"):
        registry.account(office, CertifiedCallsAccount)
