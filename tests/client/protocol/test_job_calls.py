"""Every call on jobs, with what Salesforce may answer to it."""

from __future__ import annotations

import json

import pytest

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.effects import Body, Reply
from airflow_provider_sfbulk.client.ingest import IngestApi
from airflow_provider_sfbulk.client.models import JobState
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls, QueryCalls
from airflow_provider_sfbulk.client.protocol.spec import IngestSpec
from tests.client.protocol.by_hand import CSV, JOB_ID, Hand, Kept, job, not_sent, ok, refused

INGEST, QUERY = IngestCalls("66.0"), QueryCalls("66.0")
BASE = "/services/data/v66.0/jobs"
NO_STATE = refused(400, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
CUT = errors.TransportError("cut")
DATA = Body.of(b"Name\nx\n", "text/csv")


def sent(request) -> dict:
    return json.loads(b"".join(request.body.chunks()))


@pytest.mark.parity("A4.1", "I3.1", "I3.2", "I3.3")
def test_a_job_is_created_as_the_reference_says():
    hand = Hand([ok(job())])
    spec = IngestSpec("Contact", "upsert", external_id_field="Crm_Key__c", column_delimiter="TAB", line_ending="CRLF")
    assert hand.run(INGEST.create(spec)).id == JOB_ID
    assert hand.calls == [f"POST {BASE}/ingest"]
    assert sent(hand.requests[0]) == {
        "object": "Contact",
        "operation": "upsert",
        "externalIdFieldName": "Crm_Key__c",
        "contentType": "CSV",
        "lineEnding": "CRLF",
        "columnDelimiter": "TAB",
    }


def test_a_query_job_is_created_as_the_reference_says():
    hand = Hand([ok(job("UploadComplete"))])
    hand.run(QUERY.create("SELECT Id FROM Account", operation="queryAll"))
    assert hand.calls == [f"POST {BASE}/query"]
    assert sent(hand.requests[0])["query"] == "SELECT Id FROM Account"
    assert sent(hand.requests[0])["operation"] == "queryAll"
    assert "SELECT" not in repr(hand.requests[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": "Insert"},
        {"operation": "upsert"},
        {"external_id_field": "Key__c"},
        {"column_delimiter": ","},
        {"line_ending": "\n"},
        {"sobject": "Account; x"},
    ],
)
def test_nothing_is_sent_for_a_job_that_cannot_be(wrong):
    with pytest.raises(errors.SourceError):
        IngestSpec(**{"sobject": "Account", "operation": "insert", **wrong})


def test_a_job_whose_creation_was_not_answered_is_created_again():
    hand = Hand([CUT, ok(job())])
    hand.run(INGEST.create(IngestSpec("Account", "insert")))
    assert len(hand.requests) == 2


def test_a_job_with_its_data_is_one_request_that_is_not_repeated():
    spec = IngestSpec("Lead", "insert")
    hand = Hand([ok(job("UploadComplete"))])
    assert hand.run(INGEST.create_with_data(spec, b"LastName\nOkafor\n")).state is JobState.UPLOAD_COMPLETE
    body = hand.requests[0].body
    data = b"".join(body.chunks())
    assert len(data) == body.length
    boundary = body.content_type.partition("boundary=")[2].encode()
    assert data.split(b"--" + boundary)[2].endswith(b'filename="content"\r\n\r\nLastName\nOkafor\n\r\n')
    with pytest.raises(errors.TransportError):
        Hand([CUT]).run(INGEST.create_with_data(spec, b"LastName\n"))
    with pytest.raises(errors.SourceError):
        INGEST.create_with_data(spec, b"x" * (limits.MULTIPART_CHARACTERS + 1))


@pytest.mark.parity("I3.9")
def test_an_upload_is_one_put_with_the_datas_length():
    hand = Hand([Reply(201, {}, b"")])
    hand.run(INGEST.upload(JOB_ID, DATA))
    assert hand.calls == [f"PUT {BASE}/ingest/{JOB_ID}/batches"]
    assert hand.requests[0].body is DATA


@pytest.mark.parametrize(
    "answer",
    [
        CUT,
        Reply(503, {}, b""),
        Reply(500, {}, b""),
        Reply(429, {}, b""),
        Reply(401, {}, b""),
        Reply(400, {}, b""),
        Reply(200, {}, b""),
        Reply(307, {"location": "/elsewhere"}, b""),
        refused(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests"),
    ],
)
def test_an_upload_is_never_repeated(answer):
    hand = Hand([answer])
    with pytest.raises(errors.SfBulkError):
        hand.run(INGEST.upload(JOB_ID, DATA))
    assert len(hand.requests) == 1


def test_an_upload_that_never_left_is_sent():
    hand = Hand([not_sent(), Reply(201, {}, b"")])
    hand.run(INGEST.upload(JOB_ID, DATA))
    assert len(hand.requests) == 2


def test_closing_gives_the_job():
    hand = Hand([ok(job("UploadComplete"))])
    assert hand.run(INGEST.close(JOB_ID)).state is JobState.UPLOAD_COMPLETE
    assert sent(hand.requests[0]) == {"state": "UploadComplete"}


@pytest.mark.parametrize("trouble", [CUT, Reply(500, {}, b""), Reply(503, {}, b"<html>"), NO_STATE])
@pytest.mark.parametrize("state", ["Open", "UploadComplete", "InProgress", "JobComplete", "Aborted"])
def test_a_close_in_doubt_reads_the_state(trouble, state):
    hand = Hand([trouble, ok(job(state))])
    assert hand.run(INGEST.close(JOB_ID)).state is JobState(state)
    assert hand.calls == [f"PATCH {BASE}/ingest/{JOB_ID}", f"GET {BASE}/ingest/{JOB_ID}"]


def test_a_job_with_two_uploads_cannot_be_closed():
    hand = Hand([refused(400, "INVALIDJOB", "Found multipe contents for job: <7508d000003QaLp>")])
    with pytest.raises(errors.RequestRefusedError, match="multipe contents"):
        hand.run(INGEST.close(JOB_ID))


def test_aborting_an_aborted_job_is_no_error_but_a_finished_one_is():
    assert Hand([CUT, NO_STATE, ok(job("Aborted"))]).run(INGEST.abort(JOB_ID)).state is JobState.ABORTED
    with pytest.raises(errors.RequestRefusedError, match="Aborting already Completed"):
        Hand([NO_STATE, ok(job("JobComplete"))]).run(INGEST.abort(JOB_ID))


@pytest.mark.parity("I3.8")
def test_deleting_is_done_when_the_job_is_gone_after_a_lost_reply():
    Hand([CUT, refused(404, "NOT_FOUND")]).run(QUERY.delete(JOB_ID))
    with pytest.raises(errors.NotFoundError):
        Hand([refused(404, "NOT_FOUND")]).run(QUERY.delete(JOB_ID))


def test_a_reply_about_another_job_is_refused():
    with pytest.raises(errors.ProtocolError, match="another job"):
        Hand([ok(job(job_id="7508d000003QZZZAAK"))]).run(INGEST.get(JOB_ID))
    assert Hand([ok(job())]).run(INGEST.get(JOB_ID[:15])).id == JOB_ID


@pytest.mark.parametrize("job_id", ["", "750", "7508d000003QaLp/batches", "../../limits", None])
def test_an_id_of_another_form_is_never_sent(job_id):
    with pytest.raises(errors.ProtocolError):
        Hand([]).run(INGEST.get(job_id))


def listing(*jobs, done=True, url=None) -> Reply:
    return ok({"done": done, "nextRecordsUrl": url, "records": list(jobs)})


def all_jobs(hand):
    hand.api_version = "66.0"
    return list(IngestApi(hand).list_jobs())


@pytest.mark.parity("I3.6", "A4.3", "B1.2")
def test_all_pages_of_the_list_of_jobs_are_read():
    url = "/services/data/v66.0/jobs/ingest?queryLocator=01g8d00000AbcdeAAB-1000"
    hand = Hand([listing(job(), done=False, url=url), listing(job(job_id="7508d000003QZZZAAK"))])
    assert [each.id for each in all_jobs(hand)] == [JOB_ID, "7508d000003QZZZAAK"]
    assert [dict(request.query) for request in hand.requests] == [
        {"jobType": "V2Ingest"},
        {"jobType": "V2Ingest", "queryLocator": "01g8d00000AbcdeAAB-1000"},
    ]


def test_a_list_that_goes_round_in_a_circle_is_refused():
    url = "/services/data/v66.0/jobs/ingest?queryLocator=01g8d00000AbcdeAAB-1000"
    with pytest.raises(errors.ProtocolError, match="twice"):
        all_jobs(Hand([listing(done=False, url=url)] * 3))


def paged(number, *jobs):
    return listing(*jobs, done=False, url=f"/services/data/v66.0/jobs/ingest?queryLocator=0r8-{number}")


@pytest.mark.parametrize(("jobs", "most"), [((), 25), ((job(),), 1_001)], ids=["empty", "full"])
def test_a_list_whose_every_page_names_another_one_ends(jobs, most):
    hand = Hand([paged(number, *jobs) for number in range(most)])
    with pytest.raises(errors.ProtocolError, match="the list of jobs"):
        all_jobs(hand)
    assert len(hand.requests) <= most


def test_some_empty_pages_are_no_reason_to_give_up():
    hand = Hand([paged(1), paged(2), paged(3, job()), *map(paged, range(4, 15)), listing(job())])
    assert len(all_jobs(hand)) == 2


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/services/data/v66.0/jobs/ingest?queryLocator=a",
        "//evil.example/services/data/v66.0/jobs/ingest?queryLocator=a",
        "/services/data/v66.0/sobjects?queryLocator=a",
        "/services/data/v66.0/jobs/ingest",
        "/services/data/v66.0/jobs/ingest?queryLocator=a&queryLocator=b",
        "/services/data/v66.0/jobs/ingest?queryLocator=a%20b",
        7,
    ],
)
def test_only_a_locator_is_taken_out_of_a_url(url):
    with pytest.raises(errors.ProtocolError):
        all_jobs(Hand([listing(done=False, url=url)]))


