"""What all workers know of an account at once: its token, its pauses, its turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import chain, pairwise

import pytest
from sqlalchemy import select

from ledger.core.schema import accounts
from ledger.ledger import Ledger

from .ledgers import at_once, in_processes, pass_time

OpenLedger = Callable[..., Ledger]

#: The seconds between two turns, and how many of them a slow machine may take.
INTERVAL, PAUSE = 600, 60


def test_a_token_is_stored_with_its_version(ledger: Ledger) -> None:
    """Nothing at first; each renewal counts the version up; another account has its own."""
    shelf = ledger.accounts.token_store("india")
    assert shelf.read() is None
    for version, token in enumerate((b"\x00first", b"second")):
        claim = shelf.claim(version, 30)
        assert claim is not None
        assert shelf.put(claim, token)
        stored = shelf.read()
        assert stored is not None
        assert (stored.version, stored.ciphertext) == (version + 1, token)
    assert ledger.accounts.token_store("peru").read() is None


def test_one_renews_at_a_time(open_ledger: OpenLedger) -> None:
    """Of many workers that find a token stale in the same moment, one may renew it."""
    shelves = [open_ledger().accounts.token_store("india") for _ in range(5)]
    claims = at_once(*[lambda one=one: one.claim(0, 30) for one in shelves])
    assert len([claim for claim in claims if claim is not None]) == 1


def _claim(ledger: Ledger, version: int) -> bool:
    return ledger.accounts.token_store("india").claim(version, 30) is not None


@pytest.mark.usefixtures("ledger")
def test_one_renews_at_a_time_among_processes(ledger_url: str) -> None:
    """The same with processes that share nothing but the ledger."""
    assert sum(in_processes(_claim, ledger_url, [0, 0, 0])) == 1


def test_a_renewal_is_bound_to_the_version_that_failed(ledger: Ledger) -> None:
    """Whoever still holds an older token may not renew: a newer one is there already."""
    shelf = ledger.accounts.token_store("india")
    claim = shelf.claim(0, 30)
    assert claim is not None
    shelf.put(claim, b"token")
    assert shelf.claim(0, 30) is None
    assert shelf.claim(2, 30) is None
    assert shelf.claim(1, 30) is not None


def test_a_renewal_that_died_passes_on(ledger: Ledger) -> None:
    """After its time another may renew; what the first one brings late is not stored."""
    shelf = ledger.accounts.token_store("india")
    dead = shelf.claim(0, 30)
    assert dead is not None
    assert shelf.claim(0, 30) is None
    pass_time(ledger, 31, accounts.c.renewal_until)
    alive = shelf.claim(0, 30)
    assert alive is not None
    assert not shelf.put(dead, b"late")
    assert shelf.put(alive, b"token")
    assert not shelf.put(dead, b"later")
    stored = shelf.read()
    assert stored is not None
    assert (stored.version, stored.ciphertext) == (1, b"token")


def test_a_renewal_given_back_passes_on_at_once(ledger: Ledger) -> None:
    """A failed renewal leaves the token as it was and lets the next one try."""
    shelf = ledger.accounts.token_store("india")
    claim = shelf.claim(0, 30)
    assert claim is not None
    shelf.release(claim)
    assert shelf.claim(0, 30) is not None
    shelf.release(claim)
    assert shelf.claim(0, 30) is None, "an old claim gave another's renewal back"


def test_an_account_rests_for_all_workers(open_ledger: OpenLedger) -> None:
    """A pause told to one worker is seen by every other, with the reason; a shorter one that
    comes later does not shorten it; it ends by itself or by a person.
    """
    one, other = open_ledger(), open_ledger()
    assert one.accounts.pause("india") is None
    one.accounts.postpone("india", 60, "Retry-After: 60")
    one.accounts.postpone("india", 5, "Retry-After: 5")
    pause = other.accounts.pause("india")
    assert pause is not None
    assert 50 < pause[0] <= 60
    assert pause[1] == "Retry-After: 60"
    assert other.accounts.pause("peru") is None
    pass_time(one, 61, accounts.c.postponed_until)
    assert other.accounts.pause("india") is None
    other.accounts.postpone("india", 60, "again")
    other.accounts.resume("india")
    assert one.accounts.pause("india") is None


def _turn(ledger: Ledger, alias: str = "india") -> float:
    taken, wait = ledger.accounts.turn(alias, INTERVAL, within_seconds=20 * INTERVAL)
    assert taken
    return wait


def test_turns_are_spaced(ledger: Ledger) -> None:
    """The first goes at once, each further one an interval later."""
    waits = [_turn(ledger) for _ in range(3)]
    assert waits[0] == 0
    assert INTERVAL - PAUSE < waits[1] <= INTERVAL
    assert 2 * INTERVAL - PAUSE < waits[2] <= 2 * INTERVAL
    assert _turn(ledger, "peru") == 0


def test_a_turn_too_far_away_is_not_used_up(ledger: Ledger) -> None:
    """Whoever does not wait for a turn has taken none: asked again when it comes, it is there,
    however far apart turns are and however many have asked meanwhile.
    """
    ask = partial(ledger.accounts.turn, "india", INTERVAL, within_seconds=5)
    assert ask() == (True, 0)
    for _ in range(5):
        taken, wait = ask()
        assert not taken
        assert INTERVAL - PAUSE < wait <= INTERVAL
    pass_time(ledger, wait, accounts.c.next_request_at)
    assert ask() == (True, 0)
    assert not ask()[0]


def test_turns_not_taken_are_not_saved_up(ledger: Ledger) -> None:
    """After a silence one request goes at once, and the next waits its interval again."""
    _turn(ledger)
    pass_time(ledger, 10 * INTERVAL, accounts.c.next_request_at)
    assert _turn(ledger) == 0
    assert INTERVAL - PAUSE < _turn(ledger) <= INTERVAL


def _turns(ledger: Ledger, count: int) -> list[float]:
    return [time.time() + _turn(ledger) for _ in range(count)]


@pytest.mark.usefixtures("ledger")
def test_turns_are_spaced_across_processes(ledger_url: str) -> None:
    """All workers together keep the rate: no two requests closer than the interval."""
    taken = sorted(chain.from_iterable(in_processes(_turns, ledger_url, [4, 4, 4])))
    gaps = [later - sooner for sooner, later in pairwise(taken)]
    assert len(taken) == 12
    assert min(gaps) > INTERVAL - PAUSE


def test_an_account_is_one_row(ledger: Ledger) -> None:
    """Whatever is noted of an account first, the rest finds the same row."""
    _turn(ledger)
    ledger.accounts.postpone("india", 1, "x")
    ledger.accounts.token_store("india").claim(0, 1)
    aliases = ledger.database.read(lambda c: c.execute(select(accounts.c.alias)).scalars().all())
    assert aliases == ["india"]


def test_what_one_worker_learns_all_know(open_ledger: OpenLedger) -> None:
    """The newest of an account stands, beside everything else that is known of it."""
    one, another = open_ledger(), open_ledger()
    assert another.accounts.learned("india") is None
    one.accounts.postpone("india", 60, "x")
    for what in ("one thing", "y" * 64):
        one.accounts.learn("india", what)
        assert another.accounts.learned("india") == what
    assert another.accounts.pause("india") is not None
    assert another.accounts.learned("madrid") is None
