"""sfbulk2: Bulk API 2.0 by its calls."""

import json
from time import sleep

from checks import ORG, check, run, stored, token
from sfbulk2 import SFBulk2 as Client

client = Client(access_token=token(), instance_url=ORG["url"], api_version="v66.0")


def load(operation, data):
    job = client.create_job(operation=operation, obj="Account")
    client.put_data(contentUrl=f"services/data/v66.0/jobs/ingest/{job}/batches", data=data)
    client.patch_state(job_id=job, state="UploadComplete")
    wait(job, "ingest")


def wait(job, kind):
    while json.loads(client.get_job_status(job_id=job, optype=kind).text)["state"] not in ("JobComplete", "Failed"):
        sleep(0.02)


@check("insert, query, delete")
def everything():
    load("insert", "Name\nA\nB\n")
    job = client.create_query_job(query="SELECT Id, Name FROM Account")
    wait(job, "query")
    assert client.get_query_results(job_id=job) is not None
    load("delete", "Id\n" + "".join(f"{each['Id']}\n" for each in stored("Account")))
    assert stored("Account") == []


run()
