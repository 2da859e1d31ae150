"""The emulator checklist of the Bulk API 2.0 facts, one test a line."""

from __future__ import annotations

import gzip
import socket
from urllib.parse import urlsplit

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import V, Witness


def accounts(count: int, *, start: int = 0) -> str:
    return "Name,External_Key__c\n" + "".join(f"Stand {n},K-{n}\n" for n in range(start, start + count))


def test_content_url_has_no_leading_slash_and_next_records_url_has_one(org: LocalOrg, witness: Witness) -> None:
    created = witness.call("POST", f"{V}/jobs/ingest", {"object": "Account", "operation": "insert"}).json
    assert created["contentUrl"] == f"services/data/v66.0/jobs/ingest/{created['id']}/batches"
    for _ in range(1000):
        org.core.jobs.add(
            kind="V2Ingest",
            operation="insert",
            object="Account",
            created_by_id=org.user_id,
            state="JobComplete",
            api_version="66.0",
        )
    page = witness.call("GET", f"{V}/jobs/ingest").json
    assert page["nextRecordsUrl"].startswith("/services/data/v66.0/jobs/ingest?queryLocator=01g")
    assert (page["done"], len(page["records"])) == (False, 1000)
    rest = witness.call("GET", page["nextRecordsUrl"]).json
    assert (rest["done"], rest["nextRecordsUrl"], len(rest["records"])) == (True, None, 1)


def test_the_upload_is_answered_201_with_nothing_and_its_content_is_not_looked_at(witness: Witness) -> None:
    answer = witness.put(witness.create(), 'no,such\n"header, at all')
    assert (answer.status, answer.body) == (201, b"")


def test_a_second_upload_passes_and_spoils_the_job(witness: Witness) -> None:
    job_id = witness.create()
    assert witness.put(job_id, accounts(1)).status == 201
    assert witness.put(job_id, accounts(1)).status == 201
    status, code, message = witness.patch(job_id, "UploadComplete").error
    assert (status, code) == (400, "INVALIDJOB")
    assert message == (
        f"Found multipe contents for job: <{job_id[:15]}>, please 'Close' / 'Abort' / 'Delete' the current Job then "
        "create a new Job and make sure you only do 'PUT' once on a given Job."
    )
    assert witness.patch(job_id, "Aborted").json["state"] == "Aborted"


def test_the_answer_to_a_patch_is_short_and_a_get_is_long(witness: Witness) -> None:
    job_id = witness.create(operation="upsert", externalIdFieldName="external_key__C")
    witness.put(job_id, accounts(1))
    head = ["id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state", "externalIdFieldName"]
    head += ["concurrencyMode", "contentType", "apiVersion"]
    closed = witness.patch(job_id, "UploadComplete").json
    assert list(closed) == head
    assert closed["externalIdFieldName"] == "External_Key__c"
    assert list(witness.wait(job_id)) == [
        *head,
        "jobType",
        "lineEnding",
        "columnDelimiter",
        "numberRecordsProcessed",
        "numberRecordsFailed",
        "retries",
        "totalProcessingTime",
        "apiActiveProcessingTime",
        "apexProcessingTime",
        "isPkChunkingSupported",
    ]


def test_the_counters_are_there_only_once_there_is_an_upload(witness: Witness) -> None:
    job_id = witness.create()
    before = witness.info(job_id)
    assert "numberRecordsProcessed" not in before
    assert "contentUrl" in before
    witness.put(job_id, accounts(1))
    after = witness.info(job_id)
    assert (after["numberRecordsProcessed"], after["numberRecordsFailed"], after["state"]) == (0, 0, "Open")


def test_every_job_is_seen_in_upload_complete_and_in_progress(org: LocalOrg, witness: Witness) -> None:
    job_id = witness.create()
    witness.put(job_id, accounts(1))
    witness.patch(job_id, "UploadComplete")
    org.wait_until_idle()
    states = [witness.info(job_id)["state"] for _ in range(4)]
    assert states == ["UploadComplete", "InProgress", "JobComplete", "JobComplete"]
    created = witness.call("POST", f"{V}/jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"}).json
    assert created["state"] == "UploadComplete"
    org.wait_until_idle()
    states = [witness.info(created["id"], "query")["state"] for _ in range(3)]
    assert states == ["UploadComplete", "InProgress", "JobComplete"]


