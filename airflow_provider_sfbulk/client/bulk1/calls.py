"""Every call of Bulk API 1.0, as a flow.

The session goes in ``X-SFDC-Session``, changes of state are POSTs, an expired session is a 400 (see ``protocol/call.py``,
``replies/refusal.py``), and a batch runs as soon as it is accepted, whether its job is closed or not.

A job's infos come in XML or in JSON: in the format of its content type (XML for CSV), or in that of the body that created
it. So the reply's own ``Content-Type`` decides, as in all clients.

Source: Bulk API guide, "Quick Reference"; bodies recorded by other clients.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.arguments import count, optional, shown
from airflow_provider_sfbulk.client.bulk1.models import BatchInfo, Bulk1Job, Bulk1JobState, ContentType, RecordResult
from airflow_provider_sfbulk.client.bulk1.object_rows import NAMESPACE
from airflow_provider_sfbulk.client.effects import Body, Flow, Reply, Sink
from airflow_provider_sfbulk.client.errors import (
    ProtocolError,
    RequestRefusedError,
    ServerBusyError,
    SourceError,
    TransientError,
    TransportError,
)
from airflow_provider_sfbulk.client.models import ConcurrencyMode, LineEnding, Operation, QueryOperation, check_id
from airflow_provider_sfbulk.client.protocol.call import (
    ApiCall,
    async_path,
    call,
    check_sobject,
    fetch,
    json_body,
    reading,
)
from airflow_provider_sfbulk.client.protocol.distrust import same_id
from airflow_provider_sfbulk.client.protocol.retry import CREATE, DOWNLOAD, ONCE, repeat
from airflow_provider_sfbulk.client.protocol.spec import member
from airflow_provider_sfbulk.client.replies import safe_json
from airflow_provider_sfbulk.client.replies.refusal import is_html
from airflow_provider_sfbulk.client.replies.safe_text import without_sent
from airflow_provider_sfbulk.client.replies.safe_xml import MalformedXmlError, element_text, local_name, parse, texts_of

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.bulk1.result_rows import ResultColumns

T = TypeVar("T")

INVALID_STATE: Final = "InvalidJobState"

ANY: Final = "application/xml, application/json"
"""Formats in which infos may come."""

_XML_BODY: Final = "application/xml; charset=UTF-8"

_WORDS: Final = re.compile(r"'(?:[^'\\]|\\.)*'|[()]|\bFROM\s+(?P<object>[A-Za-z]\w*)", re.IGNORECASE | re.DOTALL)
"""What tells where a query's own FROM is: strings, which may contain the word, and the parentheses of nested queries."""

_OPERATIONS: Final = (*Operation, *QueryOperation)


@dataclass(frozen=True)
class PkChunking:
    """How a query is cut by ranges of ids (``Sforce-Enable-PKChunking``).

    :param chunk_size: records of a range; Salesforce's default is ``limits.PK_CHUNK_RECORDS``
    :param start_row: id to begin with
    :param parent: of a sharing or history object: ``Account`` for ``AccountShare``
    :raises SourceError: a size or an id that cannot be
    """

    chunk_size: int | None = None
    start_row: str | None = None
    parent: str | None = None

    def __post_init__(self) -> None:
        most = limits.PK_CHUNK_MOST_RECORDS
        optional(count(most=most))("pk_chunking: the records of a chunk", self.chunk_size)
        if self.parent is not None:
            check_sobject(self.parent)
        if self.start_row is not None:
            try:
                check_id(self.start_row)
            except ProtocolError as error:
                raise SourceError("pk_chunking: start_row is not an id") from error

    @property
    def header(self) -> str:
        """What is sent."""
        parts = (("chunkSize", self.chunk_size), ("startRow", self.start_row), ("parent", self.parent))
        return "; ".join(f"{name}={value}" for name, value in parts if value is not None) or "TRUE"


