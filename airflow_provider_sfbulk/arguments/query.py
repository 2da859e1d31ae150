"""Checks of the arguments of ``BulkQueryOperator``: the table, and which of them cannot be combined."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.arguments.hidden import HiddenValue
from airflow_provider_sfbulk.arguments.shared import (
    APIS,
    DELIMITER,
    LINE_ENDING,
    SHARED_CHECKS,
    SHARED_CLASHES,
    path,
)
from airflow_provider_sfbulk.arguments.table import Arguments, Clash, refuse_none
from airflow_provider_sfbulk.client.arguments import (
    api_name,
    as_list,
    count,
    field_name,
    flag,
    names,
    one_of,
    optional,
    shown,
    text,
)
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.extract.layout import Layout, Partition
from airflow_provider_sfbulk.client.extract.whole_object import ALL
from airflow_provider_sfbulk.client.faces.checks import job_id
from airflow_provider_sfbulk.client.models import Compression, FileFormat
from airflow_provider_sfbulk.client.results.schema_change import OnSchemaChange, read_types
from airflow_provider_sfbulk.client.soql import is_a_query
from airflow_provider_sfbulk.operators.incremental import BOUND, Incremental


def soql(name: str, value: Any) -> str:
    """Check how a query begins: Salesforce reads the rest."""
    if not is_a_query(text(name, value)):
        raise SourceError(f"{name} does not begin with SELECT: it is the query itself, or the name of a .soql file")
    return str(value)


def soql_params(name: str, value: Any) -> Any:
    """Check the values of the query's names, which are not shown."""
    given = value.records if isinstance(value, HiddenValue) else value
    if not isinstance(given, Mapping):
        raise SourceError(f"{name} must be a dict of values by name, not a {type(given).__name__:.40}")
    for each in given:
        if not isinstance(each, str) or not each.isidentifier():
            raise SourceError(
                f"{name}: {shown(each)} is not a parameter name: give the name that follows the colon in the SOQL, "
                f"without the colon"
            )
    return value


_TEXT: Final = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_INNERMOST: Final = re.compile(r"\([^()]*\)")
_MORE_THAN_A_CONDITION: Final = re.compile(
    r"^\s*(?:SELECT|WHERE)\b|\b(?:ORDER\s+BY|GROUP\s+BY|LIMIT|OFFSET|HAVING|FOR\s+VIEW|FOR\s+REFERENCE|ALL\s+ROWS)\b",
    re.IGNORECASE,
)


def fields(name: str, value: Any) -> Any:
    """Check the fields of a whole object: ``all``, or names."""
    if value == ALL:
        return ALL
    _refuse_text_of_list(name, value)
    if isinstance(value, str):
        raise SourceError(f"{name} must be 'all' or a list of names, not {shown(value)}: write {as_list(value)}")
    given = names(name, value)
    if not given:
        raise SourceError(f"{name} is an empty list: 'all' reads every field")
    for each in given:
        if each != ALL:
            field_name(f"each of {name}", each)
    return list(given)


def exclude(name: str, value: Any) -> list[str]:
    """Check names of fields of the object itself."""
    _refuse_text_of_list(name, value)
    given = names(name, value)
    for each in given:
        if "." in field_name(f"each of {name}", each):
            raise SourceError(f"{name}: {each!r:.60} is read only when fields names it")
    return list(given)


def _refuse_text_of_list(name: str, value: Any) -> None:
    """Refuse what a template gives instead of a list, or of None."""
    refuse_none(name, value)
    if isinstance(value, str) and value.lstrip().startswith(("[", "(")):
        raise SourceError(
            f"{name} is the text of a list, which is what a template gives: set render_template_as_native_obj=True on the "
            "DAG, or give a list whose items are templates"
        )


def where(name: str, value: Any) -> str:
    """Check a condition, as far as its outline goes: Salesforce reads the rest."""
    plain = _TEXT.sub("''", text(name, value))
    if more := _MORE_THAN_A_CONDITION.search(plain):
        raise SourceError(
            f"{name} is the condition alone, as \"Type = 'Customer'\", without {' '.join(more[0].upper().split())}: for "
            "more than that give the whole query as soql"
        )
    if "'" in plain.replace("''", ""):
        raise SourceError(f"{name} has a quote that is not closed; a value is bound by soql_params, as :name")
    while (shorter := _INNERMOST.sub(" ", plain)) != plain:
        plain = shorter
    if "(" in plain or ")" in plain:
        raise SourceError(f"{name} has an unbalanced parenthesis")
    return str(value)


