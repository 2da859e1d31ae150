"""How records get into Salesforce: every row once.

The facts (Bulk API 2.0 guide):

* A job in state ``Open`` is never processed: "If you don't make this request [``UploadComplete``], processing of your
  data does not start". So everything before the close may be thrown away.
* A job takes one PUT. After a second one it cannot be closed any more.
* Nothing ties a job to the try that created it: a job whose id is lost stays ``Open`` and harmless.

Hence, for a whole load:

1. *Fill*: for every part create a job, upload the part with exactly one PUT, then record the job's id durably. A PUT whose
   outcome is unknown is never repeated: its job is given up and another one made.
2. *Decide*: once the input has been read to its end, record how many parts there are. A mistake in the last row of the
   input is found before a single row is processed.
3. *Close* every recorded job. Only now does Salesforce begin.

A new try that finds the decision closes what is still ``Open`` and waits; it neither reads the input nor makes a job. One
that finds no decision knows that nothing was ever closed; it reads the input again and keeps the jobs whose content is the
same, byte for byte.

Records that are sent again form another *round* of the load, filled, decided and closed like the first
(``load/rounds.py``).

A replaced try may wake up at any time, a write of its ledger and an abort may arrive long after they were sent. So a job
that the ledger names is aborted only after the ledger, read back, has decided for others or gives the whole load up.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol, Self

from airflow_provider_sfbulk.client.effects import Aside, Concurrently, Flow, ReadEntry, Sleep, WriteEntry
from airflow_provider_sfbulk.client.errors import (
    EmptyInputError,
    JobFailedError,
    LedgerError,
    NotFoundError,
    Remedy,
    RequestRefusedError,
    SfBulkError,
    SourceError,
    TransientError,
)
from airflow_provider_sfbulk.client.models import JobInfo, JobState
from airflow_provider_sfbulk.client.parts.split import Part
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.protocol.spec import IngestSpec

FILL_TRIES: Final = 5
"""Jobs to make for one part before its upload counts as failed."""

DECISION: Final = "end."
"""Key, followed by the round's number, under which the decision is recorded. It names all jobs that it is about: what
another try has recorded of single parts, before or since, is no part of it."""

GIVEN_UP: Final = "given_up"
"""Key under which is noted that the load ends undecided: the next try makes jobs of its own."""

NOTHING: Final[Mapping[str, Any]] = {}

CLOSE_TRIES: Final = 5
"""Closes that may get lost on the way before one job's closing counts as failed."""

UNCLOSABLE: Final = "INVALIDJOB"
"""Salesforce's code for a job with two uploads ("Found multiple contents for job … make sure you only do 'PUT' once")."""

CLOSE_LIMIT: Final = 5
"""Jobs to close at the same time. A close is one small call."""

log = logging.getLogger(__name__)


class OnJob(Protocol):
    """Called with each job that was made, before anything is uploaded to it."""

    def __call__(self, job_id: str, /, *, number: int, records: int) -> None:
        """Take note.

        :param number: the round's
        :param records: of the part that the job is for
        """


def report_nothing(job_id: str, /, *, number: int, records: int) -> None:
    """Do nothing with a new job."""


@dataclass(frozen=True, kw_only=True)
class UploadedPart:
    """A part that lies uploaded in a job of its own.

    :param number: the part's in its round, from 0
    :param records: records in it
    :param length: bytes of its CSV
    :param sha256: digest of its CSV, hexadecimal
    """

    number: int
    job_id: str
    records: int
    length: int
    sha256: str

    @property
    def key(self) -> str:
        """By what its end is looked up."""
        return self.job_id

    @classmethod
    def of(cls, part: Part, job_id: str) -> Self:
        """Return a part as uploaded to a job."""
        return cls(number=part.number, job_id=job_id, records=part.records, length=part.length, sha256=part.sha256)

    def to_dict(self) -> dict[str, Any]:
        """Return the ledger's entry of the part."""
        return {"job_id": self.job_id, "records": self.records, "length": self.length, "sha256": self.sha256}

    def to_list(self) -> list[Any]:
        """Return the part's entry in the decision."""
        return list(self.to_dict().values())

    @classmethod
    def from_list(cls, number: int, known: Sequence[Any]) -> Self:
        """Read a part of a recorded decision.

        :raises LedgerError: when that is nothing
        """
        match known:
            case [None, _, _, _]:
                raise LedgerError(f"the load is decided, but the ledger has no entry for its part {number}")
            case [str(job_id), int(records), int(length), str(sha256)] if job_id.isalnum() and records > 0 < length:
                return cls(number=number, job_id=job_id, records=records, length=length, sha256=sha256)
        raise LedgerError(f"the ledger's entry for part {number} of the load is not in this provider's format")


