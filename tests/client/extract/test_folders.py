"""The names of folders: whoever reads Hive's way finds the value again, whatever it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.extract import folders as folders_module
from airflow_provider_sfbulk.client.extract.folders import NULL, Folders
from airflow_provider_sfbulk.client.extract.layout import Layout, Partition

MOMENT = datetime(2026, 11, 30, 9, 15, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=25)


def folders_of(rows: dict[str, Any], *partition_by: str, apart: bool = False) -> list[str]:
    batch = pa.RecordBatch.from_pydict({"Other": pa.nulls(len(next(iter(rows.values()))), pa.string()), **rows})
    layout = Layout(tuple(map(Partition.read, partition_by)), deletions_apart=apart)
    found: list[str] = Folders(layout, batch.schema).of(batch).to_pylist()
    return found


@given(st.lists(st.none() | TEXTS, min_size=1))
def test_a_value_is_found_again_in_the_folder_s_name(values: Sequence[str | None]) -> None:
    for value, folder in zip(values, folders_of({"A": pa.array(values, pa.string())}, "A"), strict=True):
        name, _, written = folder.partition("=")
        assert name == "A"
        assert "/" not in written
        assert not any(character < " " for character in written)
        assert (None if written == NULL else unquote(written)) == value


def test_what_hive_escapes_is_escaped_and_nothing_else() -> None:
    texts = ["EMEA", "a/b", "50%", "..", "a=b", "é 東", 'x:"y"', NULL, "trailing ", "[z]{", "a&b+c"]
    assert [each.removeprefix("A=") for each in folders_of({"A": texts}, "A")] == [
        "EMEA",
        "a%2Fb",
        "50%25",
        "..",
        "a%3Db",
        "é 東",
        "x%3A%22y%22",
        "%5F_HIVE_DEFAULT_PARTITION__",
        "trailing ",
        "%5Bz%5D%7B",
        "a&b+c",
    ]


@pytest.mark.parametrize(
    "moments", [pa.array([MOMENT, None], pa.timestamp("ms", "UTC")), ["2026-11-30T09:15:00.000Z", None]]
)
def test_a_part_of_a_datetime_is_written_as_iceberg_does_typed_or_not(moments: Any) -> None:
    found = folders_of(
        {"CreatedDate": pa.array(moments)}, *(f"{part}(CreatedDate)" for part in ("year", "month", "day", "hour"))
    )
    assert found == [
        "CreatedDate_year=2026/CreatedDate_month=2026-11/CreatedDate_day=2026-11-30/CreatedDate_hour=2026-11-30-09",
        "/".join(f"CreatedDate_{part}={NULL}" for part in ("year", "month", "day", "hour")),
    ]


def test_values_of_every_type_are_written_as_in_json_lines() -> None:
    rows = {
        "Bool": [True],
        "Int": [7],
        "Dec": [Decimal("1.50")],
        "Day": [date(2026, 2, 1)],
        "At": pa.array([MOMENT], pa.timestamp("ms", "UTC")),
    }
    assert folders_of(rows, *rows) == ["Bool=true/Int=7/Dec=1.50/Day=2026-02-01/At=2026-11-30T09%3A15%3A00.000Z"]
    assert folders_of(rows, "month(day)") == ["Day_month=2026-02"]


@pytest.mark.parametrize("deleted", [[True, False, None], ["true", "false", ""]])
def test_deleted_records_are_apart_and_in_no_partition(deleted: Any) -> None:
    rows = {"A": ["x", "y", None], "IsDeleted": deleted}
    assert folders_of(rows, apart=True) == ["deletions", "records", "records"]
    assert folders_of(rows, "A", apart=True) == ["deletions", "records/A=y", f"records/A={NULL}"]


@pytest.mark.parametrize(
    ("rows", "wanted", "message"),
    [
        ({"A": ["x"]}, "B", "no column B; its columns are Other, A"),
        ({"A": ["x"]}, "day(A)", "a value of A is not a UTC datetime, and so has no day"),
        ({"A": ["2026-11-30"]}, "hour(A)", "has no hour"),
        ({"A": ["2026-11-30T00:00:00.000+02:00"]}, "day(A)", "not a UTC datetime"),
        ({"A": [date(2026, 1, 1)]}, "hour(A)", r"A is a date32\[day\], which has no hour"),
        ({"A": [1]}, "day(A)", "A is a int64, which has no day"),
        ({"A": [MOMENT], "A_day": [1]}, "day(A)", "the result already has a column A_day"),
        ({"A": ["x" * 254]}, "A", "a value of A is too long for a folder's name"),
        ({"A": ["é" * 127]}, "A", "too long"),
    ],
    ids=str,
)
def test_what_makes_no_folder_is_refused_without_the_value(rows: dict[str, Any], wanted: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        folders_of(rows, wanted)
    assert "xxx" not in str(caught.value)


def test_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders_module, "MOST_FOLDERS", 3)
    assert len(set(folders_of({"A": ["a", "b", "c"]}, "A"))) == 3
    with pytest.raises(SourceError, match="more than 3 partitions"):
        folders_of({"A": ["a", "b", "c", "d"]}, "A")


@pytest.mark.parametrize("written", ["", "day(", "week(CreatedDate)", "a b", "a=b", "../x", "day(a)(b)", "1a"])
def test_what_is_no_partition_is_refused(written: str) -> None:
    with pytest.raises(SourceError, match="is neither a column nor year"):
        Partition.read(written)
