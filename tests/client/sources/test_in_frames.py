"""Columnar sources: Arrow, Parquet, polars, pandas; and the front door that tells them apart."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import replace
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import SOURCE_FORMATS, LineEnding, Operation
from airflow_provider_sfbulk.client.parts import encode
from airflow_provider_sfbulk.client.sources.open import (
    Rules,
    from_arrow,
    from_csv,
    from_dicts,
    from_frame,
    from_parquet,
    from_polars,
    from_source,
    source_format_of,
)
from tests.client.sources.witness import INSERT, SECRET, encoded, opened, rows_of

NOON = dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC)

TABLE = pa.table(
    {
        "Text": pa.array(['a"b', None, "c,\nd"]),
        "Whole": pa.array([1, None, 3]),
        "Float": pa.array([1.0, float("nan"), 2.5]),
        "Decimal": pa.array([Decimal("1.10"), None, Decimal("-0.05")]),
        "Flag": pa.array([True, None, False]),
        "Day": pa.array([dt.date(2026, 3, 4), None, None]),
        "Moment": pa.array([NOON, None, None], pa.timestamp("us", "Europe/Berlin")),
        "Choice": pa.array(["x", None, "x"]).dictionary_encode(),
        "Many": pa.array([["x", "y"], None, []], pa.list_(pa.string())),
        "Parent__c": pa.array([{"Key__c": "k", "No__c": 1}, None, {"Key__c": None, "No__c": 3}]),
    }
)
COLUMNS = (*TABLE.schema.names[:-1], "Parent__r.Key__c", "Parent__r.No__c")
RECORDS = [
    ['a"b', "1", "1", "1.10", "true", "2026-03-04", "2026-03-04T12:00:00.000Z", "x", "x;y", "k", "1"],
    [""] * 11,
    ["c,\nd", "3", "2.5", "-0.05", "false", "", "", "x", "", "", "3"],
]


def as_parquet(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


SOURCES = {
    "table": lambda table: from_source(table, INSERT, name="rows"),
    "batches": lambda table: from_source(table.to_batches(max_chunksize=1), INSERT, name="rows"),
    "reader": lambda table: from_source(table.to_reader(2), INSERT, name="rows"),
    "tables": lambda table: from_source((table.slice(row, 1) for row in range(3)), INSERT, name="rows"),
    "sliced": lambda table: from_arrow(pa.concat_tables([table, table]).slice(3), INSERT, name="rows"),
    "parquet": lambda table: from_source(
        "x.parquet", INSERT, name="x.parquet", open_binary=opened(as_parquet(table, row_group_size=2))
    ),
    "polars": lambda table: from_source(pl.from_arrow(table), INSERT, name="rows"),
    "polars frames": lambda table: from_source(iter([pl.from_arrow(table)]), INSERT, name="rows"),
    "dicts": lambda table: from_source(table.to_pylist(), INSERT, name="rows"),
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("rows", [1, 2, 10_000])
def test_every_columnar_source_gives_the_same_records(kind: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "BATCH_ROWS", rows)
    stream = SOURCES[kind](TABLE)
    assert stream.columns == COLUMNS
    assert rows_of(stream) == RECORDS


def test_a_record_batch_is_a_source() -> None:
    assert rows_of(from_source(TABLE.to_batches()[0], INSERT, name="rows")) == RECORDS


def test_explicit_nulls_of_columns_can_clear() -> None:
    stream = from_arrow(
        TABLE, Rules(operation=Operation.INSERT, nulls={"Float": "clear", "Many": "clear"}), name="rows"
    )
    assert [(row[2], row[8]) for row in rows_of(stream)] == [("1", "x;y"), ("#N/A", "#N/A"), ("2.5", "#N/A")]


def frame() -> pd.DataFrame:
    df = pd.DataFrame(
        {
            "Text": ["a", None, "c,\nd"],
            "Whole": [47, None, 3],  # pandas makes floats of it
            "Int": pd.array([1, None, 2**60 + 1], dtype="Int64"),
            "Float": [1.5, np.nan, 2.0],
            "Flag": pd.array([True, None, False], dtype="boolean"),
            "Moment": pd.to_datetime(["2026-03-04T12:00:00.123456789Z", None, None]),
            "Category": pd.Categorical(["x", None, "x"]),
            "Mixed": [Decimal("1.10"), "two", 3],
            "Object": pd.Series(["a", np.nan, pd.NA], dtype=object),
            "Arrow": pd.Series([1.5, None, 2.5], dtype="float64[pyarrow]"),
        }
    )
    return df.set_index(pd.Index(["p", "q", "r"]))  # the index is not sent


FRAME_RECORDS = [
    ["a", "47", "1", "1.5", "true", "2026-03-04T12:00:00.123Z", "x", "1.10", "a", "1.5"],
    ["", "", "", "", "", "", "", "two", "", ""],
    ["c,\nd", "3", "1152921504606846977", "2", "false", "", "x", "3", "", "2.5"],
]


@pytest.mark.parametrize("rows", [1, 10_000])
def test_a_pandas_frame_is_a_source(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "BATCH_ROWS", rows)
    df = frame()
    assert df["Whole"].dtype == np.float64
    assert rows_of(from_source(df, INSERT, name="df")) == FRAME_RECORDS
    assert rows_of(from_source(iter([df, df]), INSERT, name="df")) == FRAME_RECORDS * 2
    assert rows_of(from_dicts(df.to_dict("records"), INSERT, name="df")) == FRAME_RECORDS


def test_python_values_in_frames_are_written_as_in_rows() -> None:
    class Rating(Enum):
        HOT = "Hot"

    values = [dt.date(2026, 3, 4), Rating.HOT, ["x", "y"], NOON]
    wanted = [["2026-03-04"], ["Hot"], ["x;y"], ["2026-03-04T12:00:00.000Z"]]
    assert rows_of(from_frame(pd.DataFrame({"A": values}), INSERT, name="df")) == wanted
    frame = pl.DataFrame({"A": pl.Series(values, dtype=pl.Object)})
    assert rows_of(from_polars(frame, INSERT, name="df")) == wanted
    wide = pl.DataFrame({"A": pl.Series([10**30, None], dtype=pl.Int128)})
    assert rows_of(from_polars(wide, INSERT, name="df")) == [["1" + "0" * 30], [""]]
    sparse = pd.DataFrame({"A": pd.arrays.SparseArray([1.0, np.nan])})
    assert rows_of(from_frame(sparse, INSERT, name="df")) == [["1"], [""]]


def test_categories_are_written_as_their_values() -> None:
    mixed = [SECRET, 1, dt.date(2026, 3, 4), Decimal("2"), Decimal("1.10"), None]
    df = pd.DataFrame({"A": pd.Categorical(mixed)})
    assert rows_of(from_frame(df, INSERT, name="df")) == [[SECRET], ["1"], ["2026-03-04"], ["2"], ["1.10"], [""]]


def test_values_that_arrow_cannot_hold_are_told_by_row_and_column() -> None:
    months = pd.period_range("2026-03", periods=2, freq="M")
    lone = pd.Series(["ok", "\ud800" + SECRET], dtype=pd.StringDtype("python"))
    refused: list[tuple[Any, str]] = [
        (pd.Categorical(months), "row 1, column A: a Period"),
        (lone, "row 2, column A: half a surrogate pair"),
        (np.array([1.5], dtype=np.longdouble), "row 1, column A: a numpy longdouble"),
        (pd.Series([np.longdouble(1.5)], dtype=object), "row 1, column A: a numpy longdouble"),
    ]
    for values, message in refused:
        with pytest.raises(SourceError, match=message) as caught:
            encoded(from_frame(pd.DataFrame({"A": values}), INSERT, name="df"))
        assert SECRET not in str(caught.value)
    for dtype in (pl.Int128, pl.List(pl.UInt128), pl.Object):
        frame = pl.DataFrame({"A": pl.Series([None], dtype=dtype)})
        assert rows_of(from_polars(frame, INSERT, name="rows")) == [[""]]
        with pytest.raises(SourceError, match="column A is of a type of polars that Arrow does not have"):
            encoded(from_source(iter([frame]), INSERT, name="rows"))


@pytest.mark.parametrize("is_known", [True, False], ids=["with pandas", "without pandas"])
def test_periods_are_not_sent_as_the_numbers_that_arrow_stores(is_known: bool) -> None:
    months = pd.period_range("2026-03", periods=2, freq="M")
    table = pa.table({"A": pa.array(months), "B": pa.array(pd.Categorical(months)), "C": [1, 2]})
    data = as_parquet(table.select(["A", "C"]))
    if not is_known:
        pa.unregister_extension_type("pandas.period")
    try:
        with pytest.raises(SourceError, match="row 1, column A: a Period"):
            encoded(from_parquet(opened(data), INSERT, name="x"))
        dropped = replace(INSERT, column_mapping={"A": None})
        assert rows_of(from_parquet(opened(data), dropped, name="x")) == [["1"], ["2"]]
        with pytest.raises(SourceError, match="row 1, column B: a Period"):
            encoded(from_arrow(table.select(["B"]), INSERT, name="x"))
    finally:
        if not is_known:
            pa.register_extension_type(table["A"].type)


def test_narrow_floats_have_their_own_shortest_digits() -> None:
    halves = np.array([0.1, 2.0, np.nan], dtype=np.float16)
    for source in (pa.table({"A": halves}), pd.DataFrame({"A": halves}), [{"A": each} for each in halves]):
        assert rows_of(from_source(source, INSERT, name="rows")) == [["0.1"], ["2"], [""]]


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "A": st.none()
                | st.text(st.sampled_from('ab,"\n\r é\u2028'), max_size=5).filter(lambda x: "\r\n" not in x),
                "B": st.none() | st.floats(allow_infinity=False, allow_nan=False),
                "C": st.none() | st.integers(-(2**63), 2**63 - 1),
                "D": st.none() | st.booleans(),
                "E": st.none() | st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)),  # noqa: DTZ001
            }
        ),
        max_size=8,
    )
)
def test_all_ways_agree_on_the_same_rows(rows: list[dict[str, Any]]) -> None:
    rules = Rules(operation=Operation.INSERT, timezone="UTC")
    schema = pa.schema([("A", "string"), ("B", "float64"), ("C", "int64"), ("D", "bool"), ("E", pa.timestamp("us"))])
    table = pa.Table.from_pylist(rows, schema)
    wanted = encoded(from_dicts(rows, replace(rules, columns=schema.names), name="rows"))
    assert encoded(from_arrow(table, rules, name="rows")) == wanted
    assert encoded(from_parquet(opened(as_parquet(table)), rules, name="rows")) == wanted
    assert encoded(from_polars(pl.DataFrame(table), rules, name="rows")) == wanted
    assert encoded(from_frame(table.to_pandas(types_mapper=pd.ArrowDtype), rules, name="rows")) == wanted


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["x", b"\xff"], pa.binary()), "row 1, column A: bytes"),
        (pa.array(["x", "#N/A"]), "row 2, column A: the text #N/A"),
        (pa.array([1.0, -np.inf]), "row 2, column A: an infinite number"),
        (pa.array([None, dt.datetime(2026, 1, 1)]), "row 2, column A: a datetime without a time zone"),  # noqa: DTZ001
        (pa.array([dt.timedelta(1)] * 2), "row 1, column A: a timedelta"),
        (pa.array(["a\n", f"{SECRET}\r\n"]), "row 2, column A: CRLF line breaks"),
        (pa.array([{"b": {"c": 1}}] * 2), r"row 1, column A\.b: a nested value"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["table", "batches", "parquet", "frame"])
def test_a_value_that_cannot_be_sent_is_told_by_row_and_column(column: pa.Array, message: str, kind: str) -> None:
    table = pa.table({"A": column})
    make = {
        "table": lambda: from_arrow(table, INSERT, name="rows"),
        "batches": lambda: from_arrow(iter(table.to_batches(max_chunksize=1)), INSERT, name="rows"),
        "parquet": lambda: from_parquet(opened(as_parquet(table)), INSERT, name="rows"),
        "frame": lambda: from_frame(table.to_pandas(), INSERT, name="rows"),
    }
    with pytest.raises(SourceError, match=message) as caught:
        encoded(make[kind]())
    assert SECRET not in str(caught.value)


def test_line_breaks_of_columns_decide_the_line_ending() -> None:
    texts = [None, "x", "a\r\nb"]
    for stream in (
        from_arrow(pa.table({"A": texts}), INSERT, name="rows"),
        from_arrow(pa.table({"A": pa.array(texts).dictionary_encode()}), INSERT, name="rows"),
        from_arrow(iter(pa.table({"A": texts}).to_batches()), INSERT, name="rows"),
        from_parquet(opened(as_parquet(pa.table({"A": texts}))), INSERT, name="rows"),
        from_frame(pd.DataFrame({"A": texts}), INSERT, name="rows"),
        from_frame(pd.DataFrame({"A": pd.Series(texts, dtype=object)}), INSERT, name="rows"),
        from_source(iter([pd.DataFrame({"A": texts})]), INSERT, name="rows"),
        from_polars(pl.DataFrame({"A": texts}), INSERT, name="rows"),
        from_arrow(pa.table({"A": [{"b": "a\r\nb"}]}), INSERT, name="rows"),
    ):
        assert stream.dialect.line_ending is LineEnding.CRLF
        assert rows_of(stream)[-1] == ["a\r\nb"]


def test_a_naive_column_takes_the_rules_zone() -> None:
    rules = Rules(operation=Operation.INSERT, timezone="America/New_York")
    summer, later = dt.datetime(2026, 7, 1), dt.datetime(2040, 7, 1)  # noqa: DTZ001
    for values in ([summer], [summer, later]):
        table = pa.table({"A": pa.array(values)})
        wanted = [[f"{value.year}-07-01T04:00:00.000Z"] for value in values]
        assert rows_of(from_arrow(table, rules, name="rows")) == wanted
        assert rows_of(from_frame(table.to_pandas(), rules, name="rows")) == wanted


@pytest.mark.parametrize("with_schema", [True, False])
def test_moments_of_spark_and_hive_are_read_in_all_years(with_schema: bool) -> None:
    """They write Parquet's old INT96, and 9999-12-31 for what has no end."""
    moments = [dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC), dt.datetime(1, 1, 2, tzinfo=dt.UTC), NOON, None]
    table = pa.table({"A": pa.array(moments, pa.timestamp("us", "UTC"))})
    data = as_parquet(table, use_deprecated_int96_timestamps=True, store_schema=with_schema)
    stream = from_parquet(opened(data), Rules(operation=Operation.INSERT, timezone="UTC"), name="x")
    wanted = ["9999-12-31T23:59:59.000Z", "0001-01-02T00:00:00.000Z", "2026-03-04T12:00:00.000Z", ""]
    assert rows_of(stream) == [[each] for each in wanted]


