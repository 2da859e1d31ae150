"""Salesforce's Bulk API 2.0, as far as a task can tell: requests in, replies out, and rows that get committed.

The facts it keeps to (Bulk API 2.0 guide): a job in ``Open`` is never processed; a job takes one PUT, and after a second
one it cannot be closed; a closed job processes each row once; an abort undoes nothing, and a batch that is at work then
goes on. Each row of a final job is in one of three result files, in no certain order, its numbers written anew (912260031
comes back as 9.12260031E8). Results are given to the API version that the job was made with: others get 409.

Query jobs are in ``queries``.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random
from typing import Any

from airflow_provider_sfbulk.client.effects import Reply, Request
from tests.simulator.salesforce.queries import Queries
from tests.simulator.salesforce.replies import JSON, ok, other_version, refused

HOST = "https://acme.my.salesforce.com"
API_VERSION = "66.0"
JOBS = "/jobs/ingest"
QUERIES = "/jobs/query"
DESCRIBE = "/sobjects/Account/describe"
VERSIONS = "/services/data/"
LOCKED = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"
MISSING = "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"
NUMBER = "Amount__c"
FIELDS = {"Id": "id", "Name": "string", "Key__c": "string", NUMBER: "double"}
FINAL = frozenset({"JobComplete", "Failed", "Aborted"})
SLOW = 0.2
"""How likely such a batch is to go on, where another job would."""

BATCH_SECONDS = 9.0
"""So long a batch of these few rows goes on, at most, when its job has ended. A client waits for a little longer."""


@dataclass
class Job:
    """One ingest job.

    :param puts: contents that arrived
    :param errors: of its processed rows, in their order; None for a row that is saved
    :param ended_by: who ended it otherwise than well: ``client`` or ``salesforce``
    """

    id: str
    version: str = API_VERSION
    state: str = "Open"
    puts: list[bytes] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)
    counted: int | None = None
    """How many of its rows the counters of a job that did not complete have seen; None: all that are processed."""
    was_closed: bool = False
    ended_by: str | None = None
    at_work: int = 0
    """Rows of the batch that was at work when the job ended, and that it will still process. Until it is done, neither the
    counters nor the result files show what it does."""
    shown: int | None = None
    """How many of its rows the result files show meanwhile; None: all that are processed."""
    ended_at: float = 0.0

    @property
    def rows(self) -> list[str]:
        """The records of its content, without the header."""
        return self.puts[0].decode().split("\n")[1:-1] if self.puts else []

    @property
    def done(self) -> int:
        """How many of its rows are processed."""
        return len(self.errors)

    @property
    def saved(self) -> Counter[str]:
        """Its rows that are in the org."""
        return Counter(row for row, error in zip(self.rows, self.errors, strict=False) if error is None)

    @property
    def unsettled(self) -> Counter[str]:
        """Its rows that may yet get into the org."""
        if self.state in FINAL:
            return Counter(self.rows[self.done : self.done + self.at_work])
        return Counter(self.rows[self.done :]) if self.was_closed else Counter()

    @property
    def _shown(self) -> list[str | None]:
        return self.errors if self.shown is None else self.errors[: self.shown]

    def to_json(self) -> dict[str, Any]:
        """Give the job as Salesforce's replies do."""
        counted = self._shown if self.counted is None else self._shown[: self.counted]
        failed = sum(error is not None for error in counted)
        counts = {"numberRecordsProcessed": len(counted), "numberRecordsFailed": failed}
        facts = {"id": self.id, "apiVersion": float(self.version), "state": self.state}
        return {**facts, "operation": "insert", "object": "Account", **counts}

    def result(self, kind: str) -> bytes:
        """Write one of its three files.

        :param kind: the last segment of its path
        """
        rows = list(zip(self.rows, self._shown, strict=False))
        lines: list[tuple[tuple[str, ...], str]]
        if kind == "successfulResults":
            lines = [((f"001{place:015d}", "true"), row) for place, (row, error) in enumerate(rows) if error is None]
        elif kind == "failedResults":
            lines = [(("", error), row) for row, error in rows if error is not None]
        else:
            lines = [((), row) for row in self.rows[len(self._shown) :]]
        own = {"successfulResults": '"sf__Id","sf__Created",', "failedResults": '"sf__Id","sf__Error",'}.get(kind, "")
        columns = self.puts[0].decode().split("\n")[0]
        Random(self.id).shuffle(lines)  # no certain order, and the same at each reading
        text = "".join(_quoted((*first, *_written_anew(columns, row))) for first, row in lines)
        return f"{own}{columns}\n{text}".encode()


