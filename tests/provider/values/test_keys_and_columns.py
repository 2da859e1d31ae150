"""Rows that say nothing of the record they mean, and rows that have not all columns: by every kind of source."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.conftest import FakeTask

QUICK: Final = Schedule(first=0.01, growth=0.1, longest=0.05)
BLANKS: Final = (None, "", " ")


def load(source: Any, operation: str, **arguments: Any) -> Any:
    operator = BulkIngestOperator(task_id="load", sobject="Account", operation=operation, source=source, **arguments)
    return FakeTask().start().run(operator)


def csv_of(rows: list[dict[str, Any]], folder: Path, *, quote: str, ending: str) -> str:
    names = list(rows[0])
    lines = [",".join(names)] + [",".join(f"{quote}{row[name] or ''}{quote}" for name in names) for row in rows]
    (folder / "a.csv").write_text(ending.join(lines) + ending, newline="")
    return str(folder / "a.csv")


def parquet_of(rows: list[dict[str, Any]], folder: Path) -> str:
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    return str(folder / "a.parquet")


def jsonl_of(rows: list[dict[str, Any]], folder: Path) -> str:
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / "a.jsonl")


SOURCES: Final[dict[str, Callable[[list[dict[str, Any]], Path], Any]]] = {
    "dicts": lambda rows, _: rows,
    "dicts without the key": lambda rows, _: [{k: v for k, v in row.items() if v not in BLANKS} for row in rows],
    "callable": lambda rows, _: lambda: iter(rows),
    "DataFrame": lambda rows, _: pd.DataFrame(rows),
    "Arrow": lambda rows, _: pa.Table.from_pylist(rows),
    "Parquet": parquet_of,
    "JSON Lines": jsonl_of,
    "CSV": lambda rows, folder: csv_of(rows, folder, quote="", ending="\n"),
    "quoted CSV": lambda rows, folder: csv_of(rows, folder, quote='"', ending="\r\n"),
}


@pytest.fixture
def ids(org: LocalOrg) -> list[str]:
    load([{"Name": f"Account {n}", "External_Key__c": f"K-{n}"} for n in range(3)], "insert")
    return [str(each["Id"]) for each in org.records("Account")]


@pytest.mark.parametrize("operation", ["update", "delete", "hardDelete", "upsert"])
@pytest.mark.parity("K2.2", "K2.3", "A3.2", "A3.4", "K7.3")
def test_rows_without_their_key_are_refused_before_the_upload(
    org: LocalOrg, ids: list[str], tmp_path: Path, operation: str
) -> None:
    before = org.records("Account")
    for (row, blank), (column, kind) in itertools.product(enumerate(BLANKS), enumerate(SOURCES)):
        key_first = (row + column) % 2 == 0  # each kind with either
        key = "External_Key__c" if operation == "upsert" else "Id"
        keys = ["K-0", blank, "K-2", blank] if operation == "upsert" else [ids[0], blank, ids[2], blank]
        named = [("Name", [f"new {n}" for n in range(4)])] if operation in ("update", "upsert") else []
        columns = dict([(key, keys), *named] if key_first else [*named, (key, keys)])
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        arguments = {"external_id_field": key} if operation == "upsert" else {}
        with pytest.raises(SourceError) as caught:
            load(SOURCES[kind](rows, tmp_path), operation, **arguments)
        # Of one column alone, an empty line is the file's fault already.
        is_empty_line = kind == "CSV" and not named and not blank
        wanted = "row 2: an empty line" if is_empty_line else f"rows 2, 4: {key}, which identifies the record, is blank"
        assert wanted in str(caught.value), (kind, blank, key_first)
        assert "K-0" not in str(caught.value)
    assert org.records("Account") == before


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_what_is_no_key_elsewhere_is_none_in_a_csv(
    org: LocalOrg, ids: list[str], tmp_path: Path, quote: str, ending: str
) -> None:
    """``#N/A`` is what Excel writes where a lookup found nothing: an upsert by Id would insert those rows."""
    before = org.records("Account")
    blanks = ["#N/A", "\t", "\v", "\x85", "\xa0", "\u1680", "\u2003 ", "\u205f", "\u3000"] + [ending] * bool(quote)
    odd = ["#N/A ", "#", "#1", "\xe9", "\u20ac", "\u3042", "\xa0k"] + ['""'] * bool(quote)
    for names in (["Id", "Name"], ["Name", "Id"]):
        rows = [{"Id": key, "Name": f"{number}"} for number, key in enumerate([ids[0], *odd, *blanks], 1)]
        rows = [{name: row[name] for name in names} for row in rows]
        path = csv_of(rows, tmp_path, quote=quote, ending=ending)
        blank_rows = ", ".join(map(str, range(2 + len(odd), len(rows) + 1)))
        with pytest.raises(SourceError, match=rf"rows {blank_rows}: Id, which identifies the record, is blank"):
            load(path, "upsert", external_id_field="Id")
        with pytest.raises(SourceError, match=rf"a load would be refused .*: Id: blank.*\({len(blanks)} rows"):
            load(path, "upsert", external_id_field="Id", validate_only=True)
    assert org.records("Account") == before


