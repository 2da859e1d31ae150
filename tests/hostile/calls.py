"""Every public call of the client with whatever a caller may give it: a real client, whose requests a desk answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.client.effects import ReadEntry, Reply, WriteEntry
from airflow_provider_sfbulk.client.http.memory_ledger import MemoryLedger
from airflow_provider_sfbulk.client.settings import Settings
from tests.client.protocol.by_hand import Hand

JOB_ID: Final = "7508d000003QaLpAAK"
BATCH_ID: Final = "7518d000003QaLpAAK"
RECORD_ID: Final = "001000000000001AAA"

_JOB: Final = {
    "id": JOB_ID, "object": "Account", "operation": "insert", "columnDelimiter": "COMMA", "lineEnding": "LF",
    "numberRecordsProcessed": 1, "numberRecordsFailed": 0, "apiVersion": 66.0,
}  # fmt: skip
_FIELDS: Final = [
    {"name": "Id", "type": "id", "createable": False, "nillable": False, "defaultedOnCreate": True},
    {"name": "Name", "type": "string", "length": 255, "nillable": True, "createable": True, "updateable": True},
    {"name": "Key__c", "type": "string", "length": 30, "nillable": True, "createable": True, "updateable": True,
     "externalId": True},
]  # fmt: skip
_JSON: Final = {"content-type": "application/json"}
_CSV: Final = {"content-type": "text/csv", "sforce-locator": "null", "sforce-numberofrecords": "1"}
_JOB1: Final = {"id": JOB_ID, "object": "Account", "operation": "insert", "state": "Open", "contentType": "CSV"}
_BATCH1: Final = {"id": BATCH_ID, "jobId": JOB_ID, "state": "Completed", "numberRecordsProcessed": 1}


class Desk(Hand):
    """Answers as an org in which every job is done that has one record, which was saved."""

    calls = 0  # type: ignore[assignment] # of an API; a hand lists them
    usage = None

    def __init__(self) -> None:
        super().__init__([])
        self._ledger = MemoryLedger()

    def run(self, flow: Any, *, ledger: Any = None) -> Any:
        """Run a flow; entries are kept for as long as the desk."""
        return super().run(flow)

    def close(self) -> None:
        """Nothing is open."""

    def perform(self, effect: Any) -> Any:
        """Perform an effect."""
        match effect:
            case ReadEntry(key):
                return self._ledger.recall(key)
            case WriteEntry(key, value):
                return self._ledger.record(key, value)
        return super().perform(effect)

    def answer(self, request: Any, sink: Any) -> Reply:
        """Answer a request by its path."""
        if request.body is not None:
            b"".join(request.body.chunks())
        reply = _reply(request.method, request.url.partition(".com")[2])
        if sink is None:
            return reply
        try:
            sink.start(Reply(200, reply.headers))
            sink.write(reply.body)
            sink.finish()
        except BaseException:
            sink.discard()
            raise
        return Reply(200, reply.headers)


def _reply(method: str, path: str) -> Reply:
    if "/services/async/" in path:
        return _reply1(method, path)
    if path.endswith("/describe"):
        return _json({"name": "Account", "keyPrefix": "001", "fields": _FIELDS})
    if method == "PUT":
        return Reply(201, {}, b"")
    if path.endswith(("/failedResults", "/unprocessedrecords")):
        return Reply(200, {**_CSV, "sforce-numberofrecords": "0"}, b"sf__Id,sf__Error,Name\n")
    if path.endswith("/successfulResults"):
        return Reply(200, _CSV, f"sf__Id,sf__Created,Name\n{RECORD_ID},true,a\n".encode())
    if path.endswith("/results"):
        return Reply(200, _CSV, f"Id\n{RECORD_ID}\n".encode())
    if path.endswith("/resultPages"):
        return _json({"done": True, "resultPages": []})
    if method == "GET" and path.endswith(("/ingest", "/query")):
        return _json({"done": True, "records": [{**_JOB, "state": "JobComplete"}]})
    state = {"POST": "Open", "PATCH": "UploadComplete"}.get(method, "JobComplete")
    return _json({**_JOB, "operation": "query" if "/query" in path else "insert", "state": state})


def _reply1(method: str, path: str) -> Reply:
    if path.endswith("/result"):
        return Reply(
            200,
            {"content-type": "text/csv"},
            f'"Id","Success","Created","Error"\n"{RECORD_ID}","true","true",""\n'.encode(),
        )
    if path.endswith(f"/result/{JOB_ID}"):
        return Reply(200, {"content-type": "text/csv"}, f'"Id"\n"{RECORD_ID}"\n'.encode())
    if path.endswith("/batch") and method == "GET":
        return _xml("batchInfoList", f"<batchInfo>{_tags(_BATCH1)}</batchInfo>")
    return _xml("batchInfo", _tags(_BATCH1)) if "/batch" in path else _xml("jobInfo", _tags(_JOB1))


def _json(data: Any) -> Reply:
    return Reply(200, _JSON, json.dumps(data).encode())


def _tags(values: Mapping[str, Any]) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in values.items())


def _xml(root: str, inside: str) -> Reply:
    return Reply(200, {"content-type": "application/xml"}, f"<{root}>{inside}</{root}>".encode())


_ROWS: Final = [{"Name": "a"}]
_SOQL: Final = "SELECT Id FROM Account"
_OPTIONS: Final = (
    "column_mapping",
    "nulls",
    "timezone",
    "columns",
    "blank_external_ids",
    "column_delimiter",
    "line_ending",
)
_WAITING: Final = ("timeout", "on_progress", "schedule")
_LOADS: Final = (*_OPTIONS, *_WAITING, "wait", "skip_unchanged", "source_format", "assignment_rule_id", "part_bytes",
                 "part_records", "max_concurrent_jobs")  # fmt: skip

CALLS: Final[Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]]] = {
    # what each call needs, and which further arguments it has
    "insert": ({"sobject": "Account", "records": _ROWS}, _LOADS),
    "update": ({"sobject": "Account", "records": [{"Id": RECORD_ID, "Name": "a"}]}, _LOADS),
    "upsert": ({"sobject": "Account", "records": [{"Key__c": "a"}], "external_id_field": "Key__c"}, _LOADS),
    "delete": ({"sobject": "Account", "ids_or_records": [RECORD_ID]}, _LOADS),
    "hard_delete": ({"sobject": "Account", "ids_or_records": [RECORD_ID]}, _LOADS),
    "describe": ({"sobject": "Account"}, ()),
    "ingest.create_job": (
        {"sobject": "Account", "operation": "insert"},
        ("external_id_field", "assignment_rule_id", "column_delimiter", "line_ending"),
    ),
    "ingest.create_job_with_data": ({"sobject": "Account", "operation": "insert", "data": "Name\na\n"}, ()),
    "ingest.upload": ({"job_id": JOB_ID, "data": "Name\na\n"}, ()),
    "ingest.close": ({"job_id": JOB_ID}, ()),
    "ingest.get_job": ({"job_id": JOB_ID}, ()),
    "ingest.list_jobs": ({}, ("job_type", "is_pk_chunking_enabled", "concurrency_mode")),
    "ingest.abort": ({"job_id": JOB_ID}, ()),
    "ingest.delete": ({"job_id": JOB_ID}, ()),
    "ingest.wait": ({"job_id": JOB_ID}, _WAITING),
    "ingest.successful_results": ({"job_id": JOB_ID}, ()),
    "ingest.failed_results": ({"job_id": JOB_ID}, ()),
    "ingest.unprocessed_records": ({"job_id": JOB_ID}, ()),
    "ingest.serialize": (
        {"records": _ROWS},
        (*_OPTIONS, "sobject", "operation", "external_id_field", "part_bytes", "part_records"),
    ),
    "ingest.perform": ({"sobject": "Account", "operation": "insert", "records": _ROWS}, _LOADS),
    "ingest.check": (
        {"sobject": "Account", "operation": "insert", "records": _ROWS},
        (*_OPTIONS, "external_id_field", "source_format", "part_bytes", "part_records"),
    ),
    "query.create_job": ({"soql": _SOQL}, ("include_deleted", "column_delimiter", "line_ending")),
    "query.result_pages": ({"job_id": JOB_ID}, ()),
    "query.results": ({"job_id": JOB_ID}, ("locator", "max_records")),
    "query.perform": ({"soql": _SOQL}, (*_WAITING, "include_deleted", "page_records", "column_delimiter", "line_ending")),
    "bulk1.create_job": (
        {"sobject": "Account", "operation": "insert"},
        ("external_id_field", "assignment_rule_id", "content_type", "concurrency_mode", "pk_chunking", "batch_retry",
         "line_ending"),
    ),
    "bulk1.get_job": ({"job_id": JOB_ID}, ()),
    "bulk1.close": ({"job_id": JOB_ID}, ()),
    "bulk1.abort": ({"job_id": JOB_ID}, ()),
    "bulk1.add_batch": ({"job_id": JOB_ID, "data": "Name\na\n"}, ("content_type", "compress")),
    "bulk1.get_batch": ({"job_id": JOB_ID, "batch_id": BATCH_ID}, ()),
    "bulk1.list_batches": ({"job_id": JOB_ID}, ()),
    "bulk1.request": ({"job_id": JOB_ID, "batch_id": BATCH_ID}, ()),
    "bulk1.wait": ({"job_id": JOB_ID}, _WAITING),
    "bulk1.results": ({"job_id": JOB_ID, "batch_id": BATCH_ID}, ()),
    "bulk1.result_ids": ({"job_id": JOB_ID, "batch_id": BATCH_ID}, ()),
    "bulk1.query_results": ({"job_id": JOB_ID, "batch_id": BATCH_ID, "result_id": JOB_ID}, ()),
    "bulk1.perform": (
        {"sobject": "Account", "operation": "insert", "records": _ROWS},
        (*_OPTIONS, *_WAITING, "assignment_rule_id", "concurrency_mode", "batch_retry", "compress", "wait", "batch_bytes",
         "batch_records"),
    ),
    "bulk1.query": (
        {"soql": _SOQL},
        (*_WAITING, "sobject", "include_deleted", "content_type", "concurrency_mode", "pk_chunking", "batch_retry"),
    ),
}  # fmt: skip


def made(values: Mapping[str, Any]) -> BulkClient:
    """Make a client whose requests the desk answers."""
    return BulkClient.from_settings(Settings.from_mapping(values), Desk())


def called(client: BulkClient, name: str, arguments: Mapping[str, Any]) -> None:
    """Make a call; of one that gives rows, take them all."""
    call: Any = client
    for part in name.split("."):
        call = getattr(call, part)
    found = call(**{**CALLS[name][0], **arguments})
    if hasattr(found, "__next__"):
        for each in found:
            if hasattr(each, "close"):
                each.close()
