"""aio-sf: queries of Bulk API 2.0, describe, collections."""

import asyncio

import aio_sf
from checks import ORG, check, pull, run


def use(function):
    async def all_of_it():
        login = aio_sf.ClientCredentialsAuth(ORG["url"], ORG["client_id"], ORG["client_secret"])
        async with aio_sf.SalesforceClient(login, version="v66.0") as client:
            return await function(client)

    return asyncio.run(all_of_it())


@check("Bulk 2.0: query")
def bulk_query():
    pull("put", sobject="Account", records=[{"Name": f"N{n}"} for n in range(5)])

    async def go(client):
        result = (
            await aio_sf.bulk_query(client, "SELECT Id, Name FROM Account") if hasattr(aio_sf, "bulk_query") else None
        )
        if result is None:
            job = await client.bulk_v2.create_job("SELECT Id, Name FROM Account")
            await client.bulk_v2.wait_for_job_completion(job["id"], poll_interval=0)
            text, _ = await client.bulk_v2.get_job_results(job["id"], max_records=100)
            assert len(text.splitlines()) == 6

    use(go)


@check("describe, limits")
def describe():
    async def go(client):
        assert (await client.describe.sobject("Account"))["keyPrefix"] == "001"
        assert (await client.describe.get_limits())["DailyApiRequests"]["Max"] == 15000

    use(go)


@check("collections: insert, verify by query, clean up")
def collections():
    async def go(client):
        made = await client.collections.insert([{"Name": "A"}, {"Name": "B"}], sobject_type="Account")
        ids = [each["id"] for each in made]
        rows = [row async for row in await client.query.soql("SELECT Id, Name FROM Account WHERE Name IN ('A', 'B')")]
        assert len(rows) == 2
        await client.collections.delete(ids)

    use(go)


run()
pull("reset")
