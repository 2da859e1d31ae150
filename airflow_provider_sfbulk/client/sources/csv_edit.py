"""Changes CSV bytes whose structure is known: cuts out and inserts bytes, and leaves everything else unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.csv.bits import Bytes, Places
from airflow_provider_sfbulk.client.csv.scan import CR, QUOTE, Scan
from airflow_provider_sfbulk.client.models import LineEnding
from airflow_provider_sfbulk.client.parts.mapping import ColumnPlan
from airflow_provider_sfbulk.client.parts.stream import NULL_TEXT

_NULL: Final = np.frombuffer(NULL_TEXT.encode(), np.uint8)


class Edit:
    """The changes to each block of a file's records.

    :param columns: how many columns the file has
    :param plan: which of them are kept, and whose empty values clear
    :param file_ending: how the file's records end
    :param job_ending: how the job's records end
    :param only_value_missing: raises the error of the record, from 0, of which nothing would be left
    """

    def __init__(
        self,
        columns: int,
        plan: ColumnPlan,
        file_ending: LineEnding,
        job_ending: LineEnding,
        only_value_missing: Callable[[int], NoReturn],
    ) -> None:
        self._columns = columns
        self._plan = plan
        self._dropped = [place for place in range(columns) if place not in set(plan.kept)]
        self._file_ending = file_ending
        self._job_ending = job_ending
        self._only_value_missing = only_value_missing
        self.changes_nothing = not self._dropped and not any(plan.clears) and file_ending is job_ending

    def apply(self, found: Scan) -> bytes:
        """Return the bytes of the records, changed. Every record has the file's number of columns."""
        if self.changes_nothing:
            return found.raw
        # Starts and stops of the values: a row a record, a column a column.
        after = found.separators.reshape(-1, self._columns)
        starts = np.empty_like(after)
        starts.flat[0] = 0
        starts.flat[1:] = after.flat[:-1] + 1
        stops = after.copy()
        if self._file_ending is LineEnding.CRLF:
            stops[:, -1] -= 1
        change = np.zeros(found.data.size + 1, np.int8)
        insertions: list[tuple[Places, Bytes]] = []
        self._clear(found.data, starts, stops, change, insertions)
        self._drop(starts, stops, after, change)
        if self._file_ending is not self._job_ending:
            if self._job_ending is LineEnding.LF:
                _cut(change, found.ends - 1, found.ends)
            else:
                insertions.append((found.ends, np.array([CR], np.uint8)))
        return _edited(found.data, np.cumsum(change[:-1], dtype=np.int8) == 0, insertions)

    def _clear(
        self,
        data: Bytes,
        starts: Places,
        stops: Places,
        change: NDArray[np.int8],
        insertions: list[tuple[Places, Bytes]],
    ) -> None:
        for place, clears in zip(self._plan.kept, self._plan.clears, strict=True):
            lengths = stops[:, place] - starts[:, place]
            empty = starts[lengths == 0, place]
            if clears:
                two = starts[lengths == 2, place]
                quoted = two[(data[two] == QUOTE) & (data[two + 1] == QUOTE)]
                _cut(change, quoted, quoted + 2)
                insertions.append((np.concatenate((empty, quoted)), _NULL))
            elif len(self._plan.kept) == 1 and empty.size:
                self._only_value_missing(int(np.argmax(lengths == 0)))

    def _drop(self, starts: Places, stops: Places, after: Places, change: NDArray[np.int8]) -> None:
        for place in self._dropped:
            if place < self._plan.kept[0]:
                _cut(change, starts[:, place], after[:, place] + 1)  # with the delimiter that follows
            else:
                _cut(change, after[:, place - 1], stops[:, place])  # with the one before


def _cut(change: NDArray[np.int8], start: Places, stop: Places) -> None:
    change[start] += 1
    change[stop] -= 1


def _edited(data: Bytes, keep: NDArray[np.bool_], insertions: list[tuple[Places, Bytes]]) -> bytes:
    if insertions:
        places = np.concatenate([np.repeat(at, text.size) for at, text in insertions])
        texts = np.concatenate([np.tile(text, at.size) for at, text in insertions])
        # Of insertions at one place the order is kept: a value's text stands before its record's ending.
        data = np.insert(data, places, texts)
        keep = np.insert(keep, places, np.ones(places.size, np.bool_))
    return data[keep].tobytes()
