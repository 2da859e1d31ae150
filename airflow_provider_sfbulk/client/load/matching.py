"""Which row of an uploaded part each row of its job's result files is.

Facts (Bulk API 2.0 guide, "Get Job … Record Results"): result rows come in no order and carry no number of the row that
was uploaded. Values are re-serialised, and a help article warns that some columns may come back blank. The same row may
have been uploaded several times.

Rules, the first that applies:

1. A key that is once in the part and once in all results together matches, whatever the other values are.
2. Rows with the same values match, identical ones by their number. To Salesforce they are the same row, so which of them
   is called failed is ours to say: the successful ones are the first of them, the unprocessed ones the last and the
   failed ones just before those. So the same ones are failed whether or not the successful ones are asked for.
3. One row of the part and one result row that are left with the same key match.
4. Other rows stay without a number.

A row of the part is used once at most: when two files claim it, successful goes before failed before unprocessed, since
a row that was taken must not be sent again. A surplus result row, one whose values are in the part but taken, stays
unmatched, also when rule 3 would find it a place: it is a copy, or a blanked row that happens to look like another.

Memory while it runs: about 70 bytes for each row of the part and of the results (measured); a million of both take about a
second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.load.digests import Digests
from airflow_provider_sfbulk.client.load.fingerprints import Fingerprints
from airflow_provider_sfbulk.client.models import RESULT_KINDS, ResultKind

Indexes: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Matched:
    """Rows of a part and their results.

    :param rows: by kind, for each row of the result file in its order the index of its row in the part, from 0; -1 when
        it is unknown
    :param missing: indexes of the part's rows without a result, ascending
    """

    rows: Mapping[ResultKind, Indexes]
    missing: Indexes


def match(rows: Fingerprints, results: Mapping[ResultKind, Fingerprints]) -> Matched:
    """Match result rows with the rows of the part.

    :param rows: of the part, in its order
    :param results: of the result files of the part's job; kinds that were not asked for are left out
    """
    kinds = [kind for kind in RESULT_KINDS if kind in results]
    parts = [rows, *(results[kind] for kind in kinds)]
    pairs = _Pairs([len(part) for part in parts], _ids([part.values for part in parts]))
    keys = None if rows.keys is None else _ids([_keys(part) for part in parts])
    if keys is not None:
        pairs.by_key(keys)
    pairs.by_values(first=kinds[:1] == ["successful"])
    if keys is not None:
        pairs.by_key(keys)
    return Matched(dict(zip(kinds, pairs.found, strict=True)), np.flatnonzero(pairs.free))


def match_by_key(rows: Digests, results: Mapping[ResultKind, Digests]) -> Mapping[ResultKind, Indexes] | None:
    """Match by the first rule alone, which takes half the time and memory.

    :param rows: keys of the part's rows, in its order
    :param results: keys of the result files' rows
    :return: what :func:`match` gives as rows; None when some result row is left: then the values have to tell
    """
    ids = _ids([rows, *results.values()])
    own, theirs = ids[: len(rows)], ids[len(rows) :]
    size = int(ids.max(initial=-1)) + 1
    if (theirs < 0).any() or (np.bincount(theirs, minlength=size) > 1).any():
        return None
    keyed = np.flatnonzero(own >= 0)
    if not (np.bincount(own[keyed], minlength=size) == 1)[theirs].all():
        return None
    row_of = np.empty(size, np.int64)
    row_of[own[keyed]] = keyed
    cuts = np.cumsum([len(each) for each in results.values()])[:-1]
    return dict(zip(results, np.split(row_of[theirs], cuts), strict=True))


def _keys(part: Fingerprints) -> Digests:
    if part.keys is None:
        raise ValueError("some fingerprints have keys and some have none")
    return part.keys


def _ids(parts: Sequence[Digests]) -> Indexes:
    """Number the distinct digests of all parts together, from 0; -1 for no digest."""
    # Both contiguous: sorting is several times quicker so.
    low, high = (np.concatenate([digests[:, i] for digests in parts]) for i in (0, 1))
    order = np.argsort(low, kind="stable")
    if not low.size:
        return order
    same_low, same_high = (half[order[1:]] == half[order[:-1]] for half in (low, high))
    if (same_low & ~same_high).any():
        # One half alone is equal: rare enough to sort by both only then.
        order = np.lexsort((high, low))
        same_low, same_high = (half[order[1:]] == half[order[:-1]] for half in (low, high))
    ids = np.empty(low.size, np.int64)
    ids[order] = np.concatenate(([0], np.cumsum(~(same_low & same_high))))
    ids[(low == 0) & (high == 0)] = -1
    return ids


class _Pairs:
    """Rows of the part and result rows, while they are being matched.

    :param lengths: how many rows the part has, and each result file
    :param values: numbers of the values of all of them, in that order
    """

    def __init__(self, lengths: Sequence[int], values: Indexes) -> None:
        self.free: Mask = np.ones(lengths[0], np.bool_)
        """Of each row of the part, whether it has no result yet."""
        self._all = np.full(sum(lengths[1:]), -1, np.int64)
        self._cuts = np.cumsum(lengths)[:-1]
        self.found = np.split(self._all, self._cuts[1:] - lengths[0])[: len(lengths) - 1]
        """By result file, the row of each of its rows; -1 for none. Views of one array."""
        self._surplus = np.zeros(len(self._all), np.bool_)
        self._values = np.split(values, self._cuts)

    def by_key(self, keys: Indexes) -> None:
        """Match what is left and has a key that one row and one result row have."""
        rows, results = keys[: len(self.free)], keys[len(self.free) :]
        size = int(keys.max(initial=-1)) + 1
        open_rows = np.flatnonzero(self.free & (rows >= 0))
        open_results = np.flatnonzero((self._all < 0) & (results >= 0))
        alone = (np.bincount(rows[open_rows], minlength=size) == 1) & (
            np.bincount(results[open_results], minlength=size) == 1
        )
        row_of = np.empty(size, np.int64)
        row_of[rows[open_rows]] = open_rows
        chosen = open_results[alone[results[open_results]] & ~self._surplus[open_results]]
        self._all[chosen] = row_of[results[chosen]]
        self.free[self._all[chosen]] = False

    def by_values(self, *, first: bool) -> None:
        """Match what is left and has the same values, as many as there are of both.

        :param first: whether the first result file takes the first of identical rows; every other takes the last
        """
        rows, *results = self._values
        size = max((int(each.max(initial=-1)) for each in self._values), default=-1) + 1
        known = np.zeros(size, np.bool_)
        known[rows] = True
        open_rows = np.flatnonzero(self.free)
        open_rows = open_rows[np.argsort(rows[open_rows], kind="stable")]
        count = np.bincount(rows[open_rows], minlength=size)
        begin = np.cumsum(count) - count
        wanted = [np.flatnonzero(found < 0) for found in self.found]
        given: list[Indexes] = []
        left = count.copy()
        for values, places in zip(results, wanted, strict=True):
            given.append(np.minimum(np.bincount(values[places], minlength=size), left))
            left -= given[-1]
        end = begin + count
        begins: list[Indexes] = []
        for share in reversed(given):
            end = end - share
            begins.insert(0, end)
        if first:
            begins[0] = begin
        for found, places, values, share, start in zip(self.found, wanted, results, given, begins, strict=True):
            groups = values[places]
            order = np.argsort(groups, kind="stable")
            groups = groups[order]
            sizes = np.bincount(groups, minlength=size)
            rank = np.arange(len(groups)) - (np.cumsum(sizes) - sizes)[groups]
            fits = np.flatnonzero(rank < share[groups])
            taken = open_rows[start[groups[fits]] + rank[fits]]
            found[places[order[fits]]] = taken
            self.free[taken] = False
        self._surplus = (self._all < 0) & known[np.concatenate([*results, rows[:0]])]
