"""Objects and fields as ``describe`` answers, both ways: what the org answers, and what a schema file holds.

A schema file is a real org's describe answer (``GET /services/data/vXX.X/sobjects/{Object}/describe``) saved as it
came, a list of several, or an object of them by name. Only what this table lists is read; the rest of an answer is
made up from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, get_type_hints

from airflow_provider_sfbulk.local_org.data.schema import (
    IN_QUERIES,
    NUMBER_TYPES,
    ChildRelationship,
    Field,
    Schema,
    SObject,
)

SOAP_TYPES: Final = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "long": "xsd:long",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "time": "xsd:time",
    "base64": "xsd:base64Binary",
    "address": "urn:address",
    "location": "urn:location",
    "anyType": "xsd:anyType",
}
"""Field type to ``soapType``; every other type is ``xsd:string``."""

ATTRIBUTES: Final = {
    "name": "name",
    "label": "label",
    "type": "type",
    "length": "length",
    "precision": "precision",
    "scale": "scale",
    "digits": "digits",
    "nillable": "nillable",
    "defaultedOnCreate": "defaulted_on_create",
    "createable": "createable",
    "updateable": "updateable",
    "calculated": "calculated",
    "autoNumber": "auto_number",
    "externalId": "external_id",
    "idLookup": "id_lookup",
    "unique": "unique",
    "caseSensitive": "case_sensitive",
    "relationshipName": "relationship_name",
    "compoundFieldName": "compound_field_name",
    "extraTypeInfo": "extra_type_info",
    "restrictedPicklist": "restricted_picklist",
    "defaultValue": "default_value",
    "cascadeDelete": "cascade_delete",
    "restrictedDelete": "restricted_delete",
}
"""Describe's key to the attribute of :class:`Field`, for those that are plain values."""

_NAME: Final = re.compile(r"[A-Za-z]\w*", re.ASCII)
"""Names of objects and fields."""

_PREFIX_CHARACTERS: Final = 3

CLAIMS: Final = ("createable", "updateable", "deletable", "undeletable", "queryable", "retrieveable", "searchable")
"""What describe says that an object's records can be."""

_NULLABLE_ATTRIBUTES: Final = frozenset({"relationshipName", "compoundFieldName", "extraTypeInfo", "defaultValue"})


def soap_type(field: Field) -> str:
    """Return the field's ``soapType``, as describe and some error messages name it."""
    return SOAP_TYPES.get(field.type, "xsd:string")


def field_of(described: Mapping[str, Any]) -> Field:
    """Read one field of a describe answer. Both ``Field``'s own names and describe's are understood.

    :raises ValueError: when it has no name or type, or an attribute that neither knows
    """
    _check_type(described, Mapping, "a field of a schema", "an object with name and type")
    missing = [key for key in ("name", "type") if described.get(key) is None]
    if missing:
        raise ValueError(f"a field of a schema needs {' and '.join(missing)}: {dict(described)!r}")
    attributes: dict[str, Any] = {}
    for key, attribute in {**ATTRIBUTES, "autoNumberDigits": "auto_number_digits"}.items():
        value = described.get(key, described.get(attribute))
        if value is not None:
            attributes[attribute] = _of_type(value, key, attribute)
    targets = _listed(described, "referenceTo", "reference_to")
    attributes["reference_to"] = tuple(_text(each, "an object in referenceTo") for each in targets)
    entries = [
        entry if isinstance(entry, Mapping) else {"value": entry}
        for entry in _listed(described, "picklistValues", "picklist_values")
    ]
    entries = [{**entry, "value": _text(entry.get("value"), "a value in picklistValues")} for entry in entries]
    active = [entry for entry in entries if entry.get("active", True)]
    attributes["picklist_values"] = tuple(entry["value"] for entry in active)
    labels = tuple(_text(entry.get("label") or entry["value"], "a label in picklistValues") for entry in active)
    attributes["picklist_labels"] = labels if labels != attributes["picklist_values"] else ()
    default = next((e["value"] for e in entries if e.get("defaultValue")), None)
    if default is not None:
        attributes.setdefault("default_value", default)
    attributes.setdefault("label", described["name"])
    attributes["cannot"] = frozenset(claim for claim in IN_QUERIES if described.get(claim) is False)
    if attributes["type"] == "string":
        attributes["length"] = attributes.get("length") or 255
    return Field(**attributes)


_TYPES: Final = get_type_hints(Field)


def _of_type(value: Any, key: str, attribute: str) -> Any:
    """Return an attribute of a field, which has to be of its type."""
    if not isinstance(value, _TYPES[attribute]) or (isinstance(value, bool) and _TYPES[attribute] is int):
        raise ValueError(f"{key} of a field of a schema cannot be {value!r}")
    if attribute == "name" and not _NAME.fullmatch(value):
        raise ValueError(f"a field of a schema cannot be called {value!r}")
    return value


