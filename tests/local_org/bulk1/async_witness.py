"""The witness for Bulk API 1.0: the standard library's HTTP client and XML parser."""

from __future__ import annotations

import csv
import io
import time
from typing import Any
from xml.etree import ElementTree

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import Answer, Witness

A = "/services/async/66.0"
NS = "http://www.force.com/2009/06/asyncapi/dataload"
XML, CSV, JSON = "application/xml", "text/csv; charset=UTF-8", "application/json"
TYPES = {"XML": XML, "CSV": CSV, "JSON": JSON}
FINAL = ("Completed", "Failed", "NotProcessed")


def values(answer: Answer) -> dict[str, str]:
    """Return the elements of an XML answer by name."""
    assert answer.headers["content-type"] == XML, answer.text
    return {each.tag.removeprefix(f"{{{NS}}}"): each.text or "" for each in ElementTree.fromstring(answer.body)}


def info(answer: Answer) -> dict[str, Any]:
    """Return a jobInfo or batchInfo of either format."""
    return answer.json if answer.headers["content-type"] == JSON else values(answer)


def error(answer: Answer) -> tuple[int, str, str]:
    """Return status, code and message of a refusal of either format."""
    body = info(answer)
    return answer.status, body["exceptionCode"], body["exceptionMessage"]


class AsyncWitness:
    """Makes calls of Bulk API 1.0."""

    def __init__(self, org: LocalOrg) -> None:
        self.org = org
        self.rest = Witness(org)
        self.session = self.rest.log_in()

    def call(self, method: str, path: str, body: Any = None, /, **headers: str) -> Answer:
        sent = {"x_sfdc_session": self.session, **headers}
        return self.rest.call(method, f"{A}{path}", body, authorization="", **sent)

    def post(self, path: str, body: str | bytes, content_type: str = XML, /, **headers: str) -> Answer:
        data = body.encode() if isinstance(body, str) else body
        return self.call("POST", path, data, content_type=content_type, **headers)

    def create(self, operation: str, sobject: str = "Account", content_type: str = "CSV", /, **more: str) -> str:
        """Create a job by XML; keywords with capitals inside are properties, others headers."""
        properties = {name: more.pop(name) for name in list(more) if name in ("externalIdFieldName", "concurrencyMode")}
        answer = self.post("/job", job_xml(operation, sobject, content_type, **properties), **more)
        assert answer.status == 201, answer.text
        return values(answer)["id"]

    def add(self, job_id: str, data: str | bytes, content_type: str = "CSV", /, **headers: str) -> str:
        answer = self.post(f"/job/{job_id}/batch", data, TYPES[content_type], **headers)
        assert answer.status == 201, answer.text
        return str(info(answer)["id"])

    def state(self, job_id: str, state: str) -> Answer:
        return self.post(f"/job/{job_id}", f'<jobInfo xmlns="{NS}"><state>{state}</state></jobInfo>')

    def job(self, job_id: str) -> dict[str, Any]:
        return info(self.call("GET", f"/job/{job_id}"))

    def batch(self, job_id: str, batch_id: str) -> dict[str, Any]:
        return info(self.call("GET", f"/job/{job_id}/batch/{batch_id}"))

    def batches(self, job_id: str) -> list[dict[str, str]]:
        root = ElementTree.fromstring(self.call("GET", f"/job/{job_id}/batch").body)
        return [{each.tag.removeprefix(f"{{{NS}}}"): each.text or "" for each in batch} for batch in root]

    def wait(self, job_id: str, batch_id: str) -> dict[str, Any]:
        for _ in range(2000):
            found = self.batch(job_id, batch_id)
            if found["state"] in FINAL:
                return found
            time.sleep(0.005)
        raise AssertionError(f"batch {batch_id} does not end: {found}")

    def result(self, job_id: str, batch_id: str) -> Answer:
        return self.call("GET", f"/job/{job_id}/batch/{batch_id}/result")

    def load(
        self, operation: str, data: str | bytes, sobject: str = "Account", content_type: str = "CSV", /, **more: str
    ) -> tuple[str, str, dict[str, Any]]:
        """Do a job of one batch; return the ids and the batch's final info."""
        job_id = self.create(operation, sobject, content_type, **more)
        batch_id = self.add(job_id, data, content_type)
        assert self.state(job_id, "Closed").status == 200
        return job_id, batch_id, self.wait(job_id, batch_id)

    def rows(self, operation: str, data: str, sobject: str = "Account", /, **more: str) -> list[dict[str, str]]:
        """Load CSV; return the rows of the result."""
        job_id, batch_id, ended = self.load(operation, data, sobject, **more)
        assert ended["state"] == "Completed", ended
        return self.result(job_id, batch_id).rows

    def failure(self, operation: str, data: str | bytes, sobject: str = "Account", content_type: str = "CSV", /) -> str:
        """Return why a batch fails as a whole."""
        _, _, ended = self.load(operation, data, sobject, content_type)
        assert ended["state"] == "Failed", ended
        return str(ended["stateMessage"])

    def query(
        self, soql: str, sobject: str = "Account", content_type: str = "CSV", operation: str = "query"
    ) -> list[Answer]:
        """Do a query; return its result files."""
        job_id, batch_id, ended = self.load(operation, soql, sobject, content_type)
        assert ended["state"] == "Completed", ended
        return [self.result_file(job_id, batch_id, each) for each in self.result_ids(job_id, batch_id)]

    def result_ids(self, job_id: str, batch_id: str) -> list[str]:
        answer = self.result(job_id, batch_id)
        assert answer.status == 200, answer.text
        if answer.headers["content-type"] == JSON:
            return list(answer.json)
        return [each.text or "" for each in ElementTree.fromstring(answer.body)]

    def result_file(self, job_id: str, batch_id: str, result_id: str) -> Answer:
        return self.call("GET", f"/job/{job_id}/batch/{batch_id}/result/{result_id}")


def job_xml(operation: str, sobject: str = "Account", content_type: str = "CSV", **more: str) -> str:
    inner = f"<operation>{operation}</operation><object>{sobject}</object>"
    inner += "".join(f"<{name}>{value}</{name}>" for name, value in more.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><jobInfo xmlns="{NS}">{inner}'
        f"<contentType>{content_type}</contentType></jobInfo>"
    )


def csv_rows(answer: Answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))
