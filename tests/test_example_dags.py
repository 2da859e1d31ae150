"""The example DAGs as Airflow parses them. That they also run, on a real Airflow, is seen in ``tests/airflow``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

FOLDER = Path(__file__).parents[1] / "example_dags"
FILES = sorted(FOLDER.glob("*.py"))


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(dag_folder=FOLDER)


def test_every_example_is_parsed_without_an_error_or_a_warning(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert bag.captured_warnings == {}
    assert sorted(bag.dags) == [path.stem for path in FILES]
    assert len(FILES) == 7


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_tells_what_it_is_for_and_what_it_needs(path: Path, bag: DagBag) -> None:
    told = bag.dags[path.stem].doc_md or ""
    assert "Needs the connection ``salesforce_bulk_default``" in " ".join(told.split())
    assert ("var.value.lake" in path.read_text()) == ("Variable ``lake``" in told)
    assert "example" in bag.dags[path.stem].tags


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_tasks_of_an_example_are_one_graph(path: Path, bag: DagBag) -> None:
    """A task that nothing leads to and that leads nowhere would run in no order."""
    tasks = bag.dags[path.stem].tasks
    assert len(tasks) == 1 or all(task.upstream_list or task.downstream_list for task in tasks)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_regions_that_docs_show_are_whole(path: Path) -> None:
    marks = re.findall(r"# \[(START|END) (\w+)\]", path.read_text())
    assert marks
    for start, end in zip(marks[::2], marks[1::2], strict=True):
        assert (start[0], end) == ("START", ("END", start[1]))


def test_no_example_holds_a_worker_while_salesforce_works(bag: DagBag) -> None:
    waiting = [
        task
        for dag in bag.dags.values()
        for task in dag.tasks
        if task.task_type in {"BulkIngestOperator", "BulkQueryOperator", "BulkJobSensor"}
    ]
    held = [
        task.task_id
        for task in waiting
        if not _argument(task, "deferrable") and _argument(task, "wait_for_completion") is not False
    ]
    assert len(waiting) == 9
    assert held == []


def _argument(task: object, name: str) -> object:
    """Give an argument of a task, mapped or not."""
    mapped = getattr(task, "partial_kwargs", {})
    return mapped.get(name, getattr(task, name, None))
