"""Checks of the arguments of ``BulkIngestOperator``: the table, and which of them cannot be combined."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.arguments.hidden import HiddenValue
from airflow_provider_sfbulk.arguments.shared import (
    DELIMITER,
    LINE_ENDING,
    SHARED_CHECKS,
    SHARED_CLASHES,
    is_no_path,
    path,
)
from airflow_provider_sfbulk.arguments.table import Arguments, Clash
from airflow_provider_sfbulk.arguments.templates import is_reference
from airflow_provider_sfbulk.client.arguments import (
    allowance,
    api_name,
    codes,
    column,
    column_mapping,
    count,
    each_once,
    field_name,
    flag,
    names,
    nulls,
    one_of,
    optional,
    shown,
    text,
    timezone,
)
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.faces.checks import rule_id
from airflow_provider_sfbulk.client.models import SOURCE_FORMATS, ConcurrencyMode, FileFormat, Operation
from airflow_provider_sfbulk.client.parts.stream import COMPARABLE
from airflow_provider_sfbulk.files.paths import is_path, path_text

DelimiterName: TypeAlias = Literal["BACKQUOTE", "CARET", "COMMA", "PIPE", "SEMICOLON", "TAB"]

ON_EMPTY: Final = ("fail", "skip", "success")
"""What an input without records does to its task; the first is the usual one."""

BLANK_IDS: Final = ("refuse", "send")
"""What becomes of rows of an upsert whose external id is blank; the first is the usual one."""

_OF_PATHS: Final = ("/", "\\", "*", "?", "{{", "{%")
_ENDS: Final = tuple(f".{each}" for each in SOURCE_FORMATS)

_ID: Final = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")

INSTEAD: Final = (
    "give the task's output itself, as source=extract() or source=extract.output, or render the template natively with "
    "render_template_as_native_obj=True; or let the task return the path of a file"
)


def source(name: str, value: Any) -> Any:
    """Check what records are read from, without a look at a record."""
    if isinstance(value, HiddenValue):
        _check_records(name, value.records)
    elif isinstance(value, list):
        for number, each in enumerate(value, 1):
            _check_path(f"{name}, item {number},", each)
        if len(written := {path_text(each) for each in value}) < len(value):
            again = len(value) - len(written)
            raise SourceError(f"{name}: {again} of its {len(value)} paths are named twice, and would be loaded twice")
    elif is_path(value):
        _check_path(name, value)
    elif not callable(value):
        raise SourceError(f"{name} must be a path, a list of paths or records, or a callable, not {shown(value)}")
    return value


def shown_source(value: Any) -> Any:
    """Return a source as the operator keeps it: paths as they are, records inside an :class:`HiddenValue`.

    What several tasks give, or a mapped one, is one list: of their paths, or of their records.
    """
    if value is None or isinstance(value, HiddenValue) or is_path(value) or is_reference(value) or callable(value):
        return value
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        items = list(value)
        if any(is_reference(each) for each in items):
            return items
        if items and isinstance(items[0], Mapping):  # no look at a million rows
            return HiddenValue(items)
        joined = list(_joined(items))
        if are_paths(joined):
            return joined
        return HiddenValue(items if any(map(_is_cell, joined)) else joined)  # rows of a database are sequences, too
    return HiddenValue(value)


def _joined(items: Iterable[Any]) -> Iterator[Any]:
    """Yield what is in lists in a list, however deep."""
    for each in items:
        if _is_list(each):
            yield from _joined(each)
        else:
            yield each


def _is_list(value: object) -> bool:
    """Whether it is a list, also one that Airflow reads as it is needed: the output of a mapped task."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def are_paths(values: Sequence[Any]) -> bool:
    """Whether the items of a list are paths to read from, and not records, values, or the ids of records to delete."""
    return (
        bool(values)
        and all(is_path(each) and not _is_cell(each) for each in values)
        and not all(_is_id(each) for each in values)
    )


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and (_ID.fullmatch(value) is not None or not value.strip())


def _is_cell(value: Any) -> bool:
    """Whether it is a value of a record, as the rows of a database have them, and neither a path nor an id."""
    if not isinstance(value, str):
        return isinstance(value, (int, float, Decimal, date))
    return not (_is_id(value) or any(mark in value for mark in _OF_PATHS) or value.casefold().endswith(_ENDS))


