"""Every call of Bulk API 2.0, as a flow.

:class:`IngestCalls` and :class:`QueryCalls` hold the API version, since all calls on one job must use the same one, and
know which calls may be repeated. Source: Bulk API 2.0 guide, reference pages of the two resources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Final, Self

from airflow_provider_sfbulk.client.effects import Body, Flow, Reply, Sink
from airflow_provider_sfbulk.client.errors import (
    NotFoundError,
    ProtocolError,
    RequestRefusedError,
    SourceError,
    TransientError,
    TransportError,
)
from airflow_provider_sfbulk.client.models import (
    ColumnDelimiter,
    ConcurrencyMode,
    JobInfo,
    JobState,
    JobType,
    LineEnding,
    QueryOperation,
    ResultKind,
    check_id,
    check_locator,
)
from airflow_provider_sfbulk.client.protocol.call import (
    CSV,
    ApiCall,
    call,
    call_object,
    data_path,
    fetch,
    json_body,
    reading,
)
from airflow_provider_sfbulk.client.protocol.distrust import CsvSink, locator_of, same_id, short_id
from airflow_provider_sfbulk.client.protocol.retry import CREATE, DOWNLOAD, ONCE, SAFE, repeat
from airflow_provider_sfbulk.client.protocol.spec import IngestSpec, member
from airflow_provider_sfbulk.client.replies.safe_text import without_values

INVALID_STATE: Final = "INVALIDJOBSTATE"
_RESULT_PATHS: Final[Mapping[ResultKind, str]] = {
    "successful": "successfulResults",
    "failed": "failedResults",
    "unprocessed": "unprocessedrecords",
}
_V2_TYPE: Final[Mapping[JobType, str]] = {JobType.INGEST: "V2Ingest", JobType.QUERY: "V2Query"}


@dataclass(frozen=True)
class JobPage:
    """One page of a job list. ``next_locator`` is None on the last."""

    jobs: tuple[JobInfo, ...]
    next_locator: str | None


@dataclass(frozen=True)
class StatesPage:
    """The states of the jobs on one page of a job list, by short id (``short_id``)."""

    states: Mapping[str, JobState]
    next_locator: str | None


@dataclass(frozen=True)
class JobCalls:
    """The calls that ingest and query jobs share.

    :param api_version: ``"66.0"``
    """

    api_version: str
    type: ClassVar[JobType]

    def at(self, api_version: str | None) -> Self:
        """Return the calls for a job of this API version; None keeps the present one."""
        return self if api_version is None else replace(self, api_version=api_version)

    def path(self, *segments: str) -> str:
        """Make a path below this half of the API."""
        return data_path(self.api_version, "jobs", str(self.type), *segments)

    def get(self, job_id: str) -> Flow[JobInfo]:
        """Read a job.

        :raises NotFoundError: there is no such job; jobs are deleted seven days after they end
        """
        return repeat(lambda: self.get_once(job_id))

    def get_once(self, job_id: str) -> Flow[JobInfo]:
        """Read a job with one call, not repeated: for callers that poll."""
        return self._info(ApiCall("GET", self.path(check_id(job_id)), job_id=job_id))

    def list_page(
        self,
        *,
        locator: str | None = None,
        job_type: str | None = None,
        is_pk_chunking_enabled: bool | None = None,
        concurrency_mode: str | None = None,
    ) -> Flow[JobPage]:
        """Read one page of the list of jobs, at most 1,000, in no order. Its rows have no counters.

        :param locator: ``next_locator`` of the page before
        :param job_type: for example ``BigObjectIngest``; by default the jobs of this half of Bulk API 2.0. (``Classic``
            jobs have other states: they belong to Bulk API 1.0.)
        :param is_pk_chunking_enabled: only jobs that Salesforce chunks by ids, or only the others
        :param concurrency_mode: only jobs of this mode, ``Parallel`` or ``Serial``
        """
        if job_type == "Classic":
            raise SourceError("Classic jobs belong to Bulk API 1.0")
        query = [("jobType", job_type or _V2_TYPE[self.type])]
        if is_pk_chunking_enabled is not None:
            query.append(("isPkChunkingEnabled", str(is_pk_chunking_enabled).lower()))
        if concurrency_mode is not None:
            query.append(("concurrencyMode", str(member(ConcurrencyMode, concurrency_mode, "concurrency_mode"))))
        if locator is not None:
            query.append(("queryLocator", check_locator(locator)))
        return repeat(lambda: self._list_page(tuple(query)))

    def list_states(self, *, locator: str | None = None) -> Flow[StatesPage]:
        """Read the states on one page of the list of jobs with one call, not repeated: for callers that poll.

        Most jobs on it are other people's, so unreadable rows are left out.

        :raises ProtocolError: the reply is not a page of jobs
        """
        query = [("jobType", _V2_TYPE[self.type])]
        if locator is not None:
            query.append(("queryLocator", check_locator(locator)))
        records, following = yield from self._list_records(tuple(query))
        states: dict[str, JobState] = {}
        for record in records:
            if isinstance(record, Mapping) and isinstance(job_id := record.get("id"), str):
                with suppress(ValueError):
                    states[short_id(job_id)] = JobState(str(record.get("state")))
        return StatesPage(states, following)

    def abort(self, job_id: str) -> Flow[JobInfo]:
        """Abort a job. What it has committed stays. Aborting an aborted job is not an error.

        :raises RequestRefusedError: the job has ended in another way
        """
        try:
            return (yield from repeat(lambda: self._set_state(job_id, JobState.ABORTED)))
        except RequestRefusedError as error:
            if error.error_code != INVALID_STATE:
                raise
            job = yield from self.get(job_id)
            if job.state is not JobState.ABORTED:
                raise
            return job

    def delete(self, job_id: str) -> Flow[None]:
        """Delete a job with its data and results.

        :raises NotFoundError: there is no such job
        :raises RequestRefusedError: the job has not ended
        """
        doubtful = False

        def attempt() -> Flow[None]:
            nonlocal doubtful
            try:
                yield from call(ApiCall("DELETE", self.path(check_id(job_id)), job_id=job_id))
            except TransientError:
                doubtful = True
                raise
            except NotFoundError:
                if not doubtful:  # a try whose reply was lost may have deleted it
                    raise

        yield from repeat(attempt, SAFE)

    def _create(self, fields: Mapping[str, str], hide: Callable[[str], str] | None = None) -> Flow[JobInfo]:
        return repeat(lambda: self._info(ApiCall("POST", self.path(), body=json_body(fields), hide=hide)), CREATE)

    def _set_state(self, job_id: str, state: JobState) -> Flow[JobInfo]:
        body = json_body({"state": str(state)})
        return self._info(ApiCall("PATCH", self.path(check_id(job_id)), body=body, job_id=job_id))

    def _info(self, api: ApiCall) -> Flow[JobInfo]:
        data = yield from call_object(api)
        with reading(api):
            job = JobInfo.from_json(data)
            if api.job_id is not None and not same_id(job.id, api.job_id):
                raise ProtocolError(f"{api.method} {api.path}: the reply is about another job")
        return job

    def _list_page(self, query: tuple[tuple[str, str], ...]) -> Flow[JobPage]:
        records, following = yield from self._list_records(query)
        return JobPage(tuple(JobInfo.from_json(record) for record in records), following)

    def _list_records(self, query: tuple[tuple[str, str], ...]) -> Flow[tuple[list[Any], str | None]]:
        data = yield from call_object(ApiCall("GET", self.path(), query=query))
        records = data.get("records")
        if not isinstance(records, list):
            raise ProtocolError(f"GET {self.path()}: a list of jobs without records", path=self.path())
        url = data.get("nextRecordsUrl")
        if (url is None) is not data.get("done"):
            raise ProtocolError(f"GET {self.path()}: a list of jobs that both ends and continues, or neither")
        # The sample on the query page leads to /jobs/ingest: any job list's path is accepted, only its locator is used.
        return records, None if url is None else locator_of(url, "queryLocator", path=r"/jobs/(ingest|query)/?")


class IngestCalls(JobCalls):
    """The calls on ingest jobs."""

    type = JobType.INGEST

    def create(self, spec: IngestSpec) -> Flow[JobInfo]:
        """Create a job, ``Open`` for one upload.

        After a lost reply it is created again; the lost one is an empty job that Salesforce removes.

        :raises RequestRefusedError: no such object or field, or no permission
        """
        return self._create(spec.to_json())

    def create_with_data(self, spec: IngestSpec, data: bytes) -> Flow[JobInfo]:
        """Create a job with its data, in one multipart request, which closes it too.

        When the reply is lost, it is unknown whether the records are being loaded, and under which id. So no load of this
        package uses this call; it is not repeated once it may have been sent.

        :param data: a whole CSV of at most ``limits.MULTIPART_CHARACTERS`` characters
        """
        body = spec.multipart(data)
        return repeat(lambda: self._info(ApiCall("POST", self.path(), body=body)), ONCE)

    def upload(self, job_id: str, body: Body) -> Flow[None]:
        """Upload a job's data, once: a second PUT spoils the job.

        Repeated only while no connection can be made. After any other error the job must be given up: abort it, and
        create another. (After an expired session, too: the next call has a new one.)

        :raises SfBulkError: whatever came instead of 201
        """
        path = self.path(check_id(job_id), "batches")
        api = ApiCall("PUT", path, body=body, job_id=job_id, resend=False)
        reply = yield from repeat(lambda: call(api), ONCE)
        if reply.status != 201:
            raise ProtocolError(f"PUT {path}: {reply.status} instead of 201", status=reply.status, job_id=job_id)

    def close(self, job_id: str) -> Flow[JobInfo]:
        """Close a job after its upload (``UploadComplete``): Salesforce begins to process it.

        One PATCH. When its reply is lost, or says that the job is not ``Open``, the state is read: the returned job has
        the true state. ``Open`` means that the close did not arrive and may be sent again: Salesforce refuses it in any
        other state.

        :raises RequestRefusedError: the job cannot be closed; ``INVALIDJOB`` when it got two uploads
        """
        try:
            return (yield from repeat(lambda: self._set_state(job_id, JobState.UPLOAD_COMPLETE), ONCE))
        except TransientError as error:
            if isinstance(error, TransportError) and not error.sent:
                raise
        except RequestRefusedError as error:
            if error.error_code != INVALID_STATE:
                raise
        return (yield from self.get(job_id))

    def results(self, job_id: str, kind: ResultKind, sink: Sink) -> Flow[Reply]:
        """Fetch one of the three files of a finished job into ``sink``; each try starts from the beginning.

        An empty reply (204) is an empty file. The sink or the caller must check that a file has as many rows as the job's
        counters say: a cut reply may look whole.
        """
        api = ApiCall("GET", self.path(check_id(job_id), _RESULT_PATHS[kind]), accept=CSV, job_id=job_id)

        def attempt() -> Flow[Reply]:
            reply = yield from fetch(api, CsvSink(sink))
            if reply.status != 200:
                sink.start(reply)
                sink.finish()
            return reply

        return repeat(attempt, DOWNLOAD)


class QueryCalls(JobCalls):
    """The calls on query jobs. Pages of results: :mod:`~airflow_provider_sfbulk.client.extract.pages`."""

    type = JobType.QUERY

    def create(
        self,
        soql: str,
        *,
        operation: QueryOperation | str = QueryOperation.QUERY,
        column_delimiter: ColumnDelimiter | str = ColumnDelimiter.COMMA,
        line_ending: LineEnding | str = LineEnding.LF,
    ) -> Flow[JobInfo]:
        """Create a query job, which starts by itself.

        After a lost reply it is created again; the lost one costs one of the day's query jobs.

        :raises RequestRefusedError: the SOQL is wrong, or not for bulk queries
        """
        if not isinstance(soql, str) or not soql.strip():
            raise SourceError("the SOQL is empty")
        return self._create(
            {
                "operation": member(QueryOperation, operation, "operation"),
                "query": soql,
                "contentType": "CSV",
                "columnDelimiter": member(ColumnDelimiter, column_delimiter, "column_delimiter"),
                "lineEnding": member(LineEnding, line_ending, "line_ending"),
            },
            hide=partial(without_values, soql=soql),
        )


def jobs_of(job_type: JobType, api_version: str) -> JobCalls:
    """Return the calls of that half of the API."""
    return IngestCalls(api_version) if job_type is JobType.INGEST else QueryCalls(api_version)