def test_a_list_is_a_poll_too(org: LocalOrg, witness: Witness) -> None:
    job_id = witness.create()
    witness.put(job_id, accounts(1))
    witness.patch(job_id, "UploadComplete")
    org.wait_until_idle()
    seen = [witness.call("GET", f"{V}/jobs/ingest").json["records"][0]["state"] for _ in range(3)]
    assert seen == ["UploadComplete", "InProgress", "JobComplete"]


def test_processed_includes_failed_and_a_job_of_bad_rows_only_is_complete(witness: Witness) -> None:
    info = witness.load("Name,NumberOfEmployees\nA,many\nB,few\n")
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 2, 2)


def test_an_unknown_header_fails_the_job_with_both_counters_at_zero(witness: Witness) -> None:
    info = witness.load("Name,Nickname__c,Other__c\nA,B,C\n")
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("Failed", 0, 0)
    assert info["errorMessage"] == "InvalidBatch : Field name not found : Nickname__c"
    assert witness.results(info, "unprocessedrecords").text == "Name,Nickname__c,Other__c\nA,B,C\n"
    assert witness.results(info, "failedResults").text == '"sf__Id","sf__Error",Name,Nickname__c,Other__c\n'


def test_result_files_echo_the_uploaded_header_as_it_was(witness: Witness) -> None:
    info = witness.load('"Name",EXTERNAL_key__c\n"A","1"\n,2\n')
    good = witness.results(info, "successfulResults").text.splitlines()
    assert good[0] == '"sf__Id","sf__Created","Name",EXTERNAL_key__c'
    assert good[1].split(",", 1)[1] == '"true","A","1"'
    bad = witness.results(info, "failedResults").text
    assert bad == (
        '"sf__Id","sf__Error","Name",EXTERNAL_key__c\n'
        '"","REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --","","2"\n'
    )


def test_errors_end_with_their_fields_or_with_none(witness: Witness) -> None:
    (with_field,) = witness.errors("External_Key__c\nx\n")
    assert with_field.endswith(":Name --")
    (without,) = witness.errors("Id,Name\n001LO0000000zzz,B\n", operation="update")
    assert without == "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"


def test_pages_have_header_locator_and_count_and_the_last_says_null(witness: Witness) -> None:
    witness.load(accounts(5))
    job_id = witness.query("SELECT Name, External_Key__c FROM Account ORDER BY External_Key__c")["id"]
    locator, seen = "", []
    for expected_count, is_last in ((2, False), (2, False), (1, True)):
        page = witness.call("GET", f"{V}/jobs/query/{job_id}/results?maxRecords=2{locator}")
        assert page.text.startswith('"Name","External_Key__c"\n')
        assert page.headers["Content-Type"].lower() == "text/csv; charset=utf-8"
        assert int(page.headers["Sforce-NumberOfRecords"]) == expected_count == len(page.rows)
        assert (page.headers["Sforce-Locator"] == "null") is is_last
        locator = f"&locator={page.headers['Sforce-Locator']}"
        seen += [row["Name"] for row in page.rows]
        again = witness.call("GET", f"{V}/jobs/query/{job_id}/results?maxRecords=2{locator}")
        assert again.status == (400 if is_last else 200)
    assert seen == [f"Stand {n}" for n in range(5)]


def test_no_rows_are_a_header_line(witness: Witness) -> None:
    job_id = witness.query("SELECT Id, Name FROM Account")["id"]
    page = witness.call("GET", f"{V}/jobs/query/{job_id}/results")
    assert page.text == '"Id","Name"\n'
    assert (page.headers["Sforce-Locator"], page.headers["Sforce-NumberOfRecords"]) == ("null", "0")
    pages = witness.call("GET", f"{V}/jobs/query/{job_id}/resultPages").json
    assert (len(pages["resultPages"]), pages["done"]) == (1, True)
    info = witness.load("Name,External_Key__c\n")
    assert info["state"] == "JobComplete"
    assert witness.results(info, "failedResults").text == '"sf__Id","sf__Error",Name,External_Key__c\n'
    assert witness.results(info, "successfulResults").text == '"sf__Id","sf__Created",Name,External_Key__c\n'
    assert witness.results(info, "unprocessedrecords").text == "Name,External_Key__c\n"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("42", "42.0"),
        ("0", "0.0"),
        ("9999999", "9999999.0"),
        ("10000000", "1.0E7"),
        ("90000000", "9.0E7"),
        ("115056052", "1.15056052E8"),
        ("16147805824397", "1.6147805824397E13"),
        ("-912260031", "-9.12260031E8"),
        ("1.5E7", "1.5E7"),
    ],
)
def test_numbers_with_a_fraction_are_written_as_java_does(witness: Witness, sent: str, shown: str) -> None:
    info = witness.load(f"Name,AnnualRevenue\nA,{sent}\n")
    assert witness.results(info, "successfulResults").rows[0]["AnnualRevenue"] == shown
    assert witness.select("SELECT AnnualRevenue FROM Account") == [{"AnnualRevenue": shown}]


