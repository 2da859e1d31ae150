"""Sources and destinations in object storage: a real S3 client against moto's server."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import socket
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.sdk import ObjectStoragePath
from botocore.exceptions import ClientError, NoCredentialsError  # type: ignore[import-untyped]
from starlette.responses import Response
from upath import UPath

from airflow_provider_sfbulk.client.errors import FailedRecordsError, SourceError, StorageError, TransportError
from airflow_provider_sfbulk.client.protocol import retry
from airflow_provider_sfbulk.files.apart import Target, check_apart
from airflow_provider_sfbulk.files.paths import locate
from airflow_provider_sfbulk.files.storage import open_output
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.buckets import BUCKET, names, read, unfinished
from tests.provider.conftest import FakeTask
from tests.provider.readings import SOQL, fill_readings, many, truth


def operator(**arguments: Any) -> BulkQueryOperator:
    return BulkQueryOperator(**{"task_id": "extract", "soql": SOQL, "deferrable": False, "retries": 2, **arguments})


@pytest.mark.parametrize("where", ["s3://minio@{}/{}", "s3://{}/{}"])
def test_an_extract_lands_in_the_bucket(
    where: str, s3: Any, folder: str, org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    fill_readings(org, tmp_path, many(25))
    conn_id = None if "minio" in where else "minio"
    extract = {"output_path": where.format(BUCKET, folder), "output_conn_id": conn_id, "page_records": 10}
    summary = task.start().run(operator(**extract, max_concurrent_pages=1))
    assert [uri.startswith("s3://") for uri in summary["files"]] == [True] * 3
    manifest = json.loads(read(s3, summary["manifest"]))
    assert [file["uri"] for file in manifest["files"]] == summary["files"]
    rows = []
    for file in manifest["files"]:
        data = read(s3, file["uri"])
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        rows += list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert {row["External_Key__c"]: row["Name"] for row in rows} == {k: row["Name"] for k, row in truth(org).items()}
    assert names(s3, folder) == {"_manifest.json", *(file["name"] for file in manifest["files"])}
    # The next one takes its place.
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/notes.txt", Body=b"mine")
    again = task.start(cleared=True).run(operator(**extract | {"page_records": 1000}, output_format="parquet"))
    assert names(s3, folder) == {"_manifest.json", "notes.txt", again["files"][0].rpartition("/")[2]}
    assert pq.read_table(io.BytesIO(read(s3, again["files"][0]))).num_rows == 25
    assert not unfinished(s3)


@pytest.mark.parametrize("file_format", ["csv", "parquet", "jsonl"])
def test_an_empty_result_is_an_object_too(
    file_format: str, s3: Any, folder: str, org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    fill_readings(org, tmp_path)
    extract = operator(
        soql=f"{SOQL} WHERE Name = 'nobody'", output_path=f"s3://minio@{BUCKET}/{folder}", output_format=file_format
    )
    summary = task.start().run(extract)
    (file,) = json.loads(read(s3, summary["manifest"]))["files"]
    assert len(read(s3, file["uri"])) == file["bytes"]
    assert not unfinished(s3)


def test_a_page_that_never_proves_shows_no_object(
    s3: Any, folder: str, org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(Fault):
        async def after(self, exchange: Exchange, response: Response) -> Response:
            if exchange.number == 1:
                return response
            headers = {k: v for k, v in response.headers.items() if k.startswith("sforce-") or k == "content-type"}
            return Response(b'"Name"\n', headers=headers)

    fill_readings(org, tmp_path, many(25))
    monkeypatch.setattr(retry, "FIRST_DELAY_SECONDS", 0.001)
    org.core.faults.add("query.results", Cut())
    extract = operator(output_path=f"s3://minio@{BUCKET}/{folder}", page_records=10, max_concurrent_pages=1)
    with pytest.raises(TransportError):
        task.start().run(extract)
    (waiting,) = names(s3, folder)
    assert waiting.startswith("_part-"), "the first page, for the retry; readers of the folder skip it"
    assert not unfinished(s3)


def test_a_retry_takes_over_the_objects_of_finished_pages(
    s3: Any, folder: str, org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_readings(org, tmp_path, many(25))
    monkeypatch.setattr(retry, "FIRST_DELAY_SECONDS", 0.001)
    org.fault("query.results", "drop", when="after", call=4, times=None)
    extract = operator(output_path=f"s3://minio@{BUCKET}/{folder}", page_records=5, max_concurrent_pages=1)
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/notes.txt", Body=b"mine")
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/_part-7508d000003QaLpAAK-00009.csv.0123abcd", Body=b"of a job given up")
    with pytest.raises(TransportError):
        task.start().run(extract)
    waiting = sorted(name for name in names(s3, folder) if "LO" in name)
    assert len(waiting) == 3
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/{waiting[1]}", Body=b"not what was written")
    org.core.faults.clear()
    org.calls.clear()
    summary = task.start().run(extract)
    assert sum("/results" in call.path for call in org.calls) == 3, "the last two, and the one that was harmed"
    manifest = json.loads(read(s3, summary["manifest"]))
    assert names(s3, folder) == {"_manifest.json", "notes.txt", *(file["name"] for file in manifest["files"])}
    keys = []
    for file in manifest["files"]:
        data = read(s3, file["uri"])
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        keys += [row["External_Key__c"] for row in csv.DictReader(io.StringIO(data.decode(), newline=""))]
    assert sorted(keys) == sorted(truth(org))


def test_a_copy_that_is_not_whole_leaves_the_object_where_it_was(
    s3: Any, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some storages answer before they have copied all."""

    def half(source: str, target: str) -> None:
        s3.put_object(Bucket=BUCKET, Key=target.removeprefix(f"{BUCKET}/"), Body=b"12")

    path = ObjectStoragePath(f"s3://minio@{BUCKET}/{folder}")
    output = open_output(path)
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/old", Body=b"1234")
    with monkeypatch.context() as patch:
        patch.setattr(path.fs, "cp_file", half)
        with pytest.raises(StorageError, match="the copy has 2 bytes, the original 4"):
            output.rename("old", "new")
    assert output.sizes() == {"old": 4, "new": 2}
    output.rename("old", "new")
    assert output.sizes() == {"new": 4}
    with pytest.raises(StorageError):
        output.rename("old", "new")