@pytest.mark.parametrize("api", ["2.0", "1.0"])
def test_blank_external_ids_are_sent_when_the_user_says_so(org: LocalOrg, ids: list[str], api: str) -> None:
    rows = [{"External_Key__c": "K-0", "Name": "new"}, {"Name": "blank"}, {"External_Key__c": "", "Name": "blank"}]
    sent = {"external_id_field": "External_Key__c", "blank_external_ids": "send", "api": api}
    summary = load(rows, "upsert", max_failed_records=2, **sent)
    assert (summary["successful"], summary["errors"]) == (1, {"MISSING_ARGUMENT": 2})
    by_id = [{"Id": ids[0], "Name": "by id"}, {"Id": None, "Name": "inserted"}]
    with pytest.raises(SourceError, match=r'row 2: .*blank_external_ids="send" to insert such rows'):
        load(by_id, "upsert", external_id_field="Id", api=api)
    summary = load(by_id, "upsert", **{**sent, "external_id_field": "Id"})
    assert summary["successful"] == 2
    assert {"by id", "inserted"} <= {each["Name"] for each in org.records("Account")}


@pytest.mark.parametrize(
    ("given", "row"),
    [
        (lambda a: [a, None], 2),
        (lambda a: [None, a], 1),
        (lambda _: [{"Id": None}], 1),
        (lambda a: iter([a, None]), 2),
        (lambda a: iter([None, a]), 1),
    ],
)
def test_the_hook_refuses_to_delete_nothing(org: LocalOrg, ids: list[str], given: Any, row: int) -> None:
    with pytest.raises(SourceError, match=rf"records: row {row}: Id, which identifies the record, is blank"):
        SalesforceBulkHook().delete("Account", given(ids[0]), schedule=QUICK)
    assert len(org.records("Account")) == 3


def sparse() -> Iterator[dict[str, Any]]:
    """Twelve thousand rows of which a late one alone has another column, nested."""
    for number in range(12_000):
        yield {"Name": f"Account {number}"}
    yield {"Name": "Last", "Phone": "1", "Parent": {"External_Key__c": "K-0"}}


@pytest.mark.parity("I4.2", "I5.5")
def test_a_generator_of_sparse_rows_needs_its_columns_named(org: LocalOrg, ids: list[str]) -> None:
    with pytest.raises(SourceError, match=r"row 12001: the first 10,000 rows have no column .*columns=\["):
        load(sparse, "insert")
    columns = ["Name", "Phone", "Parent.External_Key__c"]
    assert load(sparse, "insert", columns=columns)["successful"] == 12_001
    (last,) = [each for each in org.records("Account") if each["Name"] == "Last"]
    assert (last["Phone"], last["ParentId"]) == ("1", ids[0])
    result = SalesforceBulkHook().insert("Account", sparse(), columns=columns, schedule=QUICK)
    assert result.successful_count == 12_001


@pytest.mark.parity("I4.2", "I4.4")
def test_columns_name_the_rows_keys_and_all_of_them(org: LocalOrg, tmp_path: Path) -> None:
    rows = [{"Label": "A"}, {"Label": "B", "Tel": "2"}]
    mapping = {"Label": "Name", "Tel": "Phone"}
    assert load(rows, "insert", columns=["Tel", "Label"], column_mapping=mapping)["successful"] == 2
    assert {each["Name"]: each["Phone"] for each in org.records("Account")} == {"A": None, "B": "2"}
    with pytest.raises(SourceError, match="row 2: columns does not name Tel"):
        load(rows, "insert", columns=["Label"], column_mapping={"Label": "Name"})
    assert load(jsonl_of(rows, tmp_path), "insert", columns=["Tel", "Label"], column_mapping=mapping)["successful"] == 2
    for source in (pd.DataFrame(rows), csv_of([{"Name": "C"}], tmp_path, quote="", ending="\n")):
        with pytest.raises(SourceError, match="columns is for rows that are dicts"):
            load(source, "insert", columns=["Name"])
    for wrong in ("Name", [], ["Name", "Name"], [1]):
        with pytest.raises(SourceError, match=r"columns (is an empty|must be a) list|columns has 'Name' 2 times"):
            load(rows, "insert", columns=wrong)
