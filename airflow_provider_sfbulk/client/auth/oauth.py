"""The OAuth logins, and the given access token: what each sends to the token endpoint, and how the reply is checked.

=======================  =============================================================================================
``jwt_bearer``           a signed claim instead of a password: no secret is sent and no person is needed. ``iss`` is the
                         client id, ``sub`` the username, ``aud`` the login or test host, ``exp`` at most a few minutes
                         ahead; RS256 is the only algorithm ("OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration")
``client_credentials``   the app logs in as the user that its settings in Salesforce name, at the org's My Domain only;
                         no refresh token: ask again instead ("OAuth 2.0 Client Credentials Flow")
``refresh_token``        a person consented once. The client secret only if the app demands it; the reply has no refresh
                         token unless the app rotates them, and then the old one is dead ("OAuth 2.0 Refresh Token Flow")
``password``             a legacy: orgs made since Summer '23 block it until Setup allows it. The security token is
                         appended to the password ("OAuth 2.0 Username-Password Flow for Special Scenarios")
``access_token``         an access token or session id from elsewhere, with its host. It cannot be renewed
=======================  =============================================================================================

One POST, repeated while Salesforce is unwell. A refusal is 400 with ``{"error", "error_description"}``; the login hosts
also answer 503 with HTML or nothing. (Salesforce help, "OAuth 2.0 flow errors"; replies captured by other clients.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from airflow_provider_sfbulk.client.auth import private_key
from airflow_provider_sfbulk.client.auth.echoes import Echoes
from airflow_provider_sfbulk.client.auth.hosts import LOGIN_HOST, TEST_HOST, check_url, is_loopback, is_sandbox
from airflow_provider_sfbulk.client.effects import Body, Flow, Reply, Request, Send, Sleep, Token
from airflow_provider_sfbulk.client.errors import (
    LoginError,
    RequestLimitError,
    SfBulkError,
    TransientError,
    TransportError,
)
from airflow_provider_sfbulk.client.replies.error_table import login_kind_of, row_of
from airflow_provider_sfbulk.client.replies.safe_json import MalformedJsonError, parse
from airflow_provider_sfbulk.client.replies.safe_text import one_line
from airflow_provider_sfbulk.client.settings import AuthFlow, Settings, check_token, spellings

PATH: Final = "/services/oauth2/token"
LOGIN_TRIES: Final = 5
"""Tries of one login while Salesforce does not answer properly. A refusal is never repeated: that could lock the user
out."""

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFE_SECONDS: Final = 3 * 60
"""How far in the future a claim's ``exp`` is: the guide says "within 3 minutes"; other clients send 3 or 5."""

_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,79}")
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Grant:
    """The result of a login: a session, and a new refresh token when Salesforce rotates them."""

    token: Token
    refresh_token: str | None = field(default=None, repr=False)


def login(settings: Settings, clock: Callable[[], float]) -> Flow[Grant]:
    """Exchange the connection's credentials for a session.

    :param settings: with the key's text, see ``Settings.with_private_key``
    :param clock: seconds since 1970; only the claim of a JWT needs it
    :raises LoginError: Salesforce refuses; trying again cannot help
    :raises TransientError: no proper answer in ``LOGIN_TRIES`` tries
    """
    if settings.auth_flow is AuthFlow.ACCESS_TOKEN:
        return Grant(Token(settings.access_token or "", settings.instance_url or ""))
    return (yield from tried(lambda: _attempt(settings, _form(settings, clock))))


def _form(settings: Settings, clock: Callable[[], float]) -> Mapping[str, str]:
    """Return the fields to send, made again for each try, since an assertion expires."""
    app = {"client_id": settings.client_id or "", "client_secret": settings.client_secret or ""}
    match settings.auth_flow:
        case AuthFlow.JWT_BEARER:
            return {"grant_type": GRANT_TYPE, "assertion": sign(settings, now=clock())}
        case AuthFlow.CLIENT_CREDENTIALS:
            return {"grant_type": "client_credentials", **app}
        case AuthFlow.REFRESH_TOKEN:
            shown = {name: value for name, value in app.items() if value or name == "client_id"}
            return {"grant_type": "refresh_token", **shown, "refresh_token": settings.refresh_token or ""}
        case AuthFlow.PASSWORD:
            user = {"username": settings.login or "", "password": settings.full_password}
            return {"grant_type": "password", **app, **user}
    raise AssertionError(f"{settings.auth_flow} is not a login of OAuth")


