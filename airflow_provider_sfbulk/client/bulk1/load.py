"""How records get into Salesforce by Bulk API 1.0: every row once, as far as that API allows.

Facts (Bulk API guide):

* A batch is live once it is accepted: it runs although its job is ``Open``. So, unlike in Bulk API 2.0, nothing that
  was sent can be taken back, and nothing may be sent before the ledger says what will be.
* "Closed: no more batches can be added." A request that comes later is refused (``InvalidJobState``).
* What was sent as a batch can be read back (``/request``), and a job's batches can be listed.

Hence, for a whole round of a load:

1. *Read* the input to its end, cut it into batches and keep them on disk. A mistake in the last row is found before any
   job exists.
2. *Decide*: record the digest of every batch, then the decision. From now on neither input nor parameters may change.
3. *Send*: create a job and record its id before its first batch. Each batch is sent by one POST and its id is recorded.
4. *Close* the job.

If a reply is lost (the line dropped, or the task died), it is not known whether the batch was accepted. Closing its
job is a *fence*: before it the batch may still arrive, after it never. Behind the fence the list of batches is final,
and reading back those whose ids are not recorded shows, by their digests, which parts of the round they are. What is
found counts as sent and is recorded; the rest goes into another job.

A new try begins by fencing every recorded job. So it never adds a batch to an older try's job; nor can an older try
that wakes up again: its job is closed, and the ledger refuses to record another one.

This relies on Salesforce: it must not accept a batch after it has answered that the job is closed, the list must be
complete by then, and what is read back must be what was sent. A batch that the network itself sends twice runs twice;
that is found before the load counts as settled (``bulk1/waiting.py``), and cannot be undone.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Final, Self

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.bulk1.calls import INVALID_STATE, Bulk1Calls, Bulk1JobSpec, is_in_doubt
from airflow_provider_sfbulk.client.bulk1.models import Bulk1JobState
from airflow_provider_sfbulk.client.effects import Aside, Body, Flow, ReadEntry, Sleep, WriteEntry
from airflow_provider_sfbulk.client.errors import (
    EmptyInputError,
    FencedError,
    InputChangedError,
    JobFailedError,
    LedgerError,
    ProtocolError,
    Remedy,
    RequestRefusedError,
    SfBulkError,
    SourceError,
    TransientError,
)
from airflow_provider_sfbulk.client.load.fill import DECISION, GIVEN_UP, NOTHING, OnJob, UploadedPart, report_nothing
from airflow_provider_sfbulk.client.models import ColumnDelimiter
from airflow_provider_sfbulk.client.parts.split import Part, Spool
from airflow_provider_sfbulk.client.parts.temporary import TemporaryFile

SEND_TRIES: Final = 5
"""Jobs to make for one part before its sending counts as failed."""

PLAN_PARTS: Final = 100
"""Parts whose digests are recorded as one value: some 12 kB."""

_CHUNK_BYTES: Final = 256 * 1024

_GZIP: Final = b"\x1f\x8b"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PlannedBatch:
    """A part of a decided round.

    :param number: from 0
    :param first_row: number in the round, from 1, of its first record
    :param records: records in it
    :param length: bytes of its CSV
    :param sha256: digest of its CSV, hexadecimal
    """

    number: int
    first_row: int
    records: int
    length: int
    sha256: str

    @classmethod
    def of(cls, part: Part) -> Self:
        """Describe a part."""
        return cls(**{each.name: getattr(part, each.name) for each in fields(cls)})

    def to_list(self) -> list[Any]:
        """Return the entry for the ledger."""
        return [self.first_row, self.records, self.length, self.sha256]

    @classmethod
    def from_list(cls, number: int, known: Sequence[Any]) -> Self:
        """Read an entry of the ledger.

        :raises LedgerError: when it has another form
        """
        match known:
            case [int(first_row), int(records), int(length), str(sha256)] if first_row > 0 < records and length > 0:
                return cls(number=number, first_row=first_row, records=records, length=length, sha256=sha256)
        raise LedgerError(f"the ledger's entry for part {number} of the load is not in this provider's format")

    def is_part(self, part: Part) -> bool:
        """Whether a part that was read again is this one."""
        return part.sha256 == self.sha256


@dataclass(frozen=True, kw_only=True)
class AcceptedBatch(UploadedPart):
    """A part that Salesforce has accepted as a batch."""

    batch_id: str
    first_row: int

    @classmethod
    def as_batch(cls, part: PlannedBatch, known: Mapping[str, Any]) -> Self:
        """Describe the batch that a part was sent as."""
        return cls(
            number=part.number,
            job_id=known["job_id"],
            batch_id=known["batch_id"],
            first_row=part.first_row,
            records=part.records,
            length=part.length,
            sha256=part.sha256,
        )

    @property
    def key(self) -> str:
        """The batch's short id."""
        return self.batch_id[:15]

    def to_dict(self) -> dict[str, Any]:
        """Return what is recorded under the part's key; the rest is recorded with the plan."""
        return {"job_id": self.job_id, "batch_id": self.batch_id}


