"""Turns an error reply into an exception that says what to do.

Facts. REST and Bulk API 2.0 answer errors with a JSON array of ``{"errorCode", "message"}``; Bulk API 1.0 with one
``{"exceptionCode", "exceptionMessage"}`` or an XML ``<error>`` of the same, and nearly always with 400; the token
endpoint with ``{"error", "error_description"}``. The edge, a maintenance page or a host that moved answer with HTML and
any status. So a body is never trusted to be what it should be. (REST API guide, "Status Codes and Error Responses"; Bulk
API guides, "Errors"; bodies captured by other clients.)

Theory. A known error code decides, otherwise the status: see ``error_table``. The text of a reply is shown on one line,
and without anything that was sent (``hide``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.errors import RequestLimitError, ServerBusyError, SfBulkError
from airflow_provider_sfbulk.client.replies.error_table import advice_of, kind_of
from airflow_provider_sfbulk.client.replies.safe_json import parse as parse_json
from airflow_provider_sfbulk.client.replies.safe_text import one_line
from airflow_provider_sfbulk.client.replies.safe_xml import local_name, parse, texts_of

_MESSAGE_CHARACTERS: Final = 500
_ERRORS_SHOWN: Final = 3
_ERROR_ELEMENTS: Final = 1_000
"""Maximum elements of a refusal in XML; our limit. There are three."""

_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
"""An error code. Anything else in its place may be arbitrary text, even what was sent."""

_LASTING_SESSION_TROUBLE: Final = (
    "This session is not valid for use with the REST API",
    "Connected app is not attached to Agent",
)
"""Messages of a 401 that a new token does not fix (jsforce does not renew on them, either)."""

_SESSION_CODES: Final = frozenset({"INVALID_SESSION_ID", "InvalidSessionId"})
_BAD_TOKEN: Final = b"Bad_OAuth_Token"


@dataclass(frozen=True)
class Refusal:
    """One error of an error body."""

    code: str
    message: str


def read_refusals(body: bytes) -> list[Refusal]:
    """Read an error body in any of Salesforce's forms; empty for other bodies."""
    try:
        data = _from_xml(body) if body.lstrip().startswith(b"<") else parse_json(body)
    except ValueError:
        return []
    entries = data if isinstance(data, list) else [data]
    refusals = []
    for entry in entries:
        if isinstance(entry, dict):
            code = _text(entry, "errorCode", "exceptionCode", "error")
            if _CODE.fullmatch(code):
                refusals.append(Refusal(code, _text(entry, "message", "exceptionMessage", "error_description")))
    return refusals


def _from_xml(body: bytes) -> Any:
    root = parse(body, most=_ERROR_ELEMENTS)
    return texts_of(root) if local_name(root) == "error" else None


def is_session_over(reply: Reply) -> bool:
    """Whether a new token may help: 401 (``userinfo``: 403 ``Bad_OAuth_Token``), and not for a lasting reason."""
    if reply.status == 403:
        return reply.body.strip() == _BAD_TOKEN
    if reply.status not in (400, 401):
        return False
    refusals = read_refusals(reply.body)
    if any(text in refusal.message for refusal in refusals for text in _LASTING_SESSION_TROUBLE):
        return False
    return reply.status == 401 or (reply.status == 400 and any(each.code in _SESSION_CODES for each in refusals))


def error_for(
    reply: Reply, *, method: str, path: str, job_id: str | None = None, hide: Callable[[str], str] | None = None
) -> SfBulkError:
    """Make the exception for a reply that is not a success.

    :param hide: removes what was sent from the reply's text
    """
    refusals = read_refusals(reply.body)
    kind = kind_of(reply.status, ((each.code, each.message) for each in refusals))
    if hide is not None:
        refusals = [Refusal(each.code, hide(each.message)) for each in refusals[:_ERRORS_SHOWN]]
    first = refusals[0] if refusals else Refusal("", "")
    said = "; ".join(f"{each.code}: {each.message}".rstrip(": ") for each in refusals[:_ERRORS_SHOWN])
    if not said:
        said = "a web page" if is_html(reply) else "no reason given"
    advice = advice_of(reply.status, first.code, first.message, kind, path, job_id)
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
    """Whether the reply is a web page, which no API call returns: from the edge, or a maintenance notice."""
    kind = reply.headers.get("content-type", "").lower()
    return "html" in kind or reply.body[:64].lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith((b"<!doctype", b"<html"))


def retry_after(reply: Reply) -> float | None:
    """Return the seconds that the reply asks to wait: a number, or a date compared with the reply's own ``Date``."""
    text = reply.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        then, now = parsedate_to_datetime(text), parsedate_to_datetime(reply.headers.get("date", ""))
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _text(entry: Mapping[str, Any], *keys: str) -> str:
    for key in keys:
        value = entry.get(key)
        if isinstance(value, str):
            return one_line(value, _MESSAGE_CHARACTERS)
    return ""
