"""The OAuth token endpoint: one POST, repeated while Salesforce is unwell, and a reply that is distrusted.

Sources: Salesforce help, "OAuth 2.0 flow errors"; replies captured by other clients. A refusal is 400 with
``{"error", "error_description"}``; the login hosts also answer 503 with HTML or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from airflow_provider_sfbulk.client.auth.hosts import check_url, is_loopback
from airflow_provider_sfbulk.client.effects import Body, Flow, Reply, Request, Send, Sleep, Token
from airflow_provider_sfbulk.client.errors import (
    RequestLimitError,
    SfBulkError,
    TransientError,
    TransportError,
)
from airflow_provider_sfbulk.client.replies.error_table import login_kind_of, row_of
from airflow_provider_sfbulk.client.replies.safe_json import MalformedJsonError, parse
from airflow_provider_sfbulk.client.replies.safe_text import one_line, without
from airflow_provider_sfbulk.client.settings import Settings, check_token, spellings

PATH: Final = "/services/oauth2/token"
LOGIN_TRIES: Final = 5
"""Tries of one login while Salesforce does not answer properly. A refusal is never tried again: it could lock a user
out."""

_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,79}")
_FORM: Final = "application/x-www-form-urlencoded"


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
        secrets = settings.secrets() | spellings(form.get("assertion", ""))
        raise refusal_of(
            reply, _text(data, "error", secrets), _text(data, "error_description", secrets), settings, PATH
        )
    if data is None:
        raise TransportError("the login's reply is no JSON", status=reply.status, method="POST", path=PATH)
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
    """Return the scheme and host that a login's reply names, when the session may be sent there.

    :raises LoginError: when it may not: only a login on this machine may name this machine
    """
    name = settings.host.partition("://")[2]
    return check_url(url, settings.allowed_hosts, loopback=is_loopback(name.rpartition(":")[0] or name), what=what)


def _text(data: Mapping[str, Any] | None, key: str, secrets: Iterable[str]) -> str:
    """Give a short, one-line text of a refusal. The host wrote it, so no secret is let through."""
    value = data.get(key) if data is not None else None
    return one_line(without(value, secrets), 200) if isinstance(value, str) else ""
