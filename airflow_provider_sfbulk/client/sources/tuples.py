"""Streams of rows that are tuples under named columns, as a database gives them.

Columns are turned into text as lists of Python values: an array of a database's type would have to be chosen for each
driver, and would change what it does not hold (a decimal's digits, a moment's zone).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final, TypeAlias

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.parts.encode import BATCH_BYTES, LineBreaks, RecordEncoder
from airflow_provider_sfbulk.client.parts.mapping import SourceColumn, plan_columns
from airflow_provider_sfbulk.client.parts.stream import RecordStream, Rules
from airflow_provider_sfbulk.client.sources.row_source import AHEAD_ROWS, FIRST_ROWS, value_blocks

Row: TypeAlias = Sequence[Any]
Take: TypeAlias = Callable[[int], Sequence[Row]]
"""Gives the next rows, at most so many; none at the end."""

_AHEAD_CHARACTERS: Final = BATCH_BYTES
"""Characters of text, about, after which no more rows are read ahead."""


def from_tuples(take: Take, columns: Callable[[], Sequence[str]], rules: Rules, *, name: str) -> RecordStream:
    """Make a stream of rows that are tuples.

    The line ending is chosen by the first ``AHEAD_ROWS`` rows, or fewer where they are long.

    :param take: gives the rows
    :param columns: gives their columns; asked after the first rows were taken, since some databases tell them then
    :raises SourceError: when two columns have one name, or the columns cannot be sent; while reading, for the row that
        cannot
    """
    rules.refuse_columns(name)
    ahead = _read_ahead(take)
    labels = list(columns())
    _refuse_twins(labels, name)
    plan = plan_columns([SourceColumn(label) for label in labels], rules, name=name)
    breaks = LineBreaks()
    if rules.line_ending is None:
        for place in plan.kept:
            breaks.see_texts(row[place] for row in ahead)
    dialect = breaks.dialect(rules)
    encoder = RecordEncoder(plan, dialect, name=name)
    first = _emptied(ahead)

    def next_rows(size: int) -> Sequence[Row]:
        return list(islice(first, size)) or take(size)

    def as_columns(rows: Sequence[Row], _: int) -> list[list[Any]]:
        # Not zip(*rows): measured with SQLite, 8 columns, 300,000 rows a second instead of 190,000.
        return [list(map(itemgetter(place), rows)) for place in range(len(labels))]

    return RecordStream(
        plan.targets,
        dialect,
        lambda types: value_blocks(next_rows, as_columns, plan, encoder, types, rules),
        name=name,
    )


def _read_ahead(take: Take) -> list[Row]:
    ahead: list[Row] = []
    characters = 0
    while len(ahead) < AHEAD_ROWS and characters < _AHEAD_CHARACTERS and (rows := take(FIRST_ROWS)):
        ahead += rows
        characters += sum(len(value) for row in rows for value in row if isinstance(value, str))
    return ahead


def _emptied(rows: list[Row]) -> Iterator[Row]:
    """Give the rows and let go of them: they are not held while the rest is read."""
    rows.reverse()
    while rows:
        yield rows.pop()


def _refuse_twins(labels: Iterable[str], name: str) -> None:
    seen: set[str] = set()
    twins = []
    for label in labels:
        if label in seen and label not in twins:
            twins.append(label)
        seen.add(label)
    if twins:
        raise SourceError(f"{name}: there are several columns of the name {', '.join(twins)}: give them other names")