def load(
    jobs: IngestCalls,
    spec: IngestSpec,
    parts: Iterable[Part],
    *,
    limit: int,
    number: int = 0,
    note: Mapping[str, Any] = NOTHING,
    on_job: OnJob = report_nothing,
) -> Flow[list[UploadedPart]]:
    """Fill a job for every part of a round, decide, and close them all.

    :param spec: what all jobs have in common; delimiter and line ending are each part's own
    :param parts: read lazily, and only when the round is not decided yet
    :param limit: jobs to fill at the same time
    :param number: the round's; 0 is the input
    :param note: recorded with the decision
    :param on_job: called with each job that is made
    :return: the closed jobs, in the order of the parts
    :raises SourceError: when the input is wrong or, as ``EmptyInputError``, empty; every job made by
        this try is aborted, nothing was processed
    """
    decided = yield ReadEntry(f"{DECISION}{number}")
    if decided is None:
        replaced: list[str] = []
        filled = yield from _fill_all(jobs, spec, parts, limit, number, replaced, on_job)
        records = sum(each.records for each in filled)
        named = [each.to_list() for each in filled]
        yield WriteEntry(f"{DECISION}{number}", {**note, "parts": len(filled), "records": records, "jobs": named})
        for job_id in replaced:  # only now can no other try take them up
            yield from _abort_quietly(jobs, job_id)
        looked = False
    else:
        filled = yield from recorded(number)
        looked = True
    yield Concurrently((_close(jobs, each.job_id, look_first=looked) for each in filled), CLOSE_LIMIT)
    return filled


def recorded(number: int = 0) -> Flow[list[UploadedPart]]:
    """Read the jobs of a decided round from the ledger.

    :raises LedgerError: when the round is not decided, or an entry is missing
    """
    decided = yield ReadEntry(f"{DECISION}{number}")
    if decided is None:
        raise LedgerError("the load is not decided: its input has not been uploaded completely")
    filled = [UploadedPart.from_list(part, known) for part, known in enumerate(decided["jobs"])]
    if len({each.job_id for each in filled}) != decided["parts"]:
        raise LedgerError(f"the load has {decided['parts']} parts, but the ledger has {len(filled)} jobs")
    return filled


def _fill_all(
    jobs: IngestCalls,
    spec: IngestSpec,
    parts: Iterable[Part],
    limit: int,
    number: int,
    replaced: list[str],
    on_job: OnJob,
) -> Flow[list[UploadedPart]]:
    made: list[str] = []

    def fill(part: Part) -> Flow[UploadedPart]:
        return _fill(jobs, spec, part, number, made, replaced, on_job)

    try:
        filled: list[UploadedPart] = yield Concurrently((fill(part) for part in parts), limit)
        if not filled:
            raise EmptyInputError("the input has no records: there is nothing to load")
    except (SourceError, RequestRefusedError):
        # A retry helps with neither. Nothing of this round was closed, so nothing was processed. Of a later round the
        # jobs are left Open: the load goes on, and a newer try may take them up.
        if number == 0:
            yield from _give_up(jobs, made)
        raise
    return filled


def _give_up(jobs: IngestCalls, made: Iterable[str]) -> Flow[None]:
    """Abort the jobs of an undecided load, once it is certain that no other try takes them up.

    Without that note a newer try may have adopted and closed them, now or by the time a slow abort arrives.
    """
    try:
        yield WriteEntry(GIVEN_UP, {})
    except LedgerError as error:
        log.warning("the jobs of this load are left Open, so Salesforce never processes them: %s", error)
        return
    for job_id in made:
        yield from _abort_quietly(jobs, job_id)


