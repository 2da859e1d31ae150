"""How records get into Salesforce by Bulk API 1.0: every row once, as far as that API allows.

The facts (Bulk API guide):

* A batch is live when it is accepted: it runs although its job is ``Open``. So, unlike in Bulk API 2.0, nothing that was
  sent can be thrown away.
* "Closed: no more batches can be added." A request that comes later is refused (``InvalidJobState``).
* What was sent as a batch can be read back (``/request``), and a job's batches can be listed.

Theory. What is in doubt is whether a batch was accepted whose reply is lost: the line dropped, or the task died. Closing
its job is a *fence*: before it the batch may still arrive, after it never. Behind the fence the list of batches is final,
and reading them back tells which part each of them is. Hence:

1. Create a job and record its id, before its first batch is sent.
2. For each part: record the digest of the batch that is about to be sent; send it, once; record the batch's id.
3. In doubt: close the job, list its batches, read back those whose ids are not recorded, and compare their digests with
   those of the batches that were about to be sent. What is found counts as sent and is recorded. The rest goes into
   another job.
4. All sent: close the job, then record the decision.

A new try begins with 3 for every recorded job. So it never adds a batch to an older try's job, and neither can an older
try that wakes up again: its job is closed.

What is left open: Salesforce must not accept a batch after it has answered that the job is closed, the list must be whole
by then, and what is read back must be what was sent. And a mistake in the last row of the input is found when the
batches before are running.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.errors import (
    FencedError,
    InputChangedError,
    LedgerError,
    ProtocolError,
    RequestRefusedError,
    SfBulkError,
    SourceError,
    TransientError,
)
from airflow_provider_sfbulk.client.flows.bulk1 import INVALID_STATE, Jobs1, JobSpec1, is_in_doubt
from airflow_provider_sfbulk.client.records.parts import Part
from airflow_provider_sfbulk.client.wire import Flow, Recall, Record, Sleep

SEND_TRIES: Final = 5
"""Jobs to make for one part before its sending counts as failed."""

DECISION: Final = "end"
"""Key under which is recorded that everything was sent."""

_GZIP: Final = b"\x1f\x8b"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A part that Salesforce has accepted as a batch.

    :param number: the part's, from 0
    :param records: records in it
    :param length: bytes of it
    :param sha256: digest of it, hexadecimal
    """

    number: int
    job_id: str
    batch_id: str
    records: int
    length: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Give what is recorded under the part's key."""
        return {
            "job_id": self.job_id,
            "batch_id": self.batch_id,
            "records": self.records,
            "length": self.length,
            "sha256": self.sha256,
        }

    @classmethod
    def of(cls, number: int, known: Any) -> Self:
        """Read what :meth:`to_dict` gave."""
        return cls(number=number, **known)


def load(jobs: Jobs1, spec: JobSpec1, parts: Iterable[Part], *, compress: bool = False) -> Flow[list[Sent]]:
    """Send every part as a batch, once, and close the jobs.

    :param parts: read lazily, one after the other, and only when not everything is sent yet
    :param compress: send batches gzipped
    :return: what was sent, in the order of the parts; the batches run, or have run
    :raises SourceError: the input is wrong; batches before the wrong row were sent, and run
    :raises InputChangedError: an earlier try has sent other records
    """
    decided = yield Recall(DECISION)
    if decided is not None:
        return (yield from recorded(decided["parts"]))
    loading = _Loading(jobs, spec, compress)
    yield from loading.take_up()
    sent: list[Sent] = []
    try:
        for part in parts:
            try:
                sent.append((yield from loading.send(part)))
            finally:
                part.close()
    except SourceError:
        # A row that cannot be sent. The batches before it run; a corrected input goes on behind them.
        yield from loading.close_quietly()
        raise
    yield from loading.check_all_known(len(sent))
    if not sent:
        raise SourceError("the input has no records: there is nothing to load. Let the task be skipped in that case.")
    yield from loading.close()
    yield Record(DECISION, {"parts": len(sent), "records": sum(each.records for each in sent)})
    return sent


def recorded(parts: int) -> Flow[list[Sent]]:
    """Read from the ledger what was sent.

    :param parts: how many there are
    :raises LedgerError: an entry is missing
    """
    sent = []
    for number in range(parts):
        known = yield Recall(_part_key(number))
        if known is None:
            raise LedgerError(f"the load has {parts} batches, but nothing is recorded about batch {number}")
        sent.append(Sent.of(number, known))
    return sent


def _part_key(number: int) -> str:
    return f"batch.{number}"


def _job_key(number: int) -> str:
    return f"job.{number}"


def _intent_key(job: int, number: int) -> str:
    return f"intent.{job}.{number}"


