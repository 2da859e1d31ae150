"""Result files of a query: CSV, JSON or XML, cut where they would grow beyond 1 GB.

CSV: every value quoted, the header first in each file. JSON: an array as the server prints it, each record with an
``attributes`` block, related records inside, "dateTime as epoch milliseconds". XML: ``<records xsi:type="sObject">``,
where ``Id`` "appears twice".

That dates too are milliseconds in JSON is likely and was not seen; here they are text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from airflow_provider_sfbulk.local_org.bulk1.formats import NAMESPACE
from airflow_provider_sfbulk.local_org.bulk2 import results
from airflow_provider_sfbulk.local_org.bulk2.csv_in import Dialect
from airflow_provider_sfbulk.local_org.data.schema import NUMBER_TYPES, Field, Schema
from airflow_provider_sfbulk.local_org.http import xml
from airflow_provider_sfbulk.local_org.soql import Column, CompiledQuery

NO_RECORDS: Final = "Records not found for this query"
"""All that the file of a CSV query without rows holds."""

_DIALECT: Final = Dialect("COMMA", "LF")
_NAMESPACES: Final = f'xmlns="{NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


class Writer(Protocol):
    """How a format writes its files."""

    start: str
    between: str
    end: str

    def records(self, rows: Sequence[Sequence[Any]]) -> list[str]:
        """Return the text of each record."""


def write(
    writer: Writer, rows: Iterable[Sequence[Sequence[Any]]], path_of: Callable[[int], Path], *, most_bytes: int
) -> tuple[int, int]:
    """Write rows into as many files as they need; none for no rows.

    :param rows: some at a time, values as stored
    :param path_of: where the file of a number lies, from 0
    :return: numbers of records and of files
    """
    count = 0
    file = _File(writer, path_of, most_bytes)
    try:
        for some in rows:
            for record in writer.records(some):
                file.add(record)
            count += len(some)
    finally:
        file.close()
    return count, file.number


class _File:
    """The file that is being written.

    :ivar number: of files so far
    """

    def __init__(self, writer: Writer, path_of: Callable[[int], Path], most_bytes: int) -> None:
        self.number = 0
        self._start = writer.start.encode()
        self._between = writer.between.encode()
        self._end = writer.end.encode()
        self._path_of = path_of
        self._most_bytes = most_bytes
        self._file: BinaryIO | None = None
        self._size = 0

    def add(self, record: str) -> None:
        """Add a record, in a new file when this one would grow too large."""
        data = self._between + record.encode()
        if self._file is not None and self._size + len(data) + len(self._end) > self._most_bytes:
            self.close()
        if self._file is None:
            self._file = self._path_of(self.number).open("wb")
            self.number += 1
            self._size = 0
            data = self._start + record.encode()
        self._size += self._file.write(data)

    def close(self) -> None:
        """End the file, if there is one."""
        if self._file is not None:
            self._file.write(self._end)
            self._file.close()
            self._file = None


class CsvWriter:
    """CSV."""

    between = ""
    end = ""

    def __init__(self, query: CompiledQuery, _schema: Schema, _version: str) -> None:
        self.start = results.row_text([column.path for column in query.columns], _DIALECT)
        self._texts = [results.texts_of(column.field) for column in query.columns]

    def records(self, rows: Sequence[Sequence[Any]]) -> list[str]:
        """Return the text of each record."""
        columns = [text(column) for text, column in zip(self._texts, zip(*rows, strict=True), strict=True)]
        return ['"' + '","'.join(row) + '"\n' for row in zip(*columns, strict=True)]


class _Nested:
    """Records as trees: what JSON and XML share."""

    def __init__(self, query: CompiledQuery, schema: Schema, version: str) -> None:
        self._ids = query.ids
        self._kinds = {sobject.key_prefix: sobject.name for sobject in schema}
        self._version = version
        self._own = {relationship: list(_below(relationship, query.columns)) for relationship in query.ids}

    def _kind(self, record_id: str) -> str:
        """Return the object of a record."""
        return self._kinds[record_id[:3]]


class JsonWriter(_Nested):
    """JSON, spaced as the server does."""

    start = "[ "
    between = ", "
    end = " ]"

    def records(self, rows: Sequence[Sequence[Any]]) -> list[str]:
        """Return the text of each record."""
        return [
            json.dumps(self._record(row, ""), indent=2, separators=(",", " : "), ensure_ascii=False) for row in rows
        ]

    def _record(self, row: Sequence[Any], relationship: str) -> dict[str, Any] | None:
        record_id = row[self._ids[relationship]]
        if record_id is None:
            return None
        kind = self._kind(record_id)
        url = f"/services/data/v{self._version}/sobjects/{kind}/{record_id}"
        record: dict[str, Any] = {"attributes": {"type": kind, "url": url}}
        for name, field, place in self._own[relationship]:
            if field is None:
                record[name] = self._record(row, _joined(relationship, name))
            else:
                record[name] = _in_json(field, row[place])
        return record


class XmlWriter(_Nested):
    """XML."""

    start = f"{xml.DECLARATION}<queryResult {_NAMESPACES}>"
    between = ""
    end = "</queryResult>"

    def records(self, rows: Sequence[Sequence[Any]]) -> list[str]:
        """Return the text of each record."""
        return [f'<records xsi:type="sObject">{self._fields(row, "")}</records>' for row in rows]

    def _fields(self, row: Sequence[Any], relationship: str) -> str:
        record_id = row[self._ids[relationship]]
        own = self._own[relationship]
        # The record's own id comes first whether it was selected or not, and once more where it was.
        selected = any(name == "Id" for name, _, _ in own)
        parts = [xml.element("type", self._kind(record_id))]
        parts.append(xml.element("Id", record_id) if selected else '<Id xsi:nil="true"/>')
        for name, field, place in own:
            if field is not None:
                parts.append(_in_xml(name, field, row[place]))
                continue
            below = _joined(relationship, name)
            if row[self._ids[below]] is None:
                parts.append(f'<{name} xsi:nil="true"/>')
            else:
                parts.append(f'<{name} xsi:type="sObject">{self._fields(row, below)}</{name}>')
        return "".join(parts)


WRITERS: Final[dict[str, Callable[[CompiledQuery, Schema, str], Writer]]] = {
    "CSV": CsvWriter,
    "JSON": JsonWriter,
    "XML": XmlWriter,
}
"""By the job's ``contentType``."""


def _below(relationship: str, columns: Sequence[Column]) -> Iterator[tuple[str, Field | None, int]]:
    """Yield what stands directly below a record: fields with their place in a row, relationships without."""
    prefix = _joined(relationship, "")
    seen = set()
    for place, column in enumerate(columns):
        if not column.path.startswith(prefix):
            continue
        name, dot, _ = column.path.removeprefix(prefix).partition(".")
        if not dot:
            yield name, column.field, place
        elif name not in seen:
            seen.add(name)
            yield name, None, 0


def _joined(relationship: str, name: str) -> str:
    return f"{relationship}.{name}" if relationship else name


def _in_json(field: Field, value: Any) -> Any:
    if value is None:
        return None
    if field.type == "boolean":
        return bool(value)
    if field.type == "datetime":
        return int(datetime.fromisoformat(value).timestamp()) * 1000
    return value


def _in_xml(name: str, field: Field, value: Any) -> str:
    if value is None:
        return f'<{name} xsi:nil="true"/>'
    if field.type == "boolean":
        return xml.element(name, "true" if value else "false")
    if field.type in NUMBER_TYPES and isinstance(value, float):
        return xml.element(name, results.double_text(value))
    return xml.element(name, str(value))
