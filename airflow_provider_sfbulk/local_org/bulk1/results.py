"""What became of each row of a data batch, in the order of the request and in the format of the job.

Of rows that failed no id is written ("``id`` null", simple-salesforce/simple-salesforce#627).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_sfbulk.local_org.bulk1.formats import NAMESPACE
from airflow_provider_sfbulk.local_org.http import xml

_ERROR: Final = re.compile(r"(?P<code>\w+):(?P<message>.*):(?P<fields>(?:\S+ )*)--", re.DOTALL)
"""A row's error as CSV writes it."""


@dataclass(frozen=True)
class RowResult:
    """What became of one row.

    :ivar record_id: of the record; None when the row failed
    :ivar error: as CSV writes it, empty when the row was saved
    """

    record_id: str | None
    created: bool
    error: str = ""


def in_csv(rows: Sequence[RowResult]) -> str:
    """Write rows as CSV, everything quoted, lines ending with LF."""
    lines = ['"Id","Success","Created","Error"\n']
    for row in rows:
        error = row.error.replace('"', '""')
        success, created = _word(not row.error), _word(row.created)
        lines.append(f'"{row.record_id or ""}","{success}","{created}","{error}"\n')
    return "".join(lines)


def in_json(rows: Sequence[RowResult]) -> str:
    """Write rows as JSON."""
    answers: list[dict[str, Any]] = []
    for row in rows:
        answer: dict[str, Any] = {"success": not row.error, "created": row.created, "id": row.record_id, "errors": []}
        if row.error:
            code, message, fields = _parts(row.error)
            error = {"message": message, "fields": fields, "statusCode": code, "extendedErrorDetails": None}
            answer["errors"].append(error)
        answers.append(answer)
    return json.dumps(answers, separators=(",", ":"), ensure_ascii=False)


def in_xml(rows: Sequence[RowResult]) -> str:
    """Write rows as XML."""
    lines = [f'{xml.DECLARATION}<results xmlns="{NAMESPACE}">']
    for row in rows:
        if row.error:
            code, message, fields = _parts(row.error)
            inner = "".join(xml.element("fields", name) for name in fields)
            inner += xml.element("message", message) + xml.element("statusCode", code)
            lines.append(f"<result><errors>{inner}</errors><success>false</success><created>false</created></result>")
        else:
            inner = f"{xml.element('id', row.record_id or '')}<success>true</success>"
            lines.append(f"<result>{inner}<created>{_word(row.created)}</created></result>")
    return "".join([*lines, "</results>"])


WRITERS: Final = {"CSV": in_csv, "JSON": in_json, "XML": in_xml}
"""By the job's ``contentType``."""


def _word(value: bool) -> str:
    return "true" if value else "false"


def _parts(error: str) -> tuple[str, str, list[str]]:
    matched = _ERROR.fullmatch(error)
    if matched is None:
        raise ValueError(f"not a row's error: {error}")
    return matched["code"], matched["message"], matched["fields"].split()
