"""What happens to a batch from the moment it is accepted, whether its job is closed or not.

Data batches run on the thread that writes, query batches on the one that reads, each ``job_seconds`` after it was
accepted; those of a serial job one after the other, each ``job_seconds`` after the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from airflow_provider_sfbulk.local_org.bulk1 import data_work, query_work
from airflow_provider_sfbulk.local_org.bulk1.jobs import Batch, BatchState, JobEntry, JobState
from airflow_provider_sfbulk.local_org.bulk1.records import BatchFailedError
from airflow_provider_sfbulk.local_org.core import Core


def accepted(core: Core, entry: JobEntry, batch: Batch) -> None:
    """Queue a new batch; in a serial job, when it is its turn."""
    unfinished = [each.batch for each in entry.batches.values() if not each.batch.state.is_final]
    if not entry.job.is_serial or unfinished == [batch]:
        _submit(core, entry, batch)


def resume(core: Core, entry: JobEntry) -> None:
    """Resume the batches that an earlier process left undone."""
    unfinished = [each.batch for each in entry.batches.values() if not each.batch.state.is_final]
    for batch in unfinished[:1] if entry.job.is_serial else unfinished:
        _submit(core, entry, batch)


def _submit(core: Core, entry: JobEntry, batch: Batch) -> None:
    worker = core.query_worker if entry.job.is_query else core.ingest_worker
    worker.submit(entry, _work(core, entry, batch, core.clock.now()))


def _work(core: Core, entry: JobEntry, batch: Batch, begun: datetime) -> Iterator[datetime]:
    """Work on a batch, whose time runs from ``begun``, and yield the moments at which it continues."""
    try:
        while not batch.state.is_final:
            core.bulk1.set_batch_state(batch, BatchState.IN_PROGRESS)
            yield begun + timedelta(seconds=core.job_seconds)
            if batch.id not in entry.batches:
                return  # a chunk that its job was closed without
            if _goes_back(core, entry, batch):
                core.bulk1.set_batch_state(batch, BatchState.QUEUED)
                entry.job.retries += 1
                core.bulk1.keep(entry.job)
                begun = core.clock.now()
                yield begun
    except BatchFailedError as error:
        core.bulk1.set_batch_state(batch, BatchState.FAILED, str(error))
    except Exception as error:
        # A bug in this package, which the worker records; the caller must not wait forever.
        core.bulk1.set_batch_state(batch, BatchState.FAILED, f"InternalServerError : {type(error).__name__}")
        raise
    finally:
        if entry.job.is_serial and batch.state.is_final:
            resume(core, entry)


def _goes_back(core: Core, entry: JobEntry, batch: Batch) -> bool:
    """Do what a batch asks for; return whether it goes back to the queue."""
    if not entry.job.is_query:
        return data_work.save_batch(core, entry, batch)
    ranges = query_work.split(core, entry, batch)
    if ranges is None:
        query_work.run(core, entry, batch)
        return False
    # The original leaves the queue last: a caller who sees that sees all its chunks.
    with core.store.writing():
        if entry.job.state is JobState.OPEN:
            _add_chunks(core, entry, batch, ranges)
        core.bulk1.set_batch_state(batch, BatchState.NOT_PROCESSED)
    return False


def _add_chunks(core: Core, entry: JobEntry, batch: Batch, ranges: list[tuple[str | None, str | None]]) -> None:
    """Add the batches of PK chunking: "each chunk counts as one batch of the daily allocation"."""
    soql = core.bulk1.request_path(batch).read_bytes()
    for first_id, before_id in ranges:
        made = core.bulk1.add_batch(entry, soql, chunk_of=batch.id, first_id=first_id, before_id=before_id)
        if not core.usage.take_batch():
            core.bulk1.set_batch_state(made.batch, BatchState.FAILED, "ExceededQuota : ApiBatchItems Limit exceeded")
        if not entry.job.is_serial:
            _submit(core, entry, made.batch)
