"""Result files of many jobs in one, and nothing of a job that is not whole."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import JobError, ProtocolError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, LineEnding
from airflow_provider_sfbulk.client.records.dialect import Dialect
from airflow_provider_sfbulk.client.records.output import LocalFolder
from airflow_provider_sfbulk.client.records.results import CountCodes, ResultFile
from airflow_provider_sfbulk.client.wire import Reply
from tests.client.records_out.out_witness import (
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
CODES = Counter({"REQUIRED_FIELD_MISSING": 2, "UNABLE_TO_LOCK_ROW": 1})


def files(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def read(uri):
    return by_csv(Path(uri).read_bytes(), COMMA)


def test_jobs_are_joined_under_one_header(tmp_path):
    result = ResultFile(LocalFolder(tmp_path), "successful.csv", "successful")
    for job in ("1", "2"):
        pour(result.job(job, COMMA), CSV, [SUCCESSFUL])
    assert files(tmp_path) == [] or all(path.suffix == ".part" for path in files(tmp_path))
    uri = result.commit()
    header, *rows = by_csv(SUCCESSFUL, COMMA)
    assert read(uri) == [header, *rows, *rows]
    assert result.records == 4


def test_failed_rows_have_the_parts_of_their_error(tmp_path):
    result = ResultFile(LocalFolder(tmp_path), "failed.jsonl", "failed", "jsonl")
    pour(result.job("1", COMMA), CSV, [FAILED])
    rows = [json.loads(line) for line in Path(result.commit()).read_text().splitlines()]
    assert rows[0] == {
        "sf__Id": "",
        "sf__Error": "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --",
        "sf__ErrorCode": "REQUIRED_FIELD_MISSING",
        "sf__ErrorMessage": "Required fields are missing: [LastName]",
        "sf__ErrorFields": "LastName",
        "FirstName": "Pat",
        "LastName": "",
    }
    assert list(rows[0])[:5] == ["sf__Id", "sf__Error", "sf__ErrorCode", "sf__ErrorMessage", "sf__ErrorFields"]
    assert (rows[1]["sf__ErrorFields"], rows[2]["sf__ErrorFields"]) == ("", "A B")
    assert result.errors == CODES


@given(st.lists(tables(), min_size=1, max_size=3), dialects, st.lists(st.integers(0, 10_000), max_size=6))
def test_values_come_back_as_they_were_from_any_dialect(tmp_path_factory, parts, dialect, places):
    header = ["Name", "Key"]
    contents = [[(row * 2)[:2] for row in rows] for _, rows in parts]
    for kind in ("csv", "parquet", "jsonl"):
        result = ResultFile(LocalFolder(tmp_path_factory.mktemp("out")), "rows", "unprocessed", kind)
        for rows in contents:
            pour(result.job("1", dialect), CSV, cut(encode([header, *rows], dialect, quote_all=False), places))
        uri = result.commit()
        expected = [row for rows in contents for row in rows]
        if kind == "csv":
            assert read(uri) == [header, *expected]
        elif kind == "parquet":
            assert [list(row.values()) for row in pq.read_table(uri).to_pylist()] == expected
        else:
            lines = Path(uri).read_text("utf-8").split("\n")[:-1]
            assert [list(json.loads(line).values()) for line in lines] == expected


@pytest.mark.parametrize("empty", [b"", b'"sf__Id","sf__Error",FirstName,LastName\n'])
def test_no_rows_are_no_rows_however_it_is_said(tmp_path, empty):
    result = ResultFile(LocalFolder(tmp_path), "failed.csv", "failed")
    pour(result.job("1", COMMA), CSV, [empty])
    pour(result.job("2", COMMA), Reply(204), [])
    pour(result.job("3", COMMA), CSV, [FAILED])
    assert len(read(result.commit())) == 4
    assert result.records == 3


def test_a_header_alone_gives_a_file_with_the_columns(tmp_path):
    result = ResultFile(LocalFolder(tmp_path), "failed.parquet", "failed", "parquet")
    pour(result.job("1", COMMA), CSV, [FAILED.splitlines(keepends=True)[0]])
    table = pq.read_table(result.commit())
    assert table.num_rows == 0
    assert table.schema.field("sf__ErrorCode").type == pa.string()


def test_nothing_at_all_gives_no_file(tmp_path):
    result = ResultFile(LocalFolder(tmp_path), "failed.csv", "failed")
    pour(result.job("1", COMMA), Reply(204), [])
    assert result.commit() is None
    assert files(tmp_path) == []


@given(st.integers(0, len(SUCCESSFUL) - 1))
def test_a_job_that_was_cut_off_leaves_nothing_and_may_be_fetched_again(tmp_path_factory, end):
    result = ResultFile(LocalFolder(tmp_path_factory.mktemp("out")), "s.csv", "successful")
    pour(result.job("1", COMMA), CSV, [SUCCESSFUL])
    second = result.job("2", COMMA, expect_records=2)
    assert is_refused(second, CSV, SUCCESSFUL[:end])
    with pytest.raises(JobError):
        result.commit()
    pour(second, CSV, [SUCCESSFUL])
    assert second.records == 2
    header, *rows = by_csv(SUCCESSFUL, COMMA)
    assert read(result.commit()) == [header, *rows, *rows]


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (page_reply(None, None, "text/html"), SUCCESSFUL),
        (CSV, b"<html>\n"),
        (CSV, b'"Id","Name"\n"1","2"\n'),
        (CSV, FAILED),
    ],
)
def test_what_is_no_result_file_of_its_kind_is_refused(tmp_path, reply, body):
    assert is_refused(ResultFile(LocalFolder(tmp_path), "s.csv", "successful").job("1", COMMA), reply, body)
    assert files(tmp_path) == []


def test_columns_of_later_jobs_are_matched_by_name(tmp_path):
    result = ResultFile(LocalFolder(tmp_path), "u.csv", "unprocessed")
    pour(result.job("1", COMMA), CSV, [b"Name,Key__c\nA,1\n"])
    pour(result.job("2", COMMA), CSV, [b"key__c,NAME\n2,B\n"])
    assert read(result.commit()) == [["Name", "Key__c"], ["A", "1"], ["B", "2"]]


@pytest.mark.parametrize("header", [b"Name\n", b"Name,Key__c,More\n", b"Name,Other\n", b"Name,Name\n"])
def test_other_columns_are_an_error_and_the_file_is_never_shown(tmp_path, header):
    result = ResultFile(LocalFolder(tmp_path), "u.csv", "unprocessed")
    pour(result.job("1", COMMA), CSV, [b"Name,Key__c\nA,1\n"])
    with pytest.raises(ProtocolError, match="job 2 have other columns"):
        pour(result.job("2", COMMA), CSV, [header])
    with pytest.raises(JobError):
        result.commit()
    result.discard()
    result.discard()
    assert files(tmp_path) == []


def test_the_order_is_that_of_the_jobs_whichever_ends_first(tmp_path):
    result = ResultFile(LocalFolder(tmp_path), "u.csv", "unprocessed")
    sinks = [result.job(str(i), COMMA) for i in range(12)]
    threads = [
        Thread(target=pour, args=(sink, CSV, [f"Key__c\n{i}\n".encode()])) for i, sink in reversed([*enumerate(sinks)])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(result.commit()) == [["Key__c"], *[[str(i)] for i in range(12)]]


def test_a_file_larger_than_memory_takes_for_it_goes_over_the_disk(tmp_path):
    rows = [[f"{i:07}", "x" * 200] for i in range(30_000)]
    result = ResultFile(LocalFolder(tmp_path), "u.csv", "unprocessed")
    body = encode([["Key__c", "Text__c"], *rows])
    pour(result.job("1", COMMA), CSV, [body[i : i + 65_536] for i in range(0, len(body), 65_536)])
    assert Path(result.commit()).read_bytes() == body


def test_the_header_tells_the_delimiter_when_the_file_does_not_follow_the_job(tmp_path):
    result = ResultFile(LocalFolder(tmp_path), "s.csv", "successful")
    pour(result.job("1", Dialect(ColumnDelimiter.TAB, LineEnding.CRLF)), CSV, [SUCCESSFUL])
    assert read(result.commit()) == by_csv(SUCCESSFUL, COMMA)


def test_row_numbers_come_from_the_caller_and_stand_in_front(tmp_path):
    asked = []

    def number(job_id, batch):
        asked.append((job_id, batch.schema.names))
        return pa.array(range(1, batch.num_rows + 1), pa.int64())

    result = ResultFile(LocalFolder(tmp_path), "f.parquet", "failed", "parquet", row_numbers=number)
    pour(result.job("1", COMMA), CSV, [FAILED])
    table = pq.read_table(result.commit())
    assert table.schema.names[:2] == ["sf__Row", "sf__Id"]
    assert table["sf__Row"].to_pylist() == [1, 2, 3]
    assert set(map(str, asked)) == {str(("1", ["sf__Id", "sf__Error", "FirstName", "LastName"]))}


def test_codes_are_counted_without_a_file():
    count = CountCodes("1", COMMA, expect_records=3)
    assert is_refused(count, CSV, FAILED[:-5])
    assert is_refused(count, CSV, FAILED[: FAILED.rindex(b"\n", 0, -1) + 1])
    assert is_refused(count, Reply(204), b"")
    pour(count, CSV, [FAILED])
    assert (count.records, count.errors) == (3, CODES)


def test_no_failed_rows_count_as_none():
    count = CountCodes("1", COMMA)
    pour(count, Reply(204), [])
    assert (count.records, count.errors) == (0, Counter())


def test_a_discarded_result_leaves_nothing(tmp_path):
    result = ResultFile(LocalFolder(tmp_path), "s.csv", "successful")
    pour(result.job("1", COMMA), CSV, [SUCCESSFUL])
    result.job("2", COMMA).start(CSV)
    result.discard()
    assert files(tmp_path) == []
    with pytest.raises(JobError):
        result.commit()
