"""Why Salesforce would refuse a row: the texts that CSV files share with all other sources.

None of them quotes a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.models import LineEnding
from airflow_provider_sfbulk.client.parts.mapping import ColumnPlan

NUL: Final = "a NUL character, which cannot be loaded: remove it"
LONG_FIELD: Final = f"longer than the {limits.FIELD_CHARACTERS:,} characters that a field can hold"
LONG_RECORD: Final = f"longer than the {limits.RECORD_CHARACTERS:,} characters that Salesforce accepts in a record"

NAMED_ROWS: Final = 20
"""Rows that one message names."""


def foreign_line_break(found: LineEnding, job: LineEnding) -> str:
    """Return the reason for a line break in a value that is not the job's line ending."""
    return (
        f"{found} line breaks in a job with line ending {job}, which Salesforce refuses: set "
        f'line_ending="{found}" if all line breaks in values are {found}, otherwise convert them to one kind'
    )


def without_key(rows: Sequence[int], plan: ColumnPlan) -> str:
    """Return the message for rows without the value that identifies their record.

    :param rows: numbers in the input, from 1
    """
    assert plan.key is not None, "rows lack a key where there is one"
    more = len(rows) - NAMED_ROWS
    shown = ", ".join(map(str, rows[:NAMED_ROWS])) + (f" and {more:,} more" if more > 0 else "")
    plural = "s" if rows[1:] else ""
    return (
        f"row{plural} {shown}: {plan.targets[plan.key]}, which identifies the record, is blank: fill it in or remove the "
        f"row{plural}{plan.blank_advice}"
    )
