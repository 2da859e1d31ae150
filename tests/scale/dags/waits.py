"""Mapped tasks that nobody runs: ``notice.py`` defers them in Airflow's database."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from airflow_provider_sfbulk.sensors.job import BulkJobSensor

NUMBER = int(os.environ.get("SCALE_WAITS", "1"))

with DAG("scale_waits", schedule=None):
    BulkJobSensor.partial(task_id="wait", deferrable=True, pool="closed").expand(job_id=["750000000000001AAA"] * NUMBER)
