"""The rows of a data batch, whatever format they came in: columns of text, as the uploads of Bulk API 2.0 are read.

Results answer row by row in the order of the request, so rows that cannot be read keep their place.

CSV follows the rules of Bulk API 2.0 (see :mod:`~airflow_provider_sfbulk.local_org.bulk2.csv_in`) with two differences:
"comma only", and lines may end with LF or CRLF, there being no ``lineEnding`` to keep to (CRLF was recorded).

In XML and JSON each record names its own fields. XML: ``<sObjects xmlns="…"><sObject><Name>A</Name></sObject></sObjects>``,
null as ``xsi:nil="true"``, a parent by its external id as
``<Account><sObject><Ext_Key__c>A-1</Ext_Key__c></sObject></Account>``. JSON: an array of flat objects, ``null``, and
``{"Account": {"Ext_Key__c": "A-1"}}``. For lookups to several objects the parent says which it is: a ``type`` in XML,
``"attributes": {"type": "Lead"}`` in JSON. (*Bulk API Developer Guide*, "Relationship Fields in Records") The errors of
batches that cannot be read are worded by the local org: Salesforce's are not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk1.formats import NAMESPACE
from airflow_provider_sfbulk.local_org.data.schema import SObject
from airflow_provider_sfbulk.local_org.data.values import CLEAR
from airflow_provider_sfbulk.local_org.http import json_body, xml

_QUOTED: Final = '[^"]*+(?>(?:""[^"]*+)*)'
_VALUE: Final = re.compile(
    rf'(?:"({_QUOTED})"(?=,|\r?\n)|( *+"{_QUOTED}" *+)|([^",\r\n]*+(?>(?:\r(?!\n)[^",\r\n]*+)*)))(,|\r?\n)'
)
"""One value with what ends it; groups: quoted, quoted with blanks beside, bare, end."""

Row = Iterator[tuple[str, str]]
"""Names of columns with their texts."""


class BatchFailedError(Exception):
    """The batch cannot be worked on at all; the text becomes its ``stateMessage``."""


@dataclass
class Records:
    """Rows by column.

    :ivar header: names of the columns, such as ``Name`` or ``Account.Ext_Key__c``
    :ivar columns: one list of texts per name, of the rows that can be read; empty where a row says nothing, ``#N/A``
        where it says null
    :ivar places: where each of these rows stood in the request, from 0
    :ivar unreadable: what is wrong with the others, by place
    """

    header: list[str]
    columns: list[list[str]]
    places: list[int]
    unreadable: dict[int, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Rows of the request."""
        return len(self.places) + len(self.unreadable)


def _check_count(count: int) -> None:
    """Refuse a batch of more than 10,000 records.

    The server counts one more than there are (simple-salesforce/simple-salesforce#325).

    :raises BatchFailedError: when there are more
    """
    if count > limits.BATCH_RECORDS:
        raise BatchFailedError(
            f"InvalidBatch : Exceeded number of records : {count + 1}. Number of records should be less than or equal "
            f"to {limits.BATCH_RECORDS + 1}"
        )


# --- CSV ---


def read_csv(body: bytes) -> Records:
    """Return the rows.

    :raises BatchFailedError: for a body that is not UTF-8 or not CSV, and for too many rows
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        # "Data must be UTF-8"; what Salesforce makes of other bytes is not known.
        raise BatchFailedError("ClientInputError : Data is not valid UTF-8") from error
    rows = _csv_rows(text if text.endswith("\n") else text + "\n")
    header, problem = next(rows, ([], ""))
    if problem:
        raise _unescaped_quote()
    if len(text.partition("\n")[0]) > limits.HEADER_CHARACTERS:
        raise BatchFailedError(f"InvalidBatch : Header line is longer than {limits.HEADER_CHARACTERS} characters")
    good: list[list[str]] = []
    records = Records(header, [], [])
    for place, (row, spaced) in enumerate(rows):
        if spaced or len(row) != len(header):
            # That such rows fail is certain for blanks beside quotes, likely for another number of columns; the words
            # are ours.
            records.unreadable[place] = spaced or f"Row has {len(row)} columns, the header has {len(header)}"
        else:
            good.append(row)
            records.places.append(place)
    _check_count(records.count)
    records.columns = [list(column) for column in zip(*good, strict=True)] if good else [[] for _ in header]
    return records


def _csv_rows(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield each row with what is wrong with it. Blank lines are skipped.

    :raises BatchFailedError: for a quote where none can be
    """
    row: list[str] = []
    problem = ""
    position = 0
    while matched := _VALUE.match(text, position):
        position = matched.end()
        quoted, spaced, bare, end = matched.groups()
        if spaced is not None:
            problem = "A space before or after a double quote"
        row.append(quoted.replace('""', '"') if quoted is not None else spaced or bare or "")
        if end == ",":
            continue
        if row != [""] or quoted is not None:
            yield row, problem
        row, problem = [], ""
    if position != len(text):
        raise _unescaped_quote()