class Salesforce:
    """The org.

    :param rng: chooses which job goes on
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.jobs: dict[str, Job] = {}
        self.deleted: set[str] = set()
        self.committed: Counter[str] = Counter()
        self.troubles: dict[str, list[str]] = {}
        """Errors that rows will meet, one at each processing."""
        self.counters_lag = False
        """Whether the counters of a job that does not complete may lag behind its result files."""
        self.works_on = False
        """Whether a batch that is at work when its job ends may process more of its rows."""
        self.queries = Queries(rng)
        self.clock: Callable[[], float] = lambda: 0.0
        self.token = 0
        self._made = 0

    @property
    def closed(self) -> list[Job]:
        """Jobs whose close has arrived."""
        return [job for job in self.jobs.values() if job.was_closed]

    @property
    def at_work(self) -> list[Job]:
        """Jobs that are being processed."""
        return [job for job in self.closed if job.state not in FINAL or job.at_work]

    def handle(self, request: Request) -> Reply:
        """Apply a request and answer it."""
        for job in self.at_work:
            while job.at_work and self.clock() >= job.ended_at + BATCH_SECONDS:
                self._process(job)
        if request.headers["Authorization"] != f"Bearer {self.token}":
            return refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
        version, path = resource_of(request)
        if path == DESCRIBE:
            return ok(_describe())
        if path == VERSIONS:
            return Reply(200, {**JSON, "date": formatdate(self.clock(), usegmt=True)}, b"[]")
        if path.startswith(QUERIES):
            return self.queries.handle(request, version, path.removeprefix(QUERIES))
        path = path.removeprefix(JOBS)
        if request.method == "POST":
            self._made += 1
            job = Job(f"750{self._made:015d}", version)
            self.jobs[job.id] = job
            if request.body is not None and request.body.content_type.startswith("multipart/"):
                content = b"".join(request.body.chunks()).split(b"\r\n\r\n")[2]
                self._put(job, content.rpartition(b"\r\n--")[0])  # made, uploaded and closed in one request
                self._patch(job, "UploadComplete")
            return ok(job.to_json())
        job_id = path.split("/")[1]
        if job_id not in self.jobs or job_id in self.deleted:
            return refused(404, "NOT_FOUND", "The requested resource does not exist")
        job = self.jobs[job_id]
        if request.method == "GET" and path.count("/") == 2:
            return self._result(job, path.split("/")[2]) if version == job.version else other_version(job.version)
        if request.method == "GET":
            return ok(job.to_json())
        assert request.body is not None
        data = b"".join(request.body.chunks())
        return self._put(job, data) if request.method == "PUT" else self._patch(job, json.loads(data)["state"])

    def work(self) -> str:
        """Let some job process its next row, or end."""
        job = self._rng.choice(self.at_work)
        if job.state in FINAL:
            if self._rng.random() < SLOW:
                self._process(job)
            return f"{job.id[-3:]} {job.state}, and its batch goes on: {job.done}"
        job.state = "InProgress"
        if job.done < len(job.rows):
            self._process(job)
        else:
            job.state = "JobComplete"
        return f"{job.id[-3:]} {job.state} {job.done}"

    def _process(self, job: Job) -> None:
        row = job.rows[job.done]
        trouble = self.troubles.get(row)
        job.errors.append(trouble.pop() if trouble else None)
        self.committed[row] += job.errors[-1] is None
        if job.at_work:
            job.at_work -= 1
            job.shown = None if not job.at_work else job.shown

    def _end(self, job: Job, state: str, ended_by: str) -> None:
        """End a job otherwise than well. A batch of it may be at work, and works on."""
        if self.works_on and job.state == "InProgress" and (left := len(job.rows) - job.done):
            job.at_work = self._rng.randint(1, left)
            job.shown, job.ended_at = (job.done if job.at_work else None), self.clock()
        job.state, job.ended_by = state, ended_by
        if not job.at_work:
            self._lag(job)

    def fail(self) -> str | None:
        """Let some job end ``Failed``, wherever it stands."""
        running = [job for job in self.jobs.values() if job.state not in FINAL]
        if not running:
            return None
        job = self._rng.choice(running)
        self._end(job, "Failed", "salesforce")
        return job.id[-3:]

    def forget(self) -> int:
        """Delete all jobs that are not at work, as Salesforce does after seven days."""
        gone = {job.id for job in self.jobs.values() if job not in self.at_work} - self.deleted
        self.deleted |= gone
        return len(gone)

    @property
    def breakable(self) -> list[Job]:
        """Jobs whose next batch may be at work."""
        return [job for job in self.at_work if job.state not in FINAL and job.done < len(job.rows)]

    def fail_at_work(self) -> str:
        """Let some job end ``Failed`` while a batch of it is at work."""
        job = self._rng.choice(self.breakable)
        job.state = "InProgress"
        self._end(job, "Failed", "salesforce")
        return job.id[-3:]

    def expire(self) -> str | None:
        """Delete some job that is not at work, as Salesforce does after days."""
        resting = [job for job in self.jobs.values() if job not in self.at_work and job.id not in self.deleted]
        if not resting:
            return None
        job = self._rng.choice(resting)
        self.deleted.add(job.id)
        return job.id[-3:]

    @staticmethod
    def _result(job: Job, kind: str) -> Reply:
        if job.state not in FINAL or not job.puts:
            return refused(400, "INVALIDJOBSTATE", f"The job is {job.state}")
        return Reply(200, {"content-type": "text/csv"}, job.result(kind))

    @staticmethod
    def _put(job: Job, data: bytes) -> Reply:
        if job.state != "Open":
            return refused(400, "INVALIDJOBSTATE", f"Job state must be Open, it is {job.state}")
        job.puts.append(data)
        return Reply(201)

    def _lag(self, job: Job) -> None:
        if self.counters_lag and job.done:
            job.counted = self._rng.randint(1, job.done)

    def _patch(self, job: Job, state: str) -> Reply:
        if job.state in FINAL or (state == "UploadComplete" and job.state != "Open"):
            return refused(400, "INVALIDJOBSTATE", f"{job.state} cannot become {state}")
        if state == "Aborted":
            self._end(job, state, "client")
        elif len(job.puts) != 1:
            return refused(400, "INVALIDJOB", f"Found {len(job.puts)} contents for the job")
        else:
            job.was_closed = True
            job.state = state
        return ok(job.to_json())


def resource_of(request: Request) -> tuple[str, str]:
    """Give the API version of a request, and the path below it; the list of versions has none."""
    path = request.url.removeprefix(HOST)
    found = re.fullmatch(r"/services/data/v(\d+\.0)(/.+)", path)
    return ("", path) if found is None else (found[1], found[2])


def _quoted(values: tuple[str, ...]) -> str:
    return ",".join(f'"{value}"' for value in values) + "\n"


def _written_anew(columns: str, row: str) -> list[str]:
    """Give the cells of a row as results show them: a number as Java writes a double."""
    cells = next(csv.reader([row]))
    for place, name in enumerate(columns.split(",")):
        if name == NUMBER:
            large = f"{cells[place][0]}.{cells[place][1:].rstrip('0') or '0'}E{len(cells[place]) - 1}"
            cells[place] = large if len(cells[place]) > 7 else f"{cells[place]}.0"
    return cells


def _describe() -> dict[str, Any]:
    may = dict.fromkeys(("createable", "updateable", "deletable", "queryable"), True)
    fields = [
        {
            **{"name": name, "type": kind, "externalId": name == "Key__c", "createable": True, "updateable": True},
            "scale": 0,
        }
        for name, kind in FIELDS.items()
    ]
    return {"name": "Account", "fields": fields, **may}


ERROR_REPLIES = {
    "400": refused(400, "INVALIDBATCH"),
    "429": Reply(429, {"retry-after": "3"}),
    "500": refused(500, "UNKNOWN_EXCEPTION"),
    "503": refused(503, "SERVER_UNAVAILABLE"),
    "html": Reply(200, {"content-type": "text/html"}, b"<html>maintenance</html>"),
}
"""Replies that say nothing about whether the request was applied (``400``: it was not)."""
