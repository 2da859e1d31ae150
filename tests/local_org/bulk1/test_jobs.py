"""Jobs of Bulk API 1.0: each test names the fact that it is about."""

from __future__ import annotations

import json
import re

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.bulk1.async_witness import CSV, JSON, NS, XML, AsyncWitness, error, job_xml, values

ORDER = [
    *("id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state", "externalIdFieldName"),
    *("concurrencyMode", "contentType", "numberBatchesQueued", "numberBatchesInProgress", "numberBatchesCompleted"),
    *("numberBatchesFailed", "numberBatchesTotal", "numberRecordsProcessed", "numberRetries", "apiVersion"),
    *("numberRecordsFailed", "totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime"),
]


def test_a_job_is_created_by_xml_and_answered_in_the_recorded_order(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "Create job: POST /job, 201 + jobInfo"; "element order as recorded"."""
    answer = bulk.post("/job", job_xml("upsert", "Contact", externalIdFieldName="external_key__c"))
    assert (answer.status, answer.headers["content-type"]) == (201, XML)
    head = f'<?xml version="1.0" encoding="UTF-8"?><jobInfo\n   xmlns="{NS}">\n <id>750'
    assert answer.text.startswith(head)
    job = values(answer)
    assert list(job) == ORDER
    assert re.fullmatch(r"\w{18}", job["id"])
    assert (job["operation"], job["object"], job["externalIdFieldName"]) == ("upsert", "Contact", "External_Key__c")
    assert (job["state"], job["concurrencyMode"], job["contentType"]) == ("Open", "Parallel", "CSV")
    assert (job["apiVersion"], job["createdById"]) == ("66.0", org.user_id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", job["createdDate"])
    assert {job[name] for name in ORDER if name.startswith("number") or name.endswith("Time")} == {"0"}


def test_xml_is_the_default_of_job_and_batches(bulk: AsyncWitness) -> None:
    """Facts: "`XML` (default)"; "XML when absent"."""
    body = f'<jobInfo xmlns="{NS}"><operation>insert</operation><object>Account</object></jobInfo>'
    job = values(bulk.call("POST", "/job", body.encode()))
    assert job["contentType"] == "XML"


def test_a_job_is_created_by_json_and_answered_in_alphabetical_order(bulk: AsyncWitness) -> None:
    """Facts: "Answer, JSON: the same fields in alphabetical order, plus `assignmentRuleId: null`,
    `externalIdFieldName: null`, `fastPathEnabled: false`; `apiVersion` a number"."""
    sent = {"operation": "insert", "object": "Contact", "contentType": "JSON", "concurrencyMode": "Parallel"}
    answer = bulk.post("/job", json.dumps(sent), JSON)
    assert (answer.status, answer.headers["content-type"]) == (201, JSON)
    job = answer.json
    assert list(job) == sorted([*ORDER, "assignmentRuleId", "fastPathEnabled"])
    assert (job["assignmentRuleId"], job["externalIdFieldName"], job["fastPathEnabled"]) == (None, None, False)
    assert (job["apiVersion"], job["numberBatchesTotal"]) == (66.0, 0)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000\+0000", job["createdDate"])
    assert bulk.call("GET", f"/job/{job['id']}").json["state"] == "Open"
    assert bulk.post(f"/job/{job['id']}", '{"state":"Closed"}', JSON).json["state"] == "Closed"


def test_an_xml_body_for_a_json_job_is_answered_in_xml_and_its_batches_in_json(bulk: AsyncWitness) -> None:
    """Facts: "Recorded: a job created with an XML body but `<contentType>JSON</contentType>` got an XML
    answer; the batch POST with `Content-Type: application/json` then answered JSON"."""
    created = bulk.post("/job", job_xml("insert", content_type="JSON"))
    job = values(created)
    batch = bulk.post(f"/job/{job['id']}/batch", '[{"Name":"A"}]', JSON)
    assert batch.headers["content-type"] == JSON
    assert bulk.call("GET", f"/job/{job['id']}/batch").headers["content-type"] == JSON
    assert bulk.call("GET", f"/job/{job['id']}").json["contentType"] == "JSON"


def test_a_csv_job_tells_of_itself_in_xml_whatever_is_accepted(bulk: AsyncWitness) -> None:
    """Facts: "For CSV jobs `Accept: application/json` does not turn info bodies into JSON. Clients that want
    JSON info for a CSV job send the job body as JSON and get JSON for the job calls only"."""
    job_id = bulk.create("insert")
    assert bulk.call("GET", f"/job/{job_id}", accept=JSON).headers["content-type"] == XML
    by_json = bulk.post("/job", '{"operation":"insert","object":"Account","contentType":"CSV"}', JSON).json["id"]
    batch = bulk.post(f"/job/{by_json}/batch", "Name\nA\n", CSV)
    assert batch.headers["content-type"] == XML


def test_operations_and_content_types_are_case_sensitive(bulk: AsyncWitness) -> None:
    """Facts: "in exactly this case (`INSERT` is an error)"; "`contentType` is case-sensitive too";
    `InvalidJob: Unable to parse Job`."""
    assert error(bulk.post("/job", job_xml("INSERT"))) == (400, "InvalidJob", "Unable to parse Job")
    assert error(bulk.post("/job", job_xml("insert", content_type="csv"))) == (400, "InvalidJob", "Unable to parse Job")


@pytest.mark.parametrize(("given", "meant"), [("Serial", "Serial"), ("1", "Serial"), ("0", "Parallel")])
def test_concurrency_modes_may_be_numbers(bulk: AsyncWitness, given: str, meant: str) -> None:
    """Facts: "simple-salesforce sends the numbers 0 and 1 and works"."""
    assert values(bulk.post("/job", job_xml("insert", concurrencyMode=given)))["concurrencyMode"] == meant


def test_what_only_the_server_sets_cannot_be_sent(bulk: AsyncWitness) -> None:
    answer = bulk.post("/job", job_xml("insert", createdById="005"))
    assert error(answer) == (400, "InvalidJob", "CreatedById cannot be specified")


def test_jobs_of_no_object_or_no_key_are_refused(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "`InvalidJob` … `Unable to find object: X`"; upserts need their key; "`hardDelete` needs its own
    permission"."""
    assert error(bulk.post("/job", job_xml("insert", "Nope__c"))) == (
        400,
        "InvalidJob",
        "Unable to find object: Nope__c",
    )
    blank = "External ID was blank for Account. An External ID must be specified for upsert."
    assert error(bulk.post("/job", job_xml("upsert"))) == (400, "InvalidJob", blank)
    wrong = error(bulk.post("/job", job_xml("upsert", externalIdFieldName="Phone")))
    assert wrong == (400, "InvalidJob", "Field name provided, Phone does not match an External ID for Account")
    org.core.hard_delete = False
    assert error(bulk.post("/job", job_xml("hardDelete")))[:2] == (400, "FeatureNotEnabled")


def test_jobs_with_attachments_are_refused(bulk: AsyncWitness) -> None:
    """ZIP jobs (facts, section 10) are not built; the refusal has Salesforce's code."""
    assert error(bulk.post("/job", job_xml("insert", "Account", "ZIP_CSV")))[:2] == (400, "FeatureNotEnabled")
    job_id = bulk.create("insert")
    assert error(bulk.post(f"/job/{job_id}/batch", b"PK", "zip/csv"))[:2] == (400, "InvalidBatch")
    assert error(bulk.post(f"/job/{job_id}/spec", "a,b\n", CSV))[:2] == (400, "FeatureNotEnabled")


def test_json_jobs_exist_since_36(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "`JSON` (v36+)"."""
    for version, status in (("35.0", 400), ("36.0", 201)):
        path = f"/services/async/{version}/job"
        answer = bulk.rest.call(
            "POST",
            path,
            job_xml("insert", content_type="JSON"),
            authorization="",
            x_sfdc_session=bulk.session,
            content_type=XML,
        )
        assert answer.status == status


def test_closing_is_a_post_and_twice_is_an_error(bulk: AsyncWitness) -> None:
    """Facts: "Closing is a POST on the job, not a PATCH"; "`InvalidJobState` `Closing already closed Job not
    allowed`"."""
    job_id = bulk.create("insert")
    patched = bulk.call("PATCH", f"/job/{job_id}", b"", content_type=XML)
    assert error(patched)[:2] == (405, "InvalidUrl")
    assert patched.headers["allow"] == "GET, POST"
    closed = bulk.state(job_id, "Closed")
    assert (closed.status, values(closed)["state"]) == (200, "Closed")
    assert error(bulk.state(job_id, "Closed")) == (400, "InvalidJobState", "Closing already closed Job not allowed")
    aborting = (400, "InvalidJobState", "Aborting already Completed Job not allowed")
    assert error(bulk.state(job_id, "Aborted")) == aborting
    aborted = bulk.create("insert")
    assert values(bulk.state(aborted, "Aborted"))["state"] == "Aborted"
    assert error(bulk.state(aborted, "Closed")) == (400, "InvalidJobState", "Closing already aborted Job not allowed")
    assert error(bulk.state(bulk.create("insert"), "Open")) == (400, "InvalidJob", "Unable to parse Job")


def test_a_closed_job_stays_closed_and_takes_no_more_batches(bulk: AsyncWitness) -> None:
    """Facts: "after close it stays `Closed` while batches run"; "Failed to create batch, since the Job is not
    Open. Current job state is 'Closed'"."""
    job_id, _, _ = bulk.load("insert", "Name\nA\n")
    assert bulk.job(job_id)["state"] == "Closed"
    message = "Failed to create batch, since the Job is not Open. Current job state is 'Closed'"
    assert error(bulk.post(f"/job/{job_id}/batch", "Name\nB\n", CSV)) == (400, "InvalidJobState", message)


def test_a_job_without_batches_lists_an_empty_element(bulk: AsyncWitness) -> None:
    """Facts: "A job with no batches lists `<batchInfoList xmlns="…" />`"."""
    answer = bulk.call("GET", f"/job/{bulk.create('insert')}/batch")
    assert re.search(rf'<batchInfoList\s+xmlns="{NS}" />', answer.text)


def test_jobs_go_after_seven_days_and_are_closed_after_one(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "A job may be open 24 h; info and results are kept 7 days"."""
    job_id = bulk.create("insert")
    org.advance(24 * 3600 + 1)
    bulk.session = bulk.rest.log_in()
    assert bulk.job(job_id)["state"] == "Closed"
    org.advance(7 * 24 * 3600 + 1)
    bulk.session = bulk.rest.log_in()
    assert error(bulk.call("GET", f"/job/{job_id}")) == (400, "InvalidJob", f"Invalid job id: {job_id}")


def test_classic_jobs_show_up_in_the_list_of_bulk_2(bulk: AsyncWitness) -> None:
    """Facts: "A 1.0 job shows up in the 2.0 job list as `jobType: Classic`"."""
    inserting, querying = bulk.create("insert"), bulk.create("query")
    path = "/services/data/v66.0/jobs"
    both = bulk.rest.call("GET", f"{path}/ingest").json["records"]
    assert [(row["id"], row["jobType"]) for row in both] == [(inserting, "Classic"), (querying, "Classic")]
    assert list(both[0])[-4:] == ["concurrencyMode", "contentType", "apiVersion", "jobType"]
    assert bulk.rest.call("GET", f"{path}/query").json["records"] == []
    of_queries = bulk.rest.call("GET", f"{path}/query?jobType=Classic").json["records"]
    assert [row["id"] for row in of_queries] == [querying]
    assert bulk.rest.call("GET", f"{path}/ingest/{inserting}").status == 404
    chunked = bulk.create("query", sforce_enable_pkchunking="TRUE")
    only = bulk.rest.call("GET", f"{path}/query?jobType=Classic&isPkChunkingEnabled=true").json["records"]
    assert [row["id"] for row in only] == [chunked]


def test_a_doubled_slash_and_15_characters_are_served(bulk: AsyncWitness) -> None:
    """Facts: "A recording shows a doubled slash (`//services/async/…`) being served"."""
    job_id = bulk.create("insert")
    answer = bulk.rest.call(
        "GET", f"//services/async/66.0/job/{job_id[:15]}", authorization="", x_sfdc_session=bulk.session
    )
    assert values(answer)["id"] == job_id
