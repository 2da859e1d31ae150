"""How a CSV is written: Salesforce's six delimiters and two line endings."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, JobInfo, LineEnding


@dataclass(frozen=True)
class Dialect:
    """Delimiter and line ending of a CSV, in Salesforce's names. Quoting is always RFC 4180's, in UTF-8."""

    column_delimiter: ColumnDelimiter = ColumnDelimiter.COMMA
    line_ending: LineEnding = LineEnding.LF

    @property
    def delimiter(self) -> str:
        """The delimiter itself, one character."""
        return self.column_delimiter.character

    @property
    def newline(self) -> str:
        """The line ending itself, one or two characters."""
        return self.line_ending.characters


def dialect_of(job: JobInfo) -> Dialect:
    """Return how a job's CSV is written, both its uploaded data and its results.

    :raises ProtocolError: the job names a delimiter or a line ending that does not exist
    """
    try:
        return Dialect(
            ColumnDelimiter(job.column_delimiter or ColumnDelimiter.COMMA), LineEnding(job.line_ending or LineEnding.LF)
        )
    except ValueError:
        raise ProtocolError(
            f"Salesforce reports an unknown column delimiter or line ending for job {job.id}", job_id=job.id
        ) from None