def load(
    jobs: Bulk1Calls,
    spec: Bulk1JobSpec,
    parts: Iterable[Part],
    *,
    number: int = 0,
    note: Mapping[str, Any] = NOTHING,
    compress: bool = False,
    on_job: OnJob = report_nothing,
) -> Flow[list[AcceptedBatch]]:
    """Read a round to its end, decide, send every part as a batch, once, and close the jobs.

    :param parts: read lazily, and only when not everything is sent yet
    :param number: the round's; 0 is the input
    :param note: recorded with the decision
    :param compress: send batches gzipped
    :param on_job: called with each job that is made, and the records that it may be sent
    :return: what was sent, in the order of the parts; the batches run, or have run
    :raises SourceError: when the input is wrong, and as its ``EmptyInputError`` when it is empty; nothing was sent
    :raises InputChangedError: when the round is decided, and the input gives other records now
    """
    plan = yield from planned(number)
    if plan is not None:
        return (yield from _Sending(jobs, spec, number, plan, compress, on_job).all(parts))
    with KeptParts() as kept:
        plan = yield from _decide(kept, parts, number, note)
        return (yield from _Sending(jobs, spec, number, plan, compress, on_job).all(kept))


def _decide(kept: KeptParts, parts: Iterable[Part], number: int, note: Mapping[str, Any]) -> Flow[list[PlannedBatch]]:
    plan: list[PlannedBatch] = []
    for part in parts:
        try:
            if part.dialect.column_delimiter is not ColumnDelimiter.COMMA:
                raise SourceError(
                    f"Bulk API 1.0 accepts only COMMA as a delimiter, not {part.dialect.column_delimiter}: convert the "
                    "source, or load it with Bulk API 2.0"
                )
            kept.keep(part)
            plan.append(PlannedBatch.of(part))
        finally:
            part.close()
    if not plan:
        raise EmptyInputError("the input has no records: there is nothing to load")
    for first in range(0, len(plan), PLAN_PARTS):
        group = plan[first : first + PLAN_PARTS]
        yield WriteEntry(_plan_key(number, first), {"parts": [each.to_list() for each in group]})
    records = sum(each.records for each in plan)
    yield WriteEntry(f"{DECISION}{number}", {**note, "parts": len(plan), "records": records})
    return plan


def planned(number: int = 0) -> Flow[list[PlannedBatch] | None]:
    """Read what a decided round is to send; None when it is not decided.

    :raises LedgerError: an entry is missing
    """
    decided = yield ReadEntry(f"{DECISION}{number}")
    if decided is None:
        return None
    plan: list[PlannedBatch] = []
    if not isinstance(decided["parts"], int):
        raise LedgerError("the ledger's number of parts of the load is not a number")
    while len(plan) < decided["parts"]:
        known = yield ReadEntry(_plan_key(number, len(plan)))
        if known is None or not known["parts"]:
            raise LedgerError(
                f"the load has {decided['parts']} parts, but the ledger has no entry for part {len(plan)}"
            )
        if not isinstance(known["parts"], list):
            raise LedgerError(
                f"the load has {decided['parts']} parts, but the ledger's entry for part {len(plan)} is not a list"
            )
        plan += [PlannedBatch.from_list(len(plan) + at, each) for at, each in enumerate(known["parts"])]
    return plan


def recorded(number: int = 0) -> Flow[list[AcceptedBatch]]:
    """Read from the ledger which parts of a decided round were sent, in order; not all of them, when a try was killed."""
    sent: list[AcceptedBatch] = []
    for part in (yield from planned(number)) or ():
        known = yield ReadEntry(_part_key(number, part.number))
        # A try that died before it decided may have filled a job of Bulk API 2.0 for this round: it was never closed.
        if known is not None and "sha256" not in known:
            sent.append(AcceptedBatch.as_batch(part, known))
    return sent


