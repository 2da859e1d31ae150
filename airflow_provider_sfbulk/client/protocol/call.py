"""One API call: gets a token, sends the request, renews the token at most once, and returns a reply or raises an
exception."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from airflow_provider_sfbulk.client.arguments import shown
from airflow_provider_sfbulk.client.effects import Authorize, Body, Fetch, Flow, Reply, Request, Send, Sink, Token
from airflow_provider_sfbulk.client.errors import (
    ProtocolError,
    ServerBusyError,
    SfBulkError,
    SourceError,
    TransientError,
    TransportError,
)
from airflow_provider_sfbulk.client.replies.refusal import error_for, is_html, is_session_over
from airflow_provider_sfbulk.client.replies.safe_json import MalformedJsonError, parse
from airflow_provider_sfbulk.client.replies.safe_text import HIDDEN, without_sent

JSON: Final = "application/json"
CSV: Final = "text/csv"
CLIENT: Final = "airflow_provider_sfbulk"
"""Identifies these calls in Salesforce's event logs (``Sforce-Call-Options``)."""

_JSON_BODY: Final = "application/json; charset=UTF-8"
_ASYNC: Final = "/services/async/"
_ROWS_GO_TO: Final = ("/batches", "/batch")
_SUCCESS: Final = frozenset({200, 201, 204})
_SOBJECT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,120}")


@dataclass(frozen=True)
class ApiCall:
    """One call of Salesforce's API, without host and token.

    :param path: from ``/services`` on, see :func:`data_path`
    :param body: what to send; for JSON, see :func:`json_body`
    :param accept: media type wanted
    :param job_id: the job concerned, for errors
    :param headers: further headers
    :param resend: whether to send again after a new login. Not for uploads: a job accepts only one PUT
    :param hide: removes what was sent with the call from the text of a refusal
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: Body | None = None
    accept: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    job_id: str | None = None
    resend: bool = True
    hide: Callable[[str], str] | None = field(default=None, repr=False)


def data_path(api_version: str, *segments: str) -> str:
    """Make a path below ``/services/data/vXX.X``. The segments are quoted."""
    return "/".join((f"/services/data/v{api_version}", *(quote(segment, safe="") for segment in segments)))


def async_path(api_version: str, *segments: str) -> str:
    """Make a path of Bulk API 1.0, below ``/services/async/XX.X``: no ``v`` before the version."""
    return "/".join((f"{_ASYNC}{api_version}", *(quote(segment, safe="") for segment in segments)))


def check_sobject(name: str) -> str:
    """Return ``name`` if it has the form of an object's API name.

    :raises SourceError: it does not
    """
    if isinstance(name, str) and _SOBJECT.fullmatch(name):
        return name
    raise SourceError(f"not an object's API name: {shown(name)}; it is like Account or Invoice__c")


def json_body(data: Mapping[str, Any]) -> Body:
    """Make a JSON body.

    :raises SourceError: a text in it is not text: it has half of a character
    """
    try:
        return Body.of(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode("utf-8"), _JSON_BODY)
    except UnicodeEncodeError:
        raise SourceError("a text to send contains half of a character (a lone surrogate)") from None


def call(api: ApiCall) -> Flow[Reply]:
    """Make a call and return its reply, 200, 201 or 204.

    :raises LoginError: no token, or Salesforce refuses a new one
    :raises TransientError: try later
    :raises RequestRefusedError: change the request
    """
    return _exchange(api, Send)


def fetch(api: ApiCall, sink: Sink) -> Flow[Reply]:
    """Make a call whose 200 reply's body goes to ``sink``.

    :raises TransportError: the reply was cut, or the sink refuses it
    :raises SfBulkError: as :func:`call`, and what the sink raises
    """
    return _exchange(api, lambda request: Fetch(request, sink))


def call_json(api: ApiCall) -> Flow[Any]:
    """Make a call and return the JSON of its reply.

    :raises ServerBusyError: the reply is a web page
    :raises TransportError: the reply is not a whole JSON
    :raises SfBulkError: as :func:`call`
    """
    reply = yield from call(api)
    return json_of(reply, api.method, api.path, job_id=api.job_id)


def json_of(reply: Reply, method: str, path: str, *, job_id: str | None = None) -> Any:
    """Read the JSON of a reply.

    :raises ServerBusyError: the reply is a web page
    :raises TransportError: the reply is not a whole JSON
    """
    facts: dict[str, Any] = {"status": reply.status, "method": method, "path": path, "job_id": job_id}
    if is_html(reply):
        raise ServerBusyError(f"{method} {path}: a web page instead of JSON, as during maintenance", **facts)
    try:
        return parse(reply.body)
    except MalformedJsonError as error:
        raise TransportError(f"{method} {path}: the reply is {error}", **facts) from error


def call_object(api: ApiCall) -> Flow[dict[str, Any]]:
    """Make a call and return the JSON object of its reply.

    :raises ProtocolError: the JSON is not an object
    :raises SfBulkError: as :func:`call_json`
    """
    reply = yield from call(api)
    return object_of(api, reply)


def object_of(api: ApiCall, reply: Reply) -> dict[str, Any]:
    """Read the JSON object of a call's reply.

    :raises ProtocolError: the JSON is not an object
    :raises SfBulkError: as :func:`json_of`
    """
    data = json_of(reply, api.method, api.path, job_id=api.job_id)
    if not isinstance(data, dict):
        raise ProtocolError(
            f"{api.method} {api.path}: expected a JSON object, not {type(data).__name__}", path=api.path
        )
    return data


@contextmanager
def reading(api: ApiCall) -> Iterator[None]:
    """Add the call to an error of what its reply says: those who poll look again when a call went wrong."""
    try:
        yield
    except ProtocolError as error:
        error.method, error.path, error.job_id = api.method, api.path, error.job_id or api.job_id
        raise


def _exchange(api: ApiCall, effect: Callable[[Request], Send | Fetch]) -> Flow[Reply]:
    token: Token = yield Authorize()
    reply: Reply = yield effect(_request(api, token))
    if is_session_over(reply):
        token = yield Authorize(stale=token)
        if not api.resend:
            raise TransientError(
                f"{api.method} {api.path}: the session expired before the request; it was not sent again",
                error_code="INVALID_SESSION_ID",
                status=reply.status,
                method=api.method,
                path=api.path,
                job_id=api.job_id,
            )
        reply = yield effect(_request(api, token))
    if reply.status not in _SUCCESS:
        raise error_for(reply, method=api.method, path=api.path, job_id=api.job_id, hide=api.hide or _hides_rows(api))
    return reply


def _hides_rows(api: ApiCall) -> Callable[[str], str] | None:
    """Return a function that removes the rows of an upload from a text; None for a call that sends none."""
    body = api.body
    if body is None or not api.path.endswith(_ROWS_GO_TO):
        return None

    def hide(text: str) -> str:
        try:
            return without_sent(text, body.chunks()) if text else text
        except (OSError, SfBulkError):  # they cannot be read again, so nothing of the text is shown
            return HIDDEN

    return hide


def _request(api: ApiCall, token: Token) -> Request:
    headers = {"Accept": api.accept, "Sforce-Call-Options": f"client={CLIENT}", **api.headers}
    if api.path.startswith(_ASYNC):
        # Bulk API 1.0: it is not documented that it takes the token like the others.
        headers["X-SFDC-Session"] = token.access_token
    else:
        headers["Authorization"] = f"Bearer {token.access_token}"
    return Request(
        method=api.method, url=token.instance_url + api.path, query=api.query, headers=headers, body=api.body
    )
