"""Logging in: the token endpoint with its grants, and what is known of a token.

Failures are always 400 with ``{"error", "error_description"}``; success differs by grant ("JWT answer without
``issued_at``/``signature``; other flows with ``issued_at`` as a string of milliseconds"). No answer has ``expires_in``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from starlette.responses import PlainTextResponse, Response

from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.http.incoming import Incoming
from airflow_provider_sfbulk.local_org.http.replies import OAuthError, SessionError, reply
from airflow_provider_sfbulk.local_org.login import credentials
from airflow_provider_sfbulk.local_org.login.credentials import Session

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCES: Final = frozenset({"https://login.salesforce.com", "https://test.salesforce.com"})
"""Besides the org's own URL ("or the site / My Domain URL")."""

EXPIRY_GRACE: Final = timedelta(minutes=3)
"""How long after its ``exp`` an assertion is still taken: clocks differ. The future is not limited, since real
clients send dates tens of thousands of years ahead and are let in."""

Form = dict[str, str]


async def token(call: Incoming) -> Response:
    """``POST /services/oauth2/token``."""
    form = await _form(call)
    grant = GRANTS.get(form.get("grant_type", ""))
    if grant is None:
        raise OAuthError("unsupported_grant_type", "grant type not supported")
    if grant is _client_credentials and call.is_on_login_host:
        # "Only on the org's My Domain host."
        raise OAuthError("invalid_grant", "request not supported on this domain")
    return reply(grant(call.core, form))


async def revoke(call: Incoming) -> Response:
    """``POST /services/oauth2/revoke``: ends a session, or a refresh token."""
    form = await _form(call)
    given = form.get("token", "")
    core = call.core
    if core.sessions.get(given) is None and given != core.credentials.refresh_token:
        raise OAuthError("invalid_token", f"invalid token: {given}")
    core.sessions.revoke(given)
    return Response(status_code=200)


async def introspect(call: Incoming) -> Response:
    """``POST /services/oauth2/introspect``: what a token is good for, for those who know the client's secret."""
    form = await _form(call)
    _check_client(call.core, form, secret=True)
    session = call.core.sessions.get(form.get("token", ""))
    if session is None:
        return reply({"active": False})
    return reply(
        {
            "active": True,
            "scope": session.scope,
            "client_id": call.core.credentials.client_id,
            "username": call.core.credentials.username,
            "sub": _identity_url(call.core),
            "token_type": "access_token",
            "exp": int(session.ends.timestamp()),
            "iat": int(session.issued.timestamp()),
            "nbf": int(session.issued.timestamp()),
        }
    )


async def userinfo(call: Incoming) -> Response:
    """``GET /services/oauth2/userinfo``: who the token's user is."""
    try:
        call.session()
    except SessionError:
        return PlainTextResponse("Bad_OAuth_Token", status_code=403)
    who = call.core.credentials
    return reply(
        {
            "sub": _identity_url(call.core),
            "user_id": who.user_id,
            "organization_id": who.org_id,
            "preferred_username": who.username,
            "nickname": "loader",
            "name": "Local Loader",
            "email": who.username,
            "email_verified": True,
            "given_name": "Local",
            "family_name": "Loader",
            "zoneinfo": "GMT",
            "active": True,
            "user_type": "STANDARD",
            "language": "en_US",
            "locale": "en_US",
            "utcOffset": 0,
            "is_app_installed": True,
            "urls": {"rest": f"{call.core.url}/services/data/v{{version}}/"},
        }
    )


def identity_body(core: Core) -> dict[str, Any]:
    """Return what ``/id/{org}/{user}`` says of the user."""
    who = core.credentials
    rest = f"{core.url}/services/data/v{{version}}/"
    return {
        "id": _identity_url(core),
        "asserted_user": True,
        "user_id": who.user_id,
        "organization_id": who.org_id,
        "username": who.username,
        "nick_name": "loader",
        "display_name": "Local Loader",
        "email": who.username,
        "email_verified": True,
        "first_name": "Local",
        "last_name": "Loader",
        "timezone": "GMT",
        "photos": {},
        "addr_street": None,
        "addr_city": None,
        "addr_state": None,
        "addr_country": None,
        "addr_zip": None,
        "mobile_phone": None,
        "mobile_phone_verified": False,
        "is_lightning_login_user": False,
        "status": {"created_date": None, "body": None},
        "urls": {
            "rest": rest,
            "sobjects": f"{rest}sobjects/",
            "query": f"{rest}query/",
            "profile": f"{core.url}/{who.user_id}",
            "custom_domain": core.url,
        },
        "active": True,
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": "en_US",
        "utcOffset": 0,
        "last_modified_date": clock.in_json(core.clock.now()),
        "is_app_installed": True,
    }


# --- grants ---


