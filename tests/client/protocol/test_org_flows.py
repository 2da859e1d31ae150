"""What an org tells about itself."""

from __future__ import annotations

import pytest

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.protocol import describe, org
from tests.client.protocol.by_hand import JSON, Hand, ok


@pytest.mark.parity("A5.6")
def test_allowances_are_read_and_nested_ones_left_out():
    body = {
        "DailyApiRequests": {"Max": 15000, "Remaining": 14998, "Some App": {"Max": 5, "Remaining": 5}},
        "Odd": {"Max": "many"},
        "Odder": 3,
    }
    found = Hand([ok(body)]).run(org.read_limits(api_version="66.0"))
    assert found == {"DailyApiRequests": org.Allowance(15000, 14998)}


@pytest.mark.parametrize(
    ("text", "usage"),
    [
        ("api-usage=10018/100000", org.ApiUsage(10018, 100000)),
        ("api-usage=25/5000; per-app-api-usage=17/250(appName=loader-app)", org.ApiUsage(25, 5000)),
        ("per-app-api-usage=17/250(appName=loader-app); api-usage=25/5000", org.ApiUsage(25, 5000)),
        ("per-app-api-usage=17/250(appName=x)", None),
        ("", None),
        ("api-usage=many", None),
    ],
)
@pytest.mark.parity("B1.4")
def test_usage_is_read_from_every_form_of_its_header(text, usage):
    assert org.read_usage({"sforce-limit-info": text}) == usage


def test_versions_are_a_list():
    hand = Hand([ok([{"version": "65.0"}, {"version": "66.0"}])])
    assert hand.run(org.versions()) == ["65.0", "66.0"]
    with pytest.raises(errors.ProtocolError):
        Hand([ok({})]).run(org.versions())


def test_objects_are_described_by_their_api_name_only():
    hand = Hand([ok({"name": "Account"}), ok({"sobjects": []}), ok({"user_id": "005"})])
    hand.run(describe.describe("Account", api_version="66.0"))
    hand.run(org.describe_global(api_version="66.0"))
    hand.run(org.user_info())
    assert hand.calls == [
        "GET /services/data/v66.0/sobjects/Account/describe",
        "GET /services/data/v66.0/sobjects",
        "GET /services/oauth2/userinfo",
    ]
    with pytest.raises(errors.SourceError):
        hand.run(describe.describe("../limits", api_version="66.0"))


def described(body: bytes):
    return Hand([Reply(200, JSON, body)]).run(describe.describe("Account", api_version="66.0"))


@pytest.mark.parametrize("written", [rb"\ud83d", rb"\uDe00", b"\xed\xa0\xbd"])
def test_half_of_a_character_is_in_no_describe_however_it_is_written(written):
    body = b'{"label": "' + written + b'"}'
    for each in (body, body.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")):
        with pytest.raises(errors.ProtocolError, match="half of a character"):
            described(each)


@pytest.mark.parametrize("written", [rb"\ud83d\ude00", "😀 한글".encode()])
def test_whole_characters_are_in_a_describe_however_they_are_written(written):
    assert "😀" in described(b'{"label": "' + written + b'"}')["label"]
