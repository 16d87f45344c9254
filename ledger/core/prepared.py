"""Statements that are built at import and compiled once, and that run on the driver's own cursor.

SQLAlchemy builds a statement from its expressions, computes a cache key and describes the rows anew
each time a statement runs. For the steps that every job takes, that costs more than the database's
own work. A `Prepared` statement is written with the same expressions, so that each rule still has
one definition, but keeps the compiled text and the conversions of its values.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

from sqlalchemy import (
    ARRAY,
    JSON,
    BinaryExpression,
    BindParameter,
    Boolean,
    ColumnElement,
    Connection,
    Dialect,
    Select,
    String,
    UnaryExpression,
    bindparam,
    literal_column,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.types import TypeEngine

R = TypeVar("R")
Statement = Select[Any] | UpdateBase
#: Builds a statement from the INSERT of one dialect, which supports ON CONFLICT.
Building = Callable[[Callable[..., Any]], Statement]
Processor = Callable[[Any], Any]

_POSTGRESQL = "postgresql"
_NAMED = re.compile(r" AS (anon_\d+)\b")


def parameter(name: str, type_: TypeEngine[Any] | None = None) -> BindParameter[Any]:
    """Return the place of a value that each run of a `Prepared` statement gets. Its type is that of
    the column or expression that it is compared with, unless ``type_`` is given.
    """
    return bindparam(name, None, type_=type_)


class one_of(FunctionElement[bool]):  # noqa: N801 - reads as the SQL condition it is
    """The condition that an expression has one of the values of a list, which is the parameter
    ``name``: the statement's text is the same for a list of any length.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, expression: ColumnElement[Any], name: str) -> None:
        values = JSON().with_variant(ARRAY(expression.type), _POSTGRESQL)
        super().__init__(expression, parameter(name, values))

    def self_group(self, against: Any = None) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the condition as it is. SQLite would find no row by an index if the condition was
        compared with 1, as SQLAlchemy does with a function.
        """
        return self


def by_no_index(column: ColumnElement[R]) -> ColumnElement[R]:
    """Return a column by whose index no row is searched for.

    Without statistics, SQLite takes a condition on an indexed column for a better one than a list
    of ids, and would go through all that is due for the few rows that the list names.
    """
    is_text = isinstance(column.type, String)
    if is_text:
        return BinaryExpression(column, literal_column("''"), custom_op("||"), type_=column.type)
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


@compiles(one_of, "sqlite")
def _one_of_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    expression, values = (compiler.process(one, **options) for one in element.clauses)
    return f"{expression} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - a parameter


@compiles(one_of, _POSTGRESQL)
def _one_of_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    expression, values = (compiler.process(one, **options) for one in element.clauses)
    return f"{expression} = ANY ({values})"


class _Compiled:
    """A statement in one dialect: its text, and what its parameters and rows pass through."""

    def __init__(self, statement: Statement, dialect: Dialect, row: Callable[..., Any] | None):
        compiled: Any = statement.compile(dialect=dialect)
        expanded = compiled.construct_expanded_state()
        self.text = _without_unused_names(expanded.statement)
        self._dialect = dialect
        self._columns = _columns(statement)
        self._row = row or namedtuple("Row", [name for name, _ in self._columns], rename=True)  # noqa: PYI024
        self._of_row: Sequence[tuple[int, Processor]] | None = None

        parameters = {name for bind, name in compiled.bind_names.items() if not bind.unique}
        processors = _bind_processors(compiled, dialect) | expanded.processors
        # The values that the statement itself brings are converted only once.
        values = {
            name: processors[name](value) if name in processors else value
            for name, value in expanded.parameters.items()
        }
        names = expanded.positiontup
        places = values if names is None else range(len(names))
        self._values: Any = values if names is None else [values[name] for name in names]
        self._places = [
            (place, name, processors.get(name))
            for place, name in zip(places, names or values, strict=True)
            if name in parameters
        ]

    def arguments(self, given: Mapping[str, Any]) -> Any:
        """Return the driver's arguments. Raises KeyError if a parameter is not given."""
        values = self._values.copy()
        for place, name, process in self._places:
            values[place] = given[name] if process is None else process(given[name])
        return values

    def rows(self, fetched: Sequence[Sequence[Any]], description: Sequence[Any]) -> list[Any]:
        """Return the rows that the driver fetched, with every value in Python's form."""
        if self._of_row is None:
            self._of_row = self._result_processors(description)
        if not self._of_row:
            return [self._row(*one) for one in fetched]
        converted = []
        for one in fetched:
            values = list(one)
            for index, process in self._of_row:
                values[index] = process(values[index])
            converted.append(self._row(*values))
        return converted

    def _result_processors(self, description: Sequence[Any]) -> Sequence[tuple[int, Processor]]:
        found = []
        for index, (_, type_) in enumerate(self._columns):
            # The second item is the column's type in the words of the driver.
            code = description[index][1]
            process = type_.dialect_impl(self._dialect).result_processor(self._dialect, code)
            if process is not None:
                found.append((index, process))
        return found


