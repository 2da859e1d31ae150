"""BulkQueryOperator under hostile users: there is no org in these tests, nothing may be sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import FakeTask


def operator(**arguments: Any) -> BulkQueryOperator:
    defaults: dict[str, Any] = {"task_id": "extract", "soql": "SELECT Id FROM Account", "deferrable": False}
    return BulkQueryOperator(**{**defaults, **arguments})


@pytest.mark.parametrize("kind", ["a file", "below a file", "empty"])
def test_an_output_that_could_not_be_written_stops_the_query_before_a_call(
    kind: str, task: FakeTask, tmp_path: Path
) -> None:
    """An empty text, as templates give it, would otherwise be the folder that the worker happens to run in."""
    file = tmp_path / "notes.txt"
    file.write_text("not a folder")
    path = {"a file": file, "below a file": file / "out", "empty": ""}[kind]
    with pytest.raises(SourceError, match="folder"):
        task.start().run(operator(output_path=str(path)))


@pytest.mark.parametrize(
    ("argument", "value"),
    [("timeout", -1), ("poll_interval", 0), ("page_records", "5"), ("max_xcom_records", "5"), ("max_xcom_records", -1)],
)
def test_a_number_that_makes_no_sense_is_refused_before_a_call(argument: str, value: Any, task: FakeTask) -> None:
    with pytest.raises(SourceError, match=f"^{argument} is"):
        task.start().run(operator(**{argument: value}))
