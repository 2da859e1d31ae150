"""A query from its job to its last page: creates the job or finds it again, and reads its pages, typed by describe."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Final, Protocol, TypeAlias

from airflow_provider_sfbulk.client.csv.dialect import dialect_of
from airflow_provider_sfbulk.client.effects import Flow, ReadEntry, Sink, WriteEntry
from airflow_provider_sfbulk.client.errors import (
    NotFoundError,
    ProtocolError,
    RequestRefusedError,
    SfBulkError,
    SourceError,
)
from airflow_provider_sfbulk.client.extract.finished_pages import PageLedger
from airflow_provider_sfbulk.client.extract.pages import MakeSink, OtherHeaderError, Page, fetch_page, pages
from airflow_provider_sfbulk.client.models import ColumnDelimiter, JobInfo, JobState, LineEnding, QueryOperation
from airflow_provider_sfbulk.client.protocol.describe import describe
from airflow_provider_sfbulk.client.protocol.jobs import QueryCalls
from airflow_provider_sfbulk.client.results.downloads import PageWriter
from airflow_provider_sfbulk.client.results.schema import (
    ColumnKind,
    ColumnType,
    MisfitError,
    needed_describes,
    types_by_describe,
    widen,
)
from airflow_provider_sfbulk.client.results.schema_change import type_name

USABLE: Final = frozenset({JobState.UPLOAD_COMPLETE, JobState.IN_PROGRESS, JobState.JOB_COMPLETE})
"""States in which an earlier try's query job is worth waiting for."""

