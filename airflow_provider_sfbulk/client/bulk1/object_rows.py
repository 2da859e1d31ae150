"""Rows as Bulk API 1.0's XML and JSON have them: trees, with parents inside their children.

Query results of a gigabyte are read a row at a time; records to load are written as the guide's "Sample XML" shows:
``<sObjects><sObject><Name>A</Name><Owner><sObject><Key__c>7</Key__c></sObject></Owner></sObject></sObjects>``.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from airflow_provider_sfbulk.client.arguments import shown
from airflow_provider_sfbulk.client.errors import ProtocolError, SourceError, TransportError
from airflow_provider_sfbulk.client.replies.safe_xml import MalformedXmlError, Readable, element_text, ends, local_name
from airflow_provider_sfbulk.client.values.text import UnfitValueError, text_of

NAMESPACE: Final = "http://www.force.com/2009/06/asyncapi/dataload"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_NAME_START: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_NAME: Final = _NAME_START | frozenset("0123456789_")
_CHUNK_BYTES: Final = 1024 * 1024
_RETURN: Final = {"\r": "&#13;"}
"""Written bare, a carriage return would be read as a line feed."""

_BLANK: Final = " \t\r\n"


def xml_rows(file: Readable) -> Iterator[dict[str, Any]]:
    """Read the rows of an XML query result: texts, None for null, a mapping for a parent.

    ``Id`` comes twice when it was selected, and null and unasked when it was not: the first one that says something is
    taken. ``type`` is the row's object.

    :raises TransportError: the file is not whole
    :raises ProtocolError: it is not a query result
    """
    try:
        name = ""
        for element in ends(file):
            name = local_name(element)
            if name == "records":
                yield _tree(element)
                element.clear()
    except MalformedXmlError as error:
        raise TransportError(f"a query result that is not complete XML: {error}") from error
    if name != "queryResult":
        raise ProtocolError("a reply in XML that is not a query result")


def _tree(parent: Element) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for child in parent:
        name = local_name(child)
        value = _tree(child) if len(child) else element_text(child)
        if row.get(name) is None:
            row[name] = value
    return row


def json_rows(file: Readable) -> Iterator[dict[str, Any]]:
    """Read the rows of a JSON query result, as they are: ``attributes``, datetimes in milliseconds since 1970.

    :raises TransportError: the file is not whole
    :raises ProtocolError: it is not a list of objects
    """
    decoder, text = json.JSONDecoder(), _Text(file)
    if text.next_sign() != "[":
        raise ProtocolError("a reply in JSON that is not a query result")
    first = True
    while (sign := text.next_sign()) != "]":
        if not first:
            if sign != ",":
                raise ProtocolError("a reply in JSON that is not a list of rows")
            sign = text.next_sign()
        first = False
        if sign != "{":
            raise (
                TransportError("a query result that is not complete JSON")
                if not sign
                else ProtocolError("a reply in JSON that is not a list of rows")
            )
        yield text.take_object(decoder)


class _Text:
    """The text of a file, a piece at a time."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._held = ""
        self._place = 0

    def next_sign(self) -> str:
        """Take the next character that is not a blank; nothing at the end."""
        while True:
            while self._place < len(self._held) and self._held[self._place] in _BLANK:
                self._place += 1
            if self._place < len(self._held):
                self._place += 1
                return self._held[self._place - 1]
            if not self._more():
                return ""

    def take_object(self, decoder: json.JSONDecoder) -> dict[str, Any]:
        """Take an object whose brace was taken."""
        while True:
            try:
                row, self._place = decoder.raw_decode(self._held, self._place - 1)
            except (json.JSONDecodeError, RecursionError):
                if not self._more():
                    # From None: the error holds the text.
                    raise TransportError("a query result that is not complete JSON") from None
            else:
                return row  # type: ignore[no-any-return] # what begins with a brace is an object

    def _more(self) -> bool:
        try:
            chunk = self._file.read(_CHUNK_BYTES)
            text = self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError:
            raise ProtocolError("a query result that is not UTF-8") from None
        start = max(0, self._place - 1)
        self._held = self._held[start:] + text
        self._place -= start
        return bool(chunk)


def xml_records(records: Iterable[Mapping[str, Any]], *, zone: ZoneInfo | None = None) -> bytes:
    """Write records as the body of an XML batch. A parent is a mapping: ``{"Owner": {"Key__c": "7"}}``; None is null.

    :param zone: of datetimes that carry none
    :raises SourceError: a name that is none, or a value that has no text
    """
    pieces = [f'<?xml version="1.0" encoding="UTF-8"?>\n<sObjects xmlns="{NAMESPACE}" xmlns:xsi="{_XSI}">']
    if isinstance(records, Mapping) or not isinstance(records, Iterable):
        raise SourceError(f"the records of an XML batch must be a list of dicts, not {shown(records)}")
    for number, record in enumerate(records, 1):
        if not isinstance(record, Mapping):
            raise SourceError(f"row {number} of an XML batch must be a dict, not {shown(record)}")
        try:
            pieces.append(f"<sObject>{_fields(record, zone)}</sObject>\n")
        except UnfitValueError as error:
            raise SourceError(f"row {number}: {error}") from None
    return "".join([*pieces, "</sObjects>"]).encode()


def _fields(record: Mapping[str, Any], zone: ZoneInfo | None) -> str:
    pieces = []
    for name, value in record.items():
        if not isinstance(name, str) or not name or name[0] not in _NAME_START or not _NAME.issuperset(name):
            raise UnfitValueError("a column name that is not the name of a field")
        if isinstance(value, Mapping):
            pieces.append(f"<{name}><sObject>{_fields(value, zone)}</sObject></{name}>")
        elif (text := text_of(value, zone)) is None:
            pieces.append(f'<{name} xsi:nil="true"/>')
        elif any(sign < " " and sign not in "\t\n\r" for sign in text):
            raise UnfitValueError("a control character, which XML does not allow: remove it")
        else:
            pieces.append(f"<{name}>{escape(text, _RETURN)}</{name}>")
    return "".join(pieces)
