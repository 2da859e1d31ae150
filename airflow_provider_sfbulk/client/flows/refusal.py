"""From a reply that is not a success to the exception that says what to do about it.

Facts. REST and Bulk API 2.0 answer errors with a JSON array of ``{"errorCode", "message"}``; Bulk API 1.0 with one
``{"exceptionCode", "exceptionMessage"}`` or an XML ``<error>`` of the same, and nearly always with 400; the token
endpoint with ``{"error", "error_description"}``. The edge, a maintenance page or a host that moved answer HTML with any
status. So a body is never trusted to be what it should be. (REST API guide, "Status Codes and Error Responses"; Bulk
API guides, "Errors"; bodies captured by other clients.)

Theory. The error code decides, when there is one that is known; else the status does. Both are tables below.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

from airflow_provider_sfbulk.client.errors import (
    LoginError,
    NotFoundError,
    ProtocolError,
    RequestLimitError,
    RequestRefusedError,
    ServerBusyError,
    SfBulkError,
)
from airflow_provider_sfbulk.client.safe_xml import local_name, parse, texts_of
from airflow_provider_sfbulk.client.wire import Reply

_MESSAGE_CHARACTERS: Final = 500
_ERRORS_SHOWN: Final = 3

BY_CODE: Final[Mapping[str, type[SfBulkError]]] = {
    "API_CURRENTLY_DISABLED": LoginError,
    "API_DISABLED_FOR_ORG": LoginError,
    "InvalidSessionId": LoginError,
    "InvalidUser": LoginError,
    "INVALID_AUTH_HEADER": LoginError,
    "INVALID_SESSION_ID": LoginError,
    "URL_NOT_RESET": LoginError,
    "NOT_FOUND": NotFoundError,
    "EXCEEDEDQUOTA": RequestLimitError,
    "ExceededQuota": RequestLimitError,
    "LIMIT_EXCEEDED": RequestLimitError,
    "REQUEST_LIMIT_EXCEEDED": RequestLimitError,
    "InternalServerError": ServerBusyError,
    "Timeout": ServerBusyError,
    "TooManyLockFailure": ServerBusyError,
    "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE": ServerBusyError,
    "ORG_IN_MAINTENANCE": ServerBusyError,
    "QUERY_TIMEOUT": ServerBusyError,
    "SERVER_UNAVAILABLE": ServerBusyError,
    "TXN_SECURITY_METERING_ERROR": ServerBusyError,
    "UNABLE_TO_LOCK_ROW": ServerBusyError,
    "UNKNOWN_EXCEPTION": ServerBusyError,
}
"""Codes that mean the same whatever the status. Those in mixed case are Bulk API 1.0's (wsc, ``AsyncExceptionCode``)."""

BY_STATUS: Final[Mapping[int, type[SfBulkError]]] = {
    401: LoginError,
    404: NotFoundError,
    406: ServerBusyError,
    408: ServerBusyError,
    420: ServerBusyError,
    429: ServerBusyError,
}
"""Other 5xx are :class:`ServerBusyError`, other 4xx and 3xx :class:`RequestRefusedError`."""

_ADVICE_BY_CODE: Final[Mapping[str, str]] = {
    "API_CURRENTLY_DISABLED": "give the user the permission API Enabled",
    "API_DISABLED_FOR_ORG": "this edition of Salesforce has no API",
    "ClientInputError": "correct what was sent",
    "FeatureNotEnabled": "the user or the org lacks a permission for this",
    "InvalidJob": "check the job's fields; jobs are deleted seven days after they end",
    "InvalidVersion": "check api_version",
    "UnsupportedContentType": "the batch must have its job's content type",
    "FEATURENOTENABLED": "the user or the org lacks a permission for this",
    "INSUFFICIENT_ACCESS": "the user lacks a permission for this",
    "INVALIDENTITY": "this object is not for the Bulk API",
    "INVALID_FIELD": "check the names, and that the user may see the fields",
    "INVALID_TYPE": "check the object's API name, and that the user may see it",
    "MALFORMED_QUERY": "correct the SOQL",
    "NOT_FOUND": "check the path and api_version; jobs are deleted seven days after they end",
    "QUERY_TIMEOUT": "narrow the query, or try later",
    "URL_NOT_RESET": "instance_url must be the org's own host, not a login host",
}
_ADVICE_BY_STATUS: Final[Mapping[int, str]] = {
    401: "the session is refused and a new one would be too: check the app's scopes and the user's IP ranges",
    403: "the user lacks a permission for this",
    409: "a job must be read with the api_version it was created with",
    410: "Salesforce has retired this; check api_version",
    413: "send less in one request",
}
_REDIRECT_ADVICE: Final = "redirects are not followed with a token; set host (or instance_url) to the org's My Domain"
_BUSY_ADVICE: Final = "nothing is wrong with the request; try later"

