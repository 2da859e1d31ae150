"""XML and JSON of a batch: records that say what they name, each its own fields.

XML: ``<sObjects xmlns="…"><sObject><Name>A</Name></sObject></sObjects>``, null as ``xsi:nil="true"``, a parent by its
external id as ``<Account><sObject><Ext_Key__c>A-1</Ext_Key__c></sObject></Account>``. JSON: an array of flat objects,
``null``, and ``{"Account": {"Ext_Key__c": "A-1"}}``. For lookups to several objects the parent says which it is: a
``type`` in XML, ``"attributes": {"type": "Lead"}`` in JSON. (*Bulk API Developer Guide*, "Relationship Fields in
Records")

Texts of batches that cannot be read are ours: none are known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree.ElementTree import Element

from airflow_provider_sfbulk.local_org.bulk1.formats import NAMESPACE
from airflow_provider_sfbulk.local_org.bulk1.records import BatchFailedError, Records, check_count
from airflow_provider_sfbulk.local_org.data.schema import SObject
from airflow_provider_sfbulk.local_org.data.values import CLEAR
from airflow_provider_sfbulk.local_org.http import xml_in

Row = Iterator[tuple[str, str]]
"""Names of columns with their texts."""


def read_xml(body: bytes, sobject: SObject) -> Records:
    """Return the rows of an XML batch.

    :raises BatchFailedError: for a body that is none
    """
    try:
        root = xml_in.parse(body)
    except xml_in.MalformedXmlError as error:
        raise BatchFailedError(f"InvalidBatch : Failed to parse XML: {error}") from error
    if xml_in.local_name(root) != "sObjects" or xml_in.namespace(root) != NAMESPACE:
        raise BatchFailedError("InvalidBatch : Failed to parse XML: the root element is not sObjects")
    for child in root:
        if xml_in.local_name(child) != "sObject":
            raise BatchFailedError(f"InvalidBatch : Failed to parse XML: unexpected {xml_in.local_name(child)}")
    return _table([_xml_row(child, sobject) for child in root])


def read_json(body: bytes, sobject: SObject) -> Records:
    """Return the rows of a JSON batch.

    :raises BatchFailedError: for a body that is none
    """
    try:
        # Numbers stay as they are written: the field decides what they are.
        parsed = json.loads(body, parse_int=str, parse_float=str, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
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
    check_count(len(read))
    columns = [[values.get(name, "") for values in read] for name in spelled]
    return Records(list(spelled.values()), columns, list(range(len(read))))


def _xml_row(record: Element, sobject: SObject) -> Row:
    for child in record:
        name = xml_in.local_name(child)
        if xml_in.is_nil(child):
            yield name, CLEAR
        elif len(child) == 0:
            yield name, child.text or ""
        else:
            (parent,) = child if len(child) == 1 else (child,)
            fields = {xml_in.local_name(each): each for each in parent}
            kind = fields.pop("type", None)
            prefix = _relationship(name, sobject, kind.text if kind is not None else None)
            for key, each in fields.items():
                yield f"{prefix}.{key}", CLEAR if xml_in.is_nil(each) else each.text or ""


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


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
