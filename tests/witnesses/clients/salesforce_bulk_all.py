"""salesforce-bulk: Bulk API 1.0."""

import json
from time import sleep

from checks import ORG, check, run, stored, token
from salesforce_bulk import CsvDictsAdapter, SalesforceBulk

bulk = SalesforceBulk(sessionId=token(), host=ORG["url"], API_version="66.0")


def load(create, records):
    job = create("Account", contentType="CSV")
    batch = bulk.post_batch(job, CsvDictsAdapter(iter(records)))
    bulk.close_job(job)
    while not bulk.is_batch_done(batch):
        sleep(0.05)
    return bulk.get_batch_results(batch)


@check("insert, query, delete")
def everything():
    made = load(bulk.create_insert_job, [{"Name": f"N{n}"} for n in range(5)])
    assert all(each.success == "true" for each in made)
    job = bulk.create_query_job("Account", contentType="JSON")
    batch = bulk.query(job, "SELECT Id, Name FROM Account")
    bulk.close_job(job)
    while not bulk.is_batch_done(batch):
        sleep(0.05)
    rows = [row for result in bulk.get_all_results_for_query_batch(batch) for row in json.load(result)]
    assert len(rows) == 5
    load(bulk.create_delete_job, [{"Id": row["Id"]} for row in rows])
    assert stored("Account") == []


run()