def sign(settings: Settings, *, now: float) -> str:
    """Make the assertion.

    :raises LoginError: the key cannot be used
    """
    # Imported here: only this login method needs the package, and it takes a tenth of a second.
    import jwt  # noqa: PLC0415

    key = private_key.load(settings.private_key or "")
    audience = settings.audience or (TEST_HOST if is_sandbox(settings.host) else LOGIN_HOST)
    claims = {"iss": settings.client_id, "sub": settings.login, "aud": audience, "exp": int(now) + LIFE_SECONDS}
    try:
        return jwt.encode(claims, key, algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):
        # From None: what a library says of a key may quote the key.
        raise LoginError("private_key cannot sign") from None


def tried(attempt: Callable[[], Flow[Grant]]) -> Flow[Grant]:
    """Try a login until there is a proper answer.

    :raises LoginError: Salesforce refuses; trying again cannot help
    :raises TransientError: no proper answer in ``LOGIN_TRIES`` tries
    """
    for earlier in range(LOGIN_TRIES):
        try:
            return (yield from attempt())
        except TransientError as error:
            if earlier + 1 == LOGIN_TRIES or (isinstance(error, RequestLimitError) and error.daily):
                raise
            yield Sleep(2.0**earlier, jitter=1.0)
    raise AssertionError("unreachable: the last try returned or raised")


def _attempt(settings: Settings, form: Mapping[str, str]) -> Flow[Grant]:
    request = Request(
        method="POST",
        url=settings.host + PATH,
        headers={"Accept": "application/json"},
        body=Body.of(urlencode(form).encode("ascii"), _FORM),
    )
    reply: Reply = yield Send(request)
    data = _parsed(reply)
    if reply.status != 200:
        sent = Echoes(settings.secrets() | spellings(form.get("assertion", "")))
        raise refusal_of(reply, _text(data, "error", sent), _text(data, "error_description", sent), settings, PATH)
    if data is None:
        raise TransportError("the login's reply is not JSON", status=reply.status, method="POST", path=PATH)
    return _grant(data, settings)


def _parsed(reply: Reply) -> Mapping[str, Any] | None:
    try:
        data = parse(reply.body)
    except MalformedJsonError:
        return None
    return data if isinstance(data, dict) else None


def refusal_of(reply: Reply, code: str, text: str, settings: Settings, path: str) -> SfBulkError:
    """Make the exception for a login that was refused.

    :param code: of the refusal, and ``text`` what it says, both without secrets; empty when it gives no reason
    """
    code = code if _CODE.fullmatch(code) else "error" if code else ""
    kind = login_kind_of(reply.status, code, text, settings.auth_flow)
    said = f"{reply.status}" + (f" {code}: {text}" if code else "")
    if issubclass(kind, TransientError):
        advice = "Salesforce cannot log in now, try later"
    elif 300 <= reply.status < 400:
        advice = "a redirect; set host to the org's own My Domain"
    elif not code:
        advice = "it gives no reason; check that host is a Salesforce login host"
    else:
        row = row_of(code, text, settings.auth_flow)
        advice = row.advice if row is not None else ""
    error = kind(
        f"login ({settings.auth_flow}) at {settings.host}: {said}" + (f"; {advice}" if advice else ""),
        error_code=code or None,
        status=reply.status,
        method="POST",
        path=path,
    )
    if isinstance(error, RequestLimitError):
        error.daily = "concurrent" not in text.lower()
    return error


def _grant(data: Mapping[str, Any], settings: Settings) -> Grant:
    access_token = check_token(data.get("access_token"), what="the access_token that Salesforce gave")
    instance_url = check_instance(data.get("instance_url"), settings, what="the instance_url that Salesforce gave")
    rotated = data.get("refresh_token")
    if rotated is not None:
        rotated = check_token(rotated, what="the refresh_token that Salesforce gave")
    return Grant(Token(access_token, instance_url), refresh_token=rotated)


def check_instance(url: object, settings: Settings, *, what: str) -> str:
    """Return the scheme and host that a login's reply names, if the session may be sent there.

    :raises LoginError: it may not: only a login on this machine may name this machine
    """
    name = settings.host.partition("://")[2]
    try:
        return check_url(url, settings.allowed_hosts, loopback=is_loopback(name.rpartition(":")[0] or name), what=what)
    except LoginError as error:
        # From None: the host chose the name, and it may be a secret.
        raise LoginError(Echoes(settings.secrets()).hidden(str(error))) from None


def _text(data: Mapping[str, Any] | None, key: str, sent: Echoes) -> str:
    """Return the short, one-line text of a refusal. The host wrote it, so secrets are removed."""
    value = data.get(key) if data is not None else None
    return one_line(sent.hidden(value), 200) if isinstance(value, str) else ""