def incremental(name: str, value: Any) -> Incremental:
    """Check that it is one; it has checked itself."""
    if not isinstance(value, Incremental):
        raise SourceError(f"{name} must be an Incremental(…), not {shown(value)}")
    return value


def column_types(name: str, value: Any) -> Mapping[str, str]:
    """Check ``{"Field__c": "decimal(18,4)"}``."""
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in (*value, *value.values())):
        raise SourceError(f'{name} must be a dict such as {{"Amount": "decimal(18,4)"}}, not {shown(value)}')
    try:
        read_types(value)
    except SourceError as error:
        raise SourceError(f"{name}: {error}") from None
    return value


def partition_by(name: str, value: Any) -> tuple[str, ...]:
    """Check columns, or parts of them, to name folders by."""
    given = names(name, [value] if isinstance(value, str) else value)
    try:
        found = [Partition.read(each).name.lower() for each in given]
    except SourceError as error:
        raise SourceError(f"{name}: {error}") from None
    if len(set(found)) != len(found):
        raise SourceError(f"{name} names a column twice")
    return tuple(given)


def pk_chunking(name: str, value: Any) -> bool | int:
    """Check whether to chunk, or by how many records."""
    if value is None or isinstance(value, bool):
        return bool(value)
    size: int = count(most=limits.PK_CHUNK_MOST_RECORDS)(f"{name}, unless True or False,", value)
    return size


DELETIONS_WAYS: Final = ("inline", "files")


def layout_of(it: Any) -> Layout:
    """Return how the rows are laid out in files."""
    return Layout(
        tuple(map(Partition.read, it.partition_by)),
        it.rows_per_file,
        it.bytes_per_file,
        deletions_apart=it.deletions == DELETIONS_WAYS[1],
    )