def test_a_list_must_say_whether_it_goes_on():
    with pytest.raises(errors.ProtocolError):
        all_jobs(Hand([listing(done=False)]))
    with pytest.raises(errors.ProtocolError):
        all_jobs(Hand([ok({"done": True})]))


def test_a_result_file_is_fetched_into_the_sink_again_after_a_cut():
    sink = Kept([errors.TransportError("cut"), None])
    hand = Hand([Reply(200, CSV, b"a\n1\n"), Reply(200, CSV, b"a\n1\n2\n")])
    hand.run(INGEST.results(JOB_ID, "failed", sink))
    assert sink.data == b"a\n1\n2\n"
    assert (sink.starts, sink.discards) == (2, 1)
    assert hand.calls == [f"GET {BASE}/ingest/{JOB_ID}/failedResults"] * 2


def test_a_result_file_that_is_always_cut_is_given_up_after_five_tries():
    hand = Hand([Reply(200, CSV, b"a\n")] * 9)
    with pytest.raises(errors.TransportError):
        hand.run(INGEST.results(JOB_ID, "failed", Kept([errors.TransportError("cut")] * 9)))
    assert len(hand.requests) == 5


def test_no_content_is_an_empty_result_file():
    sink = Kept()
    Hand([Reply(204, {}, b"")]).run(INGEST.results(JOB_ID, "unprocessed", sink))
    assert sink.data == b""


def test_a_web_page_does_not_get_into_a_result_file():
    sink = Kept()
    hand = Hand([Reply(200, {"content-type": "text/html"}, b"<html>"), Reply(200, CSV, b"a\n")])
    hand.run(INGEST.results(JOB_ID, "successful", sink))
    assert sink.data == b"a\n"
    with pytest.raises(errors.ProtocolError):
        Hand([ok({})]).run(INGEST.results(JOB_ID, "successful", Kept()))
