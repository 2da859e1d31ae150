"""Small files for the example DAGs, so that each can be started from the UI: airports of some countries, as accounts."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from airflow_provider_sfbulk.demo.airports import KEY, airports

COLUMNS: Final = (KEY, "Name", "BillingCity", "BillingCountry")

DAILY_COUNTRY: Final = "IS"
"""Whose airports are the file of the day."""

INCOMING_COUNTRIES: Final = ("LU", "MT", "SG")
"""Whose airports are a file each, for the mapped load."""


def write_samples(folder: Path) -> None:
    """Write ``accounts/<day>.csv`` and ``incoming/<country>.csv`` into ``folder``.

    There is a file for tomorrow too, for a session that outlasts the day (in UTC, as Airflow counts them).
    """
    today = datetime.now(UTC).date()
    for day in (today, today + timedelta(days=1)):
        _write(folder / "accounts" / f"{day}.csv", DAILY_COUNTRY)
    for country in INCOMING_COUNTRIES:
        _write(folder / "incoming" / f"{country}.csv", country)


def _write(path: Path, country: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in airports():
            if row["Country__c"] == country:
                writer.writerow((row[KEY], row["Name"], row["City__c"], row["Country__c"]))
