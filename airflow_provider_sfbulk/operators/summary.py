"""What tasks return (their summary), and what their asset events have: counts and locations, never a value of a
record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_sfbulk.client.errors import LedgerError

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.check.report import CheckReport
    from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
    from airflow_provider_sfbulk.client.load.outcome import Outcome
    from airflow_provider_sfbulk.client.models import JobInfo
    from airflow_provider_sfbulk.files.report import Report
    from airflow_provider_sfbulk.operators.extract.extract import Extract

NAMED_JOB_IDS: Final = 100
"""Job ids that a summary names; the manifest has them all."""

EVENT_FACTS: Final = (
    *("job_ids", "successful", "failed", "unprocessed", "unchanged"),
    *("errors", "results", "manifest", "conn_id"),
)
"""Of a load's summary, what goes into an asset's event."""

EVENT_FILES: Final = 50
"""Files of an extract that an asset's event names."""


def load_summary(
    outcome: Outcome, report: Report, *, sobject: str, operation: str, unchanged: Mapping[str, int], api_calls: int
) -> dict[str, Any]:
    """Make the summary of a load: over all jobs and rounds, ``processed`` being the successful and the failed records.

    :param unchanged: how many rows were not sent, where only those that differ are: see :func:`count_unchanged`
    """
    counts = outcome.counts
    return {
        "sobject": sobject,
        "operation": operation,
        "job_ids": outcome.job_ids[:NAMED_JOB_IDS],
        "processed": counts["successful"] + counts["failed"],
        "successful": counts["successful"],
        "failed": counts["failed"],
        "unprocessed": counts["unprocessed"],
        **unchanged,
        "errors": dict(outcome.errors),
        "api_calls": api_calls,
        "results": report.files,
        "manifest": report.manifest,
        **_connection(report.conn_id),
    }


def count_unchanged(chosen: ChosenRows | None) -> dict[str, int]:
    """Return how many rows were not sent since the org has them; nothing for a load that sends all its rows."""
    return {} if chosen is None else {"unchanged": chosen.unchanged}


def check_summary(found: CheckReport, report: Report, *, load_api_calls: int, api_calls: int) -> dict[str, Any]:
    """Make the result of a check: what a load would be, and what is wrong with its rows.

    :param load_api_calls: that a load would take
    """
    return {
        **found.to_dict(),
        "load_api_calls": load_api_calls,
        "api_calls": api_calls,
        "results": report.files,
        "manifest": report.manifest,
        **_connection(report.conn_id),
    }


def check_load_result(result: Any) -> None:
    """Check the result that an earlier try has recorded of its load: a summary, or the job ids.

    :raises LedgerError: when it is neither
    """
    match result:
        case {"job_ids": list(), "errors": dict(), "results": dict(), "manifest": str() | None, **counts}:
            kinds = ("successful", "failed", "unprocessed", *(("unchanged",) if "unchanged" in counts else ()))
            if all(isinstance(counts.get(kind), int) for kind in kinds):
                return
        case list() if all(isinstance(each, str) for each in result):
            return
    raise LedgerError("the result that an earlier try has recorded of its load is not as this provider writes it")


def load_event(result: Mapping[str, Any] | Sequence[str], *, sobject: str, operation: str) -> dict[str, Any]:
    """Return what an asset's event says of a load.

    :param result: its summary; or the job ids, of a load that is not waited for
    """
    known = result if isinstance(result, Mapping) else {"job_ids": list(result[:NAMED_JOB_IDS])}
    return {
        "sobject": sobject,
        "operation": operation,
        **{name: known[name] for name in EVENT_FACTS if name in known},
    }


def extract_summary(
    job: JobInfo,
    extract: Extract,
    *,
    conn_id: str | None,
    window: Mapping[str, str] | None,
    api_calls: int,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Make the summary of an extract into files.

    :param conn_id: connection of the storage they are in
    :param window: what was read, of an incremental extract
    :param facts: what else the manifest says of it
    """
    return {
        "job_id": job.id,
        "records": extract.records,
        "files": extract.files,
        "manifest": extract.manifest,
        "columns": list(extract.columns),
        "api_calls": api_calls,
        **({} if extract.deletions is None else {"deletions": dict(extract.deletions)}),
        **_connection(conn_id),
        **({} if window is None else {"window": window}),
        **facts,
        **_changes(extract),
    }


def extract_event(
    job: JobInfo, records: int, extract: Extract | None, *, conn_id: str | None, window: Mapping[str, str] | None
) -> dict[str, Any]:
    """Return what an asset's event says of an extract.

    :param extract: its files; None for rows in XCom
    """
    event: dict[str, Any] = {"sobject": job.object, "job_ids": [job.id], "records": records}
    if extract is not None:
        files = extract.files
        event |= {"manifest": extract.manifest, **_connection(conn_id), **_changes(extract)}
        event["files"] = _named(files)
        if extract.deletions is not None:
            event["deletions"] = {**extract.deletions, "files": _named(extract.deletions["files"])}
    return event if window is None else {**event, "window": window}


def _named(files: list[str]) -> list[str] | int:
    """Name files, or say how many they are: the manifest names all."""
    return list(files) if len(files) <= EVENT_FILES else len(files)


def _changes(extract: Extract) -> dict[str, Any]:
    """Return how the columns differ from those of the extract before, when they do."""
    return {"schema_changes": extract.change.in_short()} if extract.change else {}


def _connection(conn_id: str | None) -> dict[str, str]:
    return {} if conn_id is None else {"conn_id": conn_id}