@dataclass(frozen=True)
class Bulk1JobSpec:
    """The fields of a new job. The enumerations may be given as Salesforce spells them.

    :param sobject: API name of the object; of a query its root object
    :param external_id_field: for upsert, which needs it
    :param assignment_rule_id: of Case or Lead
    :param pk_chunking: of a query
    :param batch_retry: False stops Salesforce from trying batches again that take too long
    :param line_ending: of values with several lines, in the results
    :raises SourceError: a value that Salesforce does not know, or a field for another operation
    """

    sobject: str
    operation: Operation | QueryOperation | str
    external_id_field: str | None = None
    assignment_rule_id: str | None = None
    content_type: ContentType | str = ContentType.CSV
    concurrency_mode: ConcurrencyMode | str = ConcurrencyMode.PARALLEL
    pk_chunking: PkChunking | None = None
    batch_retry: bool = True
    line_ending: LineEnding | str | None = None

    def __post_init__(self) -> None:
        self.values()
        self.headers()

    @property
    def rows_in(self) -> ContentType:
        """The format of the batches."""
        return member(ContentType, self.content_type, "content_type")

    def values(self) -> dict[str, str]:
        """Return the fields of the jobInfo, in the order of the guide's samples."""
        if self.operation not in _OPERATIONS:
            raise SourceError(f"operation must be one of {', '.join(_OPERATIONS)}, not {shown(self.operation)}")
        if (self.operation == Operation.UPSERT) is not bool(self.external_id_field):
            raise SourceError("external_id_field is required for upsert, and allowed only for upsert")
        if self.operation in tuple(QueryOperation) and self.rows_in.is_zip:
            raise SourceError(f"content_type {self.rows_in} is for batches with attachments: a query needs another")
        fields = {
            "operation": str(self.operation),
            "object": check_sobject(self.sobject),
            "externalIdFieldName": self.external_id_field,
            "assignmentRuleId": self.assignment_rule_id,
            "concurrencyMode": str(member(ConcurrencyMode, self.concurrency_mode, "concurrency_mode")),
            "contentType": str(self.rows_in),
        }
        return {name: value for name, value in fields.items() if value}

    def headers(self) -> dict[str, str]:
        """Return the headers of the create call."""
        found = {}
        if self.pk_chunking is not None:
            if self.operation not in tuple(QueryOperation):
                raise SourceError("pk_chunking is only for queries")
            found["Sforce-Enable-PKChunking"] = self.pk_chunking.header
        if not self.batch_retry:
            found["Sforce-Disable-Batch-Retry"] = "TRUE"
        if self.line_ending is not None:
            found["Sforce-Line-Ending"] = str(member(LineEnding, self.line_ending, "line_ending"))
        return found


