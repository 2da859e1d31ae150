"""The event that a trigger fires, which says why the wait is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self

from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.client.protocol.distrust import short_id
from airflow_provider_sfbulk.client.replies.safe_text import guarded

CARRIED_JOBS: Final = 10
"""Jobs that an event carries, some 600 bytes each: the event is a row in Airflow's database."""


class WaitOutcome(StrEnum):
    """Why a wait in the triggerer is over."""

    FINAL = "final"
    """Every job is final; or the org has spare API calls."""
    TIMEOUT = "timeout"
    """The deadline has passed; the jobs continue."""
    ERROR = "error"
    """The triggerer could no longer poll. The task polls the jobs itself, and so gets the error with its type."""


def as_stored(job: JobInfo) -> dict[str, Any]:
    """Return a job in a form that Airflow may log and store: Salesforce's message may quote a row."""
    return replace(job, error_message=job.error_message and guarded(job.error_message)).to_dict()


@dataclass(frozen=True, kw_only=True)
class WaitEvent:
    """Why a wait in the triggerer is over: a hint for the task, which reads its jobs again.

    What it says about a job that has ended is final, and saves the task a call.

    :param job_ids: the jobs that were waited for; none when the wait was for spare API calls
    :param api_calls: calls made so far, by the task before it was deferred and by the trigger
    :param jobs: those that were read after they ended, unless there are many
    """

    outcome: WaitOutcome
    job_ids: tuple[str, ...]
    api_calls: int
    jobs: tuple[JobInfo, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the event's payload."""
        payload = {"outcome": str(self.outcome), "job_ids": list(self.job_ids), "api_calls": self.api_calls}
        ended = [as_stored(job) for job in self.jobs if job.is_final][:CARRIED_JOBS]
        return {**payload, "jobs": ended} if ended else payload

    @classmethod
    def from_dict(cls, event: Mapping[str, Any] | None) -> Self:
        """Read a payload. It crossed processes, and perhaps versions of this package, so it is not trusted.

        :raises ProtocolError: when it is not one
        """
        try:
            payload = dict(event or {})
            job_ids = payload["job_ids"]
            api_calls = payload["api_calls"]
            if not isinstance(job_ids, (list, tuple)) or not isinstance(api_calls, int):
                raise TypeError
            return cls(
                outcome=WaitOutcome(payload["outcome"]),
                job_ids=tuple(map(str, job_ids)),
                api_calls=api_calls,
                jobs=tuple(JobInfo.from_dict(job) for job in payload.get("jobs", ())),  # an older version's has none
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(
                "the deferred task was woken by an event that is not from BulkJobTrigger; the jobs continue, and a retry "
                "adopts them"
            ) from error

    def final_jobs(self, job_ids: Sequence[str]) -> list[JobInfo] | None:
        """Return what it says about these jobs, in order; None unless it says how each of them ended."""
        known = {short_id(job.id): job for job in self.jobs if job.is_final}
        keys = [short_id(job_id) for job_id in job_ids]
        return [known[key] for key in keys] if known.keys() >= set(keys) else None

    def is_about(self, job_ids: Sequence[str]) -> bool:
        """Whether it is about these jobs. After a clear, an old trigger's event may reach the new try."""
        return set(self.job_ids) == set(job_ids)