def _jwt_bearer(core: Core, form: Form) -> dict[str, Any]:
    claims = _verified(core, form.get("assertion", ""))
    if claims.get("iss") != core.credentials.client_id:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    # With a slash at the end is what some clients send; whether Salesforce takes it is not known.
    if str(claims.get("aud", "")).rstrip("/") not in AUDIENCES | _own_urls(core):
        raise OAuthError("invalid_grant", "audience is invalid")
    if claims.get("sub") != core.credentials.username:
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")
    try:
        expiry = float(claims["exp"])  # some clients send it as text
    except (KeyError, TypeError, ValueError) as error:
        raise OAuthError("invalid_grant", "invalid assertion") from error
    if expiry < (core.clock.now() - EXPIRY_GRACE).timestamp():
        raise OAuthError("invalid_grant", "invalid assertion")
    session = core.sessions.open("id api web")
    return {
        "access_token": session.token,
        "scope": session.scope,
        "instance_url": core.url,
        "id": _identity_url(core),
        "token_type": "Bearer",
    }


def _client_credentials(core: Core, form: Form) -> dict[str, Any]:
    _check_client(core, form, secret=True)
    session = core.sessions.open("api id")
    return {
        "access_token": session.token,
        "signature": _signature(core, session),
        "token_format": "opaque",
        "scope": session.scope,
        "instance_url": core.url,
        "id": _identity_url(core),
        "token_type": "Bearer",
        "issued_at": _issued_at(session),
        "api_instance_url": core.url,
    }


def _refresh_token(core: Core, form: Form) -> dict[str, Any]:
    # The secret is needed only if the app demands it; a wrong one is always refused.
    _check_client(core, form, secret=False)
    given = form.get("refresh_token", "")
    if given != core.credentials.refresh_token or core.sessions.is_revoked(given):
        raise OAuthError("invalid_grant", "expired access/refresh token")
    session = core.sessions.open("refresh_token api id web", from_refresh_token=given)
    return {
        "access_token": session.token,
        "signature": _signature(core, session),
        "scope": session.scope,
        "instance_url": core.url,
        "id": _identity_url(core),
        "token_type": "Bearer",
        "issued_at": _issued_at(session),
    }


def _password(core: Core, form: Form) -> dict[str, Any]:
    _check_client(core, form, secret=True)
    if not core.password_is(form.get("username", ""), form.get("password", "")):
        raise OAuthError("invalid_grant", "authentication failure")
    session = core.sessions.open("api id")
    return {
        "access_token": session.token,
        "instance_url": core.url,
        "id": _identity_url(core),
        "token_type": "Bearer",
        "issued_at": _issued_at(session),
        "signature": _signature(core, session),
    }


GRANTS: Final[dict[str, Callable[[Core, Form], dict[str, Any]]]] = {
    JWT_BEARER: _jwt_bearer,
    "client_credentials": _client_credentials,
    "refresh_token": _refresh_token,
    "password": _password,
}
"""Grant type to the function that answers it."""


# --- checks ---


async def _form(call: Incoming) -> Form:
    """Return the form of the body; the client's id and secret may come as HTTP Basic instead."""
    if call.media_type != "application/x-www-form-urlencoded":
        raise OAuthError("unsupported_grant_type", "grant type not supported")
    form = dict(parse_qsl((await call.request.body()).decode(errors="replace"), keep_blank_values=True))
    scheme, _, encoded = call.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError as error:
            raise OAuthError("invalid_client", "invalid client credentials") from error
        form.setdefault("client_id", unquote(name))
        form.setdefault("client_secret", unquote(secret))
    return form


def _check_client(core: Core, form: Form, *, secret: bool) -> None:
    if form.get("client_id") != core.credentials.client_id:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if not secret and "client_secret" not in form:
        return
    if not hmac.compare_digest(form.get("client_secret", "").encode(), core.credentials.client_secret.encode()):
        raise OAuthError("invalid_client", "invalid client credentials")


def _verified(core: Core, assertion: str) -> dict[str, Any]:
    """Return the claims of an assertion whose signature is good.

    :raises OAuthError: when it is malformed, not RS256, or signed by another key
    """
    try:
        header, payload, signature = assertion.split(".")
        algorithm = json.loads(_decoded(header)).get("alg")
        signed = f"{header}.{payload}".encode()
        public_key = credentials.public_key(core.store)
        public_key.verify(_decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256())
        claims = json.loads(_decoded(payload))
    except (ValueError, AttributeError, InvalidSignature) as error:
        raise OAuthError("invalid_grant", "invalid assertion") from error
    if algorithm != "RS256" or not isinstance(claims, dict):
        # "RS256 is the only algorithm."
        raise OAuthError("invalid_grant", "invalid assertion")
    return claims


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _own_urls(core: Core) -> set[str]:
    parts = urlsplit(core.url)
    return {f"{parts.scheme}://{host}:{parts.port}" for host in ("127.0.0.1", "localhost")}


def _identity_url(core: Core) -> str:
    return f"{core.url}/id/{core.credentials.org_id}/{core.credentials.user_id}"


def _issued_at(session: Session) -> str:
    return str(int(session.issued.timestamp() * 1000))


def _signature(core: Core, session: Session) -> str:
    """HMAC-SHA256 of ``id`` and ``issued_at`` with the client's secret, in base64."""
    text = f"{_identity_url(core)}{_issued_at(session)}"
    digest = hmac.new(core.credentials.client_secret.encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
