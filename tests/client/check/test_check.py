"""What a check of an input finds, held against what the local org does with the same rows."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client import AsyncBulkClient, BulkClient
from airflow_provider_sfbulk.client.check.cells import Problem
from airflow_provider_sfbulk.client.check.check import InputCheck
from airflow_provider_sfbulk.client.check.repeated import Keys
from airflow_provider_sfbulk.client.check.report import CheckReport
from airflow_provider_sfbulk.client.errors import EmptyInputError
from airflow_provider_sfbulk.client.faces.given import stream_of
from airflow_provider_sfbulk.client.load.rounds import PartLimits
from airflow_provider_sfbulk.client.models import Operation
from airflow_provider_sfbulk.client.parts.fit import fit_to_object
from airflow_provider_sfbulk.client.parts.stream import Rules
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.examples import examples

FIELDS: Final[list[dict[str, Any]]] = [
    {"name": "Name", "type": "string", "length": 12, "nillable": False},
    {"name": "Key__c", "type": "string", "length": 20, "externalId": True, "idLookup": True, "unique": True},
    {"name": "Code__c", "type": "string", "length": 8, "unique": True, "caseSensitive": True},
    {"name": "Text__c", "type": "textarea", "length": 30},
    {"name": "Mail__c", "type": "email", "length": 20},
    {"name": "Int__c", "type": "int", "digits": 4},
    {"name": "Wide__c", "type": "int"},
    {"name": "Money__c", "type": "currency", "precision": 6, "scale": 2},
    {"name": "Double__c", "type": "double"},
    {"name": "Flag__c", "type": "boolean", "nillable": False, "defaultedOnCreate": True},
    {"name": "Day__c", "type": "date"},
    {"name": "Moment__c", "type": "datetime"},
    {"name": "Clock__c", "type": "time"},
    {
        "name": "Pick__c",
        "type": "picklist",
        "length": 255,
        "restrictedPicklist": True,
        "picklistValues": ["Red", "Blue"],
    },
    {"name": "Open__c", "type": "picklist", "length": 5, "picklistValues": ["Red"]},
    {
        "name": "Many__c",
        "type": "multipicklist",
        "length": 255,
        "restrictedPicklist": True,
        "picklistValues": ["Red", "Blue", "a.b"],
    },
    {"name": "Owner2__c", "type": "reference", "referenceTo": ["User"], "relationshipName": "Owner2__r"},
    {"name": "Frozen__c", "type": "string", "length": 5, "createable": False, "updateable": False},
]
"""Of an object with a field of each kind."""

ODD: Final[dict[str, list[str]]] = {
    "Name": ["Acme", "x" * 12, "x" * 13, "", "#N/A", "é" * 12],
    "Code__c": ["a", "A", "", "b", "c" * 9],
    "Text__c": ["", "y" * 30, "y" * 31, "a\nb", 'say "x"', "#N/A"],
    "Mail__c": ["a@b.co", "a@b", "@b.co", "a b@c.de", "a@b.c.info", "a@" + "b" * 20 + ".co", "", "#N/A"],
    "Int__c": ["1", "-9999", "9999", "10000", "+7", "1.0", "1e2", "0x1", "", "00001", "#N/A", " 1"],
    "Wide__c": ["2147483647", "2147483648", "-2147483648", "999999999", "12345678901234567890"],
    "Money__c": ["9999.99", "10000", "9999.999999999999999", "-9999.5", ".5", "5.", "1e3", "1e4", "1,5", "abc", ""],
    "Double__c": ["1e100", "-1e-7", "nan", "inf", "1_0", "12345678901234567890.5", "", "1e1000"],
    "Flag__c": ["true", "FALSE", "0", "1", "yes", "T", "", "#N/A"],
    "Day__c": [
        "2026-02-28",
        "2026-02-29",
        "2024-02-29",
        "2026-13-01",
        "2026-3-1",
        "2026-03-04Z",
        "2026-03-04+05:00",
        "",
        "0001-01-01+05:00",
        *("9999-12-31", "1699-12-31", "1700-01-01", "4000-12-31", "1700-01-01+05:00"),
    ],
    "Moment__c": [
        *("2026-03-04T05:06:07Z", "2026-03-04T05:06:07.123456789Z", "2026-03-04 05:06:07Z", "2026-03-04T05:06:07"),
        *("2026-02-30T05:06:07Z", "2026-03-04T24:00:00Z", "2026-03-04T05:06:07+0200", "0001-01-01T00:00:00+05:00", ""),
        "2026-03-04T05:06:07+25:00",
        *("9999-12-31T23:59:59Z", "1700-01-01T00:30:00+01:00", "4000-12-31T00:00:00Z", "4000-12-31T00:00:01Z"),
    ],
    "Clock__c": ["05:06:07.000Z", "05:06:07Z", "25:06:07Z", "05:06", "05:06:07", ""],
    "Pick__c": ["Red", "red", "Green", "Blue", ""],
    "Open__c": ["Green", "Purple", ""],
    "Many__c": ["Red;Blue", "Red;Green", "a.b", "a-b", "Red;", ""],
    "Owner2__c": ["", "005", "001000000000001AAA", "abcdefghijklmno", "005LO0000000001!!!"],
}
"""Values of which some are refused, by field."""


QUICK: Final = Schedule(first=0.02, growth=0.1, longest=0.2)


@pytest.fixture(scope="module")
def org() -> Iterator[LocalOrg]:
    with LocalOrg() as running:
        running.add_object(name="Sample__c", fields=FIELDS)
        yield running


@pytest.fixture(scope="module")
def client(org: LocalOrg) -> Iterator[BulkClient]:
    with BulkClient(**login(org)) as made:
        yield made


def login(org: LocalOrg) -> dict[str, Any]:
    return {
        "host": org.url,
        "login": org.username,
        "client_id": org.client_id,
        "client_secret": org.client_secret,
        "auth_flow": "client_credentials",
    }


def written(rows: list[dict[str, str]], columns: list[str]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


class Listed:
    """Collects the problems of each row."""

    def __init__(self) -> None:
        self.codes: dict[int, set[str]] = {}
        self.counts: Counter[str] = Counter()

    def add(self, problem: Problem, numbers: Any, values: Any) -> None:
        assert len(numbers) == len(values) == len(set(numbers.tolist()))
        self.counts[problem.code] += len(numbers)
        for row in numbers.tolist():
            self.codes.setdefault(row, set()).add(problem.code)


def checked(client: BulkClient, operation: str, records: Any, **given: Any) -> tuple[CheckReport, dict[int, set[str]]]:
    """Check records, and give the codes of each row's problems, too."""
    listed = Listed()
    rules = Rules(operation=Operation(operation), **given)
    described = client.describe("Sample__c")
    cut = PartLimits(part_bytes=limits.PART_BYTES, part_records=limits.RECORDS_PER_DAY)
    check = InputCheck(described, rules, cut, listing=listed)
    report = check.read(fit_to_object(stream_of(each, check.rules), described, check.rules) for each in [records])
    assert report.failed == len(listed.codes)
    assert report.errors == listed.counts
    return report, listed.codes


