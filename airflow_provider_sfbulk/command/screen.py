"""What the command prints: tables and a progress bar for people, JSON for programs. Errors and progress go to stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from airflow_provider_sfbulk.client.errors import SfBulkError
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.client.replies.safe_text import fit

PIPED_WIDTH: Final = 200
"""Of a table that does not go to a terminal, which knows its own."""


class Screen:
    """The terminal.

    :param as_json: print JSON, and no progress
    """

    def __init__(self, *, as_json: bool) -> None:
        self.is_json = as_json
        self._out = Console(soft_wrap=True, markup=False, highlight=False)
        if not self._out.is_terminal:
            self._out.width = PIPED_WIDTH
        self._err = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)

    def facts(self, known: Mapping[str, Any]) -> None:
        """Print facts, one line each."""
        if self.is_json:
            self.rows([known])
            return
        for name, value in known.items():
            if value not in (None, [], {}):
                shown = f"{value:,}" if isinstance(value, int) else _cell(value)
                self._out.print(f"{name:20} {shown}")

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines of text."""
        for line in lines:
            self._out.print(fit(line))

    def table(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        """Print rows; as JSON one a line."""
        if self.is_json:
            self.rows(rows)
            return
        table = Table(box=None, pad_edge=False)
        for number, name in enumerate(columns):
            table.add_column(name, no_wrap=number == 0, overflow="fold")
        for row in rows:
            table.add_row(*(_cell(row.get(name)) for name in columns))
        self._out.print(table)

    def rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Print rows as JSON, one a line. Control characters, which a terminal would obey, are escaped."""
        for row in rows:
            text = json.dumps(dict(row), default=str, ensure_ascii=False)
            self._out.print(text if text.isprintable() else json.dumps(dict(row), default=str))

    def error(self, error: SfBulkError) -> None:
        """Print an error."""
        if self.is_json:
            self._err.print(
                json.dumps({"error": type(error).__name__, "message": str(error), "code": error.error_code})
            )
        else:
            self._err.print(f"{type(error).__name__}: {error}")

    def hint(self, text: str) -> None:
        """Print what to do about an error."""
        if not self.is_json:
            self._err.print(text)

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[JobInfo], None]]:
        """Show a progress bar while jobs are running. Yields a function to be called with each job as it is read."""
        seen: dict[str, JobInfo] = {}
        what = fit(what, 100)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._err, transient=True, disable=self.is_json) as bar:
            task = bar.add_task(f"{what}: sending", total=None)

            def show(job: JobInfo) -> None:
                seen[job.id] = job
                done = sum(each.is_final for each in seen.values())
                processed = sum(each.processed for each in seen.values())
                failed = sum(each.failed for each in seen.values())
                bar.update(
                    task,
                    description=f"{what}: {done} of {len(seen)} job(s) done, {failed:,} failed",
                    completed=processed,
                )

            yield show


def _cell(value: Any) -> str:
    if value is None or value == []:
        return ""
    return fit(", ".join(map(str, value)) if isinstance(value, list) else str(value))
