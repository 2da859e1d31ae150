"""Extracting records from Salesforce."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import JobType
from airflow_provider_sfbulk.operators.base import BulkJobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

OUTPUT_FORMATS: Final = ("csv", "parquet", "jsonl")


class BulkQueryOperator(BulkJobOperator):
    """Run a SOQL query with Bulk API 2.0 and write its rows to files, or return them.

    Every page is proven whole before its file appears, and the manifest comes last: an extract is whole or absent. A
    retry goes on with the job of the try before; clearing the task starts a new query.

    :param soql: the query, or the name of a ``.soql`` file beside the DAG (templated)
    :param include_deleted: also records that are deleted (recycle bin) or archived
    :param job_id: instead of ``soql``: fetch the rows of a job that was submitted before (templated)
    :param output_path: folder for the part files and the manifest (templated)
    :param output_format: ``csv``, ``parquet`` or ``jsonl``; the last two are typed by describe
    :param output_conn_id: connection of the object storage, when the URI does not name it (templated)
    :param max_xcom_records: without ``output_path`` the rows go to XCom, up to this many
    :param column_delimiter: of the CSV, Salesforce's name
    :param line_ending: of the CSV, ``LF`` or ``CRLF``
    :param page_records: records of one page, that is of one part file, at most
    :param max_concurrent_pages: pages being read at the same time

    Returns ``{"job_id", "records", "files", "manifest", "columns", "api_calls"}``; without ``output_path`` the rows as a
    list of dicts; with ``wait_for_completion=False`` the job id.
    """

    job_type: ClassVar[JobType] = JobType.QUERY
    template_fields: Sequence[str] = ("soql", "job_id", "output_path", "output_conn_id", "salesforce_conn_id")
    template_ext: Sequence[str] = (".soql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"soql": "sql"}

    def __init__(
        self,
        *,
        soql: str | None = None,
        include_deleted: bool = False,
        job_id: str | None = None,
        output_path: str | os.PathLike[str] | None = None,
        output_format: str = "csv",
        output_conn_id: str | None = None,
        max_xcom_records: int = 1000,
        column_delimiter: str = "COMMA",
        line_ending: str = "LF",
        page_records: int = 250_000,
        max_concurrent_pages: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.soql = soql
        self.include_deleted = include_deleted
        self.job_id = job_id
        self.output_path = output_path
        self.output_format = output_format
        self.output_conn_id = output_conn_id
        self.max_xcom_records = max_xcom_records
        self.column_delimiter = column_delimiter
        self.line_ending = line_ending
        self.page_records = page_records
        self.max_concurrent_pages = max_concurrent_pages

    def execute(self, context: Context) -> Any:
        """Submit the query, or find the job of an earlier try; wait; then fetch."""
        self._check()
        ledger = self._ledger(context)
        with self.hook.get_conn() as client:
            job_id = self.job_id or self._run(context, client, self._submit(context, client, ledger), ledger=ledger)
            self._show(context, client, [job_id])
            if not self.wait_for_completion:
                return job_id
            (info,) = self._wait(context, client, [job_id])
            return self._fetch(context, client, info, api_calls=0)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """Fetch after the deferral."""
        ledger = self._ledger(context)
        with self.hook.get_conn() as client:
            job_id = self.job_id or self._recorded(ledger)
            self._show(context, client, [job_id])
            (info,), api_calls = self._wait_again(context, client, event, [job_id])
            return self._fetch(context, client, info, api_calls=api_calls)
