"""What happens to a query batch, and how PK chunking makes several of one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from airflow_provider_sfbulk.local_org.bulk1.jobs import Batch, BatchState, Job, JobEntry
from airflow_provider_sfbulk.local_org.bulk1.query_results import NO_RECORDS, WRITERS, XmlWriter, write
from airflow_provider_sfbulk.local_org.bulk1.records import BatchFailedError
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data.store import quoted
from airflow_provider_sfbulk.local_org.soql import CompiledQuery, SoqlError, compile_query

_ROWS_AT_A_TIME: Final = 5_000

_REFUSALS: Final = (
    (
        "Aggregate Relationships",
        "FeatureNotEnabled : Aggregate Relationships not supported in Bulk Query with {} content type",
    ),
    ("Blob field", "FeatureNotEnabled : Binary field not supported"),
)
"""How Bulk API 1.0 words what Bulk API 2.0 words otherwise, by how that begins."""


def run(core: Core, entry: JobEntry, batch: Batch) -> None:
    """Run a query and write its result files.

    :raises BatchFailedError: when Salesforce would refuse the query
    """
    started = time.perf_counter()
    job = entry.job
    query = _compiled(core, job, batch, between=(batch.first_id, batch.before_id))
    writer = WRITERS[job.content_type](query, core.schema, job.api_version)
    with core.store.reader() as connection:
        cursor = connection.execute(query.sql, query.parameters)

        def some_rows() -> Iterator[list[Any]]:
            while some := cursor.fetchmany(_ROWS_AT_A_TIME):
                yield some

        batch.processed, files = write(
            writer,
            some_rows(),
            lambda number: core.bulk1.query_result_path(batch, number),
            most_bytes=core.result_file_bytes,
        )
    batch.result_ids = [core.bulk1.new_result_id() for _ in range(files)] or _of_no_rows(core, job, batch)
    batch.active_ms = round((time.perf_counter() - started) * 1000)
    batch.total_ms = max(batch.active_ms, int((core.clock.now() - batch.created).total_seconds() * 1000))
    core.bulk1.set_batch_state(batch, BatchState.COMPLETED)


def split(core: Core, entry: JobEntry, batch: Batch) -> list[tuple[str | None, str | None]] | None:
    """Return the ranges of ids that PK chunking cuts a batch's query into, or None when it does not.

    "Only WHERE is allowed; ORDER BY, LIMIT or an id filter switches chunking off." "Soft-deleted rows count for the
    chunk size but are not returned." So a chunk may come out empty, and an object without records has one chunk.

    :raises BatchFailedError: when Salesforce would refuse the query
    """
    job = entry.job
    if job.chunk_records is None or not job.is_query or batch.chunk_of is not None:
        return None
    query = _compiled(core, job, batch)
    if query.has_limit or query.has_order_by or query.filters_ids:
        return None
    table = quoted(query.sobject.name)
    sql = (
        f"SELECT Id FROM (SELECT Id, row_number() OVER (ORDER BY Id) - 1 AS place FROM {table} WHERE Id >= ?) "  # noqa: S608 - a name of the schema, quoted
        "WHERE place > 0 AND place % ? = 0 ORDER BY Id"
    )
    cuts = [record_id for (record_id,) in core.store.select(sql, (job.start_row or "", job.chunk_records))]
    return list(zip([job.start_row, *cuts], [*cuts, None], strict=True))


def _compiled(
    core: Core, job: Job, batch: Batch, *, between: tuple[str | None, str | None] = (None, None)
) -> CompiledQuery:
    soql = core.bulk1.request_path(batch).read_bytes().decode(errors="replace")
    try:
        query = compile_query(
            soql,
            core.schema,
            now=batch.created,
            user_id=job.created_by_id,
            include_deleted=job.operation == "queryAll",
            with_ids=job.content_type != "CSV",
            between=between,
        )
    except SoqlError as error:
        raise BatchFailedError(_message(error, job)) from error
    if query.sobject.name != job.object:
        raise BatchFailedError(
            f"INVALID_TYPE_FOR_OPERATION: The root entity of the requested query ({query.sobject.name}) does not match "
            f"the entity of the requested Bulk API Job ({job.object})"
        )
    return query


def _message(error: SoqlError, job: Job) -> str:
    for beginning, words in _REFUSALS:
        if error.message.startswith(beginning):
            return words.format(job.content_type)
    code = "FUNCTIONALITY_NOT_ENABLED" if error.error_code == "API_ERROR" else error.error_code
    return f"InvalidBatch : Failed to process query: {code}: {error.message}"


def _of_no_rows(core: Core, job: Job, batch: Batch) -> list[str]:
    """Return the result ids of a query without rows.

    "No rows, CSV: the body is the bare text ``Records not found for this query``"; "JSON with no rows: result list ``[]``
    in a 2017 report". In XML one file without records, which is a guess.
    """
    if job.content_type == "JSON":
        return []
    text = NO_RECORDS if job.content_type == "CSV" else XmlWriter.start + XmlWriter.end
    core.bulk1.query_result_path(batch, 0).write_text(text, encoding="utf-8")
    return [core.bulk1.new_result_id()]
