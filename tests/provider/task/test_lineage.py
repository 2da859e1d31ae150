"""What a task tells its assets and OpenLineage: the operators against the local org, OpenLineage's own classes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset
from openlineage.client.serde import Serde

from airflow_provider_sfbulk.client.errors import FailedRecordsError, JobTimeoutError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.operators.summary import EVENT_FILES
from airflow_provider_sfbulk.task import lineage
from airflow_provider_sfbulk.task.lineage import file_place
from tests.provider.conftest import FakeTask

ACCOUNTS = Asset("accounts")
SECRET = "Confidential Umbrella Co"


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """OpenLineage is configured."""
    transport = {"type": "file", "log_file_path": str(tmp_path / "events"), "append": True}
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(transport))
    _forget_configuration()
    yield
    _forget_configuration()


def _forget_configuration() -> None:
    from airflow.providers.openlineage import conf  # whose answers are kept

    for each in vars(conf).values():
        if hasattr(each, "cache_clear"):
            each.cache_clear()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.csv"
    path.write_text(f"Name,NumberOfEmployees,External_Key__c\n{SECRET},12,A-1\nParasol Works,,A-2\n", encoding="utf-8")
    return path


def load(source: Any, **arguments: Any) -> BulkIngestOperator:
    given: dict[str, Any] = {"task_id": "load", "sobject": "Account", "operation": "insert", "deferrable": False}
    return BulkIngestOperator(source=source, **{**given, **arguments})


def extract(**arguments: Any) -> BulkQueryOperator:
    given: dict[str, Any] = {"task_id": "extract", "soql": "SELECT Id, Name, AnnualRevenue FROM Account"}
    return BulkQueryOperator(**{"deferrable": False, **given, **arguments})


def events_of(operator: BulkIngestOperator | BulkQueryOperator) -> dict[str, Any]:
    told = operator.get_openlineage_facets_on_complete(None)
    assert told is not None
    written: dict[str, Any] = json.loads(Serde.to_json(told))
    return written


def fields_of(dataset: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("type") for each in dataset["facets"]["schema"]["fields"]}


# --- OpenLineage ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("api", ["2.0", "1.0"])
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_load_tells_file_object_columns_and_jobs(
    api: str, deferrable: bool, org: LocalOrg, source: Path, task: FakeTask
) -> None:
    operator = load(str(source), api=api, deferrable=deferrable)
    summary = task.start().run(operator)
    told = events_of(operator)
    (read,), (written,) = told["inputs"], told["outputs"]
    assert (read["namespace"], read["name"]) == ("file", str(source))
    assert list(fields_of(read)) == ["Name", "NumberOfEmployees", "External_Key__c"]
    assert (written["namespace"], written["name"]) == (org.url.replace("http:", "salesforce:"), "Account")
    assert fields_of(written) == {"Name": "string", "NumberOfEmployees": "int", "External_Key__c": "string"}
    assert read["inputFacets"]["inputStatistics"]["rowCount"] == 2
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 2
    run = told["run_facets"]["salesforceBulk"]
    assert (run["jobIds"], run["source"]) == (summary["job_ids"], org.url)
    assert run["facts"] == {"operation": "insert", "successful": 2, "failed": 0, "unprocessed": 0, "errors": {}}
    assert told["run_facets"]["externalQuery"]["externalQueryId"] == summary["job_ids"][0]
    assert SECRET not in json.dumps(told)


@pytest.mark.usefixtures("listening")
def test_a_retry_that_only_settles_tells_the_columns_too(org: LocalOrg, source: Path, task: FakeTask) -> None:
    org.core.job_seconds = 3600.0
    operator = load(str(source), timeout=0.1)
    with pytest.raises(JobTimeoutError):
        task.start().run(operator)
    org.core.job_seconds = 0.0
    org.advance(3600.0)
    again = load(str(source))
    task.start().run(again)
    assert "Name" in fields_of(events_of(again)["outputs"][0])


@pytest.mark.usefixtures("listening")
def test_a_load_that_fails_for_its_records_tells_what_it_saved(org: LocalOrg, task: FakeTask) -> None:
    operator = load([{"Name": SECRET}, {"Name": "B", "NumberOfEmployees": "a dozen"}])
    with pytest.raises(FailedRecordsError):
        task.start().run(operator)
    told = operator.get_openlineage_facets_on_failure(None)
    assert told is not None
    written = json.loads(Serde.to_json(told))
    assert written["inputs"] == [], "records in memory have no name"
    assert written["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 1
    assert written["run_facets"]["salesforceBulk"]["facts"]["failed"] == 1
    assert SECRET not in json.dumps(written)


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("output_format", ["csv", "parquet"])
def test_an_extract_tells_object_folder_types_and_statement(
    output_format: str, org: LocalOrg, source: Path, tmp_path: Path
) -> None:
    FakeTask().start().run(load(str(source)))
    operator = extract(
        soql="SELECT Id, Name, AnnualRevenue, Owner.Name FROM Account WHERE Name = :name",
        soql_params={"name": SECRET},
        output_path=str(tmp_path / "out"),
        output_format=output_format,
    )
    summary = FakeTask().start().run(operator)
    told = events_of(operator)
    (read,), (written,) = told["inputs"], told["outputs"]
    assert read["name"] == "Account"
    assert (written["namespace"], written["name"]) == ("file", str(tmp_path / "out"))
    types = {"Id": "string", "Name": "string", "AnnualRevenue": "integer", "Owner.Name": "string"}
    assert fields_of(read) == fields_of(written) == types
    size = sum(Path(uri).stat().st_size for uri in summary["files"])
    statistics = written["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"], statistics["fileCount"]) == (1, size, 1)
    assert told["job_facets"]["sql"]["query"] == operator.soql
    assert SECRET not in json.dumps(told)


@pytest.mark.usefixtures("listening")
def test_an_object_that_cannot_be_described_any_more_fails_no_task(org: LocalOrg, source: Path, tmp_path: Path) -> None:
    FakeTask().start().run(load(str(source)))
    org.fault("data.describe", "request_limit", times=None)
    operator = extract(output_path=str(tmp_path / "out"))
    assert FakeTask().start().run(operator)["records"] == 2
    assert operator.get_openlineage_facets_on_complete(None) is None


def test_a_configuration_that_cannot_be_read_fails_no_task(
    org: LocalOrg, source: Path, tmp_path: Path, listening: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", "{broken")
    summary = FakeTask().start().run(load(str(source)))
    assert summary["successful"] == 2


@pytest.mark.usefixtures("listening")
def test_rows_for_xcom_have_an_object_and_no_output(org: LocalOrg, source: Path) -> None:
    FakeTask().start().run(load(str(source)))
    operator = extract()
    FakeTask().start().run(operator)
    told = events_of(operator)
    assert fields_of(told["inputs"][0]) == {"Id": "string", "Name": "string", "AnnualRevenue": "integer"}
    assert told["outputs"] == []


def test_where_nobody_listens_no_call_is_made_and_nothing_is_kept(org: LocalOrg, source: Path, tmp_path: Path) -> None:
    assert not lineage.is_wanted()
    operator = extract(output_path=str(tmp_path / "out"))
    FakeTask().start().run(operator)
    assert operator.get_openlineage_facets_on_complete(None) is None
    assert [call.path for call in org.calls if "describe" in call.path] == []


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("/data/in/*.csv", "file", "/data/in/*.csv"),
        ("file:///data/a.csv", "file", "/data/a.csv"),
        ("s3://minio@lake/accounts/a.csv", "s3://lake", "accounts/a.csv"),
        ("gs://lake/accounts/", "gs://lake", "accounts"),
        ("s3://lake", "s3://lake", "/"),
        ("s3://lake/a#b?c.csv", "s3://lake", "a#b?c.csv"),
    ],
)
def test_files_are_named_as_openlineage_names_them(uri: str, namespace: str, name: str) -> None:
    place = file_place(uri)
    assert (place.namespace, place.name) == (namespace, name)


# --- assets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_asset_s_event_tells_what_was_loaded(
    deferrable: bool, org: LocalOrg, source: Path, task: FakeTask, tmp_path: Path
) -> None:
    operator = load(str(source), outlets=[ACCOUNTS], results_path=str(tmp_path / "r"), deferrable=deferrable)
    attempt = task.start()
    summary = attempt.run(operator)
    extra = attempt.outlet_events[ACCOUNTS].extra
    assert (extra["sobject"], extra["operation"], extra["successful"], extra["failed"]) == ("Account", "insert", 2, 0)
    assert (extra["manifest"], extra["results"]) == (summary["manifest"], summary["results"])
    assert SECRET not in json.dumps(extra)
    again = task.start()
    again.run(operator)  # Airflow took the success for a failure
    assert again.outlet_events[ACCOUNTS].extra == extra


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_asset_s_event_tells_what_was_extracted(
    deferrable: bool, org: LocalOrg, source: Path, task: FakeTask, tmp_path: Path
) -> None:
    FakeTask().start().run(load(str(source)))
    operator = extract(output_path=str(tmp_path / "out"), outlets=[ACCOUNTS], deferrable=deferrable)
    attempt = task.start()
    summary = attempt.run(operator)
    assert attempt.outlet_events[ACCOUNTS].extra == {
        "sobject": "Account",
        "job_ids": [summary["job_id"]],
        "records": 2,
        "manifest": summary["manifest"],
        "files": summary["files"],
    }


def test_an_event_with_many_files_tells_their_number(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    FakeTask().start().run(load([{"Name": f"A {n}"} for n in range(EVENT_FILES + 1)]))
    attempt = task.start()
    operator = extract(output_path=str(tmp_path), outlets=[ACCOUNTS], page_records=1, max_concurrent_pages=1)
    attempt.run(operator)
    assert attempt.outlet_events[ACCOUNTS].extra["files"] == EVENT_FILES + 1