def test_a_folder_that_is_not_there_has_no_files(s3: Any, folder: str) -> None:
    assert open_output(f"s3://minio@{BUCKET}/{folder}").sizes() == {}


def test_an_object_is_not_there_before_it_is_whole(s3: Any, folder: str) -> None:
    output = open_output(f"s3://minio@{BUCKET}/{folder}")
    first = output.create("large.bin")
    for _ in range(5):
        first.write(b"x" * 5_000_000)  # more than one piece of a multipart upload
    assert names(s3, folder) == set()
    first.discard()
    first.discard()
    assert names(s3, folder) == set()
    assert not unfinished(s3)
    second = output.create("large.bin")
    for _ in range(5):
        second.write(b"y" * 5_000_000)
    uri = second.commit()
    second.discard()
    assert read(s3, uri) == b"y" * 25_000_000
    assert output.read("large.bin") == b"y" * 25_000_000
    output.remove("large.bin")
    output.remove("large.bin")
    assert output.read("large.bin") is None


def load(**arguments: Any) -> BulkIngestOperator:
    return BulkIngestOperator(
        **{"task_id": "load", "sobject": "Account", "operation": "insert", "deferrable": False, **arguments}
    )


def test_a_load_reads_from_the_bucket_and_writes_its_results_there(
    s3: Any, folder: str, org: LocalOrg, task: FakeTask
) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/in/a.csv", Body="Name,Phone\nZürich,1\n東京,2\n".encode())
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/in/b.csv", Body=b"Name,Phone\n,3\n")
    with pytest.raises(FailedRecordsError) as caught:
        task.start().run(
            load(source=f"s3://minio@{BUCKET}/{folder}/in/*.csv", results_path=f"s3://minio@{BUCKET}/{folder}/out")
        )
    assert f"s3://{BUCKET}/{folder}/out/failed.csv" in str(caught.value)
    assert sorted(row["Name"] for row in org.records("Account")) == ["Zürich", "東京"]
    assert names(s3, f"{folder}/out") == {"_manifest.json", "successful.csv", "failed.csv"}
    (failed,) = csv.DictReader(io.StringIO(read(s3, f"{BUCKET}/{folder}/out/failed.csv").decode()))
    assert (failed["Phone"], failed["sf__ErrorCode"]) == ("3", "REQUIRED_FIELD_MISSING")


