"""That SQLite can use an index where it matters, and what a compiled query costs."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from airflow_provider_sfbulk.local_org.data.schema import Field, Schema, SObject
from airflow_provider_sfbulk.local_org.soql import SoqlError, compile_query

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("Id = '001000000000001'", "sqlite_autoindex_Account_1"),
        ("Id IN ('001000000000001', '001000000000002')", "sqlite_autoindex_Account_1"),
        ("Id >= '001000000000001' AND Id < '001000000000009'", "sqlite_autoindex_Account_1"),
        ("External_Key__c = 'k-1'", "key_nocase"),
        ("External_Key__c IN ('k-1', 'k-2')", "key_nocase"),
        ("External_Key__c = 'schlüssel'", "key_folded"),
        ("Id IN (SELECT AccountId FROM Contact)", "sqlite_autoindex_Account_1"),
    ],
)
def test_an_equality_uses_the_index(database: sqlite3.Connection, schema: Schema, condition: str, index: str) -> None:
    database.execute("CREATE UNIQUE INDEX key_nocase ON Account (External_Key__c COLLATE NOCASE)")
    database.execute("CREATE UNIQUE INDEX key_folded ON Account (soql_fold(External_Key__c))")
    compiled = compile_query(f"SELECT Name FROM Account WHERE {condition}", schema, now=NOW)
    plan = database.execute(f"EXPLAIN QUERY PLAN {compiled.sql}", compiled.parameters).fetchall()
    assert any(f"SEARCH t0 USING INDEX {index} " in row[3] for row in plan), plan


def test_parents_are_found_by_their_key(database: sqlite3.Connection, schema: Schema) -> None:
    compiled = compile_query("SELECT Owner.Manager.Name FROM Account", schema, now=NOW)
    plan = database.execute(f"EXPLAIN QUERY PLAN {compiled.sql}", compiled.parameters).fetchall()
    assert sum("SEARCH" in row[3] and "sqlite_autoindex_User_1" in row[3] for row in plan) == 2


def wide_schema(parents: int) -> Schema:
    lookups = [
        Field(name=f"P{n}__c", type="reference", reference_to=("Wide__c",), relationship_name=f"P{n}__r")
        for n in range(parents)
    ]
    return Schema([SObject.of(name="Wide__c", key_prefix="a00", fields=[Field(name="Id", type="id"), *lookups])])


def test_fifty_five_parents_fit_and_no_more() -> None:
    schema = wide_schema(56)
    connection = sqlite3.connect(":memory:")
    columns = ", ".join(f'"{name.name}"' for name in next(iter(schema)).fields.values())
    connection.execute(f'CREATE TABLE "Wide__c" ({columns})')
    paths = [f"P{n}__r.Id" for n in range(56)]
    compiled = compile_query(f"SELECT {', '.join(paths[:55])} FROM Wide__c", schema, now=NOW)
    assert connection.execute(compiled.sql).fetchall() == []
    connection.close()
    with pytest.raises(SoqlError, match="at most 55 child-to-parent relationships"):
        compile_query(f"SELECT {', '.join(paths)} FROM Wide__c", schema, now=NOW)


def test_names_with_quotes_stay_names() -> None:
    evil = 'x"; DROP TABLE t; --'
    schema = Schema(
        [SObject.of(name="T", key_prefix="a00", fields=[Field(name=evil, type="string"), Field(name="Id", type="id")])]
    )
    connection = sqlite3.connect(":memory:")
    connection.execute('CREATE TABLE T (Id TEXT, "x""; DROP TABLE t; --" TEXT)')
    compiled = compile_query("SELECT FIELDS(STANDARD) FROM T", schema, now=NOW)
    assert connection.execute(compiled.sql).fetchall() == []
    connection.close()