JOBS: Final = "0"
"""The ledger's key for the jobs of a task's own query."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Submitted:
    """A query job as the ledger knows it."""

    job_id: str
    api_version: str | None = None
    """That all calls on the job are made with; None when it is not known, as of jobs that an earlier version recorded."""


def submit(
    jobs: QueryCalls,
    soql: str,
    *,
    operation: QueryOperation | str,
    column_delimiter: ColumnDelimiter | str,
    line_ending: LineEnding | str,
    plan: str = "",
    key: str = JOBS,
    will_do: Callable[[JobInfo], Flow[bool]] | None = None,
) -> Flow[Submitted]:
    """Find the query job that an earlier try recorded, or make one and record it.

    A job that failed, was aborted or is gone is followed by a new one: reading again changes nothing. So is one that
    was asked for something else, which is aborted.

    :param plan: a digest of what is asked for
    :param key: under which the ledger has the query's jobs
    :param will_do: whether an earlier try's job that has not failed is good enough; None: it is
    :raises RequestRefusedError: when Salesforce refuses the SOQL
    """

    def is_usable(known: Mapping[str, Any], _: int) -> Flow[bool]:
        try:
            info = yield from jobs.at(known.get("api_version")).get(known["job_id"])
        except NotFoundError:
            return False
        return info.state in USABLE and (will_do is None or (yield from will_do(info)))

    found, generation = yield from find_recorded(jobs, plan, is_usable, key=key)
    if found is not None:
        return found
    made = yield from jobs.create(soql, operation=operation, column_delimiter=column_delimiter, line_ending=line_ending)
    entry = {"job_id": made.id, "plan": plan, "api_version": jobs.api_version}
    stands = yield WriteEntry(job_key(generation, key), entry)
    if stands["job_id"] != made.id:
        yield from abort_quietly(jobs, made.id)
    return _submitted(stands)


def job_key(generation: int, key: str = JOBS) -> str:
    """Return the key under which a job is recorded.

    :param generation: index of the job, from 0: a job that failed or is gone is followed by another
    """
    return f"{key}.{generation}"


def find_recorded(
    jobs: Aborts, plan: str, is_usable: Callable[[Mapping[str, Any], int], Flow[bool]], *, key: str = JOBS
) -> Flow[tuple[Submitted | None, int]]:
    """Find the job that an earlier try recorded and that can be gone on with. What was asked for something else is aborted.

    :param plan: a digest of what is asked for
    :param is_usable: whether a recorded job, of that generation, is worth waiting for
    :param key: under which the ledger has the query's jobs
    :return: the job, and the generation that a new one would be
    """
    for generation in count():
        known = yield ReadEntry(job_key(generation, key))
        if known is None:
            return None, generation
        if known.get("plan") != plan:
            yield from abort_quietly(jobs, known["job_id"])
        elif (yield from is_usable(known, generation)):
            log.info("continuing with query job %s of an earlier try", known["job_id"])
            return _submitted(known), generation + 1
    raise AssertionError("unreachable: the count has no end")


def _submitted(known: Mapping[str, Any]) -> Submitted:
    return Submitted(known["job_id"], known.get("api_version"))


class Aborts(Protocol):
    """The calls of jobs of one API, of which one aborts."""

    def abort(self, job_id: str, /) -> Flow[object]:
        """Abort a job."""


def abort_quietly(jobs: Aborts, job_id: str) -> Flow[None]:
    """Abort a job that nobody needs, if that is possible."""
    try:
        yield from jobs.abort(job_id)
    except SfBulkError as error:
        log.warning("query job %s is not needed and could not be aborted (%s)", job_id, error)


def recorded_job() -> Flow[Submitted | None]:
    """Read the job that was recorded last, whatever became of it: what a task waits for after a deferral."""
    found: Submitted | None = None
    for generation in count():
        known = yield ReadEntry(job_key(generation))
        if known is None:
            return found
        found = _submitted(known)
    raise AssertionError("unreachable: the count has no end")


MakePage: TypeAlias = Callable[[int, tuple[ColumnType, ...]], Sink]
"""Gives the sink of the page with that index, for columns of these types (none when the rows stay text)."""

Retype: TypeAlias = Callable[[tuple[ColumnType, ...]], tuple[ColumnType, ...]]


class Reader(Protocol):
    """A way to read the result of a query."""

    @property
    def api_version(self) -> str:
        """The version of all calls."""

    @property
    def paging(self) -> Mapping[str, Any]:
        """What decides where pages begin and end, JSON."""

    def columns(self) -> Flow[tuple[str, ...]]:
        """Read the columns of the result."""

    def pages(
        self, make_sink: MakeSink, done: Sequence[Page], on_page: Callable[[Page], Flow[None]] | None
    ) -> Flow[list[Page]]:
        """Read all pages but those of ``done``; see ``extract.pages.pages``."""


class ByPages:
    """The pages of a query job of Bulk API 2.0.

    :param page_records: records of a page at most, when the pages are read in order
    :param at_once: pages to read at the same time; Salesforce chooses their size then
    """

    def __init__(self, jobs: QueryCalls, job: JobInfo, page_records: int, at_once: int) -> None:
        self._jobs = jobs = jobs.at(job.api_version)
        self.api_version = jobs.api_version
        self._job = job
        self._page_records = page_records
        # Of one page, asking for the list of pages would only cost a call.
        self._at_once = 1 if job.processed <= page_records else at_once
        self.paging = {
            "api_version": jobs.api_version,
            "page_records": page_records,
            "in_order": self._at_once == 1,
        }

    def columns(self) -> Flow[tuple[str, ...]]:
        return header_columns(self._jobs, self._job)

    def pages(
        self, make_sink: MakeSink, done: Sequence[Page], on_page: Callable[[Page], Flow[None]] | None
    ) -> Flow[list[Page]]:
        return pages(
            self._jobs,
            self._job,
            make_sink,
            max_records=self._page_records,
            at_once=self._at_once,
            done=done,
            on_page=on_page,
        )


def fetch_pages(
    reader: Reader,
    job: JobInfo,
    make_page: MakePage,
    *,
    typed: bool,
    ledger: PageLedger | None = None,
    retype: Retype | None = None,
    fixed: Collection[str] = (),
    describes: dict[str, Mapping[str, Any]] | None = None,
) -> Flow[int]:
    """Fetch all pages of a finished job, and type their columns by describe if wanted.

    :param reader: how they are read
    :param make_page: called once a page, and again for all pages when a column has to be typed anew
    :param ledger: remembers finished pages, and knows those of earlier tries: no sink is asked for them
    :param retype: gives the types that the columns shall have, given those of describe; there may be more of them
    :param fixed: columns whose type is the user's: a value that does not fit is an error
    :param describes: describe's answers so far, by object; more are added
    :return: how many pages there are
    :raises ProtocolError: when the pages do not add up to the job's own count
    """
    if ledger is not None:
        yield from ledger.open()
    types: tuple[ColumnType, ...] = ()
    if typed:
        columns = ledger.columns if ledger is not None else ()
        columns = columns or (yield from reader.columns())
        types = yield from describe_types(job, columns, api_version=reader.api_version, describes=describes)
        for column in ledger.widened if ledger is not None else ():
            types = tuple(widen(types, column))
        types = types if retype is None else retype(types)
    while True:
        try:
            done = [] if ledger is None else (yield from ledger.begin(types, paging=reader.paging))
            on_page = None if ledger is None else ledger.note
            found = yield from reader.pages(partial(_make, make_page, types), done, on_page)
        except MisfitError as misfit:
            if misfit.column in fixed:
                raise _unfit(types, misfit) from misfit
            types = widen_for(types, misfit)
            log.warning("job %s: %s; reading the pages again with that column as a float", job.id, misfit)
            if ledger is not None:
                yield from ledger.widen(str(misfit.column))
        except (ProtocolError, OtherHeaderError, RequestRefusedError):
            # Not the line: what was read does not fit together, and a retry that builds on it would fail again.
            if ledger is not None:
                yield from _forgotten(ledger)
            raise
        else:
            return len(found)


def _unfit(types: Sequence[ColumnType], misfit: MisfitError) -> SourceError:
    wanted = next(type_name(each) for each in types if each.name == misfit.column)
    return SourceError(
        f"{misfit.column} cannot be {wanted}, because the value in row {misfit.row} of a page does not fit: "
        "give a wider type (string holds every value), or leave the column out"
    )


def _make(make_page: MakePage, types: tuple[ColumnType, ...], index: int) -> Sink:
    return make_page(index, types)


def describe_columns(jobs: QueryCalls, job: JobInfo) -> Flow[tuple[ColumnType, ...]]:
    """Type the result's columns by describe; which there are, a page of one record says."""
    return (yield from describe_types(job, (yield from header_columns(jobs, job)), api_version=jobs.api_version))


