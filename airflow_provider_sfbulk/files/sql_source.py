"""The result of a SQL statement as a source of records, from any connection whose hook is a ``DbApiHook``.

PEP 249 does not say how a result is streamed and how the session is kept from writing; it differs by driver:

==================  ==============================================  ==================================================
driver              cursor                                          session
==================  ==============================================  ==================================================
psycopg, psycopg2   a named one, which PostgreSQL keeps: a plain    ``read_only`` (psycopg), ``readonly`` (psycopg2)
                    one fetches everything on ``execute``
PyMySQL,            ``SSCursor``: a plain one fetches everything    unchanged
mysqlclient
sqlite3             plain                                           ``PRAGMA query_only``
any other           plain, with ``fetchmany``                       unchanged
==================  ==============================================  ==================================================

Nothing is ever committed: the connection is closed with its transaction open. "Closing a connection without committing
the changes first will cause an implicit rollback to be performed" (PEP 249). The connection is closed before the
cursor, since some cursors read their result to its end on ``close`` while the connection is there (``SSCursor``).

A driver's message may quote a value, or the statement with the parameters filled in. So an error names only the class of
the driver's error and its SQLSTATE, and does not chain the driver's error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from airflow_provider_sfbulk.client.errors import MissingSourceError, SfBulkError, SourceError
from airflow_provider_sfbulk.client.sources.open import RecordStream, Rules, from_tuples

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

FETCH_ROWS: Final = 1_000
"""``arraysize`` of cursors: rows of one round trip, for drivers that decide this on ``execute``, like Oracle's."""

_CURSOR_NAME: Final = "sfbulk"
"""Name of the named cursor. Names belong to the session, which has no other cursor."""


