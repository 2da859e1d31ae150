"""What each comparison finds among six accounts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from airflow_provider_sfbulk.local_org.data.schema import Schema
from airflow_provider_sfbulk.local_org.soql import compile_query

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

Rows = list[tuple[object, ...]]

COLUMNS = (
    "Id", "Name", "AnnualRevenue", "NumberOfEmployees", "Rating", "Regions__c", "Active__c",
    "Founded__c", "CreatedDate", "Opens__c", "Exact__c",
)  # fmt: skip
ACCOUNTS = [
    ("001000000000001AAA", "Acme", 10.5, 5, "Hot", "North;South", 1,
     "2026-03-04", "2026-03-04T05:06:07.000Z", "07:00:00.000Z", "Key"),
    ("001000000000002AAA", "acme", 0.0, 0, "Cold", "South", 0,
     "2026-03-03", "2026-03-03T23:59:59.000Z", "08:30:00.000Z", "key"),
    ("001000000000003AAA", "Ärger", -3.0, None, "Warm", "East", 1,
     "2026-01-31", "2026-03-05T00:00:00.000Z", None, "KEY*"),
    ("001000000000004AAA", "50% off_now", 1e7, 7, None, None, 0,
     "2025-12-31", "2025-12-31T23:59:59.000Z", None, None),
    ("00100000000000bAAA", None, None, None, "Hot", "South;East;North", 0,
     None, None, None, None),
    ("00100000000000BAAQ", "It's \\ \"x\"\n", 2.0, 2, "warm", "north", 1,
     "2024-02-29", "2024-02-29T12:00:00.000Z", "07:00:00.500Z", "[k]"),
]  # fmt: skip


@pytest.fixture
def found(database: sqlite3.Connection, query: Callable[..., Rows]) -> Callable[[str], str]:
    """Return the numbers of the accounts that a condition finds, as one text: "135"."""
    marks = ",".join("?" * len(COLUMNS))
    database.executemany(f"INSERT INTO Account ({','.join(COLUMNS)}, IsDeleted) VALUES ({marks}, 0)", ACCOUNTS)
    ids = [account[0] for account in ACCOUNTS]

    def found(condition: str) -> str:
        rows = query(f"SELECT Id FROM Account WHERE {condition}")
        return "".join(sorted(str(ids.index(row[0]) + 1) if row[0] in ids else "?" for row in rows))

    return found


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        # text, in any case, also beyond ASCII
        ("Name = 'ACME'", "12"),
        ("name = 'ACME'", "12"),
        ("Account.Name = 'ACME'", "12"),
        ("Name = 'äRGER'", "3"),
        ("Name = 'argeR'", ""),
        ("Name != 'acme'", "3456"),
        ("Name <> 'acme'", "3456"),
        ("Name IN ('ACME', 'ärger')", "123"),
        ("Name NOT IN ('ACME', 'ärger')", "456"),
        ("Name IN ('Acme', null)", "125"),
        ("Name NOT IN ('Acme', null)", "346"),
        ("Name = null", "5"),
        ("Name = NULL", "5"),
        ("Name = ''", "5"),
        ("Name != null", "12346"),
        ("Name != ''", "12346"),
        ("Name < 'b'", "124"),
        ("Name >= 'acme' AND Name <= 'ACME'", "12"),
        ("Name > 'z'", "3"),
        ("Name = 'It\\'s \\\\ \\\"x\\\"\\n'", "6"),
        ("Name = '\\u00c4rger'", "3"),
        ("Name = '50% off_now'", "4"),
        # LIKE
        ("Name LIKE 'AC%'", "12"),
        ("Name LIKE '%CM%'", "12"),
        ("Name LIKE 'a_me'", "12"),
        ("Name LIKE 'ä%'", "3"),
        ("Name LIKE '_RGER'", "3"),
        ("Name LIKE '50\\% off\\_now'", "4"),
        ("Name LIKE '50\\%%'", "4"),
        ("Name LIKE '5_\\_%'", ""),
        ("Name LIKE '%\\\\%'", "6"),
        ("Name LIKE '%\n'", "6"),
        ("Name LIKE '%'", "12346"),
        ("Name LIKE ''", ""),
        ("NOT Name LIKE '%e%'", "456"),
        ("Rating LIKE 'w%'", "36"),
        # a case-sensitive field
        ("Exact__c = 'key'", "2"),
        ("Exact__c != 'key'", "13456"),
        ("Exact__c IN ('key', 'KEY')", "2"),
        ("Exact__c LIKE 'K%'", "13"),
        ("Exact__c LIKE 'k_y'", "2"),
        ("Exact__c LIKE '%*'", "3"),
        ("Exact__c LIKE '[k]'", "6"),
        ("Exact__c < 'a'", "136"),
        # picklists
        ("Rating = 'hot'", "15"),
        ("Rating IN ('Warm')", "36"),
        ("Regions__c = 'north;south'", "1"),
        ("Regions__c != 'North;South'", "23456"),
        ("Regions__c = null", "4"),
        ("Regions__c INCLUDES ('North')", "156"),
        ("Regions__c includes ('north;SOUTH')", "15"),
        ("Regions__c INCLUDES ('North;South', 'East')", "135"),
        ("Regions__c EXCLUDES ('North')", "234"),
        ("Regions__c EXCLUDES ('North;South', 'East')", "246"),
        ("Regions__c INCLUDES (null)", "4"),
        # numbers
        ("AnnualRevenue = 10.5", "1"),
        ("AnnualRevenue = 0", "2"),
        ("AnnualRevenue = -3", "3"),
        ("AnnualRevenue = +2.0", "6"),
        ("AnnualRevenue = 1.0E7", "4"),
        ("AnnualRevenue >= 1e+1", "14"),
        ("AnnualRevenue < .5", "23"),
        ("AnnualRevenue != 0", "13456"),
        ("AnnualRevenue IN (0, 2, 10.5)", "126"),
        ("AnnualRevenue = null", "5"),
        ("AnnualRevenue = 123456789012345678901234567890", ""),
        ("NumberOfEmployees > 4", "14"),
        ("NumberOfEmployees = 5.5", ""),
        ("NOT NumberOfEmployees > 4", "2356"),
        # booleans: "null matches FALSE values"
        ("Active__c = TRUE", "136"),
        ("Active__c = false", "245"),
        ("Active__c = null", "245"),
        ("Active__c != null", "136"),
        ("Active__c IN (TRUE, FALSE)", "123456"),
        # ids of 15 and of 18 characters, in lost case too
        ("Id = '001000000000001'", "1"),
        ("Id = '001000000000001AAA'", "1"),
        ("Id = '001000000000001aaa'", "1"),
        ("Id = '00100000000000b'", "5"),
        ("Id = '00100000000000B'", "6"),
        ("Id = '00100000000000baaq'", "6"),
        ("Id IN ('001000000000002', '00100000000000bAAA')", "25"),
        ("Id >= '001000000000002' AND Id < '00100000000000B'", "234"),
        ("ParentId = null", "123456"),
        ("ParentId = ''", "123456"),
        # dates, times
        ("Founded__c = 2026-03-04", "1"),
        ("Founded__c > 2025-12-31", "123"),
        ("Founded__c IN (2024-02-29, 2026-01-31)", "36"),
        ("Founded__c = null", "5"),
        ("CreatedDate = 2026-03-04T05:06:07Z", "1"),
        ("CreatedDate = 2026-03-04T05:06:07.000Z", "1"),
        ("CreatedDate = 2026-03-04T06:06:07+01:00", "1"),
        ("CreatedDate = 2026-03-03T21:06:07-0800", "1"),
        ("CreatedDate >= 2026-03-03T23:59:59.001Z", "13"),
        ("Opens__c = 07:00:00Z", "1"),
        ("Opens__c > 07:00:00.499Z", "26"),
        # relative dates: the moment is 2026-03-04T05:06:07Z
        ("Founded__c = TODAY", "1"),
        ("Founded__c != TODAY", "23456"),
        ("Founded__c < TODAY", "2346"),
        ("Founded__c <= today", "12346"),
        ("Founded__c > YESTERDAY", "1"),
        ("Founded__c >= YESTERDAY", "12"),
        ("Founded__c = LAST_N_DAYS:1", "12"),
        ("Founded__c = LAST_N_MONTHS:3", "34"),
        ("Founded__c IN (TODAY, LAST_YEAR, 2024-02-29)", "146"),
        ("CreatedDate = TODAY", "1"),
        ("CreatedDate < TODAY", "246"),
        ("CreatedDate <= TODAY", "1246"),
        ("CreatedDate > TODAY", "3"),
        ("CreatedDate >= TOMORROW", "3"),
        ("CreatedDate = THIS_WEEK", "123"),
        ("CreatedDate = LAST_N_DAYS:2", "12"),
        ("CreatedDate != LAST_N_DAYS : 2", "3456"),
        ("CreatedDate = LAST_FISCAL_YEAR", "4"),
        # logic
        ("Name = 'Acme' AND Active__c = TRUE", "1"),
        ("Name = 'Acme' OR Name = null OR AnnualRevenue < 0", "1235"),
        ("(Name = 'Acme' AND Active__c = TRUE) OR Rating = 'Hot'", "15"),
        ("Name = 'Acme' AND (Active__c = TRUE OR Rating = 'Cold')", "12"),
        ("NOT (Name = 'Acme' OR Rating = 'Hot')", "346"),
        ("(NOT Name = 'Acme') AND (NOT Name = null)", "346"),
        ("((((Name = 'Acme'))))", "12"),
        ("NOT (NOT (Name = null))", "5"),
    ],
)
def test_a_condition_finds_the_records_that_salesforce_would_find(
    found: Callable[[str], str], condition: str, expected: str
) -> None:
    assert found(condition) == expected


@pytest.mark.parametrize("operator", ["AND", "OR"])
def test_a_condition_may_have_thousands_of_parts(found: Callable[[str], str], operator: str) -> None:
    condition = f" {operator} ".join(["Name = 'Acme'"] * 5_000)
    assert found(condition) == "12"


def test_a_list_may_have_thousands_of_values(found: Callable[[str], str]) -> None:
    values = ", ".join(f"'x{number}'" for number in range(10_000))
    assert found(f"Name IN ({values}, 'acme')") == "12"


def test_a_value_listed_twice_is_bound_once(schema: Schema) -> None:
    values = ", ".join(["1", "2"] * 10_000)
    compiled = compile_query(f"SELECT Id FROM Account WHERE AnnualRevenue IN ({values})", schema, now=NOW)
    assert compiled.parameters == (1, 2)


def test_text_after_a_nul_counts(found: Callable[[str], str], add: Callable[..., None]) -> None:
    add("Account", Id="001000000000007AAA", IsDeleted=0, Name="a\0b")
    assert found("Name = 'a\\u0000c'") == ""


def test_conditions_nest_deep_enough_for_people(found: Callable[[str], str]) -> None:
    condition = "Name = 'Acme'"
    for _ in range(6):
        condition = f"(Rating = 'x' OR (Active__c = TRUE AND {condition}))"
    assert found(condition) == "1"
