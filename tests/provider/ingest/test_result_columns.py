"""Result files whose columns are not those that were sent."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.conftest import FakeTask

SECRET: Final = "Umbrella"


class OtherColumns(Fault):
    """Rewrites the columns of a result file."""

    def __init__(self, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        self._change = change

    def body(self, exchange: Exchange, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Give the changed rows."""
        return self._changed(chunks)

    async def _changed(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        rows = list(csv.DictReader(io.StringIO((b"".join([chunk async for chunk in chunks])).decode(), newline="")))
        out = io.StringIO(newline="")
        changed = [self._change(row) for row in rows]
        writer = csv.DictWriter(out, fieldnames=list(changed[0]), quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writeheader()
        writer.writerows(changed)
        yield out.getvalue().encode()


def without(name: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda row: {key: value for key, value in row.items() if key != name}


def renamed(name: str, new: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda row: {new if key == name else key: value for key, value in row.items()}


@pytest.mark.parametrize("route", ["ingest.successful", "ingest.failed"])
@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (without("Phone"), "they lack Phone"),
        (renamed("Phone", "Fone"), "they lack Phone and they have Fone, which was not sent"),
        (lambda row: {**row, "Extra": "1"}, "they have Extra, which was not sent"),
    ],
)
def test_a_result_file_with_other_columns_than_were_sent_is_refused(
    org: LocalOrg, tmp_path: Path, route: str, change: Any, wanted: str
) -> None:
    org.core.faults.add(route, OtherColumns(change))
    rows = [{"Name": SECRET, "Phone": "1"}, {"Name": SECRET, "Phone": "2", "NumberOfEmployees": "a dozen"}]
    operator = BulkIngestOperator(
        task_id="load", sobject="Account", operation="insert", source=rows, results_path=str(tmp_path),
        max_failed_records=1,
    )  # fmt: skip
    task = FakeTask()
    kind = route.removeprefix("ingest.")
    with pytest.raises(
        ProtocolError, match=rf"columns of the {kind} records of job 750\w+ are not those that were sent: {wanted}"
    ) as caught:
        task.start().run(operator)
    assert SECRET not in str(caught.value)
    assert not list(tmp_path.iterdir())
    # Another try, by which Salesforce has come to its senses, ends as it must, and sends nothing.
    org.core.faults.clear()
    summary = task.start().run(operator)
    assert (summary["successful"], summary["failed"], len(org.records("Account"))) == (1, 1, 1)


def test_columns_in_another_case_and_order_and_columns_of_salesforces_own_are_fine(
    org: LocalOrg, tmp_path: Path
) -> None:
    def change(row: dict[str, str]) -> dict[str, str]:
        return {**{key if key.startswith("sf__") else key.upper(): row[key] for key in reversed(row)}, "sf__New": "x"}

    org.core.faults.add("ingest.successful", OtherColumns(change))
    operator = BulkIngestOperator(
        task_id="load", sobject="Account", operation="insert", source=[{"Name": SECRET, "Phone": "1"}],
        results_path=str(tmp_path),
    )  # fmt: skip
    summary = FakeTask().start().run(operator)
    with Path(summary["results"]["successful"][0].removeprefix("file://")).open() as file:
        (row,) = csv.DictReader(file)
    assert row["sf__Row"] == "1"


def test_errors_that_are_no_codes_are_counted_and_not_repeated(org: LocalOrg, tmp_path: Path) -> None:
    org.core.faults.add("ingest.failed", OtherColumns(lambda row: {**row, "sf__Error": f"\x1b{SECRET} is no name: --"}))
    operator = BulkIngestOperator(
        task_id="load", sobject="Account", operation="insert",
        source=[{"Name": SECRET, "NumberOfEmployees": "a dozen"}], results_path=str(tmp_path), max_failed_records=1,
    )  # fmt: skip
    task = FakeTask()
    attempt = task.start()
    summary = attempt.run(operator)
    assert summary["errors"] == {"OTHER": 1}
    assert SECRET not in f"{summary}{attempt.xcoms}{task.states}"
