"""What became of the records of a load: the counts, held against what was sent, and the result files.

Settling is as cheap as it can be while proven: a job that is ``JobComplete``, with none failed and as many processed as
were uploaded, needs no result file at all. A file is fetched when somebody wants it, and its rows are counted against
the job's counters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, Self

from airflow_provider_sfbulk.client.errors import ProtocolError, TransportError
from airflow_provider_sfbulk.client.flows.ingest import Filled
from airflow_provider_sfbulk.client.flows.job import IngestJobs, ResultKind
from airflow_provider_sfbulk.client.models import JobInfo, JobState
from airflow_provider_sfbulk.client.records.dialect import Dialect
from airflow_provider_sfbulk.client.wire import Flow, Sink

Kind = Literal["successful", "failed", "unprocessed"]
KINDS: Final[tuple[Kind, ...]] = ("successful", "failed", "unprocessed")

FETCH_TRIES: Final = 5
"""Times that one result file is fetched before it counts as broken."""


class ResultSink(Sink, Protocol):
    """Takes the result file of one job and counts its rows."""

    @property
    def records(self) -> int:
        """Rows of the file, once finished."""


class Results(Protocol):
    """Takes the result files of many jobs, one after the other."""

    def job(self, job_id: str, dialect: Dialect, /) -> ResultSink:
        """Give the sink for one job's file."""


@dataclass(frozen=True)
class Settled:
    """One part and the final state of its job."""

    part: Filled
    job: JobInfo

    @property
    def unprocessed(self) -> int:
        """Records that Salesforce never tried."""
        return self.part.records - self.job.processed

    def count(self, kind: Kind) -> int:
        """Rows that the result file of that kind must have."""
        return {"successful": self.job.successful, "failed": self.job.failed, "unprocessed": self.unprocessed}[kind]


@dataclass(frozen=True)
class Settlement:
    """A whole load, every job of it final."""

    parts: tuple[Settled, ...]

    @classmethod
    def of(cls, filled: Sequence[Filled], infos: Iterable[JobInfo]) -> Self:
        """Hold the jobs' counters against what was sent.

        :raises ProtocolError: when a job counts more records than it was sent, or ended ``JobComplete`` with fewer
        """
        by_id = {info.id: info for info in infos}
        parts = tuple(Settled(part, by_id[part.job_id]) for part in filled)
        for each in parts:
            if (
                each.job.failed > each.job.processed
                or each.unprocessed < 0
                or (each.unprocessed and each.job.state is JobState.JOB_COMPLETE)
            ):
                raise ProtocolError(
                    f"job {each.job.id} does not reconcile: {each.part.records} records were uploaded, and Salesforce "
                    f"counts {each.job.processed} processed, {each.job.failed} of them failed. Nothing is sent again; "
                    "compare the job's result files with the input.",
                    job_id=each.job.id,
                )
        return cls(parts)

    def count(self, kind: Kind) -> int:
        """Records of that kind over all jobs."""
        return sum(each.count(kind) for each in self.parts)

    @property
    def records(self) -> int:
        """Records that were sent."""
        return sum(each.part.records for each in self.parts)

    @property
    def unfinished(self) -> list[JobInfo]:
        """The jobs that ended ``Failed`` or ``Aborted``."""
        return [each.job for each in self.parts if each.job.state is not JobState.JOB_COMPLETE]


def fetch_results(settlement: Settlement, kind: Kind, results: Results) -> Flow[None]:
    """Fetch the result files of one kind, of every job that has such rows.

    :raises TransportError: when a file stays incomplete after ``FETCH_TRIES``
    """
    for each in settlement.parts:
        expected = each.count(kind)
        if expected:
            yield from _fetch_one(each, kind, expected, results)


def _fetch_one(settled: Settled, kind: Kind, expected: int, results: Results) -> Flow[None]: ...
