"""One call: token, renewal, and what a reply becomes."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.models import check_id
from airflow_provider_sfbulk.client.protocol.call import ApiCall, call, call_json, call_object, check_sobject, data_path
from airflow_provider_sfbulk.client.replies.error_table import BY_STATUS, TABLE
from airflow_provider_sfbulk.client.replies.refusal import error_for, read_refusals, retry_after
from tests.client.protocol.by_hand import JOB_ID, JSON, Hand, ok, refused

GET = ApiCall("GET", "/services/data/v66.0/limits")
OVER = refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
HTML = Reply(200, {"content-type": "text/html"}, b"<html>Down for maintenance</html>")


@pytest.mark.parity("I3.11")
def test_a_call_carries_the_token_to_the_instance():
    hand = Hand([ok({"a": 1})])
    assert hand.run(call_json(GET)) == {"a": 1}
    (request,) = hand.requests
    assert request.url == "https://acme.my.salesforce.com/services/data/v66.0/limits"
    assert request.headers["Authorization"] == "Bearer token0"
    assert "token0" not in repr(request)


def test_an_ended_session_is_renewed_once_and_the_call_repeated():
    hand = Hand([OVER, ok({})])
    hand.run(call(GET))
    assert [stale and stale.access_token for stale in hand.logins] == [None, "token0"]
    assert [request.headers["Authorization"] for request in hand.requests] == ["Bearer token0", "Bearer token2"]


def test_a_new_token_that_is_refused_too_ends_the_call():
    hand = Hand([OVER, OVER])
    with pytest.raises(errors.LoginError) as caught:
        hand.run(call(GET))
    assert len(hand.requests) == 2
    assert caught.value.error_code == "INVALID_SESSION_ID"


@pytest.mark.parametrize(
    "message", ["This session is not valid for use with the REST API", "Connected app is not attached to Agent"]
)
def test_a_session_that_no_login_can_mend_is_not_renewed(message):
    hand = Hand([refused(401, "INVALID_SESSION_ID", message)])
    with pytest.raises(errors.LoginError, match="scopes"):
        hand.run(call(GET))
    assert hand.logins == [None]


def test_the_user_info_resource_says_in_its_own_way_that_a_session_is_over():
    hand = Hand([Reply(403, {"content-type": "text/plain"}, b"Bad_OAuth_Token"), ok({})])
    hand.run(call(GET))
    assert len(hand.logins) == 2


def test_a_call_that_must_not_be_sent_again_gets_a_new_session_for_the_next_one():
    hand = Hand([OVER])
    with pytest.raises(errors.TransientError) as caught:
        hand.run(call(ApiCall("PUT", "/x", resend=False)))
    assert not isinstance(caught.value, errors.TransportError)
    assert len(hand.requests) == 1
    assert len(hand.logins) == 2


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refused(400, "INVALIDJOB"), errors.RequestRefusedError),
        (refused(400, "SOMETHING_NEW"), errors.RequestRefusedError),
        (refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), errors.RequestLimitError),
        (refused(400, "LIMIT_EXCEEDED", "Max bulk v2 query jobs"), errors.RequestLimitError),
        (refused(403, "API_DISABLED_FOR_ORG"), errors.LoginError),
        (refused(400, "URL_NOT_RESET"), errors.LoginError),
        (refused(404, "NOT_FOUND"), errors.NotFoundError),
        (Reply(404, {}, b"<html>URL No Longer Exists</html>"), errors.NotFoundError),
        (Reply(420, {}, b""), errors.ServerBusyError),
        (Reply(503, {"content-type": "text/html"}, b"<!DOCTYPE html>"), errors.ServerBusyError),
        (refused(503, "SERVER_UNAVAILABLE"), errors.ServerBusyError),
        (refused(500, "UNKNOWN_EXCEPTION"), errors.ServerBusyError),
        (refused(400, "QUERY_TIMEOUT"), errors.ServerBusyError),
        (Reply(599, {}, b"\xff\x00"), errors.ServerBusyError),
        (Reply(302, {"location": "https://evil.example/"}, b""), errors.RequestRefusedError),
        (Reply(409, JSON, b"[]"), errors.RequestRefusedError),
        (Reply(400, JSON, b'{"exceptionCode":"InvalidJob","exceptionMessage":"x"}'), errors.RequestRefusedError),
        (Reply(202, JSON, b""), errors.ProtocolError),
    ],
)
def test_every_refusal_becomes_the_error_that_says_what_to_do(reply, kind):
    with pytest.raises(kind) as caught:
        Hand([reply]).run(call(GET))
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"GET /services/data/v66.0/limits: {reply.status} ")
    assert caught.value.status == reply.status
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), vars(again)) == (kind, str(caught.value), vars(caught.value))


def test_a_refusal_is_told_with_salesforces_own_words():
    error = error_for(refused(400, "MALFORMED_QUERY", "unexpected token:\n 'FORM'"), method="POST", path="/q")
    assert str(error) == "POST /q: 400 MALFORMED_QUERY: unexpected token: 'FORM' (correct the SOQL)"


def test_too_many_calls_at_once_pass_but_the_days_calls_do_not():
    at_once = refused(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
    assert error_for(at_once, method="GET", path="/").daily is False  # type: ignore[attr-defined]
    total = refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    assert error_for(total, method="GET", path="/").daily is True  # type: ignore[attr-defined]


def test_a_web_page_with_status_200_is_not_an_answer():
    with pytest.raises(errors.ServerBusyError, match="web page"):
        Hand([HTML]).run(call_json(GET))
    plain = Reply(200, JSON, b" \n<!doctype html><p>hi")
    with pytest.raises(errors.ServerBusyError):
        Hand([plain]).run(call_json(GET))


@pytest.mark.parametrize("body", [b"", b'{"id": "75', b"\xff\xfe", b"[" * 100_000])
def test_half_a_json_text_is_half_a_reply(body):
    with pytest.raises(errors.TransportError):
        Hand([Reply(200, JSON, body)]).run(call_json(GET))


def test_json_of_another_shape_breaks_the_protocol():
    with pytest.raises(errors.ProtocolError):
        Hand([ok([1])]).run(call_object(GET))


@given(st.binary(max_size=60) | st.recursive(st.none() | st.text(), st.lists).map(str).map(str.encode))
def test_no_body_is_too_strange_to_be_an_error_body(body):
    read_refusals(body)
    error_for(Reply(400, {}, body), method="GET", path="/")


def test_retry_after_is_read_in_both_of_its_forms():
    assert retry_after(Reply(503, {"retry-after": "7"})) == 7.0
    date = {"date": "Wed, 04 Mar 2026 05:06:07 GMT"}
    assert retry_after(Reply(503, {"retry-after": "Wed, 04 Mar 2026 05:06:37 GMT", **date})) == 30.0
    assert retry_after(Reply(503, {"retry-after": "Wed, 04 Mar 2026 05:00:00 GMT", **date})) == 0.0
    assert retry_after(Reply(503, {"retry-after": "Wed, 04 Mar 2026 05:06:37 GMT"})) is None
    assert retry_after(Reply(503, {"retry-after": "soon"})) is None
    assert retry_after(Reply(503, {})) is None


def test_paths_quote_what_they_are_made_of():
    assert data_path("66.0", "jobs", "a/b?c") == "/services/data/v66.0/jobs/a%2Fb%3Fc"


@pytest.mark.parametrize("name", ["", "1a", "Account/describe", "Käse__c", "A" * 200, None])
def test_an_object_name_of_another_form_is_refused(name):
    with pytest.raises(errors.SourceError):
        check_sobject(name)


def test_the_tables_name_only_errors_of_the_tree():
    for kind in [*(row.kind for row in TABLE if row.kind), *BY_STATUS.values()]:
        assert issubclass(kind, errors.SfBulkError)
    assert check_id(JOB_ID) == JOB_ID
