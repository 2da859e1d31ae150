"""Files for people who open them in a spreadsheet: no value is taken for a formula, and every value comes back."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.csv.scan import scan
from airflow_provider_sfbulk.client.csv.spreadsheet import protected, restored
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.examples import examples
from tests.provider.conftest import FakeTask

FORMULAS: Final = [
    "=1+1",
    '=HYPERLINK("http://x","y")',
    "+49 30 1",
    "-1+1",
    "-",
    "@SUM(A1)",
    "\t=1",
    "\uff1d1",
    "'=1",
    "'tis",
    "''",
    "-12,5",
]
PLAIN: Final = ["a=1", "-12.5", "-1e3", "Zürich", "a'b", 'say "hi"', "1-1", " =1"]


def path_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def rows_of(uri: str) -> list[dict[str, str]]:
    with path_of(uri).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def load(source: Any, folder: Path, **arguments: Any) -> Any:
    return (
        FakeTask()
        .start()
        .run(
            BulkIngestOperator(
                task_id="load",
                sobject="Account",
                operation="insert",
                source=source,
                results_path=str(folder),
                max_failed_records=None,
                **arguments,
            )
        )
    )


def test_failed_rows_are_safe_and_come_back_as_they_were(org: LocalOrg, tmp_path: Path) -> None:
    values = [*FORMULAS, *PLAIN]
    rows = [{"Name": "x", "Description": value, "NumberOfEmployees": "a dozen"} for value in values]
    summary = load(rows, tmp_path / "1", spreadsheet_safe=True)
    assert summary["failed"] == len(values)
    written = sorted(rows_of(summary["results"]["failed"][0]), key=lambda row: int(row["sf__Row"]))
    assert [row["Description"] for row in written] == [f"'{value}" for value in FORMULAS] + PLAIN
    assert {row["sf__SpreadsheetSafe"] for row in written} == {"true"}
    failed = path_of(summary["results"]["failed"][0])
    failed.write_text(failed.read_text(encoding="utf-8").replace("a dozen", "12"), encoding="utf-8", newline="")
    assert load(str(failed), tmp_path / "2")["successful"] == len(values)
    # As the first load would have stored them.
    assert load([{**row, "NumberOfEmployees": 12} for row in rows], tmp_path / "3")["successful"] == len(values)
    stored = [each["Description"] for each in org.records("Account")]
    assert stored[: len(values)] == stored[len(values) :]


def test_result_files_are_verbatim_unless_asked(org: LocalOrg, tmp_path: Path) -> None:
    summary = load([{"Name": "=1+1", "Phone": "'=2"}], tmp_path)
    (row,) = rows_of(summary["results"]["successful"][0])
    assert (row["Name"], row["Phone"]) == ("=1+1", "'=2")
    again = load(summary["results"]["successful"][0], tmp_path / "2")
    assert again["successful"] == 1
    assert {(each["Name"], each["Phone"]) for each in org.records("Account")} == {("=1+1", "'=2")}


def test_an_extract_is_safe_when_asked_and_verbatim_otherwise(org: LocalOrg, tmp_path: Path) -> None:
    load(
        [{"Name": value, "External_Key__c": f"{n:03}"} for n, value in enumerate(FORMULAS + PLAIN) if value.strip()],
        tmp_path,
    )
    names = [each["Name"] for each in sorted(org.records("Account"), key=lambda each: str(each["External_Key__c"]))]
    soql = "SELECT Name FROM Account ORDER BY External_Key__c"
    for delimiter in ("COMMA", "SEMICOLON"):
        for safe in (False, True):
            summary = FakeTask().start().run(
                BulkQueryOperator(
                    task_id="q", soql=soql, output_path=str(tmp_path / f"{delimiter}{safe}"), spreadsheet_safe=safe,
                    column_delimiter=delimiter, page_records=3,
                )
            )  # fmt: skip
            found = []
            for uri in summary["files"]:
                with path_of(uri).open(newline="", encoding="utf-8") as file:
                    reader = csv.DictReader(file, delimiter="," if delimiter == "COMMA" else ";")
                    found += [row["Name"] for row in reader]
            wanted = [f"'{name}" if safe and (name in FORMULAS or name.startswith("=")) else name for name in names]
            assert found == wanted


def test_spreadsheet_safe_is_for_csv(org: LocalOrg, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="spreadsheet_safe is for result files as CSV"):
        load([{"Name": "x"}], tmp_path, spreadsheet_safe=True, results_format="parquet")
    for arguments in ({"output_path": str(tmp_path), "output_format": "jsonl"}, {}):
        with pytest.raises(SourceError, match="spreadsheet_safe is for CSV files"):
            FakeTask().start().run(
                BulkQueryOperator(task_id="q", soql="SELECT Id FROM Account", spreadsheet_safe=True, **arguments)
            )


cells = st.text(st.sampled_from("=+-@'\t\r\n\uff1dé1.,\"; "), max_size=5)


@settings(max_examples=examples(30))
@given(rows=st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=6), delimiter=st.sampled_from(",;"))
def test_every_value_is_restored(rows: list[list[str]], delimiter: str) -> None:
    data = "".join(
        delimiter.join('"' + value.replace('"', '""') + '"' for value in row) + "\n" for row in rows
    ).encode()
    safe = protected(data, delimiter)
    read = list(csv.reader(safe.decode().splitlines(keepends=True), delimiter=delimiter))
    assert not any(value[0] in "=+@\t\r\n\uff1d" for row in read for value in row if value)
    assert restored(scan(safe, ord(delimiter)), ord(delimiter)).raw == data
