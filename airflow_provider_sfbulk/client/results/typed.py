"""CSV bytes into Arrow batches, typed by describe.

Facts, each tried with pyarrow 26 and held by the tests:

- Arrow's CSV reader converts Java's numbers to decimals exactly (``1.6147805824397E13``, ``1.0E-4``) and refuses what
  would lose a digit. Its integer reader knows no exponent and takes ``0x10``: so whole numbers go through a decimal.
- It reads datetimes with ``Z`` or an offset as UTC, but no time of day with a ``Z``.
- Its error messages quote the data, so none of them is passed on; the misfit is looked for and named by its place.

Theory: a block of whole records is one call of Arrow's reader, with the column types given. No value is converted
twice, and memory is that of a block. Looking for a misfit is slow and done once, on the way to failing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import IO, Any, Final, Literal, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from airflow_provider_sfbulk.client.csv.decode import parse_header
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.csv.whole import whole_blocks
from airflow_provider_sfbulk.client.errors import ProtocolError, TransportError
from airflow_provider_sfbulk.client.models import BulkError
from airflow_provider_sfbulk.client.results.schema import ColumnKind, ColumnType, MisfitError
from airflow_provider_sfbulk.client.values.arrow_memory import system_memory
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute

_TYPES: Final[Mapping[ColumnKind, pa.DataType]] = {
    ColumnKind.STRING: pa.string(),
    ColumnKind.BOOLEAN: pa.bool_(),
    ColumnKind.INTEGER: pa.int64(),
    ColumnKind.DOUBLE: pa.float64(),
    ColumnKind.DATE: pa.date32(),
    ColumnKind.DATETIME: pa.timestamp("ms", "UTC"),
    ColumnKind.TIME: pa.time32("ms"),
}

ERROR: Final = "sf__Error"

_WIDEST: Final = 38
"""Digits of the widest 128-bit decimal: ``123.0`` needs one more while it is read than afterwards."""


def arrow_schema(types: Iterable[ColumnType]) -> pa.Schema:
    """Return the Arrow schema of typed columns; every column may be null."""
    return pa.schema([pa.field(each.name, _arrow_type(each)) for each in types])


def _arrow_type(column: ColumnType) -> pa.DataType:
    if column.kind is ColumnKind.DECIMAL:
        return pa.decimal128(column.precision, column.scale)
    return _TYPES[column.kind]


def _read_type(column: ColumnType) -> pa.DataType:
    """Type in which the CSV reader gives a column, before the last step to its own."""
    if column.kind is ColumnKind.DECIMAL or column.kind is ColumnKind.INTEGER:
        return pa.decimal128(_WIDEST, column.scale)
    return pa.string() if column.kind is ColumnKind.TIME else _TYPES[column.kind]


class BlockReader:
    """Decode blocks of whole records, all with the same columns, in their order.

    NUL bytes are dropped, as in ``decode.read_rows``.

    :param types: the columns in the order of the header
    :param empty_is_null: whether ``""`` is null, as in query results, or the empty text, for columns of text
    :param only: places of the columns that are wanted; None = all
    """

    def __init__(
        self,
        types: Sequence[ColumnType],
        dialect: Dialect,
        *,
        empty_is_null: bool = True,
        only: Sequence[int] | None = None,
    ) -> None:
        self._wanted = list(range(len(types))) if only is None else list(only)
        self.schema = arrow_schema(types[place] for place in self._wanted)
        self.rows = 0
        """Rows decoded so far."""
        self._types = types
        self._dialect = dialect
        self._empty_is_null = empty_is_null

    def read(self, block: bytes) -> pa.RecordBatch:
        """Decode a block.

        :raises MisfitError: when a value does not fit its column's type; it names column and row, not the value
        :raises ProtocolError: when a row has more or fewer values than the header
        """
        if b"\0" in block:
            block = block.replace(b"\0", b"")
        try:
            with system_memory():
                arrays = self._convert(block, self._types, self._wanted)
        except pa.ArrowInvalid:
            # Not chained: Arrow's message quotes the row.
            raise self._explain(block) from None
        batch = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        self.rows += batch.num_rows
        return batch

    def _convert(self, block: bytes, types: Sequence[ColumnType], wanted: Sequence[int]) -> list[pa.Array[Any]]:
        table = self._parse(block, [_read_type(each) for each in types], wanted)
        return [_finish(column, types[place]) for place, column in zip(wanted, table.columns, strict=True)]

    def _parse(
        self,
        block: bytes,
        types: Sequence[pa.DataType],
        wanted: Sequence[int],
        *,
        ragged: Callable[[pyarrow.csv.InvalidRow], Literal["error", "skip"]] | None = None,
    ) -> pa.Table:
        # Columns by number: a header may repeat a name.
        names = [str(i) for i in range(len(types))]
        return pyarrow.csv.read_csv(
            cast("IO[bytes]", pa.BufferReader(block)),
            # One block: cut at a record already, so the reader need not look for a place.
            # No threads of Arrow's: pages are read several at once, and each of its threads keeps memory (measured: a
            # quarter less without, and no slower).
            read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=len(block) + 1, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self._dialect.delimiter, newlines_in_values=True, invalid_row_handler=ragged
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict(zip(names, types, strict=True)),
                include_columns=[names[place] for place in wanted],
                null_values=[""],
                true_values=["true"],
                false_values=["false"],
                strings_can_be_null=self._empty_is_null,
                quoted_strings_can_be_null=True,
            ),
        )

    def _explain(self, block: bytes) -> ProtocolError:
        """Look for what is wrong with a block that could not be read."""
        found: list[pyarrow.csv.InvalidRow] = []

        def ragged(row: pyarrow.csv.InvalidRow) -> Literal["error", "skip"]:
            found.append(row)
            return "skip"

        table = self._parse(block, [pa.binary()] * len(self._types), self._wanted, ragged=ragged)
        if found:
            place = self.rows + (found[0].number or 1)
            return ProtocolError(
                f"row {place} of the result has {found[0].actual_columns} values, but the header has "
                f"{len(self._types)} columns"
            )
        for column, texts in zip([self._types[each] for each in self._wanted], table.columns, strict=True):
            row = _first_misfit(texts, partial(self._reads, column))
            if row is not None:
                place = self.rows + row + 1
                return MisfitError(
                    f"column {column.name!r}, row {place} of the result: the value is not a {_arrow_type(column)}, as "
                    "describe says (numbers written by an API may have more decimals than described, and FORMAT() "
                    "returns text)",
                    column=column.name,
                    row=place,
                )
        return ProtocolError(f"the result cannot be read after row {self.rows}")

    def _reads(self, column: ColumnType, texts: pa.ChunkedArray[Any]) -> bool:
        block = b"".join(b'"' + (text or b"").replace(b'"', b'""') + b'"\n' for text in texts.to_pylist())
        try:
            self._convert(block, [column], [0])
        except pa.ArrowInvalid:
            return False
        return True


def _finish(column: pa.ChunkedArray[Any], kind: ColumnType) -> pa.Array[Any]:
    array: pa.Array[Any] = column.combine_chunks()
    if kind.kind is ColumnKind.TIME:
        # Arrow casts no text to a time, so by way of a day.
        parts: list[Any] = ["1970-01-01T", pc.utf8_rtrim(array, characters="Z"), ""]
        array = pc.binary_join_element_wise(*parts).cast(pa.timestamp("ms"))
    if kind.kind is ColumnKind.DOUBLE and not pc.all(pc.is_finite(array), min_count=0).as_py():
        # The reader takes "nan" and "inf", which no field has and JSON cannot say.
        raise pa.ArrowInvalid("not finite")
    return array.cast(_arrow_type(kind))


def _first_misfit(texts: pa.ChunkedArray[Any], reads: Any) -> int | None:
    """Find the first value that cannot be read, by halving."""
    low, high = 0, len(texts)
    if reads(texts):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if reads(texts.slice(low, middle - low)):
            low = middle
        else:
            high = middle
    return low


def read_text(
    chunks: Iterable[bytes], dialect: Dialect, *, only: Sequence[int] | None = None
) -> Generator[pa.RecordBatch]:
    """Read a CSV that is known to be whole as batches of text.

    The first batch is empty, so that the columns are known.

    :param only: places of the columns that are wanted; None = all
    :raises TransportError: when it is not complete, or has no header
    :raises ProtocolError: when a row has not as many values as the header, or is not UTF-8
    """
    blocks = whole_blocks(chunks)
    header = parse_header(next(blocks), dialect)
    if header is None:
        raise TransportError("not a CSV: the first line is not a header line")
    reader = BlockReader([ColumnType(name) for name in header], dialect, empty_is_null=False, only=only)
    yield empty_batch(reader.schema)
    for block in blocks:
        yield reader.read(block)


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch without rows."""
    # Not pa.array([]): given a Python list it imports pandas, which takes a second.
    return pa.RecordBatch.from_arrays([pa.nulls(0, each.type) for each in schema], schema=schema)


