"""What a trigger tells the task it wakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from airflow_provider_sfbulk.client.errors import ProtocolError


class WaitOutcome(StrEnum):
    """Why a wait in the triggerer is over."""

    FINAL = "final"
    """Every job is final."""
    TIMEOUT = "timeout"
    """The deadline has passed; the jobs go on."""
    ERROR = "error"
    """The triggerer could not go on asking. The task asks for itself, and meets the error with its type."""


@dataclass(frozen=True, kw_only=True)
class WakeUp:
    """The event of :class:`~airflow_provider_sfbulk.triggers.job.BulkJobTrigger`: a hint, never the truth about a job.

    :param job_ids: the jobs that were waited for
    :param api_calls: calls made so far, by the task before it was deferred and by the trigger
    """

    outcome: WaitOutcome
    job_ids: tuple[str, ...]
    api_calls: int

    def to_dict(self) -> dict[str, Any]:
        """Give the event's payload."""
        return {"outcome": str(self.outcome), "job_ids": list(self.job_ids), "api_calls": self.api_calls}

    @classmethod
    def from_dict(cls, event: Mapping[str, Any] | None) -> Self:
        """Read a payload. It crossed processes, and perhaps versions of this package, so it is distrusted.

        :raises ProtocolError: when it is not one
        """
        try:
            payload = dict(event or {})
            job_ids = payload["job_ids"]
            api_calls = payload["api_calls"]
            if not isinstance(job_ids, (list, tuple)) or not isinstance(api_calls, int):
                raise TypeError
            return cls(outcome=WaitOutcome(payload["outcome"]), job_ids=tuple(map(str, job_ids)), api_calls=api_calls)
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(
                "the deferred task was woken by an event that is not one of BulkJobTrigger's; the jobs go on, and a retry "
                "adopts them"
            ) from error

    def is_about(self, job_ids: Sequence[str]) -> bool:
        """Whether it speaks of these jobs. After a clear an old trigger's event may reach the new try."""
        return set(self.job_ids) == set(job_ids)
