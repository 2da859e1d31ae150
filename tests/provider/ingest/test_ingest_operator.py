"""BulkIngestOperator as its user meets it: real HTTP to a local org, real ledger, no scheduler."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pytest_mock import MockerFixture

from airflow_provider_sfbulk.client.errors import (
    FailedRecordsError,
    InputChangedError,
    JobFailedError,
    SourceError,
)
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.load import input as load_input
from airflow_provider_sfbulk.operators.task_run import TaskRun
from tests.provider.conftest import FakeTask

ROWS: list[dict[str, Any]] = [
    {"Name": 'Umbrella, "Stand" Co', "External_Key__c": "A-1", "NumberOfEmployees": 12},
    {"Name": "Ünïcödé 東京\nsecond line", "External_Key__c": "A-2", "NumberOfEmployees": None},
    {"Name": "Parasol Works", "External_Key__c": "A-3", "NumberOfEmployees": 7},
]


def operator(**arguments: Any) -> BulkIngestOperator:
    defaults: dict[str, Any] = {"task_id": "load", "sobject": "Account", "operation": "insert", "deferrable": False}
    return BulkIngestOperator(**{**defaults, **arguments})


def stored(org: LocalOrg) -> list[tuple[Any, ...]]:
    rows = org.records("Account")
    return sorted((row["Name"], row["External_Key__c"], row["NumberOfEmployees"]) for row in rows)


EXPECTED = sorted((row["Name"], row["External_Key__c"], row["NumberOfEmployees"]) for row in ROWS)


def write_csv(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_list_of_dicts_arrives(org: LocalOrg, task: FakeTask) -> None:
    summary = task.start().run(operator(source=ROWS))
    assert stored(org) == EXPECTED
    assert {key: summary[key] for key in ("processed", "successful", "failed", "unprocessed", "errors")} == {
        "processed": 3,
        "successful": 3,
        "failed": 0,
        "unprocessed": 0,
        "errors": {},
    }
    assert len(summary["job_ids"]) == 1
    assert summary["results"] == {"successful": [], "failed": [], "unprocessed": []}
    assert summary["manifest"] is None
    assert len(json.dumps(summary)) < 4096


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet", "frame", "arrow", "callable"])
def test_every_kind_of_source_brings_the_same_records(kind: str, org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{kind}"
    source: Any = str(path)
    match kind:
        case "csv":
            write_csv(path)
        case "csv.gz":
            path.write_bytes(gzip.compress(write_csv(tmp_path / "plain.csv").read_bytes()))
        case "jsonl":
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
        case "parquet":
            pq.write_table(pa.Table.from_pylist(ROWS), path)
        case "frame":
            source = pd.DataFrame(ROWS)
        case "arrow":
            source = pa.Table.from_pylist(ROWS)
        case "callable":
            source = lambda: iter(ROWS)  # noqa: E731
    task.start().run(operator(source=source))
    assert stored(org) == EXPECTED


def test_an_input_larger_than_a_part_becomes_several_jobs(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    rows = [{"Name": f"Account {n}", "External_Key__c": f"K-{n}", "NumberOfEmployees": n} for n in range(1000)]
    summary = task.start().run(operator(source=str(write_csv(tmp_path / "many.csv", rows)), part_records=300))
    assert len(summary["job_ids"]) == 4
    assert summary["successful"] == 1000
    assert sorted(row["External_Key__c"] for row in org.records("Account")) == sorted(
        r["External_Key__c"] for r in rows
    )


def test_a_pattern_loads_all_its_files(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    for number, row in enumerate(ROWS):
        write_csv(tmp_path / f"part-{number}.csv", [row])
    summary = task.start().run(operator(source=f"{tmp_path}/part-*.csv"))
    assert stored(org) == EXPECTED
    assert len(summary["job_ids"]) == 3


def test_failed_records_fail_the_task_and_lie_in_a_file(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    rows = [*ROWS, {"Name": "", "External_Key__c": "BAD", "NumberOfEmployees": 1}]
    results = tmp_path / "results"
    with pytest.raises(FailedRecordsError) as caught:
        task.start().run(operator(source=rows, results_path=str(results)))
    message = str(caught.value)
    assert "1 of 4 records failed" in message
    assert "REQUIRED_FIELD_MISSING 1" in message
    assert org.jobs[0].id in message
    assert "BAD" not in message
    with (results / "failed.csv").open(newline="", encoding="utf-8") as file:
        (failed,) = csv.DictReader(file)
    assert failed["External_Key__c"] == "BAD"
    assert failed["sf__ErrorCode"] == "REQUIRED_FIELD_MISSING"
    assert failed["sf__ErrorFields"] == "Name"
    assert not (results / "unprocessed.csv").exists()
    manifest = json.loads((results / "_manifest.json").read_text())
    assert manifest["counts"] == {"successful": 3, "failed": 1, "unprocessed": 0}
    assert stored(org) == EXPECTED


def test_the_failed_records_file_is_a_source_again(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    rows = [*ROWS[:2], {**ROWS[2], "NumberOfEmployees": "many"}]
    first = operator(source=rows, results_path=str(tmp_path), max_failed_records=1)
    summary = task.start().run(first)
    assert summary["errors"].keys() == {"INVALID_FIELD"}
    (failed,) = summary["results"]["failed"]
    text = Path(failed).read_text(encoding="utf-8")
    Path(failed).write_text(text.replace('"many"', '"7"'), encoding="utf-8")
    FakeTask().start().run(operator(source=failed))
    assert stored(org) == EXPECTED


@pytest.mark.parametrize(("allowed", "passes"), [(0, False), (1, True), (0.2, False), (0.25, True), (None, True)])
def test_max_failed_records_is_a_number_or_a_fraction(
    allowed: float | None, passes: bool, org: LocalOrg, task: FakeTask
) -> None:
    rows = [*ROWS, {"Name": "", "External_Key__c": "BAD", "NumberOfEmployees": 1}]
    load = operator(source=rows, max_failed_records=allowed)
    if passes:
        assert task.start().run(load)["failed"] == 1
    else:
        with pytest.raises(FailedRecordsError):
            task.start().run(load)


def test_a_small_job_is_noticed_without_deferring(org: LocalOrg, task: FakeTask) -> None:
    assert operator(source=ROWS, deferrable=True).execute(task.start().context)["successful"] == 3  # type: ignore[call-overload]


def test_the_link_to_the_job_is_there_before_the_wait(org: LocalOrg, task: FakeTask) -> None:
    attempt = task.start()
    summary = attempt.run(operator(source=ROWS))
    assert attempt.xcoms["salesforce_bulk_job_link"].endswith(
        f"/lightning/setup/AsyncApiJobStatus/page?address=%2F{summary['job_ids'][0]}"
    )


def test_without_waiting_the_job_ids_are_returned(org: LocalOrg, task: FakeTask) -> None:
    job_ids = task.start().run(operator(source=ROWS, wait_for_completion=False))
    assert [job.id for job in org.jobs] == job_ids


def test_a_retry_adopts_the_job_and_does_not_insert_twice(
    org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = operator(source=ROWS)
    monkeypatch.setattr(dying, "_wait", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        task.start().run(dying)
    before = len(org.calls)
    summary = task.start().run(operator(source=ROWS))
    assert summary["successful"] == 3
    assert stored(org) == EXPECTED
    assert len(org.jobs) == 1
    assert not [call for call in org.calls[before:] if call.method in ("POST", "PUT") and "/jobs/" in call.path]


def test_a_cleared_success_loads_again(org: LocalOrg, task: FakeTask) -> None:
    load = {"operation": "upsert", "external_id_field": "External_Key__c", "source": ROWS}
    task.start().run(operator(**load))
    task.start(cleared=True).run(operator(**load))
    assert len(org.jobs) == 2
    assert stored(org) == EXPECTED


def test_a_retry_after_the_work_is_done_loads_nothing_again(org: LocalOrg, task: FakeTask) -> None:
    """Airflow fails a task also when its return value cannot be stored, or its worker dies in that moment."""
    first = task.start().run(operator(source=ROWS))
    again = task.start().run(operator(source=ROWS))
    assert again["job_ids"] == first["job_ids"]
    assert stored(org) == EXPECTED


def test_changed_parameters_stop_an_unfinished_load(
    org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = operator(source=ROWS)
    monkeypatch.setattr(dying, "_wait", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        task.start().run(dying)
    with pytest.raises(InputChangedError, match="operation"):
        task.start().run(operator(source=ROWS, operation="upsert", external_id_field="External_Key__c"))


@pytest.mark.parametrize("part_records", [1, 2, 100])
def test_other_records_of_the_same_number_stop_an_unfinished_load(
    org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch, part_records: int
) -> None:
    dying = operator(source=ROWS, part_records=part_records)
    monkeypatch.setattr(dying, "_wait", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        task.start().run(dying)
    others = [*ROWS[:-1], {**ROWS[-1], "Name": "Somebody Else"}]
    jobs = len(org.jobs)
    with pytest.raises(InputChangedError, match="source changed") as caught:
        task.start().run(operator(source=others, part_records=part_records))
    assert "Somebody" not in str(caught.value)
    assert task.start().run(operator(source=list(ROWS), part_records=part_records))["successful"] == 3
    assert stored(org) == EXPECTED
    assert len(org.jobs) == jobs


# --- bad input: an error that says what, where and what to do, and nothing half-done is left ------------------------


def bad(org: LocalOrg, load: BulkIngestOperator, match: str, error: type[Exception] = SourceError) -> str:
    with pytest.raises(error, match=match) as caught:
        FakeTask().start().run(load)
    assert not org.records("Account")
    assert all(job.state == "Aborted" for job in org.jobs)
    return str(caught.value)


def test_a_missing_file(org: LocalOrg, tmp_path: Path) -> None:
    bad(org, operator(source=str(tmp_path / "none.csv")), "there is no file .*none.csv")
    assert not org.calls


def test_a_pattern_that_matches_nothing(org: LocalOrg, tmp_path: Path) -> None:
    bad(org, operator(source=f"{tmp_path}/*.csv"), "no file matches")


def test_an_empty_file(org: LocalOrg, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    bad(org, operator(source=str(tmp_path / "empty.csv")), "empty")


def test_a_header_only(org: LocalOrg, tmp_path: Path) -> None:
    (tmp_path / "header.csv").write_text("Name\n")
    bad(org, operator(source=str(tmp_path / "header.csv")), "no records")


def test_an_unknown_column_names_the_nearest(org: LocalOrg, tmp_path: Path) -> None:
    message = bad(org, operator(source=[{"Nmae": "x"}]), "Nmae")
    assert "Name" in message.replace("Nmae", "")
    assert not org.jobs


def test_a_missing_id(org: LocalOrg) -> None:
    bad(org, operator(operation="update", source=[{"Name": "x"}]), "Id")


def test_a_missing_external_id(org: LocalOrg) -> None:
    load = operator(operation="upsert", external_id_field="External_Key__c", source=[{"Name": "x"}])
    bad(org, load, "External_Key__c")


def test_a_wrong_object(org: LocalOrg) -> None:
    bad(org, operator(sobject="Acount", source=ROWS), "there is no object Acount")


def test_the_files_of_a_source_are_looked_for_once(
    org: LocalOrg, task: FakeTask, tmp_path: Path, mocker: MockerFixture
) -> None:
    """Where they are in object storage, each look is a request. The input is read again for the failed record."""
    looked = mocker.spy(load_input, "find_sources")
    (tmp_path / "a.csv").write_text('Name\nA\n""\n')
    given = operator(source=str(tmp_path / "*.csv"), results_path=str(tmp_path / "r"), max_failed_records=1)
    assert task.start().run(given)["failed"] == 1
    assert looked.call_count == 1


def test_a_malformed_record_in_the_last_part_leaves_the_org_untouched(org: LocalOrg, tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(b"Name\n" + b"".join(b"Account %d\n" % n for n in range(200_000)) + b"\xff\xfe\n")
    bad(org, operator(source=str(path), part_records=50_000), "UTF-8")
    assert org.jobs, "the parts before the broken one were uploaded, and aborted"


def test_a_job_that_somebody_aborts_fails_the_task(
    org: LocalOrg, task: FakeTask, tmp_path: Path, mocker: MockerFixture
) -> None:
    load = operator(source=ROWS, results_path=str(tmp_path))
    real = load._wait

    def abort_first(run: TaskRun, job_ids: list[str]) -> Any:
        run.client.ingest.abort(job_ids[0])
        return real(run, job_ids)

    org.core.job_seconds = 60  # by the org's own clock, which stands still: the job waits to be aborted
    mocker.patch.object(load, "_wait", abort_first)
    with pytest.raises(JobFailedError, match="Aborted"):
        task.start().run(load)