def with_nulls(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Add the columns that a schema has beyond those of a batch, all null."""
    more = [pa.nulls(batch.num_rows, each.type) for each in list(schema)[batch.num_columns :]]
    return pa.RecordBatch.from_arrays([*batch.columns, *more], schema=schema)


def select_columns(batch: pa.RecordBatch, order: Sequence[int], names: Sequence[str]) -> pa.RecordBatch:
    """Take columns by number, and name them."""
    return pa.RecordBatch.from_arrays([batch.column(i) for i in order], names=list(names))


def insert_column(batch: pa.RecordBatch, at: int, name: str, values: Any) -> pa.RecordBatch:
    """Put a column of values, an array or a list of texts, before column number ``at``."""
    array = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    return batch.add_column(at, pa.field(name, array.type), array)


class ErrorParts(NamedTuple):
    """The parts of the ``sf__Error`` of many rows, each an array of text.

    :param fields: names of the fields concerned, with blanks between them
    """

    codes: Array
    messages: Array
    fields: Array


def error_codes(batch: pa.RecordBatch) -> Array:
    """Read the code of each row's ``sf__Error``."""
    return codes_of(batch.column(batch.schema.names.index(ERROR)))


def codes_of(texts: Array) -> Array:
    """Read the code of each text of an ``sf__Error``."""
    codes, _ = _parted(texts)
    if not _is_plain(codes):
        return pa.array([BulkError.parse(text).status_code for text in texts.to_pylist()], pa.string())
    return compute.utf8_trim(codes, characters=" ")


def error_parts(batch: pa.RecordBatch) -> ErrorParts:
    """Read the parts of each row's ``sf__Error``: what ``BulkError.parse`` reads, a column at a time."""
    texts: Array = batch.column(batch.schema.names.index(ERROR))
    codes, rest = _parted(texts)
    rest = compute.fill_null(rest, "")
    ended = compute.ends_with(rest, pattern="--")
    marked = compute.if_else(ended, rest, "--")
    body = compute.binary_slice(marked.cast(pa.binary()), 0, -2).cast(pa.string())
    before, after = _parted(body, reverse=True)
    messages = compute.if_else(ended, compute.if_else(compute.is_valid(after), before, ""), rest)
    fields = compute.coalesce(after, body)
    if not (_is_plain(codes) and _is_plain(fields)):
        # Python and Arrow do not agree on what a blank is. Rare: one by one.
        errors = [BulkError.parse(text) for text in texts.to_pylist()]
        codes = pa.array([each.status_code for each in errors], pa.string())
        return ErrorParts(codes, messages, pa.array([" ".join(each.fields) for each in errors], pa.string()))
    words = compute.split_pattern_regex(compute.utf8_trim(fields, characters=" "), " +")
    return ErrorParts(compute.utf8_trim(codes, characters=" "), messages, compute.binary_join(words, " "))


def with_error_parts(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Put the parts of ``sf__Error`` behind it, in three more columns."""
    errors = error_parts(batch)
    at = batch.schema.names.index(ERROR) + 1
    batch = insert_column(batch, at, "sf__ErrorCode", errors.codes)
    batch = insert_column(batch, at + 1, "sf__ErrorMessage", errors.messages)
    return insert_column(batch, at + 2, "sf__ErrorFields", errors.fields)


def _parted(texts: Array, *, reverse: bool = False) -> tuple[Array, Array]:
    """Part each text at its first colon, or its last: what is before it, and what is after; null when there is none."""
    lists = compute.split_pattern(texts, ":", max_splits=1, reverse=reverse)
    ends = lists.offsets.to_numpy()
    whole = np.diff(ends) == 1
    return lists.values.take(pa.array(ends[:-1])), lists.values.take(pa.array(ends[1:] - 1, mask=whole))


def _is_plain(texts: Array) -> bool:
    """Whether all characters of all texts are printable ASCII."""
    data = texts.buffers()[2]
    if data is None:
        return True
    bytes_ = np.frombuffer(data, np.uint8)
    return bool(((bytes_ >= ord(" ")) & (bytes_ <= ord("~"))).all())
