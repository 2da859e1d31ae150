"""Result rows find their rows in the part: values in any spelling, duplicates, blanked columns, files that disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.load.digests import SHARES
from airflow_provider_sfbulk.client.load.fingerprints import Fingerprints, RowForm
from airflow_provider_sfbulk.client.load.matching import Matched, match, match_by_key
from tests.client.load.match_witness import (
    KINDS,
    digest_file,
    echo,
    made,
    match_one_by_one,
    meaning,
    spellings,
    take,
)
from tests.client.results.out_witness import dialects
from tests.examples import examples

FEWER = settings(max_examples=examples(12))
"""Each example is several files that are written and read."""

FILES = ("successful", "failed", "unprocessed")
OWN = {"successful": ["sf__Id", "sf__Created"], "failed": ["sf__Id", "sf__Error"], "unprocessed": []}


@dataclass(frozen=True)
class Load:
    """A part and the result files of its job; ``origin`` tells of each result row which row of the part it is."""

    kinds: list[str]
    rows: list[list[str]]
    origin: dict[str, list[int]]

    @property
    def columns(self) -> list[str]:
        return [f"Field{i}__c" for i in range(len(self.kinds))]

    def form(self, *key: int) -> RowForm:
        fields = {name.lower(): kind for name, kind in zip(self.columns, self.kinds, strict=True)}
        return RowForm.of(self.columns, fields, [self.columns[i] for i in key])

    def meaning(self, row: int) -> list[Any]:
        return [meaning(kind, text) for kind, text in zip(self.kinds, self.rows[row], strict=True)]

    def echo(self, row: int) -> list[str]:
        return [echo(kind, text) for kind, text in zip(self.kinds, self.rows[row], strict=True)]


@st.composite
def loads(draw: st.DrawFn, *, unique: bool = False, files: tuple[str, ...] = FILES) -> Load:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    row = st.tuples(*(spellings(kind) for kind in kinds)).map(list)
    pool = draw(st.lists(row, min_size=1, max_size=5))
    rows = draw(st.lists(st.sampled_from(pool) | row, max_size=12))
    if unique:
        # A key column in front, no two alike.
        kinds = ["string", *kinds]
        rows = [[f"key {i}", *row] for i, row in enumerate(rows)]
    ends = [draw(st.sampled_from(files)) for _ in rows]
    order = draw(st.permutations(range(len(rows))))
    return Load(kinds, rows, {file: [i for i in order if ends[i] == file] for file in files})


def results_of(
    load: Load, form: RowForm, data: st.DataObject, *, blanked: frozenset[int] = frozenset()
) -> dict[str, Fingerprints]:
    """The job's result files as Salesforce writes them, read."""
    results = {}
    for file, origin in load.origin.items():
        order = data.draw(st.permutations(range(len(load.kinds))))
        case = data.draw(st.sampled_from([str, str.upper, str.lower]))
        own = OWN[file]
        rows = []
        for row in origin:
            cells = load.rows[row] if file == "unprocessed" else load.echo(row)
            rows.append([*("of no interest" for _ in own), *("" if i in blanked else cells[i] for i in order)])
        results[file] = take([*own, *(case(load.columns[i]) for i in order)], rows, form, data.draw(dialects))  # type: ignore[operator]
    return results


def check(load: Load, matched: Matched, *, whole: bool = True) -> None:
    """Each row of the part is used once at most, and every match has the same meaning."""
    used = np.concatenate([matched.rows[file] for file in load.origin])
    used = used[used >= 0].tolist()
    assert len(set(used)) == len(used)
    assert np.flatnonzero(matched.missing).tolist() == sorted(set(range(len(load.rows))) - set(used))
    for file, origin in load.origin.items():
        assert matched.rows[file].dtype == np.int32
        for truth, row in zip(origin, matched.rows[file].tolist(), strict=True):
            if whole:
                assert row >= 0
            if row >= 0:
                assert load.meaning(row) == load.meaning(truth)


@given(loads(), st.data())
def test_every_result_row_finds_a_row_of_the_same_meaning(load: Load, data: st.DataObject) -> None:
    key = data.draw(st.lists(st.sampled_from(range(len(load.kinds))), max_size=2, unique=True))
    form = load.form(*key)
    matched = match(take(load.columns, load.rows, form), results_of(load, form, data))
    check(load, matched)
    assert not matched.missing.any()


@FEWER
@given(loads(), st.data())
def test_rows_whose_results_are_lost_are_told(load: Load, data: st.DataObject) -> None:
    kept = {file: [row for row in origin if data.draw(st.booleans())] for file, origin in load.origin.items()}
    few, form = Load(load.kinds, load.rows, kept), load.form()
    matched = match(take(load.columns, load.rows, form), results_of(few, form, data))
    check(few, matched)
    assert np.count_nonzero(matched.missing) == len(load.rows) - sum(map(len, kept.values()))


