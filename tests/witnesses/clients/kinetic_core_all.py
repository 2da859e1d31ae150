"""kinetic-core: REST and Bulk API 2.0."""

from checks import ORG, check, run, stored, token
from kinetic_core import SalesforceClient
from kinetic_core.core.session import SalesforceSession

client = SalesforceClient(SalesforceSession(ORG["url"], token(), "v66.0"))


@check("REST: create, query, count, update, upsert, delete, describe")
def rest():
    made = client.create("Account", {"Name": "A", "External_Key__c": "a"})
    assert client.query("SELECT Name FROM Account")[0]["Name"] == "A"
    assert client.count("Account") == 1
    assert client.get("Account", made, ["Name"])["Name"] == "A"
    client.update("Account", made, {"Name": "B"})
    client.upsert("Account", "External_Key__c", "a", {"Name": "C"})
    client.delete("Account", made)
    assert stored("Account") == []
    assert client.describe("Account")["name"] == "Account"


@check("REST: create_batch")
def batch():
    done = client.create_batch("Account", [{"Name": "A"}, {"Name": "B"}])
    assert all(each["success"] for each in done)
    for each in client.query("SELECT Id FROM Account"):
        client.delete("Account", each["Id"])


@check("Bulk 2.0: insert, verify by REST, query, clean up")
def bulk():
    done = client.bulk.insert("Account", [{"Name": f"N{n}"} for n in range(5)])
    assert done.success_count == 5
    rows = client.query("SELECT Id FROM Account")
    assert len(rows) == 5
    client.bulk.query("SELECT Id FROM Account")
    client.bulk.delete("Account", [each["Id"] for each in rows])
    assert stored("Account") == []


run()
