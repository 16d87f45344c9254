"""Accounts: their sealed tokens, their pauses on a provider's request, and their request rates."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import Connection, case, or_, select, update

from .core.database import Database, insert_into, now
from .core.pauses import Pause, combined, remembered
from .core.prepared import Prepared, parameter
from .core.schema import accounts


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted token with its version (1 for the first) and the time it was read, in seconds
    since 1970 by the database's clock.
    """

    version: int
    ciphertext: bytes
    read_at: float


class LedgerTokenStore:
    """The storage of one account's token, shared by all workers. Renewal needs a lease."""

    def __init__(self, database: Database, alias: str) -> None:
        self._database = database
        self._alias = alias

    def read(self) -> Sealed | None:
        """Return the stored token, or None."""
        row = self._database.read(
            lambda connection: connection.execute(
                select(accounts.c.token_version, accounts.c.token, now().label("read_at")).where(
                    accounts.c.alias == self._alias, accounts.c.token.is_not(None)
                )
            ).one_or_none()
        )
        return None if row is None else Sealed(row.token_version, row.token, row.read_at)

    def time(self) -> float:
        """Return the seconds since 1970 by the clock that ``read_at`` uses."""
        return self._database.time()

    def claim(self, version: int, seconds: float) -> str | None:
        """Claim the right to renew the token for ``seconds``; return the claim. Return None when
        another worker renews the token, or when the stored version is no longer ``version`` (0:
        nothing stored).
        """
        claim = str(uuid.uuid4())

        def work(connection: Connection) -> int:
            _ensure(connection, self._alias)
            return connection.execute(
                update(accounts)
                .where(accounts.c.alias == self._alias, accounts.c.token_version == version)
                .where(
                    or_(
                        accounts.c.renewal.is_(None),
                        accounts.c.renewal_until < now(),
                        accounts.c.renewal == claim,
                    )
                )
                .values(renewal=claim, renewal_until=now() + seconds)
            ).rowcount

        return claim if self._database.write(work) else None

    def put(self, claim: str, ciphertext: bytes) -> bool:
        """Store a renewed token and end the renewal. Return False when the claim had expired and
        another worker had taken it.
        """

        def work(connection: Connection) -> bool:
            stored = connection.execute(
                update(accounts)
                .where(accounts.c.alias == self._alias, accounts.c.renewal == claim)
                .values(
                    token=ciphertext,
                    token_version=accounts.c.token_version + 1,
                    renewal=None,
                    renewal_until=None,
                )
            )
            if stored.rowcount:
                return True
            # A commit whose answer was lost is repeated and finds this token already stored.
            kept = select(accounts.c.token).where(accounts.c.alias == self._alias)
            return bool(connection.execute(kept).scalar_one_or_none() == ciphertext)

        return self._database.write(work)

    def release(self, claim: str) -> None:
        """Release the right to renew without storing a new token."""
        self._database.write(
            lambda connection: connection.execute(
                update(accounts)
                .where(accounts.c.alias == self._alias, accounts.c.renewal == claim)
                .values(renewal=None, renewal_until=None)
            )
        )


#: The condition that an account is paused.
IS_PAUSED = (accounts.c.alias == parameter("of_account"), accounts.c.postponed_until > now())
_PAUSE = Prepared(
    select((accounts.c.postponed_until - now()).label("left"), accounts.c.postponed_because).where(
        *IS_PAUSED
    )
)


def is_paused(connection: Connection, alias: str) -> bool:
    """Return whether an account is paused."""
    return _PAUSE.row(connection, of_account=alias) is not None


