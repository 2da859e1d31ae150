"""Keeps records that are an operator's argument out of what Airflow stores and shows.

Airflow writes the value of every template field into its database twice: with the serialized DAG and as the task's
rendered fields. Records that are an argument, or another task's output, would be stored there in plain text.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any, ClassVar


class HiddenValue:
    """Holds records; shows only their type and number."""

    __slots__ = ("records",)

    def __init__(self, records: Any) -> None:
        self.records = records

    def __str__(self) -> str:
        kind = type(self.records).__name__
        return f"<{kind} of {len(self.records)} records>" if isinstance(self.records, Sized) else f"<{kind}>"

    __repr__ = __str__


class HiddenTemplate(HiddenValue):
    """Holds values whose texts are templates: Airflow renders them in place, and stores and shows the holder."""

    __slots__ = ()
    template_fields: ClassVar[Sequence[str]] = ("records",)
