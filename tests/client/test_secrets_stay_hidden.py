"""No way to fail shows a secret: not in a message, a cause, an attribute, a repr, a pickle or a log line."""

from __future__ import annotations

import json
import pickle
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.auth.session import Session
from airflow_provider_sfbulk.client.effects import Authorize, Body, Now, Reply, Send, Sleep
from airflow_provider_sfbulk.client.errors import SfBulkError, TransportError
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls, QueryCalls
from airflow_provider_sfbulk.client.protocol.org import read_limits
from airflow_provider_sfbulk.client.protocol.spec import IngestSpec
from airflow_provider_sfbulk.client.settings import Settings
from tests.examples import examples

PASSWORD, SECRET, TOKEN = 'Pässwört&<1>"x', "consumer/secret+==", "00D8d000000kLmN!AQ8AQ.secret_tail"
CONNECTION = {
    "host": "https://acme.my.salesforce.com",
    "login": "loader@acme.example",
    "client_id": "3MVG9client",
    "client_secret": SECRET,
    "password": PASSWORD,
    "security_token": "SECURITYtoken",
}
MASKS = Settings.from_mapping(CONNECTION).secrets() | {TOKEN}
CELL = "a cell value that is nobody's business"
GOOD_LOGIN = Reply(
    200, {}, json.dumps({"access_token": TOKEN, "instance_url": "https://acme.my.salesforce.com"}).encode()
)

bodies = st.sampled_from(
    [
        b"",
        b"<html>Down for maintenance</html>",
        b'[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]',
        b'[{"errorCode":"INVALIDJOB","message":"InvalidJob : no"}]',
        b'[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]',
        b'{"error":"invalid_grant","error_description":"authentication failure"}',
        b'{"access_token":"' + TOKEN.encode() + b'","instance_url":"https://evil.example"}',
        b'{"access_token":"' + TOKEN.encode() + b'","instance_url":7}',
        b'{"access_token":"' + TOKEN.encode(),
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"id":"' + TOKEN.encode() + b'","state":"Open"}',
        b'{"id":"7508d000003QaLpAAK","state":"' + CELL.encode() + b'"}',
        b'{"id":"7508d000003QaLpAAK","state":"Open","numberRecordsProcessed":"' + CELL.encode() + b'"}',
    ]
)
statuses = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 409, 420, 500, 503])
kinds = st.sampled_from(["application/json", "text/html", "text/csv", ""])
replies = st.builds(lambda status, kind, body: Reply(status, {"content-type": kind}, body), statuses, kinds, bodies)
answers = st.lists(replies | st.just(TransportError("cut")), min_size=1, max_size=4)

JOB = "7508d000003QaLpAAK"
FLOWS = {
    "create": lambda: IngestCalls("66.0").create(IngestSpec("Account", "insert")),
    "upload": lambda: IngestCalls("66.0").upload(JOB, Body.of(CELL.encode(), "text/csv")),
    "close": lambda: IngestCalls("66.0").close(JOB),
    "abort": lambda: IngestCalls("66.0").abort(JOB),
    "delete": lambda: QueryCalls("66.0").delete(JOB),
    "list": lambda: QueryCalls("66.0").list_page(),
    "query": lambda: QueryCalls("66.0").create(f"SELECT Id FROM Account WHERE Name = '{CELL}'"),
    "limits": lambda: read_limits(api_version="66.0"),
}


def run(flow, session, given_replies):
    """Answer from a list that goes round and round; the flow's own bounds have to end it."""
    count = 0
    result, error = None, None
    while True:
        try:
            effect = flow.send(result) if error is None else flow.throw(error)
        except StopIteration as end:
            return end.value
        result = error = None
        match effect:
            case Authorize(stale):
                try:
                    result = session.token_for(stale, session.logins) or run(
                        session.renew(stale), session, given_replies
                    )
                except SfBulkError as raised:
                    error = raised
            case Send():
                reply = given_replies[count % len(given_replies)]
                count += 1
                assert count < 100
                if isinstance(reply, Exception):
                    error = reply  # type: ignore[assignment]
                else:
                    result = reply
            case Now() | Sleep():
                result = 0.0


def failure_of(session, make_flow, login, given_replies) -> SfBulkError | None:
    try:
        run(session.renew(None), session, login)
        run(make_flow(), session, given_replies)
    except SfBulkError as error:
        return error
    return None


@pytest.mark.parametrize("name", FLOWS)
@settings(max_examples=examples(15))
@given(login=st.just([GOOD_LOGIN]) | answers, given_replies=answers)
def test_no_error_shows_a_secret_or_a_cell(name, login, given_replies):
    session = Session(Settings.from_mapping(CONNECTION))
    error = failure_of(session, FLOWS[name], login, given_replies)
    if error is not None:
        shown = "".join([*traceback.format_exception(error), repr(error), repr(vars(error))])
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
        found = [mask for mask in MASKS if mask in shown]
        assert not found
        assert CELL not in shown