def refused_rows(
    client: BulkClient, operation: str, data: str, rows: list[dict[str, str]], **options: Any
) -> dict[int, str]:
    """Load the rows, and give those that the org refuses with their codes."""
    result = client.ingest.perform("Sample__c", operation, data, schedule=QUICK, **options)
    assert not result.unprocessed_count
    marks = {row["Text__c"]: number for number, row in enumerate(rows, 1)}
    return {marks[row["Text__c"]]: row["sf__Error"].partition(":")[0] for row in result.failed_records}


@st.composite
def uploads(draw: st.DrawFn) -> list[dict[str, str]]:
    """Rows that are right but for one or two of their values."""
    columns = draw(st.lists(st.sampled_from(sorted(set(ODD) - {"Name", "Text__c"})), unique=True, min_size=3))
    rows = []
    for number in range(draw(st.integers(20, 40))):
        row = {"Text__c": f"row {number}", "Name": "Acme", **dict.fromkeys(columns, "")}
        for column in draw(st.lists(st.sampled_from(["Name", *columns]), min_size=1, max_size=2)):
            numbers = st.from_regex(r"[+-]?[0-9]{1,6}(\.[0-9]{0,4})?", fullmatch=True)
            is_number = column in ("Int__c", "Money__c", "Double__c")
            row[column] = draw(st.sampled_from(ODD[column]) | (numbers if is_number else st.nothing()))
        rows.append(row)
    return rows


