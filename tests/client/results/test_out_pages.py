"""Result pages: proven whole before anybody sees them, exact afterwards."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.csv.decode import Blocks
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.errors import SourceError, TransportError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, FileFormat, LineEnding
from airflow_provider_sfbulk.client.results.downloads import (
    CsvPage,
    PageWriter,
    RowsFilePage,
    RowsPage,
    TablePage,
)
from airflow_provider_sfbulk.client.results.folder import LocalFolder
from airflow_provider_sfbulk.client.results.frame import data_frame
from airflow_provider_sfbulk.client.results.schema import ColumnKind, ColumnType, MisfitError
from airflow_provider_sfbulk.client.results.writers import ParquetRows
from tests.client.results.out_witness import COMMA, cut, dialects, encode, is_refused, page_reply, pour, tables

HEADER = ["Id", "Revenue", "Rate", "Active", "Created"]
ROWS = [
    ["0018d00000HaBcDAAV", "9.0E7", "1.0E-4", "true", "2026-03-04T05:06:07.000Z"],
    ["", "", "", "", ""],
    ['a "b"\n€', "42.0", "12345678901.1234", "false", "2026-03-04T05:06:07.089Z"],
]
BODY = encode([HEADER, *ROWS])
TYPED = [
    {
        "Id": "0018d00000HaBcDAAV",
        "Revenue": 90_000_000,
        "Rate": Decimal("0.0001"),
        "Active": True,
        "Created": datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
    },
    dict.fromkeys(HEADER),
    {
        "Id": 'a "b"\n€',
        "Revenue": 42,
        "Rate": Decimal("12345678901.1234"),
        "Active": False,
        "Created": datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC),
    },
]
KINDS = {
    "Revenue": (ColumnKind.INTEGER,),
    "Rate": (ColumnKind.DECIMAL, 18, 4),
    "Active": (ColumnKind.BOOLEAN,),
    "Created": (ColumnKind.DATETIME,),
}


def types(columns):
    return [ColumnType(each, *KINDS.get(each, ())) for each in columns]


def file_page(kind, folder, dialect=COMMA):
    name = f"job/page-00001.{kind}"
    if kind == "csv":
        return CsvPage(LocalFolder(folder), name, dialect)
    return RowsFilePage(LocalFolder(folder), name, dialect, FileFormat(kind), types(HEADER))


def files(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


every_format = pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])


@given(tables(), dialects, st.lists(st.integers(0, 10_000), max_size=8))
def test_a_csv_page_is_byte_for_byte_what_came(tmp_path_factory, table, dialect, places):
    folder = tmp_path_factory.mktemp("out")
    header, rows = table
    body = encode([header, *rows], dialect)
    page = file_page("csv", folder, dialect)
    pour(page, page_reply(len(rows)), cut(body, places))
    assert Path(page.file.uri).read_bytes() == body
    assert page.file.sha256 == hashlib.sha256(body).hexdigest()
    assert (page.file.records, page.file.length, page.file.columns) == (len(rows), len(body), tuple(header))


@every_format
def test_the_file_is_described_as_it_lies_there(tmp_path, kind):
    page = file_page(kind, tmp_path)
    pour(page, page_reply(3, "MTAwMDA"), [BODY])
    data = Path(page.file.uri).read_bytes()
    assert files(tmp_path) == [tmp_path / page.file.name]
    assert page.file.sha256 == hashlib.sha256(data).hexdigest()
    assert (page.file.records, page.file.length, page.file.columns) == (3, len(data), tuple(HEADER))


def test_parquet_is_typed_and_exact(tmp_path):
    page = file_page("parquet", tmp_path)
    pour(page, page_reply(3), [bytes([byte]) for byte in BODY])
    assert pq.read_table(page.file.uri).to_pylist() == TYPED


def test_jsonl_is_typed_and_exact(tmp_path):
    page = file_page("jsonl", tmp_path)
    pour(page, page_reply(3), [BODY])
    lines = Path(page.file.uri).read_text("utf-8").split("\n")
    assert lines.pop() == ""
    rows = [json.loads(line, parse_float=Decimal) for line in lines]
    moments = ["2026-03-04T05:06:07.000Z", None, "2026-03-04T05:06:07.089Z"]
    assert rows == [row | {"Created": moment} for row, moment in zip(TYPED, moments, strict=True)]
    assert '"Active": true' in lines[0]
    assert '"Revenue": 90000000,' in lines[0]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), max_size=5))
def test_any_text_is_valid_json(tmp_path_factory, values):
    page = RowsFilePage(LocalFolder(tmp_path_factory.mktemp("out")), "p.jsonl", COMMA, FileFormat.JSONL)
    pour(page, page_reply(len(values)), [encode([['F"%s'], *[[value] for value in values]])])
    lines = Path(page.file.uri).read_bytes().split(b"\n")[:-1]
    assert [json.loads(line) for line in lines] == [{'F"%s': value} for value in values]


def test_every_kind_of_value_is_written_as_json(tmp_path):
    kinds = {"D": ColumnKind.DATE, "T": ColumnKind.TIME, "F": ColumnKind.DOUBLE, "S": ColumnKind.STRING}
    page = RowsFilePage(
        LocalFolder(tmp_path), "p.jsonl", COMMA, FileFormat.JSONL, [ColumnType(c, kind) for c, kind in kinds.items()]
    )
    rows = [["2026-03-04", "07:00:00.001Z", "1.5E300", "\x01\\\t\r\n"], ["", "", "", ""]]
    pour(page, page_reply(2), [encode([list(kinds), *rows])])
    first, second = map(json.loads, Path(page.file.uri).read_text().splitlines())
    assert first == {"D": "2026-03-04", "T": "07:00:00.001", "F": 1.5e300, "S": "\x01\\\t\r\n"}
    assert second == dict.fromkeys(kinds)


def test_pages_have_one_schema_those_without_records_too(tmp_path):
    schemas = []
    for body, records in ((BODY, 3), (encode([HEADER]), 0)):
        page = file_page("parquet", tmp_path)
        pour(page, page_reply(records), [body])
        schemas.append(pq.read_schema(page.file.uri))
    assert schemas[0].equals(schemas[1], check_metadata=True)
    assert schemas[1].field("Rate").type == pa.decimal128(18, 4)
    assert pq.read_table(tmp_path / page.file.name).num_rows == 0


def test_a_page_of_many_row_groups_is_whole(tmp_path, monkeypatch):
    monkeypatch.setitem(ParquetRows.__init__.__kwdefaults__, "group_bytes", 1)
    monkeypatch.setitem(Blocks.__init__.__kwdefaults__, "size", 1)
    page = file_page("parquet", tmp_path)
    pour(page, page_reply(3), cut(BODY, range(0, len(BODY), 7)))
    read = pq.ParquetFile(page.file.uri)
    assert (read.num_row_groups, read.read().to_pylist()) == (3, TYPED)


@every_format
@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (page_reply(4), BODY),
        (page_reply(2), BODY),
        (page_reply(3), BODY[:-1]),
        (page_reply(3), BODY[:-30]),
        (page_reply(2), BODY[: BODY.rindex(b"\n", 0, -1)]),
        (page_reply(3), b""),
        (page_reply(0), b"<html>\n"),
        (Reply(204), b""),
    ],
)
def test_what_is_not_the_whole_page_is_refused_and_leaves_nothing(tmp_path, kind, reply, body):
    page = file_page(kind, tmp_path)
    assert is_refused(page, reply, body)
    assert not page.file
    assert files(tmp_path) == []
    # Fetched again, it is as if nothing had been.
    pour(page, page_reply(3), [BODY])
    assert [str(path) for path in files(tmp_path)] == [page.file.uri]
    other = file_page(kind, tmp_path / "other")
    pour(other, page_reply(3), [BODY])
    assert page.file.sha256 == other.file.sha256


@every_format
@given(st.integers(0, len(BODY) - 1))
def test_a_page_cut_anywhere_is_refused(tmp_path_factory, kind, end):
    folder = tmp_path_factory.mktemp("out")
    assert is_refused(file_page(kind, folder), page_reply(3), BODY[:end])
    assert files(folder) == []


@every_format
def test_a_new_try_forgets_the_one_that_was_never_ended(tmp_path, kind):
    page = file_page(kind, tmp_path)
    page.start(page_reply(3))
    page.write(BODY[:60])
    pour(page, page_reply(3), [BODY])
    page.discard()
    assert [str(path) for path in files(tmp_path)] == [page.file.uri]
    assert page.file.records == 3


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
@pytest.mark.parametrize(
    ("records", "body"),
    [(3, BODY.replace(b"Rate", b"Prate")), (0, encode([HEADER[:-1]])), (0, encode([HEADER[::-1]]))],
)
def test_typed_pages_have_the_columns_whose_types_are_known(tmp_path, kind, records, body):
    assert is_refused(file_page(kind, tmp_path), page_reply(records), body)
    assert files(tmp_path) == []


def test_a_page_without_output_shows_its_columns():
    page = PageWriter(COMMA)
    pour(page, page_reply(3), [BODY])
    assert (page.columns, page.records) == (tuple(HEADER), 3)


def test_a_reply_that_says_no_number_is_taken_as_it_is(tmp_path):
    # Bulk API 1.0 announces neither count nor locator.
    page = CsvPage(LocalFolder(tmp_path), "p.csv", COMMA)
    pour(page, Reply(200, {"content-type": "text/csv"}), [BODY])
    assert page.file.records == 3


@every_format
def test_every_dialect_gives_the_same_rows(tmp_path, kind):
    dialect = Dialect(ColumnDelimiter.CARET, LineEnding.CRLF)
    page = file_page(kind, tmp_path, dialect)
    pour(page, page_reply(3), [encode([HEADER, *ROWS], dialect)])
    assert (page.file.columns, page.file.records) == (tuple(HEADER), 3)
    if kind == "parquet":
        assert pq.read_table(page.file.uri).to_pylist() == TYPED


def test_a_misfit_leaves_nothing_behind(tmp_path):
    page = file_page("parquet", tmp_path)
    with pytest.raises(MisfitError, match="column 'Revenue', row 1"):
        pour(page, page_reply(1), [encode([HEADER, ["x", "42.5", "", "", ""]])])
    assert files(tmp_path) == []


def test_few_rows_come_as_typed_dicts():
    page = RowsPage(COMMA, types(HEADER), max_records=3)
    pour(page, page_reply(3), [BODY])
    assert page.rows == TYPED
    pour(page, page_reply(0), [encode([HEADER])])
    assert page.rows == []


@pytest.mark.parametrize("announced", [3, 2])
def test_too_many_rows_are_refused_with_advice(announced):
    page = RowsPage(COMMA, types(HEADER), max_records=2)
    with pytest.raises(SourceError, match=r"more than 2 records"):
        pour(page, page_reply(announced), [BODY])
    assert page.rows == []


def test_frames_are_typed_with_and_without_rows():
    frames = []
    for body, records in ((BODY, 3), (encode([HEADER]), 0)):
        page = TablePage(COMMA, types(HEADER))
        pour(page, page_reply(records), [body])
        frames.append(data_frame(page.batches, page.schema))
    assert frames[0].dtypes.equals(frames[1].dtypes)
    assert (len(frames[0]), len(frames[1]), list(frames[1].columns)) == (3, 0, HEADER)
    assert frames[0]["Revenue"][0] == 90_000_000
    assert frames[0]["Rate"][2] == Decimal("12345678901.1234")
    assert frames[0]["Created"].dtype == pd.ArrowDtype(pa.timestamp("ms", "UTC"))
    assert frames[0].isna().iloc[1].all()


def test_refusals_show_no_data():
    page = TablePage(COMMA, [ColumnType("Other")])
    with pytest.raises(TransportError) as error:
        pour(page, page_reply(3), [BODY])
    assert "Id" not in str(error.value)
