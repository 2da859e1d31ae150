"""simple-salesforce: REST, Bulk API 1.0 and 2.0. It insists on https; a session of requests leads it to plain http."""

import requests
from checks import ORG, check, run, stored
from simple_salesforce import Salesforce


class Plain(requests.Session):
    def request(self, method, url, **more):
        return super().request(method, url.replace("https://", "http://"), **more)


sf = None
HOST = ORG["url"].removeprefix("http://")


@check("sign in (SOAP)")
def login():
    from simple_salesforce import SalesforceLogin

    session_id, _ = SalesforceLogin(
        username=ORG["username"], password=ORG["password"], security_token=ORG["security_token"], session=Plain(),
        scratch_url=f"https://{HOST}", sf_version="64.0",
    )  # fmt: skip
    global sf
    sf = Salesforce(instance=HOST, session_id=session_id, session=Plain(), version="64.0")


@check("REST: create, get, update, upsert, delete")
def rest():
    made = sf.Account.create({"Name": "A", "External_Key__c": "a"})
    assert sf.Account.get(made["id"])["Name"] == "A"
    assert sf.Account.update(made["id"], {"Name": "B"}) == 204
    assert sf.Account.upsert("External_Key__c/a", {"Name": "C"}) in (200, 204)
    assert sf.Account.get_by_custom_id("External_Key__c", "a")["Name"] == "C"
    assert sf.Account.delete(made["id"]) == 204
    assert stored("Account") == []


@check("REST: query, query_all, aggregates, children")
def query():
    made = sf.Account.create({"Name": "A"})["id"]
    sf.Contact.create({"LastName": "C", "AccountId": made})
    assert sf.query("SELECT COUNT() FROM Contact")["totalSize"] == 1
    (row,) = sf.query_all("SELECT Name, (SELECT LastName FROM Contacts) FROM Account")["records"]
    assert row["Contacts"]["records"][0]["LastName"] == "C"
    assert sf.query("SELECT Name, COUNT(Id) n FROM Account GROUP BY Name")["records"][0]["n"] == 1
    sf.Account.delete(made)
    assert len(list(sf.query_all_iter("SELECT Id FROM Account", include_deleted=True))) >= 1


@check("REST: describe, metadata, updated, deleted, limits")
def meta():
    assert sf.Account.describe()["keyPrefix"] == "001"
    assert any(each["name"] == "Case" for each in sf.describe()["sobjects"])
    assert sf.Account.metadata()["objectDescribe"]["name"] == "Account"
    assert sf.limits()["DailyApiRequests"]["Max"] == 15000


@check("Bulk 2.0: insert, verify by REST, upsert, query, clean up")
def bulk2():
    import simple_salesforce.bulk2 as module

    module.sleep = lambda _seconds: None
    (done,) = sf.bulk2.Account.insert(records=[{"Name": f"N{n}", "External_Key__c": str(n)} for n in range(10)])
    assert done["numberRecordsProcessed"] == 10
    ids = [each["Id"] for each in sf.query("SELECT Id FROM Account")["records"]]
    sf.bulk2.Account.upsert(records=[{"Name": "X", "External_Key__c": "3"}], external_id_field="External_Key__c")
    assert "X" in "".join(sf.bulk2.Account.query("SELECT Name FROM Account"))
    sf.bulk2.Account.delete(records=[{"Id": each} for each in ids])
    assert sf.query("SELECT COUNT() FROM Account")["totalSize"] == 0


@check("Bulk 1.0: insert, verify by REST, query, clean up")
def bulk1():
    import simple_salesforce.bulk as module

    module.sleep = lambda _seconds: None
    made = sf.bulk.Account.insert([{"Name": f"N{n}"} for n in range(5)])
    assert all(each["success"] for each in made)
    assert sf.query("SELECT COUNT() FROM Account")["totalSize"] == 5
    assert len(sf.bulk.Account.query("SELECT Name FROM Account")) == 5
    sf.bulk.Account.delete([{"Id": each["id"]} for each in made])
    assert stored("Account") == []


run()