def test_one_object_by_name_with_the_connection_beside_it(s3: Any, folder: str, org: LocalOrg, task: FakeTask) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/one.csv", Body=b"Name\nOne\n")
    task.start().run(load(source=f"s3://{BUCKET}/{folder}/one.csv", source_conn_id="minio"))
    assert [row["Name"] for row in org.records("Account")] == ["One"]


@pytest.mark.parametrize(
    ("name", "match"), [("none.csv", "there is no file"), ("*.csv", "no file matches"), ("", "is a folder")]
)
def test_what_is_not_in_the_bucket_is_named(
    name: str, match: str, s3: Any, folder: str, org: LocalOrg, task: FakeTask
) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/other.txt", Body=b"")
    with pytest.raises(SourceError, match=match):
        task.start().run(load(source=f"s3://minio@{BUCKET}/{folder}/{name}".rstrip("/"), source_format="csv"))
    assert not org.jobs


@pytest.mark.parametrize("name", ["odd[1].csv", "what?.csv", "all*.csv", "dir[1]/x.csv", "dir[1]/*.csv"])
def test_an_exact_name_wins_over_the_pattern_it_looks_like(
    name: str, s3: Any, folder: str, org: LocalOrg, task: FakeTask
) -> None:
    exact = name.replace("/*", "/y")
    others = ("odd1.csv", "whats.csv", "all1.csv", "dir1/x.csv", "dir1/y.csv")
    for each in (*others, exact):
        s3.put_object(Bucket=BUCKET, Key=f"{folder}/{each}", Body=f"Name\n{each}\n".encode())
    task.start().run(load(source=f"s3://minio@{BUCKET}/{folder}/{name}"))
    assert [row["Name"] for row in org.records("Account")] == [exact]


def test_a_name_with_percent_signs_is_taken_as_it_is_and_the_error_says_so(
    s3: Any, folder: str, org: LocalOrg, task: FakeTask
) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/a b.csv", Body=b"Name\nOne\n")
    with pytest.raises(SourceError, match=f"not decoded; there is s3://{BUCKET}/{folder}/a b.csv"):
        task.start().run(load(source=f"s3://minio@{BUCKET}/{folder}/a%20b.csv"))


@pytest.mark.parametrize("make", [str, ObjectStoragePath], ids=["text", "ObjectStoragePath"])
def test_paths_of_objects_are_taken_everywhere(make: Any, s3: Any, folder: str, org: LocalOrg, task: FakeTask) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/in.csv", Body=b"Name\nOne\n")
    root = f"s3://minio@{BUCKET}/{folder}"
    summary = task.start().run(
        load(
            source=make(f"{root}/in.csv"),
            results_path=make(f"{root}/results"),
            staging_path=make(f"{root}/staging"),
        )
    )
    assert summary["results"]["successful"] == [f"s3://{BUCKET}/{folder}/results/successful.csv"]
    extract = FakeTask().start().run(operator(soql="SELECT Name FROM Account", output_path=make(f"{root}/lake")))
    assert extract["files"][0].startswith(f"s3://{BUCKET}/{folder}/lake/part-")
    # What is told is read again with the connection beside it.
    FakeTask().start().run(load(source=extract["files"][0], source_conn_id="minio"))
    assert len(org.records("Account")) == 2


