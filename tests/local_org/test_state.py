"""What a test can do to what the org holds: records in and out, snapshots, a new start, time, calls, objects."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import V, Witness


def pull(witness: Witness, lever: str, **arguments: Any) -> Any:
    answer = witness.call("POST", f"/local-org/{lever}", arguments, authorization="")
    assert answer.status == 200, answer.text
    return answer.json.get("result")


def test_records_are_put_in_and_taken_out(org: LocalOrg) -> None:
    created = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    first, second = org.put(
        "Account",
        [
            {"Name": "A", "AnnualRevenue": Decimal("1.5"), "SystemModstamp": created, "External_Key__c": "a"},
            {"Name": "B"},
        ],
    )
    (contact,) = org.put("Contact", [{"LastName": "C", "Account": {"External_Key__c": "a"}}])
    one, _ = org.records("Account")
    assert (one["AnnualRevenue"], one["SystemModstamp"]) == (1.5, "2020-01-02T03:04:05.000Z")
    assert org.records("Contact")[0]["AccountId"] == first
    assert org.put("Account", [{"Id": second, "Name": "B2"}]) == [second]
    assert org.remove("Account", [second, contact]) == 1
    assert org.remove("Contact") == 1
    assert [each["Name"] for each in org.records("Account", include_deleted=True)] == ["A"]


def test_what_the_org_does_not_take_is_not_put_in(org: LocalOrg) -> None:
    with pytest.raises(ValueError, match="record 2 of Account: REQUIRED_FIELD_MISSING"):
        org.put("Account", [{"Name": "A"}, {}])
    assert org.records("Account") == []
    with pytest.raises(ValueError, match="No such column 'Nope'"):
        org.put("Account", [{"Nope": 1}])
    with pytest.raises(ValueError, match="no object Nope"):
        org.put("Nope", [{}])


def test_records_are_meant_by_either_form_of_their_id(org: LocalOrg, witness: Witness) -> None:
    (record_id,) = org.put("Account", [{"Name": "A"}])
    update = f"Id,Name\n{record_id},B\n"
    org.hold(record_id[:15])
    assert "UNABLE_TO_LOCK_ROW" in witness.errors(update, operation="update")[0]
    org.release(record_id[:15])
    org.close_record(record_id[:15])
    assert "INSUFFICIENT_ACCESS_OR_READONLY" in witness.errors(update, operation="update")[0]
    org.clear_rules()
    assert witness.errors(f"Id\n{record_id}\n", operation="delete") == []
    org.undelete(record_id[:15])
    assert org.remove("Account", [record_id[:15]]) == 1
    for refuse in (org.hold, org.contend, org.release, org.close_record, org.undelete):
        with pytest.raises(ValueError, match="'A' is no id of a record"):
            refuse("A")
    with pytest.raises(ValueError, match="is no id of a record"):
        org.remove("Account", record_id)


def test_a_snapshot_brings_back_what_there_was(org: LocalOrg, witness: Witness) -> None:
    witness.load("Name\nA\nB\n")
    org.put("Opportunity", [{"Name": "O", "StageName": "Closed Won", "CloseDate": "2026-01-01", "Probability": 7}])
    before = {name: org.records(name) for name in ("Account", "Opportunity", "User")}
    assert org.snapshot("two") == "two"
    org.add_object(name="Later__c", fields=[{"name": "Name", "type": "string"}])
    org.put("Later__c", [{"Name": "x"}])
    witness.load(f"Id\n{before['Account'][0]['Id']}\n", operation="hardDelete")
    org.put("Account", [{"Name": "C"}])
    org.restore("two")
    assert {name: org.records(name) for name in before} == before
    assert org.records("Later__c") == []
    (record_id,) = org.put("Account", [{"Name": "D"}])
    assert record_id not in [each["Id"] for each in before["Account"]]
    with pytest.raises(ValueError, match="there is no snapshot"):
        org.restore("three")
    with pytest.raises(ValueError, match="name"):
        org.snapshot("../x")


def test_reset_is_a_new_start(tmp_path: Path) -> None:
    (tmp_path / "Account.csv").write_text("Name\nSeeded\n")
    with LocalOrg(seed=tmp_path) as org:
        witness = Witness(org)
        first = org.records("Account")[0]["Id"]
        users = [(each["Id"], each["Username"]) for each in org.records("User")]
        witness.load("Name\nA\n")
        org.stick_jobs()
        job_id = witness.create()
        witness.put(job_id, "Name\nB\n")
        witness.patch(job_id, "UploadComplete")
        org.fault("*", "status", times=None)
        org.validation_rule("Account", "no")
        org.hold(first)
        org.advance(10_000)
        org.reset()
        assert [(each["Id"], each["Name"]) for each in org.records("Account")] == [(first, "Seeded")]
        assert [(each["Id"], each["Username"]) for each in org.records("User")] == users
        assert (org.jobs, org.calls) == ([], [])
        assert witness.errors("Name\nA\n") == []
        assert witness.errors(f"Id,Name\n{first},X\n", operation="update") == []
        assert abs((org.core.clock.now() - datetime.now(UTC)).total_seconds()) < 5


def test_an_org_is_started_once_and_ended_as_often_as_wanted() -> None:
    org = LocalOrg().start()
    with pytest.raises(RuntimeError, match="started already"):
        org.start()
    org.close()
    org.close()
    assert org.calls == []
    with org:
        assert org.records("Account") == []
    with pytest.raises(ValueError, match="batch_records must be a number from 1, not 0"):
        LocalOrg(batch_records=0)


def test_one_org_at_a_time_has_a_data_file(tmp_path: Path) -> None:
    with LocalOrg(data=tmp_path / "org.sqlite"), pytest.raises(ValueError, match="another local org has the data file"):
        LocalOrg(data=tmp_path / "org.sqlite").start()
    with LocalOrg(data=tmp_path / "org.sqlite") as org:
        assert org.records("Account") == []


def test_a_seed_is_loaded_as_a_whole(tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    seed.mkdir()
    (seed / "Account.csv").write_text("Name\nUmbrella Stand Co\n")
    (seed / "Contact.csv").write_text("LastName,Nope__c\nOkafor,x\n")
    with pytest.raises(ValueError, match="Nope__c"):
        LocalOrg(seed=seed, data=tmp_path / "org.sqlite").start()
    (seed / "Contact.csv").write_text("LastName\nOkafor\n")
    with LocalOrg(seed=seed, data=tmp_path / "org.sqlite") as org:
        assert (len(org.records("Account")), len(org.records("Contact"))) == (1, 1)


def test_the_clock_stands_still_and_goes_on(org: LocalOrg, witness: Witness) -> None:
    org.freeze("2026-03-04T05:06:07+00:00")
    witness.load("Name\nA\n")
    assert org.records("Account")[0]["CreatedDate"] == "2026-03-04T05:06:07.000Z"
    assert witness.select("SELECT Id FROM Account WHERE CreatedDate = TODAY") != []
    org.advance(3600)
    witness.load("Name\nB\n")
    assert org.records("Account")[1]["CreatedDate"] == "2026-03-04T06:06:07.000Z"
    org.unfreeze()
    witness.load("Name\nC\n")
    assert org.records("Account")[2]["CreatedDate"].startswith("2026-03-04T06:06:")
    with pytest.raises(ValueError, match="offset"):
        org.freeze("2026-03-04T05:06:07")


def test_all_of_it_is_there_over_http(org: LocalOrg, witness: Witness) -> None:
    pull(witness, "add_object", name="Thing__c", fields=[{"name": "Size__c", "type": "int"}])
    (made,) = pull(witness, "put", sobject="Thing__c", records=[{"Size__c": 3}])
    pull(witness, "snapshot")
    assert pull(witness, "remove", sobject="Thing__c") == 1
    pull(witness, "restore")
    assert witness.call("GET", "/local-org/records/Thing__c", authorization="").json[0]["Id"] == made
    pull(witness, "freeze", at="2026-03-04T05:06:07Z")
    assert witness.call("GET", "/local-org/state", authorization="").json["now"] == "2026-03-04T05:06:07.000Z"
    pull(witness, "unfreeze")
    witness.call("DELETE", f"{V}/sobjects/Thing__c/{made}")
    pull(witness, "undelete", record_id=made)
    pull(witness, "clear_calls")
    pull(witness, "reset")
    assert org.records("Thing__c") == []
    answer = witness.call("POST", "/local-org/put", {"sobject": "Nope", "records": []}, authorization="")
    assert (answer.status, answer.json) == (400, {"error": "the local org has no object Nope"})


def test_ids_and_credentials_repeat_with_a_seed() -> None:
    def seen(seed: int) -> tuple[Any, ...]:
        with LocalOrg(random_seed=seed) as org:
            return org.org_id, org.client_id, org.client_secret, org.password, org.put("Account", [{"Name": "A"}])

    assert seen(7) == seen(7)
    assert seen(7) != seen(8)


def test_one_org_serves_a_session(salesforce_session_org: LocalOrg) -> None:
    salesforce_session_org.put("Account", [{"Name": "A"}])
    salesforce_session_org.reset()
    assert salesforce_session_org.records("Account") == []


def test_a_custom_object_has_a_name_and_an_owner_unless_it_has_a_master(org: LocalOrg, witness: Witness) -> None:
    org.add_object(name="Invoice__c", fields=[{"name": "Amount__c", "type": "double"}])
    master = {
        "name": "Invoice__c",
        "type": "reference",
        "referenceTo": ["Invoice__c"],
        "relationshipName": "Invoice__r",
    }
    org.add_object(name="Line__c", fields=[{**master, "nillable": False, "cascadeDelete": True}])
    first, _ = org.put("Invoice__c", [{"Amount__c": 1}, {"Name": "Second"}])
    (line,) = org.put("Line__c", [{"Invoice__c": first}])
    witness.load(f"Id,OwnerId\n{first},{org.user_id}\n", sobject="Invoice__c", operation="update")
    assert [(each["Name"], each["OwnerId"]) for each in org.records("Invoice__c")] == [
        (first, org.user_id),
        ("Second", org.user_id),
    ]
    (record,) = org.records("Line__c")
    assert (record["Name"], "OwnerId" in record) == (line, False)
