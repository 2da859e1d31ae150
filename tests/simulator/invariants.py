"""What must hold in every schedule, whatever goes wrong. Checked as it happens and once more at the end."""

from __future__ import annotations

from collections import Counter

from airflow_provider_sfbulk.client.effects import Request
from airflow_provider_sfbulk.client.errors import (
    JobFailedError,
    NotFoundError,
    SfBulkError,
)
from tests.simulator.salesforce.model import JOBS, Job, Salesforce, resource_of


class Violation(AssertionError):
    """The protocol is broken."""


class Witness:
    """Watches one schedule.

    :param org: the model, whose committed rows are the truth
    :param rows: the input
    """

    def __init__(self, org: Salesforce, rows: list[str]) -> None:
        self._org = org
        self._rows = Counter(rows)
        self._uploads: Counter[str] = Counter()
        self._fenced: set[int] = set()
        self._sent: Counter[str] | None = None
        self.decided = False
        self.doubled_uploads: set[str] = set()

    def fenced(self, number: int) -> None:
        """Note that a try was told that it is replaced."""
        self._fenced.add(number)

    def stands(self, number: int) -> None:
        """Note that a try has verified a write: if it was told before that it is replaced, that was a wrong 404."""
        self._fenced.discard(number)

    def sends(self, number: int, request: Request, *, alone: bool) -> None:
        """Look at a request that a try sends on purpose.

        :param alone: whether the try's own flow sends it, not one of those it runs together: these are let finish, and
            can do no more than fill a job that nobody closes
        """
        what = name_of(request)
        if request.method == "PUT":
            job_id = resource_of(request)[1].removeprefix(JOBS).split("/")[1]
            self._uploads[job_id] += 1
            claim(self._uploads[job_id] == 1, f"the client sent two uploads to {job_id}")
        if request.method != "GET" and number in self._fenced:
            claim(not alone and what != "close", f"try {number} sent {what} although it was fenced")

    def applied(self, job: Job, before: Job) -> None:
        """Look at a job that a request has changed."""
        if job.was_closed and not before.was_closed:
            claim(self.decided, f"{job.id} was closed before anything was decided")
            for other in self._org.closed:
                claim(other is job or not set(other.rows) & set(job.rows), f"{job.id} and {other.id}: the same rows")
        if job.state == "Aborted" and before.state != "Aborted":
            claim(not job.was_closed, f"{job.id} was aborted by the client after its close")
        self.rows()

    def rows(self) -> None:
        """Hold what the org has committed against the input."""
        claim(self._org.committed <= self._rows, f"rows twice, or not ours: {self._org.committed - self._rows}")

    def sent_only(self, rows: list[str]) -> None:
        """Note which rows a try takes for those that are sent, since only they differ."""
        self._sent = Counter(rows)

    def succeeded(self) -> None:
        """Hold what the org has committed against the rows of a load that says it succeeded."""
        wanted = self._rows if self._sent is None else self._sent
        claim(self._org.committed <= wanted, f"sent beside what differs: {sorted(self._org.committed - wanted)}")
        claim(self._org.committed == wanted, f"success without {sorted(wanted - self._org.committed)}")

    def ended(self, number: int, open_parts: int) -> None:
        """Look at what a try leaves in its process."""
        claim(not open_parts, f"try {number} ended with {open_parts} parts open")

    def is_justified(self, error: BaseException) -> bool:
        """Whether a try without faults may end in this error, after what happened before.

        ``NotFoundError``: Salesforce has deleted a job of the load. ``JobFailedError``: Salesforce has ended one
        ``Failed``, or the network has sent an upload twice, so that Salesforce refused to close that job.
        """
        if isinstance(error, NotFoundError):
            return bool(self._org.deleted)
        if isinstance(error, JobFailedError):
            failed = any(job.ended_by == "salesforce" for job in self._org.jobs.values())
            return (failed or bool(self.doubled_uploads)) and "somebody else" not in str(error)
        return False

    def failed_for_good(self, error: BaseException) -> None:
        """Judge the error of a try that met no fault."""
        named = isinstance(error, SfBulkError)
        claim(named and self.is_justified(error), f"a try without faults failed: {type(error).__name__}: {error}")


def claim(holds: bool, otherwise: str) -> None:
    """Raise unless it holds."""
    if not holds:
        raise Violation(otherwise)


def name_of(request: Request) -> str:
    """Say what a request is: ``create``, ``upload``, ``close``, ``abort`` or ``look``."""
    if request.method == "PATCH":
        assert request.body is not None
        return "abort" if b"Aborted" in b"".join(request.body.chunks()) else "close"
    return {"POST": "create", "PUT": "upload", "GET": "look"}[request.method]
