"""Result files of many jobs in one, and nothing of a job that is not whole."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.models import BulkError, ColumnDelimiter, LineEnding
from airflow_provider_sfbulk.client.results.folder import LocalFolder
from airflow_provider_sfbulk.client.results.job_result import JobResult
from airflow_provider_sfbulk.client.results.result_files import ResultFile
from airflow_provider_sfbulk.client.results.typed import error_codes, error_parts
from tests.client.results.out_witness import (
    COMMA,
    by_csv,
    cut,
    dialects,
    encode,
    is_refused,
    page_reply,
    pour,
    tables,
)

CSV = page_reply(None, None)

SUCCESSFUL = (
    b'"sf__Id","sf__Created",FirstName,LastName,Crm_Key__c\n'
    b'"0038d00000KpQrSAAV","true","Ngozi","Okafor","A-1"\n'
    b'"0038d00000KpQrTAAV","false","Iven","Reuter","A-2"\n'
)
FAILED = (
    b'"sf__Id","sf__Error",FirstName,LastName\n'
    b'"","REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --","Pat",""\n'
    b'"0038d00000KpQrSAAV","UNABLE_TO_LOCK_ROW:unable to obtain exclusive access: 0018d00000HaBcDAAV:--","Ngozi","O"\n'
    b'"","REQUIRED_FIELD_MISSING:two: [A, B]:A B --","x","y"\n'
)


@contextmanager
def fetched(kind, reply=CSV, chunks=(), *, dialect=COMMA, job_id="1", expect_records=None):
    """Take a job's result file in, whole."""
    result = JobResult(job_id, dialect, kind, expect_records=expect_records)
    pour(result, reply, list(chunks))
    yield result
    result.discard()


def add(file, kind, reply=CSV, chunks=(), **kwargs):
    """Put all rows of a job's result file into the joined file, numbered from 1."""
    with fetched(kind, reply, chunks, **kwargs) as result:
        file.add(result, np.full(result.records, True), np.arange(1, result.records + 1))


def unnumbered(rows):
    """Drop the rows' numbers."""
    return [row[1:] for row in rows]


