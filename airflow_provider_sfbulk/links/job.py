"""The link from a task instance to its job in Salesforce Setup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

LINK_XCOM_KEY: Final = "salesforce_bulk_job_link"


def job_url(instance_url: str, job_ids: Sequence[str]) -> str:
    """Return the URL of the job's page in Setup, or of the list of all jobs when there are several.

    Source: the official Salesforce CLI builds the same address (salesforcecli/plugin-data, bulkIngestStages.ts).
    """
    page = f"{instance_url}/lightning/setup/AsyncApiJobStatus"
    return f"{page}/page?address={quote(f'/{job_ids[0]}', safe='')}" if len(job_ids) == 1 else f"{page}/home"


class BulkJobLink(BaseOperatorLink):
    """Opens the job in Salesforce Setup."""

    name = "Salesforce job"

    @property
    def xcom_key(self) -> str:
        """Key of the XCom with the URL: all that the API server reads."""
        return LINK_XCOM_KEY

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the URL again: at the end of each run, Airflow overwrites the XCom with the result."""
        return getattr(operator, "job_link", None) or ""
