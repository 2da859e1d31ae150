"""Salesforce's Bulk API 2.0 for ingest, as far as a load can tell: requests in, replies out, and rows that get committed.

The facts it keeps to (Bulk API 2.0 guide): a job in ``Open`` is never processed; a job takes one PUT, and after a second
one it cannot be closed; a closed job processes each row once; an abort undoes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from airflow_provider_sfbulk.client.wire import Reply, Request

HOST = "https://acme.my.salesforce.com"
JOBS = "/services/data/v66.0/jobs/ingest"
JSON = {"content-type": "application/json;charset=UTF-8"}
FINAL = frozenset({"JobComplete", "Failed", "Aborted"})


@dataclass
class Job:
    """One ingest job.

    :param puts: contents that arrived
    :param done: how many of its rows are processed
    :param ended_by: who ended it otherwise than well: ``client`` or ``salesforce``
    """

    id: str
    state: str = "Open"
    puts: list[bytes] = field(default_factory=list)
    done: int = 0
    was_closed: bool = False
    ended_by: str | None = None

    @property
    def rows(self) -> list[str]:
        """The records of its content, without the header."""
        return self.puts[0].decode().split("\n")[1:-1] if self.puts else []

    def to_json(self) -> dict[str, Any]:
        """Give the job as Salesforce's replies do."""
        counts = {"numberRecordsProcessed": self.done, "numberRecordsFailed": 0}
        return {"id": self.id, "state": self.state, "operation": "insert", "object": "Account", **counts}


class Salesforce:
    """The org.

    :param rng: chooses which job goes on
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.jobs: dict[str, Job] = {}
        self.deleted: set[str] = set()
        self.committed: Counter[str] = Counter()
        self.token = 0
        self._made = 0

    @property
    def closed(self) -> list[Job]:
        """Jobs whose close has arrived."""
        return [job for job in self.jobs.values() if job.was_closed]

    @property
    def at_work(self) -> list[Job]:
        """Jobs that are being processed."""
        return [job for job in self.closed if job.state not in FINAL]

    def handle(self, request: Request) -> Reply:
        """Apply a request and answer it."""
        if request.headers["Authorization"] != f"Bearer {self.token}":
            return refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
        path = request.url.removeprefix(HOST + JOBS)
        if request.method == "POST":
            self._made += 1
            job = Job(f"750{self._made:015d}")
            self.jobs[job.id] = job
            return ok(job.to_json())
        job_id = path.split("/")[1]
        if job_id not in self.jobs or job_id in self.deleted:
            return refused(404, "NOT_FOUND", "The requested resource does not exist")
        job = self.jobs[job_id]
        if request.method == "GET":
            return ok(job.to_json())
        assert request.body is not None
        data = b"".join(request.body.chunks())
        return self._put(job, data) if request.method == "PUT" else self._patch(job, json.loads(data)["state"])

    def work(self) -> str:
        """Let some job process its next row, or end."""
        job = self._rng.choice(self.at_work)
        job.state = "InProgress"
        if job.done < len(job.rows):
            self.committed[job.rows[job.done]] += 1
            job.done += 1
        else:
            job.state = "JobComplete"
        return f"{job.id[-3:]} {job.state} {job.done}"

    def fail(self) -> str | None:
        """Let some job end ``Failed``, wherever it stands."""
        running = [job for job in self.jobs.values() if job.state not in FINAL]
        if not running:
            return None
        job = self._rng.choice(running)
        job.state, job.ended_by = "Failed", "salesforce"
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
    def _put(job: Job, data: bytes) -> Reply:
        if job.state != "Open":
            return refused(400, "INVALIDJOBSTATE", f"Job state must be Open, it is {job.state}")
        job.puts.append(data)
        return Reply(201)

    @staticmethod
    def _patch(job: Job, state: str) -> Reply:
        if job.state in FINAL or (state == "UploadComplete" and job.state != "Open"):
            return refused(400, "INVALIDJOBSTATE", f"{job.state} cannot become {state}")
        if state == "Aborted":
            job.ended_by = "client"
        elif len(job.puts) != 1:
            return refused(400, "INVALIDJOB", f"Found {len(job.puts)} contents for the job")
        else:
            job.was_closed = True
        job.state = state
        return ok(job.to_json())


def ok(data: Any) -> Reply:
    """Make a 200 reply."""
    return Reply(200, JSON, json.dumps(data).encode())


def refused(status: int, code: str, message: str = "because") -> Reply:
    """Make an error reply."""
    return Reply(status, JSON, json.dumps([{"errorCode": code, "message": message}]).encode())


ERROR_REPLIES = {
    "400": refused(400, "INVALIDBATCH"),
    "429": Reply(429, {"retry-after": "3"}),
    "500": refused(500, "UNKNOWN_EXCEPTION"),
    "503": refused(503, "SERVER_UNAVAILABLE"),
    "html": Reply(200, {"content-type": "text/html"}, b"<html>maintenance</html>"),
}
"""Replies that say nothing about whether the request was applied (``400``: it was not)."""
