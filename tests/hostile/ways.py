"""The ways in which something can come in. Each takes what came and runs what a user would; the errors come out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from airflow.sdk import Asset, Connection

from airflow_provider_sfbulk.client.auth.session import Session
from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls
from airflow_provider_sfbulk.client.bulk1.models import ContentType
from airflow_provider_sfbulk.client.check.check import InputCheck
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.errors import SfBulkError
from airflow_provider_sfbulk.client.extract.pages import pages, result_pages
from airflow_provider_sfbulk.client.extract.whole_object import ALL, choose_fields
from airflow_provider_sfbulk.client.faces.given import stream_of
from airflow_provider_sfbulk.client.ingest import IngestApi
from airflow_provider_sfbulk.client.load.rounds import PartLimits
from airflow_provider_sfbulk.client.models import JobInfo, ResultKind
from airflow_provider_sfbulk.client.parts.fit import fit_to_object
from airflow_provider_sfbulk.client.parts.split import split
from airflow_provider_sfbulk.client.parts.stream import Rules
from airflow_provider_sfbulk.client.protocol.changes import Question, look_for_changes
from airflow_provider_sfbulk.client.protocol.describe import describe
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls, QueryCalls
from airflow_provider_sfbulk.client.protocol.org import read_limits, versions
from airflow_provider_sfbulk.client.replies.safe_text import MESSAGE_CHARACTERS
from airflow_provider_sfbulk.client.results.folder import LocalFolder
from airflow_provider_sfbulk.client.results.job_result import JobResult
from airflow_provider_sfbulk.client.results.result_files import ResultFile
from airflow_provider_sfbulk.client.results.schema import types_by_describe
from airflow_provider_sfbulk.client.results.spool import DownloadedRows
from airflow_provider_sfbulk.client.settings import Settings
from airflow_provider_sfbulk.client.soql import bind
from airflow_provider_sfbulk.client.waiting.wait import check_complete
from airflow_provider_sfbulk.hooks.connection import connection_session
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator, Incremental
from airflow_provider_sfbulk.sensors.job import BulkJobSensor
from airflow_provider_sfbulk.task.asset_state import LONGEST_LAG_SECONDS, written
from airflow_provider_sfbulk.triggers.change import SalesforceChangeTrigger
from airflow_provider_sfbulk.triggers.event import WaitEvent
from tests.client.protocol.by_hand import Hand
from tests.hostile.calls import BATCH_ID, JOB_ID, called, made

MOST_CALLS: Final = 5_000
"""Calls that any one input may cause: a loop without an end has more."""

APP: Final = {
    "host": "https://acme.my.salesforce.com",
    "client_id": "3MVG9client",
    "client_secret": "S3cretOfTheApp",
    "login": "u@acme.example",
    "password": "P4ssword!",
}


class Endless(Hand):
    """Answers every request alike, for as long as it takes."""

    def __init__(self, reply: Reply) -> None:
        super().__init__([])
        self.reply = reply
        self.api_version = "66.0"

    def answer(self, request: Any, sink: Any) -> Reply:
        self.requests.append(request)
        assert len(self.requests) < MOST_CALLS, "this never ends"
        if sink is None or self.reply.status != 200:
            return self.reply
        try:
            sink.start(Reply(200, self.reply.headers))
            sink.write(self.reply.body)
            sink.finish()
        except BaseException:
            sink.discard()
            raise
        return Reply(200, self.reply.headers)


def _job(**more: Any) -> JobInfo:
    return JobInfo.from_json(
        {"id": JOB_ID, "state": "JobComplete", "operation": "query", "columnDelimiter": "COMMA", "lineEnding": "LF",
         "numberRecordsProcessed": 1, **more}
    )  # fmt: skip


def _spool() -> DownloadedRows:
    return DownloadedRows(Dialect())


CALLS: Final[Mapping[str, Callable[[Endless], Any]]] = {
    "get": lambda hand: check_complete(hand.run(IngestCalls("66.0").get(JOB_ID))),
    "create": lambda hand: hand.run(QueryCalls("66.0").create("SELECT Id FROM Account")),
    "close": lambda hand: hand.run(IngestCalls("66.0").close(JOB_ID)),
    "abort": lambda hand: hand.run(IngestCalls("66.0").abort(JOB_ID)),
    "delete": lambda hand: hand.run(IngestCalls("66.0").delete(JOB_ID)),
    "list": lambda hand: list(IngestApi(hand).list_jobs()),
    "states": lambda hand: hand.run(IngestCalls("66.0").list_states()),
    "results": lambda hand: hand.run(IngestCalls("66.0").results(JOB_ID, "failed", _spool())),
    "failed results": lambda hand: list(IngestApi(hand).failed_results(JOB_ID)),
    "pages": lambda hand: hand.run(pages(QueryCalls("66.0"), _job(), lambda _: _spool())),
    "result pages": lambda hand: hand.run(result_pages(QueryCalls("66.0"), JOB_ID)),
    "limits": lambda hand: hand.run(read_limits(api_version="66.0")),
    "versions": lambda hand: hand.run(versions()),
    "job of 1.0": lambda hand: hand.run(Bulk1Calls("66.0").get(JOB_ID)),
    "batches of 1.0": lambda hand: hand.run(Bulk1Calls("66.0").list_batches(JOB_ID)),
    "results of 1.0, CSV": lambda hand: hand.run(
        Bulk1Calls("66.0").results(JOB_ID, BATCH_ID, ContentType.CSV, records=None)
    ),
    "results of 1.0, XML": lambda hand: hand.run(
        Bulk1Calls("66.0").results(JOB_ID, BATCH_ID, ContentType.XML, records=None)
    ),
    "results of 1.0, JSON": lambda hand: hand.run(
        Bulk1Calls("66.0").results(JOB_ID, BATCH_ID, ContentType.JSON, records=None)
    ),
    "result ids of 1.0": lambda hand: hand.run(Bulk1Calls("66.0").result_ids(JOB_ID, BATCH_ID)),
}


def reply(call: str, answer: Reply) -> None:
    """A call, every request of which gets this answer."""
    CALLS[call](Endless(answer))


def result_file(kind: ResultKind, answer: Reply) -> None:
    """A result file of a job to which two records were sent, held against them and written."""
    sink = JobResult(JOB_ID, Dialect(), kind, expect_records=2)
    Endless(answer).run(IngestCalls("66.0").results(JOB_ID, kind, sink))
    sink.check_columns(("Name", "Phone"))
    if kind == "failed":
        sink.codes()
    with TemporaryDirectory() as folder:
        file = ResultFile(LocalFolder(folder), "rows.csv", kind)
        try:
            file.add(sink, np.ones(2, np.bool_), np.array([1, 2]))
        finally:
            file.discard()


def login(flow: str, answer: Reply) -> None:
    """A login that is answered so."""
    settings = Settings.from_mapping({**APP, "auth_flow": flow, "refresh_token": "R3freshToken"})
    Endless(answer).run(Session(settings).renew(None))


def settings(values: Any) -> None:
    """The keywords of ``BulkClient``."""
    Settings.from_mapping(values).with_private_key()


def connection(extra: Any) -> None:
    """The extra field of an Airflow connection, as text or as JSON."""
    text = extra if isinstance(extra, str) else json.dumps(extra)
    session = connection_session(Connection(conn_id="c", conn_type="salesforce_bulk", host=APP["host"], extra=text))
    session.settings.with_private_key()


def rows(records: Any, **rules: Any) -> None:
    """Records of a load, encoded and cut into parts."""
    made = Rules(operation=rules.pop("operation", "insert"), **rules)
    for part in split(stream_of(records, made)):
        part.close()


def params(values: Any) -> None:
    """Values bound into a query."""
    bind("SELECT Id FROM Account WHERE Name = :n", values)


def event(data: Any) -> None:
    """What a deferred task wakes up with."""
    WaitEvent.from_dict(data).final_jobs([JOB_ID])


def look(answer: Reply) -> None:
    """A look for changes of two objects."""
    since = datetime(2026, 1, 1, tzinfo=UTC)
    questions = [Question(each, "SystemModstamp", since, since, False) for each in ("Account", "Contact")]
    found = Endless(answer).run(look_for_changes(questions, api_version="66.0"))
    assert found.answers[1] is False, "what is wrong with one answer is no matter of the other"
    if found.org_time is not None:
        written(found.org_time - timedelta(seconds=LONGEST_LAG_SECONDS))
    if isinstance(found.answers[0], SfBulkError):
        raise found.answers[0]


def described(answer: Reply) -> None:
    """The describe of an object that is read as a whole, and that rows are checked against and loaded into."""
    found = Endless(answer).run(describe("Account", api_version="66.0"))
    choose_fields(found, [ALL], [])
    types_by_describe("Account", ["Id", "Name", "Owner.Name"], {"Account": found})
    made = Rules(operation="insert")
    check = InputCheck(found, made, PartLimits(part_bytes=1_000_000, part_records=1_000))
    rows = stream_of([{"Name": "a", "Size__c": "1.5", "OwnerId": "005000000000001AAA", "Kind__c": "b"}], check.rules)
    report = check.read([fit_to_object(rows, found, check.rules)])
    assert all(line.isprintable() and len(line) <= MESSAGE_CHARACTERS for line in report.lines())


def whole_object(arguments: Any) -> None:
    """The arguments of an operator that reads a whole object."""
    BulkQueryOperator(
        **{"task_id": "extract", "sobject": "Account", "fields": "all", "output_path": "out", **arguments}
    )


def watch(arguments: Any) -> None:
    """The arguments of a watch for changes."""
    SalesforceChangeTrigger(**{"sobject": "Account", **arguments})


def call(name: str, arguments: Mapping[str, Any]) -> None:
    """A call of the client, with these arguments beside or instead of those that it needs."""
    called(made(APP), name, arguments)


def ingest_task(arguments: Any) -> None:
    """The arguments of an operator that loads."""
    BulkIngestOperator(
        **{"task_id": "load", "sobject": "Account", "operation": "insert", "source": "in.csv", **arguments}
    )


def query_task(arguments: Any) -> None:
    """The arguments of an operator that extracts."""
    BulkQueryOperator(**{"task_id": "extract", "soql": "SELECT Id FROM Account", "output_path": "out", **arguments})


def sensor(arguments: Any) -> None:
    """The arguments of a sensor."""
    BulkJobSensor(**{"task_id": "wait", "job_id": JOB_ID, **arguments})


def window(arguments: Any) -> None:
    """The arguments of a window."""
    Incremental(**{"asset": Asset("a"), **arguments})


WAYS: Final[Mapping[str, Callable[..., None]]] = {
    "reply": reply,
    "result file": result_file,
    "login": login,
    "settings": settings,
    "connection": connection,
    "rows": rows,
    "params": params,
    "event": event,
    "describe": described,
    "look": look,
    "watch": watch,
    "whole object": whole_object,
    "call": call,
    "ingest task": ingest_task,
    "query task": query_task,
    "sensor": sensor,
    "window": window,
}
