"""Data batches of Bulk API 1.0."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.bulk1.async_witness import CSV, JSON, NS, XML, A, AsyncWitness, error, info, job_xml, values

ORDER = [
    *("id", "jobId", "state", "createdDate", "systemModstamp", "numberRecordsProcessed", "numberRecordsFailed"),
    *("totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime"),
]
XSI = "http://www.w3.org/2001/XMLSchema-instance"


def xml_rows(*rows: str) -> str:
    inner = "".join(f"<sObject>{row}</sObject>" for row in rows)
    return f'<?xml version="1.0" encoding="UTF-8"?><sObjects xmlns="{NS}" xmlns:xsi="{XSI}">{inner}</sObjects>'


def test_a_batch_is_answered_queued_with_its_address(bulk: AsyncWitness) -> None:
    """Facts: "201 + batchInfo, `Location` header"; the recorded order; "`stateMessage` … in XML only when
    there is text"."""
    job_id = bulk.create("insert")
    answer = bulk.post(f"/job/{job_id}/batch", "Name\nA\n", CSV)
    batch = values(answer)
    assert (answer.status, list(batch)) == (201, ORDER)
    assert answer.headers["location"] == f"{A}/job/{job_id}/batch/{batch['id']}"
    assert re.fullmatch(r"751\w{15}", batch["id"])
    assert (batch["jobId"], batch["state"], batch["numberRecordsProcessed"]) == (job_id, "Queued", "0")


def test_a_batch_in_json_has_all_names_in_alphabetical_order(bulk: AsyncWitness) -> None:
    """Facts: "`stateMessage` … in JSON always (null)"; the captured body; list `{"batchInfo":[…]}`."""
    job_id = bulk.create("insert", "Account", "JSON")
    batch = bulk.post(f"/job/{job_id}/batch", '[{"Name":"A"}]', JSON).json
    assert list(batch) == sorted([*ORDER, "stateMessage"])
    assert (batch["state"], batch["stateMessage"], batch["totalProcessingTime"]) == ("Queued", None, 0)
    listed = bulk.call("GET", f"/job/{job_id}/batch").json
    assert [each["id"] for each in listed["batchInfo"]] == [batch["id"]]


def test_a_batch_runs_though_its_job_is_open_and_is_seen_on_its_way(bulk: AsyncWitness, org: LocalOrg) -> None:
    """A batch is live as soon as it is accepted; states `Queued`, `InProgress`, `Completed`."""
    job_id = bulk.create("insert")
    batch_id = bulk.add(job_id, "Name\nA\n")
    org.wait_until_idle()
    assert [record["Name"] for record in org.records("Account")] == ["A"]
    assert [bulk.batch(job_id, batch_id)["state"] for _ in range(3)] == ["InProgress", "Completed", "Completed"]
    assert bulk.job(job_id)["state"] == "Open"


