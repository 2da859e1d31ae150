"""``sql`` of BulkIngestOperator: real SQLite and real PostgreSQL, by both of its drivers, into the local org."""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pymysql
import pytest
from airflow.providers.postgres.hooks import postgres as postgres_hook
from airflow.sdk import DAG
from airflow.serialization.helpers import serialize_template_field

from airflow_provider_sfbulk.arguments.hidden import HiddenValue
from airflow_provider_sfbulk.client.errors import FailedRecordsError, InputChangedError, SourceError
from airflow_provider_sfbulk.client.sources.open import Rules
from airflow_provider_sfbulk.files.sql_source import SqlQuery, open_cursor
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.conftest import FakeTask
from tests.provider.readings import FIELDS
from tests.provider.sql import postgres

SECRET = "Xylophone-4711"


@pytest.fixture
def lite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """A SQLite database, known to Airflow as ``crm``."""
    path = tmp_path / "crm.db"
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    with closing(sqlite3.connect(path)) as connection:
        yield connection


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.running() as folder:
        yield folder


@pytest.fixture(params=["psycopg", "psycopg2"])
def pg(request: pytest.FixtureRequest, server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A PostgreSQL database, known to Airflow as ``crm``; a connection that looks on."""
    connect_to(server, monkeypatch)
    monkeypatch.setattr(postgres_hook, "USE_PSYCOPG3", request.param == "psycopg")
    import psycopg

    with psycopg.connect(host=server, user=postgres.USER, password=postgres.PASSWORD, dbname="postgres") as witness:
        witness.autocommit = True
        witness.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        yield witness


def connect_to(server: str, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    connection = {
        "conn_type": "postgres",
        "host": server,
        "login": postgres.USER,
        "password": postgres.PASSWORD,
        "schema": "postgres",
        "extra": {"application_name": "load", **extra},
    }
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(connection))


def sessions(witness: Any) -> int:
    """Count the sessions of loads, once those that were closed had a moment to end."""
    for _ in range(100):
        (count,) = witness.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'load'").fetchone()
        if count == 0:
            break
        time.sleep(0.02)
    return int(count)


def load(**arguments: Any) -> BulkIngestOperator:
    defaults: dict[str, Any] = {
        "task_id": "task", "sobject": "Contact", "operation": "insert", "sql_conn_id": "crm", "deferrable": False,
        "retries": 2,
    }  # fmt: skip
    return BulkIngestOperator(**{**defaults, **arguments})


def stored(org: LocalOrg) -> Counter[str]:
    return Counter(record["LastName"] for record in org.records("Contact"))


def refused(load: BulkIngestOperator, match: str) -> SourceError:
    with pytest.raises(SourceError, match=match) as caught:
        FakeTask().start().run(load)
    return caught.value


# --- what arrives ---------------------------------------------------------------------------------------------------


def test_rows_of_sqlite_arrive_with_names_in_any_case(org: LocalOrg, task: FakeTask, lite: sqlite3.Connection) -> None:
    lite.executescript("CREATE TABLE people (lastname TEXT, FIRSTNAME TEXT, phone TEXT)")
    lite.executemany(
        "INSERT INTO people VALUES (?, ?, ?)", [("Ünï, 東京", 'a "b"', None), ("B", "c\nd", "1"), ("C", "", "")]
    )
    lite.commit()
    result = task.start().run(load(sql="SELECT * FROM people WHERE lastname <> ? ORDER BY 1", sql_parameters=["C"]))
    assert result["successful"] == 2
    assert sorted((each["LastName"], each["FirstName"], each["Phone"]) for each in org.records("Contact")) == [
        ("B", "c\nd", "1"), ("Ünï, 東京", 'a "b"', None),
    ]  # fmt: skip


TYPES = """
    SELECT 'Ελλάδα, "x"'::text AS name, 'R-1'::varchar AS external_key__c, 9007199254740::bigint AS count__c,
        12345678.2500::numeric(16, 4) AS level__c, 98765432.10::numeric AS price__c, true AS valid__c,
        '2024-02-29'::date AS day__c, '2024-02-29 23:59:59.9999+02'::timestamptz AS moment__c,
        E'two\nlines' AS remark__c
    UNION ALL
    SELECT '12345678-1234-5678-1234-567812345678'::uuid::text, 'R-2', -42, 0.0001, 0.01, false, '1999-12-31',
        '1999-12-31 00:00:00Z', NULL
"""


def test_every_type_of_postgresql_arrives_value_by_value(pg: Any, org: LocalOrg, task: FakeTask) -> None:
    org.add_object(name="Reading__c", fields=FIELDS)
    assert task.start().run(load(sobject="Reading__c", sql=TYPES))["successful"] == 2
    first, second = sorted(org.records("Reading__c"), key=lambda each: each["External_Key__c"])
    wanted = {
        "Name": 'Ελλάδα, "x"', "Count__c": 9007199254740, "Level__c": 12345678.25,
        "Price__c": 98765432.1, "Valid__c": True, "Day__c": "2024-02-29",
        "Moment__c": "2024-02-29T21:59:59.000Z", "Remark__c": "two\nlines",
    }  # fmt: skip
    assert {name: first[name] for name in wanted} == wanted
    assert second["Name"] == "12345678-1234-5678-1234-567812345678"
    assert (second["Level__c"], second["Valid__c"], second["Remark__c"]) == (0.0001, False, None)
    assert second["Moment__c"] == "1999-12-31T00:00:00.000Z"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1e-20::float8", "0.00000000000000000001"),
        ("0.1::float4", "0.1"),
        ("47::float8", "47"),
        ("1234567890123456789012.50::numeric", "1234567890123456789012.50"),
        ("'NaN'::numeric", ""),
        ("'2026-03-29 12:00'::timestamp", "2026-03-29T10:00:00.000Z"),
        ("'05:06:07.25'::time", "05:06:07.250Z"),
        ("'12345678-1234-5678-1234-567812345678'::uuid", "12345678-1234-5678-1234-567812345678"),
        ("ARRAY['a', 'b']", "a;b"),
        ("'a\"b'", '"a""b"'),
        ("NULL", ""),
    ],
)
def test_a_value_of_postgresql_is_sent_as(value: str, text: str, pg: Any) -> None:
    assert read(f"SELECT 1 AS a, {value} AS b", timezone="Europe/Berlin") == ("a,b\n", f"1,{text}\n")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("'\\x736563726574'::bytea", "bytes"),
        ("'2026-03-04 05:06'::timestamp", "without a time zone"),
        ("'1 day'::interval", "timedelta"),
        ("'{\"secret\": 1}'::json", "nested"),
        ("'infinity'::float8", "infinite"),
    ],
)
def test_a_value_that_has_no_text_is_refused_by_row_and_column(value: str, reason: str, pg: Any) -> None:
    with pytest.raises(SourceError, match=f"connection crm: row 1, column b: .*{reason}") as caught:
        read(f"SELECT 1 AS a, {value} AS b")
    assert "secret" not in str(caught.value)
    assert sessions(pg) == 0


def read(statement: str, parameters: Any = None, **rules: Any) -> tuple[str, str]:
    with SqlQuery(statement, parameters, "crm").stream(Rules(operation="insert", **rules)) as stream:
        return stream.header.decode(), b"".join(block.data for block in stream.blocks()).decode()


def test_placeholders_are_the_driver_s_and_percents_without_parameters_are_percents(pg: Any) -> None:
    assert read("SELECT %s AS a, %s::int AS b", ["x", 2]) == ("a,b\n", "x,2\n")
    assert read("SELECT %(one)s AS a", {"one": "x"}) == ("a\n", "x\n")
    assert read("SELECT 'ab' LIKE 'a%' AS a;") == ("a\n", "true\n")


def test_a_connection_set_to_rows_of_dicts_gives_its_values_all_the_same(
    pg: Any, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_to(server, monkeypatch, cursor="dictcursor")
    assert read("SELECT 1 AS a, 'x' AS b") == ("a,b\n", "1,x\n")


def test_an_empty_result_has_its_columns(pg: Any, org: LocalOrg) -> None:
    assert read("SELECT 1 AS a, 2 AS b WHERE false") == ("a,b\n", "")
    refused(load(sql="SELECT 'x' AS lastname WHERE false"), "no records")


def test_columns_of_one_name_are_refused_by_name(pg: Any, org: LocalOrg) -> None:
    refused(load(sql="SELECT 'x' AS lastname, 1 AS id, 2 AS id"), "several columns are named id:")
    assert sessions(pg) == 0


def test_mysql_s_drivers_get_the_cursor_that_does_not_hold_the_result() -> None:
    connection = pymysql.connect(defer_connect=True, cursorclass=pymysql.cursors.DictCursor)
    assert type(open_cursor(connection)) is pymysql.cursors.SSCursor


# --- what it leaves behind ------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_result(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 rows first, then 200,000 of 400 bytes: held by the driver they would be 80 MB more."""
    connect_to(server, monkeypatch)
    script = """
import resource
from airflow.providers.postgres.hooks import postgres
from airflow_provider_sfbulk.client.sources.open import Rules
from airflow_provider_sfbulk.files.sql_source import SqlQuery
def peak(rows):
    statement = f"SELECT n AS a, repeat('x', 400) AS b FROM generate_series(1, {rows}) AS n"
    with SqlQuery(statement, None, "crm").stream(Rules(operation="insert")) as stream:
        assert sum(block.records for block in stream.blocks()) == rows
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for postgres.USE_PSYCOPG3 in (True, False):
    few = peak(20_000)
    print(postgres.USE_PSYCOPG3, peak(200_000) - few)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    kib = {driver: int(grown) for driver, grown in map(str.split, done.stdout.splitlines()[-2:])}
    assert kib.keys() == {"True", "False"}
    assert max(kib.values()) < 20_000, kib


def test_the_connection_is_closed_when_reading_stops_half_way(pg: Any) -> None:
    with SqlQuery("SELECT generate_series(1, 100000) AS a", None, "crm").stream(Rules(operation="insert")) as stream:
        next(stream.blocks())
        assert pg.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'load'").fetchone() == (1,)
    assert sessions(pg) == 0


def test_the_connection_is_closed_when_salesforce_refuses_the_load(pg: Any, org: LocalOrg) -> None:
    refused(load(sql="SELECT 'x' AS lastname, 'y' AS no_such_field"), "no_such_field")
    assert sessions(pg) == 0


@pytest.mark.parametrize(
    "statement", ["SELECT note() AS lastname", "INSERT INTO notes VALUES (2) RETURNING 'x' AS lastname"]
)
def test_nothing_is_written_to_postgresql(statement: str, pg: Any, org: LocalOrg) -> None:
    pg.execute("CREATE TABLE notes (n int)")
    pg.execute("CREATE FUNCTION note() RETURNS text LANGUAGE sql AS $$ INSERT INTO notes VALUES (1) RETURNING 'x' $$")
    refused(
        load(sql=statement),
        r"psycopg2?\.errors\.(ReadOnlySqlTransaction \(SQLSTATE 25006\)|SyntaxError \(SQLSTATE 42601\))",
    )
    assert pg.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    assert sessions(pg) == 0


def test_nothing_is_written_to_sqlite(lite: sqlite3.Connection, org: LocalOrg) -> None:
    lite.executescript("CREATE TABLE notes (n int)")
    refused(load(sql="INSERT INTO notes VALUES (1) RETURNING 'x' AS lastname"), r"OperationalError \(SQLITE_READONLY\)")
    refused(load(sql="PRAGMA cache_size = 100"), "returns no rows")
    assert lite.execute("SELECT count(*) FROM notes").fetchone() == (0,)


# --- every row once -------------------------------------------------------------------------------------------------


def people(lite: sqlite3.Connection, count: int, **columns: list[str]) -> Counter[str]:
    """Fill a table; give the names in it."""
    names = [f"Person {number}" for number in range(count)]
    others = "".join(f", {name} TEXT" for name in columns)
    lite.executescript(f"DROP TABLE IF EXISTS people; CREATE TABLE people (lastname TEXT{others})")
    values = [(name, *(each[number % len(each)] for each in columns.values())) for number, name in enumerate(names)]
    lite.executemany(f"INSERT INTO people VALUES (?{', ?' * len(columns)})", values)
    lite.commit()
    return Counter(names)


def test_a_retry_after_a_kill_while_reading_reads_again_and_loads_each_row_once(
    org: LocalOrg, task: FakeTask, lite: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = people(lite, 3_000)
    operator = load(sql="SELECT * FROM people ORDER BY rowid", part_records=500, max_concurrent_jobs=1)
    fetch, fetched = SqlQuery._fetch, []

    def die(query: SqlQuery, cursor: Any, size: int) -> Any:
        fetched.append(size)
        if len(fetched) > 12:  # of 256 rows
            raise KeyboardInterrupt
        return fetch(query, cursor, size)

    with monkeypatch.context() as patch:
        patch.setattr(SqlQuery, "_fetch", die)
        for name in ("AHEAD_ROWS", "FIRST_ROWS", "BATCH_ROWS"):
            patch.setattr(f"airflow_provider_sfbulk.client.sources.rows.{name}", 256)
        with pytest.raises(KeyboardInterrupt):
            task.start().run(operator)
    assert len(org.jobs) > 1
    assert not stored(org)
    assert task.start().run(operator)["successful"] == 3_000
    assert stored(org) == wanted


def test_a_retry_after_a_kill_adopts_the_jobs_and_reads_again_for_the_row_numbers(
    org: LocalOrg, task: FakeTask, lite: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = people(lite, 9)
    operator = load(sql="SELECT * FROM people ORDER BY rowid", part_records=4, results_path=tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(operator, "_wait", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            task.start().run(operator)
    result = task.start().run(operator)
    assert len(org.jobs) == len(result["job_ids"]) == 3
    assert stored(org) == wanted
    lines = (tmp_path / "out" / "successful.csv").read_text().splitlines()
    row, name = (lines[0].replace('"', "").split(",").index(each) for each in ("sf__Row", "LastName"))
    found = [line.replace('"', "").split(",") for line in lines[1:]]
    assert {each[name]: each[row] for each in found} == {f"Person {number}": str(number + 1) for number in range(9)}


@pytest.fixture
def parents(org: LocalOrg) -> list[str]:
    """Three accounts."""
    rows = [{"Name": f"Parent {number}"} for number in range(3)]
    FakeTask().start().run(load(sobject="Account", source=rows, sql_conn_id=None))
    return [record["Id"] for record in sorted(org.records("Account"), key=lambda each: each["Name"])]


def test_a_result_that_changed_stops_what_would_be_sent_again(
    org: LocalOrg, task: FakeTask, lite: sqlite3.Connection, parents: list[str]
) -> None:
    people(lite, 9, accountid=parents)
    org.hold(parents[0])
    operator = load(sql="SELECT * FROM people ORDER BY rowid", max_record_retries=0)
    with pytest.raises(FailedRecordsError):
        task.start().run(operator)
    org.release(parents[0])
    lite.execute("DELETE FROM people WHERE lastname = 'Person 0'")
    lite.commit()
    operator.max_record_retries = 3
    with pytest.raises(InputChangedError, match="staging_path"):
        task.start().run(operator)
    assert sum(stored(org).values()) == 6


def test_kept_parts_stand_in_for_a_result_that_changed(
    org: LocalOrg, task: FakeTask, lite: sqlite3.Connection, parents: list[str], tmp_path: Path
) -> None:
    wanted = people(lite, 9, accountid=parents)
    org.hold(parents[0])
    staging = tmp_path / "staging"
    operator = load(sql="SELECT * FROM people ORDER BY rowid", max_record_retries=0, staging_path=staging)
    with pytest.raises(FailedRecordsError):
        task.start().run(operator)
    org.release(parents[0])
    lite.execute("DELETE FROM people")
    lite.commit()
    operator.max_record_retries = 3
    assert task.start().run(operator)["successful"] == 9
    assert stored(org) == wanted
    assert not [path for path in staging.rglob("*") if path.is_file()]


def test_other_parameters_are_another_input(
    org: LocalOrg, task: FakeTask, lite: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(lite, 3)
    statement = "SELECT * FROM people WHERE lastname <> :name"
    dying = load(sql=statement, sql_parameters={"name": "a"})
    monkeypatch.setattr(dying, "_wait", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        task.start().run(dying)
    with pytest.raises(InputChangedError, match="source"):
        task.start().run(load(sql=statement, sql_parameters={"name": "b"}))
    assert task.start().run(load(sql=statement, sql_parameters={"name": "a"}))["successful"] == 3


def test_a_query_is_the_same_in_every_process(lite: sqlite3.Connection) -> None:
    parameters = {"names": {"a", "b", "c", "d"}, "day": Decimal("1.50"), "thing": Thing()}
    code = (
        "from decimal import Decimal; from airflow_provider_sfbulk.files.sql_source import SqlQuery\n"
        "class Thing: pass\n"
        "print(SqlQuery('SELECT 1', {'thing': Thing(), 'day': Decimal('1.50'), 'names': {*'dcba'}}, 'crm').identity())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == SqlQuery("SELECT 1", parameters, "crm").identity()
    others = [("SELECT 2", parameters, "crm"), ("SELECT 1", None, "crm"), ("SELECT 1", parameters, "other")]
    assert len({SqlQuery(*each).identity() for each in [*others, ("SELECT 1", parameters, "crm")]}) == 4


class Thing:
    """Something whose repr is its address."""


# --- what is not told -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SELECT %s::int AS lastname", r"InvalidTextRepresentation \(SQLSTATE 22P02\)"),
        ("SELECT * FROM no_such_table WHERE n = %s", r"UndefinedTable \(SQLSTATE 42P01\)"),
        ("SELECT (%s || n)::int AS lastname FROM generate_series(1, 5) AS n", r"InvalidTextRepresentation"),
    ],
)
def test_an_error_names_the_connection_and_the_driver_s_class_and_no_value(
    statement: str,
    told: str,
    pg: Any,
    org: LocalOrg,
    task: FakeTask,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    attempt = task.start()
    with pytest.raises(SourceError, match=rf"connection crm: .* failed with psycopg2?\.errors\.{told}") as caught:
        attempt.run(load(sql=statement, sql_parameters=[SECRET]))
    printed = capsys.readouterr()  # Airflow's own logs
    assert "BulkIngestOperator" in printed.out
    for secret in (SECRET, postgres.PASSWORD):
        nothing_of(secret, traceback.format_exception(caught.value), printed, caplog.text, task.states, attempt.xcoms)


def test_a_wrong_password_is_told_as_the_connection_s(
    pg: Any, org: LocalOrg, server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgres, "PASSWORD", SECRET)
    connect_to(server, monkeypatch)
    caplog.set_level(logging.DEBUG)
    error = refused(load(sql="SELECT 1"), r"connection crm: connecting failed with psycopg2?\.OperationalError")
    nothing_of(SECRET, traceback.format_exception(error), caplog.text)


def test_parameters_and_password_are_nowhere_to_be_read_after_a_load(
    pg: Any,
    org: LocalOrg,
    task: FakeTask,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    operator = load(sql="SELECT 'x' AS lastname WHERE %s <> ''", sql_parameters=[SECRET])
    attempt = task.start()
    result = attempt.run(operator)
    assert result["successful"] == 1
    shown = [serialize_template_field(getattr(operator, name), name) for name in operator.template_fields]
    printed = capsys.readouterr()  # Airflow's own logs
    assert "JobComplete" in printed.out
    for secret in (SECRET, postgres.PASSWORD):
        nothing_of(secret, printed, caplog.text, task.states, attempt.xcoms, shown, result, operator.sql_parameters)
    nothing_of(SECRET, SqlQuery("SELECT 1", [SECRET], "crm"))


def nothing_of(secret: str, *texts: Any) -> None:
    assert not [text for text in texts if secret in str(text)]


def test_statement_and_parameters_are_templates(lite: sqlite3.Connection, org: LocalOrg, tmp_path: Path) -> None:
    people(lite, 3)
    (tmp_path / "people.sql").write_text("SELECT * FROM {{ params.table }} WHERE lastname = :name")
    with DAG("dag", schedule=None, template_searchpath=str(tmp_path)):
        operator = load(sql="people.sql", sql_parameters={"name": "{{ params.name }}"})
    operator.render_template_fields({"params": {"table": "people", "name": "Person 1"}})  # type: ignore[typeddict-item]
    assert isinstance(operator.sql_parameters, HiddenValue)
    assert str(operator.sql_parameters) == "<dict of 1 records>"
    FakeTask().start().run(operator)
    assert stored(org) == Counter(["Person 1"])


# --- what cannot be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"sql": None, "sql_conn_id": None}, "Give source or sql"),
        ({"sql": "SELECT 1", "source": "x.csv"}, "source and sql are both given"),
        ({"sql": None, "source": "x.csv"}, "sql_conn_id belong to sql"),
        ({"sql": "SELECT 1", "sql_conn_id": None}, "sql needs sql_conn_id"),
        ({"sql": " "}, "sql is an empty string"),
        ({"sql": ["SELECT 1"]}, "sql must be a string"),
        ({"sql": "SELECT 1", "sql_parameters": "abc"}, "list or a dict, not a str"),
    ],
)
def test_arguments_that_do_not_go_together(arguments: dict[str, Any], told: str, org: LocalOrg) -> None:
    with pytest.raises(SourceError, match=told):
        load(**arguments)
    assert not org.calls


@pytest.mark.parametrize(
    ("kind", "told"),
    [("http", "the type http does not run SQL .*HttpHook"), ("dbase", "no hook for the connection type dbase")],
)
def test_a_connection_that_is_none_of_sql(kind: str, told: str, org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps({"conn_type": kind, "host": "localhost"}))
    refused(load(sql="SELECT 1 AS a"), told)
    assert not org.calls
