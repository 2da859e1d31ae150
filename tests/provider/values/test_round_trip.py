"""Values on their way through Salesforce and back: by every kind of source, into Parquet and a DataFrame, compared one by
one. What comes back is what was sent, typed by describe."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.values.plain_arrow import FEW
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.examples import examples
from tests.provider.conftest import FakeTask

CHOICES = ("red", "green", "blue")
FIELDS = [
    {"name": "Text__c", "type": "string", "length": 255},
    {"name": "Long__c", "type": "textarea", "length": 32000},
    {"name": "Count__c", "type": "int", "digits": 9},
    {"name": "Money__c", "type": "currency", "precision": 18, "scale": 2},
    {"name": "Whole__c", "type": "double", "precision": 18, "scale": 0},
    {"name": "Share__c", "type": "percent", "precision": 5, "scale": 2},
    {"name": "Flag__c", "type": "boolean"},
    {"name": "Day__c", "type": "date"},
    {"name": "Moment__c", "type": "datetime"},
    {"name": "Clock__c", "type": "time"},
    {"name": "Colors__c", "type": "multipicklist", "length": 4099, "picklistValues": list(CHOICES)},
]
NAMES = [str(field["name"]) for field in FIELDS]
SOQL = f"SELECT {', '.join(NAMES)} FROM Sample__c WHERE Batch__c = '{{}}' ORDER BY External_Key__c"

ARROW = pa.schema(
    [
        ("Text__c", pa.string()),
        ("Long__c", pa.string()),
        ("Count__c", pa.int64()),
        ("Money__c", pa.decimal128(18, 2)),
        ("Whole__c", pa.int64()),
        ("Share__c", pa.decimal128(5, 2)),
        ("Flag__c", pa.bool_()),
        ("Day__c", pa.date32()),
        ("Moment__c", pa.timestamp("ms", "UTC")),
        ("Clock__c", pa.time32("ms")),
        ("Colors__c", pa.string()),
        ("External_Key__c", pa.string()),
        ("Batch__c", pa.string()),
    ]
)
"""Also what comes back, but the last two."""

# No CR: of line breaks a job takes one kind. Not #N/A, which is refused as a value.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=40).filter("#N/A".__ne__)
nasty = st.lists(st.sampled_from(['"', '""', ",", "\n", ";", "\t", "a", "#N/A ", "é", "\u2028", " ", "''"]), max_size=8)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(datetime(1700, 1, 2), datetime(3999, 12, 30), timezones=zones)  # noqa: DTZ001 - the zones are added


def decimals(digits: int, places: int) -> st.SearchStrategy[Decimal]:
    """Numbers that a double holds: Salesforce's are doubles."""
    most = 10 ** min(digits, 15) - 1
    return st.integers(-most, most).map(lambda whole: Decimal(whole).scaleb(-places))


