"""One job's result file of one kind, proven whole and read once.

Facts (Bulk API 2.0 guide, "Get Job Successful / Failed / Unprocessed Record Results"; captures of several clients):

- Successful rows begin with ``sf__Id`` and ``sf__Created``, failed ones with ``sf__Id`` and ``sf__Error``; then come
  the uploaded columns. Unprocessed rows have the uploaded columns only. ``sf__Id`` of failed rows exists since API 53.
- No rows: a header alone was seen; an empty body and a 204 have been reported. All three mean zero rows here.
- There is no count in the reply's headers, and a body that stops between two records looks whole. Only the job's own
  counters can tell, so the flow gives what it expects of each job.

The rows are decoded as they come and kept as Arrow has them, in a temporary file: to read them from there again costs next
to nothing, and they are wanted for their keys and for the result file. What is wrong with them is said when
they are read, not before the file is proven: a cut download is fetched again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from airflow_provider_sfbulk.client.csv.decode import Blocks, find_dialect
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.csv.names import listed
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.models import ResultKind
from airflow_provider_sfbulk.client.results.downloads import columns_of
from airflow_provider_sfbulk.client.results.schema import ColumnType
from airflow_provider_sfbulk.client.results.spool import DownloadedCsv, DownloadedRows
from airflow_provider_sfbulk.client.results.typed import (
    ERROR,
    BlockReader,
    empty_batch,
    error_codes,
)
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute

log = logging.getLogger(__name__)

REQUIRED: Final[Mapping[ResultKind, tuple[str, ...]]] = {
    "successful": ("sf__Id", "sf__Created"),
    "failed": (ERROR,),
    "unprocessed": (),
}
"""Columns by which a result file is recognised."""

_OF_OTHERS: Final = frozenset(name for names in REQUIRED.values() for name in names) - {"sf__Id"}
"""Columns that only one kind has."""

_ID_CHARACTERS: Final = (15, 18)
_PREFIX: Final = 3
"""Characters by which Salesforce tells objects apart."""


class _OfJob(DownloadedCsv):
    """A result file of one job.

    :param expect_records: records that the file must have by the job's counters; None when they cannot be trusted
    """

    job_id: str

    def __init__(self, job_id: str, dialect: Dialect, kind: ResultKind, *, expect_records: int | None = None) -> None:
        what = f"{kind} records of job {job_id}"
        super().__init__(dialect, records=expect_records, required=REQUIRED[kind], what=what, job_id=job_id)
        self.kind = kind

    def finish(self) -> None:
        """Prove it, and that its columns are those of its kind.

        :raises ProtocolError: a column occurs twice, or belongs to another kind of file
        """
        super().finish()
        if not self._counter.length:
            return
        names = [name.casefold() for name in columns_of(self._counter.header_line, self._dialect)]
        twice = sorted({name for name in names if names.count(name) > 1})
        foreign = sorted(name for name in _OF_OTHERS - {*REQUIRED[self.kind]} if name.casefold() in names)
        if twice or foreign:
            why = f"the column {listed(twice)} more than once" if twice else f"the column {listed(foreign)}"
            raise ProtocolError(f"the file of the {self._what} must be another one: it has {why}", job_id=self.job_id)


class JobRows(_OfJob, DownloadedRows):
    """One job's result file on its way to a caller's loop."""


class JobResult(_OfJob):
    """One job's result file, decoded on the way."""

    def __init__(self, job_id: str, dialect: Dialect, kind: ResultKind, *, expect_records: int | None = None) -> None:
        super().__init__(job_id, dialect, kind, expect_records=expect_records)
        self._forget()

    def _forget(self) -> None:
        self._blocks = Blocks(self._counter)
        self._reader: BlockReader | None = None
        self._schema = pa.schema([])
        self._lengths: list[int] = []
        self._codes: list[Array] = []
        self._wrong: ProtocolError | None = None
        self._prefixes: set[str] = set()
        """Prefixes of the ids of saved records."""

    def start(self, reply: Reply) -> None:
        """Start over."""
        super().start(reply)
        self._forget()

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        super().write(data)
        self._keep(self._blocks.feed(data))

    def finish(self) -> None:
        """Prove it, and decode the last records."""
        super().finish()
        self._keep(self._blocks.rest())
        if self._reader is not None and self._wrong is None and self._reader.rows != self.records:
            # Only a quote inside a bare value could do this.
            self._wrong = ProtocolError(
                f"the file of the {self._what} has {self.records} records, but {self._reader.rows} rows can be read",
                job_id=self.job_id,
            )

    def check_columns(self, sent: Sequence[str]) -> None:
        """Compare the columns with those that were uploaded. Names match in any order and case.

        A relationship's column (``Owner.Email``) may be absent: it is no field of the object, and no source says that
        Salesforce gives it back.

        :raises ProtocolError: when one is missing, or one is there that was not sent and is not Salesforce's own
        """
        if not self._counter.length:
            return
        columns = columns_of(self._counter.header_line, self._dialect)
        there, uploaded = ({name.casefold() for name in names} for names in (columns, sent))
        missing = [name for name in sent if name.casefold() not in there and "." not in name]
        extra = [name for name in columns if name.casefold() not in uploaded and not name.startswith("sf__")]
        if missing or extra:
            what = [f"they lack {listed(missing)}"] * bool(missing) + [
                f"they have {listed(extra)}, which was not sent"
            ] * bool(extra)
            raise ProtocolError(
                f"the columns of the {self.kind} records of job {self.job_id} are not those that were sent: "
                f"{' and '.join(what)}. So the records cannot be matched to the input, and nothing is sent again. "
                "Check the job's results in Salesforce; the next try reads them again",
                job_id=self.job_id,
            )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the proven rows, all values text; at least one batch when there is a header.

        :raises ProtocolError: a row has not as many values as the header; a record that was saved has no id, or it is not
            said whether it is new
        """
        if not self._counter.length:
            return
        file, place = self._opened(), 0
        for length in self._lengths:
            file.seek(place)
            yield pa.ipc.read_record_batch(pa.py_buffer(file.read(length)), self._schema)
            place += length
        if self._wrong is not None:
            raise self._wrong

    def codes(self) -> Array:
        """Return Salesforce's code of each failed row, in the file's order: a dictionary array, since few are distinct.

        :raises ProtocolError: as :meth:`batches`
        """
        if self._wrong is not None:
            raise self._wrong
        kind: Any = pa.dictionary(pa.int32(), pa.string())
        return pa.chunked_array(self._codes, kind).unify_dictionaries().combine_chunks()

    def _keep(self, block: bytes | None) -> None:
        """Decode records and keep them."""
        if self._wrong is not None:
            return
        try:
            if self._reader is None and (names := self._names()):
                self._reader = BlockReader([ColumnType(name) for name in names], self._dialect, empty_is_null=False)
                self._write(empty_batch(self._reader.schema))
            if block and self._reader is not None:
                self._write(self._reader.read(block))
        except ProtocolError as error:
            self._wrong = error

    def _names(self) -> tuple[str, ...] | None:
        """Read the names of the columns, once the header has come; None when it is not one of this kind."""
        found = find_dialect(self._counter.header_line, self._given, self._required)
        if found is None:
            return None
        self._dialect = found
        return columns_of(self._counter.header_line, found)

    def _write(self, batch: pa.RecordBatch) -> None:
        if self.kind == "successful" and batch.num_rows:
            self._check_saved(batch)
        if self.kind == "failed":
            self._codes.append(error_codes(batch).dictionary_encode())
        self._schema = batch.schema
        self._lengths.append(self._opened().write(memoryview(batch.serialize())))

    def _check_saved(self, batch: pa.RecordBatch) -> None:
        """Check ids, and what is said of each.

        By their first three characters Salesforce tells objects apart. That an object has only one such prefix is said
        nowhere ("a key prefix can sometimes be shared by multiple objects", of describe), so several are no error: the
        records are saved.
        """
        ids = batch.column(batch.schema.names.index("sf__Id"))
        created = batch.column(batch.schema.names.index("sf__Created"))
        why = None
        if not _are_ids(ids):
            why = "some have no id in sf__Id"
        elif {each.lower() for each in compute.unique(created).to_pylist()} - {"true", "false"}:
            why = "some have neither true nor false in sf__Created"
        if why:
            raise ProtocolError(
                f"the {self._what} are not those that were sent: {why}. Check the job's results in Salesforce; the next "
                "try reads them again",
                job_id=self.job_id,
            )
        found = self._prefixes | _prefixes(ids)
        if len(self._prefixes) < 2 <= len(found):
            log.warning(
                "the ids of the %s have different prefixes, like those of several objects: %s. They are used as they are",
                self._what,
                listed(sorted(found)),
            )
        self._prefixes = found


def _are_ids(texts: Array) -> bool:
    """Whether all texts are ids. By their bytes: a regular expression takes four times as long."""
    if not np.isin(compute.binary_length(texts).to_numpy(), _ID_CHARACTERS).all():
        return False
    return _letters(texts).isalnum()


def _prefixes(ids: Array) -> set[str]:
    """What ids begin with."""
    letters = np.frombuffer(_letters(ids), np.uint8)
    size = len(letters) // len(ids)
    if size * len(ids) == len(letters) and (compute.binary_length(ids).to_numpy() == size).all():
        beginnings = letters.reshape(-1, size)[:, :_PREFIX]
        if (beginnings == beginnings[0]).all():
            return {beginnings[0].tobytes().decode()}
    return set(compute.unique(compute.utf8_slice_codeunits(ids, 0, _PREFIX)).to_pylist())


def _letters(texts: Array) -> bytes:
    """All texts, one after the other."""
    ends = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, 4 * texts.offset)
    return memoryview(texts.buffers()[2])[ends[0] : ends[-1]].tobytes()