@dataclass(frozen=True)
class SqlQuery:
    """A statement, its parameters and the connection to run it on.

    :param statement: one SQL statement that returns rows
    :param parameters: a sequence or a mapping, in the driver's own style (``%s``, ``?``, ``:name``, …); None = none
    :param conn_id: Airflow connection
    """

    statement: str
    parameters: Any = field(default=None, repr=False)
    conn_id: str | None = None

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"the SQL result of connection {self.conn_id}"

    def check(self) -> None:
        """Check what can be checked without looking the connection up.

        :raises SourceError: naming the argument
        """
        if not isinstance(self.statement, str) or not self.statement.strip():
            raise SourceError("sql must be the text of one statement, and not empty")
        if not self.conn_id:
            raise SourceError("sql needs sql_conn_id: the Airflow connection to run it on")
        # A text would be taken for the sequence of its letters.
        if isinstance(self.parameters, (str, bytes)) or not isinstance(
            self.parameters, (Sequence, Mapping, type(None))
        ):
            raise SourceError(f"sql_parameters must be a list or a dict, not a {type(self.parameters).__name__}")

    def identity(self) -> str:
        """Identity of this query: the same in every process, and without its text or a parameter's value."""
        digest = hashlib.sha256(repr((self.statement, _stable(self.parameters))).encode("utf-8", "backslashreplace"))
        return f"<sql of {self.conn_id} {digest.hexdigest()}>"

    def hook(self) -> DbApiHook:
        """Find the connection's hook. Nothing is opened.

        :raises SourceError: when the connection is of a type that has none for SQL
        """
        from airflow.providers.common.sql.hooks.sql import DbApiHook  # noqa: PLC0415 - SQLAlchemy, at every DAG parse

        assert self.conn_id is not None
        connection: Any = BaseHook.get_connection(self.conn_id)
        try:
            hook = connection.get_hook()
        except (AirflowException, ImportError) as error:
            raise SourceError(
                f"sql_conn_id {self.conn_id}: there is no hook for the connection type {connection.conn_type}; is its "
                "Airflow provider installed on this worker?"
            ) from error
        if not isinstance(hook, DbApiHook):
            raise SourceError(
                f"sql_conn_id {self.conn_id}: a connection of the type {connection.conn_type} does not run SQL (its "
                f"hook, {type(hook).__name__}, is not a DbApiHook)"
            )
        return hook

    @contextmanager
    def stream(self, rules: Rules) -> Iterator[RecordStream]:
        """Run the statement and stream its rows on demand.

        :raises SourceError: when it cannot be run or gives no rows, as :func:`from_tuples`, and while reading
        """
        hook = self.hook()
        with self._without_values("connecting"):
            connection = hook.get_conn()
        opened = [connection]
        try:
            with self._without_values("running the statement"):
                if hook.supports_autocommit:
                    hook.set_autocommit(connection, False)  # a named cursor lives in a transaction
                cursor = open_cursor(connection)
                opened.append(cursor)
                cursor.arraysize = FETCH_ROWS
                # An empty sequence of parameters would still make drivers look for placeholders: LIKE 'A%'.
                cursor.execute(*(self.statement,) if self.parameters is None else (self.statement, self.parameters))
            yield from_tuples(
                lambda size: self._fetch(cursor, size), lambda: self._columns(cursor), rules, name=self.name
            )
        finally:
            # The rows are read: an error here changes nothing, and must not replace the first one.
            for each in opened:
                with suppress(Exception):
                    each.close()

    def _fetch(self, cursor: Any, size: int) -> Sequence[Sequence[Any]]:
        if cursor.description is None and not _is_named(cursor):
            raise SourceError(f"{self.name}: the statement returns no rows; sql must be one SELECT")
        with self._without_values("reading the rows"):
            rows: Sequence[Sequence[Any]] = cursor.fetchmany(size)
        if rows and isinstance(rows[0], Mapping):
            raise SourceError(f"{self.name}: rows come as mappings; set the connection to the driver's usual cursor")
        return rows

    def _columns(self, cursor: Any) -> list[str]:
        columns = [str(column[0]) for column in cursor.description or ()]
        if not columns:
            raise SourceError(f"{self.name}: the statement returns no columns")
        return columns

    @contextmanager
    def _without_values(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (AirflowException, SfBulkError):
            raise
        except Exception as error:  # whatever a driver or a hook raises: PEP 249's classes have no common ancestor
            state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
            name = getattr(error, "sqlite_errorname", None)
            code = f" (SQLSTATE {state})" if state else f" ({name})" if name else ""
            raise MissingSourceError(
                f"{self.name}: {doing} failed with {type(error).__module__}.{type(error).__name__}{code}. The "
                "driver's own message may quote values and is not shown: run the statement yourself to see it"
            ) from None


def open_cursor(connection: Any) -> Any:
    """Open the cursor that streams a result as tuples, in a read-only session if the driver has one.

    :param connection: a DB API connection without an open transaction
    """
    libraries = {each.__module__.partition(".")[0] for each in type(connection).__mro__}
    if "psycopg" in libraries:
        connection.read_only = True
        return connection.cursor(_CURSOR_NAME, row_factory=import_module("psycopg.rows").tuple_row)
    if "psycopg2" in libraries:
        connection.readonly = True
        return connection.cursor(_CURSOR_NAME, cursor_factory=import_module("psycopg2.extensions").cursor)
    for library in ("pymysql", "MySQLdb"):
        if library in libraries:
            return connection.cursor(import_module(f"{library}.cursors").SSCursor)
    if "sqlite3" in libraries:
        connection.execute("PRAGMA query_only = ON")
    return connection.cursor()


def _is_named(cursor: Any) -> bool:
    """Whether it is one of psycopg2's named cursors, which know their columns only after the first fetch."""
    return getattr(cursor, "name", None) == _CURSOR_NAME


def _stable(parameters: Any) -> Any:
    """Convert parameters to a form whose ``repr`` is the same in every process."""
    match parameters:
        case Mapping():
            return [
                (_stable(key), _stable(value))
                for key, value in sorted(parameters.items(), key=lambda each: str(each[0]))
            ]
        case list() | tuple():
            return [_stable(value) for value in parameters]
        case set() | frozenset():
            return sorted(map(repr, parameters))
        case _:
            text = repr(parameters)
            # The default repr shows an address, which differs in every process.
            return f"<{type(parameters).__qualname__}>" if text == object.__repr__(parameters) else text