PROPERTY: Final = settings(
    max_examples=examples(6),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each example is a load, and shrinking makes hundreds
    suppress_health_check=list(HealthCheck),
)


@PROPERTY
@given(uploads())
def test_an_insert_fails_where_the_check_says_so_and_nowhere_else(
    org: LocalOrg, client: BulkClient, rows: list[dict[str, str]]
) -> None:
    data = written(rows, list(rows[0]))
    _, found = checked(client, "insert", data)
    assert org.records("Sample__c") == []
    refused = refused_rows(client, "insert", data, rows)
    org.remove("Sample__c")
    # Where the row that has a value first fails for something else, the next one has it.
    sure = {row for row, codes in found.items() if codes != {"DUPLICATE_VALUE"}}
    assert sure <= refused.keys() <= found.keys(), [found.get(row) for row in found.keys() ^ refused.keys()]
    assert all(refused[row] in found[row] for row in refused), (refused, found)


@PROPERTY
@given(uploads(), st.data())
def test_an_upsert_fails_where_the_check_says_so(
    org: LocalOrg, client: BulkClient, rows: list[dict[str, str]], data: st.DataObject
) -> None:
    """Some of the records are there. Repeated keys may be saved, and a row that inserts may lack a name."""
    org.put("Sample__c", [{"Name": "Acme", "Key__c": f"k{number}"} for number in range(3)])
    keys = st.sampled_from([*(f"{each}{number}" for each in "kK" for number in range(20)), "new", "", "#N/A"])
    rows = [{**row, "Key__c": data.draw(keys)} for row in rows]
    text = written(rows, list(rows[0]))
    given: dict[str, Any] = {"external_id_field": "Key__c", "blank_external_ids": "send"}
    _, found = checked(client, "upsert", text, **given)
    refused = refused_rows(client, "upsert", text, rows, **given)
    org.remove("Sample__c")
    unsure = {"DUPLICATE_VALUE"}
    sure = {row for row, codes in found.items() if not codes <= unsure}
    assert sure <= refused.keys()
    missed = refused.keys() - found.keys()
    assert all(refused[row] == "REQUIRED_FIELD_MISSING" and not rows[row - 1]["Name"] for row in missed), refused
    assert all(refused[row] in found[row] for row in refused.keys() & found.keys() if row in sure), (refused, found)


def test_an_update_and_a_delete_find_ids_that_are_none_or_come_twice(org: LocalOrg, client: BulkClient) -> None:
    (one, two) = org.put("Sample__c", [{"Name": "One"}, {"Name": "Two"}])
    lost_case = one.lower()
    rows = [
        *({"Id": one, "Flag__c": "1"}, {"Id": one[:15], "Flag__c": "0"}, {"Id": two, "Flag__c": "#N/A"}),
        *({"Id": lost_case, "Flag__c": ""}, {"Id": org.user_id, "Flag__c": ""}, {"Id": two[:17], "Flag__c": ""}),
    ]
    _, found = checked(client, "update", written(rows, ["Id", "Flag__c"]))
    assert found == {
        2: {"DUPLICATE_VALUE"},
        3: {"INVALID_TYPE_ON_FIELD_IN_RECORD"},
        4: {"MALFORMED_ID"},
        5: {"INVALID_ID_FIELD"},
        6: {"MALFORMED_ID"},
    }
    _, found = checked(client, "delete", [one, two, one[:15], "no id", 5, None])
    assert found == {3: {"ENTITY_IS_DELETED"}, 4: {"MALFORMED_ID"}, 5: {"SOURCE_ERROR"}, 6: {"SOURCE_ERROR"}}
    org.remove("Sample__c")