def test_null_is_empty_and_moments_differ_between_csv_and_json(witness: Witness) -> None:
    info = witness.load("Name,NumberOfEmployees\nA,42\n")
    assert info["createdDate"].endswith(".000+0000")
    (row,) = witness.select("SELECT Phone, ParentId, IsDeleted, NumberOfEmployees, CreatedDate FROM Account")
    assert (row["Phone"], row["ParentId"], row["IsDeleted"], row["NumberOfEmployees"]) == ("", "", "false", "42")
    assert row["CreatedDate"].endswith(".000Z")


def test_chunked_uploads_slashes_and_charsets_are_taken(witness: Witness) -> None:
    job_id = witness.create()
    answer = witness.call(
        "PUT",
        f"{V}/jobs/ingest/{job_id}/batches/",
        iter([b"Name\n", b"Chun", b"ked\n"]),
        content_type="text/csv; charset=UTF-8",
    )
    assert answer.status == 201
    assert witness.call("PATCH", f"{V}/jobs/ingest/{job_id}/", {"state": "UploadComplete"}).status == 200
    info = witness.wait(job_id)
    for path in ("successfulResults/", "unprocessedRecords", "unprocessedrecords/", "UNPROCESSEDRECORDS"):
        assert witness.results(info, path).status == 200
    assert witness.call("GET", f"{V}/jobs/ingest/").status == 200
    assert witness.call("GET", f"{V}/jobs/ingest/{job_id[:15]}").json["id"] == job_id
    assert [record["Name"] for record in witness.org.records("Account")] == ["Chunked"]


def test_a_caller_that_expects_100_continue_gets_it_before_it_sends(witness: Witness) -> None:
    job_id, token = witness.create(), witness.token
    parts = urlsplit(witness.org.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as line:
        line.sendall(
            f"PUT {V}/jobs/ingest/{job_id}/batches HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: text/csv\r\n"
            "Content-Length: 7\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert line.recv(1000).startswith(b"HTTP/1.1 100 ")
        line.sendall(b"Name\nA\n")
        assert line.recv(1000).startswith(b"HTTP/1.1 201 ")


def test_a_deleted_job_is_gone(witness: Witness) -> None:
    info = witness.load(accounts(1))
    path = f"{V}/jobs/ingest/{info['id']}"
    answer = witness.call("DELETE", path)
    assert (answer.status, answer.body) == (204, b"")
    assert witness.call("GET", path).error == (404, "NOT_FOUND", "The requested resource does not exist")
    query = f"{V}/jobs/query/{witness.query('SELECT Id FROM Account')['id']}"
    assert witness.call("DELETE", query).status == 204
    assert witness.call("GET", query).status == 404


def test_a_job_that_may_run_is_not_deleted(org: LocalOrg, witness: Witness) -> None:
    message = "Error encountered when deleting the job because the job is not terminated"
    job_id = witness.create()
    assert witness.call("DELETE", f"{V}/jobs/ingest/{job_id}").error == (400, "API_ERROR", message)
    org.core.job_seconds = 60
    created = witness.call("POST", f"{V}/jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"}).json
    assert witness.call("DELETE", f"{V}/jobs/query/{created['id']}").error == (400, "API_ERROR", message)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"{V}/nothing", 404, "NOT_FOUND"),
        ("GET", f"{V}/jobs/ingest/7508d000003QaLpAAK", 404, "NOT_FOUND"),
        ("GET", f"{V}/sobjects/Nothing/describe", 404, "NOT_FOUND"),
        ("PUT", f"{V}/jobs/ingest", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/services/data/v68.0/limits", 404, "NOT_FOUND"),
        ("GET", "/services/data/v66/limits", 404, "NOT_FOUND"),
        ("GET", "/services/data/v30.0/limits", 410, "UNSUPPORTED_API_VERSION"),
        ("GET", "/services/data/v40.0/jobs/ingest", 404, "NOT_FOUND"),
        ("GET", "/services/data/v46.0/jobs/query", 404, "NOT_FOUND"),
    ],
)
def test_every_refusal_is_an_array_of_code_and_message(
    witness: Witness, method: str, path: str, status: int, code: str
) -> None:
    answer = witness.call(method, path)
    assert answer.error[:2] == (status, code)
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"