def _check_path(name: str, value: Any) -> None:
    text_of_it = path_text(value)
    if text_of_it.strip() in ("", "None"):
        raise SourceError(
            f"{name} is {'an empty string' if not text_of_it.strip() else 'the string None'}: if it comes from "
            "a task before, that task returned nothing"
        )
    if isinstance(value, str) and is_no_path(value):
        raise SourceError(f"{name} is a string of {len(value)} characters that is not a path. For records {INSTEAD}")


def _check_records(name: str, records: Any) -> None:
    if isinstance(records, Iterator):
        raise SourceError(
            f"{name} is a {type(records).__name__}, which can be read only once, and a retry reads it again; give the "
            "function that makes it, or a list"
        )
    if isinstance(records, Mapping):
        raise SourceError(f"{name} is one dict; give a list of dicts, also for a single record")
    texts = records if isinstance(records, list) and all(isinstance(each, str) for each in records) else ()
    strange = next((number for number, each in enumerate(texts, 1) if _is_cell(each)), None)
    if strange is not None:
        raise SourceError(
            f"{name} is a list of {len(records)} texts, and item {strange} is neither a record's id nor looks like a "
            "path: give records as dicts, and write ./ before the name of a file in the working directory"
        )
    library = type(records).__module__.partition(".")[0]
    if isinstance(records, (bytes, bytearray)) or not (
        isinstance(records, Iterable) or library in ("pandas", "polars", "pyarrow")
    ):
        raise SourceError(
            f"{name} is a {type(records).__name__:.40}, which is not a source of records; pass a path, a list of dicts, a "
            "DataFrame, an Arrow table, or a callable that returns one of these"
        )


def sql_parameters(name: str, value: Any) -> Any:
    """Check the values of a statement's placeholders, which are not shown."""
    given = value.records if isinstance(value, HiddenValue) else value
    # A text would be taken for the sequence of its letters.
    if isinstance(given, (str, bytes)) or not isinstance(given, (Sequence, Mapping)):
        raise SourceError(f"{name} must be a list or a dict, not a {type(given).__name__:.40}")
    return value


def _is_records(source: Any) -> bool:
    return isinstance(source, HiddenValue) or (callable(source) and not is_reference(source))


def _is_columnar(it: Any) -> bool:
    return it.source_format is not None and not it.source_format.startswith("csv")


def _has_columns(it: Any) -> bool:
    """Whether the source names its columns itself, as far as that is known."""
    if it.source_format is not None:
        return not it.source_format.startswith("jsonl")
    paths = it.source if isinstance(it.source, list) else [it.source]
    own = tuple(f".{each}" for each in SOURCE_FORMATS if not each.startswith("jsonl"))
    return any(is_path(each) and path_text(each).casefold().endswith(own) for each in paths)


