"""Extracts that go on where the one before ended: the operator against the local org, whose clock the tests move."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException, ErrorType, TaskDeferred
from airflow.sdk.execution_time.comms import ErrorResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from airflow_provider_sfbulk.client.errors import LedgerError, SourceError, TransientError
from airflow_provider_sfbulk.client.soql import Identifier
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.incremental import BEGINNING, watermark_key
from airflow_provider_sfbulk.operators.query import BulkQueryOperator, Incremental
from airflow_provider_sfbulk.task.asset_state import KEY_CHARACTERS
from tests.examples import examples
from tests.provider.conftest import DyingTry, FakeTask, Killed

ACCOUNTS = Asset("accounts")
SOQL = "SELECT Id, Name, External_Key__c FROM Account WHERE SystemModstamp >= :since AND SystemModstamp < :until"
KEY = ("accounts", "sfbulk.watermark:dag:task")
NO_LAG = timedelta()
MINUTE = timedelta(minutes=1)


def extract(folder: Path, incremental: Incremental | None = None, **arguments: Any) -> BulkQueryOperator:
    given: dict[str, Any] = {"task_id": "task", "soql": SOQL, "output_path": str(folder), "deferrable": False}
    return BulkQueryOperator(**{**given, "incremental": incremental or Incremental(asset=ACCOUNTS), **arguments})


def change(org: LocalOrg, *numbers: int, name: str = "new") -> None:
    """Insert or change accounts."""
    data = "External_Key__c,Name\n" + "".join(f"K-{number},{name}\n" for number in numbers)
    with SalesforceBulkHook().get_conn() as client:
        client.ingest.create_job_with_data("Account", "upsert", data.encode(), external_id_field="External_Key__c")
    org.wait_until_idle()


def later(org: LocalOrg) -> None:
    org.advance(600)


def read(summary: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for uri in summary["files"]:
        with Path(uri).open(newline="", encoding="utf-8") as file:
            found += [row["External_Key__c"] for row in csv.DictReader(file)]
    return sorted(found)


class Runs:
    """Runs of one task: what Airflow keeps between them."""

    def __init__(self, folder: Path) -> None:
        self.assets: dict[tuple[str, str], Any] = {}
        self._folder = folder
        self._count = 0

    def task(self, **run: Any) -> tuple[FakeTask, Path]:
        self._count += 1
        return FakeTask(assets=self.assets, run=run), self._folder / str(self._count)

    def run(self, **arguments: Any) -> dict[str, Any]:
        task, folder = self.task()
        summary: dict[str, Any] = task.start().run(extract(folder, **arguments))
        return summary

    @property
    def watermark(self) -> Any:
        return self.assets.get(KEY)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "lake")


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", ["2.0", "1.0"])
@pytest.mark.parametrize("deferrable", [False, True])
def test_each_run_reads_what_changed_since_the_one_before(
    api: str, deferrable: bool, org: LocalOrg, runs: Runs
) -> None:
    change(org, 1, 2, 3)
    later(org)
    first = runs.run(api=api, deferrable=deferrable)
    change(org, 2, 4)
    later(org)
    second = runs.run(api=api, deferrable=deferrable)
    third = runs.run(api=api, deferrable=deferrable)
    assert [read(each) for each in (first, second, third)] == [["K-1", "K-2", "K-3"], ["K-2", "K-4"], []]
    windows = [each["window"] for each in (first, second, third)]
    assert windows[0]["since"] == "1970-01-01T00:00:00.000Z"
    assert [each["until"] for each in windows[:2]] == [each["since"] for each in windows[1:]]
    assert runs.watermark == windows[-1]["until"]
    assert third["records"] == 0
    assert Path(third["manifest"]).exists()


def test_a_change_within_the_lag_is_left_to_the_next_run(org: LocalOrg, runs: Runs) -> None:
    change(org, 1)
    lag = Incremental(asset=ACCOUNTS, lag=10 * MINUTE)
    assert read(runs.run(incremental=lag)) == []
    org.advance(660)
    assert read(runs.run(incremental=lag)) == ["K-1"]


def test_the_window_ends_by_the_org_s_clock(org: LocalOrg, runs: Runs) -> None:
    org.advance(86_400)
    until = datetime.fromisoformat(runs.run()["window"]["until"])
    assert timedelta(hours=23) < until - datetime.now(UTC) < timedelta(hours=24)


def test_a_first_window_begins_with_initial(org: LocalOrg, runs: Runs) -> None:
    change(org, 1)
    later(org)
    begin = datetime.now(UTC) + 5 * MINUTE
    change(org, 2)
    later(org)
    assert read(runs.run(incremental=Incremental(asset=ACCOUNTS, initial=begin.isoformat()))) == ["K-2"]


def test_rows_for_xcom_are_pushed_before_the_watermark_moves(org: LocalOrg, runs: Runs) -> None:
    change(org, 1)
    later(org)
    task, _ = runs.task()
    attempt = DyingTry(task, 10**6, after=False)
    seen: list[Any] = []
    attempt.set_of_asset = lambda *_: seen.append(dict(attempt.xcoms))  # type: ignore[method-assign]
    rows = attempt.run(extract(Path(), output_path=None))
    assert [row["External_Key__c"] for row in rows] == ["K-1"]
    assert [each["return_value"] for each in seen] == [rows]


def test_other_values_are_bound_beside_the_window(org: LocalOrg, runs: Runs) -> None:
    change(org, 1, 2)
    later(org)
    summary = runs.run(soql=f"{SOQL} AND External_Key__c IN :keys", soql_params={"keys": ["K-2", "K-3"]})
    assert read(summary) == ["K-2"]


# --- run again --------------------------------------------------------------------------------------------------------


def test_a_retry_reads_the_window_of_the_try_before(org: LocalOrg, runs: Runs) -> None:
    change(org, 1)
    later(org)
    task, folder = runs.task()
    with pytest.raises(Killed):
        DyingTry(task, 4, after=True).run(extract(folder))
    assert runs.watermark is None
    change(org, 2)
    later(org)
    summary = task.start().run(extract(folder))
    assert read(summary) == ["K-1"]
    assert read(runs.run()) == ["K-2"]


def test_a_clear_reads_the_same_window_and_moves_nothing(org: LocalOrg, runs: Runs) -> None:
    change(org, 1)
    later(org)
    task, folder = runs.task()
    first = task.start().run(extract(folder))
    change(org, 2)
    later(org)
    second = runs.run()
    assert read(second) == ["K-2"]
    again = task.start(cleared=True).run(extract(folder))
    assert (again["window"], read(again)) == (first["window"], ["K-1"])
    assert again["job_id"] != first["job_id"]
    assert runs.watermark == second["window"]["until"]


def test_a_clear_reads_the_same_window_also_where_airflow_forgets_a_task_with_its_success(
    org: LocalOrg, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", "True")
    change(org, 1)
    later(org)
    task, folder = runs.task()
    first = task.start().run(extract(folder))
    task.states.clear()  # as Airflow does when it takes the success
    change(org, 2)
    later(org)
    next_task, next_folder = runs.task()
    attempt = next_task.start()
    attempt.run_id = "next"
    second = attempt.run(extract(next_folder))
    assert read(second) == ["K-2"]
    again = task.start(cleared=True).run(extract(folder))
    assert (again["window"], read(again)) == (first["window"], ["K-1"])
    assert runs.watermark == second["window"]["until"]


def test_another_lag_or_begin_leaves_old_windows_as_they_are(org: LocalOrg, runs: Runs) -> None:
    change(org, 1)
    later(org)
    task, folder = runs.task()
    first = task.start().run(extract(folder))
    change(org, 2)
    later(org)
    other = Incremental(asset=ACCOUNTS, initial="2020-01-01T00:00:00Z", lag=6 * MINUTE)
    again = task.start(cleared=True).run(extract(folder, other))
    assert (again["window"], read(again)) == (first["window"], ["K-1"])
    assert read(runs.run()) == ["K-2"]


def test_another_field_makes_a_window_of_its_own(org: LocalOrg, runs: Runs) -> None:
    change(org, 1)
    later(org)
    task, folder = runs.task()
    task.start().run(extract(folder))
    change(org, 2)
    later(org)
    soql = SOQL.replace("SystemModstamp", "LastModifiedDate")
    other = Incremental("LastModifiedDate", asset=ACCOUNTS)
    assert read(task.start(cleared=True).run(extract(folder, other, soql=soql))) == ["K-2"]


@pytest.mark.parametrize("set_back", ["1970-01-01T00:00:00Z", None])
def test_a_watermark_that_somebody_set_back_is_not_moved_by_an_old_run(
    set_back: str | None, org: LocalOrg, runs: Runs
) -> None:
    change(org, 1)
    later(org)
    runs.run()
    change(org, 2)
    later(org)
    task, folder = runs.task()
    task.start().run(extract(folder))
    if set_back is None:
        del runs.assets[KEY]
    else:
        runs.assets[KEY] = set_back
    assert read(task.start(cleared=True).run(extract(folder))) == ["K-2"]
    assert runs.watermark == set_back
    assert read(runs.run()) == ["K-1", "K-2"]


@pytest.mark.parametrize("before", [None, Incremental(asset=ACCOUNTS)])
def test_an_incremental_that_was_changed_while_the_task_waited_publishes_nothing(
    before: Incremental | None, org: LocalOrg, runs: Runs
) -> None:
    change(org, 1)
    later(org)
    org.core.job_seconds = 60
    task, folder = runs.task()
    attempt = task.start()
    given: dict[str, Any] = {"soql": SOQL if before else "SELECT Id FROM Account", "output_path": str(folder)}
    with pytest.raises(TaskDeferred) as deferral:
        attempt.run_once(BulkQueryOperator(task_id="task", incremental=before, deferrable=True, **given))
    org.advance(60)
    after = extract(folder, Incremental(asset=Asset("fresh")), deferrable=True)
    with pytest.raises(SourceError, match="was changed while the task waited"):
        attempt.resume(after, deferral.value)
    assert not folder.exists() or not list(folder.glob("part-*"))
    assert runs.assets == {}


@pytest.mark.parametrize("after", [False, True])
def test_wherever_a_try_dies_nothing_is_missed(after: bool, org: LocalOrg, runs: Runs) -> None:
    deaths = 0
    for write in range(1, 40):
        change(org, write)
        later(org)
        task, folder = runs.task()
        try:
            DyingTry(task, write, after=after).run(extract(folder))
        except Killed:
            deaths += 1
        else:
            break
        change(org, 100 + write)
        later(org)
        found = [*read(task.start().run(extract(folder))), *read(runs.run())]
        assert {f"K-{write}", f"K-{100 + write}"} <= set(found), f"killed at write {write}"
    assert deaths >= 5, "the window, the plan, the job, a page, the watermark, the end"


def test_runs_at_once_overlap_and_leave_no_gap(org: LocalOrg, runs: Runs) -> None:
    change(org, 1)
    later(org)
    task, folder = runs.task()
    with pytest.raises(Killed):
        DyingTry(task, 3, after=True).run(extract(folder))
    change(org, 2)
    later(org)
    other = runs.run()
    assert read(other) == ["K-1", "K-2"]
    assert read(task.start().run(extract(folder))) == ["K-1"]
    assert runs.watermark == other["window"]["until"]


@settings(max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("change"), st.integers(0, 5)),
            st.tuples(st.just("time"), st.integers(0, 900)),
            st.tuples(st.just("run"), st.integers(0, 12)),
        ),
        max_size=12,
    )
)
def test_whatever_happens_the_lake_ends_as_the_org(
    steps: list[tuple[str, int]], org: LocalOrg, tmp_path_factory: pytest.TempPathFactory
) -> None:
    runs, lake = Runs(tmp_path_factory.mktemp("lake")), {}

    def publish(summary: dict[str, Any]) -> None:
        for uri in summary["files"]:
            with Path(uri).open(newline="", encoding="utf-8") as file:
                lake.update({row["External_Key__c"]: row["Name"] for row in csv.DictReader(file)})

    for count, (step, number) in enumerate([*steps, ("time", 900), ("run", 0)]):
        if step == "change":
            change(org, number, name=f"version {count}")
        elif step == "time":
            org.advance(number)
        else:
            task, folder = runs.task()
            try:
                publish(DyingTry(task, number or 10**6, after=bool(count % 2)).run(extract(folder)))
            except Killed:
                publish(task.start().run(extract(folder)))
    assert lake == {record["External_Key__c"]: record["Name"] for record in org.records("Account")}


# --- by data interval -------------------------------------------------------------------------------------------------


def test_a_data_interval_is_the_window_and_moves_no_watermark(org: LocalOrg, runs: Runs) -> None:
    begin = datetime.now(UTC) - MINUTE
    change(org, 1)
    later(org)
    change(org, 2)
    later(org)
    end = begin + 10 * MINUTE
    found = []
    for start, stop in ((begin, end), (end, end + 10 * MINUTE)):
        task, folder = runs.task(data_interval_start=start, data_interval_end=stop)
        found.append(read(task.start().run(extract(folder, Incremental(by="data_interval", lag=NO_LAG)))))
    assert found == [["K-1"], ["K-2"]]
    assert runs.assets == {}


def test_by_data_interval_the_lag_moves_the_window(org: LocalOrg, runs: Runs) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    task, folder = runs.task(data_interval_start=start, data_interval_end=start + 60 * MINUTE)
    summary = task.start().run(extract(folder, Incremental(by="data_interval", lag=10 * MINUTE)))
    assert summary["window"] == {"since": "2025-12-31T23:50:00.000Z", "until": "2026-01-01T00:50:00.000Z"}


@pytest.mark.parametrize(
    "run", [{}, {"data_interval_start": BEGINNING, "data_interval_end": BEGINNING}, {"data_interval_start": None}]
)
def test_a_run_without_data_interval_is_told(run: dict[str, Any], org: LocalOrg, runs: Runs) -> None:
    task, folder = runs.task(**run)
    with pytest.raises(SourceError, match="no data interval"):
        task.start().run(extract(folder, Incremental(by="data_interval")))
    assert org.jobs == []


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"soql": "SELECT Id FROM Account"}, "check SystemModstamp >= :since"),
        ({"soql": SOQL.replace(">=", ">")}, "check SystemModstamp >= :since"),
        ({"soql": SOQL.replace("< ", "<= ")}, "check SystemModstamp < :until"),
        ({"soql": SOQL.replace("SystemModstamp", "LastModifiedDate")}, "check SystemModstamp >= :since"),
        ({"soql": SOQL.replace("SystemModstamp", "Owner.SystemModstamp")}, "check SystemModstamp >= :since"),
        ({"soql": SOQL.replace("WHERE ", "WHERE NOT ")}, "check SystemModstamp >= :since"),
        ({"soql": SOQL.replace("WHERE ", "WHERE NOT (") + ")"}, "check SystemModstamp >= :since"),
        ({"soql": SOQL.replace(":since", ":Since")}, "check SystemModstamp >= :since"),
        ({"soql": f"{SOQL} AND CreatedDate > :since"}, "check SystemModstamp >= :since"),
        ({"soql": f"{SOQL} LIMIT 1"}, "LIMIT"),
        ({"soql": SOQL.replace("AND", "OR")}, "put it into parentheses"),
        ({"soql": SOQL.replace("WHERE ", "WHERE Name = 'x' OR ")}, "put it into parentheses"),
        (
            {"soql": f"SELECT Id FROM Account WHERE Id IN ({SOQL.replace('Id, Name, External_Key__c', 'Id')})"},
            "check SystemModstamp >= :since",
        ),
        (
            {"soql": "SELECT Id FROM Account WHERE Name = 'SystemModstamp >= :since' AND CreatedDate > :since"},
            "check SystemModstamp >= :since",
        ),
        ({"output_path": None, "do_xcom_push": False}, "would be lost"),
        ({"soql_params": {"since": BEGINNING}}, "bound by incremental"),
        ({"wait_for_completion": False}, "needs soql or sobject, and wait_for_completion=True"),
        ({"soql": None, "job_id": "750000000000001AAA"}, "needs soql or sobject, and wait_for_completion=True"),
    ],
)
def test_a_query_that_reads_no_window_is_told(
    arguments: dict[str, Any], message: str, org: LocalOrg, runs: Runs
) -> None:
    with pytest.raises(SourceError, match=message):
        runs.run(**arguments)
    assert org.calls == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs an asset"),
        ({"by": "weekday", "asset": ACCOUNTS}, "watermark, data_interval"),
        ({"field": "a b", "asset": ACCOUNTS}, "API name"),
        ({"lag": timedelta(-1), "asset": ACCOUNTS}, "lag must be a number of seconds from 0"),
        ({"asset": "accounts"}, "asset is an Asset, not a str"),
        ({"asset": AssetAlias("accounts")}, "asset is an Asset, not a AssetAlias"),
        ({"initial": "yesterday", "asset": ACCOUNTS}, "initial must be a point in time with a timezone"),
        ({"initial": datetime(2026, 1, 1), "asset": ACCOUNTS}, "initial must be a point in time"),  # noqa: DTZ001
    ],
)
def test_a_wrong_incremental_is_told_where_it_is_made(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        Incremental(**arguments)


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Id, External_Key__c FROM Account a WHERE a.SystemModstamp >= :since AND a.SystemModstamp < :until",
        "SELECT Id, External_Key__c FROM Account WHERE Account.SystemModstamp>=: since AND SYSTEMMODSTAMP < :until",
        f"{SOQL} AND (Name = 'new' OR Name = 'LIMIT') AND Name NOT IN ('old') AND (NOT Name LIKE 'x') ORDER BY Name",
    ],
)
def test_a_window_may_be_written_in_other_ways(soql: str, org: LocalOrg, runs: Runs) -> None:
    change(org, 1)
    later(org)
    assert read(runs.run(soql=soql)) == ["K-1"]


def test_a_begin_in_the_future_is_told_and_keeps_nothing(org: LocalOrg, runs: Runs) -> None:
    change(org, 1)
    later(org)
    with pytest.raises(SourceError, match="begin in the future"):
        runs.run(incremental=Incremental(asset=ACCOUNTS, initial="2062-01-01T00:00:00Z"))
    assert runs.watermark is None
    assert read(runs.run()) == ["K-1"]


def test_tasks_with_dots_in_their_names_have_a_watermark_each() -> None:
    def key(dag_id: str, task_id: str) -> str:
        return watermark_key({"ti": SimpleNamespace(dag_id=dag_id, task_id=task_id, map_index=-1)})  # type: ignore[arg-type]

    assert key("crm", "eu.extract") != key("crm.eu", "extract")
    assert len(key("d" * 250, "t" * 250)) <= KEY_CHARACTERS
    assert key("d" * 250, "t" * 250) != key("d" * 250, "u" * 250)


def test_a_mapped_task_has_no_watermark(org: LocalOrg, runs: Runs) -> None:
    task, folder = runs.task()
    attempt = task.start()
    attempt.map_index = 0
    with pytest.raises(SourceError, match="mapped task"):
        attempt.run(extract(folder))


def test_the_asset_is_an_outlet_once() -> None:
    assert extract(Path()).outlets == [ACCOUNTS]
    assert extract(Path(), outlets=[ACCOUNTS]).outlets == [ACCOUNTS]
    assert extract(Path(), inlets=[ACCOUNTS]).outlets == []
    alias = AssetAlias("accounts")
    assert extract(Path(), outlets=[alias]).outlets == [alias, ACCOUNTS]


def test_a_watermark_that_is_none_is_told(org: LocalOrg, runs: Runs) -> None:
    runs.assets[KEY] = {"oops": 1}
    with pytest.raises(LedgerError, match="Set it anew"):
        runs.run()
    runs.assets[KEY] = "2026-01-01T00:00:00+01:00"
    assert runs.run()["window"]["since"] == "2025-12-31T23:00:00.000Z"


def test_a_watermark_that_cannot_be_moved_is_moved_by_the_retry(
    org: LocalOrg, runs: Runs, mocker: MockerFixture
) -> None:
    change(org, 1)
    later(org)
    task, folder = runs.task()
    attempt = task.start()

    def away(*_: Any) -> None:
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500}))

    mocker.patch.object(attempt, "set_of_asset", away)
    with pytest.raises(LedgerError, match="is published, but the watermark"):
        attempt.run(extract(folder))
    assert runs.watermark is None
    later(org)
    summary = task.start().run(extract(folder))
    assert runs.watermark == summary["window"]["until"]
    assert json.loads(Path(summary["manifest"]).read_text())["records"] == 1


# --- by the events that started the run -------------------------------------------------------------------------------


def started_by(*payloads: Any, asset: Asset = ACCOUNTS) -> dict[str, Any]:
    """Give what Airflow tells a run of its events."""
    return {"triggering_asset_events": {asset: [SimpleNamespace(extra={"payload": each}) for each in payloads]}}


def window(since: str, until: str, **other: Any) -> dict[str, Any]:
    known = {"sobject": "Account", "field": "SystemModstamp", "include_deleted": False}
    return {**known, "since": f"2026-01-{since}T00:00:00.000Z", "until": f"2026-01-{until}T00:00:00.000Z", **other}


BY_EVENT = Incremental(asset=ACCOUNTS, by="asset_event")


def read_of(run: dict[str, Any], folder: Path, org: LocalOrg) -> dict[str, str]:
    del org
    window: dict[str, str] = FakeTask(run=run).start().run(extract(folder, BY_EVENT))["window"]
    return window


def test_a_run_reads_from_its_first_event_s_begin_to_its_last_one_s_end(tmp_path: Path, org: LocalOrg) -> None:
    of_others = [window("01", "31", sobject="Lead"), window("01", "31", field="CreatedDate"), None, "text", {}]
    run = started_by(window("04", "05"), *of_others, window("03", "04", sobject="account"))
    assert read_of(run, tmp_path / "out", org) == {
        "since": "2026-01-03T00:00:00.000Z",
        "until": "2026-01-05T00:00:00.000Z",
    }


@pytest.mark.parametrize(
    "soql",
    [
        SOQL.replace("Account", ":object"),
        "SELECT Id, External_Key__c FROM :object a WHERE a.SystemModstamp >= :since AND a.SystemModstamp < :until",
    ],
)
def test_the_object_of_the_events_may_be_a_value_of_the_query(soql: str, tmp_path: Path, org: LocalOrg) -> None:
    bound = {"soql": soql, "soql_params": {"object": Identifier("Account")}}
    summary = FakeTask(run=started_by(window("03", "04"))).start().run(extract(tmp_path / "out", BY_EVENT, **bound))
    assert summary["window"]["until"].startswith("2026-01-04")


def test_a_retry_reads_the_same_events_window_and_the_asset_is_no_outlet(tmp_path: Path, org: LocalOrg) -> None:
    task = FakeTask(run=started_by(window("03", "04")))
    first = task.start().run(extract(tmp_path / "out", BY_EVENT))["window"]
    assert task.start(cleared=True).run(extract(tmp_path / "out", BY_EVENT))["window"] == first
    assert extract(tmp_path / "out", BY_EVENT).outlets == []
    assert task.assets == {}


@pytest.mark.parametrize(
    ("incremental", "run"),
    [
        (
            Incremental(by="data_interval", lag=NO_LAG),
            {"data_interval_start": BEGINNING, "data_interval_end": datetime(2026, 1, 4, tzinfo=UTC)},
        ),
        (BY_EVENT, started_by(window("03", "04"))),
    ],
)
def test_a_window_is_not_read_before_it_has_ended(
    incremental: Incremental, run: dict[str, Any], org: LocalOrg, runs: Runs
) -> None:
    org.freeze("2026-01-03T23:58:00Z")
    task, folder = runs.task(**run)
    with pytest.raises(
        TransientError, match=r"ends at 2026-01-04T00:00:00\.000Z, which is 0:02:00 ahead of the org's clock"
    ):
        task.start().run(extract(folder, incremental))
    assert not any("/jobs/query" in call.path for call in org.calls)
    change(org, 1)
    org.freeze("2026-01-03T23:59:30Z")  # the task waits for the rest
    assert read(task.start().run(extract(folder, incremental))) == ["K-1"]


def test_a_run_that_no_event_started_is_refused_and_one_of_another_asset_s_skips(tmp_path: Path, org: LocalOrg) -> None:
    with pytest.raises(SourceError, match="was not started by an event"):
        read_of({"triggering_asset_events": {}}, tmp_path / "out", org)
    other = started_by(window("03", "04"), asset=Asset("others"))
    for run in (other, started_by(window("03", "04", sobject="Lead"))):
        with pytest.raises(AirflowSkipException, match="none of the events"):
            read_of(run, tmp_path / "out", org)
    assert not any("/jobs/query" in call.path for call in org.calls)


@pytest.mark.parametrize(
    "wrong",
    [
        window("05", "03"),
        window("03", "03"),
        {**window("03", "04"), "since": "2026-01-03T00:00:00"},
        {**window("03", "04"), "until": 7},
        {**window("03", "04"), "until": "2026-01-04T00:00:00Z OR Id != null"},
    ],
)
def test_an_event_that_was_made_by_hand_needs_a_window(wrong: Any, tmp_path: Path, org: LocalOrg) -> None:
    with pytest.raises(SourceError, match="has no since and, after it, an until"):
        read_of(started_by(window("01", "02"), wrong), tmp_path / "out", org)


def test_an_event_without_extra_is_none_of_ours(tmp_path: Path, org: LocalOrg) -> None:
    run = started_by(window("03", "04"))
    run["triggering_asset_events"][ACCOUNTS].append(SimpleNamespace(extra=None))
    assert read_of(run, tmp_path / "out", org)["until"].startswith("2026-01-04")


def test_by_asset_event_needs_its_asset_and_nothing_that_the_trigger_says() -> None:
    with pytest.raises(SourceError, match="needs the asset"):
        Incremental(by="asset_event")
    for wrong in ({"lag": 5}, {"initial": "2026-01-01T00:00:00Z"}):
        with pytest.raises(SourceError, match="argument of the trigger"):
            Incremental(asset=ACCOUNTS, by="asset_event", **wrong)  # type: ignore[arg-type]


def test_the_window_of_the_events_can_be_written_in_a_template() -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "changes.md"
    (code,) = (block.split("```")[0] for block in page.read_text().split("```python\n") if "WINDOWS" in block)
    names: dict[str, Any] = {}
    exec(code, names)
    (extract,) = names["dag"].tasks
    context = started_by(window("04", "05"), window("03", "04"), asset=names["leads"])
    extract.render_template_fields({**context, "run_id": "run"})
    assert extract.soql.endswith(
        "WHERE SystemModstamp >= 2026-01-03T00:00:00.000Z AND SystemModstamp < 2026-01-05T00:00:00.000Z"
    )
