"""Streams from columnar sources: Arrow tables and batches, Parquet files, polars and pandas frames."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from airflow_provider_sfbulk.client.csv.names import shown_name
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.parts.encode import BATCH_ROWS, LineBreaks, RecordEncoder, rows_per_batch
from airflow_provider_sfbulk.client.parts.mapping import ColumnPlan, SourceColumn, plan_columns
from airflow_provider_sfbulk.client.parts.stream import Block, FieldTypes, RecordStream, Rules
from airflow_provider_sfbulk.client.parts.threads import in_order
from airflow_provider_sfbulk.client.sources.compression import OpenBinary
from airflow_provider_sfbulk.client.sources.first_bytes import LOOKED_AT, refuse_other
from airflow_provider_sfbulk.client.sources.row_columns import keys_below, taken_below
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute, texts_of_array, texts_of_values

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Column: TypeAlias = Array | list[Any]
Batch: TypeAlias = Sequence[Column]
"""Columns of equal length, in the order of the source's columns."""

parquet: Any = pyarrow.parquet


def from_arrow(table_or_batches: pa.Table | Iterable[pa.RecordBatch], rules: Rules, *, name: str) -> RecordStream:
    """Make a stream from an Arrow table, or from record batches of one schema.

    A struct column is a relationship: its fields become ``Owner.External_Key__c``. A table is looked through for line
    breaks; of batches the first one is.

    :raises SourceError: when the columns cannot be sent; while reading, for the row that cannot
    """
    if isinstance(table_or_batches, pa.Table):
        table = table_or_batches
        columns = _schema_columns(table.schema)
        return _stream(columns, lambda: _small(_checked(table.to_batches(), name)), rules, name=name, look_at_all=True)
    iterator = iter(table_or_batches)
    first = next(iterator, None)
    if first is None:
        return _stream([], lambda: iter(()), rules, name=name, look_at_all=True)
    schema = first.schema
    columns = _schema_columns(schema)

    def batches() -> Iterator[pa.RecordBatch]:
        row = 1
        for batch in chain((first,), iterator):
            # Structs are taken apart by place, so their fields count, too.
            if not batch.schema.equals(schema) and _schema_columns(batch.schema) != columns:
                raise SourceError(
                    f"{name}: row {row}: this batch has other columns than the first, or other fields in a struct: all "
                    "must have the same, in the same order"
                )
            yield batch
            row += batch.num_rows

    breaks = LineBreaks()
    if rules.line_ending is None:
        _see(breaks, _small([first]), columns, rules, name)
    return _stream(columns, lambda: _small(_checked(batches(), name)), rules, name=name, breaks=breaks)


def from_parquet(open_binary: OpenBinary, rules: Rules, *, name: str) -> RecordStream:
    """Make a stream from a Parquet file, read a few thousand rows at a time; the first are examined for line breaks.

    :param open_binary: opens the file, which must be seekable
    :raises SourceError: when it is not Parquet, or the columns cannot be sent; while reading, for the row that cannot
    """
    with _parquet_file(open_binary, name) as opened:
        columns = _schema_columns(opened.schema_arrow)
        metadata = opened.metadata
        size = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
        rows = rows_per_batch(size, metadata.num_rows, metadata.num_columns)

    def beginning() -> Iterator[pa.RecordBatch]:
        nonlocal rows
        found = found_bytes = 0
        with _parquet_file(open_binary, name) as opened:
            for batch in opened.iter_batches(batch_size=min(rows, _FIRST_ROWS)):
                yield batch
                found, found_bytes = found + batch.num_rows, found_bytes + batch.nbytes
                if found >= rows or found >= (enough := rows_per_batch(found_bytes, found, len(columns))):
                    # A text that comes often is written once: the file does not say how long the rows are.
                    rows = min(rows, enough) if found < rows else rows
                    break

    def batches() -> Iterator[pa.RecordBatch]:
        with _parquet_file(open_binary, name) as opened:
            for group in range(opened.num_row_groups):
                # One by one: over several, what was read of each stays in memory to the end. Seen with pyarrow 26.
                yield from opened.iter_batches(batch_size=rows, row_groups=[group])

    breaks = LineBreaks()
    first = _small(beginning())
    if rules.line_ending is None:
        _see(breaks, first, columns, rules, name)
    deque(first, 0)
    return _stream(columns, lambda: _small(_checked(batches(), name)), rules, name=name, breaks=breaks)


