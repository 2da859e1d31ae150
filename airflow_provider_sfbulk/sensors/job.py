"""Waiting for jobs that somebody else submitted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue, conf

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.flows.wait import look
from airflow_provider_sfbulk.client.models import JobInfo, JobType, check_id
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.links.job import LINK_XCOM_KEY, BulkJobLink, job_url
from airflow_provider_sfbulk.operators.verdict import check_completed, check_failed_records
from airflow_provider_sfbulk.triggers.job import SHORTEST_DEFERRAL_SECONDS, BulkJobTrigger
from airflow_provider_sfbulk.triggers.wake_up import WakeUp

if TYPE_CHECKING:
    from airflow.sdk import Context


class BulkJobSensor(BaseSensorOperator):
    """Wait until jobs are final; succeed when every one of them is ``JobComplete``.

    It never aborts a job: it does not own it.

    :param job_id: one job (templated)
    :param job_ids: or several (templated), as :class:`BulkIngestOperator` returns with ``wait_for_completion=False``
    :param job_type: ``ingest`` or ``query``
    :param max_failed_records: failed records that are allowed, over all jobs: a number, or a float as fraction of the
        processed ones; None: they do not count
    :param deferrable: wait in the triggerer, without holding a worker
    :param salesforce_conn_id: the connection
    :param api_version: instead of the connection's, as ``66.0``

    Returns the final job infos, a list of dicts.
    """

    template_fields: Sequence[str] = ("job_id", "job_ids", "salesforce_conn_id")
    operator_extra_links = (BulkJobLink(),)
    ui_color = "#d8edff"

    def __init__(
        self,
        *,
        job_id: str | None = None,
        job_ids: Sequence[str] | None = None,
        job_type: str = "ingest",
        max_failed_records: float | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        salesforce_conn_id: str = SalesforceBulkHook.default_conn_name,
        api_version: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.job_ids = job_ids
        self.job_type = job_type
        self.max_failed_records = max_failed_records
        self.deferrable = deferrable
        self.salesforce_conn_id = salesforce_conn_id
        self.api_version = api_version
        self.job_link: str | None = None

    def execute(self, context: Context) -> Any:
        """Look once; then wait, deferred or by poking."""
        if not self.deferrable:
            return super().execute(context)
        infos = self._look(context)
        if all(info.is_final for info in infos):
            return self._result(infos)
        self._defer(deadline=time.time() + self.timeout)
        raise AssertionError("defer() came back")

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Look again after the deferral; the event is a hint."""
        WakeUp.from_dict(event)
        infos = self._look(context)
        if not all(info.is_final for info in infos):
            self._defer(deadline=time.time() + self.timeout)
        return self._result(infos)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        infos = self._look(context)
        if not all(info.is_final for info in infos):
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._result(infos))