rows = st.fixed_dictionaries(
    {
        "Text__c": st.none() | texts | nasty.map("".join).filter("#N/A".__ne__),
        "Long__c": st.none() | texts | nasty.map("".join).filter("#N/A".__ne__),
        "Count__c": st.none() | st.integers(-999_999_999, 999_999_999),
        "Money__c": st.none() | decimals(16, 2),
        "Whole__c": st.none() | st.integers(-(10**15) + 1, 10**15 - 1),
        "Share__c": st.none() | decimals(5, 2),
        "Flag__c": st.booleans(),
        "Day__c": st.none() | st.dates(date(1700, 1, 1), date(3999, 12, 31)),
        "Moment__c": st.none() | instants.map(lambda moment: moment.replace(microsecond=0)),
        "Clock__c": st.none()
        | st.times().map(lambda clock: clock.replace(microsecond=clock.microsecond // 1000 * 1000)),
        "Colors__c": st.none() | st.sets(st.sampled_from(CHOICES), min_size=1).map(sorted),
    }
)

AWKWARD: dict[str, Any] = {
    "Text__c": '"quoted, twice"',
    "Long__c": 'one\ntwo,"three"\n',
    "Count__c": -1,
    "Money__c": Decimal("9999999999999.99"),
    "Whole__c": 10**15 - 1,
    "Share__c": Decimal("-0.01"),
    "Flag__c": True,
    "Day__c": date(2024, 2, 29),
    "Moment__c": datetime(2038, 7, 1, 0, 0, tzinfo=timezone(timedelta(hours=2))),
    "Clock__c": time(23, 59, 59, 999000),
    "Colors__c": ["blue", "red"],
}
BLANKS = " \t\n\v\f\r"
NULLS: dict[str, Any] = {**dict.fromkeys(NAMES), "Flag__c": False}


def as_stored(text: str | None) -> str | None:
    """A text as Salesforce stores it: without blanks at its ends, and null when nothing is left."""
    return (text or "").strip(BLANKS) or None


def expected(row: dict[str, Any]) -> dict[str, Any]:
    """What Salesforce has of a row: an instant is UTC, choices are one text."""
    colors = row["Colors__c"]
    moment = row["Moment__c"]
    return {
        **row,
        "Text__c": as_stored(row["Text__c"]),
        "Long__c": as_stored(row["Long__c"]),
        "Moment__c": moment and moment.astimezone(UTC),
        "Colors__c": colors and ";".join(colors),
    }


def as_table(given: list[dict[str, Any]]) -> pa.Table:
    """Rows in Arrow's types."""
    return pa.Table.from_pylist([{**row, "Colors__c": expected(row)["Colors__c"]} for row in given], ARROW)


def text_of(value: Any) -> str:
    """Salesforce's text of a value, written down here once more."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z").rjust(24, "0")
    if isinstance(value, time):
        return value.isoformat("milliseconds") + "Z"
    return ";".join(value) if isinstance(value, list) else str(value)


def csv_file(given: list[dict[str, Any]], folder: Path) -> str:
    path = folder / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(ARROW.names)
        writer.writerows([text_of(row[name]) for name in ARROW.names] for row in given)
    return str(path)


def jsonl_file(given: list[dict[str, Any]], folder: Path) -> str:
    path = folder / "rows.jsonl"
    lines = (
        {
            name: value if isinstance(value, (int, list)) or value is None else text_of(value)
            for name, value in row.items()
        }
        for row in given
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def parquet_file(given: list[dict[str, Any]], folder: Path) -> str:
    pq.write_table(as_table(given), folder / "rows.parquet")
    return str(folder / "rows.parquet")


def in_other_forms(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same values as other sources have them: what they are, their fields decide."""

    def form(name: str, value: Any) -> Any:
        match name:
            case _ if value is None:
                return None
            case "Count__c":
                return Decimal(value).quantize(Decimal("0.00"))
            case "Whole__c":
                return float(value)
            case "Flag__c":
                return int(value)
            case "Day__c":
                return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - as pandas and databases give days
            case "Clock__c":
                return timedelta(
                    hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond
                )
            case "Moment__c":
                return value.isoformat(sep=" ")
            case _:
                return value

    return [{name: form(name, value) for name, value in row.items()} for row in given]


SOURCES: dict[str, Callable[[list[dict[str, Any]], Path], Any]] = {
    "list of dicts": lambda given, _: given,
    "callable": lambda given, _: lambda: iter(given),
    "list of dicts in other forms": lambda given, _: in_other_forms(given),
    "DataFrame in other forms": lambda given, _: pd.DataFrame(in_other_forms(given)),
    "DataFrame of objects": lambda given, _: pd.DataFrame(given, dtype=object),
    "DataFrame of Arrow types": lambda given, _: as_table(given).to_pandas(types_mapper=pd.ArrowDtype),
    "Arrow table": lambda given, _: as_table(given),
    "Parquet": parquet_file,
    "CSV": csv_file,
    "JSON Lines": jsonl_file,
}

QUICK = Schedule(first=0.01, growth=0.1, longest=0.05)
batches = itertools.count()


@pytest.fixture(scope="module")
def sample_org() -> Iterator[LocalOrg]:
    with LocalOrg() as running:
        running.add_object(name="Sample__c", fields=[*FIELDS, {"name": "Batch__c", "type": "string", "length": 20}])
        yield running


@pytest.mark.parametrize("kind", SOURCES)
@settings(max_examples=examples(2), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_rows=st.lists(rows, min_size=1, max_size=25), few=st.sampled_from([0, FEW]))
@example(given_rows=[AWKWARD, NULLS], few=0)
@example(given_rows=[AWKWARD, NULLS], few=FEW)
def test_what_comes_back_is_what_was_sent(
    sample_org: LocalOrg,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    given_rows: list[dict[str, Any]],
    few: int,
) -> None:
    monkeypatch.setattr(
        "airflow_provider_sfbulk.client.parts.encode.FEW", few
    )  # 0: by column, as where there are many rows
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT", sample_org.connection)
    batch = f"batch {next(batches)}"
    numbered = [{**row, "External_Key__c": f"{batch} {n:03}", "Batch__c": batch} for n, row in enumerate(given_rows)]
    source = SOURCES[kind](numbered, tmp_path)
    summary = FakeTask().start().run(
        BulkIngestOperator(task_id="load", sobject="Sample__c", operation="insert", source=source)
    )  # fmt: skip
    assert (summary["successful"], summary["failed"]) == (len(given_rows), 0)

    soql, wanted = SOQL.format(batch), [expected(row) for row in given_rows]
    frame = SalesforceBulkHook().get_df(soql, schedule=QUICK)
    assert pa.Table.from_pandas(frame, preserve_index=False).to_pylist() == wanted

    extract = FakeTask().start().run(
        BulkQueryOperator(task_id="extract", soql=soql, output_path=str(tmp_path / "out"), output_format="parquet")
    )  # fmt: skip
    table = pq.read_table(extract["files"][0])
    assert table.schema.remove_metadata() == pa.schema([ARROW.field(name) for name in NAMES])
    assert table.to_pylist() == wanted
