"""aiosalesforce: Bulk API 2.0, queries and records. It insists on a host of Salesforce's; a transport leads it here."""

import asyncio

import aiosalesforce
import httpx
from checks import ORG, check, run, stored

HOST = "https://acme.my.salesforce.com"


class Loopback(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request):
        here = httpx.URL(ORG["url"])
        url = request.url.copy_with(scheme="http", host=here.host, port=here.port)
        same = httpx.Request(
            request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
        )
        return await super().handle_async_request(same)


def use(function):
    async def all_of_it():
        async with httpx.AsyncClient(transport=Loopback()) as client:
            auth = aiosalesforce.ClientCredentialsFlow(ORG["client_id"], ORG["client_secret"])
            return await function(aiosalesforce.Salesforce(client, base_url=HOST, auth=auth, version="66.0"))

    return asyncio.run(all_of_it())


@check("sObject: create, get, update, upsert, delete")
def records():
    async def go(sf):
        made = await sf.sobject.create("Account", {"Name": "A", "External_Key__c": "a"})
        assert (await sf.sobject.get("Account", made))["Name"] == "A"
        await sf.sobject.update("Account", made, {"Name": "B"})
        await sf.sobject.upsert("Account", "a", "External_Key__c", {"Name": "C"})
        await sf.sobject.delete("Account", made)

    use(go)
    assert stored("Account") == []


@check("query")
def query():
    async def go(sf):
        await sf.sobject.create("Account", {"Name": "A"})
        rows = [row async for row in sf.query("SELECT Id, Name FROM Account")]
        assert [row["Name"] for row in rows] == ["A"]
        await sf.sobject.delete("Account", rows[0]["Id"])

    use(go)


@check("Bulk 2.0: insert, verify by REST, clean up")
def bulk():
    async def go(sf):
        done = await sf.bulk_v2.insert("Account", [{"Name": f"N{n}"} for n in range(5)])
        assert len(done.successful_results) == 5
        ids = [row["Id"] async for row in sf.query("SELECT Id FROM Account")]
        await sf.bulk_v2.delete("Account", [{"Id": each} for each in ids])

    use(go)
    assert stored("Account") == []


@check("limits")
def limits():
    async def go(sf):
        assert await sf.get_limits()

    use(go)


run()
