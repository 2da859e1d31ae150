"""Bulk API 1.0's infos in their two shapes, told apart by what came: XML or JSON.

A job's infos come in its content type's format, CSV jobs' in XML; a job that was created with the other kind of body
answers in that one's. So nothing is expected and the reply's own ``Content-Type`` is believed, as all clients do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from airflow_provider_sfbulk.client.bulk1.models import ContentType
from airflow_provider_sfbulk.client.bulk1.object_rows import NAMESPACE
from airflow_provider_sfbulk.client.effects import Body, Flow, Reply
from airflow_provider_sfbulk.client.errors import ProtocolError, ServerBusyError, TransportError
from airflow_provider_sfbulk.client.protocol.call import ApiCall, call, json_body
from airflow_provider_sfbulk.client.replies import safe_json
from airflow_provider_sfbulk.client.replies.refusal import is_html
from airflow_provider_sfbulk.client.replies.safe_xml import MalformedXmlError, local_name, parse, text_of, texts_of

ANY: Final = "application/xml, application/json"
"""What infos may come in."""

_XML_BODY: Final = "application/xml; charset=UTF-8"


def job_body(values: Mapping[str, str], content_type: ContentType) -> Body:
    """Write a jobInfo: in JSON for JSON jobs, else in XML, as every recorded client does.

    :param values: in the order of the guide's samples, which once mattered in XML
    """
    if content_type.rows is ContentType.JSON:
        return json_body(values)
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<jobInfo xmlns="{NAMESPACE}">{inner}</jobInfo>'
    return Body.of(text.encode(), _XML_BODY)


def call_info(api: ApiCall, name: str) -> Flow[dict[str, Any]]:
    """Make a call and give the values of the info in its reply.

    :param name: ``jobInfo`` or ``batchInfo``
    :raises ProtocolError: the reply is something else
    :raises SfBulkError: as ``call``
    """
    found = _document(api, (yield from call(api)))
    if isinstance(found, Element):
        return dict(texts_of(_named(api, found, name)))
    if not isinstance(found, dict):
        raise _other(api, name)
    return found


def call_infos(api: ApiCall) -> Flow[list[Mapping[str, Any]]]:
    """Make a call and give the values of each batch in its reply's list; an empty list is an empty element."""
    found = _document(api, (yield from call(api)))
    if isinstance(found, Element):
        return [texts_of(_named(api, each, "batchInfo")) for each in _named(api, found, "batchInfoList")]
    entries = found.get("batchInfo") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise _other(api, "list of batches")
    return entries


def call_result_ids(api: ApiCall) -> Flow[list[str]]:
    """Make a call and give the texts of its reply's list of results."""
    found = _document(api, (yield from call(api)))
    if isinstance(found, Element):
        return [text_of(each) or "" for each in _named(api, found, "result-list")]
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise _other(api, "list of results")
    return found


def _document(api: ApiCall, reply: Reply) -> Any:
    """Read a reply: an element, or what JSON says."""
    facts: dict[str, Any] = {"status": reply.status, "method": api.method, "path": api.path, "job_id": api.job_id}
    if is_html(reply):
        raise ServerBusyError(f"{api.method} {api.path}: a web page, as in a maintenance", **facts)
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind in ("application/xml", "text/xml"):
            return parse(reply.body)
        if kind == "application/json":
            return safe_json.parse(reply.body)
    except (MalformedXmlError, safe_json.MalformedJsonError) as error:
        raise TransportError(f"{api.method} {api.path}: {error}", **facts) from error
    raise ProtocolError(f"{api.method} {api.path}: a reply of type {kind[:40]!r} where XML or JSON is due", **facts)


def _named(api: ApiCall, element: Element, name: str) -> Element:
    if local_name(element) != name:
        raise _other(api, name)
    return element


def _other(api: ApiCall, name: str) -> ProtocolError:
    return ProtocolError(f"{api.method} {api.path}: the reply is no {name}", path=api.path, job_id=api.job_id)
