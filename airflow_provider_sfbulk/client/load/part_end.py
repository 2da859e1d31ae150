"""How one part of a load ended, by its job's own counters, compared with what was sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.load.fill import UploadedPart
from airflow_provider_sfbulk.client.models import RESULT_KINDS, JobInfo, JobState, ResultKind


@dataclass(frozen=True)
class PartEnd:
    """A part of a round, and the final state of its job."""

    part: UploadedPart
    job: JobInfo

    @property
    def counters_are_final(self) -> bool:
        """Whether the job's own counters say what became of its records."""
        return self.job.state is JobState.JOB_COMPLETE and self.job.processed == self.part.records

    def count(self, kind: ResultKind) -> int:
        """Records of that kind, by the job's counters."""
        unprocessed = self.part.records - self.job.processed
        return {"successful": self.job.successful, "failed": self.job.failed, "unprocessed": unprocessed}[kind]

    def expected(self, kind: ResultKind) -> int | None:
        """Rows that the result file of that kind must have; None when the counters do not say."""
        return self.count(kind) if self.counters_are_final else None


def part_ends(parts: Sequence[UploadedPart], infos: Iterable[JobInfo]) -> list[PartEnd]:
    """Compare the counters of a load's jobs, all of them final, with what was sent.

    :raises ProtocolError: when a job counts more records than it was sent, or is ``JobComplete`` with fewer
    """
    by_id = {info.id: info for info in infos}
    ends = [PartEnd(part, by_id[part.job_id]) for part in parts]
    for each in ends:
        complete = each.job.state is JobState.JOB_COMPLETE
        if min(map(each.count, RESULT_KINDS)) < 0 or (complete and each.count("unprocessed")):
            raise ProtocolError(
                f"the counters of job {each.job.id} do not add up: {each.part.records} records were uploaded, "
                f"but Salesforce counts {each.job.processed} processed, {each.job.failed} of them failed. Nothing is sent "
                "again: compare the job's result files with the input.",
                job_id=each.job.id,
            )
    return ends
