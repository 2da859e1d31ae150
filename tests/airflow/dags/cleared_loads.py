"""Loads that meet ordinary acts of people: a clear, changed retries, a touched file, a shared folder."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Context, Param

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator

RETRIES = Path(__file__).with_name("retries.txt")
"""How many retries the DAG of the day has; none without the file."""


class KilledAtTheEnd(BulkIngestOperator):
    """A load whose process is killed when all is done, before Airflow knows: once."""

    def execute(self, context: Context) -> Any:
        result = super().execute(context)
        mark = Path(f"{self.results_path}.killed")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return result


def load(kind: type[BulkIngestOperator], **arguments: Any) -> None:
    kind(
        task_id="load",
        sobject="Account",
        operation="insert",
        source="{{ params.source }}",
        results_path="{{ params.results }}",
        poll_interval=2,
        **{"retry_delay": timedelta(seconds=1), "retries": 0, "deferrable": False, **arguments},
    )


PARAMS = {name: Param("", type="string") for name in ("source", "results")}

with DAG("killed_at_the_end", schedule=None, params=PARAMS):
    load(KilledAtTheEnd)

with DAG("edited_retries", schedule=None, params=PARAMS):
    load(BulkIngestOperator, retries=int(RETRIES.read_text()) if RETRIES.exists() else 0)

with DAG("touched_source", schedule=None, params=PARAMS):
    load(BulkIngestOperator, deferrable=True, retries=1)

with DAG("shared_folder", schedule=None, params={"output": Param("", type="string")}):
    BulkQueryOperator.partial(
        task_id="extract", output_path="{{ params.output }}", deferrable=False, poll_interval=2, retries=0
    ).expand(soql=[f"SELECT Id, Name FROM Account WHERE Name LIKE 'Held by the shared {n} %'" for n in range(3)])
