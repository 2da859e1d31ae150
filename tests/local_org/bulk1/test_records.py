"""Whatever a batch says in CSV, JSON or XML is read, and nothing else."""

from __future__ import annotations

import csv
import io
import json
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.local_org.bulk1.records import BatchFailedError, read_csv, read_json, read_xml
from airflow_provider_sfbulk.local_org.data.schema import SObject

THING = SObject.of(name="Thing__c", key_prefix="a00", fields=[])
NS = "http://www.force.com/2009/06/asyncapi/dataload"

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
tables = st.integers(2, 4).flatmap(lambda width: st.lists(st.lists(texts, min_size=width, max_size=width), max_size=6))


@given(tables, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_csv_that_is_quoted_comes_back(rows: list[list[str]], ending: str, last: bool) -> None:
    width = len(rows[0]) if rows else 2
    header = [f"F{n}" for n in range(width)]
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=ending, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    text = file.getvalue() if last else file.getvalue().removesuffix(ending)
    records = read_csv(text.encode())
    assert records.header == header
    assert [list(row) for row in zip(*records.columns, strict=True)] == rows
    assert (records.places, records.unreadable) == (list(range(len(rows))), {})


@given(st.binary(max_size=60) | st.text('",\r\n ab', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        records = read_csv(body)
    except BatchFailedError:
        return
    assert sorted([*records.places, *records.unreadable]) == list(range(records.count))
    assert all(len(column) == len(records.places) for column in records.columns)


@given(tables)
def test_json_comes_back(rows: list[list[str]]) -> None:
    sent = [{f"F{n}": text for n, text in enumerate(row)} for row in rows]
    for ensure_ascii in (True, False):
        records = read_json(json.dumps(sent, ensure_ascii=ensure_ascii).encode(), THING)
        assert [dict(zip(records.header, row, strict=True)) for row in zip(*records.columns, strict=True)] == sent


plain = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=8
)


@given(st.lists(st.tuples(plain, plain), max_size=5))
def test_xml_comes_back(rows: list[tuple[str, str]]) -> None:
    inner = "".join(f"<sObject><A>{escape(a)}</A><B>{escape(b)}</B></sObject>" for a, b in rows)
    records = read_xml(f'<sObjects xmlns="{NS}">{inner}</sObjects>'.encode(), THING)
    assert list(zip(*records.columns, strict=True)) == rows


def test_records_may_name_different_fields() -> None:
    records = read_json(b'[{"A": 1, "b": true}, {"B": null, "C": "x"}, {}]', THING)
    assert records.header == ["A", "b", "C"]
    assert list(zip(*records.columns, strict=True)) == [("1", "true", ""), ("", "#N/A", "x"), ("", "", "")]


def test_numbers_stay_as_they_are_written() -> None:
    records = read_json(b'[{"A": 12345678901234567890.10}]', THING)
    assert records.columns == [["12345678901234567890.10"]]


def test_rows_that_cannot_be_read_keep_their_place() -> None:
    records = read_csv(b'A,B\n1,2\n\n"3" ,4\n5\n6,7')
    assert records.columns == [["1", "6"], ["2", "7"]]
    assert records.places == [0, 3]
    assert list(records.unreadable) == [1, 2]


@pytest.mark.parametrize("body", [b'A\n"x"y\n', b'A\nx"y"\n', b'A\n"x\n', b'A"\nx\n'])
def test_a_quote_where_none_can_be_fails_the_batch(body: bytes) -> None:
    with pytest.raises(BatchFailedError, match="unescaped quote"):
        read_csv(body)
