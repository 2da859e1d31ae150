"""Extracts by Bulk API 1.0: the operator against the local org, held against what Bulk API 2.0 gives."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from starlette.responses import Response

from airflow_provider_sfbulk.client.errors import ProtocolError, SfBulkError, SourceError, TransportError
from airflow_provider_sfbulk.client.protocol import retry
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.client.bulk1.conftest import LostReply, LostRequest
from tests.provider.conftest import FakeTask
from tests.provider.readings import SOQL, fill_readings, many

ORDERED = f"{SOQL} ORDER BY External_Key__c"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat without pausing."""
    monkeypatch.setattr(retry, "FIRST_DELAY_SECONDS", 0.001)


@pytest.fixture
def readings(org: LocalOrg, tmp_path: Path) -> LocalOrg:
    fill_readings(org, tmp_path / "seed")
    return org


def extract(**arguments: Any) -> BulkQueryOperator:
    defaults = {"task_id": "extract", "soql": ORDERED, "api": "1.0", "deferrable": True, "retries": 2}
    return BulkQueryOperator(**{**defaults, **arguments})


def table_of(files: list[str]) -> Any:
    return pq.read_table(files).to_pylist()


@pytest.mark.parametrize("mode", ["Parallel", "Serial"])
def test_typed_rows_are_those_of_2_0(mode: str, readings: LocalOrg, tmp_path: Path) -> None:
    found = {}
    for api, own in (("1.0", {"concurrency_mode": mode}), ("2.0", {})):
        arguments = {"output_path": str(tmp_path / api), "output_format": "parquet", "api": api, **own}
        summary = FakeTask().start().run(extract(**arguments))
        schema = pq.read_schema(summary["files"][0])
        found[api] = (
            table_of(summary["files"]),
            schema.names,
            [str(kind) for kind in schema.types],
            summary["records"],
        )
    assert found["1.0"] == found["2.0"]
    assert found["1.0"][3] == 3
    assert [str(job.concurrency_mode) for job in readings.bulk1_jobs] == [mode]


def test_rows_for_xcom_are_those_of_2_0(readings: LocalOrg) -> None:
    assert FakeTask().start().run(extract()) == FakeTask().start().run(extract(api="2.0"))


@pytest.mark.parametrize("output_format", ["csv", "jsonl"])
def test_text_files_have_the_rows_of_2_0(output_format: str, readings: LocalOrg, tmp_path: Path) -> None:
    found = {}
    for api in ("1.0", "2.0"):
        arguments = {"output_path": str(tmp_path / api), "output_format": output_format, "api": api}
        (path,) = FakeTask().start().run(extract(**arguments))["files"]
        text = Path(path).read_text(encoding="utf-8")
        lines = text.splitlines() if output_format == "jsonl" else []
        found[api] = [json.loads(line) for line in lines] or list(csv.DictReader(text.splitlines(keepends=True)))
    assert found["1.0"] == found["2.0"]
    assert len(found["1.0"]) == 3


def test_many_result_files_are_part_files_in_order(org: LocalOrg, tmp_path: Path) -> None:
    fill_readings(org, tmp_path / "seed", many(40))
    org.core.result_file_bytes = 600
    summary = (
        FakeTask()
        .start()
        .run(extract(soql=f"{SOQL} ORDER BY Count__c", output_path=str(tmp_path / "out"), output_format="parquet"))
    )
    assert len(summary["files"]) > 3
    assert [row["Name"] for row in table_of(summary["files"])] == [row["Name"] for row in many(40)]
    assert summary["records"] == 40
    assert json.loads(Path(summary["manifest"]).read_text())["records"] == 40


def test_an_empty_result_has_its_schema(readings: LocalOrg, tmp_path: Path) -> None:
    soql = f"{SOQL} WHERE Name = 'nobody'"
    summary = FakeTask().start().run(extract(soql=soql, output_path=str(tmp_path / "out"), output_format="parquet"))
    assert summary["records"] == 0
    assert FakeTask().start().run(extract(soql=soql)) == []


def test_an_empty_result_of_fields_that_the_soql_does_not_name_has_no_invented_columns(
    readings: LocalOrg, tmp_path: Path
) -> None:
    with pytest.raises(ProtocolError, match="fields cannot be read from the SOQL"):
        FakeTask().start().run(
            extract(soql="SELECT FIELDS(STANDARD) FROM Reading__c WHERE Name = 'nobody'", output_path=str(tmp_path))
        )


@pytest.mark.parametrize("chunking", [True, 1000])
def test_pk_chunking_brings_every_row_once(chunking: Any, org: LocalOrg, tmp_path: Path) -> None:
    fill_readings(org, tmp_path / "seed", many(2500))
    summary = (
        FakeTask()
        .start()
        .run(extract(soql=SOQL, pk_chunking=chunking, output_path=str(tmp_path / "out"), output_format="parquet"))
    )
    assert sorted(row["Name"] for row in table_of(summary["files"])) == sorted(row["Name"] for row in many(2500))
    (entry,) = org.core.bulk1
    assert len(entry.batches) == (2 if chunking is True else 4), "the original, and one for each range of ids"


