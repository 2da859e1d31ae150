"""The reserve of API calls: how many a task leaves to others before it starts something new."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from airflow_provider_sfbulk.client.arguments import LARGEST, is_whole, shown
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.protocol.org import ApiUsage


@dataclass(frozen=True)
class ApiReserve:
    """Calls to leave in the org: a number, or a float below 1 as a fraction of the day's calls.

    :param given: as the user wrote it
    """

    given: float

    @classmethod
    def of(cls, value: object, *, name: str = "the reserve") -> Self:
        """Check what the user wrote.

        :param name: the argument's name, for the message
        :raises SourceError: it is neither a whole number from 0 nor a fraction
        """
        is_count = is_whole(value) and 0 <= value <= LARGEST
        is_fraction = isinstance(value, float) and math.isfinite(value) and 0.0 <= value < 1.0
        if not is_count and not is_fraction:
            raise SourceError(
                f"{name} must be a whole number of API calls from 0, or a float from 0.0 to below 1.0 as a fraction of the "
                f"day's, not {shown(value)}"
            )
        return cls(int(value) if is_whole(value) else value)  # type: ignore[arg-type] # one of the two kinds

    def calls(self, usage: ApiUsage) -> int:
        """Return the reserve as a number of calls."""
        return math.ceil(self.given * usage.allowed) if isinstance(self.given, float) else int(self.given)

    def is_kept(self, usage: ApiUsage) -> bool:
        """Whether the org has as many calls left."""
        return usage.left >= self.calls(usage)

    def is_out_of_reach(self, usage: ApiUsage) -> bool:
        """Whether the org would have to have more calls than it has at all, with one left to make."""
        return self.calls(usage) >= usage.allowed and not self.is_kept(usage)
