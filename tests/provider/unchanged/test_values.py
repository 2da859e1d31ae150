"""What ``skip_unchanged`` takes for the same, held against an org that is loaded without it: the end is the same, and what
was not sent was not touched."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from airflow_provider_sfbulk import BulkIngestOperator
from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.examples import examples
from tests.provider.conftest import FakeTask
from tests.provider.values.test_round_trip import AWKWARD, FIELDS, NULLS, SOURCES, as_stored, rows

QUICK: Final = Schedule(first=0.01, growth=0.1, longest=0.05)
KEY: Final = "External_Key__c"
OF_EACH: Final = ("Id", "Name", "SystemModstamp", "LastModifiedDate", "CreatedDate")
"""Differ from record to record; the name of an unnamed record is its id."""

OBJECTS: Final = ("Plain__c", "Spared__c")
numbers = itertools.count()

MORE: Final = [
    {"name": "Mail__c", "type": "email", "length": 80},
    {"name": "Phone__c", "type": "phone", "length": 40},
    {"name": "Kind__c", "type": "picklist", "length": 40, "picklistValues": ["a", "b", "A"]},
    {"name": "Parent__c", "type": "reference", "referenceTo": ["Account"], "relationshipName": "Parent__r"},
]


@pytest.fixture(scope="module")
def two_objects() -> Iterator[LocalOrg]:
    with LocalOrg() as running:
        for name in OBJECTS:
            running.add_object(name=name, fields=[*FIELDS, *MORE])
        running.add_object(name="Sample__c", fields=[*FIELDS, {"name": "Batch__c", "type": "string", "length": 20}])
        with running.core.store.writing() as connection:
            for number in range(2):
                row = (f"001LO000000000{number}AAA", f"Parent {number}", f"P-{number}")
                connection.execute("INSERT INTO Account (Id, Name, External_Key__c) VALUES (?, ?, ?)", row)
        yield running


@pytest.fixture(scope="module")
def client(two_objects: LocalOrg) -> Iterator[BulkClient]:
    org = two_objects
    made = BulkClient(
        host=org.url,
        login=org.username,
        client_id=org.client_id,
        auth_flow="client_credentials",
        client_secret=org.client_secret,
    )
    with made:
        yield made


SPELLED: Final[dict[str, list[str]]] = {
    "Text__c": ["a", "A", " a", "a ", "a\nb", '"a"', "0", "#N/A"],
    "Long__c": ["x", "x\n", "<b>x</b>", "#N/A"],
    "Count__c": ["1", "01", "+1", "1.0", "2", "#N/A"],
    "Money__c": ["1.5", "1.50", "15E-1", "+1.5", "1.505", "12345678901234.56", "12345678901234.57", "-0", "0", "#N/A"],
    "Whole__c": ["7", "7.0", "9007199254740993", "9007199254740992", "1E15", "#N/A"],
    "Share__c": ["10", "10.000", "1E1", "10.01"],
    "Flag__c": ["true", "TRUE", "1", "false", "0"],
    "Day__c": ["2026-03-04", "2026-03-04Z", "2026-03-05", "#N/A"],
    "Moment__c": [
        *("2026-03-04T10:00:00Z", "2026-03-04T10:00:00.000Z", "2026-03-04T11:00:00+01:00", "2026-03-04T11:00:00+0100"),
        *("2026-03-04T10:00:00.900Z", "2026-03-04T10:00:01Z", "2026-03-04T11:00:00Z", "no moment"),
    ],
    "Clock__c": ["10:00:00Z", "10:00:00.000Z", "10:00:00.001Z", "10:00:00"],
    "Colors__c": ["red", "red;blue", "blue;red", "red;red;blue", "red;"],
    "Mail__c": ["a@example.com", "A@example.com", "no mail"],
    "Phone__c": ["030 1", "(030) 1"],
    "Kind__c": ["a", "A", "b"],
    "Parent__c": ["001LO0000000000AAA", "001LO0000000000", "001LO0000000001AAA", "001lo0000000000AAA", "#N/A"],
}
spelled = st.fixed_dictionaries(
    {KEY: st.sampled_from(["k-1", "K-1", "k-2", "k-3", " k-3", "k-4", ""])},
    optional={name: st.sampled_from(["", *values]) for name, values in SPELLED.items()},
)
loads = st.lists(spelled, min_size=1, max_size=7)


def stored(org: LocalOrg, name: str) -> list[dict[str, Any]]:
    found = ({each: value for each, value in row.items() if each not in OF_EACH} for row in org.records(name))
    return sorted(found, key=lambda row: str(row[KEY]))


def load(client: BulkClient, name: str, given_rows: list[dict[str, str]], **options: Any) -> Any:
    return client.ingest.perform(
        name,
        "upsert",
        given_rows,
        external_id_field=KEY,
        blank_external_ids="send",
        columns=[KEY, *SPELLED],
        schedule=QUICK,
        **options,
    )


def sent_as(given_rows: list[dict[str, str]], spelling: str) -> list[dict[str, str]]:
    """Make the rows so that the text ``#N/A`` is what is sent: of a dict it would be refused."""
    return [{name: None if value == spelling else value for name, value in row.items()} for row in given_rows]  # type: ignore[misc]