def test_a_upath_with_its_own_options_needs_no_connection(s3: Any, folder: str, org: LocalOrg, task: FakeTask) -> None:
    options: Any = {"key": "key", "secret": "secret", "client_kwargs": {"endpoint_url": s3.meta.endpoint_url}}
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/in.csv", Body=b"Name\nOne\n")
    root = UPath(f"s3://{BUCKET}/{folder}", **options)
    summary = task.start().run(load(source=root / "in.csv", results_path=root / "results"))
    assert read(s3, summary["results"]["successful"][0])
    assert locate(root / "in.csv").resolved() == locate(f"s3://minio@{BUCKET}/{folder}//in.csv").resolved()


# --- errors of the storage --------------------------------------------------------------------------------------------

ARGUMENTS = ("source", "results_path", "staging_path", "output_path")


def run_with(task: FakeTask, argument: str, path: str, tmp_path: Path) -> Any:
    if argument == "output_path":
        return task.start().run(operator(soql="SELECT Name FROM Account", output_path=path))
    (tmp_path / "in.csv").write_text("Name\nOne\n")
    return task.start().run(load(**{"source": str(tmp_path / "in.csv"), argument: path}))


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_a_bucket_that_is_not_there_is_named(
    argument: str, s3: Any, org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=f"{argument}: .*nosuchbucket") as caught:
        run_with(task, argument, "s3://minio@nosuchbucket/x/in.csv", tmp_path)
    assert "the bucket does not exist" in str(caught.value) or "there is no bucket" in str(caught.value)
    assert not org.jobs


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_a_storage_that_does_not_answer_is_named(
    argument: str, org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as held:  # bound and not listening: refused at once
        held.bind(("127.0.0.1", 0))
        keys = {"region_name": "us-east-1", "endpoint_url": f"http://127.0.0.1:{held.getsockname()[1]}"}
        keys["config_kwargs"] = {"retries": {"max_attempts": 0}}  # type: ignore[assignment]
        connection = {"conn_type": "aws", "login": "key", "password": "hiddenpw", "extra": keys}
        monkeypatch.setenv("AIRFLOW_CONN_DOWN", json.dumps(connection))
        with pytest.raises(StorageError, match=f"{argument}: could not .* s3://bucket/.*connection down.*") as caught:
            run_with(task, argument, f"s3://down@bucket/{argument}/in.csv", tmp_path)
    assert "hiddenpw" not in str(caught.value)
    assert not org.jobs


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (PermissionError(13, "Access Denied"), SourceError, "permission denied .*permissions of the connection"),
        (
            ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject"),
            SourceError,
            "permission denied .*AccessDenied",
        ),
        (ClientError({"Error": {"Code": "SlowDown"}}, "PutObject"), StorageError, "SlowDown.*retry"),
        (NoCredentialsError(), SourceError, "permission denied .*NoCredentialsError"),
        (ImportError("no", name="aiobotocore"), SourceError, "not installed .aiobotocore"),
        (RuntimeError("hiddenpw"), StorageError, "RuntimeError"),
        (TimeoutError(), StorageError, "TimeoutError"),
    ],
    ids=repr,
)
def test_whatever_a_storage_raises_comes_as_this_packages_error(
    raised: Exception, kind: type[Exception], message: str, argument: str, s3: Any, folder: str, org: LocalOrg,
    task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def refuse(*_: Any, **__: Any) -> Any:
        raise raised

    fs = ObjectStoragePath(f"s3://minio@{BUCKET}").fs
    monkeypatch.setattr(fs, "info" if argument == "source" else "open", refuse)
    with pytest.raises(kind, match=f"{argument}: could not .* s3://{BUCKET}/{folder}/.*{message}") as caught:
        run_with(task, argument, f"s3://minio@{BUCKET}/{folder}/in.csv", tmp_path)
    assert "hiddenpw" not in str(caught.value)
    assert not org.jobs


# --- input and output apart -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "s3://minio@{}/{}/d/failed.csv",
        "s3://{}/{}/d/failed.csv",
        "s3a://{}/{}/d/failed.csv",
        "s3://{}/{}/d//failed.csv",
        "s3://{}/{}/d/*.csv",
        "s3://{}/{}/*/[ef]ailed.csv",
        "s3://{}/{}/**/*.csv",
    ],
)
@pytest.mark.parametrize("results", ["s3://minio@{}/{}/d", "s3://{}/{}/d/", "s3a://{}/{}/d"])
def test_a_load_never_replaces_the_object_it_reads(
    source: str, results: str, s3: Any, folder: str, org: LocalOrg, task: FakeTask
) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/d/failed.csv", Body=b"Name\nOne\n")
    with pytest.raises(SourceError, match="results_path"):
        task.start().run(
            load(
                source=source.format(BUCKET, folder),
                source_conn_id=None if "minio" in source else "minio",
                results_path=results.format(BUCKET, folder),
                results_conn_id="minio",
            )
        )
    assert names(s3, folder) == {"d/failed.csv"}
    assert not org.jobs


