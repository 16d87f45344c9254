"""Parts of a combined statement: several writes of one step in one statement of PostgreSQL.

PostgreSQL commits such a statement in the round trip that brings it. All its parts see the tables
as they were at its start, and each takes the rows of the part before it as its source, so that they
take place in this order. The values are those of the step's separate statements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Insert,
    Select,
    Table,
    cast,
    insert,
    literal,
    null,
    select,
)

from .prepared import parameter

# On SQLite nothing loads that dialect and all its drivers.
if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


def selecting(
    table: Table, values: Mapping[str, Any], source: FromClause | None = None
) -> Select[Any]:
    """Return the SELECT of a table's new row for each row of the source; one row without it."""
    row = [_typed(table.c[name], value) for name, value in values.items()]
    return select(*row) if source is None else select(*row).select_from(source)


def inserting(table: Table, values: Mapping[str, Any], source: FromClause) -> postgresql.Insert:
    """Return the INSERT of a row into a table for each row of the source."""
    return _insert(table).from_select(list(values), selecting(table, values, source))


def inserting_both(
    table: Table,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    source: FromClause | None = None,
) -> Insert:
    """Return the INSERT of two rows, in this order, for each row of the source; of two without
    it.
    """
    both = selecting(table, first, source).union_all(selecting(table, second, source))
    return insert(table).from_select(list(first), both)


def _insert(table: Table) -> postgresql.Insert:
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    return postgresql.insert(table)


def _typed(column: ColumnElement[Any], value: Any) -> ColumnElement[Any]:
    """Return a value as an expression with the type of its column: PostgreSQL takes a parameter
    without a type in a SELECT for text.
    """
    if value is None:
        return cast(null(), column.type)
    if isinstance(value, BindParameter):
        return parameter(value.key, column.type)
    if isinstance(value, ColumnElement):
        return value
    return literal(value, column.type, literal_execute=True)


@contextmanager
def pipelined(connection: Connection) -> Iterator[None]:
    """Send the statements within to PostgreSQL together, as one transaction in one round trip."""
    driver: Any = connection.connection.driver_connection
    try:
        with driver.pipeline():
            yield
    except connection.dialect.loaded_dbapi.Error as error:
        connection._handle_dbapi_exception(error, "a pipeline", None, None, None)  # noqa: SLF001
