"""Downloaded CSV for a caller's loop: in a temporary file until it is checked, then read as rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from airflow_provider_sfbulk.client.csv.decode import RecordCounter, find_dialect, read_rows
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.errors import TransportError
from airflow_provider_sfbulk.client.models import RECORDS_HEADER, read_count
from airflow_provider_sfbulk.client.parts.temporary import TemporaryFile

_MEMORY_BYTES: Final = 1024 * 1024
_CHUNK_BYTES: Final = 1024 * 1024


class DownloadedFile:
    """A temporary file of a sink: without a name, in memory while it is small, gone with the sink."""

    _file: TemporaryFile | None = None

    def discard(self) -> None:
        """Close the file, which removes it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        self.discard()
        self._file = TemporaryFile(_MEMORY_BYTES)

    def _opened(self) -> TemporaryFile:
        if self._file is None:
            raise RuntimeError("the file is not open: a sink is started first, and its rows are read once")
        return self._file

    def _chunks(self) -> Iterator[bytes]:
        file = self._opened()
        return iter(lambda: file.read(_CHUNK_BYTES), b"")

    def __del__(self) -> None:
        # The rows were not read, or not completely.
        self.discard()


class DownloadedCsv(DownloadedFile):
    """A sink that proves a CSV; subclasses keep what comes.

    :param dialect: the job's
    :param records: records that the file must have; when None, what the reply's ``Sforce-NumberOfRecords`` says, if any
    :param required: columns that the header must have
    :param what: what is in it, and ``job_id`` whose it is, for messages
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        records: int | None = None,
        required: Collection[str] = (),
        what: str = "records",
        job_id: str | None = None,
    ) -> None:
        self.job_id = job_id
        self._given = dialect
        self._dialect = dialect
        self._records = records
        self._required = required
        self._what = what
        self._expected: int | None = None
        self._counter = RecordCounter(dialect)

    @property
    def records(self) -> int:
        """Records of the file so far."""
        return self._counter.records

    def start(self, reply: Reply) -> None:
        """Start over."""
        self._open()
        self._counter = RecordCounter(self._given)
        said = read_count(reply.headers.get(RECORDS_HEADER, ""))
        self._expected = said if self._records is None else self._records

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._counter.feed(data)

    def finish(self) -> None:
        """Prove it.

        :raises TransportError: it is not whole, is no such file, or has not as many records as it must
        """
        if self._counter.length:  # no rows: a header alone was seen, an empty body has been reported
            self._counter.check_end()
            found = find_dialect(self._counter.header_line, self._given, self._required)
            if found is None:
                raise TransportError(f"the first line is not the header line of {self._what}", job_id=self.job_id)
            self._dialect = found
        if self._expected not in (None, self.records):
            raise TransportError(
                f"{self.records} {self._what} were received instead of {self._expected}", job_id=self.job_id
            )


class DownloadedRows(DownloadedCsv):
    """A sink on disk; :meth:`rows` reads it once it is finished."""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._opened().write(data)
        super().write(data)

    def rows(self) -> Iterator[dict[str, str]]:
        """Read the rows, once: the file goes with them."""
        try:
            self._opened().seek(0)
            yield from read_rows(self._chunks(), self._dialect)
        finally:
            self.discard()
