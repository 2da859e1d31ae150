"""One result file of a Bulk API 1.0 query: on disk until it is whole, then read as rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from airflow_provider_sfbulk.client.bulk1.models import ContentType
from airflow_provider_sfbulk.client.bulk1.object_rows import json_rows, xml_rows
from airflow_provider_sfbulk.client.csv.decode import RecordCounter, find_dialect, read_rows
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.errors import ServerBusyError, TransportError
from airflow_provider_sfbulk.client.replies.refusal import is_html
from airflow_provider_sfbulk.client.results.spool import OnDisk

NO_RECORDS: Final = b"Records not found for this query"
"""All that the CSV of a query without rows holds: no header, no line ending. Seen by many clients."""


class ResultFile(OnDisk):
    """A sink on disk; :meth:`rows` reads it once it is finished.

    CSV is proven whole when it ends, XML and JSON while they are read: both have an end of their own.

    :param content_type: the job's
    """

    def __init__(self, content_type: ContentType) -> None:
        self._content_type = content_type
        self._counter = RecordCounter(Dialect())
        self._start = b""
        self._dialect = Dialect()

    def start(self, reply: Reply) -> None:
        """Begin anew.

        :raises ServerBusyError: the reply is a web page
        """
        if is_html(reply):
            raise ServerBusyError("a web page where rows are due, as in a maintenance", status=reply.status)
        self._open()
        self._counter = RecordCounter(Dialect())
        self._start = b""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._opened().write(data)
        if len(self._start) <= len(NO_RECORDS):
            self._start += data[: len(NO_RECORDS) + 2]
        if self._content_type is ContentType.CSV:
            self._counter.feed(data)

    def finish(self) -> None:
        """Prove it.

        :raises TransportError: it is not whole
        """
        if self._content_type is not ContentType.CSV or self.is_empty:
            return
        self._counter.finish()
        found = find_dialect(self._counter.header_line, Dialect())
        if found is None:
            raise TransportError("what came has no header")
        self._dialect = found

    @property
    def is_empty(self) -> bool:
        """Whether it is the CSV of a query without rows."""
        return self._content_type is ContentType.CSV and self._start.strip() in (NO_RECORDS, b"")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Read the rows, once: the file goes with them. CSV's are all text, the others' are trees."""
        file = self._opened()
        try:
            file.seek(0)
            if self.is_empty:
                return
            if self._content_type is ContentType.XML:
                yield from xml_rows(file)
            elif self._content_type is ContentType.JSON:
                yield from json_rows(file)
            else:
                yield from read_rows(self._chunks(), self._dialect)
        finally:
            self.discard()