def files(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def read(uri):
    return by_csv(Path(uri).read_bytes(), COMMA)


def test_jobs_are_joined_under_one_header_with_the_rows_numbers_in_front(tmp_path):
    file = ResultFile(LocalFolder(tmp_path), "successful.csv", "successful")
    for job_id in ("1", "2"):
        add(file, "successful", chunks=[SUCCESSFUL], job_id=job_id)
    assert all(path.suffix == ".part" for path in files(tmp_path))
    (header, *rows) = by_csv(SUCCESSFUL, COMMA)
    numbers = ["1", "2", "1", "2"]
    expected = [["sf__Row", *header], *([n, *row] for n, row in zip(numbers, [*rows, *rows], strict=True))]
    assert read(file.commit()) == expected
    assert file.records == 4


def test_failed_rows_have_the_parts_of_their_error(tmp_path):
    file = ResultFile(LocalFolder(tmp_path), "failed.jsonl", "failed", "jsonl")
    add(file, "failed", chunks=[FAILED])
    rows = [json.loads(line) for line in Path(file.commit()).read_text().splitlines()]
    assert rows[0] == {
        "sf__Row": 1,
        "sf__Id": "",
        "sf__Error": "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --",
        "sf__ErrorCode": "REQUIRED_FIELD_MISSING",
        "sf__ErrorMessage": "Required fields are missing: [LastName]",
        "sf__ErrorFields": "LastName",
        "FirstName": "Pat",
        "LastName": "",
    }
    assert list(rows[0])[:6] == [
        "sf__Row",
        "sf__Id",
        "sf__Error",
        "sf__ErrorCode",
        "sf__ErrorMessage",
        "sf__ErrorFields",
    ]
    assert (rows[1]["sf__ErrorFields"], rows[2]["sf__ErrorFields"]) == ("", "A B")


@given(st.lists(tables(), min_size=1, max_size=3), dialects, st.lists(st.integers(0, 10_000), max_size=6))
def test_values_come_back_as_they_were_from_any_dialect(tmp_path_factory, parts, dialect, places):
    header = ["Name", "Key"]
    contents = [[(row * 2)[:2] for row in rows] for _, rows in parts]
    expected = [row for rows in contents for row in rows]
    for kind in ("csv", "parquet", "jsonl"):
        file = ResultFile(LocalFolder(tmp_path_factory.mktemp("out")), "rows", "unprocessed", kind)
        for rows in contents:
            chunks = cut(encode([header, *rows], dialect, quote_all=False), places)
            add(file, "unprocessed", chunks=chunks, dialect=dialect)
        uri = file.commit()
        if not expected:
            assert uri is None
        elif kind == "csv":
            assert unnumbered(read(uri)) == [header, *expected]
        elif kind == "parquet":
            assert unnumbered([list(row.values()) for row in pq.read_table(uri).to_pylist()]) == expected
        else:
            lines = Path(uri).read_text("utf-8").split("\n")[:-1]
            assert unnumbered([list(json.loads(line).values()) for line in lines]) == expected


@pytest.mark.parametrize("empty", [b"", b'"sf__Id","sf__Error",FirstName,LastName\n'])
def test_no_rows_are_no_rows_however_it_is_said(tmp_path, empty):
    file = ResultFile(LocalFolder(tmp_path), "failed.csv", "failed")
    add(file, "failed", chunks=[empty])
    add(file, "failed", Reply(204))
    add(file, "failed", chunks=[FAILED])
    assert len(read(file.commit())) == 4
    assert file.records == 3


def test_no_rows_give_no_file(tmp_path):
    file = ResultFile(LocalFolder(tmp_path), "failed.csv", "failed")
    add(file, "failed", Reply(204))
    add(file, "failed", chunks=[FAILED.splitlines(keepends=True)[0]])
    assert file.commit() is None
    assert files(tmp_path) == []


def test_rows_may_be_left_out_and_a_number_may_be_unknown(tmp_path):
    file = ResultFile(LocalFolder(tmp_path), "f.parquet", "failed", "parquet")
    with fetched("failed", chunks=[FAILED]) as result:
        file.add(result, np.array([True, False, True]), np.array([7, 8, 0]))
    table = pq.read_table(file.commit())
    assert table["sf__Row"].to_pylist() == [7, None]
    assert table["FirstName"].to_pylist() == ["Pat", "x"]
    assert table.schema.field("sf__ErrorCode").type == pa.string()


@given(st.integers(0, len(SUCCESSFUL) - 1))
def test_a_result_that_was_cut_off_is_refused_and_may_be_fetched_again(end):
    result = JobResult("2", COMMA, "successful", expect_records=2)
    assert is_refused(result, CSV, SUCCESSFUL[:end])
    pour(result, CSV, [SUCCESSFUL])
    assert result.records == 2
    (batch,) = [batch for batch in result.batches() if batch.num_rows]
    assert batch.column(0).to_pylist() == ["0038d00000KpQrSAAV", "0038d00000KpQrTAAV"]


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (CSV, b"<html>\n"),
        (CSV, b'"Id","Name"\n"1","2"\n'),
        (CSV, FAILED),
    ],
)
def test_what_is_no_result_file_of_its_kind_is_refused(reply, body):
    assert is_refused(JobResult("1", COMMA, "successful"), reply, body)


def test_columns_of_later_jobs_are_matched_by_name(tmp_path):
    file = ResultFile(LocalFolder(tmp_path), "u.csv", "unprocessed")
    add(file, "unprocessed", chunks=[b"Name,Key__c\nA,1\n"])
    add(file, "unprocessed", chunks=[b"key__c,NAME\n2,B\n"])
    assert unnumbered(read(file.commit())) == [["Name", "Key__c"], ["A", "1"], ["B", "2"]]


@pytest.mark.parametrize("header", [b"Name", b"Name,Key__c,More", b"Name,Other", b"Name,Name"])
def test_other_columns_are_an_error_and_a_discarded_file_is_never_shown(tmp_path, header):
    file = ResultFile(LocalFolder(tmp_path), "u.csv", "unprocessed")
    add(file, "unprocessed", chunks=[b"Name,Key__c\nA,1\n"])
    row = b",".join(b"x" for _ in header.split(b","))
    with pytest.raises(ProtocolError, match=r"of job 2 (have other columns|must be another one)"):
        add(file, "unprocessed", chunks=[header + b"\n" + row + b"\n"], job_id="2")
    file.discard()
    file.discard()
    assert files(tmp_path) == []


