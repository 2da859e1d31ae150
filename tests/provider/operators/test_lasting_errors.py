"""Which failures end a task at once, and which a retry may heal; and that no failure shows what was sent."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from starlette.responses import Response

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.replies.error_table import TABLE, is_lasting, kind_of, login_kind_of
from airflow_provider_sfbulk.client.soql import soql_literal
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.sensors.job import BulkJobSensor
from tests.provider.conftest import FakeTask

JOB_ID = "7508d000003QaLpAAK"


class Says(Fault):
    """Answers with one error, whatever is asked."""

    def __init__(self, status: int, code: str, message: str = "because") -> None:
        self._status, self._code, self._message = status, code, message

    async def before(self, exchange: Exchange) -> Response | None:
        body = [{"errorCode": self._code, "message": self._message}]
        return Response(json.dumps(body), self._status, media_type="application/json")


def query(**options: Any) -> BulkQueryOperator:
    return BulkQueryOperator(task_id="read", **{"soql": "SELECT Id FROM Account", **options})


def load(**options: Any) -> BulkIngestOperator:
    given = {"sobject": "Account", "operation": "insert", "source": [{"Name": "Zaphod-4711"}], **options}
    return BulkIngestOperator(task_id="load", **given)


LASTING: dict[str, tuple[Callable[[], Any], type[Exception], str | None, Fault | None]] = {
    "refused SOQL": (lambda: query(soql="SELECT Nope FROM Account"), errors.RequestRefusedError, None, None),
    "no SOQL": (lambda: query(soql="SELECT hello"), errors.RequestRefusedError, None, None),
    "no such object": (lambda: query(soql="SELECT Id FROM Nope__c"), errors.RequestRefusedError, None, None),
    "a row without a column": (lambda: load(source=[{"Nope__c": "1"}]), errors.SourceError, None, None),
    "no object to load into": (lambda: load(sobject="Nope__c"), errors.SfBulkError, None, None),
    "no permission": (query, errors.RequestRefusedError, "query.create", Says(403, "INSUFFICIENT_ACCESS")),
    "no API": (query, errors.LoginError, "query.create", Says(403, "API_DISABLED_FOR_ORG")),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_lasting_refusal_ends_the_task_without_retries(name: str, org: LocalOrg, task: FakeTask) -> None:
    make, kind, route, fault = LASTING[name]
    if route is not None and fault is not None:
        org.core.faults.add(route, fault)
    with pytest.raises(kind) as caught:
        task.start().run(make())
    assert isinstance(caught.value, AirflowFailException)
    assert type(caught.value).__name__ in dir(errors)
    assert type(pickle.loads(pickle.dumps(caught.value))) is getattr(errors, type(caught.value).__name__)


def test_a_refused_login_ends_the_task_and_the_sensor(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    given = json.loads(org.connection)
    given["extra"] = json.dumps({**given["extra"], "client_secret": "wrong-secret"}) if isinstance(
        given["extra"], dict
    ) else json.dumps({**json.loads(given["extra"]), "client_secret": "wrong-secret"})  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT", json.dumps(given))
    for operator in (query(), load(), BulkJobSensor(task_id="wait", job_id=JOB_ID, mode="poke")):
        with pytest.raises(errors.LoginError) as caught:
            FakeTask().start().run(operator)
        assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("code", ["SERVER_UNAVAILABLE", "API_CURRENTLY_DISABLED", "REQUEST_LIMIT_EXCEEDED"])
def test_what_passes_is_left_to_a_retry(
    code: str, org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_sfbulk.client.protocol.retry.FIRST_DELAY_SECONDS", 0.001)
    org.core.faults.add("query.create", Says(503, code))
    with pytest.raises(errors.TransientError) as caught:
        task.start().run(query())
    assert not isinstance(caught.value, AirflowFailException)
    org.core.faults.clear()
    assert task.start().run(query()) == []


def test_a_file_that_is_not_there_yet_is_left_to_a_retry(org: LocalOrg, task: FakeTask, tmp_path: Any) -> None:
    path = tmp_path / "late.csv"
    with pytest.raises(errors.MissingSourceError) as caught:
        task.start().run(load(source=str(path)))
    assert not isinstance(caught.value, AirflowFailException)
    path.write_text("Name\nAcme\n")
    assert task.start().run(load(source=str(path)))["successful"] == 1


def test_a_load_that_was_refused_half_way_goes_on_once_the_cause_is_gone(org: LocalOrg, task: FakeTask) -> None:
    def sent() -> BulkIngestOperator:
        return load(source=[{"Name": f"N{n}"} for n in range(4)], part_records=2, max_concurrent_jobs=1)

    org.core.faults.add("ingest.change", Says(403, "INSUFFICIENT_ACCESS"))
    with pytest.raises(errors.RequestRefusedError) as caught:
        task.start().run(sent())
    assert isinstance(caught.value, AirflowFailException)
    org.core.faults.clear()
    summary = task.start(cleared=True).run(sent())
    assert summary["successful"] == 4
    assert sorted(row["Name"] for row in org.records("Account")) == ["N0", "N1", "N2", "N3"]


def test_one_table_reads_a_code_alike_wherever_it_comes_from() -> None:
    for row in TABLE:
        if row.kind is None or row.flow:
            continue
        rest = kind_of(400, [(row.code, row.words)])
        for flow in ("soap_login", "password", "jwt_bearer"):
            login = login_kind_of(500 if flow == "soap_login" else 400, row.code, row.words, flow)
            assert issubclass(rest, errors.TransientError) == issubclass(login, errors.TransientError), row
            if issubclass(rest, errors.TransientError):
                assert rest is login


def test_only_what_a_person_has_to_change_is_lasting() -> None:
    assert not is_lasting(errors.NotFoundError("gone", job_id=JOB_ID))
    assert not is_lasting(errors.RequestRefusedError("", error_code="INVALIDJOBSTATE", job_id=JOB_ID))
    assert not is_lasting(errors.StorageError("disk full"))
    assert not is_lasting(errors.ProtocolError(""))
    assert not is_lasting(errors.FailedRecordsError(""))
    assert not is_lasting(errors.FencedError(""))
    assert is_lasting(errors.InputChangedError(""))


SECRETS = ["Zaphod Beeblebrox", "123-45-6789", "s3cr3t'quote"]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_refused_query_shows_no_bound_value(secret: str, org: LocalOrg, task: FakeTask, caplog: Any) -> None:
    soql = f"SELECT Id FROM Account WHERE Name = {soql_literal(secret)} LIMIT 5"
    said = f"\n{soql[20:42]}\n  ^\nERROR at Row:1:Column:30\n{soql[36:-8]}\nNo such column: {secret}"
    org.core.faults.add("query.create", Says(400, "INVALID_FIELD", said))
    attempt = task.start()
    with pytest.raises(errors.RequestRefusedError) as caught:
        attempt.run(query(soql="SELECT Id FROM Account WHERE Name = :n LIMIT 5", soql_params={"n": secret}))
    shown = str(caught.value) + caplog.text + json.dumps(attempt.xcoms)
    for piece in (secret, secret[:8], secret[-8:]):
        assert piece not in shown
    assert "INVALID_FIELD" in str(caught.value)


def test_a_refused_upload_shows_no_word_of_its_rows(org: LocalOrg, task: FakeTask, caplog: Any) -> None:
    org.core.faults.add(
        "ingest.upload", Says(400, "INVALIDJOB", "cannot parse 'Zaphod Beeblebrox',hush-hush of Name,Description")
    )
    attempt = task.start()
    with pytest.raises(errors.SfBulkError) as caught:
        attempt.run(load(source=[{"Name": "Zaphod Beeblebrox", "Description": "hush-hush"}]))
    shown = str(caught.value) + caplog.text + json.dumps(attempt.xcoms)
    assert not [word for word in ("Zaphod", "Beeblebrox", "hush") if word in shown]
    assert "Description" in str(caught.value)


class Aborted(Fault):
    """Says that somebody has aborted the job."""

    async def after(self, exchange: Exchange, response: Response) -> Response:
        body = {**json.loads(bytes(response.body)), "state": "Aborted"}
        return Response(json.dumps(body), media_type="application/json")


def test_the_hooks_calls_raise_for_a_job_that_failed_as_a_whole(org: LocalOrg, monkeypatch: Any) -> None:
    hook = SalesforceBulkHook()
    result = hook.insert("Account", [{"Name": "A"}])
    assert result.successful_count == 1
    org.core.faults.add("ingest.get", Aborted())
    with pytest.raises(errors.JobFailedError, match="Aborted") as caught:
        hook.insert("Account", [{"Name": "B"}])
    assert [str(job.state) for job in caught.value.jobs] == ["Aborted"]
    result = hook.insert("Account", [{"Name": "B"}], fail_on_failed_jobs=False)
    assert [str(job.state) for job in result.jobs] == ["Aborted"]