def _fill(
    jobs: IngestCalls,
    spec: IngestSpec,
    part: Part,
    number: int,
    made: list[str],
    replaced: list[str],
    on_job: OnJob,
) -> Flow[UploadedPart]:
    """Bring one part into a job that is recorded, or find the recorded one that already holds it.

    :param made: is given the job
    :param replaced: is given an earlier try's job that holds something else
    """
    key = f"{number}.{part.number}"

    def entry(job_id: str) -> dict[str, Any]:
        return {**UploadedPart.of(part, job_id).to_dict(), "spec": _digest(spec)}

    try:
        known = yield ReadEntry(key)
        waits = known is not None and (yield from _is_open(jobs, known["job_id"]))
        if waits and known == entry(known["job_id"]):
            made.append(known["job_id"])
            yield WriteEntry(key, known)
            return UploadedPart.of(part, known["job_id"])
        job_id = yield from _upload(jobs, spec, part, number, on_job)
        made.append(job_id)
        stands = yield WriteEntry(key, entry(job_id))
        if stands["job_id"] != job_id:
            yield from _abort_quietly(jobs, job_id)
        elif waits:
            replaced.append(known["job_id"])
        log.info(
            "part %d is uploaded to job %s: %s records, %s bytes",
            part.number,
            stands["job_id"],
            f"{part.records:,}",
            f"{part.length:,}",
        )
        return UploadedPart.of(part, stands["job_id"])
    finally:
        part.close()


def _digest(spec: IngestSpec) -> str:
    """Return what distinguishes the jobs of a load from those of another with the same bytes."""
    return hashlib.sha256(json.dumps(spec.to_json(), sort_keys=True).encode()).hexdigest()[:8]


def _is_open(jobs: IngestCalls, job_id: str) -> Flow[bool]:
    """Whether an earlier try's job still waits for its close.

    :raises JobFailedError: when somebody else closed it: then what became of its records cannot be known here
    """
    try:
        info = yield from jobs.get(job_id)
    except NotFoundError:
        return False
    if info.state is JobState.OPEN:
        return True
    if info.state in (JobState.ABORTED, JobState.FAILED) and not info.processed:
        return False
    raise JobFailedError(
        f"an earlier try uploaded job {info.id} and did not close it, but the job is {info.state}: someone else has "
        "closed it, so its records may be in the org",
        job_id=info.id,
        remedy=Remedy.FORGET_LOAD,
    )


def _upload(jobs: IngestCalls, spec: IngestSpec, part: Part, number: int, on_job: OnJob) -> Flow[str]:
    """Make a job and upload the part to it, once. What is in doubt is given up: an ``Open`` job does no harm."""
    dialect = part.dialect
    written = replace(spec, column_delimiter=dialect.column_delimiter, line_ending=dialect.line_ending)
    for attempt in range(1, FILL_TRIES + 1):
        info = yield from jobs.create(written)
        try:
            yield Aside(partial(on_job, info.id, number=number, records=part.records))
            yield from jobs.upload(info.id, part.body)
        except SfBulkError as error:
            yield from _abort_quietly(jobs, info.id)
            if not isinstance(error, TransientError) or attempt == FILL_TRIES:
                raise
            log.warning(
                "the upload of part %d to job %s failed (%s): creating another job", part.number, info.id, error
            )
            yield Sleep(2.0**attempt, jitter=0.5)
        else:
            return info.id
    raise AssertionError("the last attempt returns or raises")


def _close(jobs: IngestCalls, job_id: str, *, look_first: bool) -> Flow[JobInfo]:
    """Close a job that may be closed already; a second close is refused and does no harm."""
    if look_first:
        info = yield from jobs.get(job_id)
        if info.state is not JobState.OPEN:
            return info
    for attempt in range(1, CLOSE_TRIES + 1):
        try:
            info = yield from jobs.close(job_id)
        except RequestRefusedError as error:
            if error.error_code != UNCLOSABLE:
                raise
            # The network has doubled the upload. Salesforce processes none of it; a later round sends the part again.
            log.warning(
                "job %s cannot be closed (%s): aborting it, and sending its part again in a later round", job_id, error
            )
            info = yield from jobs.abort(job_id)
            return info
        if info.state is not JobState.OPEN:
            return info
        yield Sleep(2.0**attempt, jitter=0.5)
    raise TransientError(
        f"job {job_id} is still Open after {CLOSE_TRIES} attempts to close it. Its data is at Salesforce",
        job_id=job_id,
        remedy=Remedy.GO_ON,
    )


def _abort_quietly(jobs: IngestCalls, job_id: str) -> Flow[None]:
    """Abort an ``Open`` job. Failing to is no harm: it is never processed, and Salesforce ends it after a day."""
    try:
        yield from jobs.abort(job_id)
    except SfBulkError as error:
        log.warning("job %s could not be aborted (%s): it stays Open, so Salesforce never processes it", job_id, error)
