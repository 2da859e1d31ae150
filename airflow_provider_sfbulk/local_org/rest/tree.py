"""``/composite/tree/X``: records with their children, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.data.schema import SObject
from airflow_provider_sfbulk.local_org.http.replies import ApiError, NotFoundError
from airflow_provider_sfbulk.local_org.rest.ask import Answer, Ask
from airflow_provider_sfbulk.local_org.rest.saving import RolledBackError, Saved, error_body, save_records

LEVELS: Final = 5
""""SObject trees up to five levels deep"."""


@dataclass
class _Level:
    """Records of one object at one depth, with their references and what they hang from."""

    sobject: SObject
    records: list[dict[str, Any]] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    parents: list[tuple[str, str] | None] = field(default_factory=list)
    """Lookup to the parent and the parent's reference."""


def create(ask: Ask) -> Answer:
    """``POST /composite/tree/X``."""
    records = ask.object_of("records").get("records")
    levels: list[_Level] = []
    _collect(ask, levels, ask.sobject, records, None, 0)
    references = [reference for level in levels for reference in level.references]
    if len(references) > limits.CHUNK_RECORDS:
        message = f"A tree can have {limits.CHUNK_RECORDS} records at most, and this has {len(references)}"
        raise ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", message)
    if len(set(references)) < len(references):
        raise ApiError(400, "INVALID_INPUT", "Duplicate ReferenceId provided in the request")
    results: dict[str, Saved] = {}
    core = ask.core
    try:
        with core.saving, core.store.writing():
            for level in levels:
                for record, parent in zip(level.records, level.parents, strict=True):
                    if parent is not None:
                        record[parent[0]] = results[parent[1]].record_id
                saved = save_records(core, level.sobject, "insert", level.records)
                results |= dict(zip(level.references, saved, strict=True))
                if any(each.error for each in saved):
                    raise RolledBackError
    except RolledBackError:
        failed = [
            {"referenceId": reference, "errors": [error_body(each.error)]}
            for reference, each in results.items()
            if each.error
        ]
        return Answer({"hasErrors": True, "results": failed}, 400)
    made = [{"referenceId": reference, "id": results[reference].record_id} for reference in references]
    return Answer({"hasErrors": False, "results": made}, 201)


def _collect(
    ask: Ask, levels: list[_Level], sobject: SObject, records: Any, parent: tuple[str, str] | None, depth: int
) -> None:
    """Take a tree apart, parents before children."""
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        raise ApiError(400, "JSON_PARSER_ERROR", "records has to be an array of objects")
    if depth >= LEVELS:
        raise ApiError(400, "INVALID_INPUT", f"A tree can be {LEVELS} levels deep at most")
    level = _Level(sobject)
    levels.append(level)
    below: list[tuple[str, str, Mapping[str, Any]]] = []
    for record in records:
        attributes = record.get("attributes")
        reference = attributes.get("referenceId") if isinstance(attributes, Mapping) else None
        if not isinstance(reference, str):
            raise ApiError(400, "INVALID_INPUT", "Include a reference ID for each record in the request.")
        own: dict[str, Any] = {}
        for name, value in record.items():
            if isinstance(value, Mapping) and isinstance(value.get("records"), list):
                below.append((name, reference, value))
            else:
                own[name] = value
        level.records.append(own)
        level.references.append(reference)
        level.parents.append(parent)
    for name, reference, value in below:
        relationship = ask.core.schema.child(sobject, name)
        child = ask.core.schema.get(relationship.child) if relationship is not None else None
        if relationship is None or child is None:
            raise NotFoundError
        _collect(ask, levels, child, value["records"], (relationship.field, reference), depth + 1)
