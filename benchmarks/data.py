"""What is moved: rows of eight mixed columns, some 106 bytes each on the way up and 143 on the way down.

With ``BENCHMARK_ROWS=wide`` in the environment they have 500 columns, with ``long`` a text of 131,072 characters.
"""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SHAPE = os.environ.get("BENCHMARK_ROWS", "ordinary")
WIDE_COLUMNS = 500
LONG_CHARACTERS = 131_072

SOBJECT = "Account"
FIELDS: list[dict[str, Any]] = [
    {"name": "Id", "type": "id", "length": 18, "idLookup": True},
    {"name": "External_Key__c", "type": "string", "length": 40, "externalId": True, "idLookup": True, "unique": True},
    {"name": "Name", "type": "string", "length": 255},
    {"name": "AnnualRevenue", "type": "currency", "precision": 18, "scale": 2},
    {"name": "NumberOfEmployees", "type": "int", "digits": 8},
    {"name": "Active__c", "type": "boolean"},
    {"name": "Founded__c", "type": "date"},
    {"name": "Seen_At__c", "type": "datetime"},
    {"name": "Remark__c", "type": "textarea", "length": LONG_CHARACTERS if SHAPE == "long" else 255},
]
"""What describe says of them."""

if SHAPE == "wide":
    own, more = FIELDS[:2], FIELDS[2:]
    FIELDS = own + [{**more[n % len(more)], "name": f"Field_{n:03d}__c"} for n in range(WIDE_COLUMNS - 1)]

COLUMNS = tuple(field["name"] for field in FIELDS[1:])

_TYPES = {
    "currency": pa.decimal128(18, 2),
    "int": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("ms", "UTC"),
}
SCHEMA = pa.schema([(field["name"], _TYPES.get(field["type"], pa.string())) for field in FIELDS[1:]])

SOQL = " ".join(("SELECT", ", ".join(("Id", *COLUMNS)), "FROM", SOBJECT))

_NAMES = ("Müller & Söhne", "Umbrella Stand", "Acme, Inc.", "Initech", "Žižka Trans", 'The "Best" Shop', "Globex")
_REMARKS = ("calls on Mondays", "pays late, is nice", "", "moved to Kraków", "asked for a new offer", "do not call")
if SHAPE == "long":
    _REMARKS = tuple((each * LONG_CHARACTERS)[:LONG_CHARACTERS] for each in _REMARKS)
_PERIOD = 10_000
_BATCH = {"ordinary": 50_000, "wide": 2000, "long": 200}[SHAPE]


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Give the rows as a program has them: text, Decimal, int, bool, date and datetime. Every key is another one."""
    random.seed(20)
    first = datetime(2020, 1, 1, tzinfo=UTC)
    period = [
        (
            f"{random.choice(_NAMES)} {number}",
            Decimal(random.randrange(10**9)).scaleb(-2),
            random.randrange(100_000),
            random.random() < 0.5,
            date(1950, 1, 1) + timedelta(days=random.randrange(25_000)),
            first + timedelta(seconds=random.randrange(10**8), milliseconds=random.randrange(1000)),
            random.choice(_REMARKS),
        )
        for number in range(_PERIOD)
    ]
    for number in range(count):
        values = islice(cycle(period[number % _PERIOD]), len(COLUMNS) - 1)
        yield dict(zip(COLUMNS, (f"K-{number:09d}", *values), strict=True))


def batches(count: int) -> Iterator[pa.RecordBatch]:
    """Give the rows as Arrow batches."""
    given = rows(count)
    while held := list(islice(given, _BATCH)):
        yield pa.RecordBatch.from_pylist(held, SCHEMA)


def write_csv(path: Path, count: int) -> None:
    """Write the rows as Salesforce wants them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows(count):
            writer.writerow([text(value) for value in row.values()])


def write_parquet(path: Path, count: int) -> None:
    """Write the rows with their types."""
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for batch in batches(count):
            writer.write_batch(batch)


def result_lines(count: int) -> Iterator[bytes]:
    """Give the rows as a query's result page has them: every value quoted, numbers of some size with an exponent."""
    for number, row in enumerate(rows(count)):
        texts = [
            _with_exponent(value) if isinstance(value, Decimal) and value >= 10**7 else text(value)
            for value in row.values()
        ]
        yield (",".join('"' + text.replace('"', '""') + '"' for text in (_record_id(number), *texts)) + "\n").encode()


def _record_id(number: int) -> str:
    return f"001{number:012d}AAA"


def _with_exponent(value: Decimal) -> str:
    """Write a number as Java's ``Double.toString`` does: 1.23456789E7."""
    sign, digits, exponent = value.normalize().as_tuple()
    assert isinstance(exponent, int)
    del sign
    text = "".join(map(str, digits))
    return f"{text[0]}.{text[1:] or '0'}E{len(digits) - 1 + exponent}"


def text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    return str(value)
