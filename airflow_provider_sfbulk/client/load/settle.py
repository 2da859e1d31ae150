"""What became of the records of a load of one round, by its jobs' own counters, held against what was sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeAlias

from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.load.fill import UploadedPart
from airflow_provider_sfbulk.client.models import JobInfo, JobState
from airflow_provider_sfbulk.client.protocol.jobs import ResultKind

Kind: TypeAlias = Literal["successful", "failed", "unprocessed"]

KINDS: Final[dict[Kind, ResultKind]] = {
    "successful": ResultKind.SUCCESSFUL,
    "failed": ResultKind.FAILED,
    "unprocessed": ResultKind.UNPROCESSED,
}


@dataclass(frozen=True)
class Settled:
    """One part and the final state of its job."""

    part: UploadedPart
    job: JobInfo

    def count(self, kind: Kind) -> int:
        """Records of that kind: rows that the result file must have."""
        unprocessed = self.part.records - self.job.processed
        return {"successful": self.job.successful, "failed": self.job.failed, "unprocessed": unprocessed}[kind]


@dataclass(frozen=True)
class Settlement:
    """A whole load, every job of it final."""

    parts: tuple[Settled, ...]

    @classmethod
    def of(cls, filled: Sequence[UploadedPart], infos: Iterable[JobInfo]) -> Self:
        """Hold the jobs' counters against what was sent.

        :raises ProtocolError: when a job counts more records than it was sent, or is ``JobComplete`` with fewer
        """
        by_id = {info.id: info for info in infos}
        parts = tuple(Settled(part, by_id[part.job_id]) for part in filled)
        for each in parts:
            complete = each.job.state is JobState.JOB_COMPLETE
            if min(map(each.count, KINDS)) < 0 or (complete and each.count("unprocessed")):
                raise ProtocolError(
                    f"job {each.job.id} does not reconcile: {each.part.records} records were uploaded, and Salesforce "
                    f"counts {each.job.processed} processed, {each.job.failed} of them failed. Nothing is sent again: "
                    "compare the job's result files with the input.",
                    job_id=each.job.id,
                )
        return cls(parts)

    @property
    def records(self) -> int:
        """Records that were sent."""
        return sum(each.part.records for each in self.parts)

    def count(self, kind: Kind) -> int:
        """Records of that kind over all jobs."""
        return sum(each.count(kind) for each in self.parts)