_CLASHES: Final[Sequence[Clash]] = (
    *SHARED_CLASHES,
    (
        lambda it: it.source is not None and it.sql is not None,
        "source and sql are both given: the records come from one of them",
    ),
    (
        lambda it: it.source is None and it.sql is None,
        "source is None: if it comes from a task before, that task returned nothing. Give source or sql",
    ),
    (
        lambda it: it.sql is None and (it.sql_parameters is not None or it.sql_conn_id is not None),
        "sql_parameters and sql_conn_id belong to sql, which is None",
    ),
    (
        lambda it: it.sql is not None and it.sql_conn_id is None,
        "sql needs sql_conn_id: the Airflow connection to run it on",
    ),
    (
        lambda it: it.sql is not None and (it.source_format is not None or it.source_conn_id is not None),
        "source_format and source_conn_id are for files; the records come from sql",
    ),
    (
        lambda it: (it.source_format is not None or it.source_conn_id is not None) and _is_records(it.source),
        "source_format and source_conn_id are for files; source gives the records themselves",
    ),
    (
        lambda it: (it.column_delimiter is not None or it.line_ending is not None) and _is_columnar(it),
        "column_delimiter and line_ending are for CSV sources, and source_format is another",
    ),
    (
        lambda it: it.operation == Operation.UPSERT and it.external_id_field is None,
        "operation='upsert' needs external_id_field: the field that records are matched by",
    ),
    (
        lambda it: it.operation != Operation.UPSERT and it.external_id_field is not None,
        "external_id_field is for operation='upsert' only",
    ),
    (
        lambda it: it.operation in (Operation.DELETE, Operation.HARD_DELETE) and it.nulls != "leave",
        "nulls is for operations that save fields; records to delete have an Id and nothing else",
    ),
    (
        lambda it: it.operation in (Operation.DELETE, Operation.HARD_DELETE) and it.assignment_rule_id is not None,
        "assignment_rule_id is for operations that save records",
    ),
    (
        lambda it: it.results_path is None and (it.results_format != FileFormat.CSV or it.results_conn_id is not None),
        "results_format and results_conn_id belong to results_path, which is None: no result file would be written",
    ),
    (
        lambda it: it.spreadsheet_safe and (it.results_path is None or it.results_format != FileFormat.CSV),
        "spreadsheet_safe is for result files as CSV: results_format='csv' and a results_path",
    ),
    (
        lambda it: it.columns is not None and _has_columns(it),
        "columns is for rows that are dicts and for JSON Lines; this source names its columns itself, and column_mapping "
        "drops or renames them",
    ),
    (
        lambda it: it.results_path is not None and not it.wait_for_completion,
        "results_path needs wait_for_completion=True: a task that does not wait for its jobs has no results to write. Read "
        "them in a later task with the hook's client: ingest.failed_results(job_id)",
    ),
    (
        lambda it: it.columns is not None and it.sql is not None,
        "columns is for rows that are dicts; the columns of sql are those of its SELECT",
    ),
    (
        lambda it: it.operation != Operation.UPSERT and it.blank_external_ids != BLANK_IDS[0],
        "blank_external_ids is for operation='upsert' only",
    ),
    (
        lambda it: it.skip_unchanged and it.operation not in COMPARABLE,
        "skip_unchanged is for operation='update' and 'upsert': other rows are not compared with the org",
    ),
    (
        lambda it: it.skip_unchanged and it.validate_only,
        "validate_only=True sends nothing, so skip_unchanged has no effect: leave it to the task that loads",
    ),
    (
        lambda it: it.staging_path is None and it.staging_conn_id is not None,
        "staging_conn_id belongs to staging_path, which is None",
    ),
    (
        lambda it: it.serial_fallback and it.api == "1.0" and it.concurrency_mode == ConcurrencyMode.SERIAL,
        "serial_fallback has no effect with concurrency_mode='Serial': such a load is serial from the beginning",
    ),
)

_CHECKS_ONLY: Final[Sequence[Clash]] = (
    (
        lambda it: it.validate_only and not it.wait_for_completion,
        "validate_only=True submits no job, so there is nothing that wait_for_completion=False could return",
    ),
    (
        lambda it: it.validate_only and it.outlets,
        "validate_only=True changes nothing in the org, and outlets would announce that its asset has changed: leave them "
        "to the task that loads",
    ),
)

ARGUMENTS: Final = Arguments(
    checks={
        "sobject": api_name,
        "operation": one_of(Operation),
        "source": optional(source),
        "source_format": optional(one_of(SOURCE_FORMATS)),
        "source_conn_id": optional(text),
        "sql": optional(text),
        "sql_parameters": optional(sql_parameters),
        "sql_conn_id": optional(text),
        "column_delimiter": optional(DELIMITER),
        "line_ending": optional(LINE_ENDING),
        "external_id_field": optional(field_name),
        "assignment_rule_id": optional(rule_id),
        "column_mapping": optional(column_mapping),
        "nulls": nulls,
        "timezone": optional(timezone),
        "columns": optional(each_once(names)),
        "blank_external_ids": one_of(BLANK_IDS),
        "part_bytes": count(most=limits.PART_BYTES),
        "part_records": count(most=limits.RECORDS_PER_DAY),
        "max_concurrent_jobs": count(),
        "staging_path": optional(path),
        "staging_conn_id": optional(text),
        "key_columns": names,
        "results_path": optional(path),
        "results_format": one_of(FileFormat),
        "results_conn_id": optional(text),
        "spreadsheet_safe": flag,
        "max_failed_records": allowance,
        "retry_codes": codes,
        "max_record_retries": count(least=0),
        "sort_by": optional(column),
        "serial_fallback": flag,
        "on_empty": one_of(ON_EMPTY),
        "skip_unchanged": flag,
        "validate_only": flag,
        **SHARED_CHECKS,
    },
    clashes=(*_CLASHES, *_CHECKS_ONLY),
)
