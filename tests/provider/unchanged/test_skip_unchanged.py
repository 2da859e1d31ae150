"""``skip_unchanged`` as its user meets it: real HTTP to a local org, which counts what was sent to it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import TaskDeferred
from pytest_mock import MockerFixture
from starlette.responses import JSONResponse, Response

from airflow_provider_sfbulk import BulkIngestOperator
from airflow_provider_sfbulk.client.errors import (
    EmptyInputError,
    JobFailedError,
    JobTimeoutError,
    RequestRefusedError,
    SourceError,
    StoppedError,
    TransientError,
)
from airflow_provider_sfbulk.client.models import Operation
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.bulk2.jobs import State
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.load import comparison
from airflow_provider_sfbulk.task.progress import PROGRESS_XCOM_KEY
from tests.provider.conftest import FakeTask, Try
from tests.provider.operators.test_on_kill import KillAt

KEY: Final = "External_Key__c"
SECRET: Final = "Confidential Umbrella Co"
ROWS: Final = [{KEY: f"K-{n}", "Name": f"Account {n}", "NumberOfEmployees": str(n)} for n in range(6)]


class Answering(Fault):
    """Answer a call."""

    def __init__(self, status: int, body: Any) -> None:
        self._status, self._body = status, body

    async def before(self, exchange: Exchange) -> Response | None:
        return JSONResponse(self._body, self._status)


class Aborting(Fault):
    """Abort a job when it is looked at, so many of them; then let jobs end."""

    def __init__(self, org: LocalOrg, times: int) -> None:
        self._org, self._left = org, times

    async def before(self, exchange: Exchange) -> Response | None:
        entry = self._org.core.jobs.get(self._org.jobs[-1].id)
        assert entry is not None
        if self._left and not entry.job.state.is_final:
            self._left -= 1
            self._org.core.jobs.set_state(entry, State.ABORTED)
            entry.settle()
        if not self._left:
            self._org.core.job_seconds = 0
        return None


def load(**given: Any) -> BulkIngestOperator:
    usual: dict[str, Any] = {
        "task_id": "load",
        "sobject": "Account",
        "operation": "upsert",
        "source": [dict(row) for row in ROWS],
        "skip_unchanged": True,
        "deferrable": False,
    }
    if given.get("operation", "upsert") == "upsert":
        usual["external_id_field"] = KEY
    return BulkIngestOperator(**{**usual, **given})


def with_changes(**by_key: str) -> list[dict[str, str]]:
    """The rows, some with another name: ``K_2="other"``."""
    return [{**row, "Name": by_key.get(row[KEY].replace("-", "_"), row["Name"])} for row in ROWS]


@pytest.fixture
def loaded(org: LocalOrg) -> LocalOrg:
    """An org that has the rows."""
    FakeTask().start().run(load(skip_unchanged=False))
    org.calls.clear()
    return org


def sent(org: LocalOrg, operation: str = "upsert") -> list[list[dict[str, str]]]:
    """Give the rows of each job but the first, which filled the org."""
    jobs = [job for job in org.jobs if job.operation == operation and str(job.state) == "JobComplete"]
    texts = [org.core.jobs.upload_path(job).read_text(encoding="utf-8") for job in jobs]
    return [list(csv.DictReader(text.splitlines())) for text in texts][operation == "upsert" :]


def test_only_what_differs_is_sent_and_the_summary_counts_the_rest(loaded: LocalOrg, tmp_path: Path) -> None:
    attempt = FakeTask().start()
    changed = with_changes(K_2="other", K_4="another")
    outlet = Asset("accounts", "salesforce://org/Account")
    result = attempt.run(
        load(source=[*changed, {KEY: "new", "Name": "New"}], results_path=str(tmp_path / "results"), outlets=[outlet])
    )
    counts = {name: result[name] for name in ("processed", "successful", "failed", "unprocessed", "unchanged")}
    assert counts == {"processed": 3, "successful": 3, "failed": 0, "unprocessed": 0, "unchanged": 4}
    assert [[row[KEY] for row in job] for job in sent(loaded)] == [["K-2", "K-4", "new"]]
    assert {row[KEY]: row["Name"] for row in loaded.records("Account")}["K-4"] == "another"
    with (tmp_path / "results" / "successful.csv").open(newline="") as file:
        assert {row[KEY]: row["sf__Row"] for row in csv.DictReader(file)} == {"K-2": "3", "K-4": "5", "new": "7"}
    assert json.loads((tmp_path / "results" / "_manifest.json").read_text())["unchanged"] == 4
    assert attempt.outlet_events[outlet].extra["unchanged"] == 4
    shown = attempt.xcoms[PROGRESS_XCOM_KEY]
    assert shown["counts"] == {"successful": 3, "failed": 0, "unprocessed": 0, "unchanged": 4}
    assert [job["id"] for job in shown["jobs"]] == result["job_ids"]
    assert result["api_calls"] == len([call for call in loaded.calls if "/oauth2/" not in call.path])


@pytest.mark.parametrize("waits", [True, False])
def test_a_run_that_finds_nothing_to_send_ends_well_without_a_job(
    loaded: LocalOrg, tmp_path: Path, waits: bool, mocker: MockerFixture
) -> None:
    more = {"results_path": str(tmp_path / "results")} if waits else {"wait_for_completion": False}
    attempt = FakeTask().start()
    said = mocker.spy(comparison.log, "info")
    result = attempt.run(load(**more))
    assert sent(loaded) == []
    assert any(
        "0 of 6 rows differ" in message % tuple(given) for message, *given in (each.args for each in said.mock_calls)
    )
    shown = attempt.xcoms[PROGRESS_XCOM_KEY]
    assert "jobs" not in shown
    if not waits:
        assert result == []
        return
    assert (result["job_ids"], result["processed"], result["unchanged"]) == ([], 0, 6)
    assert (shown["phase"], shown["counts"]["unchanged"]) == ("done", 6)
    manifest = json.loads((tmp_path / "results" / "_manifest.json").read_text())
    assert (manifest["jobs"], manifest["unchanged"]) == ([], 6)


def test_rows_whose_key_is_blank_or_comes_twice_or_is_not_in_the_org_are_sent(loaded: LocalOrg) -> None:
    again = [ROWS[1], ROWS[0], {KEY: "", "Name": "x"}, ROWS[2], {**ROWS[1], KEY: "k-1 "}, {KEY: "new", "Name": "New"}]
    result = FakeTask().start().run(load(source=again, blank_external_ids="send", max_failed_records=None))
    assert result["unchanged"] == 2
    assert [row[KEY] for job in sent(loaded) for row in job] == ["K-1", "", "k-1 ", "new"]


def test_a_key_that_two_records_have_is_sent(loaded: LocalOrg) -> None:
    loose = {"name": "Loose__c", "type": "string", "length": 40, "externalId": True}
    loaded.add_object(name="Thing__c", fields=[loose, {"name": "Name__c", "type": "string", "length": 40}])
    with loaded.core.store.writing() as connection:
        for number, key in enumerate(["a", "A", "b"]):
            row = (f"a00LO000000000{number}AAA", key, "x")
            connection.execute("INSERT INTO Thing__c (Id, Loose__c, Name__c) VALUES (?, ?, ?)", row)
    rows = [{"Loose__c": "a", "Name__c": "x"}, {"Loose__c": "b", "Name__c": "x"}]
    operator = load(sobject="Thing__c", source=rows, external_id_field="Loose__c", max_failed_records=None)
    assert FakeTask().start().run(operator)["unchanged"] == 1
    assert [row["Loose__c"] for job in sent(loaded) for row in job] == ["a"]


def test_an_empty_value_leaves_the_field_and_a_null_that_clears_it_differs(loaded: LocalOrg, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{KEY},NumberOfEmployees\nK-1,\nK-2,2\nK-3,#N/A\n")
    (tmp_path / "b.csv").write_text(f"Name,{KEY}\nAccount 4,K-4\nOther,K-5\nAccount 0,K-0\n")
    result = FakeTask().start().run(load(source=f"{tmp_path}/*.csv"))
    assert sorted([row[KEY] for row in job] for job in sent(loaded)) == [["K-3"], ["K-5"]]
    assert (result["unchanged"], len(result["job_ids"])) == (4, 2)
    result = FakeTask().start().run(load(source=str(tmp_path / "a.csv"), nulls="clear"))
    assert result["unchanged"] == 2, "K-3 is null by now, and K-1 is to be"


@pytest.mark.parametrize("length", [15, 18])
def test_an_update_is_compared_by_id(loaded: LocalOrg, length: int) -> None:
    found = sorted(loaded.records("Account"), key=lambda row: row[KEY])
    rows = [{"Id": row["Id"][:length], "Name": row["Name"]} for row in found]
    rows[3]["Name"] = "other"
    result = FakeTask().start().run(load(operation="update", source=rows))
    assert result["unchanged"] == 5
    assert [row["Id"] for job in sent(loaded, "update") for row in job] == [rows[3]["Id"]]


def test_a_field_of_a_parent_is_compared_and_no_parent_is_told_of_it(loaded: LocalOrg) -> None:
    def contacts(**parents: str | None) -> list[dict[str, Any]]:
        return [{"LastName": name, KEY: name, f"Account.{KEY}": key} for name, key in parents.items()]

    def run(rows: list[dict[str, Any]], **more: Any) -> int:
        operator = load(sobject="Contact", source=rows, columns=["LastName", KEY, f"Account.{KEY}"], **more)
        return int(FakeTask().start().run(operator)["unchanged"])

    assert run(contacts(a="K-1", b="K-2", c="K-3")) == 0
    assert run(contacts(a="K-1", b="K-3", c=None)) == 2
    assert run(contacts(a="K-1", b="K-3", c=None), nulls="clear") == 2, (
        "an empty key may be that of a parent without one"
    )


@pytest.mark.parametrize("api", ["2.0", "1.0"])
@pytest.mark.parametrize("deferrable", [False, True])
def test_it_goes_with_both_apis_deferred_and_not(loaded: LocalOrg, api: str, deferrable: bool, tmp_path: Path) -> None:
    loaded.core.job_seconds = 0.2
    rows = with_changes(K_1="other", K_5="another")
    arguments = {"api": api, "deferrable": deferrable, "source": rows, "poll_interval": 0.05, "part_records": 1}
    result = FakeTask().start().run(load(**arguments, results_path=str(tmp_path / "r")))
    assert (result["successful"], result["unchanged"]) == (2, 4)
    names = {row[KEY]: row["Name"] for row in loaded.records("Account")}
    assert names == {row[KEY]: row["Name"] for row in rows}
    with (tmp_path / "r" / "successful.csv").open(newline="") as file:
        assert {row[KEY]: row["sf__Row"] for row in csv.DictReader(file)} == {"K-1": "2", "K-5": "6"}


def test_the_wait_for_the_query_is_deferred_and_goes_on_with_the_same_query(loaded: LocalOrg) -> None:
    loaded.core.job_seconds = 60
    attempt = FakeTask().start()
    operator = load(source=with_changes(K_1="other"), deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        attempt.run_once(operator)
    assert deferred.value.method_name == "execute_after_comparison"
    loaded.core.job_seconds = 0
    loaded.advance(61)
    loaded.wait_until_idle()
    loaded.advance(3 * 60 * 60)  # however long it took
    assert attempt.resume(operator, deferred.value)["unchanged"] == 5
    assert [str(job.operation) for job in loaded.jobs].count("query") == 1


@pytest.mark.parametrize(("outcome", "error"), [("timeout", JobTimeoutError), ("error", TransientError)])
def test_a_wait_for_the_query_that_ends_otherwise_has_sent_nothing(
    loaded: LocalOrg, outcome: str, error: type[Exception]
) -> None:
    loaded.core.job_seconds = 60
    attempt = FakeTask().start()
    operator = load(source=with_changes(K_1="other"), deferrable=True)
    with pytest.raises(TaskDeferred):
        attempt.run_once(operator)
    event = {"outcome": outcome, "job_ids": [loaded.jobs[-1].id], "api_calls": 3}
    with pytest.raises(error, match="othing was sent"):
        operator.execute_after_comparison(attempt.context, event=event)
    assert sent(loaded) == []


def test_a_timeout_on_a_worker_has_sent_nothing(loaded: LocalOrg) -> None:
    loaded.core.job_seconds = 60
    with pytest.raises(JobTimeoutError):
        FakeTask().start().run(load(timeout=0.1))
    assert sent(loaded) == []


def test_a_persons_kill_aborts_the_query(loaded: LocalOrg, ended: Callable[..., None]) -> None:
    attempt: Try = FakeTask().start()
    ended(attempt)
    loaded.core.job_seconds = 60
    operator = load()
    loaded.core.faults.add("query.get", KillAt(operator.on_kill, 2))
    with pytest.raises(StoppedError):
        attempt.run(operator)
    assert [(str(job.operation), str(job.state)) for job in loaded.jobs][1:] == [("query", "Aborted")]


@pytest.mark.parametrize("times", [1, 2])
def test_a_query_that_somebody_aborts_is_asked_once_more(loaded: LocalOrg, times: int) -> None:
    loaded.core.job_seconds = 60
    loaded.core.faults.add("query.get", Aborting(loaded, times))
    operator = load(source=with_changes(K_1="other"))
    if times > 1:
        with pytest.raises(JobFailedError, match="is Aborted"):
            FakeTask().start().run(operator)
    else:
        assert FakeTask().start().run(operator)["unchanged"] == 5
    assert [str(job.operation) for job in loaded.jobs].count("query") == 2


def test_a_query_that_fails_fails_the_task_and_a_retry_asks_again(loaded: LocalOrg, task: FakeTask) -> None:
    loaded.fail_jobs(kind="query")
    with pytest.raises(JobFailedError, match="is Failed"):
        task.start().run(load(source=with_changes(K_1="other"), retries=2))
    assert sent(loaded) == []
    assert task.start().run(load(source=with_changes(K_1="other"), retries=2))["unchanged"] == 5


@pytest.mark.parametrize("operation", [each for each in Operation if each not in ("update", "upsert")])
def test_it_is_refused_for_other_operations(operation: Operation) -> None:
    with pytest.raises(SourceError, match="skip_unchanged is for operation='update' and 'upsert'"):
        load(operation=operation)


def test_it_is_refused_for_a_check() -> None:
    with pytest.raises(SourceError, match="validate_only=True sends nothing"):
        load(validate_only=True)


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ({"name": "Hidden__c", "type": "encryptedstring", "length": 40}, "Hidden__c is encrypted"),
        (
            {
                "name": "Who__c",
                "type": "reference",
                "referenceTo": ["Account", "Contact"],
                "relationshipName": "Who__r",
            },
            "goes over a relationship to several objects",
        ),
    ],
)
def test_a_column_that_cannot_be_read_is_refused_before_anything_is_sent(
    loaded: LocalOrg, field: dict[str, Any], why: str
) -> None:
    loaded.add_object(name="Thing__c", fields=[field])
    name = "Account:Who__r.External_Key__c" if field["type"] == "reference" else field["name"]
    loaded.calls.clear()
    with pytest.raises(SourceError, match=why):
        FakeTask().start().run(load(sobject="Thing__c", source=[{KEY: "a", name: "x"}]))
    assert [call.path.rpartition("/")[2] for call in loaded.calls if "/oauth2/" not in call.path] == ["describe"]


def test_few_keys_are_named_by_the_query_and_many_are_not(loaded: LocalOrg) -> None:
    FakeTask().start().run(load(source=[{KEY: "it's\\", "Name": "x"}, {KEY: "K-0", "Name": "x"}]))
    FakeTask().start().run(load(source=[*ROWS, *({KEY: f"{n:05}" * 4, "Name": "x"} for n in range(1200))]))
    few, many = (job.query for job in loaded.jobs if str(job.operation) == "query")
    assert few == f"SELECT {KEY}, Name FROM Account WHERE {KEY} IN ('K-0', 'it\\'s\\\\')"
    assert many == f"SELECT {KEY}, Name, NumberOfEmployees FROM Account WHERE {KEY} != null"


def test_no_value_is_in_a_message_or_the_log(loaded: LocalOrg, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = [{"errorCode": "MALFORMED_QUERY", "message": f"unexpected token: '{SECRET}'"}]
    loaded.core.faults.add("query.create", Answering(400, refusal))
    with pytest.raises(RequestRefusedError, match="skip_unchanged: Salesforce refuses to read") as refused:
        FakeTask().start().run(load(source=[{KEY: SECRET, "Name": SECRET}]))
    assert SECRET not in f"{refused.value!r} {refused.value.__cause__!r} {capsys.readouterr()}"


def test_an_empty_input_is_one_with_it_too(loaded: LocalOrg, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{KEY},Name\n")
    with pytest.raises(EmptyInputError):
        FakeTask().start().run(load(source=str(tmp_path / "a.csv")))
    result = FakeTask().start().run(load(source=str(tmp_path / "a.csv"), on_empty="success"))
    assert "unchanged" not in result