@dataclass
class _Loading:
    """A load under way.

    :ivar jobs_made: jobs recorded so far, by this try and earlier ones
    :ivar open_job: id of the one that takes batches
    :ivar first: number of the first part that was, or will be, sent to that job
    """

    jobs: Jobs1
    spec: JobSpec1
    compress: bool
    jobs_made: int = 0
    open_job: str | None = None
    first: int = 0

    def take_up(self) -> Flow[None]:
        """Close the jobs of earlier tries, and find what they sent."""
        while (known := (yield Recall(_job_key(self.jobs_made)))) is not None:
            self.jobs_made += 1
            self.open_job, self.first = known["job_id"], known["first"]
            yield from self._settle()

    def send(self, part: Part) -> Flow[Sent]:
        """Send a part, unless it was sent."""
        trouble: SfBulkError | None = None
        for attempt in range(SEND_TRIES + 1):
            known = yield Recall(_part_key(part.number))
            if known is not None:
                return _same(Sent.of(part.number, known), part)
            if trouble is not None:
                if attempt == SEND_TRIES:
                    raise trouble
                yield Sleep(2.0**attempt, jitter=0.5)
            job_id = yield from self._job(part.number)
            intent = {"records": part.records, "length": part.length, "sha256": part.sha256}
            stands = yield Record(_intent_key(self.jobs_made - 1, part.number), intent)
            if dict(stands) != intent:
                raise FencedError(f"another try of this load is sending to job {job_id}", job_id=job_id)
            try:
                batch = yield from self.jobs.add_batch(job_id, part.body, compress=self.compress)
            except (TransientError, ProtocolError) as error:
                if isinstance(error, TransientError) and not is_in_doubt(error):
                    raise
                log.warning("whether job %s has batch %d is in doubt (%s): closing it", job_id, part.number, error)
                trouble = error
                yield from self._settle()
            else:
                return (yield from self._record(Sent.of(part.number, {**intent, **_ids(job_id, batch.id)})))
        raise AssertionError("unreachable: the last try returned or raised")

    def close(self) -> Flow[None]:
        """Close the job that takes batches."""
        if self.open_job is not None:
            yield from self.jobs.close(self.open_job)
            self.open_job = None

    def close_quietly(self) -> Flow[None]:
        """Close it if that can be: left ``Open`` it takes no harm, and a new try closes it."""
        try:
            yield from self.close()
        except SfBulkError as error:
            log.warning("job %s stays Open: %s", self.open_job, error)

    def check_all_known(self, parts: int) -> Flow[None]:
        """Check that nothing was sent that the input does not have.

        :raises InputChangedError: there was
        """
        beyond = yield Recall(_part_key(parts))
        if beyond is not None:
            raise InputChangedError(
                f"the input has {parts} batches now, but an earlier try has sent more: job {beyond['job_id']}",
                job_id=beyond["job_id"],
            )

    def _job(self, first: int) -> Flow[str]:
        """Give the job that takes batches; make and record one if there is none."""
        if self.open_job is None:
            job = yield from self.jobs.create(self.spec)
            stands = yield Record(_job_key(self.jobs_made), {"job_id": job.id, "first": first})
            if stands["job_id"] != job.id:
                yield from self.jobs.abort(job.id)
                raise FencedError(f"another try of this load goes on with job {stands['job_id']}", job_id=job.id)
            self.jobs_made += 1
            self.open_job, self.first = job.id, first
        return self.open_job

    def _record(self, sent: Sent) -> Flow[Sent]:
        stands = yield Record(_part_key(sent.number), sent.to_dict())
        if dict(stands) != sent.to_dict():
            raise FencedError(
                f"another try of this load has sent batch {sent.number} as {stands['batch_id']}", job_id=sent.job_id
            )
        return sent

    def _fence(self, job_id: str) -> Flow[None]:
        """See to it that the job takes no batch any more."""
        try:
            yield from self.jobs.close(job_id)
        except RequestRefusedError as error:
            # Somebody has aborted it, or it failed: that is a fence as well.
            if error.error_code != INVALID_STATE or (yield from self.jobs.get(job_id)).may_grow:
                raise

    def _settle(self) -> Flow[None]:
        """Close the job, and record every batch of it that was sent without a reply."""
        job_id, place = self.open_job, self.jobs_made - 1
        assert job_id is not None, "a job is settled while it takes batches"
        yield from self._fence(job_id)
        self.open_job = None
        wanted: dict[str, list[int]] = {}
        intents: dict[int, Any] = {}
        ids: set[str] = set()
        number = self.first
        while (intent := (yield Recall(_intent_key(place, number)))) is not None:
            known = yield Recall(_part_key(number))
            if known is None:
                wanted.setdefault(intent["sha256"], []).append(number)
                intents[number] = intent
            elif known["job_id"] == job_id:
                ids.add(known["batch_id"][:15])
            number += 1
        if not intents:
            return
        unknown = [each for each in (yield from self.jobs.list_batches(job_id)) if each.id[:15] not in ids]
        for batch in unknown:
            digests = _digests((yield from self.jobs.request(job_id, batch.id)))
            numbers = next((wanted[each] for each in digests if wanted.get(each)), None)
            if numbers is None:
                raise LedgerError(
                    f"batch {batch.id} of job {job_id} is none that this load was about to send. Check in Salesforce "
                    "what it holds before anything is sent again.",
                    job_id=job_id,
                )
            found = numbers.pop(0)
            log.info("batch %d was sent as %s of job %s although no reply came", found, batch.id, job_id)
            yield from self._record(Sent.of(found, {**intents[found], **_ids(job_id, batch.id)}))


def _ids(job_id: str, batch_id: str) -> dict[str, str]:
    return {"job_id": job_id, "batch_id": batch_id}


def _digests(data: bytes) -> list[str]:
    """Give the digests by which a batch may be known: whether a gzipped one is read back unpacked is not documented."""
    found = [hashlib.sha256(data).hexdigest()]
    if data.startswith(_GZIP):
        unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        with suppress(zlib.error):
            found.append(hashlib.sha256(unpack.decompress(data, limits.BATCH_CHARACTERS)).hexdigest())
    return found


def _same(sent: Sent, part: Part) -> Sent:
    if sent.sha256 != part.sha256:
        raise InputChangedError(
            f"batch {sent.number} was sent by an earlier try as {sent.batch_id} of job {sent.job_id}, with other records "
            "than the input has now. Load what is new with another task.",
            job_id=sent.job_id,
        )
    return sent
