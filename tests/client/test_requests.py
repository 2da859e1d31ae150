"""What is sent: method, address, headers and body of every call, as the documents have them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls, Bulk1JobSpec
from airflow_provider_sfbulk.client.bulk1.models import BatchInfo, BatchState, ContentType
from airflow_provider_sfbulk.client.bulk1.waiting import batches_with_rows, wait_for_batches
from airflow_provider_sfbulk.client.effects import Authorize, Body, Fetch, Flow, Reply, Request, Send, Token
from airflow_provider_sfbulk.client.models import JobInfo, JobState
from airflow_provider_sfbulk.client.parts.split import CONTENT_TYPE
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls, QueryCalls
from airflow_provider_sfbulk.client.protocol.spec import IngestSpec
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from tests.client.protocol.by_hand import CSV, JOB_ID, Hand, Kept, job, ok

V66: Final = "/services/data/v66.0"
ASYNC: Final = "/services/async/66.0"
BATCH_ID: Final = "7518d000004ZbMnAAK"
RESULT_ID: Final = "7528d000000RsXy"
SESSION: Final = "00D!AQ4xWJzQ!x"
INGEST, QUERY, BULK1 = IngestCalls("66.0"), QueryCalls("66.0"), Bulk1Calls("66.0")
NAMESPACE: Final = "http://www.force.com/2009/06/asyncapi/dataload"


def first(flow: Flow[Any]) -> Request:
    """The first request of a flow."""
    effect = next(flow)
    while not isinstance(effect, Send | Fetch):
        answer = Token(SESSION, "https://acme.my.salesforce.com") if isinstance(effect, Authorize) else 0.0
        effect = flow.send(answer)
    flow.close()
    return effect.request


def text_of(request: Request) -> str:
    return "" if request.body is None else b"".join(request.body.chunks()).decode()


def form_of(request: Request) -> tuple[str, str, str]:
    """Method, path and type of the body."""
    kind = "" if request.body is None else request.body.content_type
    return request.method, request.url.removeprefix("https://acme.my.salesforce.com"), kind


JSON_BODY: Final = "application/json; charset=UTF-8"

CALLS: Final[dict[str, tuple[Callable[[], Flow[Any]], tuple[str, str, str], str]]] = {
    "create": (
        lambda: INGEST.create(IngestSpec("Account", "insert")),
        ("POST", f"{V66}/jobs/ingest", JSON_BODY),
        "application/json",
    ),
    "get": (lambda: INGEST.get(JOB_ID), ("GET", f"{V66}/jobs/ingest/{JOB_ID}", ""), "application/json"),
    "list": (INGEST.list_page, ("GET", f"{V66}/jobs/ingest", ""), "application/json"),
    "abort": (lambda: INGEST.abort(JOB_ID), ("PATCH", f"{V66}/jobs/ingest/{JOB_ID}", JSON_BODY), "application/json"),
    "close": (lambda: INGEST.close(JOB_ID), ("PATCH", f"{V66}/jobs/ingest/{JOB_ID}", JSON_BODY), "application/json"),
    "delete": (lambda: INGEST.delete(JOB_ID), ("DELETE", f"{V66}/jobs/ingest/{JOB_ID}", ""), "application/json"),
    "upload": (
        lambda: INGEST.upload(JOB_ID, Body.of(b"Name\nx\n", CONTENT_TYPE)),
        ("PUT", f"{V66}/jobs/ingest/{JOB_ID}/batches", "text/csv; charset=UTF-8"),
        "application/json",
    ),
    "results": (
        lambda: INGEST.results(JOB_ID, "successful", Kept()),
        ("GET", f"{V66}/jobs/ingest/{JOB_ID}/successfulResults", ""),
        "text/csv",
    ),
    "failed": (
        lambda: INGEST.results(JOB_ID, "failed", Kept()),
        ("GET", f"{V66}/jobs/ingest/{JOB_ID}/failedResults", ""),
        "text/csv",
    ),
    "unprocessed": (
        lambda: INGEST.results(JOB_ID, "unprocessed", Kept()),
        ("GET", f"{V66}/jobs/ingest/{JOB_ID}/unprocessedrecords", ""),
        "text/csv",
    ),
    "query": (lambda: QUERY.create("SELECT Id FROM A"), ("POST", f"{V66}/jobs/query", JSON_BODY), "application/json"),
}


@pytest.mark.parity(
    *("I3.1", "I3.2", "I3.5", "I3.6", "I3.7", "I3.8", "I3.9", "I3.11", "A4.1", "A4.2", "A4.4", "A4.5", "A4.6"),
    *("A2.2", "A2.3", "A2.4", "A5.7", "K1.8"),
)
@pytest.mark.parametrize("name", CALLS)
def test_a_call_of_2_0_has_its_method_address_type_and_headers(name: str) -> None:
    make, form, accept = CALLS[name]
    request = first(make())
    assert form_of(request) == form
    assert dict(request.headers) == {
        "Accept": accept,
        "Authorization": f"Bearer {SESSION}",
        "Sforce-Call-Options": "client=airflow_provider_sfbulk",
    }


@pytest.mark.parity("I3.3", "I3.4", "A3.5", "I4.8", "A4.1")
def test_a_job_says_all_that_it_is() -> None:
    plain = first(INGEST.create(IngestSpec("Account", "insert")))
    assert json.loads(text_of(plain)) == {
        "columnDelimiter": "COMMA",
        "contentType": "CSV",
        "lineEnding": "LF",
        "object": "Account",
        "operation": "insert",
    }
    spec = IngestSpec("Lead", "upsert", external_id_field="Key__c", assignment_rule_id="01Q8d000000AbCdEAK")
    assert (
        json.loads(text_of(first(INGEST.create(spec)))).items()
        >= {
            "assignmentRuleId": "01Q8d000000AbCdEAK",
            "externalIdFieldName": "Key__c",
        }.items()
    )


@pytest.mark.parity("I3.7", "A4.6")
@pytest.mark.parametrize(("flow", "state"), [(INGEST.close, "UploadComplete"), (INGEST.abort, "Aborted")])
def test_a_state_is_changed_by_its_name(flow: Callable[[str], Flow[Any]], state: str) -> None:
    assert json.loads(text_of(first(flow(JOB_ID)))) == {"state": state}


@pytest.mark.parity("K2.10")
def test_soql_goes_out_as_it_was_given() -> None:
    soql = "SELECT Id,\n\tName -- ö\nFROM Account\r\nWHERE CreatedDate = LAST_N_DAYS:30\n  AND Name = 'O\\'Neil'\nLIMIT 100"
    assert json.loads(text_of(first(QUERY.create(soql))))["query"] == soql


# --- Bulk API 1.0 ---

XML: Final = "application/xml; charset=UTF-8"
JOB: Final = f"{ASYNC}/job/{JOB_ID}"
BATCH: Final = f"{JOB}/batch/{BATCH_ID}"

CALLS1: Final[dict[str, tuple[Callable[[], Flow[Any]], tuple[str, str, str]]]] = {
    "create": (lambda: BULK1.create(Bulk1JobSpec("Account", "insert")), ("POST", f"{ASYNC}/job", XML)),
    "get": (lambda: BULK1.get(JOB_ID), ("GET", JOB, "")),
    "close": (lambda: BULK1.close(JOB_ID), ("POST", JOB, XML)),
    "abort": (lambda: BULK1.abort(JOB_ID), ("POST", JOB, XML)),
    "add": (
        lambda: BULK1.add_batch(JOB_ID, Body.of(b"Name\nx\n", ContentType.CSV.media_type)),
        ("POST", f"{JOB}/batch", "text/csv; charset=UTF-8"),
    ),
    "list": (lambda: BULK1.list_batches(JOB_ID), ("GET", f"{JOB}/batch", "")),
    "batch": (lambda: BULK1.get_batch(JOB_ID, BATCH_ID), ("GET", BATCH, "")),
    "request": (lambda: BULK1.request(JOB_ID, BATCH_ID), ("GET", f"{BATCH}/request", "")),
    "results": (
        lambda: BULK1.results(JOB_ID, BATCH_ID, ContentType.CSV, records=None),
        ("GET", f"{BATCH}/result", ""),
    ),
    "ids": (lambda: BULK1.result_ids(JOB_ID, BATCH_ID), ("GET", f"{BATCH}/result", "")),
    "file": (
        lambda: BULK1.query_result(JOB_ID, BATCH_ID, RESULT_ID, Kept()),
        ("GET", f"{BATCH}/result/{RESULT_ID}", ""),
    ),
}


@pytest.mark.parity(
    *("G2.4", "G2.5", "G3.1", "G3.2", "G3.3", "G3.4", "G3.5", "G3.6", "G3.7", "G3.8", "G3.9", "G3.10", "G3.11"),
    *("G3.13", "G3.14", "G3.15", "G3.16"),
)
@pytest.mark.parametrize("name", CALLS1)
def test_a_call_of_1_0_has_its_method_address_type_and_session(name: str) -> None:
    make, form = CALLS1[name]
    request = first(make())
    assert form_of(request) == form
    assert request.headers["X-SFDC-Session"] == SESSION
    assert "Authorization" not in request.headers
    assert (request.body is None) is (request.method == "GET")
    assert request.method in ("GET", "POST")


@pytest.mark.parity("G3.16", "G8.1", "G1.3")
@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("CSV", "text/csv; charset=UTF-8"),
        ("XML", "application/xml; charset=UTF-8"),
        ("JSON", "application/json; charset=UTF-8"),
        ("ZIP_CSV", "zip/csv"),
        ("ZIP_XML", "zip/xml"),
        ("ZIP_JSON", "zip/json"),
    ],
)
def test_a_batch_says_of_what_it_is(kind: str, media_type: str) -> None:
    assert ContentType(kind).media_type == media_type


@pytest.mark.parity("G3.17", "G4.4", "G4.5", "G4.8", "G4.18", "G5.6", "G17.1")
def test_a_job_of_1_0_is_xml_in_the_order_of_the_guide() -> None:
    spec = Bulk1JobSpec("Contact", "upsert", external_id_field="Key__c", assignment_rule_id="01Q8d000000AbCdEAK")
    text = text_of(first(BULK1.create(spec)))
    assert text == (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<jobInfo xmlns="{NAMESPACE}">'
        "<operation>upsert</operation><object>Contact</object><externalIdFieldName>Key__c</externalIdFieldName>"
        "<assignmentRuleId>01Q8d000000AbCdEAK</assignmentRuleId><concurrencyMode>Parallel</concurrencyMode>"
        "<contentType>CSV</contentType></jobInfo>"
    )
    closing = text_of(first(BULK1.close(JOB_ID)))
    assert closing.endswith(f'<jobInfo xmlns="{NAMESPACE}"><state>Closed</state></jobInfo>')


@pytest.mark.parity("G4.19")
@pytest.mark.parametrize("operation", ["insert", "update", "delete", "hardDelete", "query", "queryAll"])
def test_an_operation_is_written_in_its_exact_form(operation: str) -> None:
    assert f"<operation>{operation}</operation>" in text_of(first(BULK1.create(Bulk1JobSpec("Account", operation))))
    for wrong in {operation.upper(), operation.capitalize(), operation.lower()} - {operation}:
        with pytest.raises(errors.SourceError, match="operation must be one of"):
            Bulk1JobSpec("Account", wrong)


def batch(state: str, **values: Any) -> dict[str, Any]:
    return {"id": BATCH_ID, "jobId": JOB_ID, "state": state, **values}


def job1(queued: int = 0, running: int = 0, state: str = "Closed") -> dict[str, Any]:
    counts = {"numberBatchesQueued": queued, "numberBatchesInProgress": running, "numberBatchesTotal": 2}
    return {"id": JOB_ID, "operation": "insert", "state": state, **counts}


@pytest.mark.parity("G4.14", "G5.2", "G6.15", "G16.4", "G15.12", "G8.9")
@pytest.mark.parametrize("end", ["Completed", "Failed", "NotProcessed", "Not Processed"])
def test_a_job_is_done_when_all_its_batches_are(end: str) -> None:
    other = "7518d000004ZbMoAAK"
    hand = Hand(
        [
            *(ok(job1(queued=1)), ok(job1(running=1)), ok(job1())),
            ok({"batchInfo": [batch(end), batch("InProgress", id=other)]}),
            ok(job1()),
            ok({"batchInfo": [batch(end), batch("Completed", id=other)]}),
        ]
    )
    ended = hand.run(wait_for_batches(BULK1, JOB_ID, schedule=Schedule()))
    assert [each.is_final for each in ended] == [True, True]
    assert len(hand.sleeps) == 3
    assert hand.replies == []


@pytest.mark.parity("G8.4", "G8.5", "G8.8", "G1.6", "K9.1", "G6.8")
@pytest.mark.parametrize(
    "message",
    [
        "InternalServerError : Tried more than fifteen times",
        "InvalidBatch : Failed to process query: QUERY_TIMEOUT: Your query request was running for too long.",
        "FeatureNotEnabled : Aggregate Relationships not supported in Bulk Query with CSV content type",
        "InvalidBatch : Failed to process query: FUNCTIONALITY_NOT_ENABLED: OFFSET is not supported",
        "FeatureNotEnabled : Binary field not supported",
    ],
)
def test_a_query_that_fails_says_so_in_salesforces_words(message: str) -> None:
    failed = BatchInfo(id=BATCH_ID, job_id=JOB_ID, state=BatchState.FAILED, state_message=message)
    with pytest.raises(errors.JobFailedError) as caught:
        batches_with_rows(JOB_ID, BATCH_ID, [failed])
    assert message in str(caught.value)


def refusal(code: str, in_json: bool, status: int = 400) -> Reply:
    if in_json:
        body = json.dumps({"exceptionCode": code, "exceptionMessage": "because"})
        return Reply(status, {"content-type": "application/json"}, body.encode())
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><error xmlns="{NAMESPACE}"><exceptionCode>{code}</exceptionCode>'
        "<exceptionMessage>because</exceptionMessage></error>"
    )
    return Reply(status, {"content-type": "application/xml"}, text.encode())


REFUSED, LATER = errors.RequestRefusedError, errors.TransientError


@pytest.mark.parity(*(f"G12.{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 13, 14, 15, 16, 17)), "G5.5")
@pytest.mark.parametrize("in_json", [False, True])
@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ClientInputError", 400, REFUSED),
        ("FeatureNotEnabled", 400, REFUSED),
        ("InvalidBatch", 400, REFUSED),
        ("InvalidEntity", 400, REFUSED),
        ("InvalidJob", 400, REFUSED),
        ("InvalidJobState", 400, REFUSED),
        ("InvalidOperation", 400, REFUSED),
        ("InvalidUrl", 400, REFUSED),
        ("InvalidUrl", 405, REFUSED),
        ("InvalidXML", 400, REFUSED),
        ("InvalidXml", 400, REFUSED),
        ("InvalidVersion", 400, REFUSED),
        ("Unknown", 400, REFUSED),
        ("UnsupportedContentType", 415, REFUSED),
        ("INSUFFICIENT_ACCESS", 400, REFUSED),
        ("ExceededQuota", 400, errors.RequestLimitError),
        ("Timeout", 400, LATER),
        ("TooManyLockFailure", 400, LATER),
        ("InternalServerError", 500, LATER),
        ("Unknown", 503, LATER),
    ],
)
def test_a_refusal_of_1_0_has_its_code_and_its_kind(
    code: str, status: int, kind: type[Exception], in_json: bool
) -> None:
    with pytest.raises(kind) as raised:
        Hand([refusal(code, in_json, status)]).run(BULK1.get_once(JOB_ID))
    assert (raised.value.error_code, raised.value.status, raised.value.job_id) == (code, status, JOB_ID)  # type: ignore[attr-defined]
    assert code in str(raised.value)
    assert "because" in str(raised.value)
    assert ("send fewer records in a batch" in str(raised.value)) is (code == "Timeout")


@pytest.mark.parity("G12.11")
def test_a_user_who_may_not_is_named_so() -> None:
    with pytest.raises(errors.SfBulkError, match=r"InvalidUser.*because") as raised:
        Hand([refusal("InvalidUser", False)] * 3).run(BULK1.get_once(JOB_ID))
    assert not isinstance(raised.value, errors.TransientError)


# --- models, and the package ---


@pytest.mark.parity("K3.9", "K3.10")
def test_a_job_knows_whether_it_has_ended_and_how() -> None:
    def made(state: str, failed: int = 0) -> JobInfo:
        return JobInfo.from_json(job(state, numberRecordsProcessed=3, numberRecordsFailed=failed))

    assert {str(state) for state in JobState if made(state).is_final} == {"JobComplete", "Failed", "Aborted"}
    assert [made(state).is_successful for state in JobState] == [state is JobState.JOB_COMPLETE for state in JobState]
    assert not made("JobComplete", failed=1).is_successful


@pytest.mark.parity("K1.6")
def test_the_package_is_typed_and_checked_strictly() -> None:
    assert files("airflow_provider_sfbulk").joinpath("py.typed").is_file()
    root = Path(__file__).parents[2]
    assert tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["strict"] is True


@pytest.mark.parity("I5.2")
def test_results_are_text_with_line_breaks_and_quotes_kept() -> None:
    sink = Kept()
    reply = Reply(200, CSV, b'"sf__Id","Name"\n"001","a ""b""\nc"\n')
    Hand([reply]).run(INGEST.results(JOB_ID, "successful", sink))
    assert sink.data == reply.body
