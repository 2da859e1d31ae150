"""A load that is done, met again: by a try that does not know whether Airflow took its success, or within the same try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator

from airflow_provider_sfbulk.client.errors import InputChangedError, SourceError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import FakeTask


def load(**given: Any) -> BulkIngestOperator:
    return BulkIngestOperator(**{"task_id": "load", "sobject": "Account", "operation": "insert", **given})


def query() -> BulkQueryOperator:
    return BulkQueryOperator(task_id="read", soql="SELECT Name FROM Account")


def names(org: LocalOrg) -> list[str]:
    return sorted(row["Name"] for row in org.records("Account"))


@pytest.mark.parametrize("api", ["2.0", "1.0"])
def test_the_result_of_another_input_is_not_returned(api: str, org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    """In green, nothing of the new input would have been loaded."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"Name\n{name}\n")
    first = task.start().run(load(source=f"{tmp_path}/a.csv", api=api))
    for _ in range(2):
        with pytest.raises(InputChangedError, match=r"source changed.*Undo the change and clear the task: it succeeds"):
            task.start().run(load(source=f"{tmp_path}/b.csv", api=api))
    assert task.start().run(load(source=f"{tmp_path}/a.csv", api=api)) == first
    assert names(org) == ["a"]
    task.start(cleared=True).run(load(source=f"{tmp_path}/b.csv", api=api))
    assert names(org) == ["a", "b"]


def test_what_came_since_a_load_without_records_is_loaded(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    """Though it is not known whether Airflow took that success: nothing can be doubled."""
    task.start().run(load(source=f"{tmp_path}/*.csv", on_empty="success"))
    (tmp_path / "a.csv").write_text("Name\na\n")
    assert task.start().run(load(source=f"{tmp_path}/*.csv", on_empty="success"))["successful"] == 1
    task.start().run(load(source=f"{tmp_path}/*.csv", on_empty="success"))
    assert names(org) == ["a"]


def test_an_operator_that_another_tasks_code_runs_loads_anew_after_a_clear(org: LocalOrg, task: FakeTask) -> None:
    for count in (1, 2):
        tried = task.start(cleared=count > 1)
        tried.run(load(source=[{"Name": "a"}]))
        tried.task = BaseOperator(task_id="outer")
        assert names(org) == ["a"] * count


@pytest.mark.parametrize("first", [lambda: load(source=[{"Name": "a"}]), query], ids=["load", "query"])
def test_a_second_load_within_one_task_is_refused(first: Any, org: LocalOrg, task: FakeTask) -> None:
    """Else it would return the first one's result, in green, with nothing of its own sent."""
    tried = task.start()
    tried.run(first())
    before = names(org)
    with pytest.raises(SourceError, match="Give each operator its own task"):
        tried.run(load(source=[{"Name": "b"}]))
    assert names(org) == before


def test_a_query_after_a_load_within_one_task_is_refused_and_one_after_a_query_is_not(
    org: LocalOrg, task: FakeTask
) -> None:
    tried = task.start()
    tried.run(load(source=[{"Name": "a"}]))
    with pytest.raises(SourceError, match="Give each operator its own task"):
        tried.run(query())
    other = FakeTask().start()
    assert other.run(query()) == other.run(query()) == [{"Name": "a"}]
