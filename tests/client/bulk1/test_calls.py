"""Every call of Bulk API 1.0, over HTTP to the local org."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import Any

import pytest

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client import BulkClient, errors
from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls, Bulk1JobSpec, PkChunking
from airflow_provider_sfbulk.client.bulk1.models import BatchInfo, BatchState, Bulk1JobState, ContentType
from airflow_provider_sfbulk.client.effects import Body, Flow, Reply, Request
from airflow_provider_sfbulk.client.models import ConcurrencyMode
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.client.bulk1.conftest import QUICK
from tests.client.protocol.by_hand import JOB_ID, Hand

GOOD_AND_BAD = {
    "CSV": b'Name,Phone\nA,1\n"",2\n',
    "XML": b'<sObjects xmlns="http://www.force.com/2009/06/asyncapi/dataload"><sObject><Name>A</Name></sObject>'
    b"<sObject><Phone>2</Phone></sObject></sObjects>",
    "JSON": b'[{"Name":"A"},{"Phone":"2"}]',
}


@pytest.mark.parametrize("content_type", GOOD_AND_BAD)
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parity("G1.2", "G1.4", "G3.3", "G3.6", "G3.7", "G3.8", "G3.9", "G5.1", "G6.10", "G7.2")
def test_a_job_from_its_making_to_its_results(
    client: BulkClient, org: LocalOrg, content_type: str, compress: bool
) -> None:
    api = client.bulk1
    made = api.create_job("Account", "insert", content_type=content_type, concurrency_mode="Serial")
    assert (made.state, made.content_type, made.may_grow) == (Bulk1JobState.OPEN, ContentType(content_type), True)
    assert (made.operation, made.object, made.api_version) == ("insert", "Account", client.api_version)
    assert made.concurrency_mode is ConcurrencyMode.SERIAL
    batch = api.add_batch(made.id, GOOD_AND_BAD[content_type], compress=compress)
    assert (batch.state, batch.job_id) == (BatchState.QUEUED, made.id)
    closed = api.close(made.id)
    assert (closed.state, closed.may_grow) == (Bulk1JobState.CLOSED, False)
    (ended,) = api.wait(made.id, schedule=QUICK)
    assert (ended.id, ended.state, ended.processed, ended.failed, ended.successful) == (
        batch.id,
        BatchState.COMPLETED,
        2,
        1,
        1,
    )
    good, bad = api.results(made.id, batch.id)
    assert (good.success, good.created, good.errors) == (True, True, ())
    assert good.id in {record["Id"] for record in org.records("Account")}
    assert (bad.id, bad.success, bad.created) == (None, False, False)
    assert [(each.status_code, each.fields) for each in bad.errors] == [("REQUIRED_FIELD_MISSING", ("Name",))]
    assert "Required fields are missing" in bad.errors[0].message
    assert api.request(made.id, batch.id) == GOOD_AND_BAD[content_type]
    job = api.get_job(made.id)
    assert (job.number_batches_completed, job.number_batches_total, job.processed, job.failed) == (1, 1, 2, 1)
    assert [each.id for each in api.list_batches(made.id)] == [batch.id]
    assert api.get_batch(made.id, batch.id[:15]).state is BatchState.COMPLETED


@pytest.mark.parity("B1.5")
def test_what_is_sent_of_a_job_is_what_the_guide_says(client: BulkClient, org: LocalOrg) -> None:
    made = client.bulk1.create_job(
        "Account",
        "upsert",
        external_id_field="External_Key__c",
        concurrency_mode="Serial",
        batch_retry=False,
        line_ending="CRLF",
    )
    (job,) = [each for each in org.bulk1_jobs if each.id == made.id]
    assert (job.external_id_field, job.is_serial, job.batch_retry, job.line_ending) == (
        "External_Key__c",
        True,
        False,
        "CRLF",
    )
    query = client.bulk1.create_job("Account", "query", pk_chunking=PkChunking(chunk_size=500, parent="Account"))
    (job,) = [each for each in org.bulk1_jobs if each.id == query.id]
    assert (job.chunk_records, job.start_row) == (500, None)


@pytest.mark.parity("G1.5", "G3.4", "G3.5", "G5.3")
def test_a_job_is_closed_and_aborted_once_however_often_that_is_said(client: BulkClient) -> None:
    api = client.bulk1
    job = api.create_job("Account", "insert")
    assert api.close(job.id).state is api.close(job.id).state is Bulk1JobState.CLOSED
    other = api.create_job("Account", "insert")
    assert api.abort(other.id).state is api.abort(other.id).state is Bulk1JobState.ABORTED
    with pytest.raises(errors.RequestRefusedError, match="InvalidJobState"):
        api.close(other.id)
    with pytest.raises(errors.RequestRefusedError, match="not Open") as refused:
        api.add_batch(other.id, b"Name\nA\n", content_type="CSV")
    assert refused.value.error_code == "InvalidJobState"


@pytest.mark.parity("G7.2", "G11.1", "G11.2", "G11.4", "G11.5")
def test_xml_records_bring_their_parents_and_their_nulls(client: BulkClient, org: LocalOrg) -> None:
    api = client.bulk1
    api.perform("Account", "insert", [{"Name": "P", "External_Key__c": "xml-1", "Phone": "1"}], schedule=QUICK)
    job = api.create_job("Contact", "insert", content_type="XML")
    name = ".  <&> \"'\r\n\u2028 東京\t."
    api.add_batch(job.id, [{"LastName": name, "Account": {"External_Key__c": "xml-1"}}, {"LastName": None}])
    (batch,) = api.wait(job.id, schedule=QUICK)
    assert [each.success for each in api.results(job.id, batch.id)] == [True, False]
    (contact,) = org.records("Contact")
    (account,) = [each for each in org.records("Account") if each["External_Key__c"] == "xml-1"]
    assert (contact["LastName"], contact["AccountId"]) == (name, account["Id"])


@pytest.mark.parity("G6.8", "G6.16")
def test_a_batch_that_fails_as_a_whole_says_why_and_has_no_results(client: BulkClient) -> None:
    api = client.bulk1
    job = api.create_job("Account", "insert")
    batch = api.add_batch(job.id, b"Nope__c\nA\n")
    (ended,) = api.wait(job.id, schedule=QUICK)
    assert (ended.state, ended.is_final, ended.is_successful) == (BatchState.FAILED, True, False)
    assert ended.state_message == "InvalidBatch : Field name not found : Nope__c"
    with pytest.raises(errors.RequestRefusedError, match="Records not processed") as refused:
        api.results(job.id, batch.id)
    assert refused.value.error_code == "InvalidBatch"


@pytest.mark.parametrize("spelling", ["NotProcessed", "Not Processed", "NOT_PROCESSED"])
@pytest.mark.parity("G6.11", "G6.15", "G16.4")
def test_a_batch_that_never_ran_is_known_in_every_spelling(client: BulkClient, org: LocalOrg, spelling: str) -> None:
    org.core.not_processed = spelling
    org.core.job_seconds = 60
    try:
        job = client.bulk1.create_job("Account", "insert", concurrency_mode="Serial")
        batches = [client.bulk1.add_batch(job.id, b"Name\nnever\n", content_type="CSV") for _ in range(2)]
        client.bulk1.abort(job.id)
        assert client.bulk1.get_batch(job.id, batches[1].id).state is BatchState.NOT_PROCESSED
        assert client.bulk1.list_batches(job.id)[1].state is BatchState.NOT_PROCESSED
    finally:
        org.core.job_seconds = 0
        org.advance(60)
        org.wait_until_idle()


def test_the_limits_of_a_batch_are_kept_before_anything_is_sent(client: BulkClient, org: LocalOrg) -> None:
    job = client.bulk1.create_job("Account", "insert")
    before = len(org.calls)
    with pytest.raises(errors.SourceError, match=f"{limits.BATCH_CHARACTERS:,}"):
        client.bulk1.add_batch(job.id, b"x" * (limits.BATCH_CHARACTERS + 1), content_type="CSV")
    with pytest.raises(errors.SourceError, match="archive, which is compressed already"):
        client.bulk1.add_batch(job.id, b"PK", content_type="ZIP_CSV", compress=True)
    assert len(org.calls) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"operation": "merge"}, "operation"),
        ({"operation": "upsert"}, "external_id_field"),
        ({"operation": "insert", "pk_chunking": PkChunking()}, "pk_chunking"),
        ({"operation": "query", "content_type": "ZIP_CSV"}, "ZIP_CSV"),
        ({"operation": "insert", "content_type": "csv"}, "content_type"),
        ({"operation": "insert", "concurrency_mode": "serial"}, "concurrency_mode"),
        ({"operation": "insert", "line_ending": "CR"}, "line_ending"),
    ],
)
@pytest.mark.parity("G4.8", "G4.18")
def test_wrong_arguments_are_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.SourceError, match=said):
        Bulk1JobSpec("Account", **arguments)
    for wrong in (
        {"chunk_size": 0},
        {"chunk_size": limits.PK_CHUNK_MOST_RECORDS + 1},
        {"start_row": "1"},
        {"parent": ""},
    ):
        with pytest.raises(errors.SourceError):
            PkChunking(**wrong)


def archive() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        made.writestr("request.txt", "Name,ParentId,Body\na.txt,0018d00000HaBcD,#a.txt\n")
        made.writestr("a.txt", "content")
    return held.getvalue()


@pytest.mark.parity("G1.3", "G4.5")
def test_an_archive_goes_out_as_it_is(client: BulkClient) -> None:
    """At wire level: the local org has no attachments and refuses such jobs."""
    with pytest.raises(errors.RequestRefusedError, match="not supported by the local org") as refused:
        client.bulk1.create_job("Account", "insert", content_type="ZIP_CSV")
    assert refused.value.error_code == "FeatureNotEnabled"
    data = archive()
    request = sent(Bulk1Calls("66.0").add_batch(JOB_ID, Body.of(data, ContentType.ZIP_CSV.media_type)))
    assert request.body is not None
    assert (request.body.content_type, b"".join(request.body.chunks())) == ("zip/csv", data)
    assert "Content-Encoding" not in request.headers


def sent(flow: Flow[BatchInfo]) -> Request:
    """Answer the flow's one request with a batch, and give the request."""
    info = json.dumps({"id": "751000000000001AAA", "jobId": JOB_ID, "state": "Queued"})
    hand = Hand([Reply(200, {"content-type": "application/json"}, info.encode())])
    assert hand.run(flow).id == "751000000000001AAA"
    (request,) = hand.requests
    return request


@pytest.mark.parity("G14.2")
def test_a_gzipped_batch_says_so() -> None:
    request = sent(Bulk1Calls("66.0").add_batch(JOB_ID, Body.of(b"Name\nA\n", "text/csv"), compress=True))
    assert request.body is not None
    assert request.headers["Content-Encoding"] == "gzip"
    assert request.headers["X-SFDC-Session"]
    assert "Authorization" not in request.headers
    assert gzip.decompress(b"".join(request.body.chunks())) == b"Name\nA\n"
