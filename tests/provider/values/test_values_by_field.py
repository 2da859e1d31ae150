"""What becomes of a value is decided by the field that it goes into: by the operator, in both generations of the API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.conftest import FakeTask

BERLIN: Final = "Europe/Berlin"
EAST: Final = timezone(timedelta(hours=2))
NAIVE: Final = datetime(2026, 3, 4, 5, 6, 7)  # noqa: DTZ001
NAIVE_MIDNIGHT: Final = datetime(2026, 3, 4)  # noqa: DTZ001
DAY: Final = date(2026, 3, 4)

FIELDS = [
    {"name": "Int__c", "type": "int", "digits": 9},
    {"name": "Double__c", "type": "double", "precision": 18, "scale": 4},
    {"name": "Currency__c", "type": "currency", "precision": 18, "scale": 2},
    {"name": "Flag__c", "type": "boolean"},
    {"name": "Day__c", "type": "date"},
    {"name": "Moment__c", "type": "datetime"},
    {"name": "Clock__c", "type": "time"},
    {"name": "Text__c", "type": "string", "length": 255},
    {"name": "Colors__c", "type": "multipicklist", "length": 255, "picklistValues": ["red", "blue"]},
    {"name": "Account__c", "type": "reference", "referenceTo": ["Account"], "relationshipName": "Account__r"},
]


class Choice(Enum):
    """A value of one's own."""

    YES = "yes"
    SEVEN = 7


CONVERTED: Final[list[tuple[str, Any, Any]]] = [
    ("Int__c", 47, 47),
    ("Int__c", 47.0, 47),
    ("Int__c", Decimal("47.00"), 47),
    ("Int__c", Decimal("4.7E1"), 47),
    ("Int__c", "47", 47),
    ("Int__c", "47.00", 47),
    ("Int__c", np.float32(47), 47),
    ("Int__c", np.int8(47), 47),
    ("Int__c", Choice.SEVEN, 7),
    ("Int__c", float("nan"), None),
    ("Int__c", Decimal("NaN"), None),
    ("Int__c", pd.NA, None),
    ("Double__c", 47, 47.0),
    ("Double__c", Decimal("0.5"), 0.5),
    ("Double__c", np.float32(0.1), 0.1),
    ("Currency__c", Decimal("47.10"), 47.1),
    ("Currency__c", "47.10", 47.1),
    ("Flag__c", True, True),
    ("Flag__c", np.bool_(True), True),
    ("Flag__c", 1, True),
    ("Flag__c", 0, False),
    ("Flag__c", 1.0, True),
    ("Flag__c", Decimal(0), False),
    ("Flag__c", "TRUE", True),
    ("Flag__c", "yes", True),
    ("Flag__c", "N", False),
    ("Flag__c", "1.0", True),
    ("Flag__c", Choice.YES, True),
    ("Day__c", DAY, "2026-03-04"),
    ("Day__c", NAIVE_MIDNIGHT, "2026-03-04"),
    ("Day__c", datetime(2026, 3, 4, tzinfo=EAST), "2026-03-04"),
    ("Day__c", pd.Timestamp("2026-03-04"), "2026-03-04"),
    ("Day__c", pd.Timestamp("2026-03-04", tz="Asia/Tokyo"), "2026-03-04"),
    ("Day__c", np.datetime64("2026-03-04", "D"), "2026-03-04"),
    ("Day__c", np.datetime64("2026-03-04T00:00", "ns"), "2026-03-04"),
    ("Day__c", pd.NaT, None),
    ("Day__c", np.datetime64("NaT", "ns"), None),
    ("Day__c", "2026-03-04", "2026-03-04"),
    ("Day__c", "2026-03-04 00:00:00", "2026-03-04"),
    ("Day__c", "2026-03-04T00:00:00.000Z", "2026-03-04"),
    ("Moment__c", datetime(2026, 3, 4, 5, 6, 7, tzinfo=EAST), "2026-03-04T03:06:07.000Z"),
    ("Moment__c", NAIVE, "2026-03-04T04:06:07.000Z"),
    ("Moment__c", DAY, "2026-03-03T23:00:00.000Z"),
    ("Moment__c", np.datetime64("2026-03-04", "D"), "2026-03-03T23:00:00.000Z"),
    ("Moment__c", pd.Timestamp("2026-07-04 12:00"), "2026-07-04T10:00:00.000Z"),
    ("Moment__c", "2026-03-04T05:06:07Z", "2026-03-04T05:06:07.000Z"),
    ("Moment__c", "2026-03-04 05:06:07+02:00", "2026-03-04T03:06:07.000Z"),
    ("Moment__c", "2026-03-04T05:06:07", "2026-03-04T04:06:07.000Z"),
    ("Moment__c", "2026-03-04 05:06:07.123456", "2026-03-04T04:06:07.000Z"),
    ("Moment__c", "2026-03-04 05:06", "2026-03-04T04:06:00.000Z"),
    ("Moment__c", "2026-03-04", "2026-03-03T23:00:00.000Z"),
    ("Clock__c", time(5, 6, 7), "05:06:07.000Z"),
    ("Clock__c", timedelta(hours=5, minutes=6), "05:06:00.000Z"),
    ("Clock__c", np.timedelta64(5, "h"), "05:00:00.000Z"),
    ("Clock__c", "05:06:07", "05:06:07.000Z"),
    ("Clock__c", "05:06:07.000Z", "05:06:07.000Z"),
    ("Text__c", 47, "47"),
    ("Text__c", 47.0, "47"),
    ("Text__c", True, "true"),
    ("Text__c", DAY, "2026-03-04"),
    ("Text__c", Decimal("47.00"), "47.00"),
    ("Text__c", "2026-03-04 05:06", "2026-03-04 05:06"),
    ("Colors__c", ["red", "blue"], "red;blue"),
    ("Colors__c", {"red", "blue"}, "blue;red"),
    ("Colors__c", np.datetime64("2026-03-04"), "2026-03-04"),
]
"""Field, value, and what the org has of it, with ``timezone="Europe/Berlin"``."""

