"""A ledger with years of jobs in it, written by the database itself."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import make_url

from .house import plain_address

#: Of a hundred finished jobs, ten downloaded a recording and one exported a day; the others are
#: certified calls.
_EXPORT, _DOWNLOADS = 0, 10
_FIRST_DAY = "2016-01-01"

#: What fills the tables. ``{many}`` jobs have ended within a year, and as many wait. ``k`` numbers
#: the hundreds, and accounts take turns at them.
_STATEMENTS = (
    """
    INSERT INTO jobs (job_id, kind, account, request_id, task_id, parameters, fingerprint,
        fingerprint_version, state, reason, result, work, attempts, takeovers, queue,
        cancel_requested, open_parts, hint_no, created_at, updated_at)
    {numbers}
    SELECT {id}, {kind}, {account}, {request_id}, {task}, {json}, {fingerprint}, 1, 'done', 'done',
        {result}, {work}, 1, 0, 'earwitness', {false}, 0, 1, {ended} - 2, {ended} FROM n
    """,
    """
    INSERT INTO jobs (job_id, kind, account, request_id, task_id, parameters, fingerprint,
        fingerprint_version, state, reason, work, attempts, takeovers, queue, next_attempt_at,
        cancel_requested, open_parts, hint_no, created_at, updated_at)
    {numbers}
    SELECT {waiting_id}, 'recording.download', {account}, {waiting_id}, {waiting_id}, {json},
        {waiting_fingerprint}, 1, 'waiting', 'not ready', {empty}, 1, 0, 'earwitness.due',
        {now} + 3600 + (i % 80000), {false}, 0, 0, {now} - 60, {now} FROM n
    """,
    """
    INSERT INTO waiters (task_id, job_id, asked_at, attempts, answered_at)
    {numbers} SELECT {task}, {id}, {ended} - 2, 1, {ended} FROM n
    """,
    """
    INSERT INTO waiters (task_id, job_id, asked_at, attempts)
    {numbers} SELECT {waiting_id}, {waiting_id}, {now} - 60, 0 FROM n
    """,
    """
    INSERT INTO audit (job_id, at, from_state, to_state, "by", why)
    {numbers} SELECT {id}, {ended} - 2 + step / 2.0,
        CASE step WHEN 1 THEN NULL WHEN 2 THEN 'pending' WHEN 3 THEN 'running' ELSE 'sending' END,
        CASE step WHEN 1 THEN 'pending' WHEN 2 THEN 'running' WHEN 3 THEN 'sending' ELSE 'done' END,
        'bench:1', 'as it goes'
    FROM n CROSS JOIN (SELECT 1 AS step UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) steps
    """,
    """
    INSERT INTO obligations (job_id, account, kind, payload, created_at, due_at, attempts,
        discharged_at)
    {numbers} SELECT {id}, {account}, 'chain', {covered}, {ended}, {ended} + 5, 1, {ended} + 1
    FROM n
    """,
    """
    INSERT INTO obligations (job_id, account, kind, payload, created_at, due_at, attempts,
        discharged_at)
    {numbers} SELECT {id}, {account}, 'receipt', {receipt}, {ended}, {ended} + 5, 1, {ended} + 1
    FROM n WHERE {is_call}
    """,
    """
    INSERT INTO calls (job_id, reserved_on, sent_at, answered_at, outcome, http_status, answer,
        receipts)
    {numbers} SELECT {id}, {day}, {ended} - 1, {ended}, 'placed', 200, {bytes}, 1
    FROM n WHERE {is_call}
    """,
    """
    INSERT INTO days (account, day, window_start, window_end, filters, settle_seconds, timezone,
        state, generation, job_id, manifest, counts, planned_on, completed_by, listings)
    {numbers} SELECT {account}, {day}, 0, 1, {empty}, 0, 'UTC', 'complete', 1, {id}, {path},
        {counts}, {day}, {id}, 2
    FROM n WHERE {is_export}
    """,
)


def fill(url: str, many: int, accounts: int, *, first: int = 0) -> None:
    """Write so many jobs that have ended, and as many that wait, of so many accounts. The first
    jobs may be there already.
    """
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    words = _words(first, many, accounts, is_sqlite=is_sqlite)
    with (_sqlite if is_sqlite else _postgres)(url) as execute:
        for statement in _STATEMENTS:
            execute(statement.format_map(words))


def account(number: int) -> str:
    """Return the name of one of the accounts."""
    return f"account{number}"


def request_id(number: int) -> str:
    """Return the request id of a job that has ended, but of none that exported a day."""
    return f"request-{number}"


def task_id(number: int) -> str:
    """Return the id of the task that asked for a job that has ended."""
    return f"task-{number}"


def job_id(number: int) -> str:
    """Return the id of a job that has ended."""
    return _md5(f"job{number}")


def _words(first: int, many: int, accounts: int, *, is_sqlite: bool) -> dict[str, Any]:
    json = "" if is_sqlite else "::json"
    number = f"(i / 100 / {accounts})"
    day = f"date('{_FIRST_DAY}', {number} || ' days')"
    if not is_sqlite:
        day = f"(date '{_FIRST_DAY}' + {number})"
    is_export, is_call = f"i % 100 = {_EXPORT}", f"i % 100 > {_DOWNLOADS}"
    account = f"('account' || (i / 100 % {accounts}))"
    path = f"({account} || '/exports/' || i || '/manifest.json')"
    return {
        "numbers": "WITH RECURSIVE n(i) AS "
        f"(SELECT {first} + 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many})",
        "id": "md5('job' || i)",
        "task": "('task-' || i)",
        "waiting_id": "md5('waits' || i)",
        "account": account,
        "kind": f"CASE WHEN {is_export} THEN 'export.run' WHEN {is_call} THEN "
        "'certified_call.request' ELSE 'recording.download' END",
        "request_id": f"CASE WHEN {is_export} THEN 'day:' || {day} || '#1' "
        "ELSE 'request-' || i END",
        "is_export": is_export,
        "is_call": is_call,
        "day": day,
        "path": path,
        "json": f"""('{{"number": "' || i || '"}}'){json}""",
        "empty": f"'{{}}'{json}",
        "work": f"'{{}}'{json}",
        "counts": f"""'{{"listed": 9, "archived": 9, "missing": 0}}'{json}""",
        "result": f"""CASE WHEN {is_call} THEN '{{"outcome": "placed"}}'{json} ELSE
            ('{{"bytes": 900, "path": "' || {path} || '"}}'){json} END""",
        "covered": f"""('{{"path": "' || {path} || '", "sha256": "00"}}'){json}""",
        "receipt": f"""'{{"number": 1}}'{json}""",
        "fingerprint": "md5('f' || i) || md5('f' || i)",
        "waiting_fingerprint": "md5('w' || i) || md5('w' || i)",
        "false": "0" if is_sqlite else "false",
        "bytes": "x'7b7d'" if is_sqlite else r"'\x7b7d'",
        "now": "(unixepoch() + 0.0)" if is_sqlite else "extract(epoch FROM now())",
        "ended": ("(unixepoch()" if is_sqlite else "(extract(epoch FROM now())")
        + f" - 31536000.0 * ({many} - i) / {many} - 60)",
    }


@contextmanager
def _sqlite(url: str) -> Iterator[Callable[[str], object]]:
    path = make_url(url).database
    assert path is not None
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        connection.create_function("md5", 1, _md5, deterministic=True)
        yield connection.execute
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@contextmanager
def _postgres(url: str) -> Iterator[Callable[[str], object]]:
    with psycopg.connect(plain_address(url), autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        yield connection.execute  # type: ignore[misc]
        # As PostgreSQL does by itself after a while.
        connection.execute("VACUUM (ANALYZE)")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
