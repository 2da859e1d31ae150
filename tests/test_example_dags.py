"""Every example DAG can be read by Airflow, tells what it is for, and marks the part that the documentation shows."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions._internal.contextmanager import DagContext

FOLDER = Path(__file__).resolve().parents[1] / "example_dags"
FILES = sorted(FOLDER.glob("*.py"))

_MARK = re.compile(r"# \[(START|END) (\w+)\]")


def dags_of(path: Path) -> list[DAG]:
    """Read a DAG file as Airflow does, and return the DAGs it makes. Warnings are errors here."""
    DagContext.autoregistered_dags.clear()
    name = DagContext.current_autoregister_module_name = f"example_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return [dag for dag, _ in DagContext.autoregistered_dags]
    finally:
        DagContext.current_autoregister_module_name = None
        DagContext.autoregistered_dags.clear()
        del sys.modules[name]


def test_there_are_examples() -> None:
    assert len(FILES) >= 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_can_be_read_and_tells_what_it_is(path: Path) -> None:
    (dag,) = dags_of(path)
    assert dag.dag_id == path.stem
    assert dag.doc_md
    assert len(dag.doc_md.strip()) > 20
    assert "example" in dag.tags
    # Its tasks form one graph: a task that nothing leads to and that leads nowhere would run in no order.
    assert len(dag.tasks) == 1 or all(task.upstream_list or task.downstream_list for task in dag.tasks)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_marked_regions_pair_up(path: Path) -> None:
    marks = _MARK.findall(path.read_text(encoding="utf-8"))
    assert marks
    assert marks[0::2] == [("START", name) for _, name in marks[0::2]]
    assert marks[1::2] == [("END", name) for _, name in marks[0::2]]
