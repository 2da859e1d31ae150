"""Every operator, the sensor and the trigger on their ways to fail, each against an org of its own that fails so.

The canaries are put together here: Airflow keeps a DAG file's source.
"""

from __future__ import annotations

import base64
import logging
from typing import Any
from urllib.parse import quote

from airflow.providers.openlineage.utils.selective_enable import enable_lineage
from airflow.sdk import DAG, Asset, get_current_context, task
from airflow.sdk.observability.stats import Stats

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.sensors.job import BulkJobSensor

BOUND = " ".join(("Canary", "Bound+Value", "4711"))
CELL = " ".join(("Canary", "Cell/Value", "0815"))
PLANT = " ".join(("Planted", "Value+/", "1234"))
LAKE = "{{ var.value.lake }}"


def query(task_id: str, org: str, **options: Any) -> BulkQueryOperator:
    return BulkQueryOperator(
        task_id=task_id,
        soql="SELECT Id, Name FROM Account WHERE Name = :n",
        soql_params={"n": BOUND},
        salesforce_conn_id=f"canary_{org}",
        **{"output_path": f"{LAKE}/canaries/{task_id}", "deferrable": False, "poll_interval": 1, **options},
    )


def load(task_id: str, org: str, **options: Any) -> BulkIngestOperator:
    return BulkIngestOperator(
        task_id=task_id,
        sobject="Account",
        operation="insert",
        salesforce_conn_id=f"canary_{org}",
        **{"source": [{"Name": CELL}], "deferrable": False, "poll_interval": 1, **options},
    )


@task
def plant() -> str:
    """Puts a value everywhere where the others must not be."""
    log = logging.getLogger(__name__)
    log.debug("plain %s", PLANT)
    log.debug("in a URL %s and %s", quote(PLANT), quote(PLANT, safe=""))
    for before in ("", "a", "ab"):
        log.debug("packed %s", base64.b64encode((before + PLANT + " and more").encode()).decode())
    Stats.incr("planted." + base64.b64encode(PLANT.encode()).decode().rstrip("="))
    get_current_context()["outlet_events"][Asset("canary_runs")].extra["planted"] = PLANT
    return PLANT


with DAG(
    "canary_runs", schedule=None, doc_md=PLANT, default_args={"retries": 0, "outlets": [Asset("canary_runs")]}
) as dag:
    plant()
    load("load_refused_upload", "refused_upload")
    load("load_refused_batch", "refused_batch", api="1.0")
    load(
        "load_failed_rows",
        "well",
        source=f"{LAKE}/canary_rows.csv",
        deferrable=True,
        results_path=f"{LAKE}/canaries/rows",
    )
    load("load_failed_job", "failed_job", deferrable=True)
    load("load_bad_file", "well", source=f"{LAKE}/canary_bad.csv")
    load("load_bad_value", "well", source=lambda: [{"Name": CELL, "NumberOfEmployees": object()}])
    query("query_refused_login", "refused_login")
    query("query_refused", "refused_query")
    query("query_refused_by_1_0", "refused_batch", api="1.0", deferrable=True)
    query("query_failed_job", "failed_job", deferrable=True)
    query("query_no_results", "no_results", deferrable=True)
    query("query_cut_page", "cut", deferrable=True)
    query("query_refused_storage", "well", output_path=f"{LAKE}/canary_rows.csv/below")
    submitted = query("submit", "failed_job", output_path=None, wait_for_completion=False)
    for deferrable in (True, False):
        submitted >> BulkJobSensor(
            task_id="sensor_in_triggerer" if deferrable else "sensor_on_worker",
            job_id=submitted.output,
            job_type="query",
            salesforce_conn_id="canary_failed_job",
            deferrable=deferrable,
            poke_interval=1,
        )
enable_lineage(dag)