@pytest.mark.long
def test_a_hundred_thousand_rows_come_in_one_query(org: LocalOrg, tmp_path: Path) -> None:
    with org.core.store.writing() as connection:
        connection.executemany(
            "INSERT INTO Account (Id, Name, NumberOfEmployees) VALUES (?, ?, ?)",
            ((f"001LO{n:010}AAA", f"Account {n}", n) for n in range(100_000)),
        )
    summary = (
        FakeTask()
        .start()
        .run(
            extract(
                soql="SELECT Id, Name, NumberOfEmployees FROM Account",
                output_path=str(tmp_path),
                output_format="parquet",
            )
        )
    )
    assert summary["records"] == 100_000
    table = pq.read_table(summary["files"], columns=["NumberOfEmployees"])
    assert sorted(table.column(0).to_pylist()) == list(range(100_000))


# --- disturbed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [LostReply, LostRequest])
@pytest.mark.parametrize(
    "route", ["bulk1.add_batch", "bulk1.change", "bulk1.batches", "bulk1.result", "bulk1.query_result"]
)
def test_a_lost_reply_or_request_changes_nothing(route: str, fault: Any, readings: LocalOrg, tmp_path: Path) -> None:
    readings.core.faults.add(route, fault(1))
    summary = FakeTask().start().run(extract(output_path=str(tmp_path / "out"), output_format="parquet"))
    assert summary["records"] == 3
    assert len(table_of(summary["files"])) == 3


def test_a_retry_goes_on_with_the_job_behind_the_files_that_are_there(org: LocalOrg, tmp_path: Path) -> None:
    fill_readings(org, tmp_path / "seed", many(40))
    org.core.result_file_bytes = 600
    task = FakeTask()
    operator = extract(
        soql=f"{SOQL} ORDER BY Count__c", output_path=str(tmp_path / "out"), deferrable=False, max_concurrent_pages=1
    )
    org.fault("bulk1.query_result", "drop", when="after", call=3, times=None)
    with pytest.raises(TransportError):
        task.start().run(operator)
    assert not list((tmp_path / "out").glob("part-*"))
    org.core.faults.clear()
    org.calls.clear()
    summary = task.start().run(operator)
    assert summary["records"] == 40
    assert len(org.bulk1_jobs) == 1, "no second query"
    read = sum("/result/" in call.path for call in org.calls)
    assert read == len(summary["files"]) - 2


@pytest.mark.parametrize("output_format", ["csv", "parquet"])
def test_rows_that_no_result_file_has_are_missed(output_format: str, readings: LocalOrg, tmp_path: Path) -> None:
    class NoFiles(Fault):
        async def after(self, exchange: Exchange, response: Response) -> Response:
            listed = re.sub(rb"<result>.*</result>", b"", bytes(response.body))
            return Response(listed, media_type="application/xml")

    readings.core.faults.add("bulk1.result", NoFiles())
    with pytest.raises(ProtocolError, match="has 3 rows, but 0 were received"):
        FakeTask().start().run(extract(output_path=str(tmp_path / "out"), output_format=output_format))
    assert not list((tmp_path / "out").glob("part-*"))


def test_a_query_that_the_org_refuses_says_why(readings: LocalOrg) -> None:
    with pytest.raises((SfBulkError, AirflowFailException), match="Nonsense__c"):
        FakeTask().start().run(extract(soql="SELECT Nonsense__c FROM Reading__c"))


def test_a_person_s_clear_while_deferred_begins_anew(readings: LocalOrg) -> None:
    readings.core.job_seconds = 3600.0
    task, operator = FakeTask(), extract()
    with pytest.raises(TaskDeferred):
        task.start().run_once(operator)
    readings.core.job_seconds = 0.0
    assert len(task.start(cleared=True).run(operator)) == 3
    assert [str(job.state) for job in readings.bulk1_jobs] == ["Aborted", "Closed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pk_chunking": True, "api": "2.0"}, "pk_chunking needs api='1.0'"),
        ({"column_delimiter": "TAB"}, "column_delimiter and line_ending need api='2.0'"),
        ({"pk_chunking": 0}, "pk_chunking|chunk"),
        ({"pk_chunking": 10_000_000}, "pk_chunking|chunk"),
        ({"soql": "SELECT COUNT() FROM"}, "SOQL|FROM"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(arguments: dict[str, Any], message: str, readings: LocalOrg) -> None:
    with pytest.raises((SourceError, AirflowFailException), match=message):
        FakeTask().start().run(extract(**arguments))
    assert readings.bulk1_jobs == []
