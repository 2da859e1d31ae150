"""Rows that are tuples give the very bytes that the same rows give as dicts."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import LineEnding
from airflow_provider_sfbulk.client.parts.encode import LineBreaks
from airflow_provider_sfbulk.client.sources.open import Rules, from_dicts, from_tuples

COLUMNS = ("Name", "A__c", "B__c")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=12)
VALUES = st.one_of(
    st.none(),
    TEXTS.filter(lambda text: text != "#N/A"),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=6),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.uuids(),
)


def taker(rows: Sequence[Sequence[Any]]) -> Callable[[int], Sequence[Sequence[Any]]]:
    iterator = iter(rows)
    return lambda size: [row for _, row in zip(range(size), iterator, strict=False)]


def read(take: Callable[[int], Sequence[Sequence[Any]]], **rules: Any) -> tuple[bytes, bytes]:
    stream = from_tuples(take, lambda: COLUMNS, Rules(operation="insert", **rules), name="rows")
    return stream.header, b"".join(block.data for block in stream.blocks())


@given(rows=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=20), clears=st.booleans())
def test_the_bytes_are_those_of_dicts(rows: list[tuple[Any, ...]], clears: bool) -> None:
    nulls = "clear" if clears else "leave"
    as_dicts = from_dicts(
        [dict(zip(COLUMNS, row, strict=True)) for row in rows],
        Rules(operation="insert", nulls=nulls, columns=COLUMNS),
        name="rows",
    )
    expected = b"".join(block.data for block in as_dicts.blocks())
    assert read(taker(rows), nulls=nulls) == (b"Name,A__c,B__c\n", expected)


def test_every_kind_of_value_has_its_text() -> None:
    row = (
        UUID("12345678-1234-5678-1234-567812345678"),
        Decimal("12345678901234567890.10"),
        datetime(2026, 3, 4, 5, 6, 7, 999999, UTC),
    )
    assert read(taker([row, (time(5, 6, 7), date(2026, 3, 4), ["a", "b"])]))[1] == (
        b"12345678-1234-5678-1234-567812345678,12345678901234567890.10,2026-03-04T05:06:07.999Z\n"
        b"05:06:07.000Z,2026-03-04,a;b\n"
    )


def test_many_rows_come_in_order_and_none_is_lost() -> None:
    rows = [(f"row {number}", number, None) for number in range(30_000)]
    _, data = read(taker(rows))
    assert data.decode().splitlines() == [f"row {number},{number}," for number in range(30_000)]


def test_a_line_break_far_behind_the_first_rows_still_decides_the_line_ending() -> None:
    rows: list[tuple[Any, ...]] = [("x", None, None)] * 5_000 + [("a\r\nb", None, None)]
    stream = from_tuples(taker(rows), lambda: COLUMNS, Rules(operation="insert"), name="rows")
    assert stream.dialect.line_ending is LineEnding.CRLF


def test_long_rows_are_not_read_ahead_by_the_thousand() -> None:
    taken = []

    def take(size: int) -> list[tuple[str, None, None]]:
        taken.append(size)
        return [("x" * 100_000, None, None)] * size

    from_tuples(take, lambda: COLUMNS, Rules(operation="insert"), name="rows")
    assert sum(taken) == 32


def test_short_rows_are_taken_by_the_thousand() -> None:
    take, sizes = taker([(str(number), "a", "b") for number in range(20_000)]), []

    def counted(size: int) -> Sequence[Sequence[Any]]:
        sizes.append(size)
        return take(size)

    assert read(counted)[1].count(b"\n") == 20_000
    assert len(sizes) < 30, "of a database each is a round trip"


def test_long_rows_make_small_batches() -> None:
    stream = from_tuples(
        taker([("x" * 100_000, 1, 2)] * 2_000), lambda: COLUMNS, Rules(operation="insert"), name="rows"
    )
    sizes = [len(block.data) for block in stream.blocks()]
    assert max(sizes) <= 2 * 1024 * 1024


def test_long_texts_are_not_joined_all_at_once_to_find_their_line_breaks() -> None:
    texts, breaks = ["x" * 100_000] * 1_000, LineBreaks()
    tracemalloc.start()
    try:
        breaks.see_texts([*texts, "a\nb"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (breaks.lf, breaks.crlf) == (True, False)
    assert peak < 16_000_000


def test_the_row_and_the_column_at_fault_are_named_and_the_value_is_not() -> None:
    rows = [("x", 1, None)] * 700 + [("x", b"secret", None)]
    with pytest.raises(SourceError, match=r"rows: row 701, column A__c: bytes") as caught:
        read(taker(rows))
    assert "secret" not in str(caught.value)


def test_two_columns_of_one_name_are_refused_by_name() -> None:
    with pytest.raises(SourceError, match=r"rows: several columns are named Id: "):
        from_tuples(taker([]), lambda: ("Id", "Name", "Id"), Rules(operation="insert"), name="rows")


def test_no_rows_have_their_columns() -> None:
    assert read(taker([])) == (b"Name,A__c,B__c\n", b"")
