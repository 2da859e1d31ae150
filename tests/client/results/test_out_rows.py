"""Rows of result files as dicts of text, and the delimiter found by the header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.csv.decode import find_dialect, read_rows
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.errors import ProtocolError, TransportError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, LineEnding
from tests.client.results.out_witness import COMMA, cut, dialects, encode, tables

places = st.lists(st.integers(0, 10_000), max_size=8)


@given(tables(), dialects, places)
def test_rows_come_back_as_they_are_wherever_the_bytes_are_cut(table, dialect, places):
    header, rows = table
    body = encode([header, *rows], dialect)
    expected = [dict(zip(header, row, strict=True)) for row in rows]
    for pieces in ([body], [bytes([byte]) for byte in body], cut(body, places)):
        assert list(read_rows(pieces, dialect)) == expected


def test_no_rows_come_from_a_header_alone_or_from_nothing():
    assert list(read_rows([b'"A"\n'], COMMA)) == []
    assert list(read_rows([], COMMA)) == []


def test_a_bom_and_nul_bytes_are_taken_off():
    assert list(read_rows([b'\xef\xbb\xbf"A"\n"a\0b"\n'], COMMA)) == [{"A": "ab"}]


def test_an_error_text_longer_than_any_field_is_read():
    text = "x" * 500_000
    assert list(read_rows([encode([["sf__Error"], [text]])], COMMA)) == [{"sf__Error": text}]


def test_a_row_of_another_length_is_named_by_its_number_and_not_shown():
    with pytest.raises(ProtocolError, match="row 2 of the result has 1 values, but the header has 2 columns") as error:
        list(read_rows([b'"A","B"\n"1","2"\n"secret"\n'], COMMA))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'"A"\n"1"\n"2', TransportError),
        (b'"A"\n"1"\n"2"3\n', ProtocolError),
        (b'"A"\n"\xff"\n', ProtocolError),
        (b'"A"\n"1"\n\xc3', ProtocolError),
    ],
)
def test_rows_that_cannot_be_read_are_an_error(body, kind):
    with pytest.raises(kind) as error:
        list(read_rows([body], COMMA))
    assert error.value.__cause__ is None or not isinstance(error.value.__cause__, UnicodeError)


@given(st.sampled_from(ColumnDelimiter), st.sampled_from(ColumnDelimiter), st.sampled_from(LineEnding))
def test_the_header_tells_the_delimiter_when_it_is_not_the_jobs(job, used, ending):
    line = encode([["sf__Id", "sf__Created", "Name"]], Dialect(used, ending))
    assert find_dialect(line, Dialect(job, ending), ("sf__Id", "sf__Created")) == Dialect(used, ending)
    assert find_dialect(line, Dialect(job, ending)) == Dialect(used, ending)


def test_one_column_is_read_with_the_jobs_delimiter():
    pipe = Dialect(ColumnDelimiter.PIPE)
    assert find_dialect(b"Id\n", pipe) == pipe


def test_a_header_without_the_columns_of_its_kind_has_no_dialect():
    assert find_dialect(b'"Id","Name"\n', COMMA, ("sf__Id",)) is None