SOURCES: Final[dict[str, Any]] = {
    "dicts": lambda rows: rows,
    "iterator": iter,
    "frame": pd.DataFrame,
    "arrow": pa.Table.from_pylist,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_values_that_a_load_refuses_are_all_found_in_every_kind_of_source(client: BulkClient, kind: str) -> None:
    naive = datetime(2026, 3, 4, 5, 6, 7)  # noqa: DTZ001
    rows = [
        {"Name": f"N{number}", "Moment__c": None if number % 7 else naive, "Text__c": "a" if number % 5 else "a\0b"}
        for number in range(1, 30_001)
    ]
    report, found = checked(client, "insert", SOURCES[kind](rows))
    assert report.records == 30_000
    assert report.failed == len({*range(7, 30_001, 7), *range(5, 30_001, 5)})
    assert {row for row, codes in found.items() if codes == {"SOURCE_ERROR"}} == found.keys()
    by_column = {each.problem.column: (each.rows, each.first_rows) for each in report.problems}
    assert by_column == {
        "Text__c": (6_000, [5, 10, 15, 20, 25]),
        "Moment__c": (30_000 // 7, [7, 14, 21, 28, 35]),
    }
    assert "time zone" in (report.refusal or "")


def test_days_that_salesforce_cannot_hold_are_found(client: BulkClient) -> None:
    days = ["9999-12-31", date(1699, 12, 31), "4000-12-31", date(1700, 1, 1)]
    moments = ["4000-12-31T00:00:01Z", "1700-01-01T00:30:00+01:00", "4000-12-31T00:00:00Z"]
    rows = [{"Name": "a", "Day__c": day} for day in days] + [{"Name": "a", "Moment__c": moment} for moment in moments]
    report, _ = checked(client, "insert", rows)
    found = {(each.problem.code, each.problem.column): each.first_rows for each in report.problems}
    code = "FIELD_INTEGRITY_EXCEPTION"
    assert found == {(code, "Day__c"): [1, 2], (code, "Moment__c"): [5, 6]}


def test_python_values_are_refused_one_by_one_and_by_what_is_wrong_with_them(client: BulkClient) -> None:
    rows = [
        {"Name": "ok", "Int__c": 47.0, "Flag__c": "yes", "Money__c": Decimal("12.5"), "Many__c": ["Red", "Blue"]},
        {"Name": "a", "Int__c": 4.5},
        {"Name": "b", "Flag__c": 2},
        {"Name": b"bytes"},
        {"Name": "c", "Many__c": ["Red;Blue"]},
        {"Name": "d", "Money__c": True},
        {"Name": "e", "Day__c": datetime(2026, 3, 4, 5)},  # noqa: DTZ001
        {"Name": "f", "Text__c": "#N/A"},
        {"Name": "half \ud800"},
        {"Name": "g", "Double__c": float("inf")},
        {"Name": "h" * 200_000},
    ]
    report, found = checked(client, "insert", rows)
    assert found.keys() == set(range(2, 12))
    assert all("SOURCE_ERROR" in codes for codes in found.values())
    assert len({each.problem for each in report.problems if each.problem.code == "SOURCE_ERROR"}) == 10


def test_wrong_columns_are_named_and_the_others_are_checked_all_the_same(client: BulkClient) -> None:
    rows = [{"Nam": "x", "Frozen__c": "y", "Int__c": "ten", "Owner2__r.Username": "u", "Account.Name": "z"}]
    report, found = checked(client, "insert", written(rows, list(rows[0])))
    said = " | ".join(report.refused)
    assert "no field Nam" in said
    assert "is it Name" in said
    assert "Frozen__c is not createable" in said
    assert "no relationship Account" in said
    assert found == {1: {"INVALID_FIELD", "REQUIRED_FIELD_MISSING"}}
    assert report.is_complete


def test_a_lookup_that_is_given_twice_and_one_that_stands_for_a_required_field(
    org: LocalOrg, client: BulkClient
) -> None:
    user = org.user_id
    header = "Name,Owner2__c,Owner2__r.Username\n"
    _, found = checked(client, "insert", f"{header}a,{user},x@y.z\nb,,x@y.z\nc,{user},\n")
    assert found == {1: {"INVALID_FIELD"}}


def test_a_required_lookup_may_be_given_either_way_and_a_record_type_must_be_the_object_s_own(org: LocalOrg) -> None:
    lookup = {"type": "reference", "referenceTo": ["Account"], "relationshipName": "Parent__r", "nillable": False}
    kind = {
        "name": "RecordTypeId",
        "type": "reference",
        "referenceTo": ["RecordType"],
        "relationshipName": "RecordType",
    }
    org.add_object(name="Child__c", fields=[{"name": "Parent__c", **lookup}, kind])
    (parent,) = org.put("Account", [{"Name": "Parent", "External_Key__c": "P"}])
    data = (
        f"Parent__c,Parent__r.External_Key__c,RecordTypeId\n{parent},,\n,P,012000000000000\n,,\n,#N/A,012LO0000000001\n"
    )
    with BulkClient(**login(org)) as client:
        report = client.ingest.check("Child__c", "insert", data)
        failed = client.insert("Child__c", data, schedule=QUICK).failed_count
    found = {each.problem.code: each.first_rows for each in report.problems}
    assert found == {"REQUIRED_FIELD_MISSING": [3, 4], "INVALID_CROSS_REFERENCE_KEY": [4]}
    assert failed == report.failed


def test_an_input_that_breaks_off_is_checked_up_to_there(client: BulkClient) -> None:
    lines = "".join(f"{'x' * 13 if number == 3 else 'ok'},{'y' * 30}\n" for number in range(1, 90_000))
    report, found = checked(client, "insert", f"Name,Text__c\n{lines}broken,1,2\n")
    assert not report.is_complete
    assert "row 90000: 3 values" in report.refused[0]
    assert 0 < report.records < 90_000
    assert found == {3: {"STRING_TOO_LONG"}}


def test_a_check_is_one_call_and_the_report_is_small_and_without_values(org: LocalOrg, client: BulkClient) -> None:
    rows = [{f"{name}": f"SECRET-{number}-{name}" * 9 for name in ODD} for number in range(100)]
    client.limits()  # signs in
    org.calls.clear()
    report = client.ingest.check("Sample__c", "insert", rows, part_records=30)
    assert [call.path.rpartition("/")[2] for call in org.calls] == ["describe"]
    assert (report.records, report.parts, report.failed) == (100, 4, 100)
    known = json.dumps(report.to_dict())
    assert len(known) < 4096
    assert "SECRET" not in known + "".join(report.lines())
    assert report.to_dict()["more_problems"] + len(report.to_dict()["problems"]) == len(report.problems)


def test_nothing_to_check_is_said(client: BulkClient) -> None:
    for nothing in ([], "Name\n"):
        with pytest.raises(EmptyInputError):
            client.ingest.check("Sample__c", "insert", nothing)


def test_rows_may_be_asynchronous(org: LocalOrg) -> None:
    async def rows() -> AsyncIterator[dict[str, str]]:
        yield {"Name": "fine"}
        yield {"Name": "far too long for it"}

    async def check() -> CheckReport:
        async with AsyncBulkClient(**login(org)) as client:
            return await client.ingest.check("Sample__c", "insert", rows())

    report = asyncio.run(check())
    assert [(each.problem.column, each.first_rows) for each in report.problems] == [("Name", [2])]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 1)), max_size=200), st.integers(1, 50))
def test_rows_that_share_a_key_are_found_whatever_blocks_they_come_in(keys: list[tuple[int, int]], size: int) -> None:
    """Digests of which one half alone may be equal; zeros are no key."""
    held = Keys()
    digests = np.array(keys, np.uint64).reshape(-1, 2)
    numbers = np.arange(1, len(keys) + 1)
    for start in range(0, len(keys), size):
        held.add(digests[start : start + size], numbers[start : start + size])
    found = {
        row: later
        for each in held.sharing()
        for row, later in zip(each.rows.tolist(), each.is_later.tolist(), strict=True)
    }
    held.close()
    counted = Counter(keys)
    shared = {row: keys.index(key) + 1 < row for row, key in enumerate(keys, 1) if counted[key] > 1 and key != (0, 0)}
    assert found == shared