def _text(value: Any, what: str) -> str:
    _check_type(value, str, f"{what} of a schema", "a string")
    return str(value)


def _listed(described: Mapping[str, Any], *keys: str) -> Sequence[Any]:
    """Return the list that one of the keys has, or none."""
    value: Any = next((found for key in keys if (found := described.get(key))), ())
    _check_type(value, list | tuple, f"{keys[0]} of a schema", "a list")
    return list(value)


def _check_type(value: Any, wanted: Any, what: str, said: str) -> None:
    fits = isinstance(value, wanted)
    if not fits:
        raise ValueError(f"{what} must be {said}, not {value!r}")


def sobject_of(described: Mapping[str, Any], *, key_prefix: str | None = None) -> SObject:
    """Read one object of a describe answer.

    :param key_prefix: used when the answer names none
    :raises ValueError: when it has no name or no fields
    """
    name = described.get("name")
    fields = _listed(described, "fields")
    if not name or not fields:
        raise ValueError("an object of a schema needs a name and fields, as a describe answer has them")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"an object of a schema cannot be called {name!r}")
    prefix = described.get("keyPrefix") or key_prefix
    if not prefix:
        raise ValueError(f"object {name} of the schema has no keyPrefix")
    if not (isinstance(prefix, str) and prefix.isascii() and prefix.isalnum() and len(prefix) == _PREFIX_CHARACTERS):
        raise ValueError(f"keyPrefix of a schema must be three letters or digits, not {prefix!r}")
    label = _text(described.get("label") or name, "label")
    return SObject.of(
        name=name,
        label=label,
        label_plural=_text(described.get("labelPlural") or f"{label}s", "labelPlural"),
        key_prefix=prefix,
        custom=bool(described.get("custom", name.endswith("__c"))),
        fields=[field if isinstance(field, Field) else field_of(field) for field in fields],
        children=tuple(_child_of(each) for each in _listed(described, "childRelationships")),
        cannot=frozenset(claim for claim in CLAIMS if described.get(claim) is False),
    )


def _child_of(described: Any) -> ChildRelationship:
    _check_type(described, Mapping, "a child relationship of a schema", "an object")
    return ChildRelationship(
        child=str(described.get("childSObject")),
        field=str(described.get("field")),
        name=described.get("relationshipName"),
        cascade_delete=bool(described.get("cascadeDelete")),
        restricted_delete=bool(described.get("restrictedDelete")),
    )


def sobjects_in(document: Any) -> list[Mapping[str, Any]]:
    """Return the describe answers of a schema document: one, a list, or an object of them by name.

    :raises ValueError: when it is none of these
    """
    found: list[Any]
    if isinstance(document, Mapping) and "fields" in document and "name" in document:
        found = [document]
    elif isinstance(document, Mapping):
        found = [{"name": name, **each} for name, each in document.items() if isinstance(each, Mapping)]
    else:
        found = list(document) if isinstance(document, list) else []
    if not found or not all(isinstance(each, Mapping) for each in found):
        raise ValueError("a schema is a describe answer, a list of them, or an object of them by name")
    return found


def describe_field(field: Field) -> dict[str, Any]:
    """Return one entry of ``fields``."""
    is_number = field.type in NUMBER_TYPES
    body: dict[str, Any] = {
        key: getattr(field, attribute)
        for key, attribute in ATTRIBUTES.items()
        if key in _NULLABLE_ATTRIBUTES or getattr(field, attribute) is not None
    }
    body["label"] = field.label or field.name
    body["soapType"] = soap_type(field)
    body["byteLength"] = 18 if field.type in ("id", "reference") else 0 if is_number else 3 * field.length
    body["custom"] = field.name.endswith("__c")
    body["referenceTo"] = list(field.reference_to)
    body["polymorphicForeignKey"] = field.is_polymorphic
    body["namePointing"] = field.is_polymorphic
    body["picklistValues"] = [
        {"active": True, "defaultValue": value == field.default_value, "label": label, "validFor": None, "value": value}
        for value, label in zip(field.picklist_values, field.picklist_labels or field.picklist_values, strict=True)
    ]
    body |= _SAME_FOR_ALL_FIELDS
    body["calculated"] = field.calculated
    body["encrypted"] = field.type == "encryptedstring"
    body |= {claim: field.can_be(claim) for claim in IN_QUERIES}
    body["htmlFormatted"] = field.extra_type_info == "richtextarea"
    body["nameField"] = field.name in ("Name", "CaseNumber") or (field.name, field.type) == ("Subject", "combobox")
    is_optional = field.nillable or field.type == "boolean"
    body["permissionable"] = (field.createable or field.calculated) and is_optional and not field.is_system
    body["queryByDistance"] = field.type in ("address", "location")
    is_parent = field.type == "reference" and field.name not in ("RecordTypeId", "MasterRecordId")
    body["searchPrefilterable"] = is_parent and not field.is_system
    if field.type == "boolean":
        body["defaultValue"] = field.default_value is True
    return dict(sorted(body.items()))