def test_a_job_counts_its_batches(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "Completion is judged from the batches (queued + in progress = 0)"; "`numberRecordsProcessed`
    includes failed rows"."""
    job_id = bulk.create("insert")
    bulk.add(job_id, "Name,NumberOfEmployees\nA,1\nB,many\n")
    bulk.add(job_id, "Nope__c\nA\n")
    org.wait_until_idle()
    first, second = bulk.job(job_id), bulk.job(job_id)
    names = ("Queued", "InProgress", "Completed", "Failed", "Total")
    assert [first[f"numberBatches{name}"] for name in names] == ["0", "2", "0", "0", "2"]
    assert [second[f"numberBatches{name}"] for name in names] == ["0", "0", "1", "1", "2"]
    assert (second["numberRecordsProcessed"], second["numberRecordsFailed"]) == ("2", "1")


def test_results_come_in_the_order_of_the_request_whatever_failed(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "Rows come in the order of the request, one per input row"; the recorded CSV with LF."""
    job_id, batch_id, batch = bulk.load("insert", 'Name,NumberOfEmployees\nA,1\n"B" ,2\n,3\nC,4,5\nD,few\nE,6\n')
    assert (batch["numberRecordsProcessed"], batch["numberRecordsFailed"]) == ("6", "4")
    answer = bulk.result(job_id, batch_id)
    assert answer.headers["content-type"] == "text/csv"
    lines = answer.text.split("\n")
    assert lines[0] == '"Id","Success","Created","Error"'
    first, last = (record["Id"] for record in org.records("Account"))
    assert lines[1] == f'"{first}","true","true",""'
    assert lines[3] == '"","false","false","REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"'
    assert lines[6] == f'"{last}","true","true",""'
    assert [row["Success"] for row in answer.rows] == ["true", "false", "false", "false", "false", "true"]


def test_created_is_true_for_what_was_made(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "`Created` is `true` for inserts and inserting upserts, `false` for update and delete"."""
    (made,) = bulk.rows("insert", "Name,External_Key__c\nA,1\n")
    key = {"externalIdFieldName": "External_Key__c"}
    both = bulk.rows("upsert", "External_Key__c,Name\n1,B\n2,C\n", **key)
    assert [(row["Success"], row["Created"]) for row in both] == [("true", "false"), ("true", "true")]
    assert [row["Created"] for row in bulk.rows("update", f"Id,Phone\n{made['Id']},5\n")] == ["false"]
    assert [row["Created"] for row in bulk.rows("delete", f"Id\n{made['Id']}\n")] == ["false"]
    assert [record["Name"] for record in org.records("Account")] == ["C"]
    assert len(org.records("Account", include_deleted=True)) == 2
    bulk.rows("hardDelete", f"Id\n{both[1]['Id']}\n")
    assert len(org.records("Account", include_deleted=True)) == 1


def test_xml_in_xml_out(bulk: AsyncWitness, org: LocalOrg) -> None:
    """The XML of records, `xsi:nil="true"` for null, and the XML of results."""
    rows = ("<Name>A &lt;1&gt;</Name><Phone>5</Phone>", "<Phone>6</Phone>")
    job_id, batch_id, batch = bulk.load("insert", xml_rows(*rows), "Account", "XML")
    assert (batch["state"], batch["numberRecordsFailed"]) == ("Completed", "1")
    answer = bulk.result(job_id, batch_id)
    (record,) = org.records("Account")
    assert (record["Name"], record["Phone"]) == ("A <1>", "5")
    assert answer.headers["content-type"] == XML
    assert answer.text == (
        f'<?xml version="1.0" encoding="UTF-8"?><results xmlns="{NS}">'
        f"<result><id>{record['Id']}</id><success>true</success><created>true</created></result>"
        "<result><errors><fields>Name</fields><message>Required fields are missing: [Name]</message>"
        "<statusCode>REQUIRED_FIELD_MISSING</statusCode></errors><success>false</success><created>false</created></result>"
        "</results>"
    )
    bulk.load("update", xml_rows(f'<Id>{record["Id"]}</Id><Phone xsi:nil="true"/><Fax/>'), "Account", "XML")
    assert org.records("Account")[0]["Phone"] is None


def test_json_in_json_out(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "JSON: an array of flat objects, `null` for null"; the JSON of results."""
    sent = [{"Name": "A", "NumberOfEmployees": 7, "AnnualRevenue": 1.25e2, "Phone": "5"}, {"name": None}]
    job_id, batch_id, batch = bulk.load("insert", json.dumps(sent), "Account", "JSON")
    assert (batch["state"], batch["numberRecordsFailed"]) == ("Completed", 1)
    (record,) = org.records("Account")
    assert (record["NumberOfEmployees"], record["AnnualRevenue"]) == (7, 125.0)
    answer = bulk.result(job_id, batch_id)
    assert answer.headers["content-type"] == JSON
    error = {
        "message": "Required fields are missing: [Name]",
        "fields": ["Name"],
        "statusCode": "REQUIRED_FIELD_MISSING",
        "extendedErrorDetails": None,
    }
    assert answer.json == [
        {"success": True, "created": True, "id": record["Id"], "errors": []},
        {"success": False, "created": False, "id": None, "errors": [error]},
    ]
    bulk.load("update", json.dumps([{"Id": record["Id"], "Phone": None}]), "Account", "JSON")
    assert org.records("Account")[0]["Phone"] is None


def test_parents_by_external_id_in_all_three_formats(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "nested object for a relationship key (`{"Account":{"Ext_Key__c":"A-1"}}`)"."""
    (parent,) = bulk.rows("insert", "Name,External_Key__c\nA,K\n")
    bulk.load("insert", "LastName,Account.External_Key__c\nC,K\n", "Contact")
    nested = {"LastName": "J", "Account": {"External_Key__c": "K"}}
    bulk.load("insert", json.dumps([nested, nested | {"Account": {"External_Key__c": "no"}}]), "Contact", "JSON")
    row = "<LastName>X</LastName><Account><sObject><External_Key__c>K</External_Key__c></sObject></Account>"
    bulk.load("insert", xml_rows(row), "Contact", "XML")
    assert {(c["LastName"], c["AccountId"]) for c in org.records("Contact")} == {(n, parent["Id"]) for n in "CJX"}


@pytest.mark.parity("G9.13")
def test_a_parent_of_several_kinds_says_which_it_is(bulk: AsyncWitness, org: LocalOrg) -> None:
    lookup = {
        **{"name": "Who__c", "type": "reference", "relationshipName": "Who__r", "referenceTo": ["Contact", "Lead"]},
        **{"createable": True, "updateable": True, "nillable": True},
    }
    org.add_object(name="Visit__c", fields=[lookup])
    bulk.rows("insert", "LastName,Company,External_Key__c\nA,B,L\n", "Lead")
    nested: dict[str, Any] = {"Who__r": {"attributes": {"type": "Lead"}, "External_Key__c": "L"}}
    _, _, batch = bulk.load("insert", json.dumps([nested]), "Visit__c", "JSON")
    assert (batch["state"], batch["numberRecordsFailed"]) == ("Completed", 0)
    typed = "<Who__r><sObject><type>Lead</type><External_Key__c>L</External_Key__c></sObject></Who__r>"
    bulk.load("insert", xml_rows(typed), "Visit__c", "XML")
    (lead,) = org.records("Lead")
    assert [visit["Who__c"] for visit in org.records("Visit__c")] == [lead["Id"]] * 2


def test_csv_null_and_empty_cells(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "CSV null is `#N/A`; empty cells are ignored on update"."""
    (made,) = bulk.rows("insert", "Name,Phone,Fax\nA,1,2\n")
    bulk.rows("update", f"Id,Phone,Fax\n{made['Id']},#N/A,\n")
    (record,) = org.records("Account")
    assert (record["Phone"], record["Fax"]) == (None, "2")


def test_lines_may_end_with_crlf_and_the_body_may_come_in_chunks(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "Recorded: the batch POST with `Transfer-Encoding: chunked` works …, with `\\r\\n` line ends in
    the CSV"."""
    job_id = bulk.create("insert")
    connection = http.client.HTTPConnection(urlsplit(org.url).netloc, timeout=30)
    pieces = iter([b'"Name","Descr', b'iption"\r\n"A","x\r\ny"\r', b'\n"B","z"\r\n'])
    headers = {"X-SFDC-Session": bulk.session, "Content-Type": CSV}
    connection.request("POST", f"{A}/job/{job_id}/batch", pieces, headers, encode_chunked=True)
    assert connection.getresponse().status == 201
    connection.close()
    org.wait_until_idle()
    assert [(each["Name"], each["Description"]) for each in org.records("Account")] == [("A", "x\r\ny"), ("B", "z")]


def test_the_data_are_echoed_as_sent(bulk: AsyncWitness) -> None:
    """Facts: "Echo of a batch's data: 200 + data as sent (v19+)"."""
    data = '"Name","Fax"\r\n"Ä","#N/A"\r\n'
    job_id, batch_id, _ = bulk.load("insert", data)
    answer = bulk.call("GET", f"/job/{job_id}/batch/{batch_id}/request")
    assert (answer.status, answer.headers["content-type"], answer.text) == (200, "text/csv", data)


def test_a_format_in_the_query_changes_nothing(bulk: AsyncWitness) -> None:
    """Facts: "CumulusCI adds `?format=json` on a result URL; the server ignores or accepts it"."""
    job_id, batch_id, _ = bulk.load("insert", "Name\nA\n")
    answer = bulk.call("GET", f"/job/{job_id}/batch/{batch_id}/result?format=json")
    assert answer.text == bulk.result(job_id, batch_id).text


def test_only_the_comma_separates(bulk: AsyncWitness) -> None:
    """Facts: "CSV: header + rows (comma only)"."""
    assert bulk.failure("insert", "Name;Phone\nA;1\n") == "InvalidBatch : Field name not found : Name;Phone"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("Name,Nickname__c\nA,B\n", "InvalidBatch : Field name not found : Nickname__c"),
        ('Name\nA"B\n', "InvalidBatch : Failed to parse CSV. Found unescaped quote"),
        ('\ufeff"Name"\nA\n', "InvalidBatch : Failed to parse CSV. Found unescaped quote"),
        ("Nope__r.Key__c\nA\n", "InvalidBatch : Unable to find relationship: Nope__r"),
    ],
)
def test_a_batch_fails_as_a_whole_and_has_no_results(bulk: AsyncWitness, data: str, message: str) -> None:
    """Facts: "batch as a whole failed; see `stateMessage`; results cannot be fetched"; "error `InvalidBatch`
    / `Records not processed`"."""
    job_id, batch_id, batch = bulk.load("insert", data)
    assert (batch["state"], batch["stateMessage"]) == ("Failed", message)
    assert list(batch).index("stateMessage") == list(batch).index("state") + 1
    assert error(bulk.result(job_id, batch_id)) == (400, "InvalidBatch", "Records not processed")


def test_data_of_another_format_fail_the_batch(bulk: AsyncWitness) -> None:
    for content_type, data in (
        ("XML", "<sObjects"),
        ("XML", "<sObjects/>"),
        ("XML", f'<!DOCTYPE sObjects [<!ENTITY x "A">]>{xml_rows("<Name>&x;</Name>").partition("?>")[2]}'),
        ("JSON", "{}"),
        ("JSON", "[1]"),
        ("JSON", '[{"Name": NaN}]'),
        ("JSON", '[{"Name": ["A"]}]'),
        ("JSON", "[" * 50_000),
    ):
        message = bulk.failure("insert", data, "Account", content_type)
        assert message.startswith(f"InvalidBatch : Failed to parse {content_type}"), message


def test_binary_columns_are_for_zip_jobs(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "`Binary field Body is only supported for content types ZIP_XML and ZIP_CSV`"."""
    org.add_object(name="Paper__c", fields=[{"name": "Body", "type": "base64", "createable": True, "nillable": True}])
    message = "InvalidBatch : Binary field Body is only supported for content types ZIP_XML and ZIP_CSV"
    assert bulk.failure("insert", "Body\nAAAA\n", "Paper__c") == message


def test_results_are_not_there_while_the_batch_runs(bulk: AsyncWitness, org: LocalOrg) -> None:
    job_id = bulk.create("insert")
    batch_id = bulk.add(job_id, "Name\nA\n")
    org.wait_until_idle()
    assert bulk.batch(job_id, batch_id)["state"] == "InProgress"
    assert error(bulk.result(job_id, batch_id))[:2] == (400, "InvalidBatch")


def test_a_batch_without_anything_is_refused(bulk: AsyncWitness) -> None:
    job_id = bulk.create("insert")
    expected = (400, "ClientInputError", "Unable to find any data to create batch")
    assert error(bulk.post(f"/job/{job_id}/batch", b"", CSV)) == expected


def test_an_aborted_job_drops_what_has_not_started_and_keeps_what_is_done() -> None:
    """Facts: "Abort: batches not yet started are dropped, finished rows stay"; "`NotProcessed`: will not run:
    job aborted"."""
    with LocalOrg(job_seconds=60) as org:
        bulk = AsyncWitness(org)
        job_id = bulk.create("insert", concurrencyMode="Serial")
        batch_ids = [bulk.add(job_id, f"Name\n{name}\n") for name in "ABC"]
        _until(org, bulk, job_id, batch_ids[0], "InProgress")
        org.advance(61)
        _until(org, bulk, job_id, batch_ids[0], "Completed")
        _until(org, bulk, job_id, batch_ids[1], "InProgress")
        assert values(bulk.state(job_id, "Aborted"))["state"] == "Aborted"
        org.advance(61)
        _until(org, bulk, job_id, batch_ids[1], "Completed")
        assert bulk.batch(job_id, batch_ids[2])["state"] == "NotProcessed"
        assert error(bulk.result(job_id, batch_ids[2])) == (400, "InvalidBatch", "Records not processed")
        assert [record["Name"] for record in org.records("Account")] == ["A", "B"]


def _until(org: LocalOrg, bulk: AsyncWitness, job_id: str, batch_id: str, state: str) -> None:
    for _ in range(2000):
        if bulk.batch(job_id, batch_id)["state"] == state:
            return
    raise AssertionError(f"{batch_id} never is {state}")


# --- limits and packing ---


def test_a_batch_has_10_000_records_at_most(bulk: AsyncWitness) -> None:
    """Facts: "up to 10 MB / 10,000 records / 10,000,000 characters"; the server's own count is one higher."""
    assert bulk.load("insert", "Name\n" + "A\n" * 10_000)[2]["state"] == "Completed"
    message = (
        "InvalidBatch : Exceeded number of records : 10002. Number of records should be less than or equal to 10001"
    )
    assert bulk.failure("insert", "Name\n" + "A\n" * 10_001) == message
    rows = json.dumps([{"Name": "A"}] * 10_001)
    assert bulk.failure("insert", rows, "Account", "JSON") == message


def test_a_batch_has_10_000_000_characters_at_most(bulk: AsyncWitness, org: LocalOrg) -> None:
    org.core.job_seconds = 3600  # what is in it is not looked at
    job_id = bulk.create("insert")
    path = f"/job/{job_id}/batch"
    fits = b"Name\n".ljust(limits.BATCH_CHARACTERS, b"\n")
    assert bulk.post(path, fits, CSV).status == 201
    expected = (400, "ClientInputError", "Failed to read request. Exceeded max size limit of 10000000")
    assert error(bulk.post(path, fits + b"\n", CSV)) == expected
    assert error(bulk.post(path, gzip.compress(fits + b"\n"), CSV, content_encoding="gzip")) == expected


def test_fields_and_records_have_their_most_characters(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "Field / record / fields: 131,072 / 400,000 / 5,000"."""
    long = [
        {"name": f"T{n}__c", "type": "textarea", "length": 131_072, "createable": True, "nillable": True}
        for n in range(4)
    ]
    org.add_object(name="Long__c", fields=long)
    fits, wide = "x" * 131_072, ",".join(["x" * 100_001] * 4)
    data = f"T0__c,T1__c,T2__c,T3__c\n{fits},,,\n{fits}x,,,\n{wide}\n"
    assert [row["Success"] for row in bulk.rows("insert", data, "Long__c")] == ["true", "false", "false"]
    header = ",".join(f"F{n}" for n in range(5_001))
    assert "5000" in bulk.failure("insert", f"{header}\n1\n")


def test_requests_may_be_gzipped_and_nothing_else(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "`Content-Encoding: gzip`: only accepted compression; other codings → 415"."""
    job_id = bulk.create("insert")
    batch_id = bulk.add(job_id, gzip.compress(b"Name\nPacked\n"), "CSV", content_encoding="gzip")
    org.wait_until_idle()
    assert [record["Name"] for record in org.records("Account")] == ["Packed"]
    assert bulk.call("GET", f"/job/{job_id}/batch/{batch_id}/request").text == "Name\nPacked\n"
    path = f"/job/{job_id}/batch"
    assert bulk.post(path, zlib.compress(b"Name\nA\n"), CSV, content_encoding="deflate").status == 415
    assert error(bulk.post(path, b"Name\nA\n", CSV, content_encoding="gzip"))[:2] == (400, "ClientInputError")
    cut = gzip.compress(b"Name\nA\n")[:-9]
    assert error(bulk.post(path, cut, CSV, content_encoding="gzip"))[:2] == (400, "ClientInputError")


def test_answers_are_gzipped_for_who_accepts_it(bulk: AsyncWitness) -> None:
    """Facts: "`Accept-Encoding: gzip`: responses since v27"."""
    job_id, batch_id, _ = bulk.load("insert", "Name\n" + "A\n" * 100)
    answer = bulk.call("GET", f"/job/{job_id}/batch/{batch_id}/result", accept_encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body).count(b"\n") == 101


def test_line_endings_inside_text_areas_are_set(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "`Sforce-Line-Ending`: `LF`/`CRLF` inside text-area values"."""
    bulk.rows("insert", 'Name,Description\nA,"x\r\ny\nz"\n', sforce_line_ending="LF")
    bulk.rows("insert", 'Name,Description\nB,"x\r\ny\nz"\n', sforce_line_ending="CRLF")
    assert [each["Description"] for each in org.records("Account")] == ["x\ny\nz", "x\r\ny\r\nz"]
    assert error(bulk.post("/job", job_xml("insert"), XML, sforce_line_ending="CR"))[:2] == (400, "InvalidJob")


def test_a_charset_that_is_not_utf_8_is_refused(bulk: AsyncWitness) -> None:
    job_id = bulk.create("insert")
    answer = bulk.post(f"/job/{job_id}/batch", "Name\nÄ\n".encode("latin-1"), "text/csv; charset=ISO-8859-1")
    assert error(answer)[:2] == (400, "ClientInputError")
    assert info(bulk.call("GET", f"/job/{job_id}"))["numberBatchesTotal"] == "0"
    assert bulk.failure("insert", "Name\nÄ\n".encode("latin-1")) == "ClientInputError : Data is not valid UTF-8"


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("JSON", "[{}]"),
        ("JSON", '[{}, {"Name": "A"}]'),
        ("XML", xml_rows("")),
        ("XML", xml_rows("", "<Name>A</Name>")),
    ],
)
@pytest.mark.parametrize("operation", ["insert", "update", "delete", "hardDelete"])
def test_a_record_without_fields_fails_its_row_or_its_batch(
    bulk: AsyncWitness, org: LocalOrg, content_type: str, data: str, operation: str
) -> None:
    job_id, batch_id, ended = bulk.load(operation, data, "Account", content_type)
    if operation == "insert":
        assert ended["state"] == "Completed"
        assert "REQUIRED_FIELD_MISSING" in bulk.result(job_id, batch_id).text
    else:
        assert (ended["state"], ended["stateMessage"]) == ("Failed", "InvalidBatch : Field name not found : Id")
    assert [each["Name"] for each in org.records("Account")] == (
        ["A"] if "Name" in data and operation == "insert" else []
    )
