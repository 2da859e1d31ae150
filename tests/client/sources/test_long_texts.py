"""What long texts take on their way: a few batches, however many rows there are."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_sfbulk.client.sources.open import from_dicts, from_jsonl, from_parquet, from_source
from tests.client.sources.witness import INSERT, opened

ROWS: Final = 10_000
LONG: Final = ("a" * 20_000, "b" * 20_000)
"""Two hundred megabytes when they take turns."""


@pytest.fixture
def pool() -> Iterator[pa.MemoryPool]:
    """A pool of Arrow that counts what this test takes."""
    before = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(before)
    pa.set_memory_pool(counting)
    yield counting
    pa.set_memory_pool(before)


def dictionary(rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.arange(rows) % 2, pa.int32()), pa.array(LONG))


SOURCES: Final = {
    "objects": lambda: from_source(pd.DataFrame({"A": pd.Series(LONG * (ROWS // 2), dtype=object)}), INSERT, name="x"),
    "categories": lambda: from_source(
        pd.DataFrame({"A": pd.Categorical.from_codes([0, 1] * (ROWS // 2), dtype=pd.CategoricalDtype(list(LONG)))}),
        INSERT,
        name="x",
    ),
    "dictionary": lambda: from_source(pa.table({"A": dictionary(ROWS)}), INSERT, name="x"),
    "neighbours": lambda: from_source(
        pa.table({"A": pa.array([*("s" for _ in range(10 * ROWS)), *LONG * (ROWS // 10)])}), INSERT, name="x"
    ),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_long_texts_are_written_a_few_at_a_time(kind: str, pool: pa.MemoryPool) -> None:
    stream = SOURCES[kind]()
    held = pool.bytes_allocated()
    sizes = [len(block.data) for block in stream.blocks()]
    assert sum(sizes) > 40_000_000
    assert max(sizes) < 8_000_000
    assert (pool.max_memory() or 0) - held < 100_000_000


def test_texts_that_a_parquet_file_holds_once_are_read_a_few_at_a_time(pool: pa.MemoryPool) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"A": pa.concat_arrays([dictionary(ROWS // 10).dictionary_decode()] * 10)}), file)
    assert len(file.getvalue()) < 1_000_000
    pa.set_memory_pool(reading := pa.proxy_memory_pool(pool))
    sizes = [len(block.data) for block in from_parquet(opened(file.getvalue()), INSERT, name="x").blocks()]
    assert sum(sizes) > 200_000_000
    assert (reading.max_memory() or 0) < 100_000_000


@pytest.mark.parametrize("columns", [None, ["A"]])
def test_rows_of_a_generator_are_not_read_far_ahead_when_the_columns_are_known(columns: list[str] | None) -> None:
    given = 0

    def rows() -> Iterator[dict[str, str]]:
        nonlocal given
        while given < 1_000:
            given += 1
            yield {"A": LONG[0]}

    stream = from_dicts(rows(), replace(INSERT, columns=columns), name="rows")
    assert given == 1_000 if columns is None else given < 200
    assert sum(block.records for block in stream.blocks()) == 1_000


def test_json_lines_are_not_held_while_their_columns_are_looked_for() -> None:
    data = b'{"A": "%s"}\n' % (b"a" * 20_000) * 2_000
    tracemalloc.start()
    try:
        from_jsonl(opened(data), INSERT, name="x")
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()
