"""Each way to log in by OAuth, by hand: what is sent, what is believed, and what is tried again."""

from __future__ import annotations

import json
import pickle
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.auth.oauth import LOGIN_TRIES
from airflow_provider_sfbulk.client.auth.session import Session
from airflow_provider_sfbulk.client.effects import Reply, Send, Sleep, Token
from airflow_provider_sfbulk.client.settings import AuthFlow, Settings

NOW = 1_772_600_767.5
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
APP = {"client_id": "3MVG9", "client_secret": "consumersecret", "host": "https://acme.my.salesforce.com"}
CONNECTIONS = {
    AuthFlow.JWT_BEARER: {"client_id": "3MVG9", "login": "loader@acme.example", "private_key": PEM},
    AuthFlow.CLIENT_CREDENTIALS: APP,
    AuthFlow.REFRESH_TOKEN: {**APP, "refresh_token": "5AepRefresh"},
    AuthFlow.PASSWORD: {**APP, "login": "loader@acme.example", "password": "s3cret pw", "security_token": "TOKENtoken"},
    AuthFlow.ACCESS_TOKEN: {"access_token": "00D!AQ8", "instance_url": "https://acme.my.salesforce.com"},
}
GRANT = {"access_token": "00D8d000000kLmN!AQ8AQ.x_y", "instance_url": "https://acme.my.salesforce.com"}


def ok(**changes) -> Reply:
    body = {name: value for name, value in {**GRANT, **changes}.items() if value is not ...}
    return Reply(200, {"content-type": "application/json"}, json.dumps(body).encode())


def refused(error, description, status=400) -> Reply:
    return Reply(status, {}, json.dumps({"error": error, "error_description": description}).encode())


def session(flow, **more) -> Session:
    return Session(Settings.from_mapping({**CONNECTIONS[flow], **more}), clock=lambda: NOW)


def renew(made: Session, replies, stale=None):
    """Run a renewal; give the token, the forms that were sent and the seconds slept."""
    flow, forms, slept, result, error = made.renew(stale), [], [], None, None
    while True:
        try:
            effect = flow.send(result) if error is None else flow.throw(error)
        except StopIteration as end:
            return end.value, forms, slept
        result = error = None
        if isinstance(effect, Sleep):
            slept.append(effect.seconds)
            continue
        assert isinstance(effect, Send)
        assert effect.request.url.endswith("/services/oauth2/token")
        assert effect.request.query == ()
        forms.append(
            {name: value for name, (value,) in parse_qs(b"".join(effect.request.body.chunks()).decode()).items()}
        )
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            error = reply
        else:
            result = reply


def test_every_way_of_login_is_tried_here():
    assert set(AuthFlow) == {*CONNECTIONS, AuthFlow.SOAP_LOGIN}


@pytest.mark.parametrize(
    ("host", "audience", "given_"),
    [
        ("", "https://login.salesforce.com", {}),
        ("test", "https://test.salesforce.com", {}),
        ("acme.my.salesforce.com", "https://login.salesforce.com", {}),
        ("acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com", {}),
        ("login", "https://acme.my.site.example", {"audience": "https://acme.my.site.example"}),
    ],
)
def test_a_jwt_is_signed_for_the_right_audience(host, audience, given_):
    token, forms, _ = renew(session(AuthFlow.JWT_BEARER, host=host, **given_), [ok()])
    assert token == Token(GRANT["access_token"], GRANT["instance_url"])
    assert forms[0]["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(
        forms[0]["assertion"], KEY.public_key(), algorithms=["RS256"], audience=audience, options={"verify_exp": False}
    )
    assert claims == {"iss": "3MVG9", "sub": "loader@acme.example", "aud": audience, "exp": int(NOW) + 180}


@pytest.mark.parametrize(
    "key",
    ["nonsense", PEM[:200], PEM.replace("PRIVATE", "PUBLIC"), PEM[:80] + "!" + PEM[81:]],
    ids=["nonsense", "cut", "public", "damaged"],
)
def test_a_key_that_cannot_sign_is_refused_without_being_shown(key):
    with pytest.raises(errors.LoginError) as caught:
        renew(session(AuthFlow.JWT_BEARER, private_key=key), [])
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert not any(line in str(caught.value) for line in key.splitlines() if not line.startswith("-----"))


@pytest.mark.parametrize(
    ("flow", "form"),
    [
        (
            AuthFlow.CLIENT_CREDENTIALS,
            {"grant_type": "client_credentials", "client_id": "3MVG9", "client_secret": "consumersecret"},
        ),
        (
            AuthFlow.REFRESH_TOKEN,
            {
                "grant_type": "refresh_token",
                "client_id": "3MVG9",
                "client_secret": "consumersecret",
                "refresh_token": "5AepRefresh",
            },
        ),
        (
            AuthFlow.PASSWORD,
            {
                "grant_type": "password",
                "client_id": "3MVG9",
                "client_secret": "consumersecret",
                "username": "loader@acme.example",
                "password": "s3cret pwTOKENtoken",
            },
        ),
    ],
)
def test_each_grant_sends_its_form(flow, form):
    token, forms, _ = renew(session(flow), [ok(issued_at="1772600767000", scope="api", token_type="Bearer")])
    assert forms == [form]
    assert token.access_token == GRANT["access_token"]


def test_a_ready_made_token_is_handed_out_once():
    made = session(AuthFlow.ACCESS_TOKEN)
    token, forms, _ = renew(made, [])
    assert (token, forms) == (Token("00D!AQ8", "https://acme.my.salesforce.com"), [])
    with pytest.raises(errors.LoginError, match="cannot be renewed"):
        renew(made, [], stale=token)


