"""Records cut out of a CSV by their places, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.errors import TransportError
from airflow_provider_sfbulk.client.parts.pick import records_at
from airflow_provider_sfbulk.client.results.typed import read_text
from tests.client.results.out_witness import cut, dialects, encode, tables


def places(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, np.int64)


@given(tables(), dialects, st.data())
def test_exactly_the_bytes_of_the_records_are_given(
    table: tuple[list[str], list[list[str]]], dialect: Dialect, data: st.DataObject
) -> None:
    header, rows = table
    records, lines = [], []
    for row in rows:
        record = encode([row], dialect, quote_all=len(row) == 1 or data.draw(st.booleans()))
        blank = data.draw(st.sampled_from([b"", b"", b"\n", b"\r\n"]))
        records.append(record)
        lines += [blank, record]
    csv = encode([header], dialect, quote_all=False) + b"".join(lines)
    chosen = sorted(data.draw(st.sets(st.integers(0, len(rows) - 1)))) if rows else []
    chunks = cut(csv, data.draw(st.lists(st.integers(0, len(csv)), max_size=6)))
    size = data.draw(st.sampled_from([1, 20, 1_000_000]))
    blocks = list(records_at(chunks, places(*chosen), block_bytes=size))
    assert b"".join(block.data for block in blocks) == b"".join(records[i] for i in chosen)
    assert sum(block.records for block in blocks) == len(chosen)
    assert all(block.records for block in blocks)
    # The same places as those of the rows that are read for comparing.
    assert sum(batch.num_rows for batch in read_text(chunks, dialect)) == len(rows)


@pytest.mark.parametrize("wrong", [places(1, 1), places(1, 0), places(-1, 0), places(0, 3)])
def test_places_that_are_not_there_are_refused(wrong: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    with pytest.raises(ValueError, match="record"):
        list(records_at([b"A\n1\n2\n3\n"], wrong))


def test_a_csv_that_is_cut_off_is_refused() -> None:
    with pytest.raises(TransportError):
        list(records_at([b'A\n1\n"2'], places(0)))