class Prepared(Generic[R]):
    """A statement with `parameter` places, compiled at its first run in a dialect.

    ``statement`` is a statement, or builds one at its first run from the INSERT of the dialect, if
    it needs ON CONFLICT or is of use to one dialect only. A row is ``row`` called with its values
    in order, or a named tuple of its columns. Every run takes place in the transaction of the given
    connection, and raises the errors that SQLAlchemy would raise.
    """

    @overload
    def __init__(self: Prepared[Any], statement: Statement | Building) -> None: ...

    @overload
    def __init__(self, statement: Statement | Building, row: Callable[..., R]) -> None: ...

    def __init__(
        self, statement: Statement | Building, row: Callable[..., R] | None = None
    ) -> None:
        self._given = statement
        self._row = row
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, **parameters: Any) -> int:
        """Run the statement; return how many rows it changed."""
        return self._executed(connection, parameters, fetches=False)[1]

    def rows(self, connection: Connection, **parameters: Any) -> list[R]:
        """Run the statement; return its rows."""
        return self._executed(connection, parameters, fetches=True)[0]

    def row(self, connection: Connection, **parameters: Any) -> R | None:
        """Run the statement; return its only row, or None."""
        found = self.rows(connection, **parameters)
        assert len(found) <= 1, "a statement for one row found several"
        return found[0] if found else None

    def value(self, connection: Connection, **parameters: Any) -> Any:
        """Run the statement; return the first value of its only row, or None."""
        found: Any = self.row(connection, **parameters)
        return None if found is None else found[0]

    def row_later(self, connection: Connection, **parameters: Any) -> Callable[[], R | None]:
        """Send the statement within `combined.pipelined`; return what gives its only row, or None,
        once the pipeline has ended.
        """
        compiled, arguments = self._compiled_for(connection, parameters)
        cursor: Any = connection.connection.cursor()
        cursor.execute(compiled.text, arguments)

        def row() -> R | None:
            found = compiled.rows(cursor.fetchall(), cursor.description)
            assert len(found) <= 1, "a statement for one row found several"
            return found[0] if found else None

        return row

    def text(self, dialect: Dialect) -> str:
        """Return the text that the driver is given."""
        return _Compiled(self.statement(dialect), dialect, self._row).text

    def statement(self, dialect: Dialect) -> Statement:
        """Return the statement as it is built for a dialect."""
        if not callable(self._given):
            return self._given
        if dialect.name == _POSTGRESQL:
            # On SQLite nothing loads that dialect and all its drivers.
            from sqlalchemy.dialects import postgresql  # noqa: PLC0415

            return self._given(postgresql.insert)
        return self._given(sqlite.insert)

    def _executed(
        self, connection: Connection, parameters: Mapping[str, Any], *, fetches: bool
    ) -> tuple[list[Any], int]:
        compiled, arguments = self._compiled_for(connection, parameters)
        cursor: Any = connection.connection.cursor()
        try:
            cursor.execute(compiled.text, arguments)
            fetched = cursor.fetchall() if fetches else []
        except connection.dialect.loaded_dbapi.Error as error:
            # The same classes of errors, and the same end of a broken connection and of its pool,
            # as after any other statement: the repeats of Database.write depend on both.
            connection._handle_dbapi_exception(error, compiled.text, arguments, cursor, None)  # noqa: SLF001
        except Exception:
            cursor.close()
            raise
        except BaseException:
            # The thread was interrupted, and nobody knows what the connection expects next.
            connection.invalidate()
            raise
        found = compiled.rows(fetched, cursor.description) if fetched else []
        changed = cursor.rowcount
        cursor.close()
        return found, changed

    def _compiled_for(
        self, connection: Connection, parameters: Mapping[str, Any]
    ) -> tuple[_Compiled, Any]:
        """Return the compiled statement and the driver's arguments, in a begun transaction."""
        dialect = connection.dialect
        # Two threads may both compile: the results are the same.
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = _Compiled(self.statement(dialect), dialect, self._row)
            self._compiled[dialect.name] = compiled
        arguments = compiled.arguments(parameters)
        if not connection.in_transaction():
            connection.begin()
        return compiled, arguments


def _without_unused_names(text: str) -> str:
    """Leave out the names that SQLAlchemy gives to values, if nothing refers to them: each costs
    the driver and the database a little at every run.
    """
    names = set(_NAMED.findall(text))
    used = {one for one in names if len(re.findall(rf"(?<! AS )\b{one}\b", text)) > 0}
    return _NAMED.sub(lambda found: found[0] if found[1] in used else "", text)


def _bind_processors(compiled: Any, dialect: Dialect) -> dict[str, Processor]:
    """Return, by name, what converts the values of a statement for the driver."""
    processors = {
        name: bind.type.dialect_impl(dialect).bind_processor(dialect)
        for bind, name in compiled.bind_names.items()
    }
    return {name: process for name, process in processors.items() if process is not None}


def _columns(statement: Statement) -> list[tuple[str, TypeEngine[Any]]]:
    """Return the name and type of each column of a statement's rows."""
    described = (
        statement.column_descriptions
        if isinstance(statement, Select)
        else statement.returning_column_descriptions
    )
    return [(str(one["name"]), one["type"]) for one in described]