REFUSED: Final[list[tuple[str, Any, str]]] = [
    ("Int__c", 47.5, "a number; it takes whole numbers; round it"),
    ("Int__c", Decimal("47.50"), "whole numbers"),
    ("Int__c", "47.50", "a text; it takes whole numbers"),
    ("Int__c", True, "a bool; it takes whole numbers"),
    ("Int__c", DAY, "a date; it takes whole numbers"),
    ("Int__c", 10**5000, "more than 400 digits"),
    ("Int__c", Decimal("1e999999999"), "more than 400 digits"),
    ("Int__c", float("inf"), "infinite"),
    ("Double__c", False, "a bool; it takes numbers"),
    ("Double__c", NAIVE, "a datetime; it takes numbers"),
    ("Double__c", Decimal("1e-999999999"), "more than 400 digits"),
    ("Double__c", Decimal("-Infinity"), "infinite"),
    ("Double__c", np.longdouble(1) / 3, "a numpy longdouble"),
    ("Currency__c", ["1"], "a list; it takes numbers"),
    ("Flag__c", 2, "a number; it takes True and False"),
    ("Flag__c", 0.5, "a number"),
    ("Flag__c", DAY, "a date"),
    ("Day__c", NAIVE, "a datetime; it holds a day without a time"),
    ("Day__c", pd.Timestamp("2026-03-04 00:00:00.000000001"), "a datetime; it holds a day"),
    ("Day__c", "2026-03-04 05:06", "a text; it holds a day"),
    ("Day__c", 20260304, "a number; it holds a day"),
    ("Day__c", time(1), "a time; it holds a day"),
    ("Moment__c", 1772600767000, "a number; give a datetime"),
    ("Moment__c", time(1), "a time; give a datetime"),
    ("Moment__c", True, "a bool; give a datetime"),
    ("Clock__c", timedelta(days=1), "a timedelta; it takes the times of one day"),
    ("Clock__c", NAIVE, "a datetime; give a time"),
    ("Clock__c", 5, "a number; give a time"),
    ("Text__c", ["a", "b"], "a list; only a multi-select picklist takes several"),
    ("Text__c", {"a"}, "a set; only"),
    ("Text__c", b"abc", "bytes"),
    ("Text__c", memoryview(b"abc"), "bytes"),
    ("Text__c", "\ud800", "half a surrogate pair"),
    ("Text__c", "a\0b", "a NUL character"),
    ("Colors__c", [1], "a list of values other than texts"),
    ("Account__c", 47, "a number; it takes a record's id"),
    ("Account__c", DAY, "a date; it takes a record's id"),
]
"""Field, value, and what the refusal says."""

NEEDS_ZONE: Final = [NAIVE, DAY, "2026-03-04T05:06:07", "2026-03-04", pd.Timestamp("2026-03-04 12:00")]


@pytest.fixture(scope="module")
def typed_org() -> Iterator[LocalOrg]:
    with LocalOrg() as running:
        running.add_object(name="Typed__c", fields=FIELDS)
        yield running


