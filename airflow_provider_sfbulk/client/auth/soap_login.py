"""SOAP ``login()``: username, password and security token, without an app in Salesforce. It will be retired soon.

====================  ==========================================================================================
API 65.0 and later    do not have it, so it is called in :data:`VERSION` at most; the session works in every version
new orgs              have it disabled until it is allowed in Setup
Summer '27            it is retired for 31.0 to 64.0, too
====================  ==========================================================================================

Sources: Salesforce help, "Platform SOAP API login() Retirement" (005132110); *SOAP API Developer Guide*, "login()",
"LoginScopeHeader" and "API Fault Element". Every fault is HTTP 500, so the status alone says nothing.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.auth.echoes import Echoes
from airflow_provider_sfbulk.client.auth.oauth import Grant, check_instance, refusal_of, tried
from airflow_provider_sfbulk.client.effects import Body, Flow, Reply, Request, Send, Token
from airflow_provider_sfbulk.client.errors import LoginError, TransportError
from airflow_provider_sfbulk.client.replies import safe_xml
from airflow_provider_sfbulk.client.replies.safe_text import one_line
from airflow_provider_sfbulk.client.settings import Settings, check_token

VERSION: Final = limits.NEWEST_SOAP_LOGIN_API_VERSION

DEPRECATION: Final = (
    "This connection signs in by SOAP login(), which Salesforce switches off with Summer '27 and which new orgs and API "
    f"versions after {VERSION} do not have: move it to jwt_bearer or client_credentials."
)

REPLY_BYTES: Final = 256 * 1024
"""Maximum bytes of a reply; our limit. Replies have 2 to 3 kB."""

_ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_PARTNER: Final = "urn:partner.soap.sforce.com"
_CONTENT_TYPE: Final = "text/xml; charset=UTF-8"
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OLD_API_HOST: Final = re.compile(r"([a-z0-9]+)-api\.salesforce\.com")
"""Instances once had a second host name for SOAP, such as ``na1-api.salesforce.com``; REST uses the first."""


def login(settings: Settings) -> Flow[Grant]:
    """Exchange username and password for a session."""
    message = _message(settings)
    return tried(lambda: _attempt(settings, message))


def _message(settings: Settings) -> bytes:
    for name, text in (("login", settings.login), ("password", settings.full_password)):
        if _NOT_IN_XML.search(text or ""):
            raise LoginError(f"{name} has a character that is not allowed in XML, so a SOAP login cannot send it")
    scope = ""
    if settings.organization_id is not None:
        organization = f"<s:organizationId>{settings.organization_id}</s:organizationId>"
        scope = f"<e:Header><s:LoginScopeHeader>{organization}</s:LoginScopeHeader></e:Header>"
    # A bare carriage return would be read as a line feed.
    username, password = (escape(text, {"\r": "&#13;"}) for text in (settings.login or "", settings.full_password))
    return (
        f'<?xml version="1.0" encoding="utf-8"?><e:Envelope xmlns:e="{_ENVELOPE}" xmlns:s="{_PARTNER}">{scope}'
        f"<e:Body><s:login><s:username>{username}</s:username><s:password>{password}</s:password></s:login></e:Body>"
        "</e:Envelope>"
    ).encode()


def _attempt(settings: Settings, message: bytes) -> Flow[Grant]:
    path = f"/services/Soap/u/{min(settings.api_version, VERSION, key=float)}"
    request = Request(
        method="POST",
        url=settings.host + path,
        headers={"Accept": "text/xml", "SOAPAction": "login"},
        body=Body.of(message, _CONTENT_TYPE),
    )
    reply: Reply = yield Send(request)
    root = _parsed(reply)
    if reply.status != 200:
        raise refusal_of(reply, *_fault(root, settings), settings, path)
    found = _find(root, "result")
    if found is None:
        raise TransportError("the login's reply is not a SOAP reply", status=reply.status, method="POST", path=path)
    return _grant(safe_xml.texts_of(found), settings)


def _parsed(reply: Reply) -> Element | None:
    if len(reply.body) > REPLY_BYTES:
        return None
    try:
        return safe_xml.parse(reply.body)
    except safe_xml.MalformedXmlError:
        return None


def _find(root: Element | None, name: str) -> Element | None:
    if root is None:
        return None
    return next((each for each in root.iter() if safe_xml.local_name(each) == name), None)


def _grant(result: dict[str, str], settings: Settings) -> Grant:
    if result.get("passwordExpired", "").strip() == "true":
        raise LoginError(
            f"login ({settings.auth_flow}) at {settings.host}: the password has expired; "
            "give the user a new password, which changes the security token, too",
            error_code="INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
        )
    token = check_token(result.get("sessionId", "").strip(), what="the sessionId that Salesforce gave")
    url = _instance(result.get("serverUrl"))
    return Grant(Token(token, check_instance(url, settings, what="the serverUrl that Salesforce gave")))


def _instance(server_url: str | None) -> str | None:
    """Return scheme and host of ``serverUrl``; the rest is the path of the SOAP API."""
    if server_url is None:
        return None
    try:
        parts = urlsplit(server_url.strip())
    except ValueError:
        return server_url  # for the check to refuse
    host = parts.netloc
    old = _OLD_API_HOST.fullmatch(host.lower())
    return f"{parts.scheme}://{f'{old[1]}.salesforce.com' if old else host}"


def _fault(root: Element | None, settings: Settings) -> tuple[str, str]:
    """Read code and one-line text of a fault; empty when it is none. The host wrote them, so secrets are removed."""
    fault = _find(root, "Fault")
    if fault is None:
        return "", ""
    sent = Echoes(settings.secrets())
    code = _text(fault, "exceptionCode", sent) or _text(fault, "faultcode", sent).rpartition(":")[2]
    text = _text(fault, "exceptionMessage", sent) or _text(fault, "faultstring", sent)
    return code or "Fault", text


def _text(fault: Element, name: str, sent: Echoes) -> str:
    found = _find(fault, name)
    text = "".join(found.itertext()) if found is not None else ""
    return one_line(sent.hidden(text), 200)