@dataclass(frozen=True)
class Bulk1Calls:
    """The calls of Bulk API 1.0.

    :param api_version: ``"66.0"``; all calls on a job must use the same one
    """

    api_version: str

    def path(self, *segments: str) -> str:
        """Return a path below that of the jobs."""
        return async_path(self.api_version, "job", *segments)

    # --- jobs ---

    def create(self, spec: Bulk1JobSpec) -> Flow[Bulk1Job]:
        """Create a job, ``Open`` for batches.

        After a lost reply it is created again. The lost job has no batch, and Salesforce removes it.

        :raises RequestRefusedError: no such object or field, or no permission
        """
        body = job_body(spec.values(), spec.rows_in)
        api = ApiCall("POST", self.path(), body=body, accept=ANY, headers=spec.headers())
        return repeat(lambda: self._job(api), CREATE)

    def get(self, job_id: str) -> Flow[Bulk1Job]:
        """Read a job. Its counters lag behind its batches.

        :raises RequestRefusedError: ``InvalidJob``: there is no such job
        """
        return repeat(lambda: self.get_once(job_id))

    def get_once(self, job_id: str) -> Flow[Bulk1Job]:
        """Read a job with one call, not repeated: for callers that poll."""
        return self._job(ApiCall("GET", self.path(check_id(job_id)), accept=ANY, job_id=job_id))

    def close(self, job_id: str) -> Flow[Bulk1Job]:
        """Close a job: no batch can be added any more; existing ones continue. Closing a closed job is not an error.

        :raises RequestRefusedError: the job was aborted
        """
        return self._change(job_id, Bulk1JobState.CLOSED)

    def abort(self, job_id: str) -> Flow[Bulk1Job]:
        """Abort a job: batches that have not begun never run; what is saved stays. Aborting twice is not an error.

        :raises RequestRefusedError: the job's batches have all ended
        """
        return self._change(job_id, Bulk1JobState.ABORTED)

    def _change(self, job_id: str, state: Bulk1JobState) -> Flow[Bulk1Job]:
        body = job_body({"state": str(state)}, ContentType.XML)
        api = ApiCall("POST", self.path(check_id(job_id)), body=body, accept=ANY, job_id=job_id)
        try:
            return (yield from repeat(lambda: self._job(api)))
        except RequestRefusedError as error:
            if error.error_code != INVALID_STATE:
                raise
            job = yield from self.get(job_id)
            if job.state is not state:
                raise
            return job

    def _job(self, api: ApiCall) -> Flow[Bulk1Job]:
        values = yield from call_info(api, "jobInfo")
        with reading(api):
            job = Bulk1Job.of(values)
            if api.job_id is not None and not same_id(job.id, api.job_id):
                raise ProtocolError(f"{api.method} {api.path}: the reply describes another job")
        return job

    # --- batches ---

    def add_batch(
        self, job_id: str, body: Body, *, compress: bool = False, hide: Callable[[str], str] | None = None
    ) -> Flow[BatchInfo]:
        """Add a batch, which runs at once.

        Repeated only while no connection can be made, and after an expired session, which refuses the batch. After any
        other transient error it is unknown whether the batch runs: close the job and check (``bulk1/load.py``).

        :param body: in the job's content type; for a query job, the SOQL
        :param compress: send it gzipped; not for archives
        """
        headers = {}
        if compress:
            rows = body
            hide = hide or (lambda text: without_sent(text, rows.chunks()))
            packed = gzip.compress(b"".join(body.chunks()), mtime=0)
            body, headers = Body.of(packed, body.content_type), {"Content-Encoding": "gzip"}
        path = self.path(check_id(job_id), "batch")
        api = ApiCall("POST", path, body=body, accept=ANY, headers=headers, job_id=job_id, hide=hide)
        return repeat(lambda: self._batch(api), ONCE)

    def get_batch(self, job_id: str, batch_id: str) -> Flow[BatchInfo]:
        """Read a batch."""
        path = self.path(check_id(job_id), "batch", check_id(batch_id, what="batch id"))
        api = ApiCall("GET", path, accept=ANY, job_id=job_id)
        return repeat(lambda: self._batch(api, batch_id))

    def list_batches(self, job_id: str) -> Flow[list[BatchInfo]]:
        """Read all batches of a job, with one call."""
        return repeat(lambda: self.list_batches_once(job_id))

    def list_batches_once(self, job_id: str) -> Flow[list[BatchInfo]]:
        """Read all batches of a job, not repeated: for callers that poll."""
        api = ApiCall("GET", self.path(check_id(job_id), "batch"), accept=ANY, job_id=job_id)
        infos = yield from call_infos(api)
        with reading(api):
            batches = [BatchInfo.of(values) for values in infos]
            if not all(same_id(each.job_id, job_id) for each in batches):
                raise ProtocolError(f"GET {api.path}: the list contains batches of another job")
            if len({each.id[:15] for each in batches}) < len(batches):
                raise ProtocolError(f"GET {api.path}: the list contains a batch twice")
        return batches

    def _batch(self, api: ApiCall, batch_id: str | None = None) -> Flow[BatchInfo]:
        values = yield from call_info(api, "batchInfo")
        with reading(api):
            batch = BatchInfo.of(values)
            if not same_id(batch.job_id, api.job_id or "") or (
                batch_id is not None and not same_id(batch.id, batch_id)
            ):
                raise ProtocolError(f"{api.method} {api.path}: the reply describes another batch")
        return batch

    def request(self, job_id: str, batch_id: str) -> Flow[bytes]:
        """Read back what was sent as a batch (``limits.BATCH_CHARACTERS`` at most)."""
        api = ApiCall("GET", self._batch_path(job_id, batch_id, "request"), accept="*/*", job_id=job_id)

        def attempt() -> Flow[bytes]:
            reply: Reply = yield from call(api)
            if is_html(reply):
                raise ServerBusyError(
                    f"GET {api.path}: the reply is a web page, as during maintenance", path=api.path, job_id=job_id
                )
            return reply.body

        return repeat(attempt, DOWNLOAD)

    # --- results ---

    def results(
        self, job_id: str, batch_id: str, content_type: ContentType, *, records: int | None
    ) -> Flow[list[RecordResult]]:
        """Read what became of the records of a data batch, in the order of the request.

        :param content_type: the job's
        :param records: how many there must be: as many as the batch has
        :raises RequestRefusedError: ``InvalidBatch``: the batch failed as a whole, or is not done
        """
        # This loads numpy, which a wait in a triggerer does not need.
        from airflow_provider_sfbulk.client.bulk1.result_rows import read_batch_results  # noqa: PLC0415

        return self._results(job_id, batch_id, lambda body: read_batch_results(body, content_type, records=records))

    def result_columns(self, job_id: str, batch_id: str, *, records: int | None) -> Flow[ResultColumns]:
        """Read the same of a job in CSV, a column at a time."""
        from airflow_provider_sfbulk.client.bulk1.result_rows import read_result_columns  # noqa: PLC0415 - loads numpy, too

        return self._results(job_id, batch_id, lambda body: read_result_columns(body, records=records))

    def _results(self, job_id: str, batch_id: str, read: Callable[[bytes], T]) -> Flow[T]:
        api = ApiCall("GET", self._batch_path(job_id, batch_id, "result"), accept="*/*", job_id=job_id)

        def attempt() -> Flow[T]:
            reply: Reply = yield from call(api)
            if is_html(reply):
                raise ServerBusyError(
                    f"GET {api.path}: the reply is a web page, as during maintenance", path=api.path, job_id=job_id
                )
            return read(reply.body)

        return repeat(attempt, DOWNLOAD)

    def result_ids(self, job_id: str, batch_id: str) -> Flow[list[str]]:
        """Read the ids of the result files of a query batch; an empty result may have no file."""
        api = ApiCall("GET", self._batch_path(job_id, batch_id, "result"), accept=ANY, job_id=job_id)

        def attempt() -> Flow[list[str]]:
            found = yield from call_result_ids(api)
            for each in found:
                check_id(each, what="result id")
            if len(set(found)) != len(found):
                raise ProtocolError(f"GET {api.path}: the list contains a result twice", job_id=job_id)
            return found

        return repeat(attempt)

    def query_result(self, job_id: str, batch_id: str, result_id: str, sink: Sink) -> Flow[Reply]:
        """Fetch one result file of a query into ``sink``; each try starts from the beginning."""
        path = self._batch_path(job_id, batch_id, "result", check_id(result_id, what="result id"))
        api = ApiCall("GET", path, accept="*/*", job_id=job_id)
        return repeat(lambda: fetch(api, sink), DOWNLOAD)

    def _batch_path(self, job_id: str, batch_id: str, *more: str) -> str:
        return self.path(check_id(job_id), "batch", check_id(batch_id, what="batch id"), *more)


