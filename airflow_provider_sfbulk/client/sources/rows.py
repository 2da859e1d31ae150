"""Streams from rows: mappings (lists, iterators, JSON Lines), bare ids, and tuples with named columns.

Databases return tuples. Their columns are turned into text as lists of Python values: arrays would need types for each
driver, and would change what they cannot hold (a decimal's digits, a time zone).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from operator import itemgetter
from typing import Any, Final, TypeAlias, TypeVar

from airflow_provider_sfbulk.client.errors import ProtocolError, SourceError
from airflow_provider_sfbulk.client.models import check_id
from airflow_provider_sfbulk.client.parts.encode import BATCH_BYTES, BATCH_ROWS, LineBreaks, RecordEncoder
from airflow_provider_sfbulk.client.parts.mapping import ColumnPlan, SourceColumn, plan_columns
from airflow_provider_sfbulk.client.parts.stream import DELETES, Block, FieldTypes, RecordStream, Rules
from airflow_provider_sfbulk.client.parts.threads import in_order
from airflow_provider_sfbulk.client.sources.row_columns import RowColumns

AHEAD_ROWS: Final = 10_000
"""Rows of an iterator that are read before the header is decided: all columns must be in one of them."""

FIRST_ROWS: Final = 16
"""Rows of the first batch, two megabytes when their texts are as long as can be; the later ones follow from its size."""

Row: TypeAlias = Sequence[Any]
Take: TypeAlias = Callable[[int], Sequence[Row]]
"""Returns the next rows, at most this many; empty at the end."""

_AHEAD_CHARACTERS: Final = BATCH_BYTES
"""Approximate characters of text after which no more rows are read ahead."""

_CHANGING: Final = (dict, list, set)

T = TypeVar("T")


def from_dicts(rows: Iterable[Any], rules: Rules, *, name: str) -> RecordStream:
    """Make a stream from mappings, one for each record.

    Columns are ``rules.columns``, or all keys in the order of their first appearance; a row without a key leaves that
    field as it is. Of a list or tuple all rows are looked at for that, and for the line breaks in their values; of an
    iterator the first ``AHEAD_ROWS``, or with ``rules.columns`` fewer where they are long. A nested mapping is a
    relationship: ``{"Owner": {"External_Key__c": …}}``.

    No rows at all make a stream without columns and without records.

    :raises SourceError: when the columns cannot be sent; while reading, for the row that cannot
    """
    if isinstance(rows, (list, tuple)):
        return stream_rows(lambda: iter(rows), rows, rules, name=name)
    iterator = _kept_apart(iter(rows))
    ahead = list(_first_of(iterator, are_columns_known=rules.columns is not None))
    return stream_rows(lambda: chain(_emptied(ahead), iterator), ahead, rules, name=name)


def _first_of(rows: Iterator[Any], *, are_columns_known: bool) -> Iterator[Any]:
    characters = 0
    for row in islice(rows, AHEAD_ROWS):
        yield row
        if are_columns_known and isinstance(row, Mapping):
            characters += sum(len(value) for value in row.values() if isinstance(value, str))
            if characters >= _AHEAD_CHARACTERS:
                return


def _kept_apart(rows: Iterator[Any]) -> Iterator[Any]:
    """Yield rows of which none changes when the next one is made: a generator may fill one dict again and again.

    Only the first two rows are compared, since to copy all rows would take a fifth of the time of reading them.
    """
    for first in rows:
        kept = _copied(first)
        for second in rows:
            rest = chain((second,), rows)
            return chain((kept,), map(_copied, rest) if _share(first, second) else rest)
        return iter((kept,))
    return rows


def _share(first: Any, second: Any) -> bool:
    """Whether two rows are the same object, or have one in common that can change."""
    if first is second or not (isinstance(first, Mapping) and isinstance(second, Mapping)):
        return first is second
    return any(isinstance(value, _CHANGING) and value is second.get(key) for key, value in first.items())


def _copied(row: Any) -> Any:
    if not isinstance(row, dict):
        return dict(row) if isinstance(row, Mapping) else row
    return {key: value.copy() if isinstance(value, _CHANGING) else value for key, value in row.items()}


def _emptied(rows: list[T]) -> Iterator[T]:
    """Yield the rows and release them: they are not kept while the rest is read."""
    rows.reverse()
    while rows:
        yield rows.pop()


def stream_rows(
    rows: Callable[[], Iterator[Any]],
    seen: Iterable[Any],
    rules: Rules,
    *,
    name: str,
) -> RecordStream:
    """Make a stream of mappings whose columns and line breaks are those of ``seen``.

    :param rows: returns the records
    :param seen: the records, or the first of them, to learn from
    """
    columns = RowColumns(name=name, given=rules.columns)
    breaks = LineBreaks()
    columns.see(seen, breaks if rules.line_ending is None else None)
    plan = plan_columns(columns.columns, rules, name=name)
    dialect = breaks.dialect(rules)
    encoder = RecordEncoder(plan, dialect, name=name)

    def blocks(types: FieldTypes) -> Iterator[Block]:
        iterator = rows()
        return value_blocks(
            lambda size: list(islice(iterator, size)),
            lambda batch, row: columns.take_apart(batch, first_row=row),
            plan,
            encoder,
            types,
            rules,
        )

    return RecordStream(plan.targets, dialect, blocks, name=name)


def value_blocks(
    take: Callable[[int], Sequence[Any]],
    as_columns: Callable[[Sequence[Any], int], list[list[Any]]],
    plan: ColumnPlan,
    encoder: RecordEncoder,
    types: FieldTypes,
    rules: Rules,
) -> Iterator[Block]:
    """Encode rows of Python values, about ``BATCH_BYTES`` at a time.

    :param take: returns the next rows, at most that many; none at the end
    :param as_columns: turns rows into one list for each column of the source; it is given the first row's number, too
    """
    size = FIRST_ROWS

    def tasks() -> Iterator[Callable[[], Block]]:
        row = 1
        while batch := take(size):
            lists = as_columns(batch, row)
            kept = [lists[place] for place in plan.kept]
            yield partial(encoder.encode_columns, kept, types, rules.zone, first_row=row)
            row += len(batch)

    made = tasks()
    # The first block alone, and then one ahead: rows are as long as those before them, mostly.
    for block in chain((task() for task in islice(made, 1)), in_order(made, ahead=1)):
        yield block
        # At most doubled: one batch of small records says little about the next.
        size = max(1, min(BATCH_ROWS, 2 * size, BATCH_BYTES * block.records // len(block.data)))


def from_ids(ids: Iterable[str], rules: Rules, *, name: str) -> RecordStream:
    """Make a stream from bare record ids, for delete and hardDelete.

    :raises SourceError: for another operation; while reading, for what is not an id
    """
    if rules.operation not in DELETES:
        raise SourceError(
            f"{name}: row 1 must be a dict, not a string. Only delete and hardDelete take bare ids; to load files, pass a "
            "path or a list of paths as the source"
        )
    rows = _id_rows(ids, name) if rules.unfit is None else ({"Id": each} for each in ids)
    return from_dicts(rows, replace(rules, columns=("Id",)), name=name)


def _id_rows(ids: Iterable[Any], name: str) -> Iterator[dict[str, str | None]]:
    for row, each in enumerate(ids, start=1):
        try:
            yield {"Id": None if each is None else check_id(each)}  # None is refused with the other blank keys
        except ProtocolError:
            raise SourceError(f"{name}: row {row} must be a Salesforce id of 15 or 18 letters and digits") from None


def from_tuples(take: Take, columns: Callable[[], Sequence[str]], rules: Rules, *, name: str) -> RecordStream:
    """Make a stream from rows that are tuples.

    The line ending is chosen by the first ``AHEAD_ROWS`` rows, or fewer where they are long.

    :param take: returns the rows
    :param columns: returns their columns; called after the first rows were taken, since some databases know them only then
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
    while len(ahead) < AHEAD_ROWS and characters < _AHEAD_CHARACTERS:
        # At most doubled, as batches are: of a database each take is a round trip.
        rows = take(min(max(FIRST_ROWS, len(ahead)), AHEAD_ROWS - len(ahead)))
        if not rows:
            break
        ahead += rows
        characters += sum(len(value) for row in rows for value in row if isinstance(value, str))
    return ahead


def _refuse_twins(labels: Iterable[str], name: str) -> None:
    seen: set[str] = set()
    twins = []
    for label in labels:
        if label in seen and label not in twins:
            twins.append(label)
        seen.add(label)
    if twins:
        raise SourceError(f"{name}: several columns are named {', '.join(twins)}: rename them")
