"""An object with a column of every kind, and rows that are hard to carry: what the query tests extract."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.data import seed

FIELDS: list[dict[str, object]] = [
    {"name": "Name", "type": "string", "length": 80},
    {"name": "Station__c", "type": "reference", "referenceTo": ["Account"], "relationshipName": "Station__r"},
    {"name": "Count__c", "type": "double", "precision": 18, "scale": 0},
    {"name": "Level__c", "type": "double", "precision": 16, "scale": 4},
    {"name": "Price__c", "type": "currency", "precision": 18, "scale": 2},
    {"name": "Valid__c", "type": "boolean"},
    {"name": "Day__c", "type": "date"},
    {"name": "Moment__c", "type": "datetime"},
    {"name": "Remark__c", "type": "textarea", "length": 32000},
]

STATIONS = [
    {"Name": "Zürich, Höngg", "External_Key__c": "S-1", "AnnualRevenue": "12345678", "NumberOfEmployees": "3"},
    {"Name": '東京 "Bay"', "External_Key__c": "S-2", "AnnualRevenue": "", "NumberOfEmployees": ""},
]

ROWS: list[dict[str, str]] = [
    {
        "Name": "Ελλάδα",
        "External_Key__c": "R-1",
        "Station__r.External_Key__c": "S-1",
        "Count__c": "10000000",
        "Level__c": "0.0001",
        "Price__c": "98765432.1",
        "Valid__c": "true",
        "Day__c": "2024-02-29",
        "Moment__c": "2024-02-29T23:59:59.000Z",
        "Remark__c": 'first line\nsecond "line", with a comma',
    },
    {
        "Name": "हिन्दी 🌧",
        "External_Key__c": "R-2",
        "Station__r.External_Key__c": "S-2",
        "Count__c": "-42",
        "Level__c": "12345678.25",
        "Price__c": "0.01",
        "Valid__c": "false",
        "Day__c": "1999-12-31",
        "Moment__c": "1999-12-31T00:00:00.000Z",
        "Remark__c": "back\\slash\ttab",
    },
    {"Name": "العربية", "External_Key__c": "R-3", "Valid__c": "true"},
]

NAMES = list(ROWS[0])
COLUMNS = [*(name for name in NAMES if name != "Station__r.External_Key__c"), "Station__r.Name"]
SOQL = f"SELECT {', '.join(COLUMNS)} FROM Reading__c"


def fill(org: LocalOrg, folder: Path, sobject: str, rows: Iterable[Mapping[str, str]]) -> None:
    """Insert rows as the org's seed does: through its own checks, without a client."""
    rows = list(rows)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{sobject}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    seed.load(org.core, folder)


def fill_readings(org: LocalOrg, folder: Path, rows: Iterable[Mapping[str, str]] = ROWS) -> None:
    """Add ``Reading__c`` with its rows, and the accounts they look up to."""
    org.add_object(name="Reading__c", fields=FIELDS)
    fill(org, folder / "stations", "Account", STATIONS)
    fill(org, folder / "readings", "Reading__c", rows)


def many(count: int) -> list[dict[str, str]]:
    """Make rows that can be told apart."""
    return [
        {**ROWS[0], "Name": f"Reading {n} ñ", "External_Key__c": f"K-{n}", "Count__c": str(n)} for n in range(count)
    ]


def truth(org: LocalOrg) -> dict[str, dict[str, Any]]:
    """Give what the org stores, by external key, with the parent's name: the witness of every extract."""
    stations = {row["Id"]: row["Name"] for row in org.records("Account")}
    return {
        row["External_Key__c"]: {
            **{name: row[name] for name in COLUMNS if "." not in name},
            "Station__r.Name": stations.get(row["Station__c"]),
        }
        for row in org.records("Reading__c")
    }
