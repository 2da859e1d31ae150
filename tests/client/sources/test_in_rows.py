"""Mappings, JSON Lines and ids become records."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import LineEnding, Operation
from airflow_provider_sfbulk.client.parts import encode
from airflow_provider_sfbulk.client.sources.open import (
    Rules,
    from_dicts,
    from_file,
    from_ids,
    from_jsonl,
    from_source,
)
from airflow_provider_sfbulk.client.sources.rows import AHEAD_ROWS
from airflow_provider_sfbulk.client.values.plain_arrow import FEW, FEW_IN_ALL
from tests.client.sources.witness import INSERT, SECRET, encoded, opened, rows_of

UPDATE = Rules(operation=Operation.UPDATE)

VALUE = st.none() | st.text(st.sampled_from('ab,;"\r\n \t\u2028é😀#'), max_size=6).filter(
    lambda text: "\r\n" not in text
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["A", "B", "C c", 'D"d', "E,e"]), VALUE), max_size=12)


def expected(rows: Iterable[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return columns, [["" if row.get(each) is None else row[each] for each in columns] for row in rows]


def test_wide_rows_are_written_one_by_one_only_at_the_beginning(mocker: MockerFixture) -> None:
    written = mocker.spy(encode, "texts_one_by_one")
    rows = [{f"C{column}": f"{row} {column}" for column in range(500)} for row in range(1_000)]
    blocks = list(from_dicts(rows, INSERT, name="rows").blocks())
    assert max(block.records for block in blocks) <= FEW
    assert FEW_IN_ALL / 2 < sum(len(call.args[0]) for call in written.call_args_list) < 3 * FEW_IN_ALL
    body = b"".join(block.data for block in blocks).decode()
    assert list(csv.reader(io.StringIO(body))) == [list(row.values()) for row in rows]


@given(rows=ROWS, kind=st.sampled_from(["list", "iterator", "jsonl"]), few=st.sampled_from([0, FEW]))
def test_rows_come_out_as_they_went_in(rows: list[dict[str, Any]], kind: str, few: int) -> None:
    columns, wanted = expected(rows)
    if rows and not columns:
        with pytest.raises(SourceError, match=f"none of the {len(rows)} rows has a column"):
            from_dicts(rows, INSERT, name="rows")
        return
    if kind == "jsonl":
        stream = from_jsonl(opened("\n".join(map(json.dumps, rows)).encode(), (3, 50)), INSERT, name="rows")
    else:
        stream = from_dicts(rows if kind == "list" else iter(rows), INSERT, name="rows")
    assert stream.columns == tuple(columns)
    with patch("airflow_provider_sfbulk.client.parts.encode.FEW", few):  # 0: by column, as where there are many rows
        assert rows_of(stream) == (wanted if columns else [])


@pytest.mark.parity("G9.6")
def test_only_what_needs_quotes_has_them() -> None:
    rows = [{"A": "a b", "B": "a,b", "C": 'a"b', "D": "a\nb", "E": "a\rb", "F": "a;b|^`\tb", "G": "", "H": None}]
    assert encoded(from_dicts(rows, INSERT, name="rows")) == (
        b'A,B,C,D,E,F,G,H\na b,"a,b","a""b","a\nb","a\rb",a;b|^`\tb,,\n'
    )
    assert encoded(from_dicts([{"A": None}, {"A": ""}, {}], INSERT, name="rows")) == b'A\n""\n""\n""\n'


def test_a_missing_key_is_left_and_an_explicit_null_follows_the_rule() -> None:
    rows = [{"Id": "1", "A": None, "B": None}, {"Id": "2", "B": "x"}, {"Id": "3", "A": ""}]
    for nulls, null_a, null_b in (
        ("leave", "", ""),
        ("clear", "#N/A", "#N/A"),
        ({"A": "clear"}, "#N/A", ""),
        ({"a": "clear", "B": "leave", "Id": "clear"}, "#N/A", ""),
    ):
        rules = Rules(operation=Operation.UPDATE, nulls=nulls)  # type: ignore[arg-type]
        assert rows_of(from_dicts(rows, rules, name="rows")) == [["1", null_a, null_b], ["2", "", "x"], ["3", "", ""]]


def test_the_external_id_is_never_cleared() -> None:
    rules = Rules(operation=Operation.UPSERT, external_id_field="Key__c", nulls="clear", blank_external_ids="send")
    assert rows_of(from_dicts([{"key__c": None, "A": None}], rules, name="rows")) == [["", "#N/A"]]


def test_the_text_that_clears_is_refused_where_nulls_are_left() -> None:
    rows = [{"A": "x"}, {"A": "#N/A"}]
    with pytest.raises(SourceError, match=r"rows: row 2, column A: the text #N/A.*nulls"):
        encoded(from_dicts(rows, INSERT, name="rows"))
    clear = Rules(operation=Operation.INSERT, nulls="clear")
    assert rows_of(from_dicts(rows, clear, name="rows")) == [["x"], ["#N/A"]]
    assert rows_of(from_dicts([{"A": "#N/A "}, {"A": "#N/"}, {"A": "A"}], INSERT, name="rows")) == [
        ["#N/A "],
        ["#N/"],
        ["A"],
    ]


def test_a_nested_mapping_is_a_relationship() -> None:
    rows = [
        {"Name": "a", "Owner": {"Key__c": "K1"}, "Parent__c": None},
        {"Owner": None, "Parent__c": {"Key__c": "P", "Other__c": 1}, "Lead:Who": {"Email": "x"}},
        {"Name": "c", "Parent__c": MappingProxyType({"Other__c": None})},
    ]
    rules = Rules(operation=Operation.INSERT, nulls="clear")
    stream = from_dicts(rows, rules, name="rows")
    assert stream.columns == ("Name", "Owner.Key__c", "Parent__r.Key__c", "Parent__r.Other__c", "Lead:Who.Email")
    assert rows_of(stream) == [
        ["a", "K1", "#N/A", "#N/A", ""],
        ["", "#N/A", "P", "1", "x"],
        ["c", "", "", "#N/A", ""],
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"A": {"b": {"c": SECRET}}}], r"row 1, column A\.b: a nested value that is not a relationship"),
        (
            [{"A": {"b": 1}}, {"A": SECRET}],
            r"column A is a dict in some rows and a plain value in others, in or before row 2",
        ),
        ([{"A": 1}, {"A": {"b": SECRET}}], r"column A is a dict in some rows and a plain value in others"),
        ([{"A": {1: SECRET}}], r"row 1: the names of nested columns must be strings"),
        ([{"A": 1}, [SECRET]], r"row 2: a row must be a dict, not list"),
        ([{"A": 1}, None], r"row 2: a row must be a dict, not NoneType"),
        ([{"A": 1}, {None: [SECRET]}], r"row 2: column names must be strings, not NoneType"),
        ([{"A": 1}, {"A": b"secret"}], r"row 2, column A: bytes"),
        ([{"A": 1}, {"A": float("inf")}], r"row 2, column A: an infinite number"),
        ([{"A": 1}, {"A": datetime(2026, 1, 1)}], r"row 2, column A: a datetime without a time zone"),  # noqa: DTZ001
        ([{"A": 1}, {"A": f"{SECRET}\0"}], r"row 2, column A: a NUL character"),
        ([{"A": 1}, {"A": f"{SECRET}\udc80"}], r"row 2, column A: half a surrogate pair"),
        ([{"A": "x\n"}, {"A": f"{SECRET}\r\n"}], r'row 2, column A: CRLF line breaks .* set line_ending="CRLF"'),
        ([{"A": 1, "B": "x" * (limits.FIELD_CHARACTERS + 1)}], r"row 1, column B: longer than the 131,072 characters"),
        ([{f"C{i}": "é" * 100_001 for i in range(4)}], r"row 1: longer than the 400,000 characters"),
    ],
    ids=range(15),
)
@pytest.mark.parametrize("kind", [list, iter])
def test_a_row_that_cannot_be_sent_is_told_by_its_number(rows: list[Any], message: str, kind: Any) -> None:
    with pytest.raises(SourceError, match=f"^rows: {message}") as caught:
        encoded(from_dicts(kind(rows), INSERT, name="rows"))
    assert SECRET not in str(caught.value)


def test_the_largest_values_fit() -> None:
    rows = [{"A": "é" * limits.FIELD_CHARACTERS}, {"A": '"' * limits.FIELD_CHARACTERS}]
    assert rows_of(from_dicts(rows, INSERT, name="rows")) == [[row["A"]] for row in rows]
    rows = [{f"C{i}": "é" * 100_000 for i in range(4)}]
    assert rows_of(from_dicts(rows, INSERT, name="rows")) == [list(rows[0].values())]


def test_all_rows_of_a_list_decide_the_line_ending() -> None:
    rows = [{"A": "x"}] * 2000 + [{"A": "a\r\nb", "B": {"c": 1}}]
    stream = from_dicts(rows, INSERT, name="rows")
    assert stream.dialect.line_ending is LineEnding.CRLF
    assert rows_of(stream)[-1] == ["a\r\nb", "1"]
    nested = from_dicts([{"A": {"b": "a\r\nb"}}], INSERT, name="rows")
    assert nested.dialect.line_ending is LineEnding.CRLF
    given = Rules(operation=Operation.INSERT, line_ending=LineEnding.CRLF)
    with pytest.raises(SourceError, match=r'row 1, column A: LF line breaks .*line_ending="LF"'):
        encoded(from_dicts([{"A": "a\nb"}], given, name="rows"))


def test_no_rows_are_a_stream_without_columns() -> None:
    for rows in ([], iter(()), ()):
        stream = from_dicts(rows, UPDATE, name="rows")
        assert (stream.columns, stream.header, list(stream.blocks())) == ((), b"", [])
    assert from_dicts([], replace(INSERT, columns=["A"]), name="rows").header == b"A\n"


def test_columns_are_named_and_ordered_by_the_rules() -> None:
    rows = [{"B": 1}, {"A": 2, "P__c": {"k": 3}}]
    stream = from_dicts(rows, replace(INSERT, columns=["P__r.k", "A", "B", "C"]), name="rows")
    assert rows_of(stream) == [["", "", "1", ""], ["3", "2", "", ""]]
    with pytest.raises(SourceError, match="row 1: columns does not name B"):
        from_dicts(rows, replace(INSERT, columns=["A", "P__r.k"]), name="rows")


def test_result_columns_are_dropped() -> None:
    assert from_dicts([{"sf__Id": "1", "SF__ERROR": "x", "A": 1}], INSERT, name="rows").columns == ("A",)


def many(rows: int, last: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for row in range(rows):
        yield {"A": row, "B": {"c": row}}
    yield last


def test_a_list_may_have_new_columns_at_its_end_and_an_iterator_not() -> None:
    last = {"A": 1, "Z": 2}
    assert rows_of(from_dicts(list(many(AHEAD_ROWS, last)), INSERT, name="rows"))[-1] == ["1", "", "2"]
    with pytest.raises(SourceError, match=rf"row {AHEAD_ROWS + 1}: the first {AHEAD_ROWS:,} rows have no column Z"):
        encoded(from_dicts(many(AHEAD_ROWS, last), INSERT, name="rows"))
    with pytest.raises(SourceError, match=rf"row {AHEAD_ROWS + 1}: the first .* have no column B\.z"):
        encoded(from_dicts(many(AHEAD_ROWS, {"B": {"z": 1}}), INSERT, name="rows"))
    with pytest.raises(SourceError, match=rf"row {AHEAD_ROWS + 1}: column B must be a dict"):
        encoded(from_dicts(many(AHEAD_ROWS, {"B": SECRET}), INSERT, name="rows"))
    with pytest.raises(SourceError, match=rf"row {AHEAD_ROWS + 1}, column A: a nested value"):
        encoded(from_dicts(many(AHEAD_ROWS, {"A": {"x": 1}}), INSERT, name="rows"))
    with pytest.raises(SourceError, match=rf"row {AHEAD_ROWS + 1}: a row must be a dict, not str"):
        encoded(from_dicts(many(AHEAD_ROWS, SECRET), INSERT, name="rows"))  # type: ignore[arg-type]


def test_mappings_of_other_kinds_are_rows() -> None:
    rows: list[Any] = [OrderedDict(A=1), MappingProxyType({"A": 2}), defaultdict(list, {"B": 3}), {"A": 4}]
    assert rows_of(from_dicts(rows, INSERT, name="rows")) == [["1", ""], ["2", ""], ["", "3"], ["4", ""]]
    assert dict(rows[2]) == {"B": 3}
    reader = csv.DictReader(io.StringIO('A,B\n"x,y",2\n'))
    assert rows_of(from_dicts(reader, INSERT, name="rows")) == [["x,y", "2"]]


def test_rows_of_any_size_make_blocks_of_bounded_size() -> None:
    rows = [{"A": "x" * 100_000} for _ in range(300)]
    blocks = list(from_dicts(rows, INSERT, name="rows").blocks())
    assert sum(block.records for block in blocks) == 300
    assert max(block.records for block in blocks[1:]) <= 21


def test_an_error_in_a_later_batch_has_the_right_number() -> None:
    rows: list[dict[str, Any]] = [{"A": row} for row in range(5000)]
    rows[4321] = {"A": b""}
    with pytest.raises(SourceError, match="row 4322, column A"):
        encoded(from_dicts(rows, INSERT, name="rows"))


DELETE = Rules(operation=Operation.DELETE)
ID = "001000000000001AAA"


def test_ids_are_the_column_id() -> None:
    assert encoded(from_ids([ID, ID[:15]], DELETE, name="ids")) == f"Id\n{ID}\n{ID[:15]}\n".encode()
    assert encoded(from_source((each for each in [ID]), DELETE, name="ids")) == f"Id\n{ID}\n".encode()
    assert encoded(from_source([{"Id": ID}], DELETE, name="ids")) == f"Id\n{ID}\n".encode()
    assert encoded(from_source([], DELETE, name="ids")) == b""


def test_what_is_no_id_is_refused() -> None:
    for wrong in (SECRET, 5, ID + "x"):
        with pytest.raises(SourceError, match="ids: row 2 must be a Salesforce id") as caught:
            encoded(from_ids([ID, wrong], DELETE, name="ids"))  # type: ignore[list-item]
        assert SECRET not in str(caught.value)
    with pytest.raises(SourceError, match=r"must be a dict, not a string.*delete and hardDelete take bare ids"):
        from_source([ID], UPDATE, name="ids")


def test_json_lines_keep_every_digit() -> None:
    lines = b'{"A": 1.10, "B": 12345678901234567890.123456789, "C": 1E3, "D": true, "E": null, "F": ["x", "y"]}\n'
    stream = from_jsonl(opened(b"\xef\xbb\xbf" + lines + b"\r\n \n" + lines), INSERT, name="a.jsonl")
    assert rows_of(stream) == [["1.10", "12345678901234567890.123456789", "1000", "true", "", "x;y"]] * 2


def test_json_lines_may_have_new_keys_at_their_end() -> None:
    data = b'{"A": 1}\n' * (AHEAD_ROWS + 1) + b'{"B": {"c": 2}}'
    for name, packed in (("a.jsonl", data), ("a.jsonl.gz", gzip.compress(data))):
        assert rows_of(from_file(opened(packed), INSERT, name=name))[-1] == ["", "2"]
    assert rows_of(from_jsonl(opened(b""), INSERT, name="a.jsonl")) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f'{{"A": "{SECRET}'.encode(), "row 2 is not JSON: Unterminated string"),
        (b"[1]", "row 2 must be a JSON object, not an array"),
        (f'{{"A": 1, "B": 2, "A": "{SECRET}"}}'.encode(), "row 2 has the key 'A' twice"),
        (f'{{"A": {{"B": 1, "B": "{SECRET}"}}}}'.encode(), "row 2 has the key 'B' twice"),
        (f'{{"A": "{SECRET}"}}'.encode("latin-1"), "row 2 is not UTF-8"),
        (b'{"A": Infinity}', "row 2, column A: an infinite number"),
        (b'{"A": ' + b"1" * 5000 + b"}", "row 2 has a number that is too long"),
        (b'{"A": "' + b"x" * (20 * limits.RECORD_CHARACTERS), "a line is longer than 6,400,000 bytes"),
    ],
    ids=range(8),
)
def test_a_wrong_json_line_is_refused_with_its_number(line: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=f"^a.jsonl: {message}") as caught:
        encoded(from_jsonl(opened(b'{"A": 1}\n' + line), INSERT, name="a.jsonl"))
    assert SECRET[:3] not in str(caught.value)
    assert caught.value.__cause__ is None


def test_datetimes_of_rows_take_the_rules_zone() -> None:
    rules = Rules(operation=Operation.INSERT, timezone="America/New_York")
    rows = [
        {"A": datetime(2026, 7, 1)},  # noqa: DTZ001
        {"A": datetime(2026, 7, 1, tzinfo=UTC)},
    ]
    assert rows_of(from_dicts(rows, rules, name="rows")) == [
        ["2026-07-01T04:00:00.000Z"],
        ["2026-07-01T00:00:00.000Z"],
    ]
    assert rows_of(from_dicts([{"A": Decimal("1.50")}], rules, name="rows")) == [["1.50"]]


def test_a_generator_may_fill_one_dict_again_and_again() -> None:
    def rows(count: int) -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {}
        for number in range(count):
            row["A"] = number
            yield row

    def nested(count: int) -> Iterator[dict[str, Any]]:
        owner: dict[str, Any] = {}
        for number in range(count):
            owner["A"] = number
            yield {"Owner": owner}

    for make in (rows, nested):
        for count in (0, 1, 2, 50):
            assert rows_of(from_dicts(make(count), INSERT, name="rows")) == [[str(each)] for each in range(count)]


def test_no_row_of_an_iterator_is_lost() -> None:
    with pytest.raises(SourceError, match="row 1: a row must be a dict, not NoneType"):
        encoded(from_dicts(iter([None, {"A": 1}]), INSERT, name="rows"))
    with pytest.raises(SourceError, match="row 2: a row must be a dict, not NoneType"):
        encoded(from_dicts(iter([{"A": 1}, None]), INSERT, name="rows"))


@pytest.mark.parametrize("rows", [1, FEW + 1])
@pytest.mark.parametrize("beside", ["true", "maybe", None])
def test_the_text_of_a_checkbox_does_not_depend_on_the_rows_beside_it(rows: int, beside: str | None) -> None:
    given = ["TRUE", "1", " yes ", "False", "0", "off", "", "Perhaps", None]
    wanted = ["true", "true", "true", "false", "false", "false", "", "Perhaps", ""]
    stream = from_dicts([{"A": each, "B": 1} for each in [*given, beside] * rows], INSERT, name="rows")
    written = rows_of(stream.with_columns(("A", "B"), ("boolean", "int")))
    assert [row[0] for row in written] == [*wanted, beside or ""] * rows
    alone = from_dicts([{"A": each, "B": 1} for each in given[:6:3] * rows], INSERT, name="rows")
    assert {row[0] for row in rows_of(alone.with_columns(("A", "B"), ("boolean", "int")))} == {"true", "false"}


@pytest.mark.parametrize("nothing", [None, float("nan"), Decimal("NaN"), pd.NA, pd.NaT], ids=str)
def test_every_null_may_stand_for_a_relationship(nothing: Any) -> None:
    clears = replace(INSERT, nulls="clear")
    owner = {"Owner": {"Key__c": "k"}}
    for rows in ([{"Owner": nothing}, owner], [owner, {"Owner": nothing}]):
        wanted = [["#N/A" if row["Owner"] is nothing else "k"] for row in rows]
        for rules in (clears, replace(clears, columns=["Owner.Key__c"])):
            assert rows_of(from_dicts(rows, rules, name="rows")) == wanted
            assert rows_of(from_dicts(iter(rows), rules, name="rows")) == wanted
