"""The rest of the REST API: versions, limits, describe; and the org's Python side: faults, schema, seed, plugin."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, Response

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.data.seed import SeedError
from airflow_provider_sfbulk.local_org.faults import Dropped, Exchange, Fault
from airflow_provider_sfbulk.local_org.http.server import Server
from tests.local_org.org_witness import V, Witness


def test_the_versions_are_open_to_all_and_not_counted(witness: Witness) -> None:
    for path in ("/services/data/", "/services/data"):
        answer = witness.call("GET", path, authorization="")
        assert answer.headers["Sforce-Limit-Info"] is None
        named = {entry["version"]: entry["label"] for entry in answer.json}
        assert (answer.json[0]["version"], answer.json[-1]["version"]) == ("31.0", "67.0")
        assert (named["64.0"], named["65.0"], named["66.0"]) == ("Summer '25", "Winter '26", "Spring '26")
        assert answer.json[-1]["url"] == "/services/data/v67.0"


def test_the_resources_name_jobs_and_limits(witness: Witness) -> None:
    body = witness.call("GET", f"{V}/").json
    assert (body["jobs"], body["limits"]) == (f"{V}/jobs", f"{V}/limits")


def test_limits_have_the_bulk_keys_and_a_nested_entry_and_go_down(witness: Witness) -> None:
    before = witness.call("GET", f"{V}/limits").json
    assert {"DailyApiRequests", "DailyBulkApiBatches", "DailyBulkV2QueryJobs", "DailyBulkV2QueryFileStorageMB"} <= set(
        before
    )
    assert before["PermissionSets"]["CreateCustom"] == {"Max": 1000, "Remaining": 1000}
    witness.load("Name\nA\n")
    witness.query("SELECT Id FROM Account")
    after = witness.call("GET", f"{V}/limits").json
    used = {key: before[key]["Remaining"] - after[key]["Remaining"] for key in before}
    assert (used["DailyBulkApiBatches"], used["DailyBulkV2QueryJobs"]) == (1, 1)
    assert used["DailyApiRequests"] >= 9


def test_the_limit_header_counts_up_on_every_answer(witness: Witness) -> None:
    numbers = [
        witness.call("GET", f"{V}{path}").headers["Sforce-Limit-Info"] for path in ("/limits", "/nothing", "/limits")
    ]
    assert numbers[0] == "api-usage=1/15000"
    assert numbers[2] == "api-usage=2/15000"


def test_calls_beyond_the_days_are_refused_when_that_is_switched_on(org: LocalOrg, witness: Witness) -> None:
    org.core.usage.api_requests.maximum = 1
    assert witness.call("GET", f"{V}/limits").status == 200
    assert witness.call("GET", f"{V}/limits").status == 200
    org.core.usage.refuse_calls = True
    error = (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    assert witness.call("GET", f"{V}/limits").error == error
    org.advance(24 * 3600 + 60)
    witness.token = None
    assert witness.call("GET", f"{V}/limits").status == 200


def test_describe_agrees_with_what_ingest_takes(witness: Witness) -> None:
    body = witness.call("GET", f"{V}/sobjects/account/describe").json
    assert (body["name"], body["keyPrefix"]) == ("Account", "001")
    fields = {field["name"]: field for field in body["fields"]}
    assert body["fields"][0]["name"] == "Id"
    name, revenue, latitude = (fields[key] for key in ("Name", "AnnualRevenue", "BillingLatitude"))
    assert (name["length"], name["nillable"], name["createable"], name["byteLength"]) == (255, False, True, 765)
    assert (revenue["type"], revenue["precision"], revenue["scale"]) == ("currency", 18, 0)
    assert (latitude["type"], latitude["precision"], latitude["scale"]) == ("double", 18, 15)
    assert latitude["compoundFieldName"] == "BillingAddress"
    assert fields["NumberOfEmployees"]["digits"] == 8
    assert (fields["OwnerId"]["referenceTo"], fields["OwnerId"]["relationshipName"]) == (["User"], "Owner")
    key = fields["External_Key__c"]
    assert (key["externalId"], key["unique"], key["custom"]) == (True, True, True)
    everything = witness.call("GET", f"{V}/sobjects").json
    assert {"Account", "Contact", "Lead", "User"} < {sobject["name"] for sobject in everything["sobjects"]}


def test_a_saved_describe_is_a_schema_and_says_what_there_is(witness: Witness, tmp_path: Path) -> None:
    lead = witness.call("GET", f"{V}/sobjects/Lead/describe").json
    lead["fields"] = [field for field in lead["fields"] if field["name"] != "External_Key__c"]
    schema = tmp_path / "schema.json"
    for document in (lead, [lead], {"Lead": lead}):
        schema.write_text(json.dumps(document))
        with LocalOrg(schema=schema) as org:
            again = Witness(org).call("GET", f"{V}/sobjects/Lead/describe").json
            assert again["fields"] == lead["fields"]


@pytest.mark.parametrize(
    "document", [[3], {"A": 3}, [{"name": "A"}], {"A": {"fields": []}}, [{"name": "A", "fields": [{"name": "x"}]}]]
)
def test_a_schema_that_is_none_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"schema|field"):
        LocalOrg(schema=document).start()


def test_a_seed_folder_fills_the_org_parents_first(tmp_path: Path) -> None:
    (tmp_path / "Contact.csv").write_text("LastName,Account.External_Key__c\nA,m\n")
    (tmp_path / "Account.csv").write_text("Name,External_Key__c\r\nMother,m\r\n", newline="")
    with LocalOrg(seed=tmp_path) as org:
        assert org.records("Contact")[0]["AccountId"] == org.records("Account")[0]["Id"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("Nothing.csv", "Id\n", "there is no object Nothing"),
        ("Account.csv", "Nope\n1\n", "Field name not found : Nope"),
        ("Account.csv", "Name,Phone\nA,1\n,2\n", "number 2: REQUIRED_FIELD_MISSING"),
        ("Account.csv", "Name,Phone\nA\n", "Row has 1 columns"),
    ],
)
def test_a_seed_that_does_not_load_is_refused(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SeedError, match=problem):
        LocalOrg(seed=tmp_path).start()


def test_the_org_remembers_the_calls_it_answered(org: LocalOrg, witness: Witness) -> None:
    witness.call("GET", f"{V}/nothing?x=1")
    assert [(call.method, call.path, call.status) for call in org.calls] == [
        ("POST", "/services/oauth2/token", 200),
        ("GET", f"{V}/nothing?x=1", 404),
    ]


class Busy(Fault):
    async def before(self, exchange: Exchange) -> Response | None:
        return PlainTextResponse("busy", 503) if exchange.number == 1 else None


class Lost(Fault):
    async def after(self, exchange: Exchange, response: Response) -> Response:
        raise Dropped


class Cut(Fault):
    async def body(self, exchange: Exchange, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:  # type: ignore[override]
        async for chunk in chunks:
            yield chunk[: len(chunk) // 2]
            raise Dropped


def test_a_fault_before_the_effect_stands_in_for_the_org(org: LocalOrg, witness: Witness) -> None:
    org.core.faults.add("ingest.create", Busy())
    body = {"object": "Account", "operation": "insert"}
    answers = [witness.call("POST", f"{V}/jobs/ingest", body).status for _ in range(2)]
    assert (answers, len(org.jobs)) == ([503, 200], 1)


def test_a_fault_after_the_effect_hides_that_it_happened(org: LocalOrg, witness: Witness) -> None:
    org.core.faults.add("ingest.create", Lost())
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        witness.call("POST", f"{V}/jobs/ingest", {"object": "Account", "operation": "insert"})
    assert len(org.jobs) == 1
    org.core.faults.clear()
    assert witness.create()


def test_a_fault_on_the_body_cuts_it_in_the_middle(org: LocalOrg, witness: Witness) -> None:
    job_id = witness.query("SELECT Id, Username FROM User")["id"]
    org.core.faults.add("query.results", Cut())
    with pytest.raises(http.client.IncompleteRead):
        witness.call("GET", f"{V}/jobs/query/{job_id}/results")


def test_loading_the_pytest_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys; import airflow_provider_sfbulk.local_org.pytest_plugin; "
        "heavy = {'starlette', 'uvicorn', 'sqlite3', 'lark', 'cryptography', 'airflow'} & set(sys.modules); "
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_package_is_named_with_the_extra_that_has_it() -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "try:\n    from airflow_provider_sfbulk.local_org import LocalOrg\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "the local org needs uvicorn: install airflow-provider-sfbulk[local-org]\n"


def test_an_org_may_tell_the_quota_of_the_app_too(org: LocalOrg, witness: Witness) -> None:
    """Facts: "With a per-app quota: ``api-usage=25/5000; per-app-api-usage=17/250(appName=loader-app)``"."""
    org.core.usage.app = ("loader-app", 250)
    header = witness.call("GET", f"{V}/limits").headers["Sforce-Limit-Info"]
    assert header == "api-usage=1/15000; per-app-api-usage=1/250(appName=loader-app)"


def test_one_record_can_be_read_by_its_id(org: LocalOrg, witness: Witness) -> None:
    path = f"{V}/sobjects/User/{org.user_id}"
    record = witness.call("GET", path).json
    assert record["attributes"] == {"type": "User", "url": path}
    assert (record["Username"], record["IsActive"]) == (org.username, True)
    assert record["CreatedDate"].endswith(".000+0000")
    assert witness.call("GET", path[:-3]).json == record
    gone = witness.load("Name\nA\n")
    record_id = witness.results(gone, "successfulResults").rows[0]["sf__Id"]
    assert witness.call("GET", f"{V}/sobjects/Account/{record_id}").json["Name"] == "A"
    witness.load(f"Id\n{record_id}\n", operation="delete")
    for missing in (f"Account/{record_id}", "Account/001LO0000000000000", f"Nothing/{record_id}"):
        assert witness.call("GET", f"{V}/sobjects/{missing}").status == 404


def test_a_doubled_slash_is_served(witness: Witness) -> None:
    assert witness.call("GET", "//services/data", authorization="").status == 200
    assert witness.call("GET", f"/{V}/limits").status == 200


def test_headers_are_spelled_as_salesforce_does(org: LocalOrg, witness: Witness) -> None:
    witness.load("Name\nA\n")
    info = witness.query("SELECT Id FROM Account")
    names = witness.call("GET", f"{V}/jobs/query/{info['id']}/results").headers.keys()
    assert {"Content-Type", "Date", "Sforce-Locator", "Sforce-NumberOfRecords", "Sforce-Limit-Info"} <= set(names)
    assert not [name for name in names if name == name.lower()]
    assert "WWW-Authenticate" in set(witness.call("GET", f"{V}/limits", authorization="Bearer x").headers)


def test_describe_says_that_short_text_areas_can_be_filtered(witness: Witness) -> None:
    fields = {each["name"]: each for each in witness.call("GET", f"{V}/sobjects/Account/describe").json["fields"]}
    assert [fields[name]["filterable"] for name in ("BillingStreet", "Description", "Name")] == [True, False, True]


def test_a_server_that_sees_its_end_before_it_is_woken_is_stopped() -> None:
    server = Server(0)
    server.start(Response())
    port = server.port
    assert server._server is not None
    assert server._thread is not None
    server._server.should_exit = True  # as stop() does first; the loop may look at it before stop() wakes the loop
    server._thread.join()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port).connect()
