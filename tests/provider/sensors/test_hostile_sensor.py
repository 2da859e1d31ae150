"""BulkJobSensor under hostile users: there is no org in these tests, nothing may be sent."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.sensors.job import BulkJobSensor


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"job_ids": " "}, "job_ids is an empty string: its template found no job ids"),
        ({"job_ids": ["750000000000001AAA"], "max_failed_records": -1}, "max_failed_records must be"),
        ({"job_id": "750000000000001AAA", "max_failed_records": "1"}, "max_failed_records must be"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(SourceError, match=told):
        BulkJobSensor(task_id="wait", deferrable=False, poke_interval=0.1, **arguments)
