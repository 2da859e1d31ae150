"""How records get into Salesforce: every row once.

The facts (Bulk API 2.0 guide):

* A job in state ``Open`` is never processed: "If you don't make this request [``UploadComplete``], processing of your
  data does not start". So everything before the close may be thrown away.
* A job takes one PUT. After a second one it cannot be closed any more.
* Nothing ties a job to whoever made it: a job whose id is lost stays ``Open`` and harmless.

Hence, for a whole load:

1. *Fill*: for every part create a job, upload the part with exactly one PUT, then record the job's id durably. A PUT whose
   outcome is unknown is never repeated: its job is given up and another one made.
2. *Decide*: once the input has been read to its end, record how many parts there are. A mistake in the last row of the
   input is found before a single row is processed.
3. *Close* every recorded job. Only now does Salesforce begin.

A new try that finds the decision closes what is still ``Open`` and waits; it neither reads the input nor makes a job. One
that finds no decision knows that nothing was ever closed; it reads the input again and keeps the jobs whose content is the
same, byte for byte.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_sfbulk.client.errors import (
    JobFailedError,
    LedgerError,
    RequestRefusedError,
    SfBulkError,
    SourceError,
    TransientError,
)
from airflow_provider_sfbulk.client.flows import job as jobs
from airflow_provider_sfbulk.client.models import JobInfo, JobState, JobType, Operation
from airflow_provider_sfbulk.client.records.parts import Part
from airflow_provider_sfbulk.client.wire import Flow, Recall, Record, Sleep, Together

FILL_TRIES: Final = 5
"""Jobs to make for one part before its upload counts as failed."""

CLOSE_LIMIT: Final = 5
"""Jobs to close at the same time. A close is one small call."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What all jobs of a load have in common."""

    sobject: str
    operation: Operation
    external_id_field: str | None = None
    assignment_rule_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A part that lies uploaded in a job of its own.

    :param number: the part's, from 0
    :param records: records in it
    :param length: bytes of its CSV
    :param sha256: digest of its CSV, hexadecimal
    """

    number: int
    job_id: str
    records: int
    length: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Give what is recorded under the part's key."""
        return {"job_id": self.job_id, "records": self.records, "length": self.length, "sha256": self.sha256}


def load(parts: Iterable[Part], *, order: Order, limit: int) -> Flow[list[Filled]]:
    """Fill a job for every part, decide, and close them all.

    :param parts: read lazily, and only when the load is not decided yet
    :param limit: jobs to fill at the same time
    :return: the closed jobs, in the order of the parts
    :raises SourceError: when the input is wrong or empty; every job made by this try is aborted, nothing was processed
    """
    decided = yield Recall("end")
    if decided is None:
        filled = yield from _fill_all(parts, order=order, limit=limit)
        yield Record("end", {"parts": len(filled), "records": sum(each.records for each in filled)})
        fresh = True
    else:
        filled = yield from _recorded(decided["parts"])
        fresh = False
    yield Together((_close(each, fresh=fresh) for each in filled), CLOSE_LIMIT)
    return filled


def _fill_all(parts: Iterable[Part], *, order: Order, limit: int) -> Flow[list[Filled]]:
    made: list[str] = []
    try:
        filled: list[Filled] = yield Together(_fillings(parts, order, made), limit)
        if not filled:
            raise SourceError(
                "the input has no records, so there is nothing to load; let the task be skipped in that case"
            )
    except (SourceError, RequestRefusedError):
        # Neither can be mended by a retry. Nothing was closed, so nothing was processed.
        for job_id in made:
            yield from _abort_quietly(job_id)
        raise
    return filled


def _fillings(parts: Iterable[Part], order: Order, made: list[str]) -> Iterator[Flow[Filled]]:
    for part in parts:
        yield _fill(part, order, made)


def _fill(part: Part, order: Order, made: list[str]) -> Flow[Filled]:
    """Bring one part into a job that is recorded, or find the recorded one that already holds it."""
    try:
        generation = 0
        while known := (yield Recall(f"{part.number}.{generation}")):
            if (yield from _is_usable(known, part)):
                yield Record(f"{part.number}.{generation}", known)
                made.append(known["job_id"])
                return _filled(part, known["job_id"])
            generation += 1
        job_id = yield from _upload(part, order)
        made.append(job_id)
        entry = _filled(part, job_id)
        stands = yield Record(f"{part.number}.{generation}", entry.to_dict())
        if stands["job_id"] != job_id:
            yield from _abort_quietly(job_id)
        return _filled(part, stands["job_id"])
    finally:
        part.close()


def _is_usable(known: Any, part: Part) -> Flow[bool]:
    """Whether an earlier try's job still waits with this part's content.

    :raises JobFailedError: when somebody else closed it: then what became of its records cannot be known here
    """
    try:
        info = yield from jobs.get_job(JobType.INGEST, known["job_id"])
    except RequestRefusedError as error:
        if error.status == 404:
            return False
        raise
    if info.state is JobState.OPEN:
        if known == _filled(part, known["job_id"]).to_dict():
            return True
        yield from _abort_quietly(info.id)
        return False
    if info.state in (JobState.ABORTED, JobState.FAILED) and not info.processed:
        return False
    raise JobFailedError(
        f"job {info.id} was uploaded by an earlier try and never closed by it, yet it is {info.state}: somebody else has "
        "closed it, so its records may be in the org. Check it there; delete the task's entries (sfbulk.…) from its state "
        "store to load everything anew.",
        job_id=info.id,
    )


def _upload(part: Part, order: Order) -> Flow[str]:
    """Make a job and upload the part to it, once. What is in doubt is given up: an ``Open`` job harms nobody."""
    for attempt in range(1, FILL_TRIES + 1):
        info = yield from jobs.create_ingest(
            order.sobject,
            order.operation,
            external_id_field=order.external_id_field,
            assignment_rule_id=order.assignment_rule_id,
            column_delimiter=part.dialect.column_delimiter,
            line_ending=part.dialect.line_ending,
        )
        try:
            yield from jobs.upload(info.id, part.body)
        except TransientError as error:
            yield from _abort_quietly(info.id)
            if attempt == FILL_TRIES:
                raise
            log.warning("upload of part %d to job %s failed (%s); making another job", part.number, info.id, error)
            yield Sleep(2.0**attempt, jitter=0.5)
        except SfBulkError:
            yield from _abort_quietly(info.id)
            raise
        else:
            return info.id
    raise AssertionError("unreachable")


def _recorded(count: int) -> Flow[list[Filled]]:
    filled = []
    for number in range(count):
        generation = 0
        entry = None
        while later := (yield Recall(f"{number}.{generation}")):
            entry = later
            generation += 1
        if entry is None:
            raise LedgerError(f"the load has {count} parts, but nothing is recorded about part {number}")
        filled.append(Filled(number=number, **entry))
    return filled


def _close(filled: Filled, *, fresh: bool) -> Flow[JobInfo]:
    if not fresh:
        info = yield from jobs.get_job(JobType.INGEST, filled.job_id)
        if info.state is not JobState.OPEN:
            return info
    return (yield from jobs.close(filled.job_id))


def _abort_quietly(job_id: str) -> Flow[None]:
    """Abort an ``Open`` job. Failing to is no harm: it is never processed, and Salesforce ends it after a day."""
    try:
        yield from jobs.abort(JobType.INGEST, job_id)
    except SfBulkError as error:
        log.warning("job %s could not be aborted (%s); it stays Open and is never processed", job_id, error)


def _filled(part: Part, job_id: str) -> Filled:
    return Filled(number=part.number, job_id=job_id, records=part.records, length=part.length, sha256=part.sha256)