def test_answers_are_compressed_only_when_asked_for_and_switched_on(org: LocalOrg, witness: Witness) -> None:
    witness.load(accounts(200))
    path = f"{V}/jobs/query/{witness.query('SELECT Name FROM Account')['id']}/results"
    plain = witness.call("GET", path)
    assert plain.headers["Content-Encoding"] is None
    packed = witness.call("GET", path, accept_encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    org.core.compress = False
    assert witness.call("GET", path, accept_encoding="gzip").headers["Content-Encoding"] is None


def test_a_query_job_tells_of_itself_in_the_recorded_order(witness: Witness) -> None:
    """Facts: "No ``numberRecordsFailed``, no Apex times"; "Automatic PK chunking: the server decides.
    ``isPkChunkingSupported`` tells"; LIMIT and ORDER BY "switch off the automatic PK chunking"."""
    info = witness.query("SELECT Id FROM Account")
    head = ["id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state", "concurrencyMode"]
    middle = ["contentType", "apiVersion", "jobType", "lineEnding", "columnDelimiter"]
    figures = ["numberRecordsProcessed", "retries", "totalProcessingTime", "isPkChunkingSupported"]
    assert list(info) == head + middle + figures
    assert (info["jobType"], info["isPkChunkingSupported"]) == ("V2Query", True)
    for end in ("LIMIT 5", "ORDER BY Name"):
        assert witness.query(f"SELECT Id FROM Account {end}")["isPkChunkingSupported"] is False
    assert "query" not in info


def test_rows_of_a_list_have_no_counters(witness: Witness) -> None:
    """Facts: "No counters and no ``errorMessage`` in list rows"; "``nextRecordsUrl``: null (key present)"."""
    info = witness.load("Nickname__c\nx\n")
    page = witness.call("GET", f"{V}/jobs/ingest").json
    assert (page["done"], page["nextRecordsUrl"]) == (True, None)
    (row,) = page["records"]
    assert (row["id"], row["state"]) == (info["id"], "Failed")
    assert {"errorMessage", "numberRecordsProcessed", "numberRecordsFailed", "retries"}.isdisjoint(row)


def test_times_are_there_from_the_start_and_errors_only_when_there_are_some(witness: Witness) -> None:
    """Facts: "Open job before the upload: ``retries`` and the three times are 0"; "``errorMessage``: only present when
    there is one"; "``apiVersion`` is a JSON number"."""
    job_id = witness.create()
    info = witness.info(job_id)
    times = ("retries", "totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime")
    assert [info[name] for name in times] == [0, 0, 0, 0]
    assert "errorMessage" not in info
    assert info["apiVersion"] == 66.0
    assert info["id"].startswith("750")
    assert info["concurrencyMode"] == "Parallel"


def test_a_hidden_mark_in_front_spoils_the_first_name(witness: Witness) -> None:
    """Facts: "with an unquoted header the first column is 'not found'"; quoted: "Found unescaped quote"."""
    bare = witness.load("\ufeffName\nA\n")
    assert bare["state"] == "Failed"
    assert bare["errorMessage"].startswith("InvalidBatch : Field name not found : ")
    quoted = witness.load('\ufeff"Name"\n"A"\n')
    assert quoted["errorMessage"] == "InvalidBatch : Failed to parse CSV. Found unescaped quote"


def test_compound_columns_cannot_be_written(witness: Witness) -> None:
    """Facts: "Compound fields (addresses, names, geolocation) cannot be written; write the parts"."""
    assert witness.load("Name,BillingAddress\nA,B\n")["state"] == "Failed"
    assert witness.load("Name,BillingCity\nA,B\n")["numberRecordsFailed"] == 0
    body = {"operation": "query", "query": "SELECT BillingAddress FROM Account"}
    status, code, message = witness.call("POST", f"{V}/jobs/query", body).error
    assert (status, code) == (400, "API_ERROR")
    assert message == "Selecting compound data not supported in Bulk Query"