def _unescaped_quote() -> BatchFailedError:
    return BatchFailedError("InvalidBatch : Failed to parse CSV. Found unescaped quote")


# --- XML and JSON ---


def read_xml(body: bytes, sobject: SObject) -> Records:
    """Return the rows of an XML batch.

    :raises BatchFailedError: for a body that cannot be read
    """
    try:
        root = xml.parse(body)
    except xml.MalformedXmlError as error:
        raise BatchFailedError(f"InvalidBatch : Failed to parse XML: {error}") from error
    if xml.local_name(root) != "sObjects" or xml.namespace(root) != NAMESPACE:
        raise BatchFailedError("InvalidBatch : Failed to parse XML: the root element is not sObjects")
    for child in root:
        if xml.local_name(child) != "sObject":
            raise BatchFailedError(f"InvalidBatch : Failed to parse XML: unexpected {xml.local_name(child)}")
    return _table([_xml_row(child, sobject) for child in root])


def read_json(body: bytes, sobject: SObject) -> Records:
    """Return the rows of a JSON batch.

    :raises BatchFailedError: for a body that cannot be read
    """
    try:
        # Numbers stay as they are written: the field decides what they are.
        parsed = json_body.read_json(body, number=str)
    except ValueError as error:
        raise BatchFailedError(f"InvalidBatch : Failed to parse JSON: {error}") from error
    if not isinstance(parsed, list) or not all(isinstance(each, dict) for each in parsed):
        raise BatchFailedError("InvalidBatch : Failed to parse JSON: it has to be an array of objects")
    return _table([_json_row(each, sobject) for each in parsed])


def _table(rows: Iterable[Row]) -> Records:
    """Return rows as columns, in the order in which their names first appear."""
    spelled: dict[str, str] = {}
    read = []
    for row in rows:
        values: dict[str, str] = {}
        for name, text in row:
            spelled.setdefault(name.lower(), name)
            values[name.lower()] = text
        read.append(values)
    _check_count(len(read))
    columns = [[values.get(name, "") for values in read] for name in spelled]
    return Records(list(spelled.values()), columns, list(range(len(read))))


def _xml_row(record: Element, sobject: SObject) -> Row:
    for child in record:
        name = xml.local_name(child)
        if xml.is_nil(child):
            yield name, CLEAR
        elif len(child) == 0:
            yield name, child.text or ""
        else:
            (parent,) = child if len(child) == 1 else (child,)
            fields = {xml.local_name(each): each for each in parent}
            kind = fields.pop("type", None)
            prefix = _relationship(name, sobject, kind.text if kind is not None else None)
            for key, each in fields.items():
                yield f"{prefix}.{key}", CLEAR if xml.is_nil(each) else each.text or ""


def _json_row(record: dict[str, Any], sobject: SObject) -> Row:
    for name, value in record.items():
        if isinstance(value, dict):
            fields = dict(value)
            attributes = fields.pop("attributes", None)
            kind = attributes.get("type") if isinstance(attributes, dict) else None
            prefix = _relationship(name, sobject, kind)
            for key, each in fields.items():
                yield f"{prefix}.{key}", _json_text(each)
        else:
            yield name, _json_text(value)


def _relationship(name: str, sobject: SObject, kind: str | None) -> str:
    """Return a relationship as a CSV header would name it: with the object in front where there are several."""
    lookup = sobject.by_relationship(name)
    return f"{kind}:{name}" if kind and lookup is not None and lookup.is_polymorphic else name


def _json_text(value: Any) -> str:
    if value is None:
        return CLEAR
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    raise BatchFailedError("InvalidBatch : Failed to parse JSON: a value is an array or too deep an object")
