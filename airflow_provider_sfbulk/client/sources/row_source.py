"""Streams of rows that are mappings (lists, iterators, JSON lines), and of bare ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any, Final

from airflow_provider_sfbulk.client.errors import ProtocolError, SourceError
from airflow_provider_sfbulk.client.models import check_id
from airflow_provider_sfbulk.client.parts.encode import BATCH_BYTES, BATCH_ROWS, LineBreaks, RecordEncoder
from airflow_provider_sfbulk.client.parts.mapping import ColumnPlan, plan_columns
from airflow_provider_sfbulk.client.parts.stream import DELETES, Block, FieldTypes, RecordStream, Rules
from airflow_provider_sfbulk.client.parts.threads import in_order
from airflow_provider_sfbulk.client.sources.row_columns import RowColumns

AHEAD_ROWS: Final = 10_000
"""Rows of an iterator that are read before the header is decided: all columns must be in one of them."""

FIRST_ROWS: Final = 256
"""Rows of the first batch; the later ones follow from its size."""


def from_dicts(rows: Iterable[Any], rules: Rules, *, name: str) -> RecordStream:
    """Make a stream of mappings, one for each record.

    Columns are ``rules.columns``, or all keys in the order of their first appearance; a row without a key leaves that
    field as it is. Of a list or tuple all rows are looked at for that, and for the line breaks in their values; of an
    iterator the first ``AHEAD_ROWS``. A nested mapping is a relationship: ``{"Owner": {"External_Key__c": …}}``.

    No rows at all make a stream without columns and without records.

    :raises SourceError: when the columns cannot be sent; while reading, for the row that cannot
    """
    if isinstance(rows, (list, tuple)):
        return stream_rows(lambda: iter(rows), rows, rules, name=name)
    iterator = iter(rows)
    ahead = list(islice(iterator, AHEAD_ROWS))
    return stream_rows(lambda: chain(_emptied(ahead), iterator), ahead, rules, name=name)


def _emptied(rows: list[Any]) -> Iterator[Any]:
    """Give the rows and let go of them: they are not held while the rest is read."""
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

    :param rows: gives the records
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

    :param take: gives the next rows, at most so many; none at the end
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
    """Make a stream of bare record ids, for delete and hardDelete.

    :raises SourceError: for another operation; while reading, for what is no id
    """
    if rules.operation not in DELETES:
        raise SourceError(
            f"{name}: row 1: a text where a mapping was expected. Bare ids are for delete and hardDelete; paths are given "
            "as the source itself, one or a list of nothing else"
        )
    return from_dicts(_id_rows(ids, name), replace(rules, columns=("Id",)), name=name)


def _id_rows(ids: Iterable[Any], name: str) -> Iterator[dict[str, str | None]]:
    for row, each in enumerate(ids, start=1):
        try:
            yield {"Id": None if each is None else check_id(each)}  # None is refused with the other blank keys
        except ProtocolError:
            raise SourceError(f"{name}: row {row}: not a Salesforce id, which is 15 or 18 letters and digits") from None
