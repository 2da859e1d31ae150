"""Query jobs of the model: each sees the org of its own moment, and its pages are the same at each reading."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from airflow_provider_sfbulk.client.effects import Reply, Request
from tests.simulator.salesforce.replies import ok, other_version, refused

COLUMNS = ("Id", "Name")
FINAL = frozenset({"JobComplete", "Failed", "Aborted"})
SERVER_PAGE = 2
"""Records of a page where Salesforce chooses."""


@dataclass
class Query:
    """One query job.

    :param rows: its result: no two jobs have a row in common, so that a mixture of two shows
    """

    id: str
    version: str
    rows: list[list[str]] = field(default_factory=list)
    columns: Sequence[str] = COLUMNS
    state: str = "UploadComplete"
    ended_by: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the job as Salesforce's replies do."""
        counted = {"numberRecordsProcessed": len(self.rows)} if self.state == "JobComplete" else {}
        facts = {"id": self.id, "apiVersion": float(self.version), "state": self.state}
        return {**facts, "operation": "query", "object": "Account", **counted}


class Queries:
    """The query half of the org.

    :param rng: chooses how many rows there are, and which job goes on
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.jobs: dict[str, Query] = {}
        self.deleted: set[str] = set()
        self.answer: Callable[[str, str], tuple[Sequence[str], list[list[str]]]] | None = None
        """Gives the columns and rows of a job, by its id and its statement, where they are not made up."""

    @property
    def at_work(self) -> list[Query]:
        """Jobs that run."""
        return [job for job in self.jobs.values() if job.state not in FINAL]

    def handle(self, request: Request, version: str, path: str) -> Reply:
        """Answer a request.

        :param version: of the API that it is made with
        :param path: what follows ``/jobs/query``
        """
        if request.method == "POST":
            made = len(self.jobs) + 1
            rows = [[f"001{made:03d}{row:012d}", f"cell{made}x{row}"] for row in range(self._rng.randint(0, 7))]
            job = self.jobs.setdefault(f"752{made:015d}", Query(f"752{made:015d}", version, rows))
            if self.answer is not None:
                assert request.body is not None
                job.columns, job.rows = self.answer(job.id, json.loads(b"".join(request.body.chunks()))["query"])
            return ok(job.to_json())
        _, job_id, *rest = path.split("/")
        if job_id not in self.jobs or job_id in self.deleted:
            return refused(404, "NOT_FOUND", "The requested resource does not exist")
        job = self.jobs[job_id]
        if request.method == "PATCH":
            return self._patch(job, request)
        if not rest:
            return ok(job.to_json())
        if job.state != "JobComplete":
            return refused(400, "INVALIDJOBSTATE", f"The job is {job.state}")
        if version != job.version:
            return other_version(job.version)
        query = dict(request.query)
        return self._page(job, query) if rest[0] == "results" else self._list(job, query)

    def work(self) -> str:
        """Let some job go on."""
        job = self._rng.choice(self.at_work)
        job.state = "InProgress" if job.state == "UploadComplete" else "JobComplete"
        return f"{job.id[-3:]} {job.state}"

    def fail(self) -> str | None:
        """Let some job end ``Failed``."""
        if not self.at_work:
            return None
        job = self._rng.choice(self.at_work)
        job.state, job.ended_by = "Failed", "salesforce"
        return job.id[-3:]

    def forget(self) -> int:
        """Delete all final jobs, as Salesforce does after seven days."""
        gone = {job.id for job in self.jobs.values() if job.state in FINAL} - self.deleted
        self.deleted |= gone
        return len(gone)

    def expire(self) -> str | None:
        """Delete some final job, as Salesforce does after days."""
        resting = [job.id for job in self.jobs.values() if job.state in FINAL and job.id not in self.deleted]
        if not resting:
            return None
        job_id = self._rng.choice(resting)
        self.deleted.add(job_id)
        return job_id[-3:]

    @staticmethod
    def _patch(job: Query, request: Request) -> Reply:
        assert request.body is not None
        assert json.loads(b"".join(request.body.chunks())) == {"state": "Aborted"}
        if job.state in FINAL:
            return refused(400, "INVALIDJOBSTATE", f"{job.state} cannot become Aborted")
        job.state, job.ended_by = "Aborted", "client"
        return ok(job.to_json())

    @staticmethod
    def _page(job: Query, query: dict[str, str]) -> Reply:
        """Give the records from a locator on. One of ``resultPages`` names its page's end, too."""
        first, _, end = query.get("locator", "0").partition("-")
        start = int(first)
        stop = int(end) if end else min(len(job.rows), start + int(query.get("maxRecords", SERVER_PAGE)))
        following = "null" if stop >= len(job.rows) else str(stop)
        headers = {"sforce-numberofrecords": str(stop - start), "sforce-locator": following, "content-type": "text/csv"}
        lines = "".join('"' + '","'.join(row) + '"\n' for row in [job.columns, *job.rows[start:stop]])
        return Reply(200, headers, lines.encode())

    @staticmethod
    def _list(job: Query, query: dict[str, str]) -> Reply:
        """Name two pages a list."""
        first = int(query.get("locator", "0"))
        starts = range(first, max(1, len(job.rows)), SERVER_PAGE)
        below = f"/services/data/v{job.version}/jobs/query/{job.id}"
        pages = [{"resultUrl": f"{below}/results?locator={s}-{min(len(job.rows), s + 2)}"} for s in starts[:2]]
        if len(starts) <= 2:
            return ok({"resultPages": pages, "done": True})
        url = f"{below}/resultPages?locator={starts[2]}"
        return ok({"resultPages": pages, "done": False, "nextRecordsUrl": url})
