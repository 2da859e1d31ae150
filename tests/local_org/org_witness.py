"""A witness that shares no code with the org: the standard library's HTTP client."""

from __future__ import annotations

import csv
import http.client
import io
import json
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from airflow_provider_sfbulk.local_org import LocalOrg

V = "/services/data/v66.0"
FINAL = ("JobComplete", "Failed", "Aborted")


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.text, newline="")))

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, code and message of a refusal, which is an array of one."""
        (error,) = self.json
        return self.status, error["errorCode"], error["message"]


class Witness:
    """Makes calls, logged in by client credentials unless told otherwise."""

    def __init__(self, org: LocalOrg) -> None:
        self.org = org
        self.token: str | None = None

    def call(self, method: str, path: str, body: Any = None, /, **headers: str) -> Answer:
        """Make one call; headers with underscores for dashes, ``authorization=""`` sends none."""
        parts = urlsplit(self.org.url)
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(self.org.ca_file))
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(parts.netloc, context=context)
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict | list):
            body = json.dumps(body)
            sent.setdefault("content-type", "application/json")
        if "authorization" not in sent:
            sent["authorization"] = f"Bearer {self.token or self.log_in()}"
        if not sent["authorization"]:
            del sent["authorization"]
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def form(self, path: str, /, authorization: str = "", **fields: str) -> Answer:
        return self.call(
            "POST",
            path,
            urlencode(fields),
            content_type="application/x-www-form-urlencoded",
            authorization=authorization,
        )

    def log_in(self) -> str:
        answer = self.form(
            "/services/oauth2/token",
            grant_type="client_credentials",
            client_id=self.org.client_id,
            client_secret=self.org.client_secret,
        )
        self.token = answer.json["access_token"]
        return self.token

    # --- jobs ---

    def create(self, sobject: str = "Account", operation: str = "insert", **more: str) -> str:
        answer = self.call("POST", f"{V}/jobs/ingest", {"object": sobject, "operation": operation, **more})
        assert answer.status == 200, answer.text
        return str(answer.json["id"])

    def put(self, job_id: str, data: str | bytes) -> Answer:
        body = data.encode() if isinstance(data, str) else data
        return self.call("PUT", f"{V}/jobs/ingest/{job_id}/batches", body, content_type="text/csv")

    def patch(self, job_id: str, state: str, kind: str = "ingest") -> Answer:
        return self.call("PATCH", f"{V}/jobs/{kind}/{job_id}", {"state": state})

    def info(self, job_id: str, kind: str = "ingest") -> Any:
        return self.call("GET", f"{V}/jobs/{kind}/{job_id}").json

    def wait(self, job_id: str, kind: str = "ingest") -> Any:
        for _ in range(2000):
            info = self.info(job_id, kind)
            if info["state"] in FINAL:
                return info
            time.sleep(0.005)
        raise AssertionError(f"job {job_id} does not end: {info}")

    def load(self, data: str | bytes, sobject: str = "Account", operation: str = "insert", **more: str) -> Any:
        """Do a whole ingest job; return its final info."""
        job_id = self.create(sobject, operation, **more)
        assert self.put(job_id, data).status == 201
        assert self.patch(job_id, "UploadComplete").status == 200
        return self.wait(job_id)

    def results(self, info: Any, which: str) -> Answer:
        return self.call("GET", f"{V}/jobs/ingest/{info['id']}/{which}")

    def errors(self, data: str, sobject: str = "Account", operation: str = "insert", **more: str) -> list[str]:
        """Load rows; return ``sf__Error`` of those that failed."""
        info = self.load(data, sobject, operation, **more)
        assert info["state"] == "JobComplete", info
        return [row["sf__Error"] for row in self.results(info, "failedResults").rows]

    def query(self, soql: str, operation: str = "query", **more: str) -> Any:
        """Do a whole query job; return its final info."""
        answer = self.call("POST", f"{V}/jobs/query", {"operation": operation, "query": soql, **more})
        assert answer.status == 200, answer.text
        return self.wait(answer.json["id"], "query")

    def select(self, soql: str, operation: str = "query") -> list[dict[str, str]]:
        info = self.query(soql, operation)
        return self.call("GET", f"{V}/jobs/query/{info['id']}/results").rows
