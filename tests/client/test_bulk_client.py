"""The public client against the local org, over HTTP."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import pytest

from airflow_provider_sfbulk.client import BulkClient, errors
from airflow_provider_sfbulk.client.faces.job_calls import timeout_seconds
from airflow_provider_sfbulk.client.faces.query_result import BulkQueryResult
from airflow_provider_sfbulk.client.http.aio import AsyncDriver
from airflow_provider_sfbulk.client.models import JobState
from airflow_provider_sfbulk.client.protocol.org import versions
from airflow_provider_sfbulk.client.settings import Settings
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Fault

QUICK = Schedule(first=0.02, growth=0.1, longest=0.2)


@pytest.fixture(scope="module")
def shared_org():
    with LocalOrg() as org:
        yield org


@pytest.fixture
def org(shared_org):
    shared_org.core.page_records = 100_000
    shared_org.calls.clear()
    return shared_org


def settings(org, flow="client_credentials") -> dict:
    given = {
        "jwt_bearer": {"private_key": org.private_key},
        "client_credentials": {"client_secret": org.client_secret},
        "refresh_token": {"refresh_token": org.refresh_token, "client_secret": org.client_secret},
        "password": {
            "password": org.password,
            "security_token": org.security_token,
            "client_secret": org.client_secret,
        },
    }
    return {"host": org.url, "login": org.username, "client_id": org.client_id, "auth_flow": flow, **given[flow]}


@pytest.fixture
def client(org):
    with BulkClient(**settings(org)) as made:
        yield made


def load(client, rows: int, prefix: str, **options) -> str:
    data = "Name,External_Key__c\n" + "".join(f"N {n},{prefix}-{n}\n" for n in range(rows))
    job = client.ingest.create_job("Account", "upsert", external_id_field="External_Key__c", **options)
    assert job.state is JobState.OPEN
    client.ingest.upload(job.id, data.encode())
    assert client.ingest.close(job.id).state is not JobState.OPEN
    return job.id


@pytest.mark.parametrize("flow", ["jwt_bearer", "client_credentials", "refresh_token", "password"])
@pytest.mark.parity("A5.1")
def test_every_login_is_let_in(org, flow):
    with BulkClient(**settings(org, flow)) as client:
        assert client.user_info()["preferred_username"] == org.username
        assert client.limits()["DailyApiRequests"].max == 15000


def test_a_ready_made_token_is_let_in_until_it_ends(org, client):
    client.limits()
    token = client.driver._session.token_for(None, 0)
    with BulkClient(access_token=token.access_token, instance_url=token.instance_url) as ready:
        assert ready.describe("Account")["name"] == "Account"
        org.expire_tokens()
        with pytest.raises(errors.LoginError, match="put a new access_token"):
            ready.limits()


@pytest.mark.parametrize(
    ("flow", "wrong"),
    [
        ("client_credentials", {"client_secret": "wrong-secret"}),
        ("client_credentials", {"client_id": "wrong-id"}),
        ("password", {"password": "wrong-password"}),
        ("refresh_token", {"refresh_token": "wrong-token"}),
        ("jwt_bearer", {"login": "nobody@acme.example"}),
        ("jwt_bearer", {"audience": "https://elsewhere.example"}),
    ],
)
def test_a_wrong_login_is_refused_once_and_shows_no_secret(org, flow, wrong):
    given = {**settings(org, flow), **wrong}
    with BulkClient(**given) as client, pytest.raises(errors.LoginError) as caught:
        client.limits()
    assert [call.status for call in org.calls] == [400]
    shown = str(caught.value) + repr(caught.value) + repr(vars(caught.value))
    assert not any(mask in shown for mask in Settings.from_mapping(given).secrets())


@pytest.mark.parity("A2.2", "I5.2")
def test_records_are_loaded_and_every_result_is_read(client, org):
    job_id = load(client, 250, "A")
    job = client.ingest.wait(job_id, schedule=QUICK)
    assert (job.state, job.processed, job.failed) == (JobState.JOB_COMPLETE, 250, 0)
    rows = list(client.ingest.successful_results(job_id))
    assert len(rows) == 250
    assert set(rows[0]) == {"sf__Id", "sf__Created", "Name", "External_Key__c"}
    assert list(client.ingest.failed_results(job_id)) == []
    assert list(client.ingest.unprocessed_records(job_id)) == []
    assert {"A-0", "A-249"} <= {record["External_Key__c"] for record in org.records("Account")}


@pytest.mark.parity("K1.4", "K4.3", "K4.6", "A2.3")
def test_records_that_fail_come_with_their_reason(client):
    job = client.ingest.create_job("Contact", "insert", column_delimiter="PIPE", line_ending="CRLF")
    client.ingest.upload(job.id, b"FirstName|LastName\r\nNgozi|Okafor\r\nPat|\r\n")
    client.ingest.close(job.id)
    assert client.ingest.wait(job.id, schedule=QUICK).failed == 1
    (failed,) = client.ingest.failed_results(job.id)
    assert failed["sf__Error"].startswith("REQUIRED_FIELD_MISSING:")
    assert failed["FirstName"] == "Pat"
    assert [row["LastName"] for row in client.ingest.successful_results(job.id)] == ["Okafor"]


@pytest.mark.parity("A4.6")
def test_a_file_is_uploaded_by_its_path(client, tmp_path):
    (tmp_path / "a.csv").write_text("Name\nFrom a file\n")
    job = client.ingest.create_job("Account", "insert")
    client.ingest.upload(job.id, tmp_path / "a.csv")
    client.ingest.close(job.id)
    assert client.ingest.wait(job.id, schedule=QUICK).successful == 1
    with pytest.raises(errors.SourceError, match="No such file"):
        client.ingest.upload(job.id, tmp_path / "none.csv")


@pytest.mark.parity("B1.3")
def test_a_job_with_its_data_is_one_call(client):
    client.limits()
    before = client.api_calls
    job = client.ingest.create_job_with_data("Account", "insert", b"Name\nIn one\n")
    assert (client.api_calls, job.state) == (before + 1, JobState.UPLOAD_COMPLETE)
    assert client.ingest.wait(job.id, schedule=QUICK).successful == 1


def test_two_uploads_spoil_a_job(client):
    job = client.ingest.create_job("Account", "insert")
    client.ingest.upload(job.id, b"Name\nx\n")
    client.ingest.upload(job.id, b"Name\nx\n")
    with pytest.raises(errors.RequestRefusedError, match="INVALIDJOB"):
        client.ingest.close(job.id)
    assert client.ingest.abort(job.id).state is JobState.ABORTED


@pytest.mark.parity("K10.1", "A4.2", "A4.3", "A4.4", "A4.5", "I3.5", "I3.6", "I3.7", "B1.2")
def test_jobs_are_listed_aborted_and_deleted(client):
    job = client.ingest.create_job("Account", "insert")
    query = client.query.create_job("SELECT Id FROM Account")
    assert job.id in {each.id for each in client.ingest.list_jobs()}
    assert job.id not in {each.id for each in client.ingest.list_jobs(job_type="BigObjectIngest")}
    assert query.id in {each.id for each in client.query.list_jobs()} - {each.id for each in client.ingest.list_jobs()}
    assert job.id in {each.id for each in client.ingest.list_jobs(concurrency_mode="Parallel")}
    assert job.id not in {each.id for each in client.ingest.list_jobs(concurrency_mode="Serial")}
    assert job.id not in {each.id for each in client.ingest.list_jobs(is_pk_chunking_enabled=True)}
    with pytest.raises(errors.SourceError, match="Parallel, Serial"):
        next(client.ingest.list_jobs(concurrency_mode="Sequential"))
    assert (client.ingest.get_job(job.id).id, client.ingest.get_job(job.id).state) == (job.id, JobState.OPEN)
    assert client.ingest.abort(job.id).state is JobState.ABORTED
    assert client.ingest.abort(job.id).state is JobState.ABORTED
    client.ingest.delete(job.id)
    with pytest.raises(errors.NotFoundError):
        client.ingest.get_job(job.id)


@pytest.mark.parity("K5.1", "K5.2", "K5.3", "A4.9")
def test_a_query_is_performed_and_streamed(client, org):
    client.ingest.wait(load(client, 250, "Q"), schedule=QUICK)
    org.core.page_records = 60
    seen = []
    result = client.query.perform(
        "SELECT Id, External_Key__c FROM Account WHERE External_Key__c LIKE 'Q-%'",
        on_progress=seen.append,
        schedule=QUICK,
    )
    assert isinstance(result, BulkQueryResult)
    assert len(result) == result.record_count == 250
    assert {row["External_Key__c"] for row in result} == {f"Q-{n}" for n in range(250)}
    assert len(list(result.records)) == 250  # and again
    assert seen[-1].state is JobState.JOB_COMPLETE


def test_a_number_with_more_decimals_than_described_is_streamed_as_a_float(client, org):
    org.add_object(name="Gauge__c", fields=[{"name": "Level__c", "type": "double", "precision": 6, "scale": 2}])
    job = client.ingest.create_job("Gauge__c", "insert")
    client.ingest.upload(job.id, b"Level__c\n" + b"1.25\n" * 7)
    client.ingest.close(job.id)
    client.ingest.wait(job.id, schedule=QUICK)
    with org.core.store.writing() as connection:  # an API may write them, see ``results/schema.py``
        connection.execute("UPDATE Gauge__c SET Level__c = 0.123456789 WHERE rowid = (SELECT max(rowid) FROM Gauge__c)")
    done = client.query.perform("SELECT Level__c FROM Gauge__c ORDER BY Level__c DESC", schedule=QUICK)
    result = BulkQueryResult(client, done.job, page_records=3)
    levels = [row["Level__c"] for row in result]
    assert levels == [Decimal("1.25")] * 6 + [0.123456789]
    assert [type(each) for each in levels] == [Decimal] * 6 + [float]
    assert result.to_df()["Level__c"].tolist() == [1.25] * 6 + [0.123456789]


@pytest.mark.parametrize("dialect", [{}, {"column_delimiter": "TAB", "line_ending": "CRLF"}])
@pytest.mark.parity("K5.4", "B1.1")
def test_pages_are_read_in_order_and_by_their_locators(client, org, dialect):
    client.ingest.wait(load(client, 50, "P"), schedule=QUICK)
    org.core.page_records = 20
    job = client.query.create_job("SELECT Name FROM Account WHERE External_Key__c LIKE 'P-%'", **dialect)
    client.query.wait(job.id, schedule=QUICK)
    everything = list(client.query.results(job.id))
    assert len(everything) == 50
    assert list(client.query.results(job.id, max_records=7)) == everything
    locators = client.query.result_pages(job.id)
    assert len(locators) == 3
    assert [row for each in locators for row in client.query.results(job.id, locator=each)] == everything


def test_deleted_records_are_found_when_asked_for(client, org):
    client.ingest.wait(load(client, 1, "D"), schedule=QUICK)
    soql = "SELECT Id FROM Account WHERE External_Key__c = 'D-0'"
    (row,) = client.query.perform(soql, schedule=QUICK)
    job = client.ingest.create_job("Account", "delete")
    client.ingest.upload(job.id, f"Id\n{row['Id']}\n".encode())
    client.ingest.close(job.id)
    client.ingest.wait(job.id, schedule=QUICK)
    assert len(client.query.perform(soql, schedule=QUICK)) == 0
    assert len(client.query.perform(soql, include_deleted=True, schedule=QUICK)) == 1


@pytest.mark.parity("K7.6")
def test_a_wrong_query_is_told_with_salesforces_reason(client):
    with pytest.raises(errors.RequestRefusedError, match="No such column 'Nope'"):
        client.query.perform("SELECT Nope FROM Account")
    with pytest.raises(errors.RequestRefusedError, match="unexpected token"):
        client.query.perform("SELECT * FROM Account")


@pytest.mark.parity("K7.6")
def test_a_query_that_ends_badly_is_no_result_without_rows(client, org):
    org.core.job_seconds = 3600
    try:
        with pytest.raises(errors.JobFailedError, match="ended Aborted: somebody aborted it"):
            client.query.perform("SELECT Id FROM Account", on_progress=lambda job: client.query.abort(job.id))
    finally:
        org.core.job_seconds = 0


class Replaced(Fault):
    """Changes what the org answers: ``times`` times."""

    def __init__(self, change, times=99) -> None:
        self.change = change
        self.times = times

    async def body(self, exchange, chunks):
        data = b"".join([chunk async for chunk in chunks])
        self.times -= 1
        yield self.change(data) if self.times >= 0 else data


def without_last_row(data: bytes) -> bytes:
    return data[: data.rindex(b"\n", 0, -1) + 1]


@pytest.fixture
def broken(client, org):
    """Make ``route`` answer something else; nobody waits between tries, and no answer is compressed."""
    client.driver._sleep = lambda seconds: None
    org.core.compress = False
    yield lambda route, change, times=99: org.core.faults.add(route, Replaced(change, times))
    org.core.faults.clear()
    org.core.compress = True


def test_a_result_file_that_lacks_a_row_is_fetched_again(client, org, broken):
    job_id = load(client, 5, "F")
    client.ingest.wait(job_id, schedule=QUICK)
    broken("ingest.successful", without_last_row, times=2)
    assert len(list(client.ingest.successful_results(job_id))) == 5
    broken("ingest.successful", without_last_row)
    with pytest.raises(
        errors.TransportError, match=r"4 (successful )?records (of job [0-9A-Za-z]+ )?were received instead of 5"
    ):
        client.ingest.successful_results(job_id)


def test_a_page_that_lacks_a_row_is_fetched_again(client, org, broken):
    client.ingest.wait(load(client, 5, "G"), schedule=QUICK)
    result = client.query.perform("SELECT Name FROM Account WHERE External_Key__c LIKE 'G-%'", schedule=QUICK)
    broken("query.results", without_last_row, times=2)
    assert len(list(result)) == 5
    broken("query.results", without_last_row)
    with pytest.raises(
        errors.TransportError, match=r"4 (successful )?records (of job [0-9A-Za-z]+ )?were received instead of 5"
    ):
        list(client.query.results(result.job.id))


def test_pages_that_do_not_add_up_to_the_job_are_told(client, org, broken):
    client.ingest.wait(load(client, 5, "H"), schedule=QUICK)
    broken("query.get", lambda data: data.replace(b'"numberRecordsProcessed":5', b'"numberRecordsProcessed":6'))
    result = client.query.perform("SELECT Name FROM Account WHERE External_Key__c LIKE 'H-%'", schedule=QUICK)
    with pytest.raises(errors.ProtocolError, match="5 records, but the job counts 6"):
        list(result)


def test_pages_that_go_round_in_a_circle_are_left(client, org, broken, monkeypatch):
    client.ingest.wait(load(client, 5, "I"), schedule=QUICK)
    org.core.page_records = 2
    result = client.query.perform("SELECT Name FROM Account WHERE External_Key__c LIKE 'I-%'", schedule=QUICK)
    locator = client.query.result_pages(result.job.id)[0]

    class SameAgain(Fault):
        async def after(self, exchange, response):
            response.headers["Sforce-Locator"] = locator
            return response

    org.core.faults.add("query.results", SameAgain())
    with pytest.raises(errors.ProtocolError, match="twice"):
        list(result)


def test_a_session_that_ends_is_renewed_in_the_middle(client, org):
    client.limits()
    org.expire_tokens()
    org.calls.clear()
    client.limits()
    assert [call.status for call in org.calls] == [401, 200, 200]


@pytest.mark.parity("G13.1")
def test_calls_are_counted(client, org):
    client.limits()
    client.versions()
    assert client.api_calls == 1
    assert client.api_usage.allowed == 15000


@pytest.mark.parity("K7.5")
def test_a_wait_ends_at_its_timeout_and_the_job_goes_on():
    with LocalOrg(job_seconds=3600) as org, BulkClient(**settings(org)) as client:
        job_id = load(client, 3, "T")
        with pytest.raises(errors.JobTimeoutError, match="where they continue"):
            client.ingest.wait(job_id, timeout=timedelta(seconds=0.1), schedule=QUICK)
        assert client.ingest.get_job(job_id).state is not JobState.ABORTED
        org.advance(4000)
        org.wait_until_idle()
        assert client.ingest.wait(job_id, schedule=QUICK).successful == 3


def test_a_timeout_is_seconds_or_a_timedelta():
    assert timeout_seconds(timedelta(minutes=1)) == 60
    assert timeout_seconds(None) is None
    with pytest.raises(errors.SourceError):
        timeout_seconds(-1)
    with pytest.raises(errors.SourceError):
        timeout_seconds(float("nan"))


@pytest.mark.parity("K1.9")
def test_a_client_is_made_of_the_environment(org):
    environ = {f"SFBULK_{name.upper()}": value for name, value in settings(org).items()}
    with BulkClient.from_env(environ) as client:
        assert client.describe_global()["sobjects"]


def test_tls_is_checked_against_the_connections_authorities(tmp_path, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with LocalOrg(tls=True) as org:
        given = settings(org)
        with BulkClient(**given, ca_file=str(org.ca_file)) as client:
            client.limits()
        with BulkClient(**given) as client, pytest.raises(errors.LoginError, match="set ca_file"):
            client.limits()

        async def call(**more):
            async with AsyncDriver(Settings.from_mapping({**given, **more})) as driver:
                return await driver.run(versions())

        assert asyncio.run(call(ca_file=str(org.ca_file)))
        with pytest.raises(errors.LoginError, match="set ca_file"):
            asyncio.run(call())
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(org.ca_file))
        with BulkClient(**given) as client:
            client.limits()
        assert asyncio.run(call())


def test_importing_errors_and_models_imports_no_http_library():
    script = (
        "import sys, airflow_provider_sfbulk.client, airflow_provider_sfbulk.client.errors, "
        "airflow_provider_sfbulk.client.models, airflow_provider_sfbulk.client.extract.pages, "
        "airflow_provider_sfbulk.client.auth.session; "
        "print([m for m in ('requests', 'httpx', 'airflow', 'jwt', 'numpy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
