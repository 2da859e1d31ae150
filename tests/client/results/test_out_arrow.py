"""CSV blocks into typed Arrow batches: exact values, and misfits named by place only."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.results.schema import ColumnKind, ColumnType, MisfitError
from airflow_provider_sfbulk.client.results.typed import BlockReader, arrow_schema, read_text
from tests.client.results.out_witness import COMMA, cut, dialects, encode, java_double, tables

places = st.lists(st.integers(0, 10_000), max_size=8)

FIRST, LAST = datetime.fromisoformat("1700-01-01"), datetime.fromisoformat("4000-12-31")

ONE = {
    ColumnKind.STRING: ColumnType("F"),
    ColumnKind.BOOLEAN: ColumnType("F", ColumnKind.BOOLEAN),
    ColumnKind.INTEGER: ColumnType("F", ColumnKind.INTEGER),
    ColumnKind.DECIMAL: ColumnType("F", ColumnKind.DECIMAL, 16, 4),
    ColumnKind.DOUBLE: ColumnType("F", ColumnKind.DOUBLE),
    ColumnKind.DATE: ColumnType("F", ColumnKind.DATE),
    ColumnKind.DATETIME: ColumnType("F", ColumnKind.DATETIME),
    ColumnKind.TIME: ColumnType("F", ColumnKind.TIME),
}


def read(kind, *values):
    column = kind if isinstance(kind, ColumnType) else ONE[kind]
    block = encode([[value] for value in values])
    return BlockReader([column], COMMA).read(block).column(0).to_pylist()


def test_every_kind_has_its_arrow_type():
    assert [each.type for each in arrow_schema(ONE.values())] == [
        pa.string(),
        pa.bool_(),
        pa.int64(),
        pa.decimal128(16, 4),
        pa.float64(),
        pa.date32(),
        pa.timestamp("ms", "UTC"),
        pa.time32("ms"),
    ]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (ColumnKind.INTEGER, "1.6147805824397E13", 16147805824397),
        (ColumnKind.INTEGER, "9.12260031E8", 912260031),
        (ColumnKind.INTEGER, "912260031", 912260031),
        (ColumnKind.INTEGER, "42.0", 42),
        (ColumnKind.INTEGER, "-9.99999999999999E17", -999999999999999000),
        (ColumnKind.INTEGER, "123456789012345678.0", 123456789012345678),
        (ColumnKind.DECIMAL, "9.0E7", Decimal("90000000")),
        (ColumnKind.DECIMAL, "1.0E-4", Decimal("0.0001")),
        (ColumnKind.DECIMAL, "-0.5", Decimal("-0.5")),
        (ColumnKind.DECIMAL, "123456789012.1234", Decimal("123456789012.1234")),
        (ColumnKind.DOUBLE, "1.0E-4", 0.0001),
        (ColumnKind.DOUBLE, "1.7976931348623157E308", 1.7976931348623157e308),
        (ColumnKind.BOOLEAN, "true", True),
        (ColumnKind.BOOLEAN, "false", False),
        (ColumnKind.DATE, "2026-03-04", date(2026, 3, 4)),
        (ColumnKind.DATE, "1700-01-01", date(1700, 1, 1)),
        (ColumnKind.DATE, "4000-12-31", date(4000, 12, 31)),
        (ColumnKind.DATETIME, "2026-03-04T05:06:07.089Z", datetime(2026, 3, 4, 5, 6, 7, 89000, tzinfo=UTC)),
        (ColumnKind.TIME, "07:00:00.001Z", time(7, 0, 0, 1000)),
        (ColumnKind.STRING, "null", "null"),
        (ColumnKind.STRING, "NaN", "NaN"),
        (ColumnKind.STRING, "#N/A", "#N/A"),
        (ColumnKind.STRING, ' a "b"\r\nc ', ' a "b"\r\nc '),
    ],
)
def test_a_value_is_read_exactly(kind, text, value):
    assert read(kind, "", text) == [None, value]


@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=20))
def test_integers_written_as_doubles_come_back(numbers):
    assert read(ColumnKind.INTEGER, *(java_double(float(number)) for number in numbers)) == numbers


@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=20))
def test_decimals_written_as_doubles_come_back(units):
    # Fifteen digits: as many as every double keeps.
    numbers = [Decimal(unit) / 10000 for unit in units]
    assert read(ColumnKind.DECIMAL, *(java_double(float(number)) for number in numbers)) == numbers


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_doubles_come_back_bit_for_bit(numbers):
    assert read(ColumnKind.DOUBLE, *map(java_double, numbers)) == numbers


@given(st.lists(st.datetimes(FIRST, LAST), min_size=1, max_size=20))
def test_datetimes_dates_and_times_come_back(moments):
    moments = [each.replace(microsecond=each.microsecond // 1000 * 1000, tzinfo=UTC) for each in moments]
    texts = [each.strftime("%Y-%m-%dT%H:%M:%S.") + f"{each.microsecond // 1000:03}Z" for each in moments]
    assert read(ColumnKind.DATETIME, *texts) == moments
    assert read(ColumnKind.DATE, *(text[:10] for text in texts)) == [each.date() for each in moments]
    assert read(ColumnKind.TIME, *(text[11:] for text in texts)) == [each.time() for each in moments]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ColumnKind.INTEGER, "42.5"),
        (ColumnKind.INTEGER, "0x1F"),
        (ColumnKind.INTEGER, "1.0E30"),
        (ColumnKind.INTEGER, "1E400"),
        (ColumnKind.INTEGER, "1,000"),
        (ColumnKind.DECIMAL, "0.00001"),
        (ColumnKind.DECIMAL, "1.0E12"),
        (ColumnKind.DECIMAL, "$1"),
        (ColumnKind.DOUBLE, "NaN"),
        (ColumnKind.DOUBLE, "inf"),
        (ColumnKind.BOOLEAN, "TRUE"),
        (ColumnKind.BOOLEAN, "1"),
        (ColumnKind.DATE, "04.03.2026"),
        (ColumnKind.DATETIME, "2026-03-04T05:06:07.000"),
        (ColumnKind.TIME, "25:00:00.000Z"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_column_and_row_and_not_shown(kind, text):
    types = [ColumnType("Id"), ColumnType("F__c", kind, ONE[kind].precision, ONE[kind].scale)]
    reader = BlockReader(types, COMMA)
    reader.read(encode([["a", ""]] * 3))
    with pytest.raises(MisfitError, match=r"column 'F__c', row 8 of") as error:
        reader.read(encode([["b", ""]] * 4 + [["x", text]] + [["c", ""]] * 6 + [["d", text]]))
    assert (error.value.column, error.value.row) == ("F__c", 8)
    assert text not in str(error.value).replace("row 8", "").replace("128", "").replace("float64", "")
    assert error.value.__cause__ is None


def test_text_that_is_not_utf8_is_a_misfit():
    with pytest.raises(MisfitError, match="column 'F', row 2"):
        BlockReader([ONE[ColumnKind.STRING]], COMMA).read(b'"a"\n"\xff"\n')


def test_a_row_of_another_length_is_named_and_not_shown():
    reader = BlockReader([ColumnType("A"), ColumnType("B")], COMMA)
    reader.read(b'"1","2"\n')
    with pytest.raises(ProtocolError, match="row 3 of the result has 1 values, but the header has 2 columns") as error:
        reader.read(b'"1","a\nb"\n"secret"\n')
    assert "secret" not in str(error.value)


@given(tables(), dialects)
def test_text_comes_back_as_it_is_and_empty_text_is_null(table, dialect):
    header, rows = table
    batch = BlockReader([ColumnType(name) for name in header], dialect).read(encode(rows, dialect)) if rows else None
    if batch is not None:
        assert batch.to_pylist() == [
            {name: cell or None for name, cell in zip(header, row, strict=True)} for row in rows
        ]


@given(tables(), dialects, st.booleans(), places)
def test_result_files_are_read_as_text_wherever_the_bytes_are_cut(table, dialect, quote_all, places):
    header, rows = table
    if len(header) == 1 and not quote_all:
        rows = [row for row in rows if row != [""]]
    body = encode([header, *rows], dialect, quote_all=quote_all)
    batches = list(read_text(cut(body, places), dialect))
    assert [row for batch in batches for row in batch.to_pylist()] == [
        dict(zip(header, row, strict=True)) for row in rows
    ]
    assert batches[0].schema.names == header


def test_nul_bytes_are_dropped():
    assert read(ColumnKind.STRING, "a\0b") == ["ab"]


def test_a_header_that_repeats_a_name_is_read():
    batch = BlockReader([ColumnType("A"), ColumnType("A", ColumnKind.INTEGER)], COMMA).read(b'"x","1"\n')
    assert [column.to_pylist() for column in batch.columns] == [["x"], [1]]


def test_the_witness_writes_doubles_as_java_does():
    expected = {42.0: "42.0", 1e7: "1.0E7", 9999999.5: "9999999.5", 1e-4: "1.0E-4", 0.001: "0.001", 0.0: "0.0"}
    assert {number: java_double(number) for number in expected} == expected
    assert java_double(-1.6147805824397e13) == "-1.6147805824397E13"
