"""Jobs that fail half-way or do not end, and rows that fail by rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import V, Witness

FIVE = "Name,External_Key__c\n" + "".join(f"Stand {n},K-{n}\n" for n in range(5))


def names(org: LocalOrg) -> list[str]:
    return sorted(record["Name"] for record in org.records("Account"))


# --- jobs ---


def test_a_job_fails_half_way(org: LocalOrg, witness: Witness) -> None:
    org.core.batch_records = 2
    org.fail_jobs(after_batches=2)
    info = witness.load(FIVE)
    assert (info["state"], info["errorMessage"]) == ("Failed", "InternalServerError : The job was made to fail")
    good = witness.results(info, "successfulResults").rows
    untouched = witness.results(info, "unprocessedrecords").rows
    assert info["numberRecordsProcessed"] == len(good) == len(names(org))
    assert 0 < len(good) < 5
    assert sorted([row["Name"] for row in good + untouched]) == [f"Stand {n}" for n in range(5)]
    assert witness.load("Name\nNext\n")["state"] == "JobComplete", "one job was asked for"


def test_jobs_fail_before_their_first_batch_or_after_their_last(org: LocalOrg, witness: Witness) -> None:
    org.fail_jobs(jobs=2, sobject="account", error_message="Timeout : too slow")
    assert witness.load("LastName\nOther\n", "Contact")["state"] == "JobComplete"
    for _ in range(2):
        info = witness.load(FIVE)
        assert (info["state"], info["errorMessage"]) == ("Failed", "Timeout : too slow")
        assert (info["numberRecordsProcessed"], len(witness.results(info, "unprocessedrecords").rows)) == (0, 5)
    org.fail_jobs(after_batches=7)
    info = witness.load(FIVE)
    assert (info["state"], info["numberRecordsProcessed"]) == ("Failed", 5)


def test_a_query_fails(org: LocalOrg, witness: Witness) -> None:
    org.fail_jobs(kind="query", error_message="QUERY_TIMEOUT : Your query request was running for too long.")
    assert witness.load(FIVE)["state"] == "JobComplete"
    info = witness.query("SELECT Id FROM Account")
    assert (info["state"], info["errorMessage"][:13]) == ("Failed", "QUERY_TIMEOUT")
    assert witness.query("SELECT Id FROM Account")["state"] == "JobComplete"


def test_a_stuck_job_goes_on_when_it_is_released(org: LocalOrg, witness: Witness) -> None:
    org.core.batch_records = 2
    org.stick_jobs(after_batches=1)
    job_id = witness.create()
    witness.put(job_id, FIVE)
    witness.patch(job_id, "UploadComplete")
    org.wait_until_idle()
    looks = [witness.info(job_id) for _ in range(4)]
    assert [look["state"] for look in looks] == ["UploadComplete", "InProgress", "InProgress", "InProgress"]
    assert looks[-1]["numberRecordsProcessed"] in (1, 2)
    org.advance(3600)
    assert witness.info(job_id)["state"] == "InProgress"
    org.release_jobs()
    witness.log_in()
    assert witness.wait(job_id)["numberRecordsProcessed"] == 5
    assert names(org) == [f"Stand {n}" for n in range(5)]


def test_a_stuck_job_can_be_aborted(org: LocalOrg, witness: Witness) -> None:
    org.stick_jobs()
    job_id = witness.create()
    witness.put(job_id, FIVE)
    witness.patch(job_id, "UploadComplete")
    org.wait_until_idle()
    assert witness.patch(job_id, "Aborted").status == 200
    org.release_jobs()
    org.wait_until_idle()
    assert witness.info(job_id)["state"] == "Aborted"
    assert names(org) == []


def test_a_stuck_query_goes_on_when_everything_is_cleared(org: LocalOrg, witness: Witness) -> None:
    witness.load(FIVE)
    org.stick_jobs(kind="query", jobs=None)
    made = [
        witness.call("POST", f"{V}/jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"}).json["id"]
        for _ in range(2)
    ]
    org.wait_until_idle()
    assert {job.state for job in org.jobs if job.id in made} == {"InProgress"}
    org.clear_faults()
    assert {witness.wait(job_id, "query")["state"] for job_id in made} == {"JobComplete"}
    assert witness.query("SELECT Id FROM Account")["state"] == "JobComplete"


def test_an_org_with_other_batches_goes_on_where_the_first_one_stopped(tmp_path: Path) -> None:
    with LocalOrg(data=tmp_path / "org.sqlite", batch_records=2) as org:
        org.stick_jobs(after_batches=1)
        witness = Witness(org)
        job_id = witness.create()
        witness.put(job_id, FIVE)
        witness.patch(job_id, "UploadComplete")
        org.wait_until_idle()
        assert 0 < len(names(org)) < 5
    with LocalOrg(data=tmp_path / "org.sqlite", batch_records=3) as org:
        assert Witness(org).wait(job_id)["numberRecordsProcessed"] == 5
        assert names(org) == [f"Stand {n}" for n in range(5)]


# --- rows ---


def test_every_row_fails_on_its_first_attempt(org: LocalOrg, witness: Witness) -> None:
    org.fail_rows("Account")
    errors = witness.errors(FIVE)
    assert errors == ["UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 1 records:--"] * 5
    assert names(org) == []
    assert witness.errors(FIVE) == []
    assert len(names(org)) == 5


def test_rows_fail_by_what_they_say(org: LocalOrg, witness: Witness) -> None:
    org.fail_rows(
        "Account",
        where={"external_key__c": "K-3"},
        code="FIELD_CUSTOM_VALIDATION_EXCEPTION",
        message="No third stand",
        fields=["Name"],
        attempts=None,
    )
    for _ in range(2):
        info = witness.load(FIVE, operation="upsert", externalIdFieldName="External_Key__c")
        (failed,) = witness.results(info, "failedResults").rows
        assert failed["sf__Error"] == "FIELD_CUSTOM_VALIDATION_EXCEPTION:No third stand:Name --"
        assert (failed["sf__Id"], failed["External_Key__c"]) == ("", "K-3")
    org.clear_faults()
    assert witness.errors(FIVE, operation="upsert", externalIdFieldName="External_Key__c") == []


def test_rows_fail_by_a_function_of_them(org: LocalOrg, witness: Witness) -> None:
    org.fail_rows("Account", where=lambda row: int(row["External_Key__c"][2:]) % 2 == 1, attempts=2)
    assert [len(witness.errors(FIVE, operation="upsert", externalIdFieldName="External_Key__c")) for _ in range(3)] == [
        2,
        2,
        0,
    ]


@pytest.mark.parametrize("operation", ["update", "delete", "hardDelete"])
def test_updates_and_deletes_fail_by_rule_and_change_nothing(org: LocalOrg, witness: Witness, operation: str) -> None:
    witness.load(FIVE)
    before = org.records("Account")
    org.fail_rows("Account", where={"Id": before[0]["Id"]})
    data = "Id\n" + "".join(f"{record['Id']}\n" for record in before[:2])
    if operation == "update":
        data = data.replace("\n", ",new\n").replace("Id,new", "Id,Phone")
    info = witness.load(data, operation=operation)
    (failed,) = witness.results(info, "failedResults").rows
    assert failed["sf__Id"] == before[0]["Id"]
    assert failed["sf__Error"].startswith("UNABLE_TO_LOCK_ROW:")
    assert org.records("Account")[0] == before[0]
    assert info["numberRecordsFailed"] == 1


def test_rows_of_bulk_api_1_fail_too(org: LocalOrg, witness: Witness) -> None:
    org.fail_rows("Account", where={"Name": "B"})
    session = witness.log_in()
    jobs = "/services/async/66.0/job"
    job = witness.call(
        "POST", jobs, {"operation": "insert", "object": "Account", "contentType": "JSON"}, x_sfdc_session=session
    ).json
    batch = witness.call("POST", f"{jobs}/{job['id']}/batch", [{"Name": "A"}, {"Name": "B"}], x_sfdc_session=session)
    path = f"{jobs}/{job['id']}/batch/{batch.json['id']}"
    while witness.call("GET", path, x_sfdc_session=session).json["state"] != "Completed":
        pass
    good, bad = witness.call("GET", f"{path}/result", x_sfdc_session=session).json
    assert (good["success"], bad["errors"][0]["statusCode"]) == (True, "UNABLE_TO_LOCK_ROW")


def test_what_makes_no_sense_is_refused(org: LocalOrg) -> None:
    with pytest.raises(ValueError, match="no object Stand"):
        org.fail_rows("Stand")
    with pytest.raises(ValueError, match="attempts is a whole number from 1"):
        org.fail_rows("Account", attempts=0)
    with pytest.raises(TypeError, match="texts by column"):
        org.fail_rows("Account", where={"Name": 3})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="list of names"):
        org.fail_rows("Account", fields="Name")
    with pytest.raises(ValueError, match="kind is"):
        org.fail_jobs(kind="extract")
    with pytest.raises(ValueError, match="after_batches"):
        org.stick_jobs(after_batches=-1)
