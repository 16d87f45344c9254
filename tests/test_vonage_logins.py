"""Logins and renewals of the Vonage client, as the simulated provider counts them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from providers.errors import BadCredentials, Throttled, Unreachable
from providers.vonage.client import Vonage

from . import shared_simulators
from .simulators import Simulators
from .simulators.doors import AccountDoor
from .vonage_accounts import MemoryShelf
from .vonage_simulated import WINDOW, connect, seeded

simulators = shared_simulators.simulators


@pytest.fixture
def door(simulators: Simulators) -> AccountDoor:
    """An account with seven recordings, whose exports are ready at once."""
    return seeded(simulators)


@pytest.fixture
def vonage(door: AccountDoor) -> Iterator[Vonage]:
    """The account's client."""
    with connect(door, MemoryShelf()) as client:
        yield client


@pytest.mark.parametrize("kind", ["reset", "close", "hang"])
def test_a_login_that_breaks_sends_nothing(
    simulators: Simulators, door: AccountDoor, kind: str
) -> None:
    """Without a token nothing else leaves, so surely nothing was done."""
    door.fault("login", kind, times=None)
    with (
        connect(door, MemoryShelf(), timeout_seconds=1) as vonage,
        pytest.raises(Unreachable, match="nothing was sent"),
    ):
        vonage.export(WINDOW)
    assert simulators.log.requests("export", door.username) == []


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_login_that_has_to_wait(door: AccountDoor, vonage: Vonage, form: str) -> None:
    """The token endpoint's Retry-After is the account's."""
    door.fault("login", "answer", status=429, retry_after=9, retry_after_as=form)
    with pytest.raises(Throttled) as caught:
        vonage.recordings({})
    assert caught.value.retry_after == pytest.approx(9, abs=1)


def test_a_wrong_password_is_tried_once(simulators: Simulators, door: AccountDoor) -> None:
    """More would lock the user out."""
    with (
        connect(door, MemoryShelf(), password="not it") as vonage,
        pytest.raises(BadCredentials, match="check username, password"),
    ):
        vonage.recordings({})
    assert [one["status"] for one in simulators.log.logins(door.username)] == [400]


def test_two_that_renew_at_once_are_one_at_the_provider(
    simulators: Simulators, door: AccountDoor
) -> None:
    """Two threads meet the dead token in the same moment: one grant."""
    shelf = MemoryShelf()
    with connect(door, shelf) as first:
        first.recordings({})
    door.revoke_tokens(refresh=False)
    barrier = threading.Barrier(2)

    def work(_: int) -> None:
        with connect(door, shelf) as vonage:
            barrier.wait(10)
            vonage.recordings({})

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, range(2)))
    log = simulators.log
    assert (len(log.refreshes(door.username)), len(log.logins(door.username))) == (1, 1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda door: door.revoke_tokens(),
        lambda door: door.expire_tokens(refresh=True),
        lambda door: (door.expire_tokens(), door.fault("refresh", "reset", when="after")),
        lambda door: (door.expire_tokens(), door.fault("refresh", "answer", status=500)),
    ],
)
def test_a_refresh_that_fails_is_one_login(
    simulators: Simulators, door: AccountDoor, vonage: Vonage, spoil: Callable[[AccountDoor], None]
) -> None:
    """Refused, expired, used up by an answer that was lost: the password brings the next token."""
    vonage.recordings({})
    spoil(door)
    vonage.recordings({})

    log = simulators.log
    assert (len(log.refreshes(door.username)), len(log.logins(door.username))) == (1, 2)


def test_a_changed_secret_means_one_login(simulators: Simulators, door: AccountDoor) -> None:
    """What was sealed under the old password is not opened with the new one."""
    shelf = MemoryShelf()
    with connect(door, shelf) as vonage:
        vonage.recordings({})
    door.change_password("an entirely new one")
    for _ in range(2):
        with connect(door, shelf) as vonage:
            vonage.recordings({})

    log = simulators.log
    assert (len(log.refreshes(door.username)), len(log.logins(door.username))) == (0, 2)