def test_objects_of_one_name_in_two_storages_are_two(s3: Any, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"region_name": "us-east-1", "endpoint_url": "http://127.0.0.1:1"}
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": keys}
    monkeypatch.setenv("AIRFLOW_CONN_ELSEWHERE", json.dumps(connection))
    one = Target.results(f"s3://{BUCKET}/{folder}", "csv", conn_id="elsewhere")
    check_apart([f"s3://minio@{BUCKET}/{folder}/failed.csv"], [one], conn_id=None)
    same = Target.results(f"s3://{BUCKET}/{folder}", "csv", conn_id="minio")
    with pytest.raises(SourceError, match="would replace"):
        check_apart([f"s3://minio@{BUCKET}/{folder}/failed.csv"], [same], conn_id=None)


ALIASES = {
    "another address": "s3://alias@{}/{}/d/failed.csv",
    "a pattern by another address": "s3://alias@{}/{}/d/f*.csv",
    "another address, and slashes": "s3://alias@{}/{}/d/../d/failed.csv",
    "a version of it": "s3://minio@{}/{}/d/failed.csv?versionId=null",
}


@pytest.mark.parametrize(
    ("source", "validate_only"),
    [*((source, False) for source in ALIASES.values()), (ALIASES["another address"], True)],
    ids=[*ALIASES, "a check alone"],
)
def test_results_that_are_fed_back_by_another_address_are_not_replaced(
    source: str, validate_only: bool, s3: Any, folder: str, org: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"region_name": "us-east-1", "endpoint_url": s3.meta.endpoint_url.replace("127.0.0.1", "localhost")}
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": keys}
    monkeypatch.setenv("AIRFLOW_CONN_ALIAS", json.dumps(connection))
    results = f"s3://minio@{BUCKET}/{folder}/d"
    with pytest.raises(FailedRecordsError):
        FakeTask().start().run(load(source=[{"Name": "One"}, {"Phone": "2"}], results_path=results))
    before = {name: read(s3, f"{BUCKET}/{folder}/d/{name}") for name in names(s3, f"{folder}/d")}
    jobs = len(org.jobs)
    with pytest.raises(SourceError, match=r"failed\.csv"):
        FakeTask().start().run(
            load(source=source.format(BUCKET, folder), results_path=results, validate_only=validate_only)
        )
    assert {name: read(s3, f"{BUCKET}/{folder}/d/{name}") for name in names(s3, f"{folder}/d")} == before
    assert len(org.jobs) == jobs


def test_a_file_of_that_name_in_another_storage_is_loaded(
    s3: Any, folder: str, org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"region_name": "us-east-1", "endpoint_url": s3.meta.endpoint_url.replace("127.0.0.1", "localhost")}
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": keys}
    monkeypatch.setenv("AIRFLOW_CONN_ALIAS", json.dumps(connection))
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/in/failed.csv", Body=b"Name\nOne\n")
    task.start().run(
        load(source=f"s3://alias@{BUCKET}/{folder}/in/failed.csv", results_path=f"s3://minio@{BUCKET}/{folder}/out")
    )
    assert [row["Name"] for row in org.records("Account")] == ["One"]