@FEWER
@given(loads(), st.data())
def test_of_identical_rows_the_first_succeed_and_the_last_are_unprocessed(load: Load, data: st.DataObject) -> None:
    form = load.form()
    part, results = take(load.columns, load.rows, form), results_of(load, form, data)
    matched = match(part, results)
    file_of = {int(row): file for file, rows in matched.rows.items() for row in rows}
    groups: dict[str, list[str]] = {}
    for row in range(len(load.rows)):
        groups.setdefault(repr(load.meaning(row)), []).append(file_of[row])
    for files in groups.values():
        assert files == sorted(files, key=FILES.index)
    without = match(part, {file: each for file, each in results.items() if file != "successful"})
    for file in ("failed", "unprocessed"):
        assert without.rows[file].tolist() == matched.rows[file].tolist()


@FEWER
@given(loads(files=("successful", "failed")), st.data())
def test_failed_rows_alone_are_the_same_as_among_all(load: Load, data: st.DataObject) -> None:
    form = load.form()
    part, results = take(load.columns, load.rows, form), results_of(load, form, data)
    alone = match(part, {"failed": results["failed"]})
    assert alone.rows["failed"].tolist() == match(part, results).rows["failed"].tolist()


@FEWER
@given(loads(unique=True), st.data())
def test_a_key_finds_its_row_whatever_else_came_back_blank(load: Load, data: st.DataObject) -> None:
    form = load.form(0)
    blanked = frozenset(data.draw(st.sets(st.sampled_from(range(1, len(load.kinds))))))
    matched = match(take(load.columns, load.rows, form), results_of(load, form, data, blanked=blanked))
    assert {file: rows.tolist() for file, rows in matched.rows.items()} == load.origin
    assert not matched.missing.any()


@FEWER
@given(loads(unique=True), st.data())
def test_without_a_key_a_blanked_row_is_no_row(load: Load, data: st.DataObject) -> None:
    form = load.form()
    matched = match(take(load.columns, load.rows, form), results_of(load, form, data, blanked=frozenset({0})))
    assert all((rows == -1).all() for rows in matched.rows.values())
    assert matched.missing.all()


@pytest.mark.parametrize("key", [["Key__c"], ["Key__c", "Half__c"]])
def test_a_key_that_is_blank_or_half_blank_is_no_key(key: list[str]) -> None:
    columns = ["Key__c", "Half__c", "Name"]
    form = RowForm.of(columns, {}, key)
    part = take(columns, [["#N/A", "1", "a"], ["k", "1", "b"]], form)
    matched = match(part, {"failed": take(columns, [["", "1", "b"]], form)})
    assert matched.rows["failed"].tolist() == [-1]


@FEWER
@given(loads(), st.data())
def test_more_result_rows_than_rows_leave_the_surplus_unmatched(load: Load, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(FILES))
    twice = Load(load.kinds, load.rows, {**load.origin, file: load.origin[file] * 2})
    key = data.draw(st.lists(st.sampled_from(range(len(load.kinds))), max_size=1))
    form = load.form(*key)
    matched = match(take(load.columns, load.rows, form), results_of(twice, form, data))
    check(twice, matched, whole=False)
    surplus = sum(int((rows == -1).sum()) for rows in matched.rows.values())
    assert surplus == len(load.origin[file])
    assert not matched.missing.any()


@FEWER
@given(loads(files=("successful", "failed")), st.data())
def test_a_row_that_two_files_claim_is_the_first_ones(load: Load, data: st.DataObject) -> None:
    both = Load(load.kinds, load.rows, {**load.origin, "failed": [*load.origin["failed"], *load.origin["successful"]]})
    key = data.draw(st.lists(st.sampled_from(range(len(load.kinds))), max_size=1))
    form = load.form(*key)
    matched = match(take(load.columns, load.rows, form), results_of(both, form, data))
    check(both, matched, whole=False)
    assert (matched.rows["successful"] >= 0).all()
    assert int((matched.rows["failed"] >= 0).sum()) <= len(load.origin["failed"])


_rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=6)