_CLASHES: Final[Sequence[Clash]] = (
    *SHARED_CLASHES,
    (lambda it: it.soql is not None and it.job_id is not None, "give either soql or job_id, not both"),
    (
        lambda it: it.sobject is not None and (it.soql is not None or it.job_id is not None),
        "sobject reads a whole object, instead of soql or job_id: give one of them",
    ),
    (
        lambda it: it.soql is None and it.job_id is None and it.sobject is None,
        "there is nothing to extract: give one of soql, sobject and job_id",
    ),
    (
        lambda it: it.sobject is None and (it.fields != ALL or it.exclude or it.where is not None),
        "fields, exclude and where belong to sobject, which is None",
    ),
    (
        lambda it: bool(it.exclude) and isinstance(it.fields, (list, tuple)) and ALL not in it.fields,
        "exclude belongs to fields='all' (or a list with 'all'): leave the names out of fields",
    ),
    (
        lambda it: it.job_id is not None and not it.wait_for_completion,
        "wait_for_completion=False cannot be combined with job_id: that job is submitted already",
    ),
    (lambda it: it.job_id is not None and it.soql_params is not None, "soql_params belong to a query, not to job_id"),
    (
        lambda it: it.job_id is not None and it.include_deleted,
        "include_deleted belongs to a query: the job of job_id was created with or without it",
    ),
    (
        lambda it: it.incremental is not None and (it.job_id is not None or not it.wait_for_completion),
        "incremental needs soql or sobject, and wait_for_completion=True: only a published extract moves the watermark",
    ),
    (
        lambda it: it.incremental is not None and it.output_path is None and not it.do_xcom_push,
        "incremental without output_path and with do_xcom_push=False: the rows would be lost",
    ),
    (
        lambda it: (
            it.incremental is not None
            and isinstance(it.soql_params, HiddenValue)
            and not it.soql_params.records.keys().isdisjoint(BOUND)
        ),
        "soql_params: :since and :until are bound by incremental",
    ),
    (
        lambda it: it.output_path is None and (it.output_format != FileFormat.CSV or it.output_conn_id is not None),
        "output_format and output_conn_id belong to output_path, which is None: the rows would go to XCom",
    ),
    (
        lambda it: it.output_path is not None and not it.wait_for_completion,
        "output_path needs wait_for_completion=True: a task that does not wait for its job has no rows to write. Write "
        "them in a later task with job_id",
    ),
    (
        lambda it: it.compression is not None and it.output_path is None,
        "compression is for files: give an output_path",
    ),
    (
        lambda it: it.compression == Compression.SNAPPY and it.output_format != FileFormat.PARQUET,
        "compression='snappy' is for Parquet files; others have 'gzip' or 'zstd'",
    ),
    (
        lambda it: it.compression not in (None, Compression.NONE) and it.spreadsheet_safe,
        "spreadsheet_safe cannot be combined with compression: spreadsheets do not open compressed files",
    ),
    (
        lambda it: it.output_path is None and bool(layout_of(it)),
        "rows_per_file, bytes_per_file, partition_by and deletions are for files: give an output_path",
    ),
    (
        lambda it: it.deletions == DELETIONS_WAYS[1] and not it.include_deleted and it.job_id is None,
        "deletions='files' needs include_deleted=True: without it no deleted record is read",
    ),
    (
        lambda it: (
            (it.deletions == DELETIONS_WAYS[1] or bool(it.partition_by))
            and isinstance(it.exclude, (list, tuple))
            and bool({str(each).lower() for each in it.exclude} & {each.lower() for each in layout_of(it).needed})
        ),
        "exclude names a field that partition_by or deletions='files' needs",
    ),
    (
        lambda it: it.column_types is not None and (it.output_path is None or it.output_format == FileFormat.CSV),
        "column_types are for files with types: an output_path, and output_format='parquet' or 'jsonl'",
    ),
    (
        lambda it: it.on_schema_change != OnSchemaChange.ACCEPT and it.output_path is None,
        "on_schema_change compares with the extract in output_path, which is None",
    ),
    (
        lambda it: it.on_schema_change == OnSchemaChange.WIDEN and it.output_format != FileFormat.PARQUET,
        "on_schema_change='widen' is for Parquet files: output_format='parquet'",
    ),
    (
        lambda it: it.spreadsheet_safe and (it.output_path is None or it.output_format != FileFormat.CSV),
        "spreadsheet_safe is for CSV files: output_format='csv' and an output_path",
    ),
    (
        lambda it: it.api == APIS[0] and it.pk_chunking is not False,
        "pk_chunking needs api='1.0': Bulk API 2.0 chunks by itself",
    ),
    (
        lambda it: it.job_id is not None and it.pk_chunking is not False,
        "pk_chunking belongs to a query: the job of job_id was created with or without it",
    ),
    (
        lambda it: it.api != APIS[0] and (it.column_delimiter, it.line_ending) != ("COMMA", "LF"),
        "column_delimiter and line_ending need api='2.0'",
    ),
)

ARGUMENTS: Final = Arguments(
    checks={
        "soql": optional(soql),
        "sobject": optional(api_name),
        "fields": fields,
        "exclude": exclude,
        "where": optional(where),
        "soql_params": optional(soql_params),
        "incremental": optional(incremental),
        "include_deleted": flag,
        "job_id": optional(job_id),
        "output_path": optional(path),
        "output_format": one_of(FileFormat),
        "compression": optional(one_of(Compression, also={"gz": "gzip", "zst": "zstd", "zstandard": "zstd"})),
        "output_conn_id": optional(text),
        "rows_per_file": optional(count()),
        "bytes_per_file": optional(count()),
        "partition_by": partition_by,
        "deletions": one_of(DELETIONS_WAYS),
        "column_types": optional(column_types),
        "on_schema_change": one_of(OnSchemaChange),
        "spreadsheet_safe": flag,
        "max_xcom_records": count(),
        "column_delimiter": DELIMITER,
        "line_ending": LINE_ENDING,
        "page_records": count(),
        "max_concurrent_pages": count(),
        "pk_chunking": pk_chunking,
        **SHARED_CHECKS,
    },
    clashes=_CLASHES,
)