@pytest.fixture(autouse=True)
def connected(typed_org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT", typed_org.connection)


def load(source: Any, **arguments: Any) -> Any:
    given = {"sobject": "Typed__c", "operation": "insert", "timezone": BERLIN, **arguments}
    return FakeTask().start().run(BulkIngestOperator(task_id="load", source=source, **given))


def stored(org: LocalOrg, key: str) -> dict[str, Any]:
    (record,) = [each for each in org.records("Typed__c") if each["External_Key__c"] == key]
    return record


@pytest.fixture
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The generation of the API; with 1.0 rows go by column, as where there are many of them."""
    if request.param == "1.0":
        monkeypatch.setattr("airflow_provider_sfbulk.client.parts.encode.FEW", 0)
    return str(request.param)


def numbers(value: Any) -> Any:
    return float(value) if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) else value


@pytest.mark.parametrize("api", ["2.0", "1.0"], indirect=True)
def test_a_value_is_converted_by_its_field_where_nothing_is_lost(typed_org: LocalOrg, api: str) -> None:
    rows = [{"External_Key__c": f"{api} {n}", field: value} for n, (field, value, _) in enumerate(CONVERTED)]
    summary = load(rows, api=api)
    assert (summary["successful"], summary["errors"]) == (len(rows), {})
    for n, (field, value, wanted) in enumerate(CONVERTED):
        found = stored(typed_org, f"{api} {n}")[field]
        assert numbers(found) == numbers(wanted), (field, value)


@pytest.mark.parametrize("api", ["2.0", "1.0"], indirect=True)
@pytest.mark.parametrize(("field", "value", "reason"), REFUSED, ids=[f"{f} {type(v).__name__}" for f, v, _ in REFUSED])
def test_a_value_that_does_not_fit_its_field_is_refused_before_the_upload(
    typed_org: LocalOrg, api: str, field: str, value: Any, reason: str
) -> None:
    before = len(typed_org.records("Typed__c"))
    with pytest.raises(SourceError) as caught:
        load([{field: None}, {field: value}], api=api)
    described = next(each["type"] for each in FIELDS if each["name"] == field)
    assert f"row 2, column {field}" in str(caught.value)
    assert reason in str(caught.value)
    if reason not in ("a NUL character", "bytes"):
        assert f"a field of type {described}" in str(caught.value)
    if isinstance(value, (float, str, date)) and value not in (0.5, float("inf"), "a\0b"):
        assert str(value) not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert len(typed_org.records("Typed__c")) == before


@pytest.mark.parametrize("value", NEEDS_ZONE, ids=lambda value: type(value).__name__)
def test_without_a_timezone_nothing_is_guessed(typed_org: LocalOrg, value: Any) -> None:
    with pytest.raises(SourceError, match=r"row 1, column Moment__c, a field of type datetime: .*timezone"):
        load([{"Moment__c": value}], timezone=None)


def test_a_text_that_reads_as_nothing_fails_its_row_alone(typed_org: LocalOrg) -> None:
    rows = [{"Int__c": "a dozen"}, {"Day__c": "soon"}, {"Moment__c": "04/03/2026"}, {"Flag__c": "maybe"}, {"Int__c": 1}]
    summary = load(rows, max_failed_records=4)
    assert (summary["successful"], summary["failed"]) == (1, 4)


def frame() -> pd.DataFrame:
    """One column for each of pandas' types, all of them in fields of another one."""
    return pd.DataFrame(
        {
            "Int__c": pd.array([47.0, None], "Float64"),
            "Double__c": pd.array([47, None], "Int64"),
            "Currency__c": pd.Series([Decimal("47.10"), None], dtype=object),
            "Flag__c": pd.Series([1.0, float("nan")]),
            "Day__c": pd.Series(np.array(["2026-03-04", "NaT"], "datetime64[D]")),
            "Moment__c": pd.Series([DAY, None], dtype=object),
            "Clock__c": pd.to_timedelta(["05:06:07", None]),
            "Text__c": pd.Categorical(["x", None]),
        }
    )


def arrow() -> pa.Table:
    return pa.table(
        {
            "Int__c": pa.array([Decimal("47.00"), None], pa.decimal128(10, 2)),
            "Double__c": pa.array([47, None], pa.int16()),
            "Currency__c": pa.array([Decimal("47.10"), None], pa.decimal128(10, 2)),
            "Flag__c": pa.array([1, None], pa.int8()),
            "Day__c": pa.array([NAIVE_MIDNIGHT, None], pa.timestamp("ns")),
            "Moment__c": pa.array([DAY, None], pa.date64()),
            "Clock__c": pa.array([time(5, 6, 7), None], pa.time64("us")),
            "Text__c": pa.array(["x", None]).dictionary_encode(),
        }
    )


def parquet(folder: Path) -> str:
    table = arrow().set_column(4, "Day__c", pa.array([NAIVE_MIDNIGHT, None], pa.timestamp("us", "Asia/Tokyo")).cast(
        pa.timestamp("ms", "Asia/Tokyo")))  # fmt: skip
    local = pa.array(
        [datetime(2026, 3, 4, tzinfo=timezone(timedelta(hours=9))), None], pa.timestamp("ms", "Asia/Tokyo")
    )
    pq.write_table(table.set_column(4, "Day__c", local), folder / "a.parquet")
    return str(folder / "a.parquet")


def json_lines(folder: Path) -> str:
    values = {"Int__c": 47.00, "Double__c": 47, "Currency__c": "47.10", "Flag__c": 1, "Day__c": "2026-03-04T00:00:00",
              "Moment__c": "2026-03-04", "Clock__c": "05:06:07", "Text__c": "x"}  # fmt: skip
    (folder / "a.jsonl").write_text(json.dumps(values) + "\n" + json.dumps(dict.fromkeys(values)) + "\n")
    return str(folder / "a.jsonl")


KINDS: Final[dict[str, Callable[[Path], Any]]] = {
    "pandas": lambda _: frame(),
    "pandas of Arrow types": lambda _: arrow().to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda _: pl.from_arrow(arrow().set_column(5, "Moment__c", pa.array([DAY, None], pa.date32()))),
    "Arrow": lambda _: arrow(),
    "Parquet": parquet,
    "JSON Lines": json_lines,
    "callable": lambda _: lambda: iter(frame().astype(object).to_dict("records")),
}


@pytest.mark.parametrize("api", ["2.0", "1.0"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_source_goes_by_the_field(typed_org: LocalOrg, tmp_path: Path, kind: str, api: str) -> None:
    known = {each["Id"] for each in typed_org.records("Typed__c")}
    summary = load(KINDS[kind](tmp_path), api=api)
    assert (summary["successful"], summary["errors"]) == (2, {})
    full, empty = sorted(
        (each for each in typed_org.records("Typed__c") if each["Id"] not in known),
        key=lambda each: not each["Text__c"],
    )
    assert {name: numbers(full[name]) for name in frame().columns} == {
        "Int__c": 47, "Double__c": 47, "Currency__c": 47.1, "Flag__c": True, "Day__c": "2026-03-04",
        "Moment__c": "2026-03-03T23:00:00.000Z", "Clock__c": "05:06:07.000Z", "Text__c": "x",
    }  # fmt: skip
    assert {empty[name] for name in frame().columns} == {None, False}


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_timezone_goes_for_a_csv_too(typed_org: LocalOrg, tmp_path: Path, quote: str, ending: str) -> None:
    texts = ["2026-03-04 05:06:07", "2026-03-04T05:06:07Z", "", "2026-07-04"]
    lines = ["Text__c,Moment__c", *(f"{quote}csv {n}{quote},{quote}{text}{quote}" for n, text in enumerate(texts))]
    (tmp_path / "a.csv").write_text(ending.join(lines), newline="")
    known = {each["Id"] for each in typed_org.records("Typed__c")}
    assert load(str(tmp_path / "a.csv"))["successful"] == 4
    found = {each["Text__c"]: each["Moment__c"] for each in typed_org.records("Typed__c") if each["Id"] not in known}
    assert found == {
        "csv 0": "2026-03-04T04:06:07.000Z",
        "csv 1": "2026-03-04T05:06:07.000Z",
        "csv 2": None,
        "csv 3": "2026-07-03T22:00:00.000Z",
    }


def test_a_moment_of_a_csv_that_the_timezone_skips_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Moment__c\n2026-03-29 03:30:00\n2026-03-29 02:30:00\n")
    with pytest.raises(SourceError, match=r"a\.csv: row 2, column Moment__c: .*skips") as caught:
        load(str(tmp_path / "a.csv"))
    assert "02:30" not in str(caught.value)


def test_a_nested_dict_in_a_frame_is_a_relationship_as_in_a_list(typed_org: LocalOrg) -> None:
    load([{"Name": "Parent", "External_Key__c": "P-1"}], sobject="Account")
    for library in (
        pd.DataFrame,
        lambda rows: pl.DataFrame(rows, schema={"Text__c": pl.String, "Account__r": pl.Object}),
    ):
        nested = [
            {"Text__c": "child", "Account__r": {"External_Key__c": "P-1"}},
            {"Text__c": "none", "Account__r": None},
        ]
        known = {each["Id"] for each in typed_org.records("Typed__c")}
        assert load(library(nested))["successful"] == 2  # type: ignore[operator]
        found = {
            each["Text__c"]: each["Account__c"] for each in typed_org.records("Typed__c") if each["Id"] not in known
        }
        assert (bool(found["child"]), found["none"]) == (True, None)
    with pytest.raises(SourceError, match="row 2: column Account__r must be a dict, as in other rows"):
        load(pd.DataFrame({"Account__r": [{"External_Key__c": "P-1"}, "P-1"]}))


def test_utc_is_not_needed_where_nothing_lacks_a_zone(typed_org: LocalOrg) -> None:
    assert load([{"Moment__c": datetime(2026, 1, 1, tzinfo=UTC), "Day__c": DAY}], timezone=None)["successful"] == 1
