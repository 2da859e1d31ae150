"""Make a DataFrame in a TaskFlow task and load it.

Fine for some ten thousand rows: the DataFrame travels through XCom. For more, write a Parquet file and name it as source.
Needs the connection ``salesforce_bulk_default``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import DAG, task

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator

if TYPE_CHECKING:
    import pandas as pd

with DAG("dataframe_taskflow", schedule=None, tags=["salesforce", "example"], doc_md=__doc__):
    # [START dataframe_taskflow]
    @task
    def compute() -> pd.DataFrame:
        """Compute what Salesforce should know."""
        import pandas as pd  # noqa: PLC0415 - not while the DAG is parsed

        return pd.DataFrame(
            {
                "Name": ["Umbrella Stand Co", "Parasol Works"],
                "NumberOfEmployees": [12, None],
                "AnnualRevenue": [1_250_000, 90_000_000],
            }
        )

    BulkIngestOperator(task_id="load", sobject="Account", operation="insert", source=compute(), deferrable=True)
    # [END dataframe_taskflow]