@contextmanager
def _parquet_file(open_binary: OpenBinary, name: str) -> Iterator[Any]:
    with open_binary() as file:
        try:
            # Spark and Hive write INT96, which Arrow would read as nanoseconds: of 9999-12-31 it makes 1816-03-30.
            yield parquet.ParquetFile(file, coerce_int96_timestamp_unit="us")
        except (pa.ArrowException, OSError) as error:
            # Arrow reports broken data as a bare OSError, too; one of disk or network has a number or its own type.
            if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
                raise
            file.seek(0)
            head = file.read(LOOKED_AT)
            refuse_other(head, taken_for="parquet", name=name)
            if not head:
                raise SourceError(f"{name}: the file is empty: a Parquet file contains at least a schema") from error
            if not head.startswith(b"PAR") and b"\0" not in head:
                raise SourceError(
                    f'{name}: this is text, not Parquet: if it is a CSV file, set source_format="csv"'
                ) from error
            raise SourceError(f"{name}: the file is not Parquet, or is cut off or corrupt: copy it again") from error


_FIRST_ROWS: Final = 1024
"""Rows of a Parquet file that are read together before it is known how long they are."""

_WITHOUT_ARROW_FORM: Final = re.compile(r"\b(?:Object|U?Int128)\b")
"""Types of polars that are read as Python values, also those that are made of them."""


def polars_batches(frames: Iterable[pl.DataFrame], *, name: str) -> Iterator[pa.RecordBatch]:
    """Yield polars frames as Arrow's record batches.

    :raises SourceError: for a frame with a column that Arrow does not have
    """
    for frame in frames:
        for label in _without_arrow_form(frame):
            raise SourceError(
                f"{name}: column {shown_name(label)} is of a type of polars that Arrow does not have: cast it, or pass "
                "one frame instead of several"
            )
        yield from frame.to_arrow().to_batches()


def _without_arrow_form(frame: pl.DataFrame) -> list[str]:
    return [label for label, dtype in frame.schema.items() if _WITHOUT_ARROW_FORM.search(str(dtype))]


def from_polars(frame: pl.DataFrame, rules: Rules, *, name: str) -> RecordStream:
    """Make a stream from a polars frame, as from its Arrow table.

    :raises SourceError: as :func:`from_arrow`
    """
    if _without_arrow_form(frame):
        keys = [keys_below(frame[label]) for label in frame.columns]

        def batches() -> Iterator[Batch]:
            size, row = rows_per_batch(frame.estimated_size(), *frame.shape), 1
            for part in frame.iter_slices(size):
                lists: list[Column] = [part[label].to_list() for label in frame.columns]
                yield _with_nested(lists, keys, frame.columns, name=name, first_row=row)
                row += part.height

        return _stream(_nested_columns(frame.columns, keys), batches, rules, name=name, look_at_all=True)
    return from_arrow(frame.to_arrow(), rules, name=name)


def from_frame(df: pd.DataFrame, rules: Rules, *, name: str) -> RecordStream:
    """Make a stream of a pandas frame. Its index is not sent, so one with a name, which holds
    data, is refused. A dict in a cell is a relationship, as it is in a list of dicts.

    A float column whose values are whole numbers, as pandas makes of integers when one is missing, is written as
    integers; so is every whole number of a float column.

    :raises SourceError: when the columns cannot be sent; while reading, for the row that cannot
    """
    labels, keys = _labels(df, name), _frame_keys(df)
    columns = _nested_columns(labels, keys)
    return _stream(columns, lambda: _frame_batches(df, keys, name), rules, name=name, look_at_all=True)


def from_frames(frames: Iterable[pd.DataFrame], rules: Rules, *, name: str) -> RecordStream:
    """Make a stream from pandas frames with the same columns, as ``read_sql(chunksize=…)`` returns them.

    :raises SourceError: as :func:`from_frame`, and when a frame has other columns than the first
    """
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        return _stream([], lambda: iter(()), rules, name=name, look_at_all=True)
    labels, keys = _labels(first, name), _frame_keys(first)
    columns = _nested_columns(labels, keys)
    breaks = LineBreaks()
    if rules.line_ending is None:
        _see(breaks, _frame_batches(first, keys, name), columns, rules, name)

    def batches() -> Iterator[Batch]:
        row = 1
        for frame in chain((first,), iterator):
            if _labels(frame, name) != labels:
                raise SourceError(
                    f"{name}: row {row}: this frame has other columns than the first: all must have the same"
                )
            yield from _frame_batches(frame, keys, name, first_row=row)
            row += len(frame)

    return _stream(columns, batches, rules, name=name, breaks=breaks)


