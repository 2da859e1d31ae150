"""Finds, for each row of a job's result files, the row of the uploaded part that it belongs to.

Facts (Bulk API 2.0 guide, "Get Job … Record Results"): result rows come in no order and carry no number of the row that
was uploaded. Values are re-serialised, and a help article warns that some columns may come back blank. The same row may
have been uploaded several times.

Rules, the first that applies:

1. A key that is once in the part and once in all results together matches, whatever the other values are.
2. Rows with the same values match, identical ones by their number. To Salesforce they are the same row, so we may choose
   which of them counts as failed: the first ones are successful, the last ones unprocessed, and the failed ones come
   just before those. So the same rows are failed, whether or not the successful rows are read.
3. One row of the part and one result row that are left with the same key match.
4. Other rows stay without a number.

A row of the part is matched at most once. If several files claim it, successful wins over failed, and failed over
unprocessed, since a row that was saved must not be sent again. A surplus result row, whose values are in the part but
already matched, stays unmatched, even if rule 3 would match it: it is a copy, or a row with blanked values that happens
to look like another.

Memory while it runs: five bytes for each row of the part and of the results. The digests are in files and are processed
a share at a time; identical rows are always in the same share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.load.digests import DigestFile, Digests, Rows, digests_at, pairs, runs, shares
from airflow_provider_sfbulk.client.load.fingerprints import Fingerprints
from airflow_provider_sfbulk.client.models import RESULT_KINDS, ResultKind

Indexes: TypeAlias = NDArray[np.int32]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Matched:
    """Rows of a part and their results.

    :param rows: by kind, for each row of the result file in its order the index of its row in the part, from 0; -1 when
        it is unknown
    :param missing: for each of the part's rows, whether it has no result
    """

    rows: Mapping[ResultKind, Indexes]
    missing: Mask


def match(rows: Fingerprints, results: Mapping[ResultKind, Fingerprints]) -> Matched:
    """Match result rows with the rows of the part.

    :param rows: of the part, in its order
    :param results: of the result files of the part's job; kinds that were not asked for are left out
    """
    kinds = [kind for kind in RESULT_KINDS if kind in results]
    parts = [rows, *(results[kind] for kind in kinds)]
    keys = None if rows.keys is None else [_keys(part) for part in parts]
    pairs = _Pairs([len(part) for part in parts])
    if keys is not None:
        pairs.by_key(keys)
    pairs.by_values([part.values for part in parts], first=kinds[:1] == ["successful"])
    if keys is not None:
        pairs.by_key(keys)
    return Matched(dict(zip(kinds, pairs.found, strict=True)), pairs.free)


def match_by_key(rows: DigestFile, results: Mapping[ResultKind, DigestFile]) -> Mapping[ResultKind, Indexes] | None:
    """Match by the first rule alone, which takes half the time.

    :param rows: keys of the part's rows, in its order
    :param results: keys of the result files' rows
    :return: what :func:`match` gives as rows; None when some result row is left: then the values have to tell
    """
    if any(file.blank for file in results.values()):
        return None
    pairs = _Pairs([rows.rows, *(file.rows for file in results.values())])
    pairs.by_key([rows, *results.values()])
    return None if any((found < 0).any() for found in pairs.found) else dict(zip(results, pairs.found, strict=True))


def _keys(part: Fingerprints) -> DigestFile:
    if part.keys is None:
        raise ValueError("some fingerprints have keys and some have none")
    return part.keys


class _Pairs:
    """Rows of the part and result rows, while they are being matched.

    :param lengths: how many rows the part has, and each result file
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self.free: Mask = np.ones(lengths[0], np.bool_)
        """Of each row of the part, whether it has no result yet."""
        self._all = np.full(sum(lengths[1:]), -1, np.int32)
        self._begins = np.cumsum([0, *lengths[1:-1]]).tolist()
        self.found = np.split(self._all, self._begins[1:])[: len(lengths) - 1]
        """By result file, the row of each of its rows; -1 for none. Views of one array."""
        self._surplus = np.zeros(len(self._all), np.bool_)

    def by_key(self, keys: Sequence[DigestFile]) -> None:
        """Match what is left and has a key that one row and one result row have."""
        for part, *files in shares(keys):
            results = self._together([each.rows for each in files])
            left, wanted = np.flatnonzero(self.free[part.rows]), np.flatnonzero(self._all[results] < 0)
            theirs = np.concatenate([part.digests[:0], *(each.digests for each in files)])
            mine, found = pairs(digests_at(part.digests, left), digests_at(theirs, wanted))
            row, result = part.rows[left[mine]], results[wanted[found]]
            chosen = ~self._surplus[result]
            self._all[result[chosen]] = row[chosen]
            self.free[row[chosen]] = False

    def by_values(self, values: Sequence[DigestFile], *, first: bool) -> None:
        """Match what is left and has the same values, as many as there are of both.

        :param first: whether the first result file takes the first of identical rows; every other takes the last
        """
        for share in shares(values):
            ids = _ids([each.digests for each in share])
            self._share_by_values([each.rows for each in share], ids, first=first)

    def _share_by_values(self, numbers: Sequence[Rows], ids: Sequence[NDArray[np.intp]], *, first: bool) -> None:
        """Match one share.

        :param numbers: of the part's rows in it, and of each result file's
        :param ids: numbers of their values
        """
        rows, *results = ids
        size = max((int(each.max(initial=-1)) for each in ids), default=-1) + 1
        known = np.zeros(size, np.bool_)
        known[rows] = True
        open_rows = np.flatnonzero(self.free[numbers[0]])
        open_rows = open_rows[np.argsort(rows[open_rows], kind="stable")]
        count = np.bincount(rows[open_rows], minlength=size)
        begin = np.cumsum(count) - count
        wanted = [np.flatnonzero(found[each] < 0) for found, each in zip(self.found, numbers[1:], strict=True)]
        given: list[NDArray[np.intp]] = []
        left = count.copy()
        for values, places in zip(results, wanted, strict=True):
            given.append(np.minimum(np.bincount(values[places], minlength=size), left))
            left -= given[-1]
        end = begin + count
        begins: list[NDArray[np.intp]] = []
        for shared in reversed(given):
            end = end - shared
            begins.insert(0, end)
        if first:
            begins[0] = begin
        for found, at, places, values, shared, start in zip(
            self.found, numbers[1:], wanted, results, given, begins, strict=True
        ):
            groups = values[places]
            order = np.argsort(groups, kind="stable")
            groups = groups[order]
            sizes = np.bincount(groups, minlength=size)
            rank = np.arange(len(groups)) - (np.cumsum(sizes) - sizes)[groups]
            fits = np.flatnonzero(rank < shared[groups])
            taken = numbers[0][open_rows[start[groups[fits]] + rank[fits]]]
            found[at[places[order[fits]]]] = taken
            self.free[taken] = False
        at = self._together(numbers[1:])
        self._surplus[at] = (self._all[at] < 0) & known[np.concatenate([*results, rows[:0]])]

    def _together(self, numbers: Sequence[Rows]) -> Rows:
        """Number result rows through all files."""
        none = np.empty(0, np.int64)
        return np.concatenate([none, *(rows + begin for begin, rows in zip(self._begins, numbers, strict=False))])


def _ids(parts: Sequence[Digests]) -> Sequence[NDArray[np.intp]]:
    """Number the distinct digests of all parts together, from 0."""
    order, same = runs(np.concatenate(parts))
    ids = np.empty(len(order), np.intp)
    ids[order] = np.cumsum(np.append(np.zeros(min(1, len(order)), np.intp), ~same))
    return np.split(ids, np.cumsum([len(each) for each in parts])[:-1])
