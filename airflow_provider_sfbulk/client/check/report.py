"""The result of checking an input: the size of its load, and the number of rows with each kind of problem."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from airflow_provider_sfbulk.client.check.cells import Problem
from airflow_provider_sfbulk.client.check.repeated import Numbers
from airflow_provider_sfbulk.client.csv.names import first_of

SOURCE_ERROR: Final = "SOURCE_ERROR"
"""Code of what a load of the input would refuse as a whole, before anything is sent. The others are Salesforce's own."""

FIRST_ROWS: Final = 5
"""Rows that are named of each kind of problem."""

_SMALL_BYTES: Final = 3_000
"""Bytes of the problems in :meth:`CheckReport.to_dict`, so that the whole stays below 4 KB, as the summary of a load."""
_REFUSALS: Final = 3


@dataclass
class Found:
    """One kind of problem.

    :param rows: how many rows have it
    :param first_rows: numbers of the first of them in the input, from 1
    """

    problem: Problem
    rows: int = 0
    first_rows: list[int] = field(default_factory=list)

    def add(self, numbers: Numbers) -> None:
        """Take rows, in any order."""
        self.rows += len(numbers)
        smallest = np.partition(numbers, FIRST_ROWS)[:FIRST_ROWS] if len(numbers) > FIRST_ROWS else numbers
        self.first_rows = sorted({*self.first_rows, *smallest.tolist()})[:FIRST_ROWS]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "code": self.problem.code,
            "column": self.problem.column,
            "rows": self.rows,
            "first_rows": self.first_rows,
            "message": self.problem.message,
        }


class RowSet:
    """Numbers of rows, a bit for each row of the input."""

    def __init__(self) -> None:
        self._bits = np.zeros(1024, np.uint8)

    def add(self, numbers: Numbers) -> None:
        """Take numbers; those that are there stay."""
        if not len(numbers):
            return
        needed = int(numbers.max()) // 8 + 1
        if needed > len(self._bits):
            self._bits = np.concatenate((self._bits, np.zeros(max(needed, len(self._bits)), np.uint8)))
        np.bitwise_or.at(self._bits, numbers // 8, np.left_shift(1, numbers % 8).astype(np.uint8))

    def __len__(self) -> int:
        return int.from_bytes(self._bits.tobytes()).bit_count()


class CheckReport:
    """What was found. Nothing in it is a value of a record.

    :ivar records: rows of the input
    :ivar parts: jobs that a load of it needs; with Bulk API 1.0 batches
    :ivar bytes: of their CSV
    :ivar refused: why a load would be refused before anything is sent: what is wrong with the columns or with the file
    :ivar is_complete: whether the input was read to its end; a CSV that is broken is not
    """

    def __init__(self, sobject: str, operation: str) -> None:
        self.sobject = sobject
        self.operation = operation
        self.records = 0
        self.parts = 0
        self.bytes = 0
        self.refused: list[str] = []
        self.is_complete = True
        self._found: dict[Problem, Found] = {}
        self._rows = RowSet()

    def add(self, problem: Problem, numbers: Numbers) -> None:
        """Take rows that have a problem.

        :param numbers: of the rows in the input, from 1, each once for this problem
        """
        if len(numbers):
            self._found.setdefault(problem, Found(problem)).add(numbers)
            self._rows.add(numbers)

    @property
    def problems(self) -> list[Found]:
        """The kinds of problems, those of most rows first."""
        return sorted(self._found.values(), key=lambda each: (-each.rows, each.problem.column, each.problem.message))

    @property
    def failed(self) -> int:
        """Rows with at least one problem."""
        return len(self._rows)

    @property
    def errors(self) -> dict[str, int]:
        """Problems by code: a row with two of them counts twice."""
        counted: Counter[str] = Counter()
        for each in self._found.values():
            counted[each.problem.code] += each.rows
        return dict(counted.most_common())

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self._found and not self.refused

    @property
    def refusal(self) -> str | None:
        """Why a load would be refused as a whole, in one text; None when it would not be."""
        values = [_said(each) for each in self.problems if each.problem.code == SOURCE_ERROR]
        said = [*self.refused, *values]
        return first_of(said, _REFUSALS) if said else None

    def calls_of_load(self, *, is_classic: bool = False, has_results: bool = False) -> int:
        """Return how many API calls a load takes whose jobs end soon; each further look at one is another call.

        :param is_classic: whether it goes by Bulk API 1.0, as batches of one job
        :param has_results: whether result files are written
        """
        if is_classic:
            return 6 + self.parts * (3 if has_results else 1)
        return 1 + self.parts * (7 if has_results else 6)

    def lines(self) -> Iterator[str]:
        """Yield the report as lines of text, a line for each kind of problem."""
        end = "" if self.is_complete else ", up to where the input cannot be read"
        yield f"{self.records:,} rows in {self.parts:,} part(s) of {self.bytes:,} bytes in all were checked{end}"
        for reason in self.refused:
            yield f"the load would be refused: {reason}"
        width = max((len(code) for code in self.errors), default=0)
        for each in self.problems:
            yield f"{each.problem.code:{width}}  {_said(each)}"
        if self.is_clean:
            yield "no problem was found"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values of less than 4 KB, with the problems of most rows."""
        named: list[dict[str, Any]] = []
        room = _SMALL_BYTES
        for each in self.problems:
            room -= len(json.dumps(each.to_dict()))
            if room < 0:
                break
            named.append(each.to_dict())
        codes = list(self.errors.items())
        return {
            "sobject": self.sobject,
            "operation": self.operation,
            "records": self.records,
            "parts": self.parts,
            "bytes": self.bytes,
            "failed": self.failed,
            "errors": dict(codes),
            "problems": named,
            "more_problems": len(self._found) - len(named),
            "refused": [each[:300] for each in self.refused[:1]],
            "complete": self.is_complete,
        }


def _said(found: Found) -> str:
    rows = ", ".join(f"{row:,}" for row in found.first_rows)
    more = ", …" if found.rows > len(found.first_rows) else ""
    column = f"{found.problem.column}: " if found.problem.column else ""
    return f"{column}{found.problem.message} ({found.rows:,} row{'' if found.rows == 1 else 's'}: {rows}{more})"