Keys: TypeAlias = "Sequence[tuple[str, ...]]"
"""For each column of a frame, the keys of the mappings in it; none for a column of plain values."""


def _labels(df: pd.DataFrame, name: str) -> list[str]:
    named = [str(label) for label in df.index.names if label is not None]
    if named:
        raise SourceError(
            f"{name}: the index has a name ({', '.join(named)}), but an index is not sent: turn it into columns with "
            "reset_index(), or drop it with reset_index(drop=True)"
        )
    for label in df.columns:
        if not isinstance(label, str):
            raise SourceError(f"{name}: column names must be strings, not {type(label).__name__}")
    if len(df) and df.columns.empty:
        raise SourceError(f"{name}: none of the {len(df):,} rows has a column")
    return list(df.columns)


def _frame_keys(df: pd.DataFrame) -> Keys:
    columns = (each for _, each in df.items())
    return [keys_below(each) if each.dtype == object or _is_struct(each.dtype) else () for each in columns]


def _is_struct(dtype: Any) -> bool:
    return pa.types.is_struct(getattr(dtype, "pyarrow_dtype", None) or pa.null())


def _nested_columns(labels: Sequence[str], keys: Keys) -> list[SourceColumn]:
    return [
        column
        for label, below in zip(labels, keys, strict=True)
        for column in ([SourceColumn(label, key) for key in below] or [SourceColumn(label)])
    ]


def _frame_batches(df: pd.DataFrame, keys: Keys, name: str, *, first_row: int = 1) -> Iterator[Batch]:
    for start in range(0, len(df), BATCH_ROWS):  # one after the other, since long rows may be neighbours
        rows = df.iloc[start : start + BATCH_ROWS]
        size = rows_per_batch(_bytes_of(rows), *rows.shape)
        for place in range(0, len(rows), size):
            columns = [_series(series) for _, series in rows.iloc[place : place + size].items()]
            yield _with_nested(columns, keys, list(df.columns), name=name, first_row=first_row + start + place)


def _bytes_of(rows: pd.DataFrame) -> int:
    """Return the bytes of rows, about: pandas knows nothing of what objects and categories stand for."""
    places = np.unique(np.arange(_MEASURED_ROWS) * _STRIDE % len(rows))
    usage = rows.memory_usage(index=False, deep=False).tolist()
    for number, (_, series) in enumerate(rows.items()):
        if series.dtype == object or getattr(series.dtype, "categories", None) is not None:
            texts = [value for value in series.iloc[places] if isinstance(value, str)]
            usage[number] = max(usage[number], sum(map(len, texts)) * len(rows) // len(places))
    return sum(usage)


_MEASURED_ROWS: Final = 128
_STRIDE: Final = 7919
"""A prime, so that rows that take turns are all among those that are measured."""


def _with_nested(
    columns: Sequence[Column], keys: Keys, labels: Sequence[str], *, name: str, first_row: int
) -> list[Column]:
    if not any(keys):
        return list(columns)
    taken: list[Column] = []
    for column, below, label in zip(columns, keys, labels, strict=True):
        if below:
            values = column if isinstance(column, list) else column.to_pylist()
            taken += taken_below(values, below, column=label, name=name, first_row=first_row)
        else:
            taken.append(column)
    return taken


def _series(series: pd.Series[Any]) -> Column:
    if not _has_arrow_form(series):
        return list(series)
    try:
        found: Any = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return list(series)  # one by one, the value is found, or is written after all
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _has_arrow_form(values: Any) -> bool:
    """Whether a series or an index means the same as an Arrow array: objects would all become of one type there."""
    if (categories := getattr(values.dtype, "categories", None)) is not None:
        return _has_arrow_form(categories) or categories.inferred_type == "string"
    is_object = values.dtype == object or values.dtype.kind in "cV"
    return not is_object and type(values.dtype).__name__ not in _PANDAS_ONLY


_PANDAS_ONLY = frozenset({"PeriodDtype", "IntervalDtype", "SparseDtype"})


def _schema_columns(schema: pa.Schema) -> list[SourceColumn]:
    """The columns of a schema, structs taken apart."""
    columns = []
    for field in schema:
        if pa.types.is_struct(field.type):
            columns += [SourceColumn(field.name, child.name) for child in field.type.fields]
        else:
            columns.append(SourceColumn(field.name))
    return columns


def _checked(batches: Iterable[pa.RecordBatch], name: str) -> Iterator[pa.RecordBatch]:
    """Yield batches whose texts are UTF-8. Other writers put other bytes into Parquet's strings, and Arrow takes them.

    :raises SourceError: for the first one that is not
    """
    row = 1
    for batch in batches:
        for label, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                column.validate(full=True)
            except pa.ArrowInvalid:
                # From None: the error may quote the text.
                rows = f"rows {row} to {row + batch.num_rows - 1}"
                raise SourceError(
                    f"{name}: {rows}, column {shown_name(label)}: text that is not UTF-8, or invalid Arrow data"
                ) from None
        yield batch
        row += batch.num_rows


def _small(batches: Iterable[pa.RecordBatch]) -> Iterator[Batch]:
    """Yield batches of ``rows_per_batch`` rows, structs taken apart."""
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH_ROWS):  # one after the other, since long rows may be neighbours
            rows = batch.slice(start, BATCH_ROWS)
            size = rows_per_batch(rows.nbytes + sum(map(_bytes_behind, rows.columns)), *rows.shape)
            for place in range(0, rows.num_rows, size):
                yield _taken_apart(rows.slice(place, size))


