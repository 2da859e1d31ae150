"""Faults that a user asks for, as clients see them on the wire."""

from __future__ import annotations

import gzip
import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import Answer, V, Witness

LIMITS = f"{V}/limits"
NAMES = "Name\n" + "".join(f"Stand {n}\n" for n in range(30))


@pytest.fixture
def pages(witness: Witness) -> str:
    """Path of the results of a query with 30 rows."""
    witness.load(NAMES)
    return f"{V}/jobs/query/{witness.query('SELECT Name FROM Account ORDER BY Name')['id']}/results"


def bulk1(witness: Witness, path: str) -> Answer:
    return witness.call("GET", f"/services/async/66.0/job/{path}", x_sfdc_session=witness.log_in(), authorization="")


# --- statuses ---


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (500, "UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support"),
        (502, "UNKNOWN_EXCEPTION", ""),
        (503, "SERVER_UNAVAILABLE", "Server too busy"),
        (429, "UNKNOWN_EXCEPTION", ""),
        (420, "UNKNOWN_EXCEPTION", ""),
    ],
)
def test_an_error_status_once(org: LocalOrg, witness: Witness, status: int, code: str, message: str) -> None:
    fault = org.fault("data.limits", "status", status=status, retry_after=7)
    broken = witness.call("GET", LIMITS)
    assert broken.error[:2] == (status, code)
    assert message in broken.error[2]
    assert broken.headers["Retry-After"] == "7"
    assert witness.call("GET", LIMITS).status == 200
    assert fault.struck == 1


def test_calls_are_counted_from_when_the_fault_was_asked_for(org: LocalOrg, witness: Witness) -> None:
    witness.call("GET", LIMITS)
    fault = org.fault("data.limits", "status", call=2, times=2)
    witness.call("GET", f"{V}/sobjects")
    assert [witness.call("GET", LIMITS).status for _ in range(4)] == [200, 503, 503, 200]
    assert fault.struck == 2


def test_a_fault_stays_until_it_is_cleared_and_may_be_for_many_routes(org: LocalOrg, witness: Witness) -> None:
    witness.log_in()
    org.fault("data.*", "status", times=None)
    assert {witness.call("GET", path).status for path in (LIMITS, f"{V}/sobjects", LIMITS)} == {503}
    assert witness.call("GET", f"{V}/jobs/ingest").status == 200
    org.fault("*", "status", status=500, times=None)
    assert witness.call("GET", f"{V}/jobs/ingest").status == 500
    org.clear_faults()
    assert witness.call("GET", LIMITS).status == 200


def test_an_error_can_follow_the_effect(org: LocalOrg, witness: Witness) -> None:
    org.fault("ingest.create", "status", when="after")
    assert witness.call("POST", f"{V}/jobs/ingest", {"object": "Account", "operation": "insert"}).status == 503
    (job,) = org.jobs
    assert job.state == "Open"


def test_each_part_of_salesforce_fails_in_its_own_format(org: LocalOrg, witness: Witness) -> None:
    org.fault("bulk1.*", "status", status=500)
    answer = bulk1(witness, "7508d000003QaLpAAK")
    assert answer.status == 500
    assert "<exceptionCode>InternalServerError</exceptionCode>" in answer.text
    org.fault("bulk1.*", "expired_session")
    answer = bulk1(witness, "7508d000003QaLpAAK")
    assert answer.status == 400
    assert "<exceptionCode>InvalidSessionId</exceptionCode>" in answer.text


def test_a_login_by_soap_fails_as_to_a_browser(org: LocalOrg, witness: Witness) -> None:
    org.fault("soap.login", "status", status=503)
    answer = witness.call("POST", "/services/Soap/u/64.0", "<x/>", authorization="", content_type="text/xml")
    assert (answer.status, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8")


def test_whoever_sends_much_gets_to_read_the_answer(org: LocalOrg, witness: Witness) -> None:
    job_id = witness.create()
    org.fault("ingest.upload", "status", status=503)
    rows = b"a row of twenty bytes\n" * 1_000_000
    assert witness.put(job_id, rows).status == 503
    assert witness.info(job_id)["state"] == "Open"
    assert "numberRecordsProcessed" not in witness.info(job_id)


def test_html_may_come_with_any_status(org: LocalOrg, witness: Witness) -> None:
    for options, status in (({}, 200), ({"status": 503}, 503)):
        org.fault("ingest.create", "html", **options)
        answer = witness.call("POST", f"{V}/jobs/ingest", {"object": "Account", "operation": "insert"})
        assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
        assert answer.text.startswith("<!DOCTYPE html>")
    assert org.jobs == []


# --- connections ---


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_a_dropped_connection_says_nothing_of_the_effect(org: LocalOrg, witness: Witness, when: str, made: int) -> None:
    witness.log_in()
    org.fault("ingest.create", "drop", when=when)
    with pytest.raises(http.client.RemoteDisconnected):
        witness.call("POST", f"{V}/jobs/ingest", {"object": "Account", "operation": "insert"})
    assert len(org.jobs) == made
    assert org.calls[-1].status == 0


def test_a_cut_body_is_told_from_a_whole_one_by_its_framing(org: LocalOrg, witness: Witness, pages: str) -> None:
    whole = witness.call("GET", pages).body
    org.fault("query.results", "cut", at_byte=20)
    with pytest.raises(http.client.IncompleteRead) as caught:
        witness.call("GET", pages, accept_encoding="gzip")
    assert caught.value.partial == whole[:20]
    org.fault("query.results", "cut", at_byte=20, honest=True)
    assert witness.call("GET", pages, accept_encoding="gzip").body == whole[:20]
    org.fault("query.results", "cut", at_byte=len(whole))
    assert witness.call("GET", pages).body == whole, "nothing beyond to cut"


def test_a_cut_answer_goes_on_announcing_its_length(org: LocalOrg, witness: Witness) -> None:
    org.fault("data.limits", "cut", at_byte=5)
    with pytest.raises(http.client.IncompleteRead) as caught:
        witness.call("GET", LIMITS)
    assert len(caught.value.partial) == 5
    assert caught.value.expected is not None
    assert caught.value.expected > 100


def test_a_slow_body_is_whole(org: LocalOrg, witness: Witness, pages: str) -> None:
    whole = witness.call("GET", pages).body
    org.fault("query.results", "slow", seconds=0.02, piece_bytes=len(whole) // 4)
    started = time.perf_counter()
    assert witness.call("GET", pages, accept_encoding="gzip").body == whole
    assert time.perf_counter() - started >= 0.08
    packed = witness.call("GET", pages, accept_encoding="gzip")
    assert gzip.decompress(packed.body) == whole


# --- what Salesforce itself does ---


def test_a_session_expires_as_the_call_comes(org: LocalOrg, witness: Witness) -> None:
    witness.log_in()
    org.fault("ingest.list", "expired_session")
    assert witness.call("GET", LIMITS).status == 200
    answer = witness.call("GET", f"{V}/jobs/ingest")
    assert answer.error == (401, "INVALID_SESSION_ID", "Session expired or invalid")
    assert answer.headers["WWW-Authenticate"] == "Token"
    assert witness.call("GET", LIMITS).status == 401
    witness.log_in()
    assert witness.call("GET", LIMITS).status == 200


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "TotalRequests Limit exceeded."),
        ({"concurrent": True}, "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
    ],
)
def test_the_request_limit_has_both_texts(org: LocalOrg, witness: Witness, options: Any, text: str) -> None:
    org.fault("ingest.*", "request_limit", **options)
    assert witness.call("GET", f"{V}/jobs/ingest").error == (403, "REQUEST_LIMIT_EXCEEDED", text)


