"""The witness for records and queries: the standard library's HTTP client."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import Answer, V, Witness


class RestWitness:
    """Makes calls below ``/services/data/v66.0``."""

    def __init__(self, org: LocalOrg) -> None:
        self.org = org
        self.bulk = Witness(org)

    def call(self, method: str, path: str, body: Any = None, /, **headers: str) -> Answer:
        return self.bulk.call(method, path if path.startswith("/") else f"{V}/{path}", body, **headers)

    def create(self, sobject: str, **record: Any) -> str:
        answer = self.call("POST", f"sobjects/{sobject}", record)
        assert answer.status == 201, answer.text
        return str(answer.json["id"])

    def query(self, soql: str, resource: str = "query", /, **headers: str) -> Any:
        answer = self.call("GET", f"{resource}?q={quote(soql)}", **headers)
        assert answer.status == 200, answer.text
        return answer.json

    def select(self, soql: str, resource: str = "query") -> list[dict[str, Any]]:
        """Return the records of a query without what only says where they are."""
        return [bare(record) for record in self.query(soql, resource)["records"]]

    def refusal(self, soql: str) -> tuple[str, str]:
        answer = self.call("GET", f"query?q={quote(soql)}")
        assert answer.status == 400, answer.text
        _, code, message = answer.error
        return code, message.rpartition("\n")[2]


def bare(value: Any) -> Any:
    """Return JSON without ``attributes``."""
    if isinstance(value, dict):
        return {name: bare(each) for name, each in value.items() if name != "attributes"}
    return [bare(each) for each in value] if isinstance(value, list) else value