def _bytes_behind(column: Array) -> int:
    """Return the bytes of the texts that a column of a dictionary stands for."""
    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return 0
    lengths = compute.binary_length(column.dictionary)
    return int(compute.sum(compute.take(lengths, column.indices)).as_py() or 0)


class Period:
    """Stands for a value of pandas' type of this name, which Arrow stores as a number, such as months since 1970."""


def _is_period(field: Any) -> bool:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    # Arrow knows the type only where pandas was imported.
    named = (getattr(kind, "extension_name", ""), (field.metadata or {}).get(b"ARROW:extension:name", b"").decode())
    return "pandas.period" in named


def _taken_apart(batch: pa.RecordBatch) -> list[Column]:
    taken: list[Column] = []
    columns: list[Array] = batch.columns
    for field, column in zip(batch.schema, columns, strict=True):
        if _is_period(field):
            taken.append([Period() if valid else None for valid in column.is_valid().to_pylist()])
        elif pa.types.is_struct(column.type):
            taken += column.flatten()  # a null struct makes nulls of its fields
        else:
            taken.append(column)
    return taken


def _see(
    breaks: LineBreaks, batches: Iterable[Batch], columns: Sequence[SourceColumn], rules: Rules, name: str
) -> None:
    kept = plan_columns(columns, rules, name=name).kept
    for batch in batches:
        breaks.see(_strings_only(batch[place]) for place in kept)


def _strings_only(column: Column) -> Array:
    """The texts of a column; other types have no line breaks."""
    if isinstance(column, list):
        texts = [value for value in column if isinstance(value, str) and "\n" in value]
        return texts_of_values(texts, None)
    if pa.types.is_dictionary(column.type):
        return _strings_only(column.dictionary)
    if _is_text(column.type):
        return texts_of_array(column, None)
    return pa.array([], pa.string())


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _stream(
    columns: Sequence[SourceColumn],
    batches: Callable[[], Iterator[Batch]],
    rules: Rules,
    *,
    name: str,
    breaks: LineBreaks | None = None,
    look_at_all: bool = False,
) -> RecordStream:
    rules.refuse_columns(name)
    plan = plan_columns(columns, rules, name=name)
    seen = breaks or LineBreaks()
    if look_at_all and rules.line_ending is None:
        _see(seen, batches(), columns, rules, name)
    dialect = seen.dialect(rules)
    encoder = RecordEncoder(plan, dialect, name=name)
    return RecordStream(plan.targets, dialect, lambda types: _blocks(batches(), plan, encoder, types, rules), name=name)


def _blocks(
    batches: Iterator[Batch], plan: ColumnPlan, encoder: RecordEncoder, types: FieldTypes, rules: Rules
) -> Iterator[Block]:
    def tasks() -> Iterator[Callable[[], Block]]:
        row = 1
        for batch in batches:
            rows = len(batch[0]) if batch else 0
            if rows and plan.kept:
                kept = [batch[place] for place in plan.kept]
                yield partial(encoder.encode_columns, kept, types, rules.zone, first_row=row)
            row += rows

    return in_order(tasks())
