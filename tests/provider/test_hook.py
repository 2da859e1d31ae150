"""SalesforceBulkHook: from an Airflow connection to a whole job in one call."""

from __future__ import annotations

import json
import socket
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pandas as pd
import pytest
from airflow.sdk import Connection
from airflow.sdk import log as sdk_log
from pytest_mock import MockerFixture
from starlette.responses import Response

from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.client.effects import Authorize, Flow, Token
from airflow_provider_sfbulk.client.errors import JobTimeoutError, LoginError, RequestRefusedError, SourceError
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.client.protocol import retry
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.hooks import connection as hook_connection
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from tests.provider.readings import SOQL, fill_readings, many, truth

QUICK = Schedule(first=0.01, longest=0.05)
ROWS = [{"Name": f"Account {n} ñ", "External_Key__c": f"K-{n}", "NumberOfEmployees": n} for n in range(5)]


def connect(monkeypatch: pytest.MonkeyPatch, **connection: Any) -> SalesforceBulkHook:
    """Give the hook of a connection named ``other``."""
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": "salesforce_bulk", **connection}))
    return SalesforceBulkHook("other")


def token_of(client: BulkClient) -> str:
    """Sign in, and give the token."""

    def flow() -> Flow[str]:
        token: Token = yield Authorize()
        return token.access_token

    return client.run(flow())


class NoSetup(Fault):
    async def before(self, exchange: Exchange) -> Response | None:
        text = '[{"errorCode":"FORBIDDEN","message":"no permission"}]'
        return Response(text, status_code=403, media_type="application/json")


def keys(org: LocalOrg) -> set[str]:
    return {row["External_Key__c"] for row in org.records("Account")}


# --- the connection ---------------------------------------------------------------------------------------------------


def test_a_good_connection_says_where_and_what_is_left(org: LocalOrg) -> None:
    good, message = SalesforceBulkHook().test_connection()
    assert good
    assert org.url in message
    assert "66.0" in message
    assert "of 15000" in message


def test_a_user_who_may_not_see_the_orgs_limits_has_a_good_connection(org: LocalOrg) -> None:
    org.core.faults.add("data.limits", NoSetup())
    good, message = SalesforceBulkHook().test_connection()
    assert good
    assert "of 15000" in message
    org.core.faults.add("data.resources", NoSetup())
    good, message = SalesforceBulkHook().test_connection()
    assert not good
    assert "FORBIDDEN" in message


def test_a_wrong_secret_is_told_without_showing_it(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"client_id": org.client_id, "client_secret": "not-the-secret"}
    good, message = connect(monkeypatch, host=org.url, extra=extra).test_connection()
    assert not good
    assert "invalid_client" in message
    assert "not-the-secret" not in message