def test_empty_columnar_sources_have_columns_and_no_records() -> None:
    for stream in (
        from_arrow(TABLE.slice(0, 0), INSERT, name="rows"),
        from_parquet(opened(as_parquet(TABLE.slice(0, 0))), INSERT, name="rows"),
        from_frame(pd.DataFrame({"A": []}), INSERT, name="rows"),
        from_polars(pl.DataFrame({"A": []}), INSERT, name="rows"),
    ):
        assert stream.columns
        assert list(stream.blocks()) == []
    for nothing in (pd.DataFrame(), pa.table({}), pl.DataFrame(), [], iter(())):
        stream = from_source(nothing, Rules(operation=Operation.UPDATE), name="rows")
        assert (stream.columns, list(stream.blocks())) == ((), [])


def test_batches_and_frames_must_have_the_same_columns() -> None:
    batches = [pa.record_batch({"A": [1]}), pa.record_batch({"B": [1]})]
    with pytest.raises(SourceError, match="row 2: this batch has other columns"):
        encoded(from_source(batches, INSERT, name="rows"))
    with pytest.raises(SourceError, match="row 2: this frame has other columns"):
        encoded(from_source([pd.DataFrame({"A": [1]}), pd.DataFrame({"B": [1]})], INSERT, name="rows"))


