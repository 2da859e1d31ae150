"""The result files of a load, and the manifest that names them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_sfbulk.client.flows.job import IngestJobs
from airflow_provider_sfbulk.client.flows.settle import KINDS, Kind, Settlement, fetch_results
from airflow_provider_sfbulk.client.records.dialect import Dialect
from airflow_provider_sfbulk.client.records.formats import FileFormat
from airflow_provider_sfbulk.client.records.output import Output
from airflow_provider_sfbulk.client.records.results import CountCodes, ResultFile

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client import BulkClient

MANIFEST: Final = "manifest.json"


@dataclass
class Report:
    """What became of the records, in files and in counts.

    :param errors: failed records by Salesforce's code
    :param files: URIs by kind
    :param manifest: URI of the manifest; None without files
    """

    errors: Counter[str] = field(default_factory=Counter)
    files: dict[Kind, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    manifest: str | None = None


class _ErrorCounts:
    """Counts the failed records of many jobs by code."""

    def __init__(self) -> None:
        self._sinks: list[CountCodes] = []

    def job(self, job_id: str, dialect: Dialect, *, expect_records: int) -> CountCodes:
        """Give the sink for one job's failed records."""
        self._sinks.append(CountCodes(job_id, dialect, expect_records=expect_records))
        return self._sinks[-1]

    @property
    def errors(self) -> Counter[str]:
        """Failed records by code."""
        return sum((sink.errors for sink in self._sinks), Counter())


def count_errors(client: BulkClient, settlement: Settlement) -> Report:
    """Count the failed records by code; write nothing."""
    counts = _ErrorCounts()
    client.run(fetch_results(settlement, "failed", IngestJobs(client.api_version), counts))
    return Report(errors=counts.errors)


def write_report(
    client: BulkClient,
    settlement: Settlement,
    output: Output,
    *,
    results_format: FileFormat,
    sobject: str,
    operation: str,
) -> Report:
    """Write one file of each kind that has records, over all jobs, and last the manifest.

    The files have fixed names, so that a repeated run replaces them; those of an earlier run that this one has no records
    for, or writes in another format, are removed.
    """
    report = Report()
    output.remove(MANIFEST)
    for kind in KINDS:
        name = f"{kind}.{results_format}"
        for each in FileFormat:
            if each is not results_format or not settlement.count(kind):
                output.remove(f"{kind}.{each}")
        if not settlement.count(kind):
            continue
        file = ResultFile(output, name, kind, results_format)
        try:
            client.run(fetch_results(settlement, kind, IngestJobs(client.api_version), file))
            if uri := file.commit():
                report.files[kind].append(uri)
        except BaseException:
            file.discard()
            raise
        report.errors.update(file.errors)
    manifest = {
        "sobject": sobject,
        "operation": operation,
        "counts": {kind: settlement.count(kind) for kind in KINDS},
        "errors": dict(report.errors),
        "files": report.files,
        "jobs": [
            {
                "id": each.job.id,
                "state": str(each.job.state),
                "records": each.part.records,
                "sha256": each.part.sha256,
                **{kind: each.count(kind) for kind in KINDS},
            }
            for each in settlement.parts
        ],
    }
    report.manifest = write_json(output, MANIFEST, manifest)
    return report


def write_json(output: Output, name: str, value: dict[str, Any]) -> str:
    """Write a small JSON file, whole or not at all, and return its URI."""
    file = output.create(name)
    try:
        file.write(json.dumps(value, indent=1).encode())
        return file.commit()
    except BaseException:
        file.discard()
        raise
