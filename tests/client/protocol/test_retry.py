"""What is repeated, and what is not."""

from __future__ import annotations

import pytest

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.auth import oauth
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.protocol.call import ApiCall, call
from airflow_provider_sfbulk.client.protocol.retry import DOWNLOAD, ONCE, SAFE, repeat
from tests.client.protocol.by_hand import Hand, not_sent, ok, refused

GET = ApiCall("GET", "/services/data/v66.0/limits")
BUSY = refused(503, "SERVER_UNAVAILABLE", "Server too busy")


@pytest.mark.parametrize(
    "trouble",
    [
        BUSY,
        Reply(420, {}, b""),
        Reply(406, {}, b""),
        Reply(429, {}, b""),
        refused(500, "UNKNOWN_EXCEPTION"),
        refused(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
        errors.TransportError("cut"),
        not_sent(),
    ],
)
@pytest.mark.parity("A5.3")
def test_a_safe_call_is_repeated_after_what_passes(trouble):
    hand = Hand([trouble, trouble, ok({})])
    hand.run(repeat(lambda: call(GET)))
    assert len(hand.requests) == 3


@pytest.mark.parametrize(
    "trouble",
    [
        refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
        refused(400, "INVALIDJOB"),
        refused(404, "NOT_FOUND"),
        refused(403, "API_DISABLED_FOR_ORG"),
    ],
)
def test_what_does_not_pass_is_not_repeated(trouble):
    hand = Hand([trouble])
    with pytest.raises(errors.SfBulkError):
        hand.run(repeat(lambda: call(GET)))
    assert hand.sleeps == []


@pytest.mark.parity("A5.3")
def test_waits_double_up_to_two_minutes_with_full_jitter_and_end():
    hand = Hand([BUSY] * 20)
    with pytest.raises(errors.ServerBusyError):
        hand.run(repeat(lambda: call(GET)))
    assert [(each.seconds, each.jitter) for each in hand.sleeps] == [
        (seconds, 1.0) for seconds in (1, 2, 4, 8, 16, 32, 64)
    ]
    assert len(hand.requests) == SAFE.tries


def test_no_try_begins_after_the_policys_time():
    hand = Hand([BUSY] * 20)

    def slow():
        hand.now += DOWNLOAD.seconds
        return call(GET)

    with pytest.raises(errors.ServerBusyError):
        hand.run(repeat(slow, DOWNLOAD))
    assert len(hand.requests) == 2


def test_retry_after_is_obeyed_up_to_two_minutes():
    asks = [Reply(503, {"retry-after": "50"}, b""), Reply(503, {"retry-after": "86400"}, b""), ok({})]
    hand = Hand(asks)
    hand.run(repeat(lambda: call(GET)))
    assert [(each.seconds, each.jitter) for each in hand.sleeps] == [(50.0, 0.0), (120.0, 0.0)]


def test_an_unsafe_call_is_repeated_only_when_nothing_was_sent():
    hand = Hand([not_sent(), not_sent(), ok({})])
    hand.run(repeat(lambda: call(GET), ONCE))
    assert len(hand.requests) == 3
    for trouble in (errors.TransportError("cut"), BUSY):
        hand = Hand([trouble])
        with pytest.raises(errors.TransientError):
            hand.run(repeat(lambda: call(GET), ONCE))


def test_a_login_that_had_its_tries_gets_no_more():
    hand = Hand([])
    hand.login_error = errors.ServerBusyError("login", path=oauth.PATH)
    with pytest.raises(errors.ServerBusyError):
        hand.run(repeat(lambda: call(GET)))
    assert hand.logins == [None]
