"""Files of an extract that are compressed: they hold what the plain ones hold."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.responses import Response

from airflow_provider_sfbulk.client.errors import SfBulkError, SourceError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import FakeTask
from tests.provider.readings import fill_readings, many

SOQL = "SELECT Id, External_Key__c, Price__c, Moment__c FROM Reading__c ORDER BY External_Key__c"
ENDS = {None: "", "none": "", "gzip": ".gz", "zstd": ".zst"}


@pytest.fixture
def readings(org: LocalOrg, tmp_path: Path) -> LocalOrg:
    fill_readings(org, tmp_path / "seed", many(25))
    return org


def extract(out: Path, task: FakeTask | None = None, **given: Any) -> dict[str, Any]:
    usual = {"soql": SOQL, "page_records": 10, "max_concurrent_pages": 1}
    one = BulkQueryOperator(task_id="read", output_path=str(out), deferrable=False, retries=1, **{**usual, **given})
    summary: dict[str, Any] = (task or FakeTask()).start().run(one)
    return summary


def plain(path: str) -> bytes:
    """Read a file by other means than those it was written with, where there are some."""
    data = Path(path).read_bytes()
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".zst"):
        return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    return data


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
def test_a_compressed_file_has_the_plain_one_s_bytes_and_says_so_in_its_name(
    file_format: str, compression: str, readings: LocalOrg, tmp_path: Path
) -> None:
    expected = extract(tmp_path / "plain", output_format=file_format)
    summary = extract(tmp_path / "out", output_format=file_format, compression=compression)
    assert [plain(name) for name in summary["files"]] == [Path(name).read_bytes() for name in expected["files"]]
    assert {Path(name).name.partition(".")[2] for name in summary["files"]} == {f"{file_format}{ENDS[compression]}"}
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert manifest["compression"] == compression
    assert [each["bytes"] for each in manifest["files"]] == [Path(name).stat().st_size for name in summary["files"]]


@pytest.mark.parametrize(
    ("compression", "codec"),
    [(None, "ZSTD"), ("none", "UNCOMPRESSED"), ("gzip", "GZIP"), ("zstd", "ZSTD"), ("snappy", "SNAPPY")],
)
def test_parquet_is_compressed_inside(compression: str | None, codec: str, readings: LocalOrg, tmp_path: Path) -> None:
    expected = extract(tmp_path / "plain", output_format="parquet")
    summary = extract(tmp_path / "out", output_format="parquet", compression=compression)
    assert all(name.endswith(".parquet") for name in summary["files"])
    columns = pq.read_metadata(summary["files"][0]).row_group(0)
    assert {columns.column(i).compression for i in range(columns.num_columns)} == {codec}
    assert [pq.read_table(name) for name in summary["files"]] == [pq.read_table(name) for name in expected["files"]]


def test_a_compressed_extract_is_a_source_again(readings: LocalOrg, tmp_path: Path) -> None:
    extract(tmp_path / "out", soql="SELECT Id, Price__c FROM Reading__c", compression="gzip")
    load = BulkIngestOperator(
        task_id="load",
        sobject="Reading__c",
        operation="update",
        source=str(tmp_path / "out" / "*.csv.gz"),
        deferrable=False,
    )
    assert FakeTask().start().run(load)["successful"] == 25


@pytest.mark.parametrize("given", [{"compression": "gzip"}, {"output_format": "jsonl", "compression": "zstd"}], ids=str)
def test_a_page_that_is_cut_is_written_anew_and_a_retry_takes_the_finished_ones_over(
    given: dict[str, Any], readings: LocalOrg, tmp_path: Path
) -> None:
    class Cut(Fault):
        """Answer the second page with less than it announces, so often that the try fails."""

        left = 5
        seen = 0

        async def before(self, exchange: Exchange) -> Response | None:
            if "locator" not in exchange.query or self.left <= 0:
                self.seen += 1
                return None
            self.left -= 1
            headers = {"Sforce-NumberOfRecords": "10", "Sforce-Locator": "null"}
            return Response('"Id","External_Key__c","Price__c","Moment__c"\n', headers=headers, media_type="text/csv")

    cut = Cut()
    readings.core.faults.add("query.results", cut)
    task, out = FakeTask(), tmp_path / "out"
    with pytest.raises(SfBulkError, match="announced"):
        extract(out, task, **given)
    assert [path.name[:6] for path in out.iterdir()] == ["_part-"]
    before = cut.seen
    summary = extract(out, task, **given)
    assert cut.seen - before == 2, "the first page is not fetched again"
    expected = extract(tmp_path / "plain", **{**given, "compression": None})
    assert [plain(name) for name in summary["files"]] == [Path(name).read_bytes() for name in expected["files"]]
    assert {path.name for path in out.iterdir()} == {"_manifest.json", *(Path(name).name for name in summary["files"])}


def test_another_compression_replaces_the_files_before(readings: LocalOrg, tmp_path: Path) -> None:
    task = FakeTask()
    extract(tmp_path / "out", task, compression="gzip")
    summary = extract(tmp_path / "out", task, compression="zstd")
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"_manifest.json", *(Path(name).name for name in summary["files"])}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"compression": "snappy"}, "snappy"),
        ({"compression": "snappy", "output_format": "jsonl"}, "snappy"),
        ({"compression": "gz"}, "did you mean 'gzip'"),
        ({"compression": "brotli"}, "compression must be one of"),
        ({"compression": 9}, "compression must be one of"),
        ({"compression": "gzip", "output_path": None}, "output_path"),
        ({"compression": "gzip", "spreadsheet_safe": True}, "spreadsheet"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_in_the_dag_file(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        BulkQueryOperator(task_id="read", **{"soql": "SELECT Id FROM Account", "output_path": "/out", **wrong})
