"""A small org: its schema, its tables in SQLite, and a query function over both."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.data.schema import Field, Schema, SObject
from airflow_provider_sfbulk.local_org.soql import compile_query, register

NOW = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)  # a Wednesday

ID = Field(name="Id", type="id", length=18, nillable=False)
IS_DELETED = Field(name="IsDeleted", type="boolean", nillable=False)


def lookup(name: str, *targets: str, relationship: str) -> Field:
    return Field(name=name, type="reference", length=18, reference_to=targets, relationship_name=relationship)


def text(name: str, **attributes: Any) -> Field:
    return Field(name=name, type="string", length=255, **attributes)


SCHEMA = Schema(
    [
        SObject.of(
            name="Account",
            key_prefix="001",
            fields=[
                ID,
                IS_DELETED,
                text("Name"),
                lookup("ParentId", "Account", relationship="Parent"),
                lookup("OwnerId", "User", relationship="Owner"),
                Field(name="AnnualRevenue", type="currency"),
                Field(name="NumberOfEmployees", type="int"),
                Field(name="Rating", type="picklist", picklist_values=("Hot", "Warm", "Cold")),
                Field(name="Description", type="textarea", length=32_000),
                Field(name="BillingAddress", type="address"),
                text("BillingCity", compound_field_name="BillingAddress"),
                Field(name="CreatedDate", type="datetime"),
                text("External_Key__c", external_id=True, unique=True),
                text("Exact__c", unique=True, case_sensitive=True),
                Field(name="Regions__c", type="multipicklist", picklist_values=("North", "South", "East")),
                Field(name="Active__c", type="boolean", nillable=False),
                Field(name="Founded__c", type="date"),
                Field(name="Opens__c", type="time"),
                Field(name="Short__c", type="textarea", length=255),
                Field(name="Secret__c", type="encryptedstring", length=100),
                Field(name="Where__c", type="location"),
            ],
        ),
        SObject.of(
            name="Contact",
            key_prefix="003",
            fields=[
                ID,
                IS_DELETED,
                text("Name"),
                text("LastName"),
                text("Email"),
                lookup("AccountId", "Account", relationship="Account"),
                lookup("ReportsToId", "Contact", relationship="ReportsTo"),
            ],
        ),
        SObject.of(
            name="Lead",
            key_prefix="00Q",
            fields=[
                ID,
                IS_DELETED,
                text("Name"),
                text("Company"),
                lookup("OwnerId", "Group", "User", relationship="Owner"),
            ],
        ),
        SObject.of(name="Group", key_prefix="00G", fields=[ID, text("Name")]),
        SObject.of(
            name="User",
            key_prefix="005",
            fields=[ID, text("Name"), text("Email"), lookup("ManagerId", "User", relationship="Manager")],
        ),
        SObject.of(
            name="Task",
            key_prefix="00T",
            fields=[
                ID,
                IS_DELETED,
                text("Subject"),
                lookup("WhoId", "Contact", "Lead", relationship="Who"),
                lookup("WhatId", "Account", "Order", "Gone__c", relationship="What"),
            ],
        ),
        SObject.of(name="Order", key_prefix="801", fields=[ID, IS_DELETED, text("Name")]),
        SObject.of(name="TaskStatus", key_prefix="000", fields=[ID], queryable_in_bulk=False),
        SObject.of(
            name="Attachment",
            key_prefix="00P",
            fields=[
                ID,
                IS_DELETED,
                text("Name"),
                Field(name="Body", type="base64"),
                lookup("ParentId", "Account", relationship="P"),
            ],
        ),
    ]
)

Rows = list[tuple[object, ...]]


def record_id(prefix: str, number: int) -> str:
    return ids.lengthen(f"{prefix}{number:012d}")


def new_database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    register(connection)
    for sobject in SCHEMA:
        columns = ", ".join(f'"{f.name}" {_column_type(f)}' for f in sobject.fields.values() if not f.is_compound)
        connection.execute(f'CREATE TABLE "{sobject.name}" ({columns})')
    return connection


def _column_type(field: Field) -> str:
    if field.type == "id":
        return "TEXT PRIMARY KEY"
    if field.type in {"double", "currency", "percent"}:
        return "REAL"
    return "INTEGER" if field.type in {"boolean", "int", "long"} else "TEXT"


def insert(connection: sqlite3.Connection, sobject: str, **values: object) -> None:
    names = ", ".join(f'"{name}"' for name in values)
    connection.execute(
        f'INSERT INTO "{sobject}" ({names}) VALUES ({", ".join("?" * len(values))})', tuple(values.values())
    )


def run(connection: sqlite3.Connection, soql: str, **options: Any) -> Rows:
    compiled = compile_query(soql, SCHEMA, now=NOW, **options)
    return connection.execute(compiled.sql, compiled.parameters).fetchall()


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = new_database()
    yield connection
    connection.close()


@pytest.fixture
def schema() -> Schema:
    return SCHEMA


@pytest.fixture
def query(database: sqlite3.Connection) -> Callable[..., Rows]:
    def query(soql: str, **options: Any) -> Rows:
        return run(database, soql, **options)

    return query


@pytest.fixture
def add(database: sqlite3.Connection) -> Callable[..., None]:
    def add(sobject: str, **values: object) -> None:
        insert(database, sobject, **values)

    return add
