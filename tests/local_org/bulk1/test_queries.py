"""Queries of Bulk API 1.0, and PK chunking."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.bulk1.async_witness import CSV, JSON, NS, XML, AsyncWitness, error, job_xml

XSI = "http://www.w3.org/2001/XMLSchema-instance"


def test_a_query_has_a_list_of_results_with_ids_of_15_characters(bulk: AsyncWitness) -> None:
    """Facts: "`<result-list xmlns="…"><result>7528d000000RsXy</result></result-list>`"; "query result ids are
    15 characters"; the batch is soql; "`/request`"."""
    bulk.rows("insert", "Name,Phone\nA,1\nB,\n")
    job_id, batch_id, batch = bulk.load("query", "SELECT Name, Phone FROM Account ORDER BY Name")
    assert (batch["state"], batch["numberRecordsProcessed"]) == ("Completed", "2")
    listed = bulk.result(job_id, batch_id)
    assert listed.headers["content-type"] == XML
    (result_id,) = bulk.result_ids(job_id, batch_id)
    assert listed.text == f'<result-list xmlns="{NS}"><result>{result_id}</result></result-list>'
    assert re.fullmatch(r"752\w{12}", result_id)
    answer = bulk.result_file(job_id, batch_id, result_id)
    assert (answer.headers["content-type"], answer.text) == ("text/csv", '"Name","Phone"\n"A","1"\n"B",""\n')
    request = bulk.call("GET", f"/job/{job_id}/batch/{batch_id}/request")
    assert request.text == "SELECT Name, Phone FROM Account ORDER BY Name"