def chunking_of(given: bool | int | PkChunking) -> PkChunking | None:
    """Return the PK chunking that an argument asks for."""
    if isinstance(given, PkChunking):
        return given
    if isinstance(given, bool):
        return PkChunking() if given else None
    return PkChunking(chunk_size=given)


def root_object(soql: str) -> str:
    """Find the object of a query: the name after the ``FROM`` that is outside of parentheses.

    :raises SourceError: there is none
    """
    depth = 0
    for word in _WORDS.finditer(soql):
        depth += {"(": 1, ")": -1}.get(word[0], 0)
        if not depth and word["object"]:
            return word["object"]
    raise SourceError("the SOQL has no FROM outside of parentheses: write SELECT … FROM …")


def is_in_doubt(error: TransientError) -> bool:
    """Whether a request that failed with this error may have taken effect."""
    if isinstance(error, TransportError):
        return error.sent
    return isinstance(error, ServerBusyError)


def job_body(values: Mapping[str, str], content_type: ContentType) -> Body:
    """Write a jobInfo: in JSON for JSON jobs, else in XML, as every recorded client does.

    :param values: in the order of the guide's samples, which once mattered in XML
    """
    if content_type.rows is ContentType.JSON:
        return json_body(values)
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<jobInfo xmlns="{NAMESPACE}">{inner}</jobInfo>'
    return Body.of(text.encode(), _XML_BODY)


def call_info(api: ApiCall, name: str) -> Flow[dict[str, Any]]:
    """Make a call and return the values of the info in its reply.

    :param name: ``jobInfo`` or ``batchInfo``
    :raises ProtocolError: the reply is something else
    :raises SfBulkError: as ``call``
    """
    found = _document(api, (yield from call(api)))
    if isinstance(found, Element):
        return dict(texts_of(_named(api, found, name)))
    if not isinstance(found, dict):
        raise _other(api, name)
    return found


def call_infos(api: ApiCall) -> Flow[list[Mapping[str, Any]]]:
    """Make a call and return the values of each batch in the reply's list; an empty list is an empty element."""
    found = _document(api, (yield from call(api)))
    if isinstance(found, Element):
        return [texts_of(_named(api, each, "batchInfo")) for each in _named(api, found, "batchInfoList")]
    entries = found.get("batchInfo") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise _other(api, "list of batches")
    return entries


def call_result_ids(api: ApiCall) -> Flow[list[str]]:
    """Make a call and return the texts of the reply's list of results."""
    found = _document(api, (yield from call(api)))
    if isinstance(found, Element):
        return [element_text(each) or "" for each in _named(api, found, "result-list")]
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise _other(api, "list of results")
    return found


def _document(api: ApiCall, reply: Reply) -> Any:
    """Read a reply: an XML element, or JSON values."""
    facts: dict[str, Any] = {"status": reply.status, "method": api.method, "path": api.path, "job_id": api.job_id}
    if is_html(reply):
        raise ServerBusyError(f"{api.method} {api.path}: the reply is a web page, as during maintenance", **facts)
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind in ("application/xml", "text/xml"):
            return parse(reply.body)
        if kind == "application/json":
            return safe_json.parse(reply.body)
    except (MalformedXmlError, safe_json.MalformedJsonError) as error:
        raise TransportError(f"{api.method} {api.path}: {error}", **facts) from error
    raise ProtocolError(f"{api.method} {api.path}: a reply of type {kind[:40]!r} instead of XML or JSON", **facts)


def _named(api: ApiCall, element: Element, name: str) -> Element:
    if local_name(element) != name:
        raise _other(api, name)
    return element


def _other(api: ApiCall, name: str) -> ProtocolError:
    return ProtocolError(f"{api.method} {api.path}: the reply is not a {name}", path=api.path, job_id=api.job_id)
