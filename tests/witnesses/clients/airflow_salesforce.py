"""Airflow's own Salesforce provider: hook and bulk operator, by simple-salesforce, which a session leads to plain http."""

import json
import os

import requests
from checks import ORG, check, run, stored

REQUEST = requests.Session.request


def plain(self, method, url, *arguments, **more):
    if ".salesforce.com/" in url:
        url = f"{ORG['url']}/{url.partition('.salesforce.com/')[2]}"
    return REQUEST(self, method, url.replace("https://127", "http://127"), *arguments, **more)


requests.Session.request = plain
os.environ["AIRFLOW_CONN_SALESFORCE_DEFAULT"] = json.dumps(
    {
        "conn_type": "salesforce",
        "login": ORG["username"],
        "password": ORG["password"],
        "extra": {"security_token": ORG["security_token"], "version": "64.0"},
    }
)

from airflow.providers.salesforce.hooks.salesforce import SalesforceHook  # noqa: E402
from airflow.providers.salesforce.operators.bulk import SalesforceBulkOperator  # noqa: E402


def bulk(operation, payload, **more):
    operator = SalesforceBulkOperator(task_id="t", operation=operation, object_name="Account", payload=payload, **more)
    return operator.execute({})


@check("bulk operator: insert, update, upsert, delete")
def operator():
    bulk("insert", [{"Name": "A", "External_Key__c": "a"}])
    (made,) = stored("Account")
    bulk("update", [{"Id": made["Id"], "Name": "B"}])
    bulk("upsert", [{"External_Key__c": "a", "Name": "C"}], external_id_field="External_Key__c")
    assert [each["Name"] for each in stored("Account")] == ["C"]
    bulk("delete", [{"Id": made["Id"]}])
    assert stored("Account") == []


@check("hook: query, describe, available fields, objects to DataFrame")
def hook():
    made = SalesforceHook()
    made.conn.Account.create({"Name": "A"})
    found = made.make_query("SELECT Id, Name FROM Account")
    assert found["totalSize"] == 1
    assert "Name" in made.get_available_fields("Account")
    assert made.get_object_from_salesforce("Account", ["Id", "Name"])["totalSize"] == 1
    assert "A" in made.object_to_df(found["records"]).values
    made.conn.Account.delete(found["records"][0]["Id"])


run()