_LASTING_SESSION_TROUBLE: Final = (
    "This session is not valid for use with the REST API",
    "Connected app is not attached to Agent",
)
"""Messages of a 401 that a new token does not help against (jsforce does not renew on them either)."""

_SESSION_CODES: Final = frozenset({"INVALID_SESSION_ID", "InvalidSessionId"})
_BAD_TOKEN: Final = b"Bad_OAuth_Token"


@dataclass(frozen=True)
class Refusal:
    """One error of an error body."""

    code: str
    message: str


def read_refusals(body: bytes) -> list[Refusal]:
    """Read an error body of any of Salesforce's shapes; give nothing for other bodies."""
    try:
        data = _from_xml(body) if body.lstrip().startswith(b"<") else json.loads(body)
    except (ValueError, RecursionError):
        return []
    entries = data if isinstance(data, list) else [data]
    refusals = []
    for entry in entries:
        if isinstance(entry, dict):
            code = _text(entry, "errorCode", "exceptionCode", "error")
            if code:
                refusals.append(Refusal(code, _text(entry, "message", "exceptionMessage", "error_description")))
    return refusals


def _from_xml(body: bytes) -> Any:
    root = parse(body)
    return texts_of(root) if local_name(root) == "error" else None


def is_session_over(reply: Reply) -> bool:
    """Whether a new token may help: 401 (``userinfo``: 403 ``Bad_OAuth_Token``), and not for a lasting reason."""
    if reply.status == 403:
        return reply.body.strip() == _BAD_TOKEN
    refusals = read_refusals(reply.body)
    if any(text in refusal.message for refusal in refusals for text in _LASTING_SESSION_TROUBLE):
        return False
    return reply.status == 401 or (reply.status == 400 and any(each.code in _SESSION_CODES for each in refusals))


def error_for(reply: Reply, *, method: str, path: str, job_id: str | None = None) -> SfBulkError:
    """Make the exception for a reply that is not the success it should be."""
    refusals = read_refusals(reply.body)
    kind = _kind(reply, refusals)
    first = refusals[0] if refusals else Refusal("", "")
    said = "; ".join(f"{each.code}: {each.message}".rstrip(": ") for each in refusals[:_ERRORS_SHOWN])
    if not said:
        said = "a web page" if is_html(reply) else "no reason given"
    advice = _advice(reply, first, kind)
    error = kind(
        f"{method} {path}: {reply.status} {said}" + (f" ({advice})" if advice else ""),
        error_code=first.code or None,
        status=reply.status,
        method=method,
        path=path,
        job_id=job_id,
    )
    if isinstance(error, ServerBusyError):
        error.retry_after = retry_after(reply)
    elif isinstance(error, RequestLimitError):
        error.daily = "concurrent" not in first.message.lower()
    return error


def is_html(reply: Reply) -> bool:
    """Whether the reply is a web page, which no API call answers with: the edge's, or a maintenance notice."""
    kind = reply.headers.get("content-type", "").lower()
    return "html" in kind or reply.body[:64].lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith((b"<!doctype", b"<html"))


def retry_after(reply: Reply) -> float | None:
    """Give the seconds that the reply asks to wait: a number, or a date compared with the reply's own ``Date``."""
    text = reply.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        then, now = parsedate_to_datetime(text), parsedate_to_datetime(reply.headers.get("date", ""))
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _kind(reply: Reply, refusals: list[Refusal]) -> type[SfBulkError]:
    for refusal in refusals:
        if refusal.code in BY_CODE:
            return BY_CODE[refusal.code]
    if reply.status in BY_STATUS:
        return BY_STATUS[reply.status]
    if reply.status >= 500:
        return ServerBusyError
    return RequestRefusedError if reply.status >= 300 else ProtocolError


def _advice(reply: Reply, first: Refusal, kind: type[SfBulkError]) -> str | None:
    if 300 <= reply.status < 400:
        return _REDIRECT_ADVICE
    known = _ADVICE_BY_CODE.get(first.code)
    if known is None and kind in (RequestLimitError, ServerBusyError):
        return None if kind is RequestLimitError else _BUSY_ADVICE
    # A code explains more than the status: the status' advice is for replies whose code is unknown.
    return known or _ADVICE_BY_STATUS.get(reply.status)


def _text(entry: Mapping[str, Any], *keys: str) -> str:
    for key in keys:
        value = entry.get(key)
        if isinstance(value, str):
            return " ".join(value.split())[:_MESSAGE_CHARACTERS]
    return ""
