"""Jobs and batches as the org writes them, in XML and JSON.

XML has its elements in the recorded order, and those without a value left out; JSON has the same names in alphabetical
order, null ones included. Times are ``2026-03-04T05:06:07.000Z`` in XML, ``2026-03-04T05:06:07.000+0000`` in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from starlette.responses import Response

from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.bulk1.formats import JSON_TYPE, NAMESPACE, XML_TYPE
from airflow_provider_sfbulk.local_org.bulk1.jobs import Batch, BatchEntry, BatchState, Job, JobEntry
from airflow_provider_sfbulk.local_org.http import xml

Values = dict[str, Any]

_ONLY_IN_JSON: Final = frozenset({"fastPathEnabled"})


def job_values(entry: JobEntry) -> Values:
    """Return a job's properties in the order of XML. Reading it counts as reading its batches."""
    job = entry.job
    counts = entry.look()
    ended = [each.batch for each in entry.visible_batches() if each.visible.is_final]
    return {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": job.created_by_id,
        "createdDate": job.created,
        "systemModstamp": job.modified,
        "state": str(job.state),
        "externalIdFieldName": job.external_id_field,
        "assignmentRuleId": job.assignment_rule_id,
        "concurrencyMode": job.concurrency_mode,
        "contentType": job.content_type,
        "numberBatchesQueued": counts[BatchState.QUEUED],
        "numberBatchesInProgress": counts[BatchState.IN_PROGRESS],
        "numberBatchesCompleted": counts[BatchState.COMPLETED],
        "numberBatchesFailed": counts[BatchState.FAILED],
        "numberBatchesTotal": sum(counts.values()),
        "numberRecordsProcessed": sum(batch.processed for batch in ended),
        "numberRetries": job.retries,
        "apiVersion": float(job.api_version),
        "numberRecordsFailed": sum(batch.failed for batch in ended),
        "totalProcessingTime": sum(batch.total_ms for batch in ended),
        "apiActiveProcessingTime": sum(batch.active_ms for batch in ended),
        "apexProcessingTime": 0,
        "fastPathEnabled": False,
    }


def batch_values(batch: Batch, state: BatchState, not_processed: str) -> Values:
    """Return a batch's properties in the order of XML.

    :param state: the one to show; what would contradict it is left out
    :param not_processed: how ``NotProcessed`` is spelled
    """
    ended = state.is_final
    return {
        "id": batch.id,
        "jobId": batch.job_id,
        "state": not_processed if state is BatchState.NOT_PROCESSED else str(state),
        "stateMessage": batch.state_message if ended else None,
        "createdDate": batch.created,
        "systemModstamp": batch.modified,
        "numberRecordsProcessed": batch.processed if ended else 0,
        "numberRecordsFailed": batch.failed if ended else 0,
        "totalProcessingTime": batch.total_ms if ended else 0,
        "apiActiveProcessingTime": batch.active_ms if ended else 0,
        "apexProcessingTime": 0,
    }


def job(entry: JobEntry, *, as_json: bool, status: int = 200) -> Response:
    """Answer with a job."""
    return _one("jobInfo", job_values(entry), as_json=as_json, status=status)


def batch(
    entry: BatchEntry,
    state: BatchState,
    *,
    as_json: bool,
    not_processed: str = BatchState.NOT_PROCESSED,
    status: int = 200,
    location: str = "",
) -> Response:
    """Answer with a batch.

    :param location: its address, when it is new
    """
    response = _one("batchInfo", batch_values(entry.batch, state, not_processed), as_json=as_json, status=status)
    if location:
        response.headers["Location"] = location
    return response


def batch_list(entries: Iterable[BatchEntry], *, as_json: bool, not_processed: str) -> Response:
    """Answer with batches; the next call may see their next states. An empty list is an empty element."""
    found = [batch_values(each.batch, each.look(), not_processed) for each in entries]
    if as_json:
        return _json({"batchInfo": [_in_json(values) for values in found]})
    if not found:
        return _xml(f'{xml.DECLARATION}<batchInfoList\n   xmlns="{NAMESPACE}" />\n')
    inner = "".join(f" <batchInfo>\n{_elements(values, '  ')} </batchInfo>\n" for values in found)
    return _xml(f'{xml.DECLARATION}<batchInfoList\n   xmlns="{NAMESPACE}">\n{inner}</batchInfoList>\n')


def result_list(result_ids: list[str], *, as_json: bool) -> Response:
    """Answer with the ids of a query's result files."""
    if as_json:
        return _json(result_ids)
    inner = "".join(xml.element("result", result_id) for result_id in result_ids)
    return _xml(f'<result-list xmlns="{NAMESPACE}">{inner}</result-list>')


def _xml(text: str, status: int = 200) -> Response:
    """Answer with XML."""
    return Response(text.encode(), status, headers={"Content-Type": XML_TYPE})


def classic(job: Job) -> Values:
    """Return a job as Bulk API 2.0 lists it: "A 1.0 job shows up in the 2.0 job list as ``jobType: Classic``"."""
    values: Values = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": job.created_by_id,
        "createdDate": clock.in_json(job.created),
        "systemModstamp": clock.in_json(job.modified),
        "state": str(job.state),
    }
    if job.external_id_field is not None:
        values["externalIdFieldName"] = job.external_id_field
    if job.assignment_rule_id is not None:
        values["assignmentRuleId"] = job.assignment_rule_id
    values |= {"concurrencyMode": job.concurrency_mode, "contentType": job.content_type}
    return values | {"apiVersion": float(job.api_version), "jobType": "Classic"}


def _one(name: str, values: Values, *, as_json: bool, status: int) -> Response:
    if as_json:
        return _json(_in_json(values), status)
    text = f'{xml.DECLARATION}<{name}\n   xmlns="{NAMESPACE}">\n{_elements(values, " ")}</{name}>\n'
    return _xml(text, status)


def _json(body: Any, status: int = 200) -> Response:
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return Response(text.encode(), status, headers={"Content-Type": JSON_TYPE})


def _in_json(values: Values) -> Values:
    return {name: clock.in_json(v) if isinstance(v := values[name], datetime) else v for name in sorted(values)}


def _elements(values: Values, indent: str) -> str:
    lines = []
    for name, value in values.items():
        if value is None or name in _ONLY_IN_JSON:
            continue
        text = clock.in_csv(value) if isinstance(value, datetime) else str(value)
        lines.append(f"{indent}{xml.element(name, text)}\n")
    return "".join(lines)