class Accounts:
    """The state of an account that all workers share."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def token_store(self, alias: str) -> LedgerTokenStore:
        """Return the token storage of an account."""
        return LedgerTokenStore(self._database, alias)

    def learn(self, alias: str, what: str) -> None:
        """Remember what one worker learned of the account's provider, in 64 characters at most."""

        def work(connection: Connection) -> None:
            _ensure(connection, alias)
            connection.execute(
                update(accounts).where(accounts.c.alias == alias).values(learned=what)
            )

        self._database.write(work)

    def learned(self, alias: str) -> str | None:
        """Return what a worker learned last of the account's provider, or None."""
        return self._database.read(
            lambda connection: connection.execute(
                select(accounts.c.learned).where(accounts.c.alias == alias)
            ).scalar_one_or_none()
        )

    def postpone(self, alias: str, seconds: float, because: str) -> None:
        """Pause all requests to this account's provider for ``seconds``.

        Of two pauses the longer one counts. A pause for refused credentials remembers a shorter one
        of another reason, which must not end with it.
        """

        def work(connection: Connection) -> None:
            _ensure(connection, alias)
            old, at = _kept_pause(connection, alias)
            new = Pause(at + seconds, because)
            whole = new if old is None or old.until <= at else combined(old, new)
            if whole != old:
                _keep_pause(connection, alias, whole)

        self._database.write(work)

    def resume(self, alias: str, *, because: str = "") -> None:
        """End a pause now if its reason begins with ``because``.

        With ``because``, a shorter pause of another reason goes on.
        """

        def work(connection: Connection) -> None:
            old, at = _kept_pause(connection, alias)
            if old is None or not old.because.startswith(because):
                return
            shorter = remembered(old) if because else None
            _keep_pause(connection, alias, shorter if shorter and shorter.until > at else None)

        self._database.write(work)

    def pause(self, alias: str) -> tuple[float, str] | None:
        """Return for how many more seconds requests are paused, and why; None without a pause."""
        row = self._database.read(lambda connection: _PAUSE.row(connection, of_account=alias))
        return None if row is None else (row.left, row.postponed_because)

    def turn(
        self, alias: str, interval_seconds: float, *, within_seconds: float
    ) -> tuple[bool, float]:
        """Take the account's next turn if the turn comes within ``within_seconds``.

        All workers together space the account's requests by ``interval_seconds``. Return whether
        the turn was taken, and the seconds until the turn. A later turn stays free for the first
        worker that asks when the turn comes.
        """

        def work(connection: Connection) -> tuple[bool, float]:
            _ensure(connection, alias)
            c = accounts.c
            # No worker takes a turn further ahead than this: a clock that was ahead wrote such a
            # time.
            false = c.next_request_at > now() + (within_seconds + interval_seconds + 1)
            free = case((false, now()), (c.next_request_at > now(), c.next_request_at), else_=now())
            soon = c.next_request_at <= now() + within_seconds
            near = or_(c.next_request_at.is_(None), soon, false)
            wait = connection.execute(
                update(accounts)
                .where(c.alias == alias, near)
                .values(next_request_at=free + interval_seconds)
                .returning(c.next_request_at - interval_seconds - now())
            ).scalar_one_or_none()
            if wait is not None:
                return True, max(float(wait), 0.0)
            far = select(c.next_request_at - now()).where(c.alias == alias)
            return False, max(float(connection.execute(far).scalar_one()), 0.0)

        return self._database.write(work)


def _kept_pause(connection: Connection, alias: str) -> tuple[Pause | None, float]:
    """Return the pause in the account's row, which this locks, and the database's time."""
    c = accounts.c
    row = connection.execute(
        select(c.postponed_until, c.postponed_because, now().label("at"))
        .where(c.alias == alias)
        .with_for_update()
    ).one_or_none()
    if row is None or row.postponed_until is None:
        return None, 0.0 if row is None else row.at
    return Pause(row.postponed_until, row.postponed_because or ""), row.at


def _keep_pause(connection: Connection, alias: str, pause: Pause | None) -> None:
    until, because = (None, None) if pause is None else (pause.until, pause.because)
    connection.execute(
        update(accounts)
        .where(accounts.c.alias == alias)
        .values(postponed_until=until, postponed_because=because)
    )


def _ensure(connection: Connection, alias: str) -> None:
    connection.execute(
        insert_into(connection, accounts)
        .values(alias=alias, token_version=0)
        .on_conflict_do_nothing(index_elements=["alias"])
    )
