"""The describe of an object and its fields, checked for the form that the rest of this package relies on.

A reply without ``fields``, or a field without one of these properties, is accepted: what is unknown is not checked. A
property with a value of another type is refused (*REST API Developer Guide*, "sObject Describe"; *SOAP API Developer
Guide*, "DescribeSObjectResult").
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.protocol.call import ApiCall, call, check_sobject, data_path, object_of
from airflow_provider_sfbulk.client.protocol.retry import repeat

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,254}")
_MAY_HALVE: Final = re.compile(rb"\\u[dD]|\xed|\x00")
"""How JSON may write half of a character: escaped, as bytes, or not in UTF-8. Whole ones may look so, too."""
_MOST_TARGETS: Final = 5_000
"""Objects of one lookup: an org has some 3,000 of its own at most, and each may be described for the type of a column."""


def describe(sobject: str, *, api_version: str) -> Flow[dict[str, Any]]:
    """Read what an object and its fields are, as Salesforce's JSON.

    :raises NotFoundError: no such object, or the user may not see it
    :raises ProtocolError: the reply is not a describe
    """
    path = data_path(api_version, "sobjects", check_sobject(sobject), "describe")
    found, wrong = yield from repeat(lambda: _read(ApiCall("GET", path)))
    if wrong:
        raise ProtocolError(f"GET {path}: the reply is not a describe: {wrong} is not what it must be", path=path)
    return found


def _read(api: ApiCall) -> Flow[tuple[dict[str, Any], str | None]]:
    reply = yield from call(api)
    found = object_of(api, reply)
    return found, _wrong(found, reply.body)


def _wrong(found: Mapping[str, Any], body: bytes) -> str | None:
    """Name the first entry that does not have the form it must have."""
    if _MAY_HALVE.search(body):  # else the look at all texts takes as long as reading them did
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return "a text with half of a character"
    wrong = _without_form(found, _OBJECT)
    return wrong or next(filter(None, (_without_form(each, _FIELD) for each in found.get("fields") or ())), None)


def _without_form(found: Mapping[str, Any], forms: Mapping[str, Callable[[Any], bool]]) -> str | None:
    return next((name for name, has_form in forms.items() if name in found and not has_form(found[name])), None)


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_name(value: Any) -> bool:
    """Whether it has the form of an API name: these are written into queries."""
    return value is None or (isinstance(value, str) and _NAME.fullmatch(value) is not None)


def _are_texts(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) <= _MOST_TARGETS and all(isinstance(each, str) for each in value)
    )


def _are_objects(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(each, dict) for each in value))


def _are_fields(value: Any) -> bool:
    return _are_objects(value) and all(each.get("name") is not None and _is_name(each["name"]) for each in value or ())


def _is_count(most: int) -> Callable[[Any], bool]:
    return lambda value: value is None or (isinstance(value, int) and 0 <= value <= most)


_OBJECT: Final[Mapping[str, Callable[[Any], bool]]] = {
    "name": _is_name,
    "keyPrefix": _is_text,
    "fields": _are_fields,
    "recordTypeInfos": _are_objects,
}
_FIELD: Final[Mapping[str, Callable[[Any], bool]]] = {
    "type": _is_text,
    "relationshipName": _is_name,
    "compoundFieldName": _is_text,
    "referenceTo": _are_texts,
    "picklistValues": _are_objects,
    "length": _is_count(10**9),
    # Of Salesforce's numbers none has more than 18 digits.
    "digits": _is_count(100),
    "precision": _is_count(100),
    "scale": _is_count(100),
}