def test_a_file_larger_than_memory_takes_for_it_goes_over_the_disk(tmp_path):
    rows = [[f"{i:07}", "x" * 200] for i in range(30_000)]
    file = ResultFile(LocalFolder(tmp_path), "u.csv", "unprocessed")
    body = encode([["Key__c", "Text__c"], *rows])
    add(file, "unprocessed", chunks=[body[i : i + 65_536] for i in range(0, len(body), 65_536)])
    assert read(file.commit())[1:] == [[str(number), *row] for number, row in enumerate(rows, start=1)]


def test_the_header_tells_the_delimiter_when_the_file_does_not_follow_the_job(tmp_path):
    file = ResultFile(LocalFolder(tmp_path), "s.csv", "successful")
    add(file, "successful", chunks=[SUCCESSFUL], dialect=Dialect(ColumnDelimiter.TAB, LineEnding.CRLF))
    assert unnumbered(read(file.commit())) == by_csv(SUCCESSFUL, COMMA)


def test_codes_are_read_in_the_files_order():
    result = JobResult("1", COMMA, "failed", expect_records=3)
    assert is_refused(result, CSV, FAILED[:-5])
    assert is_refused(result, CSV, FAILED[: FAILED.rindex(b"\n", 0, -1) + 1])
    assert is_refused(result, Reply(204), b"")
    pour(result, CSV, [FAILED])
    assert result.codes().to_pylist() == ["REQUIRED_FIELD_MISSING", "UNABLE_TO_LOCK_ROW", "REQUIRED_FIELD_MISSING"]
    with fetched("failed", Reply(204)) as nothing:
        assert nothing.codes().to_pylist() == []


@given(
    st.lists(
        st.lists(
            st.sampled_from(["CODE", ":", "--", "-", " ", "\t", "\x1c", "é", "x y"]) | st.characters(codec="utf-8")
        ).map("".join)
    )
)
def test_errors_are_read_a_column_at_a_time_as_they_are_one_by_one(texts):
    batch = pa.record_batch({"sf__Error": pa.array(texts, pa.string())})
    found = error_parts(batch)
    assert error_codes(batch).equals(found.codes)
    expected = [BulkError.parse(text) for text in texts]
    assert found.codes.to_pylist() == [each.status_code for each in expected]
    assert found.messages.to_pylist() == [each.message for each in expected]
    assert found.fields.to_pylist() == [" ".join(each.fields) for each in expected]


def test_ids_of_several_key_prefixes_are_taken_and_said_once(tmp_path, caplog):
    other = SUCCESSFUL.replace(b"0038d00000KpQrTAAV", b"0058d00000KpQrTAAV")
    with fetched("successful", chunks=[other]) as result:
        assert sum(batch.num_rows for batch in result.batches()) == 2
        list(result.batches())
    (said,) = caplog.messages
    assert "003, 005" in said


@pytest.mark.parametrize(
    ("kind", "body", "why"),
    [
        (
            "failed",
            FAILED.replace(b',"x","y"', b',"x"'),
            "row 3 of the result has 3 values, but the header has 4 columns",
        ),
        ("successful", SUCCESSFUL.replace(b"0038d00000KpQrTAAV", b"0038d00000KpQrTAA"), "some have no id in sf__Id"),
        (
            "successful",
            SUCCESSFUL.replace(b"0038d00000KpQrTAAV", "0038d00000KpQrTAé".encode()),
            "some have no id in sf__Id",
        ),
        ("successful", SUCCESSFUL.replace(b'"false"', b'"no"'), "neither true nor false"),
        ("unprocessed", b'Name,Key__c\nA "b,1\nB" c,2\n', "1 records, but 2 rows can be read"),
    ],
)
def test_rows_that_are_wrong_are_no_cut_download_and_come_out_when_they_are_read(kind, body, why):
    with fetched(kind, chunks=cut(body, [10, 60])) as result:
        with pytest.raises(ProtocolError, match=why):
            list(result.batches())
        right = {"failed": FAILED, "successful": SUCCESSFUL}.get(kind, b"Name\nA\n")
        pour(result, CSV, [right])
        assert sum(batch.num_rows for batch in result.batches()) == result.records