def _plan_key(number: int, first: int) -> str:
    return f"plan{number}.{first}"


def _part_key(number: int, part: int) -> str:
    return f"{number}.{part}"


def _job_key(number: int, place: int) -> str:
    return f"job{number}.{place}"


@dataclass
class _Sending:
    """A decided round on its way.

    :ivar sent: by the part's number
    :ivar jobs_made: jobs recorded so far, by this try and earlier ones
    :ivar open_job: id of the one that takes batches
    """

    jobs: Bulk1Calls
    spec: Bulk1JobSpec
    number: int
    plan: Sequence[PlannedBatch]
    compress: bool
    on_job: OnJob
    sent: dict[int, AcceptedBatch] = field(default_factory=dict)
    jobs_made: int = 0
    open_job: str | None = None

    def all(self, parts: Iterable[Part]) -> Flow[list[AcceptedBatch]]:
        """Send what is not sent yet."""
        yield from self._take_up()
        if not self._is_done:
            yield from self._send_missing(parts)
        if self.open_job is not None:
            yield from self._fence(self.open_job)
        return [self.sent[part.number] for part in self.plan]

    @property
    def _is_done(self) -> bool:
        return len(self.sent) == len(self.plan)

    def _take_up(self) -> Flow[None]:
        """Close the jobs of earlier tries, and find what they sent."""
        for each in (yield from recorded(self.number)):
            self.sent[each.number] = each
        while (known := (yield ReadEntry(_job_key(self.number, self.jobs_made)))) is not None:
            self.jobs_made += 1
            yield from self._close_and_find(known["job_id"])

    def _send_missing(self, parts: Iterable[Part]) -> Flow[None]:
        read = 0
        for part in parts:
            read += 1
            try:
                if part.number >= len(self.plan) or not self.plan[part.number].is_part(part):
                    raise self._changed(part.number)
                if part.number not in self.sent:
                    yield from self._send(self.plan[part.number], part)
            finally:
                part.close()
            if self._is_done:
                return
        raise self._changed(read)

    def _changed(self, number: int) -> InputChangedError:
        return InputChangedError(
            f"the input has changed since this load began, first in batch {number} of {len(self.plan)}; {len(self.sent)} "
            "batches were sent. Restore the original input: the load can continue only with it."
        )

    def _send(self, planned: PlannedBatch, part: Part) -> Flow[None]:
        for attempt in range(1, SEND_TRIES + 1):
            job_id = yield from self._job()
            try:
                batch = yield from self.jobs.add_batch(job_id, part.body, compress=self.compress)
            except SfBulkError as error:
                yield from self._look_after(job_id, error)
                if planned.number in self.sent:
                    return
                if attempt == SEND_TRIES:
                    raise
                log.warning("job %s did not accept batch %d: sending it to another job", job_id, planned.number)
                yield Sleep(2.0**attempt, jitter=0.5)
            else:
                yield from self._record(planned, job_id, batch.id)
                return

    def _look_after(self, job_id: str, error: SfBulkError) -> Flow[None]:
        """Find out what became of a batch without a proper answer; raise the error when another job would not help."""
        if isinstance(error, RequestRefusedError) and error.error_code == INVALID_STATE:
            # It was open for a day, or somebody has ended it.
            if (yield from self.jobs.get(job_id)).state is not Bulk1JobState.CLOSED:
                raise JobFailedError(
                    f"job {job_id} was closed or aborted by someone while batches were sent to it: {len(self.sent)} of "
                    f"{len(self.plan)} batches were sent",
                    job_id=job_id,
                    remedy=Remedy.GO_ON,
                ) from error
        elif not isinstance(error, ProtocolError) and not (isinstance(error, TransientError) and is_in_doubt(error)):
            yield from self._leave(job_id, error)
            raise error
        log.warning(
            "job %s may have received a batch although no reply came (%s): closing it to find out", job_id, error
        )
        yield from self._close_and_find(job_id)

    def _leave(self, job_id: str, error: SfBulkError) -> Flow[None]:
        """Close the job of a load that cannot go on now; if nothing was sent, the next try may start over."""
        if isinstance(error, RequestRefusedError) and not self.sent and self.number == 0:
            yield WriteEntry(GIVEN_UP, {})
        try:
            yield from self._fence(job_id)
        except SfBulkError as trouble:
            log.warning("job %s could not be closed (%s): it stays Open until the load continues", job_id, trouble)

    def _job(self) -> Flow[str]:
        """Return the job that takes batches; create and record one if there is none."""
        if self.open_job is None:
            try:
                job = yield from self.jobs.create(self.spec)
            except RequestRefusedError:
                if not self.sent and self.number == 0:
                    yield WriteEntry(GIVEN_UP, {})
                raise
            stands = yield WriteEntry(_job_key(self.number, self.jobs_made), {"job_id": job.id})
            if stands["job_id"] != job.id:
                raise FencedError(
                    f"another try of this load has taken over, with job {stands['job_id']}", job_id=job.id
                )
            self.jobs_made += 1
            self.open_job = job.id
            left = sum(part.records for part in self.plan if part.number not in self.sent)
            yield Aside(partial(self.on_job, job.id, number=self.number, records=left))
        return self.open_job

    def _record(self, part: PlannedBatch, job_id: str, batch_id: str) -> Flow[None]:
        sent = AcceptedBatch.as_batch(part, {"job_id": job_id, "batch_id": batch_id})
        stands = yield WriteEntry(_part_key(self.number, part.number), sent.to_dict())
        if dict(stands) != sent.to_dict():
            raise FencedError(
                f"another try of this load has taken over, and sent batch {part.number} as {stands['batch_id']}",
                job_id=job_id,
            )
        self.sent[part.number] = sent

    def _fence(self, job_id: str) -> Flow[None]:
        """Make sure that the job takes no more batches."""
        if self.open_job == job_id:
            self.open_job = None
        try:
            yield from self.jobs.close(job_id)
        except RequestRefusedError as error:
            # Somebody has aborted it, or it failed: that is a fence, too.
            if error.error_code != INVALID_STATE or (yield from self.jobs.get(job_id)).may_grow:
                raise

    def _close_and_find(self, job_id: str) -> Flow[None]:
        """Close a job, and record every batch of it that was sent without a reply."""
        yield from self._fence(job_id)
        if self._is_done:
            return
        missing: dict[str, list[PlannedBatch]] = {}
        for part in self.plan:
            if part.number not in self.sent:
                missing.setdefault(part.sha256, []).append(part)
        known = {each.key for each in self.sent.values()}
        for batch in (yield from self.jobs.list_batches(job_id)):
            if batch.id[:15] in known:
                continue
            data = unpacked((yield from self.jobs.request(job_id, batch.id)))
            found = missing.get(hashlib.sha256(data).hexdigest())
            if not found:
                raise LedgerError(
                    f"batch {batch.id} of job {job_id} contains records that this load did not send, or sent in another "
                    "batch. Nothing more is sent: compare the batch with the org.",
                    job_id=job_id,
                )
            part = found.pop(0)
            log.info(
                "batch %d had arrived as batch %s of job %s, although no reply came", part.number, batch.id, job_id
            )
            yield from self._record(part, job_id, batch.id)


