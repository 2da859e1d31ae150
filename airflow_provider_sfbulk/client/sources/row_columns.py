"""The columns of rows that are mappings: finds them, and turns batches of rows into columns.

A row may lack keys, and may contain one level of nested mappings, which are relationships. The fast path is for rows with
the same keys and no nesting; everything else takes the slow path, which also names the invalid row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final, TypeAlias

from airflow_provider_sfbulk.client.csv.names import shown_name
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.parts.encode import LineBreaks
from airflow_provider_sfbulk.client.parts.mapping import SourceColumn
from airflow_provider_sfbulk.client.values.by_field import is_null
from airflow_provider_sfbulk.client.values.text_arrow import MISSING, Missing

Row: TypeAlias = Mapping[str, Any]

_SCAN_ROWS: Final = 250
"""Rows that are examined together: of a file, they are in memory, 33 MB of the longest texts that a field takes."""


class GivenColumns:
    """Columns that the user has named: ``Name``, and ``Owner.External_Key__c`` for a nested one."""

    def __init__(self, names: Sequence[str]) -> None:
        self.columns = tuple(SourceColumn(name) for name in names)
        self.are_nested = any("." in name for name in names)
        self._names = frozenset(names)
        self._below: dict[str, list[str]] = {}
        for name in names:
            self._below.setdefault(name.partition(".")[0], []).append(name)

    def flat(self, row: Row) -> dict[str, Any]:
        """Return a row with nested columns beside the others."""
        flat: dict[str, Any] = {}
        for key, value in row.items():
            if key in self._names or not isinstance(key, str):
                flat[key] = value
            elif isinstance(value, Mapping):
                for child, below in value.items():
                    label = f"{key}.{child}"
                    flat[label if label in self._names else SourceColumn(key, str(child)).label] = below
            elif is_null(value):
                flat |= dict.fromkeys(self._below.get(SourceColumn(key, "").label.rstrip("."), [key]))
            else:
                flat[key] = value
        return flat


def in_batches(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield lists of ``size`` rows, the last one shorter."""
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


