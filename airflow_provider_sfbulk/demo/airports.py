"""The demo's data: every airport of the ``airportsdata`` package, and a handful of rows that Salesforce must refuse.

Accented names, numbers with and without a fraction, and gaps: what real data has.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

SCHEMA: Final = Path(str(files(__package__).joinpath("airport__c.json")))
"""Describe of the object that the airports go to, for ``sfbulk-local-org --schema``."""

SOBJECT: Final = "Airport__c"
KEY: Final = "External_Key__c"

COLUMNS: Final[Mapping[str, str]] = {
    KEY: "icao",
    "Name": "name",
    "Iata__c": "iata",
    "City__c": "city",
    "Region__c": "subd",
    "Country__c": "country",
    "Elevation_Feet__c": "elevation",
    "Latitude__c": "lat",
    "Longitude__c": "lon",
    "Time_Zone__c": "tz",
}
"""Field of Salesforce to key of the package."""

NUMBERS: Final = frozenset({"Elevation_Feet__c", "Latitude__c", "Longitude__c"})
"""Fields whose values are numbers; the others are text."""

PLANTED: Final[Mapping[str, Mapping[str, str]]] = {
    "BAD-1": {"Name": ""},
    "BAD-2": {"Name": "x" * 81},
    "BAD-3": {"Name": "An elevation in words", "Elevation_Feet__c": "very high"},
    "BAD-4": {"Name": "A country that is too long", "Country__c": "Atlantis"},
    "BAD-5": {"Name": "A latitude in degrees", "Latitude__c": "48°13'N"},
}
"""Rows that must fail, by their key."""


def airports() -> Iterator[dict[str, str]]:
    """Yield every airport as a row of text, sorted by its ICAO code; a missing value is the empty text."""
    import airportsdata  # noqa: PLC0415 - of the extra "demo"

    known: Mapping[str, Mapping[str, Any]] = airportsdata.load("ICAO")
    for code, airport in sorted(known.items()):
        row = {field: _text(airport[key]) for field, key in COLUMNS.items()}
        yield {**row, KEY: code}


def write_airports(folder: str) -> str:
    """Write all airports and the planted rows as one CSV into ``folder``, and return its path.

    The planted rows lie among the others: one in every few thousand.
    """
    path = Path(folder) / "airports.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    planted = iter(PLANTED.items())
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for number, row in enumerate(airports()):
            if number % 5000 == 2500:
                key, bad = next(planted, ("", {}))
                if bad:
                    writer.writerow({**bad, KEY: key})
            writer.writerow(row)
        for key, bad in planted:
            writer.writerow({**bad, KEY: key})
    return str(path)


def _text(value: str | float) -> str:
    """Write a value as it comes back: Salesforce stores no blanks at the ends of a text."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
