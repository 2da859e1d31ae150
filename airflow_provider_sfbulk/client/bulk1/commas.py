"""Converts CSV with another delimiter to CSV with commas, the only delimiter of Bulk API 1.0.

Values keep their bytes. An unquoted value that contains a comma gets quotes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from airflow_provider_sfbulk.client.csv.scan import CR, LF, QUOTE, scan
from airflow_provider_sfbulk.client.models import ColumnDelimiter
from airflow_provider_sfbulk.client.parts.stream import Block, FieldTypes, RecordStream

_COMMA = ord(",")


def with_commas(stream: RecordStream) -> RecordStream:
    """Return the same records with commas between their values; the stream itself when it has commas already."""
    if stream.dialect.column_delimiter is ColumnDelimiter.COMMA:
        return stream
    delimiter = ord(stream.dialect.delimiter)

    def blocks(_: FieldTypes) -> Iterator[Block]:
        for block in stream.blocks():
            yield Block(_converted(block.data, delimiter), block.records)

    dialect = replace(stream.dialect, column_delimiter=ColumnDelimiter.COMMA)
    return RecordStream(stream.columns, dialect, blocks, name=stream.name)


def _converted(data: bytes, delimiter: int) -> bytes:
    found = scan(data, delimiter)
    out = found.data.copy()
    out[found.separators[found.data[found.separators] != LF]] = _COMMA
    if _COMMA not in data:
        return out.tobytes()
    commas = np.flatnonzero(found.data == _COMMA)
    # Starts and stops of the values that have one.
    fields = np.unique(np.searchsorted(found.separators, commas))
    stops = found.separators[fields]
    starts = np.where(fields > 0, found.separators[fields - 1] + 1, 0)
    bare = found.data[starts] != QUOTE
    starts, stops = starts[bare], stops[bare]
    stops = stops - ((found.data[stops] == LF) & (found.data[stops - 1] == CR))
    return np.insert(out, np.concatenate((starts, stops)), QUOTE).tobytes()