@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=loads, second=loads, clear=st.booleans())
def test_the_org_ends_as_without_it_and_what_was_not_sent_is_not_touched(
    two_objects: LocalOrg, client: BulkClient, first: list[dict[str, str]], second: list[dict[str, str]], clear: bool
) -> None:
    nulls = "clear" if clear else "leave"
    first, second = sent_as(first, "#N/A"), sent_as(second, "#N/A")
    for name in OBJECTS:
        with two_objects.core.store.writing() as connection:
            connection.execute(f"DELETE FROM {name}")
        load(client, name, first, nulls=nulls)
    assert stored(two_objects, OBJECTS[0]) == stored(two_objects, OBJECTS[1])
    before = {row["Id"]: row["SystemModstamp"] for row in two_objects.records(OBJECTS[1])}
    two_objects.advance(5)

    load(client, OBJECTS[0], second, nulls=nulls)
    result = load(client, OBJECTS[1], second, nulls=nulls, skip_unchanged=True)

    assert stored(two_objects, OBJECTS[0]) == stored(two_objects, OBJECTS[1])
    assert result.total_count + result.unchanged_count == len(second)
    after = {row["Id"]: row["SystemModstamp"] for row in two_objects.records(OBJECTS[1])}
    touched = sum(stamp != after[record] for record, stamp in before.items())
    assert touched <= result.total_count
    event(f"{'none' if not result.unchanged_count else 'some'} unchanged")


@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_rows=loads, clear=st.booleans())
def test_rows_that_the_org_has_are_unchanged_once_their_spelling_is_certain(
    two_objects: LocalOrg, client: BulkClient, given_rows: list[dict[str, str]], clear: bool
) -> None:
    """What is read from the org is sent back to it: nothing of it differs, but for numbers that are too long."""
    with two_objects.core.store.writing() as connection:
        connection.execute(f"DELETE FROM {OBJECTS[1]}")
    load(client, OBJECTS[1], sent_as(given_rows, "#N/A"))
    names = [KEY, *SPELLED]
    soql = f"SELECT {', '.join(names)} FROM {OBJECTS[1]}"
    read = [
        {name: value for name, value in row.items() if value not in ("", None)}
        for row in client.query.perform(soql, schedule=QUICK)
        if row[KEY]
    ]
    if not read:
        return
    exact = [
        abs(float(row.get("Money__c") or 0)) < 10**13 and abs(float(row.get("Whole__c") or 0)) < 10**15 for row in read
    ]
    keys = [row[KEY].strip().lower() for row in read]
    wanted = sum(good and keys.count(key) == 1 for good, key in zip(exact, keys, strict=True))
    result = load(client, OBJECTS[1], read, nulls="clear" if clear else "leave", skip_unchanged=True)
    assert result.unchanged_count == wanted


@pytest.mark.parametrize("kind", SOURCES)
@settings(max_examples=examples(1), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_rows=st.lists(rows, min_size=1, max_size=12))
def test_the_second_load_of_any_source_sends_nothing(
    two_objects: LocalOrg,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    given_rows: list[dict[str, Any]],
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT", two_objects.connection)
    batch = f"b{next(numbers)}"
    # Rows with a text that Salesforce changes when it saves are sent at every load.
    texts = ("Text__c", "Long__c")
    given_rows = [{**row, **{name: as_stored(row[name]) for name in texts}} for row in (AWKWARD, NULLS, *given_rows)]
    numbered = [{**row, KEY: f"{batch} {n:03}", "Batch__c": batch} for n, row in enumerate(given_rows)]
    jobs = len(list(two_objects.jobs))
    results = []
    for nulls in ("clear", "clear", "leave"):
        operator = BulkIngestOperator(
            task_id="load",
            sobject="Sample__c",
            operation="upsert",
            external_id_field=KEY,
            source=SOURCES[kind](numbered, tmp_path),
            nulls={"Text__c": nulls, "Day__c": nulls},
            skip_unchanged=True,
        )
        results.append(FakeTask().start().run(operator))
    assert [each["unchanged"] for each in results] == [0, len(numbered), len(numbered)]
    assert [each["successful"] for each in results] == [len(numbered), 0, 0]
    assert [len(each["job_ids"]) for each in results] == [1, 0, 0]
    assert len([job for job in list(two_objects.jobs)[jobs:] if job.operation == "upsert"]) == 1