def unpacked(data: bytes) -> bytes:
    """Unpack what was read back: it is not documented whether a gzipped batch comes back gzipped."""
    if data.startswith(_GZIP):
        with suppress(zlib.error):
            return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(data, limits.BATCH_CHARACTERS)
    return data


class KeptParts:
    """Parts in one temporary file without a name, which is gone when the process ends, also when it is killed.

    Takes as much space as the CSV of all parts, in one open file.
    """

    def __init__(self) -> None:
        self._file = TemporaryFile()
        self._length = 0
        self._parts: list[Part] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keep(self, part: Part) -> None:
        """Copy a part's bytes. The caller still closes the part."""
        start = self._length
        for chunk in part.body.chunks():
            self._file.write(chunk)
            self._length += len(chunk)
        body = Body(partial(self._chunks, start, self._length), part.length, part.body.content_type)
        self._parts.append(
            Part(
                number=part.number,
                first_row=part.first_row,
                records=part.records,
                length=part.length,
                sha256=part.sha256,
                body=body,
                dialect=part.dialect,
                spool=Spool(),
            )
        )

    def __iter__(self) -> Iterator[Part]:
        self._file.flush()
        return iter(self._parts)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _chunks(self, start: int, stop: int) -> Iterator[bytes]:
        place = start
        while place < stop:
            chunk = self._file.read_at(place, min(_CHUNK_BYTES, stop - place))
            yield chunk
            place += len(chunk)