@pytest.mark.parametrize(
    "second",
    [
        [{"B__c": "b", "A__c": "a"}],
        [{"A__c": "a", "C__c": "c"}],
        [{"A__c": "a"}],
        [None],
        ["plain"],
    ],
    ids=str,
)
@pytest.mark.parametrize("make", [pa.table, pl.DataFrame], ids=["arrow", "polars"])
def test_structs_of_all_batches_must_have_the_same_fields(make: Any, second: list[Any]) -> None:
    tables = [make({"Owner": values, "Name": ["n"]}) for values in ([{"A__c": "a", "B__c": "b"}], second)]
    assert rows_of(from_source(iter(tables[:1]), INSERT, name="rows")) == [["a", "b", "n"]]
    with pytest.raises(SourceError, match="row 2: this batch has other columns than the first"):
        encoded(from_source(iter(tables), INSERT, name="rows"))


@pytest.mark.parametrize("other", [None, {"A": 2}, pd.DataFrame({"A": [2]}), pa.table({"A": [2]}), "text"], ids=type)
@pytest.mark.parametrize(
    "first",
    [pd.DataFrame({"A": [1]}), pl.DataFrame({"A": [1]}), pa.table({"A": [1]}), pa.record_batch({"A": [1]})],
    ids=lambda each: f"{type(each).__module__}.{type(each).__name__}",
)
def test_frames_among_something_else_are_refused(first: Any, other: Any) -> None:
    """As when one of several tasks gave nothing, or something else."""
    assert rows_of(from_source([first, first], INSERT, name="rows")) == [["1"], ["1"]]
    if type(first) is not type(other):
        with pytest.raises(
            SourceError, match=r"rows: item 2 is a \w+, but the first is a \w+: all must be of one kind"
        ):
            encoded(from_source([first, other], INSERT, name="rows"))


