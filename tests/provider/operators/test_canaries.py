"""Canaries in the connection, the query and the rows, through the ways in which each operator, the sensor and the trigger
fail: none is found in a log at DEBUG, an XCom, a state, a trigger's row, an error with its causes, or an event.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_sfbulk.client.errors import SfBulkError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.sensors.job import BulkJobSensor
from tests.canaries import BOUND, CELL, FAULTS, spellings
from tests.provider.conftest import FakeTask


def query(**options: Any) -> BulkQueryOperator:
    soql = "SELECT Id FROM Account WHERE Name = :n"
    return BulkQueryOperator(task_id="read", soql=soql, soql_params={"n": BOUND}, **options)


def load(**options: Any) -> BulkIngestOperator:
    source = [{"Name": CELL, "Description": "x"}]
    return BulkIngestOperator(task_id="load", sobject="Account", operation="insert", source=source, **options)


def sensor(**options: Any) -> BulkJobSensor:
    return BulkJobSensor(task_id="wait", job_id="7508d000003QaLpAAK", job_type="query", **options)


MAKERS: dict[str, Callable[..., Any]] = {
    "query": query,
    "deferred query": lambda: query(deferrable=True),
    "load": load,
    "deferred load": lambda: load(deferrable=True),
    "load by 1.0": lambda: load(api="1.0"),
    "query by 1.0": lambda: query(api="1.0"),
    "sensor": sensor,
    "deferred sensor": lambda: sensor(deferrable=True),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("maker", MAKERS)
def test_no_canary_is_found(
    maker: str, fault: str, org: LocalOrg, task: FakeTask, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    org.core.faults.add(*FAULTS[fault](org))
    attempt = task.start()
    shown: list[str] = []
    operator = MAKERS[maker]()
    with caplog.at_level(logging.DEBUG):
        try:
            attempt.run(operator)
        except (SfBulkError, TaskDeferred) as error:
            shown.append("".join(traceback.format_exception(error)) + repr(vars(error)))
    shown += [caplog.text, *capsys.readouterr(), json.dumps(attempt.xcoms, default=str), json.dumps(task.states)]
    shown += [repr({name: event.extra for name, event in attempt.outlet_events.items()})]
    everything = "\n".join(shown)
    canaries = [CELL, BOUND, org.client_secret]
    assert not [text for canary in canaries for text in spellings(canary) if text in everything]
    assert "\x1b[2J" not in everything
