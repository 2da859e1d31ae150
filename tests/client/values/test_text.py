"""Values become Salesforce's text, one by one and by the column, in the same way."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.values.text import UnfitValueError, text_of
from airflow_provider_sfbulk.client.values.text_arrow import (
    MISSING,
    UnfitRowError,
    texts_of_array,
    texts_of_values,
)

BERLIN = ZoneInfo("Europe/Berlin")


class Rating(Enum):
    HOT = "Hot"
    NONE = None


class Level(IntEnum):
    HIGH = 3


class Stage(StrEnum):
    OPEN = "Open"


class Name(str):
    def __str__(self) -> str:
        return "another text"


TEXTS = [
    (None, None),
    ("", ""),
    (" two  spaces ", " two  spaces "),
    (Name("Ada"), "Ada"),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-(10**30), "-1" + "0" * 30),
    (47.0, "47"),
    (-0.0, "0"),
    (0.1, "0.1"),
    (1.5e16, "15000000000000000"),
    (1e22, "10000000000000000000000"),
    (1.25e-7, "0.000000125"),
    (123456789012.5, "123456789012.5"),
    (float("nan"), None),
    (Decimal("1.10"), "1.10"),
    (Decimal("1E+3"), "1000"),
    (Decimal("1E-10"), "0.0000000001"),
    (Decimal("NaN"), None),
    (date(2026, 3, 4), "2026-03-04"),
    (date(9, 1, 2), "0009-01-02"),
    (datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), "2026-03-04T05:06:07.000Z"),
    (datetime(2026, 3, 4, 5, 6, 7, 999999, tzinfo=timezone(timedelta(hours=5))), "2026-03-04T00:06:07.999Z"),
    (time(7, 0), "07:00:00.000Z"),
    (time(7, 0, 1, 5999, tzinfo=UTC), "07:00:01.005Z"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Rating.HOT, "Hot"),
    (Rating.NONE, None),
    (Level.HIGH, "3"),
    (Stage.OPEN, "Open"),
    (["Red", "Green"], "Red;Green"),
    (("Red",), "Red"),
    ({"b", "a", "c"}, "a;b;c"),
    ([Rating.HOT, Stage.OPEN], "Hot;Open"),
    ([], None),
    (pd.NA, None),
    (pd.NaT, None),
    (pd.Timestamp("2026-03-04T05:06:07.123456789Z"), "2026-03-04T05:06:07.123Z"),
    (np.int64(5), "5"),
    (np.bool_(True), "true"),
    (np.float32(0.1), "0.1"),
    (np.float32(91745712), "91745712"),
    (np.float64("nan"), None),
    (np.str_("x"), "x"),
    (np.array(["a", "b"]), "a;b"),
    (np.datetime64("NaT", "ns"), None),
]


@pytest.mark.parametrize(
    ("value", "text"),
    TEXTS,
    ids=lambda each: f"{type(each).__name__}-{str(sorted(each) if isinstance(each, set) else each)[:20]}",
)
@pytest.mark.parity("G9.9", "G10.1", "G10.3", "G11.6", "I5.3")
def test_a_value_has_its_text(value: object, text: str | None) -> None:
    assert text_of(value) == text
    assert texts_of_values([value], None).to_pylist() == [text]
    assert texts_of_values(["other", value, None], None).to_pylist() == ["other", text, None]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("inf"), "infinite"),
        (Decimal("-Infinity"), "infinite"),
        (np.float32("inf"), "infinite"),
        (b"abc", "bytes"),
        (bytearray(b"abc"), "bytes"),
        (np.bytes_(b"abc"), "bytes"),
        ({"a": 1}, "nested"),
        (OrderedDict(a=1), "nested"),
        (timedelta(1), "timedelta"),
        (1j, "complex"),
        ([1, 2], "list of values other"),
        ([["a"]], "list of values other"),
        ([None], "list of values other"),
        (["a;b"], "semicolon"),
        ([""], "empty"),
        (datetime(2026, 1, 1), "without a time zone"),  # noqa: DTZ001
        (np.datetime64("2026-01-01T00:00:00"), "without a time zone"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "outside the years"),
        (time(1, tzinfo=timezone(timedelta(hours=5))), "zone other than UTC"),
        (10**5000, "more than 400 digits"),
        (Decimal("1e-999999999"), "more than 400 digits"),
        (object(), "object"),
    ],
    ids=lambda each: str(type(each).__name__),
)
@pytest.mark.parity("I5.3")
def test_a_value_without_text_is_refused_with_the_reason(value: object, reason: str) -> None:
    with pytest.raises(UnfitValueError, match=reason):
        text_of(value)
    with pytest.raises(UnfitRowError) as caught:
        texts_of_values(["", None, value], None)
    assert caught.value.index == 2
    assert reason in caught.value.reason


def test_a_naive_datetime_takes_the_given_zone() -> None:
    assert text_of(datetime(2026, 7, 1, 12), BERLIN) == "2026-07-01T10:00:00.000Z"  # noqa: DTZ001


def test_of_an_hour_that_is_there_twice_the_first_is_taken_unless_fold_says_otherwise() -> None:
    twice = datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001
    assert text_of(twice, BERLIN) == "2026-10-25T00:30:00.000Z"
    assert text_of(twice.replace(fold=1), BERLIN) == "2026-10-25T01:30:00.000Z"
    column = pa.array([twice], pa.timestamp("us"))
    assert texts_of_array(column, BERLIN).to_pylist() == ["2026-10-25T00:30:00.000Z"]


def test_an_hour_that_the_zone_skips_is_refused() -> None:
    skipped = datetime(2026, 3, 29, 2, 30)  # noqa: DTZ001
    with pytest.raises(UnfitValueError, match="skips"):
        text_of(skipped, BERLIN)
    with pytest.raises(UnfitRowError) as caught:
        texts_of_array(pa.array([None, skipped], pa.timestamp("ns")), BERLIN)
    assert caught.value.index == 1


def test_a_missing_key_is_an_empty_text_and_a_null_stays_null() -> None:
    assert texts_of_values([MISSING, None, 5], None).to_pylist() == ["", None, "5"]


def test_half_a_surrogate_pair_is_refused_at_its_place() -> None:
    with pytest.raises(UnfitRowError) as caught:
        texts_of_values(["a", "\ud800"], None)
    assert caught.value.index == 1


# What an Arrow column and what Python say must be the same.
COLUMNS = {
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_infinity=False),
    pa.decimal128(20, 12): st.decimals(-(10**7), 10**7, places=12),
    pa.decimal128(10, 2): st.decimals(-(10**7), 10**7, places=2),
    pa.string(): st.text(),
    pa.large_string(): st.text(),
    pa.string_view(): st.text(),
    pa.date32(): st.dates(),
    pa.date64(): st.dates(),
    pa.time32("s"): st.times().map(lambda each: each.replace(microsecond=0)),
    pa.time64("us"): st.times(),
    pa.timestamp("s", "UTC"): st.datetimes(timezones=st.just(UTC)).map(lambda each: each.replace(microsecond=0)),
    pa.timestamp("us", "Asia/Tokyo"): st.datetimes(
        datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001
    ),
    pa.list_(pa.string()): st.lists(st.text("abc", min_size=1)),
}  # fmt: skip


@pytest.mark.parametrize("kind", COLUMNS, ids=str)
@given(data=st.data())
def test_a_column_and_its_values_have_the_same_texts(kind: pa.DataType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | COLUMNS[kind], max_size=6))
    column = pa.array(values, kind)
    assert texts_of_array(column, None).to_pylist() == [text_of(value) for value in values]
    assert texts_of_array(column.slice(1), None).to_pylist() == [text_of(value) for value in values[1:]]
    assert texts_of_values(values, None).to_pylist() == [text_of(value) for value in values]


@given(st.lists(st.none() | st.floats(allow_infinity=False, width=32), max_size=6))
def test_a_narrow_float_has_its_own_shortest_digits(values: list[float | None]) -> None:
    texts = texts_of_array(pa.array(values, pa.float32()), None).to_pylist()
    assert texts == [None if value is None else text_of(np.float32(value)) for value in values]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_reads_back_the_same(value: float) -> None:
    text = text_of(value)
    assert text is not None
    assert float(text) == value
    assert "e" not in text.lower()


# An Arrow column has no fold: of a doubled hour it can only mean the first.
@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(fold=0)))  # noqa: DTZ001
def test_naive_datetimes_of_a_column_and_its_values_have_the_same_texts(value: datetime) -> None:
    column = pa.array([value], pa.timestamp("us"))
    try:
        text = text_of(value, BERLIN)
    except UnfitValueError:
        with pytest.raises(UnfitRowError, match="skips"):
            texts_of_array(column, BERLIN)
    else:
        assert texts_of_array(column, BERLIN).to_pylist() == [text]


EDGES = (datetime(1899, 12, 31), datetime(1900, 1, 1), datetime(2099, 12, 31), datetime(2100, 1, 1))  # noqa: DTZ001
MOMENTS = st.datetimes(EDGES[1], EDGES[2]) | st.builds(
    lambda edge, seconds: edge + timedelta(seconds=seconds, milliseconds=-1),
    st.sampled_from(EDGES),
    st.integers(0, 86_400),
)


@given(st.lists(st.none() | MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)), max_size=6))
def test_moments_and_dates_that_tables_know_or_just_do_not_have_the_same_texts(values: list[datetime | None]) -> None:
    moments = pa.array(values, pa.timestamp("us", "UTC"))
    assert texts_of_array(moments, None).to_pylist() == [text_of(value) for value in values]
    days = [value and value.date() for value in values]
    assert texts_of_array(pa.array(days, pa.date32()), None).to_pylist() == [text_of(day) for day in days]


@pytest.mark.parametrize(
    ("column", "index", "reason"),
    [
        (pa.array([None, b"x"], pa.binary()), 1, "bytes"),
        (pa.array([1, 2], pa.duration("s")), 0, "timedelta"),
        (pa.array([1.0, float("inf"), None]), 1, "infinite"),
        (pa.array([None, datetime(2026, 1, 1)]), 1, "without a time zone"),  # noqa: DTZ001
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), 0, "list of values other"),
        (pa.array([10**7], pa.date32()), 0, "cannot hold"),
        (pa.array([2**62], pa.timestamp("s", "UTC")), 0, "cannot hold"),
    ],
    ids=str,
)
def test_a_column_that_has_no_text_is_refused_at_its_place(column: pa.Array, index: int, reason: str) -> None:
    with pytest.raises(UnfitRowError) as caught:
        texts_of_array(column, None)
    assert (caught.value.index, reason in caught.value.reason) == (index, True), caught.value.reason


def test_dictionary_and_uuid_columns_have_texts() -> None:
    assert texts_of_array(pa.array(["a", None, "a"]).dictionary_encode(), None).to_pylist() == ["a", None, "a"]
    uuids = pa.array([UUID(int=1).bytes], pa.uuid())
    assert texts_of_array(uuids, None).to_pylist() == [str(UUID(int=1))]


def test_a_column_without_values_of_any_type_is_all_null() -> None:
    assert texts_of_array(pa.array([None, None], pa.timestamp("us")), None).to_pylist() == [None, None]
    assert texts_of_array(pa.nulls(2), None).to_pylist() == [None, None]
