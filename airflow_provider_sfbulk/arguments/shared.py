"""Checks of arguments that more than one operator has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from airflow_provider_sfbulk.arguments.table import Clash, refuse_none
from airflow_provider_sfbulk.client.arguments import Check, flag, one_of, optional, seconds, shown, text
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, ConcurrencyMode, LineEnding
from airflow_provider_sfbulk.client.protocol.reserve import ApiReserve
from airflow_provider_sfbulk.client.settings import checked_version
from airflow_provider_sfbulk.files.paths import is_path, path_text

APIS: Final = ("2.0", "1.0")
"""Versions of the Bulk API that a task may use; the first is the default."""

LONGEST_PATH: Final = 4096
"""Characters of a path on Linux; object storage takes 1,024 bytes."""

_RECORDS: Final = re.compile(r"""\s*(?:[\[({]\s*(?:['"\[({]|[\])}]|\w+\())""", re.DOTALL)
"""How lists of records look when a template has made a text of them: JSON, or Python's own notation."""


def version(name: str, value: Any) -> str:
    """Check a version of the API, such as ``66.0``."""
    if isinstance(value, bool):
        raise SourceError(f"{name} must be like '66.0', not {value}")
    return checked_version(value)


def reserve(name: str, value: Any) -> float:
    """Check a number of API calls, or a fraction of the day's."""
    return ApiReserve.of(value, name=name).given


def path(name: str, value: Any) -> Any:
    """Check a path of any kind."""
    if not is_path(value):
        raise SourceError(f"{name} must be a path (a text, Path, ObjectStoragePath or UPath), not {shown(value)}")
    if not path_text(value).strip():
        raise SourceError(f"{name} is an empty string: was its template rendered from something empty?")
    refuse_none(name, path_text(value))
    if isinstance(value, str) and is_no_path(value):
        raise SourceError(f"{name} is a string of {len(value)} characters that is not a path")
    return value


def is_no_path(value: str) -> bool:
    return (
        len(value) > LONGEST_PATH
        or any(mark in value for mark in "\n\r")
        or _RECORDS.match(value) is not None
        or value.lstrip().startswith(("{", "<"))  # an object, XML, or the ``repr`` of something
    )


DELIMITER: Final[Check] = one_of(ColumnDelimiter, also={each.character: str(each) for each in ColumnDelimiter})
LINE_ENDING: Final[Check] = one_of(LineEnding, also={"\n": "LF", "\r\n": "CRLF", "\\n": "LF", "\\r\\n": "CRLF"})

SHARED_CHECKS: Final[Mapping[str, Check]] = {
    "wait_for_completion": flag,
    "deferrable": flag,
    "poll_interval": seconds(),
    "timeout": optional(seconds()),
    "cancel_on_kill": flag,
    "api_reserve": optional(reserve),
    "on_api_reserve": one_of(("wait", "fail")),
    "salesforce_conn_id": text,
    "api_version": optional(version),
    "api": one_of(APIS),
    "concurrency_mode": one_of(ConcurrencyMode),
}
"""Of the arguments that both operators have."""

SHARED_CLASHES: Final[Sequence[Clash]] = (
    (
        lambda it: it.api == APIS[0] and it.concurrency_mode != ConcurrencyMode.PARALLEL,
        "concurrency_mode='Serial' needs api='1.0'",
    ),
)