def test_a_large_result_is_split_each_file_with_its_header(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "Several ids when the result is split: each file ≤ 1 GB"; "all quoted, header first in each
    file"."""
    bulk.rows("insert", "Name\nA\nB\nC\nD\nE\n")
    org.core.result_file_bytes = 20
    soql = "SELECT Name FROM Account ORDER BY Name"
    files = bulk.query(soql)
    assert [file.text for file in files] == ['"Name"\n"A"\n"B"\n"C"\n', '"Name"\n"D"\n"E"\n']
    org.core.result_file_bytes = 350
    in_json = bulk.query(soql, content_type="JSON")
    assert [[row["Name"] for row in file.json] for file in in_json] == [["A", "B"], ["C", "D"], ["E"]]
    assert max(len(file.body) for file in in_json) <= 350
    in_xml = bulk.query(soql, content_type="XML")
    assert all(file.text.endswith("</queryResult>") and len(file.body) <= 350 for file in in_xml)
    assert re.findall("<Name>(.)", "".join(file.text for file in in_xml)) == list("ABCDE")


def test_json_has_attributes_nested_parents_and_milliseconds(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "pretty-printed array of objects, each with an `attributes` block (`type`, `url`), related
    records nested, null as `null`, dateTime as epoch milliseconds"; the url has the id though it is not
    selected (simple-salesforce#290)."""
    bulk.rows("insert", "Name,NumberOfEmployees,External_Key__c\nA,5,K\n")
    bulk.rows("insert", "LastName,Account.External_Key__c\nWith,K\n", "Contact")
    bulk.rows("insert", "LastName\nWithout\n", "Contact")
    soql = "SELECT LastName, Phone, CreatedDate, IsDeleted, Account.Owner.Name, Account.NumberOfEmployees FROM Contact"
    (answer,) = bulk.query(f"{soql} ORDER BY LastName", "Contact", "JSON")
    assert answer.headers["content-type"] == JSON
    first, second = org.records("Contact")
    (account,) = org.records("Account")
    url = "/services/data/v66.0/sobjects"
    owner = {"attributes": {"type": "User", "url": f"{url}/User/{org.user_id}"}, "Name": "Local Loader"}
    parent = {
        "attributes": {"type": "Account", "url": f"{url}/Account/{account['Id']}"},
        "Owner": owner,
        "NumberOfEmployees": 5,
    }
    assert answer.json == [
        {
            "attributes": {"type": "Contact", "url": f"{url}/Contact/{each['Id']}"},
            "LastName": name,
            "Phone": None,
            "CreatedDate": int(datetime.fromisoformat(each["CreatedDate"]).timestamp()) * 1000,
            "IsDeleted": False,
            "Account": up,
        }
        for each, name, up in ((first, "With", parent), (second, "Without", None))
    ]
    assert answer.text.startswith('[ {\n  "attributes" : {\n    "type" : "Contact",')


def test_json_results_are_listed_in_json_and_none_are_an_empty_list(bulk: AsyncWitness) -> None:
    """Facts: "JSON `["7528d000000RsXy"]`"; "JSON with no rows: result list `[]`"."""
    job_id, batch_id, _ = bulk.load("query", "SELECT Id FROM Account", "Account", "JSON")
    listed = bulk.result(job_id, batch_id)
    assert (listed.headers["content-type"], listed.json) == (JSON, [])


def test_csv_without_rows_is_a_line_of_prose(bulk: AsyncWitness) -> None:
    """Facts: "the body is the bare text `Records not found for this query` (no header)"."""
    assert [file.text for file in bulk.query("SELECT Id FROM Account")] == ["Records not found for this query"]


def test_xml_records_have_their_id_twice(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "XML: `<queryResult><records xsi:type="sObject">…`, where `Id` appears twice"."""
    (made,) = bulk.rows("insert", "Name,Phone\nA & B,\n")
    (answer,) = bulk.query("SELECT Id, Name, Phone, IsDeleted FROM Account", content_type="XML")
    assert answer.headers["content-type"] == XML
    assert answer.text == (
        f'<?xml version="1.0" encoding="UTF-8"?><queryResult xmlns="{NS}" xmlns:xsi="{XSI}"><records xsi:type="sObject">'
        f"<type>Account</type><Id>{made['Id']}</Id><Id>{made['Id']}</Id><Name>A &amp; B</Name>"
        '<Phone xsi:nil="true"/><IsDeleted>false</IsDeleted></records></queryResult>'
    )
    bulk.rows("insert", f"LastName,AccountId\nWith,{made['Id']}\nWithout,\n", "Contact")
    (answer,) = bulk.query("SELECT Account.Name FROM Contact ORDER BY LastName", "Contact", "XML")
    assert (
        '<Account xsi:type="sObject"><type>Account</type><Id xsi:nil="true"/><Name>A &amp; B</Name></Account>'
        in answer.text
    )
    assert '<Account xsi:nil="true"/></records></queryResult>' in answer.text
    (none,) = bulk.query("SELECT Id FROM Lead", "Lead", "XML")
    assert none.text.endswith("></queryResult>")


def test_query_all_sees_the_recycle_bin(bulk: AsyncWitness) -> None:
    (made,) = bulk.rows("insert", "Name\nA\n")
    bulk.rows("delete", f"Id\n{made['Id']}\n")
    (live,) = bulk.query("SELECT Name FROM Account")
    (everything,) = bulk.query("SELECT Name, IsDeleted FROM Account", operation="queryAll")
    assert live.text == "Records not found for this query"
    assert everything.text == '"Name","IsDeleted"\n"A","true"\n'


@pytest.mark.parametrize(
    ("soql", "message"),
    [
        (
            "SELECT BillingAddress FROM Account",
            "InvalidBatch : Failed to process query: FUNCTIONALITY_NOT_ENABLED: Selecting compound data not supported in "
            "Bulk Query",
        ),
        (
            "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
            "FeatureNotEnabled : Aggregate Relationships not supported in Bulk Query with CSV content type",
        ),
        ("SELECT Body FROM Account", "FeatureNotEnabled : Binary field not supported"),
        (
            "SELECT Id FROM Contact",
            "INVALID_TYPE_FOR_OPERATION: The root entity of the requested query (Contact) does not match the entity of the "
            "requested Bulk API Job (Account)",
        ),
    ],
)
def test_queries_that_are_refused_fail_the_batch(bulk: AsyncWitness, org: LocalOrg, soql: str, message: str) -> None:
    """The typical `stateMessage`s of section 5."""
    if "Body" in soql:
        org.add_object(name="Account", fields=[{"name": "Name", "type": "string"}, {"name": "Body", "type": "base64"}])
    job_id, batch_id, batch = bulk.load("query", soql)
    assert (batch["state"], batch["stateMessage"]) == ("Failed", message)
    assert error(bulk.result(job_id, batch_id)) == (400, "InvalidBatch", "Records not processed")


def test_an_unknown_field_fails_the_batch_with_its_place(bulk: AsyncWitness) -> None:
    message = bulk.failure("query", "SELECT Nope FROM Account")
    assert message.startswith("InvalidBatch : Failed to process query: INVALID_FIELD: ")
    assert "ERROR at Row:1:Column:8" in message


# --- PK chunking ---


def chunked(bulk: AsyncWitness, header: str, soql: str, content_type: str = "CSV") -> tuple[str, str]:
    job_id = bulk.create("query", "Account", content_type, sforce_enable_pkchunking=header)
    return job_id, bulk.add(job_id, soql, content_type)


def test_the_original_is_not_processed_and_there_is_a_batch_a_chunk(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "The posted batch turns `NotProcessed`; the server adds one batch per id range"; "Each chunk
    counts as one batch of the daily allocation"."""
    bulk.rows("insert", "Name\n" + "".join(f"N{n}\n" for n in range(7)))
    before = org.core.usage.batches.used
    job_id, original = chunked(bulk, "chunkSize=3", "SELECT Name FROM Account")
    assert bulk.wait(job_id, original)["state"] == "NotProcessed"
    assert error(bulk.result(job_id, original)) == (400, "InvalidBatch", "Records not processed")
    first, *others = bulk.batches(job_id)
    assert (first["id"], first["state"], len(others)) == (original, "NotProcessed", 3)
    ended = [bulk.wait(job_id, each["id"]) for each in others]
    assert [(each["state"], each["numberRecordsProcessed"]) for each in ended] == [
        ("Completed", "3"),
        ("Completed", "3"),
        ("Completed", "1"),
    ]
    names = []
    for each in others:
        (result_id,) = bulk.result_ids(job_id, each["id"])
        names += [row["Name"] for row in bulk.result_file(job_id, each["id"], result_id).rows]
    assert names == [f"N{n}" for n in range(7)]
    assert org.core.usage.batches.used - before == 4
    job = bulk.job(job_id)
    assert (job["numberBatchesTotal"], job["numberRecordsProcessed"]) == ("4", "7")


def test_the_state_may_be_spelled_with_a_blank(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "Spelling of the last: the enum and most clients say `NotProcessed`; the PK-chunking walk-through …
    print `Not Processed`"."""
    org.core.not_processed = "Not Processed"
    job_id, original = chunked(bulk, "TRUE", "SELECT Id FROM Account")
    org.wait_until_idle()
    assert bulk.batch(job_id, original)["state"] == "Not Processed"
    assert bulk.batches(job_id)[0]["state"] == "Not Processed"


def test_new_batches_show_when_the_original_has_left_the_queue(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "New batches may appear while the job runs"."""
    bulk.rows("insert", "Name\nA\nB\n")
    job_id, original = chunked(bulk, "chunkSize=1", "SELECT Id FROM Account")
    org.wait_until_idle()
    assert bulk.batch(job_id, original)["state"] == "NotProcessed"
    assert [each["state"] for each in bulk.batches(job_id)] == ["NotProcessed", "InProgress", "InProgress"]


def test_deleted_records_count_for_the_chunks_and_are_not_returned(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "soft-deleted rows count for the chunk size but are not returned"; "A batch may be empty … and
    then gives the 'Records not found' text in CSV"."""
    rows = bulk.rows("insert", "Name\nA\nB\nC\nD\n")
    bulk.rows("delete", "Id\n" + "".join(f"{row['Id']}\n" for row in rows[:2]))
    job_id, original = chunked(bulk, "chunkSize=2", "SELECT Name FROM Account")
    bulk.wait(job_id, original)
    org.wait_until_idle()
    empty, full = [bulk.wait(job_id, each["id"]) for each in bulk.batches(job_id)[1:]]
    assert (empty["numberRecordsProcessed"], full["numberRecordsProcessed"]) == ("0", "2")
    (result_id,) = bulk.result_ids(job_id, empty["id"])
    assert bulk.result_file(job_id, empty["id"], result_id).text == "Records not found for this query"


def test_chunks_may_start_at_a_record(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "`startRow` a 15- or 18-character id"; "Parts are joined with `; `"; "`parent` for
    sharing/history objects"."""
    rows = bulk.rows("insert", "Name\nA\nB\nC\nD\n")
    header = f"chunkSize=2; startRow={rows[1]['Id'][:15]}; parent=Account"
    job_id, original = chunked(bulk, header, "SELECT Name FROM Account WHERE Name != 'C'")
    bulk.wait(job_id, original)
    org.wait_until_idle()
    counts = [bulk.wait(job_id, each["id"])["numberRecordsProcessed"] for each in bulk.batches(job_id)[1:]]
    assert counts == ["1", "1"]


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Name FROM Account ORDER BY Name",
        "SELECT Name FROM Account LIMIT 5",
        "SELECT Name FROM Account WHERE Id != null",
    ],
)
def test_order_limit_and_filters_by_id_switch_chunking_off(bulk: AsyncWitness, soql: str) -> None:
    """Facts: "Only WHERE is allowed; ORDER BY, LIMIT or an id filter switches chunking off"."""
    bulk.rows("insert", "Name\nA\nB\n")
    job_id, original = chunked(bulk, "chunkSize=1", soql)
    assert bulk.wait(job_id, original)["state"] == "Completed"
    assert len(bulk.batches(job_id)) == 1


def test_the_header_takes_true_and_false_and_has_a_maximum(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "or just `TRUE`/`FALSE`"; "`chunkSize` default 100,000, maximum 250,000"."""
    bulk.rows("insert", "Name\nA\n")
    job_id, original = chunked(bulk, "TRUE", "SELECT Name FROM Account")
    assert bulk.wait(job_id, original)["state"] == "NotProcessed"
    assert len(bulk.batches(job_id)) == 2
    (entry,) = [each for each in org.core.bulk1 if each.job.id == job_id]
    assert entry.job.chunk_records == 100_000
    job_id, original = chunked(bulk, "FALSE", "SELECT Name FROM Account")
    assert bulk.wait(job_id, original)["state"] == "Completed"
    for header in ("chunkSize=250001", "chunkSize=0", "startRow=x", "nope=1"):
        answer = bulk.post("/job", job_xml("query"), XML, sforce_enable_pkchunking=header)
        assert error(answer)[:2] == (400, "InvalidJob"), header


def test_a_job_closed_too_early_misses_chunks(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "Before closing such a job wait until the original batch has left the queue (`NotProcessed`), or
    chunks may be missing"."""
    bulk.rows("insert", "Name\nA\nB\nC\n")
    job_id, original = chunked(bulk, "chunkSize=1", "SELECT Name FROM Account")
    org.wait_until_idle()
    bulk.state(job_id, "Closed")
    bulk.wait(job_id, original)
    assert len(bulk.batches(job_id)) == 2
    job_id, original = chunked(bulk, "chunkSize=1", "SELECT Name FROM Account")
    bulk.wait(job_id, original)
    bulk.state(job_id, "Closed")
    assert len(bulk.batches(job_id)) == 4


def test_chunks_of_a_serial_job_and_chunks_beyond_the_days_batches(bulk: AsyncWitness, org: LocalOrg) -> None:
    bulk.rows("insert", "Name\nA\nB\nC\n")
    org.core.usage.batches.maximum = org.core.usage.batches.used + 3
    job_id = bulk.create("query", "Account", sforce_enable_pkchunking="chunkSize=1", concurrencyMode="Serial")
    original = bulk.add(job_id, "SELECT Name FROM Account")
    bulk.wait(job_id, original)
    ended = [bulk.wait(job_id, each["id"]) for each in bulk.batches(job_id)[1:]]
    assert [each["state"] for each in ended] == ["Completed", "Completed", "Failed"]
    assert ended[2]["stateMessage"] == "ExceededQuota : ApiBatchItems Limit exceeded"


def test_data_jobs_are_not_chunked(bulk: AsyncWitness) -> None:
    job_id = bulk.create("insert", sforce_enable_pkchunking="TRUE")
    batch_id = bulk.add(job_id, "Name\nA\n")
    assert bulk.wait(job_id, batch_id)["state"] == "Completed"
    assert bulk.post(f"/job/{job_id}/batch", "Name\nB\n", CSV).status == 201
