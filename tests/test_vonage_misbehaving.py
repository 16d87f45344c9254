"""The Vonage client and a simulated provider that misbehaves: errors, lost answers, dead tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from providers.errors import (
    BadCredentials,
    ProviderError,
    Rejected,
    Throttled,
    Uncertain,
    Unreachable,
)
from providers.vonage.client import Vonage

from . import edges, shared_simulators
from .edges import Edge
from .simulators import Simulators
from .simulators.doors import AccountDoor
from .vonage_accounts import MemoryShelf
from .vonage_simulated import WINDOW, connect, saved, seeded

simulators = shared_simulators.simulators
edge = edges.edge


@pytest.fixture
def door(simulators: Simulators) -> AccountDoor:
    """An account with seven recordings, whose exports are ready at once."""
    return seeded(simulators)


@pytest.fixture
def vonage(edge: Edge, door: AccountDoor) -> Iterator[Vonage]:
    """The account's client, at either edge."""
    with edge.client(door) as client:
        yield client


@pytest.mark.parametrize(
    "body", ["wso2-json", "wso2-xml", "problem", "msg", "vis", "html", "empty"]
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Rejected), (429, Throttled), (500, Uncertain), (503, Throttled)],
)
def test_errors_of_every_layer(
    door: AccountDoor, vonage: Vonage, body: str, status: int, kind: type[ProviderError]
) -> None:
    """Their status counts; Retry-After is told in both of its forms."""
    for form in ("seconds", "date"):
        door.fault("list", "answer", status=status, body=body, retry_after=7, retry_after_as=form)
        with pytest.raises(kind) as caught:
            vonage.recordings({})
        if isinstance(caught.value, Throttled):
            assert caught.value.retry_after == pytest.approx(7, abs=1)


def test_an_application_without_subscription(door: AccountDoor, vonage: Vonage) -> None:
    """The reason names the suite."""
    door.configure(subscribed=False)
    with pytest.raises(BadCredentials, match="not subscribed to the CallRecording API suite"):
        vonage.recordings({})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda door: door.expire_tokens(),
        lambda door: door.revoke_tokens(refresh=False),
        lambda door: door.revoke_tokens(),
        lambda door: door.expire_tokens(refresh=True),
    ],
)
def test_a_dead_token_is_renewed_by_one_of_many(
    simulators: Simulators, door: AccountDoor, spoil: Callable[[AccountDoor], None]
) -> None:
    """Eight workers meet it at once: one renewal, no refused call beyond each one's first."""
    shelf = MemoryShelf()
    with connect(door, shelf) as first:
        first.recordings({})
    spoil(door)
    barrier = threading.Barrier(8)

    def work(_: int) -> int:
        with connect(door, shelf) as vonage:
            barrier.wait(10)
            return len(vonage.recordings({}).result()["recordings"])

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(work, range(8))) == {7}
    log = simulators.log
    grants = [*log.logins(door.username), *log.refreshes(door.username)]
    assert len([grant for grant in grants if grant["status"] == 200]) == 2
    assert len(log.refreshes(door.username)) == 1


def test_short_lived_tokens_hold(simulators: Simulators, door: AccountDoor) -> None:
    """Tokens of two seconds, renewed by four workers that never rest, and no call fails."""
    door.configure(expires_in=2)
    shelf = MemoryShelf()

    def work(_: int) -> None:
        with connect(door, shelf) as vonage:
            while len(simulators.log.refreshes(door.username)) < 2:
                vonage.recordings({})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert {one["status"] for one in simulators.log.refreshes(door.username)} == {200}


def test_a_changed_password_is_bad_credentials(door: AccountDoor) -> None:
    """A token that lives on works on; then the login is refused, without the password in words."""
    shelf, old = MemoryShelf(), door.configuration()
    with connect(door, shelf) as vonage:
        vonage.recordings({})
        door.change_password("an entirely new one")
        vonage.recordings({})
    door.revoke_tokens()
    with connect(door, shelf, **old) as vonage, pytest.raises(BadCredentials) as caught:
        vonage.recordings({})
    assert old["password"] not in str(caught.value)


def test_a_token_of_the_portal(door: AccountDoor) -> None:
    """It needs no login, and is not renewed once it is refused."""
    only = {"access_token": door.issue_token()}
    for name in ("username", "password", "client_id", "client_secret"):
        only[name] = None
    with connect(door, MemoryShelf(), **only) as vonage:
        (job,) = vonage.export(WINDOW)
        assert saved(vonage, job).startswith(b"PK")
        door.revoke_tokens()
        with pytest.raises(BadCredentials, match="access_token"):
            vonage.recordings({})


def test_a_provider_that_is_not_there(door: AccountDoor) -> None:
    """Nothing was sent, of the token neither."""
    with (
        connect(door, MemoryShelf(), token_url="http://127.0.0.1:9/token") as vonage,
        pytest.raises(Unreachable),
    ):
        vonage.export(WINDOW)


def test_a_hanging_provider(simulators: Simulators, door: AccountDoor) -> None:
    """Each call ends in its time, and what hangs is not done twice."""
    with connect(door, MemoryShelf(), timeout_seconds=2) as vonage:
        vonage.recordings({})
        door.fault("export", "hang", seconds=30, when="after")
        with pytest.raises(Uncertain):
            vonage.export(WINDOW)
        door.fault("retrieve", "trickle", seconds_per_byte=0.2, part="headers")
        with pytest.raises(Uncertain):
            saved(vonage, simulators.log.exports(door.username)[0]["job_ids"][0])
    assert len(simulators.log.exports(door.username)) == 1


def test_no_credential_leaves_but_to_the_provider(
    simulators: Simulators, door: AccountDoor, vonage: Vonage
) -> None:
    """Every call carried a token that was valid, and none stood in an address."""
    (job,) = vonage.export(WINDOW)
    saved(vonage, job)
    requests = simulators.log.requests(account=door.username)
    assert {one["authorization"] for one in requests} == {"valid", "not needed"}
    for secret in simulators.vonage.secrets():
        assert all(secret not in str(one.get("query")) for one in requests)