@settings(max_examples=examples(60))
@given(_rows, st.dictionaries(st.sampled_from(FILES), _rows), st.booleans())
@pytest.mark.parity("A2.6")
def test_any_results_are_matched_by_the_rules(
    rows: list[tuple[int, int]], results: dict[str, list[tuple[int, int]]], keyed: bool
) -> None:
    if not keyed:
        rows = [(value, 0) for value, _ in rows]
        results = {file: [(value, 0) for value, _ in each] for file, each in results.items()}

    def prints(each: list[tuple[int, int]]) -> Fingerprints:
        return made([value for value, _ in each], [key for _, key in each] if keyed else None)

    matched = match(prints(rows), {file: prints(each) for file, each in results.items()})  # type: ignore[misc]
    found, missing = match_one_by_one(rows, results)
    assert {file: each.tolist() for file, each in matched.rows.items()} == found
    assert np.flatnonzero(matched.missing).tolist() == missing


def test_a_copy_takes_no_other_row_of_its_key() -> None:
    # (value, key): row 0 is in both files, the result of row 1 is lost.
    matched = match(made([1, 2], [5, 5]), {"successful": made([1], [5]), "failed": made([1], [5])})
    assert matched.rows["successful"].tolist() == [0]
    assert matched.rows["failed"].tolist() == [-1]
    assert matched.missing.tolist() == [False, True]


def test_the_last_row_of_a_key_is_found_when_the_others_are() -> None:
    matched = match(made([1, 2], [5, 5]), {"successful": made([2], [5]), "failed": made([9], [5])})
    assert (matched.rows["successful"].tolist(), matched.rows["failed"].tolist()) == ([1], [0])


@pytest.mark.parametrize("half", [0, 1])
def test_both_halves_of_a_digest_count(half: int) -> None:
    digests = [[1, 1], [2, 2], [1, 1], [3, 3], [1, 1]]
    for each in digests:
        each[half] = 7
    part = Fingerprints(digest_file(digests), None)
    matched = match(part, {"failed": Fingerprints(digest_file(digests[::-1]), None)})
    assert matched.rows["failed"].tolist() == [0, 3, 2, 1, 4]


def test_a_column_that_is_not_in_the_file_is_blank() -> None:
    form = RowForm.of(["Name", "Age__c"], {"age__c": "double"}, ["Name"])
    part = take(["Name", "Age__c"], [["a", "1"], ["b", "2"]], form)
    matched = match(part, {"failed": take(["sf__Id", "Name"], [["", "b"], ["", "a"]], form)})
    assert matched.rows["failed"].tolist() == [1, 0]


def test_an_uploaded_column_named_like_salesforces_own_is_the_last_of_that_name() -> None:
    form = RowForm.of(["sf__Id", "Name"], {}, [])
    part = take(["sf__Id", "Name"], [["1", "a"], ["2", "a"]], form)
    failed = take(["sf__Id", "sf__Error", "sf__Id", "Name"], [["1", "E", "2", "a"], ["2", "E", "1", "a"]], form)
    assert match(part, {"failed": failed}).rows["failed"].tolist() == [1, 0]


def test_a_key_column_that_is_not_sent_is_refused_by_name() -> None:
    with pytest.raises(SourceError, match=r"no column Kee__c; the columns that are sent are Key__c, Name"):
        RowForm.of(["Key__c", "Name"], {}, ["KEY__C", "Kee__c"])


def test_values_do_not_flow_into_their_neighbours() -> None:
    form = RowForm.of(["A", "B"], {}, [])
    cells = ["", "a", "a\x1fb", "b\x1fa", "a\x1e1b", "a\x1e0b", "a\x1e0", "b\x1ec", "b"]
    digests = take(["A", "B"], [[a, b] for a in cells for b in cells], form).values.read(0, SHARES).digests
    assert len({bytes(each) for each in digests}) == len(cells) ** 2


@given(loads() | loads(unique=True), st.data())
def test_keys_alone_tell_the_same_rows_or_nothing(load: Load, data: st.DataObject) -> None:
    form = load.form(*data.draw(st.lists(st.sampled_from(range(len(load.kinds))), min_size=1, max_size=2, unique=True)))
    part, results = take(load.columns, load.rows, form), results_of(load, form, data)
    assert part.keys is not None
    found = match_by_key(part.keys, {kind: each.keys for kind, each in results.items() if each.keys is not None})
    if found is not None:
        whole = match(part, results)
        assert {kind: rows.tolist() for kind, rows in found.items()} == {
            kind: rows.tolist() for kind, rows in whole.rows.items()
        }


@given(loads(unique=True), st.data())
def test_keys_alone_tell_all_rows_whose_keys_are_all_there_once(load: Load, data: st.DataObject) -> None:
    form = load.form(0)
    part, results = take(load.columns, load.rows, form), results_of(load, form, data)
    assert part.keys is not None
    keys = {kind: each.keys for kind, each in results.items() if each.keys is not None}
    assert match_by_key(part.keys, keys) is not None