def header_columns(jobs: QueryCalls, job: JobInfo) -> Flow[tuple[str, ...]]:
    """Read the result's header, with a page of one record."""
    header = PageWriter(dialect_of(job))
    yield from fetch_page(jobs.at(job.api_version), job.id, header, max_records=1)
    return header.columns


def describe_types(
    job: JobInfo,
    columns: tuple[str, ...],
    *,
    api_version: str,
    describes: dict[str, Mapping[str, Any]] | None = None,
) -> Flow[tuple[ColumnType, ...]]:
    """Type these columns by describe.

    :param describes: its answers so far, by object; more are added
    """
    sobject = str(job.object)
    describes = {} if describes is None else describes
    while missing := needed_describes(sobject, columns, describes):
        for name in sorted(missing):
            try:
                describes[name] = yield from describe(name, api_version=api_version)
            except NotFoundError:
                describes[name] = {}  # this user cannot see it: its columns stay text
    return tuple(types_by_describe(sobject, columns, describes))


def widen_for(types: Sequence[ColumnType], misfit: MisfitError) -> tuple[ColumnType, ...]:
    """Return the types with which the rows can be read again after a misfit.

    :raises MisfitError: the same, when there are none
    """
    hopeless = any(each.name == misfit.column and each.kind is ColumnKind.DOUBLE for each in types)
    if misfit.column is None or hopeless:
        raise misfit
    return tuple(widen(types, misfit.column))


def _forgotten(ledger: PageLedger) -> Flow[None]:
    try:
        yield from ledger.forget()
    except SfBulkError as error:
        log.warning("the pages read so far could not be marked as invalid: %s", error)