_SAME_FOR_ALL_FIELDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("aiPredictionField", "dependentPicklist", "deprecatedAndHidden", "highScaleNumber"), False),
    **dict.fromkeys(("displayLocationInDecimal", "formulaTreatNullNumberAsZero"), False),
    **dict.fromkeys(("writeRequiresMasterRead",), False),
    **dict.fromkeys(("calculatedFormula", "controllerName", "defaultValueFormula", "filteredLookupInfo"), None),
    **dict.fromkeys(("inlineHelpText", "mask", "maskType", "referenceTargetField", "relationshipOrder"), None),
}
"""Keys of a recorded describe's fields that nothing here depends on."""

_SAME_FOR_ALL_OBJECTS: Final[dict[str, Any]] = {
    **dict.fromkeys(("activateable", "customSetting", "deepCloneable", "deprecatedAndHidden", "hasSubtypes"), False),
    **dict.fromkeys(("isInterface", "isSubtype"), False),
    **dict.fromkeys(("feedEnabled", "layoutable", "mruEnabled", "replicateable", "triggerable"), True),
    **dict.fromkeys(("associateEntityType", "associateParentEntity", "defaultImplementation", "extendedBy"), None),
    **dict.fromkeys(("extendsInterfaces", "implementedBy", "implementsInterfaces"), None),
}
"""Keys of a recorded entry of the global list that nothing here depends on."""

MASTER_RECORD_TYPE: Final = "012000000000000AAA"
"""The record type of records that have none."""


def describe_summary(sobject: SObject, version: str) -> dict[str, Any]:
    """Return one entry of the global list, without its fields."""
    base = f"/services/data/v{version}/sobjects/{sobject.name}"
    summary: dict[str, Any] = {
        **_SAME_FOR_ALL_OBJECTS,
        **{claim: claim not in sobject.cannot for claim in CLAIMS},
        "custom": sobject.custom,
        "keyPrefix": sobject.key_prefix,
        "mergeable": sobject.name in ("Account", "Contact", "Lead"),
        "label": sobject.label or sobject.name,
        "labelPlural": sobject.label_plural or f"{sobject.label or sobject.name}s",
        "name": sobject.name,
    }
    if sobject.described is not None:
        summary |= {key: sobject.described[key] for key in summary.keys() & sobject.described.keys()}
    summary["urls"] = {"sobject": base, "describe": f"{base}/describe", "rowTemplate": f"{base}/{{ID}}"}
    return dict(sorted(summary.items()))


def describe(
    sobject: SObject, schema: Schema, version: str, record_types: Iterable[tuple[str, str, str, bool]] = ()
) -> dict[str, Any]:
    """Return the whole describe answer of an object.

    One that was made from a describe answer gives that answer back, with what has been added to the org since.

    :param record_types: id, developer name, name of each of its record types, and whether it is active
    """
    children = [_describe_child(each) for each in schema.children(sobject)]
    if sobject.described is not None:
        listed = list(sobject.described.get("childRelationships") or ())
        known = {(each.get("childSObject"), each.get("field")) for each in listed}
        more = [each for each in children if (each["childSObject"], each["field"]) not in known]
        return {**sobject.described, "childRelationships": [*listed, *more]} if more else dict(sobject.described)
    layouts = f"/services/data/v{version}/sobjects/{sobject.name}/describe/layouts"
    kinds = [*record_types, (MASTER_RECORD_TYPE, "Master", "Master", True)]
    answer = {
        **describe_summary(sobject, version),
        "actionOverrides": [],
        "childRelationships": children,
        "compactLayoutable": True,
        "fields": [describe_field(field) for field in sobject.fields.values()],
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [
            {
                "active": active,
                "available": active,
                "defaultRecordTypeMapping": record_id == MASTER_RECORD_TYPE,
                "developerName": developer_name,
                "master": record_id == MASTER_RECORD_TYPE,
                "name": name,
                "recordTypeId": record_id,
                "urls": {"layout": f"{layouts}/{record_id}"},
            }
            for record_id, developer_name, name, active in kinds
        ],
        "searchLayoutable": "searchable" not in sobject.cannot,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {(sobject.label_plural or sobject.label).lower()}", "name": "everything"}],
    }
    return dict(sorted(answer.items()))


def _describe_child(child: ChildRelationship) -> dict[str, Any]:
    return {
        "cascadeDelete": child.cascade_delete,
        "childSObject": child.child,
        "deprecatedAndHidden": False,
        "field": child.field,
        "junctionIdListNames": [],
        "junctionReferenceTo": [],
        "relationshipName": child.name,
        "restrictedDelete": child.restricted_delete,
    }
