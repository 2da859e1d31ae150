"""What the scheduler makes of the operators: it runs them, whatever names they use for themselves."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.definitions.baseoperator import SerializedBaseOperator
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.sensors.job import BulkJobSensor

OURS = (BulkIngestOperator, BulkQueryOperator, BulkJobSensor)
MADE: dict[type, dict[str, Any]] = {
    BulkIngestOperator: {"sobject": "Account", "operation": "insert", "source": "/data/a.csv"},
    BulkQueryOperator: {"soql": "SELECT Id FROM Account"},
    BulkJobSensor: {"job_id": "750A00000000001AAA"},
}
AIRFLOWS = {"execute", "on_kill", "operator_extra_links", "ui_color"}
"""Names that Airflow asks operators to define."""


@pytest.mark.parametrize("kind", OURS)
def test_the_scheduler_does_not_take_them_for_empty_and_pass_over_them(kind: Any) -> None:
    with DAG("dag", schedule=None) as dag:
        kind(task_id="task", **MADE[kind])
    (task,) = DagSerialization.from_dict(DagSerialization.to_dict(dag)).tasks
    assert not task.inherits_from_empty_operator
    assert "EmptyOperator" not in task.task_type


@pytest.mark.parametrize("kind", OURS)
def test_no_name_of_theirs_is_one_that_the_scheduler_reads(kind: type) -> None:
    ours = {
        name for each in kind.__mro__ if each.__module__.startswith("airflow_provider_sfbulk") for name in vars(each)
    }
    read = {*vars(SerializedBaseOperator), *SerializedBaseOperator.__annotations__}
    shared = {name for name in ours & read if not name.startswith(("__", "template_", "_abc_"))}
    assert shared <= AIRFLOWS