@pytest.mark.parametrize(
    ("connection", "match"),
    [
        ({}, "nothing to log in with"),
        ({"extra": {"client_secret": "secret"}}, "client_id"),
        ({"extra": {"colour": "blue"}}, "colour"),
        ({"extra": {"access_token": "00D!abc", "instance_url": "https://evil.example"}}, "evil.example"),
        ({"host": "http://acme.my.salesforce.com", "extra": {"client_id": "a", "client_secret": "b"}}, "https"),
        (
            {"extra": {"access_token": "00D!abc", "instance_url": "https://a.my.salesforce.com", "api_version": "x"}},
            "api_version",
        ),
    ],
)
def test_a_connection_that_cannot_work_says_why(
    connection: dict[str, Any], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, message = connect(monkeypatch, **connection).test_connection()
    assert not good
    assert match in message


def test_an_unreachable_host_is_named(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers
        host = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setattr(retry, "FIRST_DELAY_SECONDS", 0.001)
        extra = {"client_id": "a", "client_secret": "bbbbbb"}
        good, message = connect(monkeypatch, host=host, extra=extra).test_connection()
    assert not good
    assert "127.0.0.1" in message or "/services/oauth2/token" in message


def test_the_api_version_of_the_hook_wins(org: LocalOrg) -> None:
    with SalesforceBulkHook(api_version="60.0").get_conn() as client:
        assert client.api_version == "60.0"
        client.limits()
    assert any("/v60.0/limits" in call.path for call in org.calls)


@pytest.mark.parametrize(
    "flow", ["client_credentials", "jwt_bearer", "refresh_token", "password", "soap_login", "access_token"]
)
@pytest.mark.parity("K10.4")
def test_every_way_of_login_works(flow: str, org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    token = token_of(SalesforceBulkHook().get_conn()) if flow == "access_token" else ""
    app = {"client_id": org.client_id}
    connection: Any = {
        "client_credentials": {"extra": app | {"client_secret": org.client_secret}},
        "jwt_bearer": {"login": org.username, "extra": app | {"private_key": org.private_key}},
        "refresh_token": {"extra": app | {"client_secret": org.client_secret, "refresh_token": org.refresh_token}},
        "password": {
            "login": org.username,
            "password": org.password,
            "extra": app | {"client_secret": org.client_secret, "security_token": org.security_token},
        },
        "soap_login": {
            "login": org.username,
            "password": org.password,
            "extra": {"security_token": org.security_token},
        },
        "access_token": {"extra": {"access_token": token, "instance_url": org.url}},
    }[flow]
    hook = connect(monkeypatch, host=org.url, **connection)
    assert hook.get_conn().settings.auth_flow == flow, "it is seen from the fields"
    good, message = hook.test_connection()
    assert good, message


def test_a_connection_may_be_a_uri(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = json.loads(org.connection)
    made = Connection(conn_id="other", **{**connection, "extra": json.dumps(connection["extra"])})
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", made.get_uri())
    good, message = SalesforceBulkHook("other").test_connection()
    assert good, message


def test_a_port_beside_the_host_counts(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = json.loads(org.connection)
    host, _, port = connection["host"].rpartition(":")
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({**connection, "host": host, "port": int(port)}))
    good, message = SalesforceBulkHook("other").test_connection()
    assert good, message
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({**connection, "port": int(port)}))
    assert SalesforceBulkHook("other").test_connection()[0], "the host has it already"


# --- connections of the official type ---------------------------------------------------------------------------------


OFFICIAL_FLOWS = [
    "soap_login",
    "soap_login by organization",
    "jwt_bearer",
    "client_credentials",
    "password",
    "access_token",
]


@pytest.mark.parametrize("prefix", ["", "extra__salesforce__"])
@pytest.mark.parametrize("flow", OFFICIAL_FLOWS)
def test_a_connection_of_the_official_type_works_as_it_is(
    flow: str, prefix: str, org: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form of the official type stores every field, the empty ones too."""
    blank: tuple[str, ...] = (
        "security_token",
        "domain",
        "consumer_key",
        "consumer_secret",
        "private_key",
        "private_key_file_path",
    )
    blank += ("organization_id", "instance", "instance_url", "proxies", "version", "client_id")
    token = token_of(SalesforceBulkHook().get_conn()) if flow == "access_token" else ""
    org.core.trusted_network = flow == "soap_login by organization"
    app = {"consumer_key": org.client_id, "client_id": "my-load"}
    secret = {"consumer_secret": org.client_secret}
    login = {"login": org.username, "password": org.password}
    connection: Any = {
        "soap_login": {**login, "extra": app | secret | {"security_token": org.security_token}},
        "soap_login by organization": {**login, "extra": {"organization_id": org.org_id, "client_id": "my-load"}},
        "jwt_bearer": {"login": org.username, "extra": app | {"private_key": org.private_key}},
        "client_credentials": {"extra": app | secret},
        "password": {"login": org.username, "password": org.password + org.security_token, "extra": app | secret},
        "access_token": {"extra": {"session_id": token, "instance_url": org.url}},
    }[flow]
    extra = {f"{prefix}{key}": value for key, value in (dict.fromkeys(blank, "") | connection.pop("extra")).items()}
    extra[f"{prefix}version"] = "65.0"
    hook = connect(monkeypatch, conn_type="salesforce", host=org.url, extra=extra, **connection)
    with hook.get_conn() as client:
        assert client.settings.auth_flow == flow.partition(" ")[0]
        assert client.api_version == "65.0"
    good, message = hook.test_connection()
    assert good, message


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"domain": "test"}, {"host": "https://test.salesforce.com", "audience": "https://test.salesforce.com"}),
        ({"domain": "acme.my"}, {"host": "https://acme.my.salesforce.com"}),
        ({"domain": "acme.my.salesforce.com"}, {"host": "https://acme.my.salesforce.com"}),
        ({"domain": "https://acme.my.salesforce.com/"}, {"audience": "https://acme.my.salesforce.com"}),
        ({"session_id": "00D!abcdef", "instance": "https://a.my.salesforce.com"},
         {"instance_url": "https://a.my.salesforce.com"}),
        ({}, {"host": "https://login.salesforce.com", "audience": None}),
        # "Non-standard instance url (instance.my) used for connecting to Salesforce with JWT tokens"
        ({"instance_url": "acme.my"}, {"host": "https://acme.my.salesforce.com", "instance_url": None}),
        (
            {"instance_url": "acme--uat.sandbox.my", "domain": "test"},
            {"host": "https://acme--uat.sandbox.my.salesforce.com", "audience": "https://test.salesforce.com"},
        ),
        (
            {"session_id": "00D!abcdef", "instance": "eu1.salesforce.com"},
            {"host": "https://login.salesforce.com", "instance_url": "https://eu1.salesforce.com"},
        ),
        ({"proxies": {"http": "http://a.example", "https": "http://b.example:3128"}}, {"proxy": "http://b.example:3128"}),
        ({"proxies": '{"https": "http://b.example:3128"}'}, {"proxy": "http://b.example:3128"}),
        ({"proxies": "http://b.example:3128"}, {"proxy": "http://b.example:3128"}),
        ({"private_key": "", "extra__salesforce__private_key": "old", "auth_flow": "client_credentials", "domain": "a.my",
          "consumer_secret": "s"}, {"private_key": None}),
    ],
)  # fmt: skip
def test_the_other_fields_of_the_official_type(
    extra: dict[str, Any], expected: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    login = {} if "session_id" in extra else {"consumer_key": "key", "private_key": "pem"}
    hook = connect(monkeypatch, conn_type="salesforce", login="me@acme.example", extra=login | extra)
    settings = hook.get_conn().settings
    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.parametrize("proxies", ["{not json: secret", {"https": 7}, ["secret"]])
def test_proxies_that_cannot_be_read_are_refused(proxies: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"session_id": "00D!abcdef", "instance": "eu1.salesforce.com", "proxies": proxies}
    with pytest.raises(SourceError, match="proxies must be") as caught:
        connect(monkeypatch, conn_type="salesforce", extra=extra).get_conn()
    assert "secret" not in str(caught.value)


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def masking(mocker: MockerFixture) -> MagicMock:
    """What Airflow is asked to mask, as it is asked."""
    return mocker.spy(hook_connection, "mask_secret")


def test_secrets_are_masked_before_they_are_used(
    org: LocalOrg, masking: MagicMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {
        "auth_flow": "jwt_bearer",
        "client_id": org.client_id,
        "client_secret": org.client_secret,
        "private_key": org.private_key,
        "refresh_token": org.refresh_token,
        "security_token": org.security_token,
    }
    client = connect(monkeypatch, host=org.url, login=org.username, password=org.password, extra=extra).get_conn()
    masked = {call.args[0] for call in masking.call_args_list}
    for secret in (org.client_secret, org.refresh_token, org.security_token, org.password):
        assert secret in masked
    lines = [line for line in org.private_key.splitlines() if line and not line.startswith("-----")]
    assert set(lines) <= masked, "a key may be logged line by line"
    assert not org.calls
    token = token_of(client)
    masked = {call.args[0] for call in masking.call_args_list}
    assert token in masked
    assert org.username not in masked


def test_airflows_masker_hides_the_token(org: LocalOrg) -> None:
    token = token_of(SalesforceBulkHook().get_conn())
    assert token not in str(sdk_log.redact(f"Authorization: Bearer {token}"))  # type: ignore[attr-defined]
    assert org.client_secret not in str(sdk_log.redact(f"client_secret={org.client_secret}&x=1"))  # type: ignore[attr-defined]


# --- whole loads ------------------------------------------------------------------------------------------------------


@pytest.mark.parity("K2.1", "K2.4", "A3.1", "A3.2", "A3.3", "A3.4", "I4.7")
def test_insert_update_upsert_and_delete(org: LocalOrg) -> None:
    hook = SalesforceBulkHook()
    inserted = hook.insert("Account", ROWS, schedule=QUICK)
    assert inserted.is_successful
    assert (inserted.successful_count, inserted.failed_count, inserted.unprocessed_count) == (5, 0, 0)
    assert inserted.total_count == 5
    assert keys(org) == {row["External_Key__c"] for row in ROWS}
    ids = {row["External_Key__c"]: row["sf__Id"] for row in inserted.successful_records}
    assert ids == {row["External_Key__c"]: row["Id"] for row in org.records("Account")}

    hook.update("Account", [{"Id": ids["K-1"], "NumberOfEmployees": 100}], schedule=QUICK)
    upserted = hook.upsert(
        "Account",
        [{"External_Key__c": "K-2", "NumberOfEmployees": 200}, {"External_Key__c": "K-9", "Name": "New"}],
        "External_Key__c",
        schedule=QUICK,
    )
    assert [row["sf__Created"] for row in upserted.successful_records] == ["false", "true"]
    employees = {row["External_Key__c"]: row["NumberOfEmployees"] for row in org.records("Account")}
    assert employees == {"K-0": 0, "K-1": 100, "K-2": 200, "K-3": 3, "K-4": 4, "K-9": None}

    assert hook.delete("Account", [ids["K-0"], ids["K-1"]], schedule=QUICK).successful_count == 2
    assert keys(org) == {"K-2", "K-3", "K-4", "K-9"}
    hook.delete("Account", [{"Id": ids["K-2"]}], schedule=QUICK)
    assert hook.hard_delete("Account", iter([ids["K-3"]]), schedule=QUICK).successful_count == 1
    assert keys(org) == {"K-4", "K-9"}
    assert {row["Id"] for row in org.records("Account", include_deleted=True)} == {
        *(ids[key] for key in ("K-0", "K-1", "K-2", "K-4")),
        *(row["Id"] for row in org.records("Account") if row["External_Key__c"] == "K-9"),
    }


@pytest.mark.parity("K4.4", "K6.1", "K6.2", "K6.3")
def test_why_records_failed(org: LocalOrg) -> None:
    result = SalesforceBulkHook().insert("Account", [*ROWS, {"Name": "", "External_Key__c": "BAD"}], schedule=QUICK)
    assert not result.is_successful
    (failed,) = result.failed_records
    (error,) = result.errors
    assert failed["External_Key__c"] == "BAD"
    assert (error.status_code, error.fields) == ("REQUIRED_FIELD_MISSING", ("Name",))
    assert error.message == "Required fields are missing: [Name]"
    assert list(result.unprocessed_records) == []


@pytest.mark.parametrize("kind", ["frame", "generator"])
@pytest.mark.parity("A2.1")
def test_a_frame_or_a_generator_is_loaded_in_parts(kind: str, org: LocalOrg) -> None:
    records: Any = pd.DataFrame(ROWS) if kind == "frame" else (row for row in ROWS)
    result = SalesforceBulkHook().insert("Account", records, part_records=2, schedule=QUICK)
    assert [job.processed for job in result.jobs] == [2, 2, 1]
    assert keys(org) == {row["External_Key__c"] for row in ROWS}


@pytest.mark.parity("K1.5", "K7.1")
def test_progress_is_told(org: LocalOrg) -> None:
    seen: list[JobInfo] = []
    hook = SalesforceBulkHook()
    result = hook.insert("Account", ROWS, schedule=QUICK, on_progress=seen.append)
    assert {info.id for info in seen} == set(result.job_ids)
    assert seen[-1].is_final
    assert seen[-1].processed == 5
    seen.clear()
    hook.query("SELECT Id FROM Account", schedule=QUICK, on_progress=seen.append)
    assert seen[-1].is_successful


@pytest.mark.parametrize("timeout", [0.1, timedelta(seconds=0.1)])
def test_after_the_timeout_the_job_goes_on(timeout: float | timedelta, org: LocalOrg) -> None:
    org.core.job_seconds = 60
    hook = SalesforceBulkHook()
    with pytest.raises(JobTimeoutError, match="still running") as caught:
        hook.insert("Account", ROWS, timeout=timeout, schedule=QUICK)
    assert caught.value.job_id == org.jobs[0].id
    assert isinstance(caught.value, TimeoutError)
    with pytest.raises(JobTimeoutError):
        hook.query("SELECT Id FROM Account", timeout=timeout, schedule=QUICK)
    org.advance(61)
    org.wait_until_idle()
    assert [job.state for job in org.jobs] == ["JobComplete", "JobComplete"]
    assert keys(org) == {row["External_Key__c"] for row in ROWS}


@pytest.mark.parity("K2.8")
def test_without_waiting_the_counts_wait(org: LocalOrg) -> None:
    org.core.job_seconds = 60
    result = SalesforceBulkHook().insert("Account", ROWS, wait=False)
    assert result.job_ids == [org.jobs[0].id]
    assert not org.records("Account")
    org.advance(61)
    assert result.wait(schedule=QUICK).successful_count == 5


@pytest.mark.parametrize(
    ("records", "error", "match"),
    [
        ([{"Nmae": "x"}], SourceError, "Nmae"),
        ([], SourceError, "no records"),
        ([{"Name": object()}], SourceError, "Name"),
    ],
)
@pytest.mark.parity("K7.3", "I4.4", "G13.12")
def test_records_that_cannot_be_loaded_leave_the_org_untouched(
    records: Any, error: type[Exception], match: str, org: LocalOrg
) -> None:
    with pytest.raises(error, match=match):
        SalesforceBulkHook().insert("Account", records, schedule=QUICK)
    assert not org.records("Account")
    assert all(job.state == "Aborted" for job in org.jobs)


@pytest.mark.parametrize(
    ("operation", "records", "match"),
    [
        ("update", [{"Name": "no id"}], "Id"),
        ("upsert", [{"Name": "no key"}], "External_Key__c"),
        ("delete", ["no id"], "row 1"),
    ],
)
@pytest.mark.parity("K2.2", "K2.3")
def test_records_without_what_they_are_found_by_leave_the_org_untouched(
    operation: str, records: Any, match: str, org: LocalOrg
) -> None:
    more = ("External_Key__c",) if operation == "upsert" else ()
    with pytest.raises(ValueError, match=match):
        getattr(SalesforceBulkHook(), operation)("Account", records, *more, schedule=QUICK)
    assert all(job.state == "Aborted" for job in org.jobs)


@pytest.mark.parity("K4.7", "K4.8", "A2.4")
def test_a_load_whose_job_failed_can_be_looked_at(org: LocalOrg) -> None:
    org.core.batch_records = 2
    org.fail_jobs(after_batches=1)
    result = SalesforceBulkHook().insert("Account", ROWS, schedule=QUICK, fail_on_failed_jobs=False)
    (job,) = result.jobs
    assert (str(job.state), bool(job.error_message), result.is_successful) == ("Failed", True, False)
    assert (result.total_count, result.failed_count) == (5, 0)
    assert len(list(result.unprocessed_records)) == result.unprocessed_count == 5 - result.successful_count > 0


# --- whole queries ----------------------------------------------------------------------------------------------------


@pytest.mark.parity("K2.6")
def test_rows_stream_over_pages_and_can_be_read_again(org: LocalOrg, tmp_path: Path) -> None:
    fill_readings(org, tmp_path, many(25))
    result = SalesforceBulkHook().query(f"{SOQL} ORDER BY Count__c", page_records=4, schedule=QUICK)
    assert len(result) == 25
    for _ in range(2):
        rows = list(result)
        assert [row["Count__c"] for row in rows] == list(range(25))
    stored = truth(org)
    assert {row["External_Key__c"]: row["Level__c"] for row in rows} == {
        key: Decimal(repr(row["Level__c"])) for key, row in stored.items()
    }
    assert sum(call.method == "POST" and "/jobs/query" in call.path for call in org.calls) == 1


def test_a_frame_is_typed_by_describe(org: LocalOrg, tmp_path: Path) -> None:
    fill_readings(org, tmp_path)
    hook = SalesforceBulkHook()
    frame = hook.get_df(SOQL, schedule=QUICK)
    empty = hook.get_df(f"{SOQL} WHERE Name = 'nobody'", schedule=QUICK)
    assert empty.empty
    pd.testing.assert_series_equal(frame.dtypes, empty.dtypes)
    by_key = frame.set_index("External_Key__c")
    assert by_key["Count__c"]["R-1"] == 10_000_000
    assert by_key["Level__c"]["R-2"] == Decimal("12345678.2500")
    assert by_key["Valid__c"].sum() == 2
    assert by_key["Count__c"].isna()["R-3"]
    assert by_key["Name"].to_dict() == {key: row["Name"] for key, row in truth(org).items()}


def test_deleted_records_come_when_asked_for(org: LocalOrg) -> None:
    hook = SalesforceBulkHook()
    ids = [row["sf__Id"] for row in hook.insert("Account", ROWS, schedule=QUICK).successful_records]
    hook.delete("Account", ids[:2], schedule=QUICK)
    assert len(hook.query("SELECT Id FROM Account", schedule=QUICK)) == 3
    assert len(hook.query("SELECT Id FROM Account", include_deleted=True, schedule=QUICK)) == 5
    assert len(hook.get_df("SELECT Id FROM Account", include_deleted=True, schedule=QUICK)) == 5


def test_refused_soql_and_a_refused_login(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestRefusedError, match="MALFORMED_QUERY"):
        SalesforceBulkHook().query("SELECT")
    wrong = connect(monkeypatch, host=org.url, extra={"client_id": org.client_id, "client_secret": "not-this"})
    with pytest.raises(LoginError):
        wrong.query("SELECT Id FROM Account")