def test_column_names_are_checked() -> None:
    with pytest.raises(SourceError, match="column names must be strings, not int"):
        from_frame(pd.DataFrame([[1, 2]]), INSERT, name="rows")
    with pytest.raises(SourceError, match="A occurs twice"):
        from_frame(pd.DataFrame([[1, 2]], columns=["A", "A"]), INSERT, name="rows")
    with pytest.raises(SourceError, match="A occurs twice"):
        from_arrow(pa.table([[1], [2]], names=["A", "A"]), INSERT, name="rows")


def test_what_is_no_parquet_is_refused() -> None:
    data = as_parquet(TABLE)
    for wrong in (b"", b"A,B\n1,2\n", data[: len(data) // 2]):
        with pytest.raises(
            SourceError, match=r"a\.parquet: (?:this is text, not Parquet|the file is not Parquet|the file is empty)"
        ):
            from_parquet(opened(wrong), INSERT, name="a.parquet")
    table = pa.table({"A": [str(each**3) for each in range(10_000)]})
    broken = bytearray(as_parquet(table, use_dictionary=False, compression="gzip"))
    broken[100:2000] = bytes(1900)
    rules = Rules(operation=Operation.INSERT, line_ending=LineEnding.LF)
    with pytest.raises(SourceError, match="cut off or corrupt"):
        encoded(from_parquet(opened(bytes(broken)), rules, name="a.parquet"))
    with pytest.raises(SourceError, match="cut off or corrupt"):
        from_parquet(opened(bytes(broken)), INSERT, name="a.parquet")


def test_a_failing_disk_or_network_is_not_a_wrong_source() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        from_parquet(lambda: Failing(as_parquet(TABLE)), INSERT, name="a.parquet")
    with pytest.raises(ConnectionResetError):
        from_csv(lambda: Failing(b"A"), INSERT, name="a.csv")


@pytest.mark.parametrize("form", SOURCE_FORMATS)
def test_the_format_is_told_by_the_name(form: str) -> None:
    for name in (f"a.{form}", f"s3://bucket/x.y/a.b.{form}", f"/tmp/A.{form.upper()}"):
        assert source_format_of(name) == form


def test_a_name_that_tells_no_format() -> None:
    for name in ("a.txt", "csv", "a.csv/part-1", "a.gz"):
        with pytest.raises(SourceError, match=r"none of .csv, .csv.gz, .csv.zst, .jsonl.*source_format"):
            source_format_of(name)
    with pytest.raises(SourceError, match=r"source_format must be one of csv, csv\.gz"):
        from_source(None, INSERT, name="a", open_binary=opened(b""), source_format="xlsx")
    assert from_source(None, INSERT, name="a", open_binary=opened(b"A\n1\n"), source_format="csv").columns == ("A",)


@pytest.mark.parametrize("source", ["a.csv", b"a", {"A": 1}, 5, None, pl.LazyFrame({"A": [1]})])
def test_what_is_no_source_is_refused(source: object) -> None:
    with pytest.raises(SourceError, match="is not a source of records"):
        from_source(source, INSERT, name="rows")


@pytest.mark.parametrize("as_parquet", [True, False])
def test_texts_that_are_no_utf_8_are_refused_without_being_shown(as_parquet: bool) -> None:
    offsets = pa.py_buffer(np.array([0, 1, 8], dtype=np.int32))
    texts = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"a" + b"\xff" + b"S3cret"))
    table = pa.table({"Key__c": [1, 2], "Name": texts})
    file = io.BytesIO()
    pq.write_table(table, file)
    with pytest.raises(SourceError, match="x: rows 1 to 2, column Name: text that is not UTF-8") as caught:
        encoded(
            from_parquet(opened(file.getvalue()), INSERT, name="x")
            if as_parquet
            else from_arrow(table, INSERT, name="x")
        )
    assert "S3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
