"""Columns that are alike are encoded together: the same records, and the same refusals, as one column at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import LineEnding, Operation
from airflow_provider_sfbulk.client.parts import encode
from airflow_provider_sfbulk.client.sources.open import Rules, from_arrow
from tests.client.sources.witness import INSERT

TEXTS = st.text(alphabet='ab,"\n\r\0ü#N/A ', max_size=6)
VALUES = {
    pa.string(): st.one_of(TEXTS, st.sampled_from(["#N/A", "\r\n", '""', "yes", "true"])),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(),
    pa.bool_(): st.booleans(),
    pa.decimal128(38, 9): st.decimals(min_value=-(10**6), max_value=10**6, places=9),
    pa.date32(): st.dates(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(dt.UTC)),
    pa.timestamp("us"): st.datetimes(),
}
TYPES = (None, "string", "double", "int", "boolean", "date", "datetime", "id")


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, tuple[str | None, ...]]:
    """A table of few rows, in which some columns are alike, and the types of its fields."""
    rows = draw(st.integers(1, 4))
    kinds = draw(st.lists(st.tuples(st.sampled_from(list(VALUES)), st.sampled_from(TYPES)), min_size=1, max_size=3))
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=9))
    columns = [
        pa.array(draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)), kind) for kind, _ in chosen
    ]
    return pa.table(columns, [f"C{n}" for n in range(len(columns))]), tuple(field for _, field in chosen)


def outcome(table: pa.Table, types: Sequence[str | None], rules: Rules, together: int) -> object:
    """What comes of a table: its CSV, or the refusal."""
    with mock.patch.object(encode, "_TOGETHER", together):
        try:
            stream = from_arrow(table, rules, name="rows")
            stream = stream.with_columns(stream.columns, types)
            return b"".join(block.data for block in stream.blocks())
        except SourceError as error:
            return str(error)


@given(tables(), st.sets(st.integers(0, 8)), st.sampled_from([None, *LineEnding]), st.integers(2, 40))
def test_the_records_are_those_of_one_column_at_a_time(
    given_table: tuple[pa.Table, tuple[str | None, ...]], cleared: set[int], ending: LineEnding | None, together: int
) -> None:
    table, types = given_table
    nulls = {name: "clear" for n, name in enumerate(table.schema.names) if n in cleared}
    rules = Rules(operation=Operation.INSERT, nulls=nulls, line_ending=ending)
    alone, found = (outcome(table, types, rules, size) for size in (1, together))
    if isinstance(alone, str):  # of several wrong values another one may be named
        assert isinstance(found, str)
        assert len(wrong(table, types, rules)) > 1 or found == alone
    else:
        assert found == alone


@given(tables(), st.integers(2, 40))
def test_all_unfit_values_are_reported(given_table: tuple[pa.Table, tuple[str | None, ...]], together: int) -> None:
    assert wrong(*given_table, INSERT, together) == wrong(*given_table, INSERT, 1)


def wrong(table: pa.Table, types: Sequence[str | None], rules: Rules, together: int = 1) -> set[tuple[int, str, str]]:
    """Row, column and reason of each value that cannot be sent."""
    found: set[tuple[int, str, str]] = set()

    def unfit(rows: Sequence[int] | None, column: str, reason: str) -> None:
        found.update((row, column, reason) for row in rows or [0])

    outcome(table, types, replace(rules, unfit=unfit), together)
    return found


def test_columns_that_are_too_long_for_one_array_are_encoded_apart() -> None:
    data = pa.py_buffer(np.zeros(600_000_000, np.uint8))  # nobody writes here, so it takes no memory
    long = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(np.array([0, len(data)], np.int32)), data])
    table = pa.table([pa.array(["a"]), pa.array(["b"]), *[long] * 4], [f"C{n}" for n in range(6)])
    with pytest.raises(SourceError, match="row 1, column C2: "):
        list(from_arrow(table, replace(INSERT, line_ending=LineEnding.LF), name="rows").blocks())
