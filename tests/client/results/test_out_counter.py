"""The proof over a streamed CSV: counts, ends, and blocks of whole records."""

from __future__ import annotations

import csv
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.csv.decode import Blocks, RecordCounter
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.csv.whole import whole_blocks
from airflow_provider_sfbulk.client.errors import TransportError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, LineEnding
from tests.client.results.out_witness import COMMA, by_csv, cut, dialects, encode, tables

places = st.lists(st.integers(0, 10_000), max_size=8)
HEAD = b'"A","B"\n'


def counted(pieces: list[bytes], dialect: Dialect = COMMA) -> RecordCounter:
    counter = RecordCounter(dialect)
    for piece in pieces:
        counter.feed(piece)
    counter.finish()
    return counter


@given(tables(), dialects, st.booleans(), places)
def test_records_are_counted_as_the_csv_module_does(table, dialect, quote_all, places):
    header, rows = table
    body = encode([header, *rows], dialect, quote_all=quote_all)
    expected = len(by_csv(body, dialect)) - 1
    for pieces in ([body], [bytes([byte]) for byte in body], cut(body, places)):
        counter = counted(pieces, dialect)
        assert (counter.records, counter.header, counter.length) == (expected, tuple(header), len(body))
        assert counter.whole == len(body)
        assert counter.header_line == encode([header], dialect, quote_all=quote_all)


@given(tables(), dialects, st.booleans())
def test_a_body_that_was_cut_off_raises_or_has_fewer_records(table, dialect, quote_all):
    header, rows = table
    if len(header) == 1 and not quote_all:
        # A lone bare empty value is a blank line: no record, so no loss when it is cut off.
        rows = [row for row in rows if row != [""]]
    body = encode([header, *rows], dialect, quote_all=quote_all)
    for end in range(len(body)):
        with suppress(TransportError):
            assert counted([body[:end]], dialect).records < len(rows)


@given(tables(), dialects, places)
def test_bytes_that_follow_a_record_do_not_change_its_count(table, dialect, places):
    header, rows = table
    body = encode([header, *rows], dialect)
    counter = RecordCounter(dialect)
    for piece in cut(body + b'"begun', places):
        counter.feed(piece)
    assert (counter.records, counter.whole) == (len(rows), len(body))
    with pytest.raises(TransportError, match="inside a quoted value"):
        counter.finish()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines_with_nothing_on_them_are_no_records(newline):
    body = f'"A"{newline}{newline}"1"{newline}2{newline}{newline}{newline}'.encode()
    for pieces in ([body], [bytes([byte]) for byte in body]):
        assert counted(pieces).records == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"\xef\xbb\xbf\r\n",
        b"<!DOCTYPE html>\n<html></html>\n",
        b"<html>no line ending",
        b'[{"errorCode":"SERVER_UNAVAILABLE"}]',
        b'{\n"a": 1}\n',
        b"  <html>\n",
        b'"A\xff"\n"1"\n',
        b'"A',
        b'"A"',
        b'"A"\n"1',
        b'"A"\n"1"',
        b'"A"\n"1""',
        b'"A"\r\n"1"\r',
    ],
)
def test_what_is_not_a_whole_csv_is_refused(body):
    for pieces in ([body], [bytes([byte]) for byte in body]):
        with pytest.raises(TransportError):
            counted(pieces)


def test_a_refusal_does_not_show_the_body():
    with pytest.raises(TransportError) as refusal:
        counted([b'"Name"\n"Secret Customer'])
    assert "Secret" not in str(refusal.value)


def test_a_first_line_without_end_does_not_fill_the_memory():
    with pytest.raises(TransportError, match="the first line is longer than"):
        counted([b"x" * 100_000] * 40)


def test_the_bom_is_no_part_of_the_first_column():
    assert counted([b'\xef\xbb\xbf"Id",Name\n']).header == ("Id", "Name")


@pytest.mark.parametrize("size", [1, 63, 64, 65, 4096, 262_144, 10_000_000])
def test_long_values_with_line_breaks_are_counted_over_word_and_step_borders(size):
    value = ('line\nbreak, "quoted"\r\n' * 40_000)[: 300_000 if size > 65 else 30_000]
    body = encode([["A", "B"], *[[str(i), value] for i in range(4)]])
    pieces = [body[i : i + size] for i in range(0, len(body), size)] if size > 1 else [body[:5000], body[5000:]]
    assert counted(pieces).records == 4


@given(tables(), dialects, st.booleans(), places, st.integers(1, 40))
def test_blocks_are_whole_records_and_nothing_is_lost(table, dialect, quote_all, places, size):
    header, rows = table
    body = encode([header, *rows], dialect, quote_all=quote_all)
    counter = RecordCounter(dialect)
    blocks = Blocks(counter, size=size)
    found = []
    for piece in cut(body, places):
        counter.feed(piece)
        found.append(blocks.feed(piece))
    found.append(blocks.rest())
    given_blocks = [block for block in found if block is not None]
    assert counter.header_line + b"".join(given_blocks) == body
    assert [row for block in given_blocks for row in by_csv(block, dialect)] == by_csv(body, dialect)[1:]
    assert blocks.rest() is None


@given(tables(), dialects, st.booleans(), places, st.integers(1, 40))
def test_a_csv_that_is_known_to_be_whole_is_cut_like_any_other(table, dialect, quote_all, places, size):
    header, rows = table
    body = encode([header, *rows], dialect, quote_all=quote_all)
    head, *blocks = whole_blocks(cut(body, places), size=size)
    assert head + b"".join(blocks) == body
    assert by_csv(head, dialect) == [header]
    assert [row for block in blocks for row in by_csv(block, dialect)] == by_csv(body, dialect)[1:]


@pytest.mark.parametrize("body", [b"", b"A", b'"A\n', b"A\n1", b'A\n"1\n', b'A\n1\n"2'])
def test_a_csv_that_was_thought_to_be_whole_and_is_not_is_refused(body):
    with pytest.raises(TransportError, match="not a complete CSV"):
        list(whole_blocks([body]))


def test_a_result_with_the_largest_value_salesforce_allows_is_one_record():
    body = HEAD + b'"' + b"x" * 131_072 + b'","\n"\n'
    assert counted([body]).records == 1


def test_the_witness_itself_knows_every_dialect():
    rows = [["a", 'b"\n\r;,|^`\t', ""]]
    for delimiter in ColumnDelimiter:
        for ending in LineEnding:
            dialect = Dialect(delimiter, ending)
            assert by_csv(encode(rows, dialect), dialect) == rows
    assert csv.field_size_limit() >= 131_072
