"""Result rows in the order of the upload: what is found by it is what the rules of matching find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.load.fingerprints import RowForm, fingerprint, identities
from airflow_provider_sfbulk.client.load.in_order import match_in_order
from airflow_provider_sfbulk.client.load.matching import match
from airflow_provider_sfbulk.client.models import ResultKind
from tests.client.load.test_matching import Load, loads

FORM = RowForm(("Key__c", "Name"), ("string", "string"), (0,))


def batches(columns: Sequence[str], rows: Sequence[Sequence[str]], *, size: int = 2) -> list[pa.RecordBatch]:
    """Rows as they are read, some at a time."""
    arrays = [pa.array([row[i] for row in rows], pa.string()) for i in range(len(columns))]
    return pa.Table.from_arrays(arrays, names=list(columns)).to_batches(size) or []


def files_of(load: Load) -> dict[Any, list[pa.RecordBatch]]:
    return {file: batches(load.columns, [load.echo(row) for row in rows]) for file, rows in load.origin.items()}


def found_in_order(load: Load, form: RowForm, *, size: int = 3) -> Any:
    files = files_of(load)
    return match_in_order(
        identities(batches(load.columns, load.rows, size=size), form),
        {file: identities(each, form) for file, each in files.items()},
        {file: len(rows) for file, rows in load.origin.items()},
    )


def found_by_rules(load: Load, form: RowForm) -> Any:
    files = {file: fingerprint(each, form) for file, each in files_of(load).items()}
    return match(fingerprint(batches(load.columns, load.rows), form), files).rows


def in_order(load: Load) -> Load:
    return replace(load, origin={file: sorted(rows) for file, rows in load.origin.items()})


@given(loads(unique=True), st.booleans(), st.integers(1, 5))
def test_rows_of_different_keys_in_their_order_are_found(load: Load, with_key: bool, size: int) -> None:
    load = in_order(load)
    found = found_in_order(load, load.form(0) if with_key else load.form(), size=size)
    assert {file: rows.tolist() for file, rows in found.items()} == load.origin


@given(loads(), st.data())
def test_whatever_the_order_what_is_found_is_what_the_rules_find(load: Load, data: st.DataObject) -> None:
    form = load.form(*data.draw(st.lists(st.sampled_from(range(len(load.kinds))), max_size=2, unique=True)))
    for each in (load, in_order(load)):
        found = found_in_order(each, form)
        if found is not None:
            expected = found_by_rules(each, form)
            assert {file: rows.tolist() for file, rows in found.items()} == {
                file: rows.tolist() for file, rows in expected.items()
            }


def found(rows: list[str], saved: list[str], failed: list[str], *, counts: tuple[int, int] | None = None) -> Any:
    """Match keys alone; the names are all the same."""

    def texts(keys: list[str]) -> Iterator[Any]:
        return identities(batches(FORM.columns, [[key, "x"] for key in keys]), FORM)

    saved_count, failed_count = counts or (len(saved), len(failed))
    results: dict[ResultKind, Iterator[Any]] = {"successful": texts(saved), "failed": texts(failed)}
    return match_in_order(texts(rows), results, {"successful": saved_count, "failed": failed_count})


@pytest.mark.parametrize(
    ("rows", "saved", "failed"),
    [
        pytest.param(["a", "b", "c"], ["b", "a"], ["c"], id="another order"),
        pytest.param(["a", "b", "a"], ["a", "b"], ["a"], id="a key twice"),
        pytest.param(["a", "b", "a"], ["a"], ["b", "a"], id="a key twice, in a later batch"),
        pytest.param(["a", "", "c"], ["a", ""], ["c"], id="a blank key"),
        pytest.param(["a", "b", "c"], ["a", "x"], ["c"], id="a row that was not sent"),
        pytest.param(["a", "b"], ["a", "b"], ["b"], id="more results than rows"),
        pytest.param(["a", "b", "c"], ["a"], ["c"], id="fewer results than rows"),
    ],
)
def test_where_the_order_does_not_tell_nothing_is_found(rows: list[str], saved: list[str], failed: list[str]) -> None:
    assert found(rows, saved, failed) is None


def test_a_file_that_has_other_rows_than_were_counted_is_given_up() -> None:
    assert found(["a", "b"], ["a"], ["b"]) is not None
    assert found(["a", "b"], ["a", "b"], [], counts=(1, 1)) is None
    assert found(["a", "b"], ["a", "b", "c"], [], counts=(2, 0)) is None
