"""Logging in, and what a session is worth."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import Answer, V, Witness

TOKEN = "/services/oauth2/token"
JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXPIRED = (401, "INVALID_SESSION_ID", "Session expired or invalid")


def packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def assertion(org: LocalOrg, *, key: str | None = None, alg: str = "RS256", **claims: Any) -> str:
    claims = {
        "iss": org.client_id,
        "sub": org.username,
        "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 180,
    } | claims
    signed = f"{packed(json.dumps({'alg': alg}).encode())}.{packed(json.dumps(claims).encode())}"
    private = serialization.load_pem_private_key((key or org.private_key).encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    return f"{signed}.{packed(private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def other_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*form).decode()


def refused(answer: Answer) -> tuple[int, str, str]:
    assert set(answer.json) == {"error", "error_description"}
    assert answer.headers["Content-Type"].startswith("application/json")
    return answer.status, answer.json["error"], answer.json["error_description"]


def works(witness: Witness, token: str) -> bool:
    return witness.call("GET", f"{V}/limits", authorization=f"Bearer {token}").status == 200


def test_a_jwt_logs_in_and_its_answer_has_no_signature(org: LocalOrg, witness: Witness) -> None:
    answer = witness.form(TOKEN, grant_type=JWT, assertion=assertion(org))
    assert list(answer.json) == ["access_token", "scope", "instance_url", "id", "token_type"]
    assert answer.json["instance_url"] == org.url
    assert answer.json["access_token"].startswith(f"{org.org_id[:15]}!AQ8A")
    assert works(witness, answer.json["access_token"])


@pytest.mark.parametrize(
    "claims",
    [{"exp": "SOON"}, {"exp": 10**13}, {"aud": "https://test.salesforce.com"}, {"aud": "OWN"}],
)
def test_what_real_clients_send_in_a_jwt_is_taken(org: LocalOrg, witness: Witness, claims: dict[str, Any]) -> None:
    meant = {"OWN": org.url, "SOON": str(int(time.time()) + 300)}
    claims = {name: meant.get(value, value) for name, value in claims.items()}
    assert witness.form(TOKEN, grant_type=JWT, assertion=assertion(org, **claims)).status == 200


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"iss": "somebody"}, ("invalid_client_id", "client identifier invalid")),
        ({"sub": "somebody"}, ("invalid_grant", "user hasn't approved this consumer")),
        ({"aud": "https://example.com"}, ("invalid_grant", "audience is invalid")),
        ({"exp": 1_700_000_000}, ("invalid_grant", "invalid assertion")),
        ({"exp": None}, ("invalid_grant", "invalid assertion")),
        ({"alg": "none"}, ("invalid_grant", "invalid assertion")),
        ({"key": "other"}, ("invalid_grant", "invalid assertion")),
    ],
)
def test_a_jwt_that_says_something_else_is_refused(
    org: LocalOrg, witness: Witness, claims: dict[str, Any], error: tuple[str, str]
) -> None:
    if "key" in claims:
        claims = {"key": other_key()}
    assert refused(witness.form(TOKEN, grant_type=JWT, assertion=assertion(org, **claims))) == (400, *error)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "é.é.é", "W10.W10.W10"])
def test_a_jwt_that_is_none_is_refused(witness: Witness, text: str) -> None:
    answer = witness.form(TOKEN, grant_type=JWT, assertion=text)
    assert refused(answer) == (400, "invalid_grant", "invalid assertion")


def test_client_credentials_come_in_the_form_or_as_basic(org: LocalOrg, witness: Witness) -> None:
    pair = {"client_id": org.client_id, "client_secret": org.client_secret}
    in_form = witness.form(TOKEN, grant_type="client_credentials", **pair).json
    assert list(in_form) == [
        "access_token",
        "signature",
        "token_format",
        "scope",
        "instance_url",
        "id",
        "token_type",
        "issued_at",
        "api_instance_url",
    ]
    signed = hmac.new(org.client_secret.encode(), (in_form["id"] + in_form["issued_at"]).encode(), hashlib.sha256)
    assert in_form["signature"] == base64.b64encode(signed.digest()).decode()
    assert abs(int(in_form["issued_at"]) / 1000 - time.time()) < 60
    basic = base64.b64encode(f"{org.client_id}:{org.client_secret}".encode()).decode()
    in_header = witness.form(TOKEN, grant_type="client_credentials", authorization=f"Basic {basic}")
    assert works(witness, in_header.json["access_token"])


def test_a_refresh_token_logs_in_and_is_not_repeated(org: LocalOrg, witness: Witness) -> None:
    pair = {"grant_type": "refresh_token", "client_id": org.client_id}
    without_secret = witness.form(TOKEN, refresh_token=org.refresh_token, **pair)
    assert "refresh_token" not in without_secret.json
    assert works(witness, without_secret.json["access_token"])
    wrong_secret = witness.form(TOKEN, refresh_token=org.refresh_token, client_secret="no", **pair)
    assert refused(wrong_secret) == (400, "invalid_client", "invalid client credentials")
    dead = witness.form(TOKEN, refresh_token="5Aepdead", **pair)
    assert refused(dead) == (400, "invalid_grant", "expired access/refresh token")


def test_the_security_token_is_glued_to_the_password(org: LocalOrg, witness: Witness) -> None:
    form = {
        "grant_type": "password",
        "client_id": org.client_id,
        "client_secret": org.client_secret,
        "username": org.username,
    }
    answer = witness.form(TOKEN, password=org.password + org.security_token, **form)
    assert "scope" not in answer.json
    assert works(witness, answer.json["access_token"])
    alone = witness.form(TOKEN, password=org.password, **form)
    assert refused(alone) == (400, "invalid_grant", "authentication failure")


def test_other_grants_clients_and_content_types_are_refused(org: LocalOrg, witness: Witness) -> None:
    unknown = refused(witness.form(TOKEN, grant_type="authorization"))
    assert unknown == (400, "unsupported_grant_type", "grant type not supported")
    client = refused(witness.form(TOKEN, grant_type="client_credentials", client_id="x", client_secret="y"))
    assert client == (400, "invalid_client_id", "client identifier invalid")
    secret = witness.form(TOKEN, grant_type="client_credentials", client_id=org.client_id, client_secret="y")
    assert refused(secret) == (400, "invalid_client", "invalid client credentials")
    as_json = witness.call("POST", TOKEN, {"grant_type": "client_credentials"}, authorization="")
    assert refused(as_json)[1] == "unsupported_grant_type"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "OAuth nonsense"])
def test_a_call_without_a_session_is_401_with_the_right_header(witness: Witness, header: str) -> None:
    answer = witness.call("GET", f"{V}/jobs/ingest", authorization=header)
    assert answer.error == EXPIRED
    assert answer.headers["WWW-Authenticate"] == "Token"


def test_sessions_end_when_told_when_idle_and_when_revoked(org: LocalOrg, witness: Witness) -> None:
    token = witness.log_in()
    for _ in range(3):
        org.advance(7000)
        assert works(witness, token)  # its use extends it
    org.advance(7201)
    assert not works(witness, token)
    token = witness.log_in()
    org.expire_tokens()
    assert witness.call("GET", f"{V}/limits", authorization=f"Bearer {token}").error == EXPIRED
    token = witness.log_in()
    assert witness.form("/services/oauth2/revoke", token=token).status == 200
    assert not works(witness, token)
    assert refused(witness.form("/services/oauth2/revoke", token=token))[1] == "invalid_token"


def test_a_revoked_refresh_token_takes_its_sessions_with_it(org: LocalOrg, witness: Witness) -> None:
    form = {"grant_type": "refresh_token", "client_id": org.client_id, "refresh_token": org.refresh_token}
    token = witness.form(TOKEN, **form).json["access_token"]
    assert witness.form("/services/oauth2/revoke", token=org.refresh_token).status == 200
    assert not works(witness, token)
    assert refused(witness.form(TOKEN, **form))[1] == "invalid_grant"


def test_introspection_tells_whether_and_until_when_a_token_is_good(org: LocalOrg, witness: Witness) -> None:
    pair = {"client_id": org.client_id, "client_secret": org.client_secret}
    good = witness.form("/services/oauth2/introspect", token=witness.log_in(), **pair).json
    assert (good["active"], good["username"]) == (True, org.username)
    assert 7100 < good["exp"] - time.time() < 7300
    assert witness.form("/services/oauth2/introspect", token="x", **pair).json == {"active": False}
    nobody = witness.form("/services/oauth2/introspect", token="x", client_id="y")
    assert refused(nobody)[1] == "invalid_client_id"


def test_userinfo_tells_who_the_token_is(org: LocalOrg, witness: Witness) -> None:
    body = witness.call("GET", "/services/oauth2/userinfo").json
    assert (body["user_id"], body["organization_id"]) == (org.user_id, org.org_id)
    assert body["preferred_username"] == org.username
    bad = witness.call("GET", "/services/oauth2/userinfo", authorization="Bearer x")
    assert (bad.status, bad.text) == (403, "Bad_OAuth_Token")


def test_the_login_host_logs_in_and_does_nothing_else(org: LocalOrg, witness: Witness) -> None:
    """Facts: client credentials "only on the org's My Domain host. On login/test: 400 ``invalid_grant`` /
    ``request not supported on this domain``"; "data call sent to ``login.``: 400 ``URL_NOT_RESET``"."""
    token = witness.log_in()
    host = urlsplit(org.login_url).netloc
    app = {"client_id": org.client_id, "client_secret": org.client_secret}
    path = "/services/oauth2/token"
    body = urlencode({"grant_type": "client_credentials", **app})
    form = {"content_type": "application/x-www-form-urlencoded", "authorization": ""}
    refused = witness.call("POST", path, body, host=host, **form)
    assert (refused.status, refused.json) == (
        400,
        {"error": "invalid_grant", "error_description": "request not supported on this domain"},
    )
    password = org.password + org.security_token
    body = urlencode({"grant_type": "password", "username": org.username, "password": password, **app})
    answer = witness.call("POST", path, body, host=host, **form)
    assert answer.json["instance_url"] == org.url
    called = witness.call("GET", f"{V}/limits", host=host, authorization=f"Bearer {token}")
    message = "Destination URL not reset. The URL returned from login must be set"
    assert called.error == (400, "URL_NOT_RESET", message)
    assert witness.call("GET", f"{V}/limits").status == 200


def test_the_token_endpoint_fails_in_its_own_format(org: LocalOrg, witness: Witness) -> None:
    org.fault("oauth.token", "status", status=503, retry_after=2)
    answer = witness.form("/services/oauth2/token", grant_type="client_credentials")
    assert (answer.status, answer.json["error"], answer.headers["Retry-After"]) == (503, "server_error", "2")