def test_a_page_leads_to_itself(org: LocalOrg, witness: Witness, pages: str) -> None:
    org.fault("query.results", "same_locator")
    first = witness.call("GET", f"{pages}?maxRecords=10").headers["Sforce-Locator"]
    again = witness.call("GET", f"{pages}?maxRecords=10&locator={first}").headers["Sforce-Locator"]
    assert again == first
    then = witness.call("GET", f"{pages}?maxRecords=10&locator={first}").headers["Sforce-Locator"]
    assert then not in (first, "null")


def test_daily_limits_run_out(org: LocalOrg, witness: Witness) -> None:
    used = org.core.usage.api_requests.used
    org.limit("DailyApiRequests", used + 2)
    answers = [witness.call("GET", LIMITS) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 403]
    assert answers[2].error == (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    assert answers[0].json["DailyApiRequests"] == {"Max": used + 2, "Remaining": 1}
    assert answers[1].headers["Sforce-Limit-Info"] == f"api-usage={used + 2}/{used + 2}"
    org.advance(25 * 3600)
    witness.log_in()
    assert witness.call("GET", LIMITS).status == 200


def test_the_day_s_batches_and_queries_run_out(org: LocalOrg, witness: Witness) -> None:
    org.core.batch_records = 2
    org.limit("DailyBulkApiBatches", 1)
    info = witness.load("Name\nA\nB\nC\n")
    assert (info["state"], info["numberRecordsProcessed"] in (1, 2)) == ("Failed", True)
    assert info["errorMessage"] == "ExceededQuota : ApiBatchItems Limit exceeded"
    assert len(witness.results(info, "unprocessedrecords").rows) == 3 - info["numberRecordsProcessed"]
    org.limit("DailyBulkV2QueryJobs", 1)
    body = {"operation": "query", "query": "SELECT Id FROM Account"}
    assert witness.call("POST", f"{V}/jobs/query", body).status == 200
    status, code, message = witness.call("POST", f"{V}/jobs/query", body).error
    assert (status, code) == (400, "LIMIT_EXCEEDED")
    assert message == "Max bulk v2 query jobs (1) per 24 hrs has been reached (10021)"


# --- mistakes of the user ---


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        (("ingest.uplaod", "drop"), {}, "no route is called 'ingest.uplaod'"),
        (("ingest.upload", "explode"), {}, "no fault is called 'explode'; there are status, html, drop"),
        (("ingest.upload", "drop"), {"status": 500}, "does not take these options: status"),
        (("ingest.upload", "drop"), {"when": "during"}, "when is 'before' or 'after'"),
        (("ingest.upload", "status"), {"status": 200}, "400 to 599"),
        (("ingest.upload", "cut"), {"at_byte": -1}, "at_byte"),
        (("ingest.upload", "slow"), {"seconds": -1}, "seconds"),
        (("ingest.upload", "drop"), {"call": 0}, "count from 1"),
        (("ingest.upload", "drop"), {"times": 0}, "count from 1"),
        (("ingest.upload", "expired_session"), {"when": "after"}, "does not take"),
    ],
)
def test_what_cannot_be_is_refused(org: LocalOrg, arguments: Any, options: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        org.fault(*arguments, **options)
    with pytest.raises(ValueError, match="no limit is called"):
        org.limit("DailyCoffees", 1)


def test_a_fault_breaks_none_of_the_org_s_own_addresses(org: LocalOrg) -> None:
    org.fault("*", "drop", times=None)
    connection = http.client.HTTPConnection(urlsplit(org.url).netloc, timeout=10)
    connection.request("GET", "/local-org/state")
    assert json.loads(connection.getresponse().read())["faults"] == [{"route": "*", "kind": "drop", "struck": 0}]
    connection.close()
