"""Which rows are chosen, held against rows compared one by one."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.compare import chosen
from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
from airflow_provider_sfbulk.client.compare.input_rows import InputRows
from airflow_provider_sfbulk.client.errors import LedgerError
from airflow_provider_sfbulk.client.faces.given import stream_of
from airflow_provider_sfbulk.client.models import Operation
from airflow_provider_sfbulk.client.parts.split import split
from airflow_provider_sfbulk.client.parts.stream import Rules

KEY: Final = "Key__c"
NAMES: Final = (KEY, "A__c", "B__c", "C__c")
DESCRIBE: Final = {"name": "Thing__c", "fields": [{"name": name, "type": "string"} for name in NAMES]}
RULES: Final = Rules(operation=Operation.UPSERT, external_id_field=KEY, blank_external_ids="send")
NULL: Final = "#N/A"

keys = st.sampled_from(["k", "K ", "l", "m", "n", "o", ""])
values = st.sampled_from(["", "a", "b", "A", NULL, "a\x1fb", "a" * 600])
columns = st.permutations(NAMES[1:]).flatmap(lambda names: st.integers(0, 3).map(lambda count: [KEY, *names[:count]]))


@st.composite
def files(draw: st.DrawFn) -> list[dict[str, str]]:
    names = draw(columns)
    return draw(st.lists(st.fixed_dictionaries({name: keys if name == KEY else values for name in names}), min_size=1))


org_rows = st.fixed_dictionaries(
    {name: keys if name == KEY else values.filter(lambda text: text != NULL) for name in NAMES}
)


def text_of(rows: list[dict[str, str]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0], lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def batch_of(rows: list[dict[str, str]], names: list[str]) -> list[Any]:
    return [pa.array([row[name] for row in rows], pa.string()) for name in names]


def folded(row: dict[str, str]) -> str:
    return row[KEY].strip().lower()


def is_same(row: dict[str, str], others: list[dict[str, str]], org: list[dict[str, str]]) -> bool:
    alike = [each for each in others if folded(each) == folded(row)]
    there = [each for each in org if folded(each) == folded(row)]
    if not folded(row) or len(alike) != 1 or len(there) != 1:
        return False
    return all(text in ("", there[0][name] or NULL) for name, text in row.items())


@given(st.lists(files(), min_size=1, max_size=3), st.lists(st.tuples(org_rows, st.booleans()), max_size=12))
def test_a_row_is_sent_unless_the_one_record_with_its_key_has_its_values(
    inputs: list[list[dict[str, str]]], found: list[tuple[dict[str, str], bool]]
) -> None:
    given_rows = [row for rows in inputs for row in rows]
    with closing(InputRows.of(RULES, DESCRIBE)) as rows:
        rows.read(stream_of(text_of(each), RULES) for each in inputs)
        names = [each.name for each in rows.columns]
        assert names[0] == KEY
        for row, is_proven in found:
            held = rows.found.hold(batch_of([row], names))
            if is_proven:
                rows.found.file.keep([held])
        org = [row for row, is_proven in found if is_proven]
        expected = [not is_same(row, given_rows, org) for row in given_rows]
        assert np.unpackbits(rows.chosen.bits, count=rows.chosen.rows).astype(bool).tolist() == expected
        assert rows.may_be_there or all(expected)


@given(st.lists(st.booleans(), min_size=1, max_size=70), st.integers(1, 9))
def test_parts_have_the_numbers_of_their_rows_in_the_input(is_sent: list[bool], part_records: int) -> None:
    with patch.object(chosen, "_PIECE_ROWS", 8):
        rows = ChosenRows.from_dict(ChosenRows.of(np.array(is_sent)).to_dict())
        assert (rows.sent, rows.unchanged) == (sum(is_sent), len(is_sent) - sum(is_sent))
        stream = stream_of(text_of([{KEY: f"k{number}"} for number in range(1, len(is_sent) + 1)]), RULES)
        numbers: list[int] = []
        (kept,) = rows.only([stream])
        if rows.sent:
            for part in split(kept, max_records=part_records):
                with closing(part):
                    numbers += rows.numbers(part).tolist()
        assert numbers == [number for number, each in enumerate(is_sent, start=1) if each]


@pytest.mark.parametrize("value", [{}, {"rows": 8, "sent": "?"}, {"rows": 0, "sent": ""}, {"rows": "8", "sent": ""}])
def test_what_is_no_record_of_rows_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(LedgerError):
        ChosenRows.from_dict(value)
