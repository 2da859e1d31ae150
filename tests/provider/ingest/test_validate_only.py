"""Checks of a load's input, as their user meets them: real HTTP to a local org, which stays as it is."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_sfbulk import BulkIngestOperator
from airflow_provider_sfbulk.client.errors import EmptyInputError, FailedRecordsError, MissingSourceError, SourceError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import CHECK_XCOM_KEY
from airflow_provider_sfbulk.task.progress import PROGRESS_XCOM_KEY
from tests.provider.conftest import FakeTask, Try

SECRET: Final = "Confidential Umbrella Co"
ROWS: Final = [
    {"Name": SECRET, "External_Key__c": "A-1", "NumberOfEmployees": "12"},
    {"Name": SECRET, "External_Key__c": "A-2", "NumberOfEmployees": "a dozen"},
    {"Name": "", "External_Key__c": "A-1", "NumberOfEmployees": "7"},
]
FOUND: Final = {"INVALID_FIELD": 1, "REQUIRED_FIELD_MISSING": 1, "DUPLICATE_VALUE": 1}


def check(**given: Any) -> BulkIngestOperator:
    usual: dict[str, Any] = {"task_id": "check", "sobject": "Account", "operation": "insert", "source": ROWS}
    if "sql" in given:
        del usual["source"]
    return BulkIngestOperator(**{**usual, "validate_only": True, "max_failed_records": None, **given})


def written(kind: str, folder: Path) -> Any:
    """Make a source of the rows."""
    text = "Name,External_Key__c,NumberOfEmployees\n" + "".join(f"{','.join(row.values())}\n" for row in ROWS)
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    match kind:
        case "csv":
            (folder / "in.csv").write_text(text)
        case "csv.gz":
            (folder / "in.csv.gz").write_bytes(gzip.compress(text.encode()))
        case "jsonl":
            (folder / "in.jsonl").write_text(lines)
        case "parquet":
            pq.write_table(pa.Table.from_pylist(ROWS), folder / "in.parquet")
        case "pattern":
            (folder / "a.csv").write_text(text.partition(f"{SECRET},A-2")[0])
            (folder / "b.csv").write_text(text.replace(f"{SECRET},A-1,12\n", ""))
            return f"{folder}/*.csv"
        case _:
            kinds: dict[str, Any] = {
                "dicts": ROWS,
                "frame": pd.DataFrame(ROWS),
                "arrow": pa.Table.from_pylist(ROWS),
                "callable": lambda: iter(ROWS),
            }
            return kinds[kind]
    return str(folder / f"in.{kind}")


@pytest.fixture
def no_change(org: LocalOrg) -> Iterator[None]:
    """Nothing but logins and one describe reaches the org."""
    org.calls.clear()
    yield
    assert [call.path.rpartition("/")[2] for call in org.calls if "/oauth2/" not in call.path] == ["describe"]
    assert org.records("Account") == []
    assert list(org.jobs) == []


KINDS = ("csv", "csv.gz", "jsonl", "parquet", "pattern", "dicts", "frame", "arrow", "callable")


@pytest.mark.usefixtures("no_change")
@pytest.mark.parametrize("kind", KINDS)
def test_every_source_is_checked_by_one_call(kind: str, tmp_path: Path) -> None:
    result = FakeTask().start().run(check(source=written(kind, tmp_path)))
    assert result["errors"] == FOUND
    assert (result["records"], result["parts"], result["failed"]) == (3, 2 if kind == "pattern" else 1, 2)
    found = {each["column"]: each["first_rows"] for each in result["problems"]}
    assert found == {"NumberOfEmployees": [2], "Name": [3], "External_Key__c": [3]}


@pytest.mark.usefixtures("no_change")
def test_a_query_of_a_database_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        database.execute("CREATE TABLE a (Name TEXT, NumberOfEmployees TEXT)")
        database.execute("INSERT INTO a VALUES ('x', 'a dozen'), (NULL, '2')")
    uri = {"conn_type": "sqlite", "host": str(tmp_path / "a.db")}
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps(uri))
    result = FakeTask().start().run(check(sql="SELECT * FROM a", sql_conn_id="db"))
    assert result["errors"] == {"INVALID_FIELD": 1, "REQUIRED_FIELD_MISSING": 1}


@pytest.mark.usefixtures("no_change")
def test_a_check_with_problems_fails_for_good_and_its_result_is_there_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    attempt = FakeTask().start()
    with pytest.raises(FailedRecordsError) as failed:
        attempt.run(check(max_failed_records=1))
    assert isinstance(failed.value, AirflowFailException)
    assert "2 of 3 rows would fail" in str(failed.value)
    told = attempt.xcoms[CHECK_XCOM_KEY]
    assert told["errors"] == FOUND
    shown = attempt.xcoms[PROGRESS_XCOM_KEY]
    assert (shown["operation"], shown["phase"]) == ("check insert", "failed")
    assert shown["counts"] == {"successful": 1, "failed": 2, "unprocessed": 0}
    assert shown["errors"] == FOUND
    log = capsys.readouterr().out
    said = json.dumps(attempt.xcoms) + log + str(failed.value)
    assert "INVALID_FIELD           NumberOfEmployees: no whole number (1 row: 2)" in log
    assert all(value not in said for value in (SECRET, "a dozen", "A-1"))


@pytest.mark.parametrize(("allowed", "fails"), [(2, False), (1, True), (0.5, True), (0.7, False), (None, False)])
def test_as_many_rows_may_have_problems_as_may_fail_in_the_load(
    org: LocalOrg, allowed: float | None, fails: bool
) -> None:
    operator = check(max_failed_records=allowed)
    if fails:
        with pytest.raises(FailedRecordsError):
            FakeTask().start().run(operator)
    else:
        assert FakeTask().start().run(operator)["failed"] == 2


@pytest.mark.usefixtures("no_change")
def test_what_the_load_would_refuse_fails_the_check_whatever_is_allowed() -> None:
    attempt = FakeTask().start()
    with pytest.raises(SourceError, match=r"would be refused.*no field Nam\b.*Name"):
        attempt.run(check(source=[{"Nam": "x", "NumberOfEmployees": "a dozen"}], max_failed_records=None))
    assert attempt.xcoms[CHECK_XCOM_KEY]["errors"] == {"INVALID_FIELD": 1, "REQUIRED_FIELD_MISSING": 1}


@pytest.mark.usefixtures("no_change")
def test_rows_are_counted_through_all_files(tmp_path: Path) -> None:
    for name, employees in (("a", [1, 2]), ("b", [3, True, 4])):
        lines = (json.dumps({"Name": "x", "NumberOfEmployees": each}) + "\n" for each in employees)
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    attempt = FakeTask().start()
    with pytest.raises(SourceError, match=r"NumberOfEmployees: .*1 row: 4"):
        attempt.run(check(source=f"{tmp_path}/*.jsonl"))
    assert attempt.xcoms[CHECK_XCOM_KEY]["records"] == 5


@pytest.mark.usefixtures("no_change")
def test_rows_without_their_key_fail_an_upsert_s_check_unless_they_are_to_be_sent() -> None:
    upsert: dict[str, Any] = {"operation": "upsert", "external_id_field": "External_Key__c"}
    rows = [{"Name": "a", "External_Key__c": " "}, {"Name": "b", "External_Key__c": "B"}]
    attempt = FakeTask().start()
    with pytest.raises(SourceError, match=r"External_Key__c: blank.*1 row: 1"):
        attempt.run(check(source=rows, **upsert))


def test_blank_keys_that_are_to_be_sent_are_counted(org: LocalOrg) -> None:
    upsert: dict[str, Any] = {"operation": "upsert", "external_id_field": "External_Key__c"}
    rows = [{"Name": "a", "External_Key__c": " "}, {"Name": "b", "External_Key__c": "B"}]
    result = FakeTask().start().run(check(source=rows, blank_external_ids="send", **upsert))
    assert result["errors"] == {"MISSING_ARGUMENT": 1}


@pytest.mark.usefixtures("no_change")
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_all_problems_are_in_a_file_with_the_values(kind: str, tmp_path: Path) -> None:
    result = FakeTask().start().run(check(results_path=tmp_path, results_format=kind))
    (uri,) = result["results"]["failed"]
    path = Path(uri)
    match kind:
        case "csv":
            rows = list(csv.DictReader(path.read_text().splitlines()))
        case "jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
        case _:
            rows = pq.read_table(path).to_pylist()
    found = {
        (str(row["sf__Row"]), row["sf__ErrorCode"], row["sf__ErrorFields"], row["sf__Value"] or "") for row in rows
    }
    assert found == {
        ("2", "INVALID_FIELD", "NumberOfEmployees", "a dozen"),
        ("3", "REQUIRED_FIELD_MISSING", "Name", ""),
        ("3", "DUPLICATE_VALUE", "External_Key__c", ""),
    }
    manifest = json.loads((tmp_path / "_manifest.json").read_text())
    assert (manifest["operation"], manifest["counts"]["failed"], manifest["jobs"]) == ("check insert", 2, [])


def test_a_clean_input_is_loaded_by_the_next_task_at_the_cost_that_was_said(org: LocalOrg, tmp_path: Path) -> None:
    rows = [{"Name": f"A {number}"} for number in range(30)]
    # Looks after the first that are reckoned: two at each of three jobs, or one at the batches of one.
    for number, (api, reckoned) in enumerate((("2.0", 6), ("1.0", 1))):
        for results in ({}, {"results_path": tmp_path / api}):
            given = {"source": rows, "part_records": 10, "api": api, "deferrable": False, "max_failed_records": 0}
            told = FakeTask().start().run(check(**given))
            said = (
                FakeTask().start().run(check(**given, **({"results_path": tmp_path / f"c{number}"} if results else {})))
            )
            assert (told["failed"], told["refused"], told["complete"]) == (0, [], True)
            before = len(org.calls)
            loaded = FakeTask().start().run(check(**given, **results, validate_only=False))
            assert loaded["successful"] == 30
            looks = [call.path for call in org.calls[before:] if call.method == "GET"]
            again = len(looks) - len(set(looks))  # at a job that was still at work
            assert loaded["api_calls"] - again == said["load_api_calls"] - reckoned
            assert said["parts"] == 3


@pytest.mark.parametrize(("on_empty", "raised"), [("fail", EmptyInputError), ("skip", AirflowSkipException)])
def test_nothing_to_check_is_as_nothing_to_load(org: LocalOrg, on_empty: str, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        FakeTask().start().run(check(source=[], on_empty=on_empty))
    assert FakeTask().start().run(check(source=[], on_empty="success"))["records"] == 0


def test_a_file_that_is_not_there_may_come_later(org: LocalOrg, tmp_path: Path) -> None:
    with pytest.raises(MissingSourceError):
        FakeTask().start().run(check(source=str(tmp_path / "none.csv")))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"wait_for_completion": False}, "wait_for_completion"),
        ({"outlets": [Asset("accounts")]}, "outlets"),
        ({"validate_only": "true"}, "validate_only must be True or False"),
        ({"validate_only": "{{ params.dry }}"}, "validate_only is not a template field"),
    ],
)
def test_what_makes_no_sense_with_a_check_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        check(**given)


def test_a_decided_load_goes_on_after_a_check_of_the_same_task(org: LocalOrg) -> None:
    """A person switches validate_only on for one clear, and off again."""
    task = FakeTask()
    rows = [{"Name": "good"}, {"Name": "bad", "NumberOfEmployees": "a dozen"}]
    load: Callable[[], BulkIngestOperator] = lambda: check(  # noqa: E731
        source=rows, validate_only=False, max_failed_records=0, deferrable=False
    )
    with pytest.raises(FailedRecordsError):
        task.start().run(load())
    with pytest.raises(FailedRecordsError):
        task.start(cleared=True).run(check(source=rows, max_failed_records=0))
    again: Try = task.start(cleared=True)
    with pytest.raises(FailedRecordsError):
        again.run(load())
    assert [each["Name"] for each in org.records("Account")] == ["good"]