class RowColumns:
    """The columns of rows, found by looking at rows, then used to take rows apart.

    :param name: the source's name, for messages
    :param given: the columns and their order, when the user has named them
    """

    def __init__(self, *, name: str, given: Sequence[str] | None = None) -> None:
        self._name = name
        self._given = None if given is None else GivenColumns(given)
        self._keys: dict[str, dict[str, None]] = {}
        """Every key in the order of its first appearance, with the keys below it."""
        self._plain: set[str] = set()
        """Keys that had a value other than a mapping or null."""
        self._seen = 0
        self._columns: tuple[SourceColumn, ...] | None = None

    def see(self, rows: Iterable[Any], breaks: LineBreaks | None = None) -> None:
        """Learn the columns of more rows, and with ``breaks`` the line breaks of their texts.

        :raises SourceError: for a row that is not a mapping, a key that is not text or is both nested and plain
        """
        self._columns = None
        for batch in in_batches(rows, _SCAN_ROWS):
            if self._given is not None:
                for column in self.take_apart(batch, first_row=self._seen + 1):
                    if breaks is not None:
                        breaks.see_texts(column)
                self._seen += len(batch)
                continue
            self._see_keys(batch)
            alike = _same_keys(batch, list(self._keys))
            for place, key in enumerate(self._keys):
                self._see_values(key, _values(batch, key) if alike is None else alike[place], breaks)
            self._seen += len(batch)
        if self._seen and not self._keys and self._given is None:
            raise SourceError(f"{self._name}: none of the {self._seen:,} rows has a column")

    def _see_keys(self, batch: Sequence[Any]) -> None:
        if set(map(type, batch)) != {dict}:
            for index, row in enumerate(batch):
                self._check_mapping(row, self._seen + index + 1)
        if set().union(*batch) <= self._keys.keys():
            return
        for index, row in enumerate(batch):
            for key in row:
                if not isinstance(key, str):
                    raise self._error(
                        self._seen + index + 1,
                        f"column names must be strings, not {type(key).__name__} (csv.DictReader returns None as a name "
                        "when a line has more values than the header)",
                    )
                self._keys.setdefault(key, {})

    def _see_values(self, key: str, values: list[Any], breaks: LineBreaks | None) -> None:
        children = self._keys[key]
        kinds = set(map(type, values)) - {type(None), Missing}
        nested = {kind for kind in kinds if issubclass(kind, Mapping)}
        if nested:
            for index, value in enumerate(values):
                if type(value) in nested:
                    children.update(dict.fromkeys(self._texts(value, self._seen + index + 1)))
                    if breaks is not None:
                        breaks.see_texts(value.values())
        if kinds - nested and any(type(value) not in nested and not _is_nothing(value) for value in values):
            self._plain.add(key)
        if children and key in self._plain:
            raise SourceError(
                f"{self._name}: column {key} is a dict in some rows and a plain value in others, in or before row "
                f"{self._seen + len(values)}: give all rows the same form"
            )
        if breaks is not None and str in kinds:
            breaks.see_texts(values)

    def _texts(self, nested: Mapping[Any, Any], row: int) -> Iterable[str]:
        if all(isinstance(key, str) for key in nested):
            return nested.keys()
        raise self._error(row, "the names of nested columns must be strings")

    @property
    def columns(self) -> tuple[SourceColumn, ...]:
        """The columns, in the order of their first appearance."""
        if self._given is not None:
            return self._given.columns
        if self._columns is None:
            self._columns = tuple(
                column
                for key, children in self._keys.items()
                for column in ([SourceColumn(key, child) for child in children] or [SourceColumn(key)])
            )
        return self._columns

    def take_apart(self, batch: Sequence[Any], *, first_row: int) -> list[list[Any]]:
        """Turn rows into one list per column, ``MISSING`` where a row has no such key.

        :raises SourceError: for a row that is not a mapping or has a column that is not known
        """
        columns = self.columns
        if self._given is not None and self._given.are_nested:
            batch = [self._given.flat(row) if isinstance(row, Mapping) else row for row in batch]
        if all(column.child is None for column in columns):
            fast = _same_keys(batch, [column.name for column in columns])
            if fast is not None:
                return fast
        known = {column.name for column in columns}
        for index, row in enumerate(batch):
            self._check_mapping(row, first_row + index)
            if row.keys() - known:
                extra = min(map(str, row.keys() - known))
                raise self._unknown(first_row + index, extra)
        return [self._column(batch, column, first_row) for column in columns]

    def _column(self, batch: Sequence[Row], column: SourceColumn, first_row: int) -> list[Any]:
        values = _values(batch, column.name)
        if column.child is None:
            return values
        children = {each.child for each in self.columns if each.name == column.name}
        for index, value in enumerate(values):
            if isinstance(value, Mapping):
                if value.keys() - children:
                    extra = min(map(str, value.keys() - children))
                    raise self._unknown(first_row + index, f"{column.name}.{extra}")
                values[index] = value.get(column.child, MISSING)
            elif not _is_nothing(value):
                raise self._error(first_row + index, f"column {column.name} must be a dict, as in earlier rows")
        return values

    def _check_mapping(self, row: Any, number: int) -> None:
        if not isinstance(row, Mapping):
            raise self._error(number, f"a row must be a dict, not {type(row).__name__}")

    def _unknown(self, row: int, extra: str) -> SourceError:
        if self._given is not None:
            return self._error(row, f"columns does not name {shown_name(extra)}: add it, or leave it out of the row")
        return self._error(
            row,
            f"the first {self._seen:,} rows have no column {shown_name(extra)}, and the header line is sent before the "
            "rows: name all columns (columns=[…]), or pass a list of rows",
        )

    def _error(self, row: int, reason: str) -> SourceError:
        return SourceError(f"{self._name}: row {row}: {reason}")


def _is_nothing(value: Any) -> bool:
    return value is MISSING or is_null(value)


def _values(batch: Sequence[Row], key: str) -> list[Any]:
    return [row.get(key, MISSING) for row in batch]  # not row[key], which makes a defaultdict grow


def _same_keys(batch: Sequence[Any], names: Sequence[str]) -> list[list[Any]] | None:
    """The columns when every row is a dict of just these keys, else None."""
    if set(map(type, batch)) != {dict} or set(map(len, batch)) != {len(names)}:
        return None
    try:
        return [list(map(itemgetter(name), batch)) for name in names]
    except KeyError:
        return None


def keys_below(values: Iterable[Any]) -> tuple[str, ...]:
    """Return the keys of the mappings of a column; none when its first value is not a mapping.

    :param values: looked through to their end only when they are mappings
    """
    keys: dict[str, None] = {}
    for value in values:
        if isinstance(value, Mapping):
            keys |= dict.fromkeys(map(str, value))
        elif not keys and not is_null(value):
            return ()
    return tuple(keys)


def taken_below(
    values: Sequence[Any], keys: Sequence[str], *, column: str, name: str, first_row: int
) -> list[list[Any]]:
    """Take a column of mappings apart, into one list for each key.

    :param column: its name, for messages
    :raises SourceError: for a value that is not a mapping, or one with another key
    """
    taken: list[list[Any]] = [[] for _ in keys]
    for row, value in enumerate(values, start=first_row):
        nested = value if isinstance(value, Mapping) else None
        if nested is None and not is_null(value):
            raise SourceError(f"{name}: row {row}: column {shown_name(column)} must be a dict, as in other rows")
        if nested is not None and (extra := set(nested) - set(keys)):
            label = f"{column}.{min(map(str, extra))}"
            raise SourceError(f"{name}: row {row}: the first rows have no column {shown_name(label)}, so no row may")
        for key, below in zip(keys, taken, strict=True):
            below.append(None if nested is None else nested.get(key, MISSING))
    return taken
