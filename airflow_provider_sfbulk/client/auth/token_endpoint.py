"""The OAuth token endpoint: one POST, repeated while Salesforce is unwell, and a reply that is distrusted.

Sources: Salesforce help, "OAuth 2.0 flow errors"; replies captured by other clients. A refusal is 400 with
``{"error", "error_description"}``; the login hosts also answer 503 with HTML or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from airflow_provider_sfbulk.client.auth.hosts import check_url, is_loopback
from airflow_provider_sfbulk.client.errors import LoginError, ServerBusyError, TransientError, TransportError
from airflow_provider_sfbulk.client.settings import Settings, check_token
from airflow_provider_sfbulk.client.wire import Body, Flow, Reply, Request, Send, Sleep, Token

PATH: Final = "/services/oauth2/token"
LOGIN_TRIES: Final = 5
"""Tries of one login while Salesforce does not answer properly. A refusal is never tried again: it could lock a user
out."""

_FORM: Final = "application/x-www-form-urlencoded"
_TRANSIENT_STATUS: Final = frozenset({406, 408, 420, 429})
_TRANSIENT_ERRORS: Final = frozenset(
    {"inactive_org", "rate_limit_exceeded", "server_error", "temporarily_unavailable", "unknown_error"}
)
_ADVICE: Final[tuple[tuple[str, str, str], ...]] = (
    ("invalid_grant", "approved this consumer", "let an administrator pre-authorize the user for the app, or check "
     "that host and audience belong to the user's org"),
    ("invalid_grant", "audience", "set audience to https://test.salesforce.com for a sandbox, else to "
     "https://login.salesforce.com"),
    ("invalid_grant", "assertion", "check that private_key belongs to the app's certificate and this machine's clock "
     "is right"),
    ("invalid_grant", "authentication failure", "check login, password and security_token; orgs made since Summer '23 "
     "block this way of login until Setup allows it"),
    ("invalid_grant", "expired", "the refresh token is dead: put a new one into the connection"),
    ("invalid_grant", "inactive user", "the user is switched off in Salesforce"),
    ("invalid_grant", "this domain", "set host to the org's My Domain"),
    ("invalid_grant", "client credentials", "enable the client credentials flow of the app and give it a user"),
    ("invalid_app_access", "", "let an administrator approve the user for the app"),
    ("invalid_client_id", "", "check client_id; a new app takes some minutes to be known everywhere"),
    ("invalid_client", "", "check client_secret"),
    ("unsupported_grant_type", "", "check host, and that the app allows this way of login"),
)  # fmt: skip
"""Error, a part of its description, and what to do. The first row that fits is used."""


@dataclass(frozen=True)
class Grant:
    """What a login gives: a session, and a new refresh token when Salesforce rotates them."""

    token: Token
    refresh_token: str | None = field(default=None, repr=False)


def request_grant(settings: Settings, form: Callable[[], Mapping[str, str]]) -> Flow[Grant]:
    """Ask for a token.

    :param form: gives the fields to send, anew for each try: an assertion ages
    :raises LoginError: Salesforce refuses; trying again cannot help
    :raises TransientError: no proper answer in ``LOGIN_TRIES`` tries
    """
    return tried(lambda: _attempt(settings, form()))


def tried(attempt: Callable[[], Flow[Grant]]) -> Flow[Grant]:
    """Try a login until there is a proper answer.

    :raises LoginError: Salesforce refuses; trying again cannot help
    :raises TransientError: no proper answer in ``LOGIN_TRIES`` tries
    """
    for earlier in range(LOGIN_TRIES):
        try:
            return (yield from attempt())
        except TransientError:
            if earlier + 1 == LOGIN_TRIES:
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
        raise _refusal(reply, data, settings)
    if data is None:
        raise TransportError("the login's reply is no JSON", status=reply.status, method="POST", path=PATH)
    return _grant(data, settings)


def _parsed(reply: Reply) -> Mapping[str, Any] | None:
    try:
        data = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _refusal(reply: Reply, data: Mapping[str, Any] | None, settings: Settings) -> LoginError | TransientError:
    error, description = _text(data, "error"), _text(data, "error_description")
    said = f"{reply.status}" + (f" {error}: {description}" if error else "")
    place = f"login ({settings.auth_flow}) at {settings.host}"
    facts: dict[str, Any] = {"error_code": error or None, "status": reply.status, "method": "POST", "path": PATH}
    if reply.status >= 500 or reply.status in _TRANSIENT_STATUS or error in _TRANSIENT_ERRORS:
        return ServerBusyError(f"{place}: {said}; Salesforce cannot log in now, try later", **facts)
    if 300 <= reply.status < 400:
        return LoginError(f"{place}: {said}, a redirect; set host to the org's own My Domain", **facts)
    if not error:
        return LoginError(f"{place}: {said} without a reason; check that host is a Salesforce login host", **facts)
    advice = next((text for code, part, text in _ADVICE if code == error and part in description.lower()), None)
    return LoginError(f"{place}: {said}" + (f"; {advice}" if advice else ""), **facts)


def _grant(data: Mapping[str, Any], settings: Settings) -> Grant:
    access_token = check_token(data.get("access_token"), what="the access_token that Salesforce gave")
    instance_url = check_instance(data.get("instance_url"), settings, what="the instance_url that Salesforce gave")
    rotated = data.get("refresh_token")
    if rotated is not None:
        rotated = check_token(rotated, what="the refresh_token that Salesforce gave")
    return Grant(Token(access_token, instance_url), refresh_token=rotated)


def check_instance(url: object, settings: Settings, *, what: str) -> str:
    """Return the scheme and host that a login's reply names, when the session may be sent there.

    :raises LoginError: when it may not: only a login on this machine may name this machine
    """
    name = settings.host.partition("://")[2]
    return check_url(url, settings.allowed_hosts, loopback=is_loopback(name.rpartition(":")[0] or name), what=what)


def _text(data: Mapping[str, Any] | None, key: str) -> str:
    """Give a short, one-line text of a refusal. It comes from the host, and goes into messages."""
    value = data.get(key) if data is not None else None
    return " ".join(value.split())[:200] if isinstance(value, str) else ""