def test_a_rotated_refresh_token_is_used_from_then_on(caplog):
    made = session(AuthFlow.REFRESH_TOKEN)
    token, _, _ = renew(made, [ok(refresh_token="5AepSecond")])
    _, forms, _ = renew(made, [ok()], stale=token)
    assert forms[0]["refresh_token"] == "5AepSecond"
    assert "refresh token" in caplog.text
    assert "5Aep" not in caplog.text


@pytest.mark.parametrize(
    ("error", "description", "advice"),
    [
        ("invalid_grant", "user hasn't approved this consumer", "pre-authorize"),
        ("invalid_grant", "audience is invalid", "set audience"),
        ("invalid_grant", "invalid assertion", "clock"),
        ("invalid_grant", "authentication failure", "security_token"),
        ("invalid_grant", "expired access/refresh token", "dead"),
        ("invalid_grant", "inactive user", "inactive in Salesforce"),
        ("invalid_grant", "request not supported on this domain", "My Domain"),
        ("invalid_grant", "no client credentials user enabled", "give it a user"),
        ("invalid_app_access", "user is not admin approved to access this app", "approve the user"),
        ("invalid_client_id", "client identifier invalid", "client_id"),
        ("invalid_client", "invalid client credentials", "client_secret"),
        ("unsupported_grant_type", "grant type not supported", "allows this login method"),
        ("something_new", "what is this", "something_new: what is this"),
    ],
)
def test_a_refused_login_is_not_tried_again_and_says_what_to_do(error, description, advice):
    with pytest.raises(errors.LoginError) as caught:
        renew(session(AuthFlow.PASSWORD), [refused(error, description)])
    assert advice in str(caught.value)
    assert caught.value.error_code == error
    assert "s3cret" not in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).error_code == error


@pytest.mark.parametrize(
    "trouble",
    [
        errors.TransportError("cut"),
        Reply(503, {}, b"<html>Maintenance</html>"),
        Reply(500, {}, b""),
        Reply(429, {}, b""),
        refused("server_error", "later"),
        refused("rate_limit_exceeded", "login rate exceeded"),
        refused("unknown_error", "retry your request"),
        Reply(200, {"content-type": "text/html"}, b"<html>Maintenance</html>"),
        Reply(200, {}, b'{"access_token": "00D'),
        Reply(200, {}, b"[]"),
    ],
)
def test_a_login_is_tried_again_while_salesforce_is_unwell(trouble):
    token, forms, slept = renew(session(AuthFlow.CLIENT_CREDENTIALS), [trouble, trouble, ok()])
    assert token is not None
    assert len(forms) == 3
    assert slept == [1.0, 2.0]
    with pytest.raises(errors.TransientError):
        renew(session(AuthFlow.CLIENT_CREDENTIALS), [trouble] * LOGIN_TRIES)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(302, {"location": "https://evil.example"}, b""),
        Reply(404, {"content-type": "text/html"}, b"<html>URL No Longer Exists</html>"),
        Reply(400, {}, b"null"),
        ok(access_token=...),
        ok(access_token=7),
        ok(access_token="two\nlines"),
        ok(access_token=""),
        ok(instance_url=...),
        ok(instance_url=None),
        ok(instance_url="http://acme.my.salesforce.com"),
        ok(instance_url="https://evil.example"),
        ok(instance_url="https://acme.my.salesforce.com.evil.example"),
        ok(instance_url="https://user:pw@acme.my.salesforce.com"),
        ok(instance_url="http://127.0.0.1:8080"),
        ok(refresh_token=["x"]),
    ],
)
def test_a_reply_that_is_no_login_is_not_believed(reply):
    with pytest.raises(errors.LoginError) as caught:
        renew(session(AuthFlow.CLIENT_CREDENTIALS), [reply])
    assert GRANT["access_token"] not in str(caught.value)


def test_a_login_on_this_machine_may_name_this_machine():
    for host in ("http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080", "http://localhost"):
        made = session(AuthFlow.CLIENT_CREDENTIALS, host=host)
        token, _, _ = renew(made, [ok(instance_url=host)])
        assert token.instance_url == host


def test_an_instance_of_the_connections_own_hosts_is_believed():
    made = session(AuthFlow.CLIENT_CREDENTIALS, allowed_hosts=["*.acme.example"])
    assert renew(made, [ok(instance_url="https://sf.acme.example")])[0].instance_url == "https://sf.acme.example"


def test_the_masker_gets_every_secret_before_it_is_used():
    masked: set[str] = set()
    settings = Settings.from_mapping({**CONNECTIONS[AuthFlow.REFRESH_TOKEN]})
    made = Session(settings, on_secrets=masked.update)
    flow = made.renew(None)
    next(flow)
    assert {"consumersecret", "5AepRefresh"} <= masked
    with pytest.raises(StopIteration):
        flow.send(ok(refresh_token="5AepSecond"))
    assert {GRANT["access_token"], "5AepSecond"} <= masked


@pytest.mark.parity("A5.2")
def test_those_who_waited_for_a_login_share_its_end():
    made = session(AuthFlow.PASSWORD)
    seen = made.logins
    assert made.token_for(None, seen) is None
    with pytest.raises(errors.LoginError):
        renew(made, [refused("invalid_grant", "authentication failure")])
    with pytest.raises(errors.LoginError):  # waited, so it does not try the wrong password again
        made.token_for(None, seen)
    assert made.token_for(None, made.logins) is None  # came later: may try
    token, _, _ = renew(made, [ok()])
    assert made.token_for(None, seen) == token
    assert made.token_for(token, made.logins) is None
    assert made.token_for(Token("older", "https://acme.my.salesforce.com"), made.logins) == token
