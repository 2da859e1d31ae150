"""CSV of every delimiter becomes CSV with commas, and no value changes."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.bulk1.commas import with_commas
from airflow_provider_sfbulk.client.models import ColumnDelimiter, LineEnding, Operation
from airflow_provider_sfbulk.client.parts.split import split
from airflow_provider_sfbulk.client.sources.open import Rules, from_csv

TEXTS = st.text(st.sampled_from('a,;|^`\t"é😀\n '), max_size=8).filter(lambda text: not text.endswith("\r"))


@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=12),
    delimiter=st.sampled_from(ColumnDelimiter),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ending=st.sampled_from(LineEnding),
    block_bytes=st.integers(1, 60),
    max_records=st.integers(1, 5),
)
def test_every_value_is_the_same(
    rows: list[tuple[str, str, str]],
    delimiter: ColumnDelimiter,
    quoting: int,
    ending: LineEnding,
    block_bytes: int,
    max_records: int,
) -> None:
    rows = [("x" + first, *others) for first, *others in rows]
    if ending is LineEnding.CRLF:
        rows = [tuple(text.replace("\n", "\r\n") for text in row) for row in rows]  # type: ignore[misc]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter.character, lineterminator=ending.characters, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["A", "B", "C"])
    writer.writerows(rows)
    rules = Rules(operation=Operation.INSERT, column_delimiter=delimiter, line_ending=ending)
    data = out.getvalue().encode()
    stream = with_commas(from_csv(lambda: io.BytesIO(data), rules, name="rows", block_bytes=block_bytes))
    found = []
    for part in split(stream, max_records=max_records):
        text = b"".join(part.body.chunks()).decode()
        assert part.dialect.column_delimiter is ColumnDelimiter.COMMA
        header, *values = csv.reader(io.StringIO(text, newline=""), strict=True)
        assert (header, len(values)) == (["A", "B", "C"], part.records)
        assert text.endswith(ending.characters)
        found += [tuple(row) for row in values]
        part.close()
    assert found == rows
