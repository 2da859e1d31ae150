"""How Bulk API 1.0 refuses."""

from __future__ import annotations

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.bulk1.async_witness import CSV, JSON, NS, XML, AsyncWitness, error, job_xml


def test_an_expired_session_is_400_in_both_shapes(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "An expired session is 400 `InvalidSessionId`, not 401"; shape of the error; "Format follows the
    request/job content type"."""
    org.expire_tokens()
    answer = bulk.post("/job", job_xml("insert"))
    assert answer.status == 400
    assert answer.text == (
        f'<?xml version="1.0" encoding="UTF-8"?><error\n   xmlns="{NS}">\n'
        " <exceptionCode>InvalidSessionId</exceptionCode>\n <exceptionMessage>Invalid session id</exceptionMessage>\n"
        "</error>\n"
    )
    in_json = bulk.post("/job", "{}", JSON)
    assert (in_json.status, in_json.json) == (
        400,
        {"exceptionCode": "InvalidSessionId", "exceptionMessage": "Invalid session id"},
    )
    bulk.session = bulk.rest.log_in()
    assert bulk.post("/job", job_xml("insert")).status == 201


def test_the_session_goes_into_its_own_header(bulk: AsyncWitness) -> None:
    """Facts: "Session goes in `X-SFDC-Session`"; "`Authorization: Bearer` is not documented here"; "Header
    names are case-insensitive"."""
    path = "/services/async/66.0/job"
    bearer = bulk.rest.call("POST", path, job_xml("insert"), content_type=XML)
    assert error(bearer)[1] == "InvalidSessionId"
    shouted = bulk.rest.call(
        "POST", path, job_xml("insert"), content_type=XML, authorization="", X_SFDC_SESSION=bulk.session
    )
    assert shouted.status == 201


@pytest.mark.parametrize("version", ["30.0", "68.0", "66.5"])
def test_versions_that_are_not_live_are_refused(bulk: AsyncWitness, version: str) -> None:
    """Facts: "Versions: 31-67 …; a retired version answers 400 with `InvalidVersion`"."""
    answer = bulk.rest.call("GET", f"/services/async/{version}/job/750000000000001", authorization="")
    assert error(answer)[:2] == (400, "InvalidVersion")


def test_there_is_no_v_in_the_path(bulk: AsyncWitness) -> None:
    """Facts: "Base path `/services/async/XX.0/…` - no `v` before the version"."""
    answer = bulk.rest.call("POST", "/services/async/v66.0/job", b"", authorization="", x_sfdc_session=bulk.session)
    assert error(answer)[:2] == (400, "InvalidUrl")


def test_unknown_jobs_batches_and_results(bulk: AsyncWitness) -> None:
    assert error(bulk.call("GET", "/job/750000000000001AAA")) == (
        400,
        "InvalidJob",
        "Invalid job id: 750000000000001AAA",
    )
    job_id, batch_id, _ = bulk.load("query", "SELECT Id FROM Account")
    assert error(bulk.call("GET", f"/job/{job_id}/batch/751000000000001AAA"))[:2] == (400, "InvalidBatch")
    assert error(bulk.result_file(job_id, batch_id, "752000000000001"))[:2] == (400, "InvalidBatch")
    json_job = bulk.create("insert", "Account", "JSON")
    assert bulk.call("GET", f"/job/{json_job}/batch/751000000000001AAA").json["exceptionCode"] == "InvalidBatch"


def test_content_types_that_are_none(bulk: AsyncWitness) -> None:
    """Facts: "the header must match the job's type"; 415 and `Unsupported content type: text/xml`."""
    answer = bulk.post("/job", job_xml("insert"), "text/xml")
    assert error(answer) == (415, "UnsupportedContentType", "Unsupported content type: text/xml")
    job_id = bulk.create("insert")
    assert error(bulk.post(f"/job/{job_id}/batch", "[]", "text/plain"))[0] == 415
    assert error(bulk.post(f"/job/{job_id}/batch", "[]", JSON))[:2] == (400, "InvalidBatch")


@pytest.mark.parametrize(
    "body",
    [
        "not xml",
        '<!DOCTYPE jobInfo SYSTEM "http://127.0.0.1/evil.dtd">' + job_xml("insert").partition("?>")[2],
        '<!DOCTYPE jobInfo [<!ENTITY x "insert">]>' + job_xml("&x;").partition("?>")[2],
    ],
)
def test_xml_that_is_broken_or_dangerous_is_refused(bulk: AsyncWitness, body: str) -> None:
    assert error(bulk.post("/job", body))[:2] == (400, "InvalidXml")


@pytest.mark.parametrize(
    "body", ["<jobInfo/>", f'<job xmlns="{NS}"/>', f'<jobInfo xmlns="{NS}"><nope>1</nope></jobInfo>']
)
def test_xml_that_is_no_job_is_refused(bulk: AsyncWitness, body: str) -> None:
    assert error(bulk.post("/job", body)) == (400, "InvalidJob", "Unable to parse Job")


@pytest.mark.parametrize("body", ["[]", "{", '{"operation":["insert"]}', "[" * 50_000])
def test_json_that_is_no_job_is_refused(bulk: AsyncWitness, body: str) -> None:
    assert error(bulk.post("/job", body, JSON)) == (400, "InvalidJob", "Unable to parse Job")


def test_daily_batches_run_out(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "`ExceededQuota` `ApiBatchItems Limit exceeded` (daily batches used up)"; "15,000, shared with
    2.0 ingest"."""
    job_id = bulk.create("insert")
    bulk.add(job_id, "Name\nA\n")
    assert org.core.usage.batches.remaining == 14_999
    org.core.usage.batches.maximum = 1
    answer = bulk.post(f"/job/{job_id}/batch", "Name\nB\n", CSV)
    assert error(answer) == (400, "ExceededQuota", "ApiBatchItems Limit exceeded")


def test_calls_are_counted_and_run_out(bulk: AsyncWitness, org: LocalOrg) -> None:
    before = org.core.usage.api_requests.used
    job_id = bulk.create("insert")
    assert org.core.usage.api_requests.used == before + 1
    org.core.usage.api_requests.maximum = 1
    org.core.usage.refuse_calls = True
    assert error(bulk.call("GET", f"/job/{job_id}"))[:2] == (400, "ExceededQuota")
    assert [call.path for call in org.calls][-2:] == ["/services/async/66.0/job", f"/services/async/66.0/job/{job_id}"]
