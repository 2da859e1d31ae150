"""Loads one after the other, each of one job: what Airflow does with many short waits."""

from __future__ import annotations

import os

from airflow.sdk import DAG, chain

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator

with DAG("in_a_row", schedule=None):
    chain(
        *(
            BulkIngestOperator(
                task_id=f"load_{number}",
                sobject="Account",
                operation="insert",
                source=[{"Name": f"Load {number} row {row}"} for row in range(3)],
                deferrable=True,
            )
            for number in range(int(os.environ["IN_A_ROW"]))
        )
    )
