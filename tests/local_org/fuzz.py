"""Requests that nobody means well: ``python -m tests.local_org.fuzz [REQUESTS] [SEED]`` until one is answered 500.

Each is made of what the org knows (routes, objects, fields, ids, valid bodies) with something wrong in it, since pure noise
gets no further than the first check.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import sys
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.http.loopback_routes import LEVERS
from airflow_provider_sfbulk.local_org.http.routes import ROUTES
from tests.local_org.org_witness import Witness

NS = "http://www.force.com/2009/06/asyncapi/dataload"
WORDS = [
    *(
        "",
        "null",
        "true",
        "0",
        "-1",
        "1e999",
        "NaN",
        "x" * 300,
        "é",
        "\U0001f600",
        "'",
        '"',
        "\\",
        "%00",
        "\0",
        "\n",
        "\r\n",
    ),
    *("Id", "Name", "Account", "Contact", "External_Key__c", "AccountId", "Parent.Name", "Owner", "CreatedDate"),
    *("2026-03-04", "2026-13-45", "2026-03-04T05:06:07Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"),
    *(
        "001LO0000000001YAA",
        "001LO0000000001",
        "005LO0000000001YAA",
        "750LO0000000001YAA",
        "012000000000000AAA",
        "@{a.id}",
    ),
    *("insert", "upsert", "delete", "query", "CSV", "JSON", "XML", "UploadComplete", "Aborted", "Closed", "#N/A", "[]"),
]
QUERIES = [
    "SELECT Id, Name FROM Account WHERE Name = 'x' ORDER BY Name LIMIT 3 OFFSET 1",
    "SELECT COUNT(Id), Industry FROM Account GROUP BY Industry HAVING COUNT(Id) > 1 ORDER BY COUNT(Id)",
    "SELECT Name, (SELECT Id, LastName FROM Contacts WHERE CALENDAR_YEAR(CreatedDate) = 2026) FROM Account",
    "SELECT TYPEOF What WHEN Account THEN Phone ELSE Name END FROM Task",
    "SELECT FIELDS(ALL) FROM Opportunity LIMIT 10",
    "SELECT FORMAT(Amount) f, toLabel(StageName), convertCurrency(Amount) c FROM Opportunity",
    "SELECT Account.Owner.Name, BillingAddress FROM Contact, Account",
    "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact) AND CreatedDate = LAST_N_DAYS:3",
    "SELECT COUNT() FROM User",
    "SELECT Who.Name, What.Type, Owner.Email FROM Event WHERE IsClosed = true",
]
BODIES: list[Any] = [
    {},
    [],
    [{}],
    {"Name": "A", "AnnualRevenue": 1.5, "ParentId": None},
    {"LastName": "A", "Account": {"attributes": {"type": "Account"}, "External_Key__c": "k"}},
    {"object": "Account", "operation": "insert", "contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA"},
    {"object": "Account", "operation": "upsert", "externalIdFieldName": "External_Key__c"},
    {"operation": "query", "query": QUERIES[0]},
    {"state": "UploadComplete"},
    {"allOrNone": True, "records": [{"attributes": {"type": "Account"}, "Name": "A", "Id": "001LO0000000001YAA"}, {}]},
    {"ids": ["001LO0000000001YAA"], "fields": ["Name", "Owner.Name"]},
    {
        "records": [
            {
                "attributes": {"type": "Account", "referenceId": "a"},
                "Name": "A",
                "Contacts": {"records": [{"attributes": {"referenceId": "b"}, "LastName": "B"}]},
            }
        ]
    },
    {
        "allOrNone": True,
        "compositeRequest": [
            {
                "method": "POST",
                "url": "/services/data/v66.0/sobjects/Account",
                "referenceId": "a",
                "body": {"Name": "A"},
            },
            {"method": "PATCH", "url": "/services/data/v66.0/sobjects/Account/@{a.id}", "referenceId": "b", "body": {}},
            {"method": "GET", "url": "/services/data/v66.0/query?q=SELECT+Id+FROM+Account", "referenceId": "c"},
        ],
    },
    {"batchRequests": [{"method": "GET", "url": "v66.0/limits"}, {"method": "POST", "url": "v66.0/sobjects/Account"}]},
]
TEXTS = [
    "",
    "\n",
    "Name\nA\n",
    "Id\n001LO0000000001YAA\n",
    'Name,Phone\n"A\n',
    "Name,Parent.External_Key__c\nA,k\n",
    f'<jobInfo xmlns="{NS}"><operation>insert</operation><object>Account</object><contentType>CSV</contentType></jobInfo>',
    f'<jobInfo xmlns="{NS}"><state>Closed</state></jobInfo>',
    f'<sObjects xmlns="{NS}"><sObject><Name>A</Name></sObject><sObject/></sObjects>',
    "<a/>",
    "grant_type=password&username=x&password=y",
    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.c",
    '--b\r\nContent-Disposition: form-data; name="job"\r\n\r\n{"object":"Account","operation":"insert"}\r\n--b\r\n'
    'Content-Disposition: form-data; name="content"; filename="x"\r\n\r\nName\nA\n\r\n--b--\r\n',
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    '<login xmlns="urn:partner.soap.sforce.com"><username>a</username><password>b</password></login>'
    "</soapenv:Body></soapenv:Envelope>",
]
TYPES = [
    *(
        "application/json",
        "application/json; charset=UTF-8",
        "text/csv",
        "application/xml",
        "text/xml",
        "",
        "text/plain",
    ),
    *("application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "multipart/form-data", "zip/csv", ";;;"),
]
FITTING = {
    **{"data.create": [3, 4], "data.update": [3], "data.upsert": [3], "ingest.create": [5, 6], "query.create": [7]},
    **{"ingest.change": [8], "query.change": [8], "composite.create": [9], "composite.update": [9]},
    **{"composite.upsert": [9], "composite.retrieve": [10], "composite.tree": [11], "composite.calls": [12]},
    **{"composite.batch": [13]},
}
"""Bodies that fit a route."""

PULLED = sorted(
    LEVERS
    - {
        "fault",
        "limit",
        "expire_tokens",
        "freeze",
        "stick_jobs",
        "wait_until_idle",
        "reset",
        "advance",
        "hold",
        "contend",
    }
)
"""Levers that leave the org able to answer the next request."""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "add_object": {
        "name": "X__c",
        "label": "X",
        "fields": [
            {"name": "A__c", "type": "currency", "precision": 16, "scale": 2, "picklistValues": [{"value": "a"}]},
            {"name": "P__c", "type": "reference", "referenceTo": ["Account"], "relationshipName": "P__r"},
        ],
    },
    "put": {
        "sobject": "Account",
        "records": [{"Name": "A", "CreatedDate": "2020-01-01T00:00:00Z", "Parent": {"External_Key__c": "k"}}],
    },
    "remove": {"sobject": "Case", "record_ids": ["x"]},
    "undelete": {"record_id": "001LO0000000001YAA"},
    "snapshot": {"name": "x"},
    "restore": {"name": "x"},
    "fail_jobs": {"after_batches": 1, "jobs": 1, "kind": "ingest", "sobject": "Account", "error_message": "x"},
    "fail_rows": {"sobject": "Account", "where": {"Name": "B"}, "code": "X", "fields": ["Name"], "attempts": 1},
    "validation_rule": {"sobject": "Account", "message": "m", "when": {"AnnualRevenue": {">": 100}, "Name": None}},
    "duplicate_rule": {"sobject": "Contact", "fields": ["LastName"], "on": ["insert"]},
    "trigger": {"sobject": "Account", "name": "G", "event": "BeforeUpdate", "message": "m"},
    "close_record": {"record_id": "001LO0000000001YAA"},
    "release": {"record_id": "001LO0000000001YAA"},
}
"""What fits a lever."""

DEEP = 5_000
"""Levels of JSON that no parser of Python follows."""

PARAMETERS = ["q", "ids", "fields", "locator", "maxRecords", "queryLocator", "start", "jobType", "explain"]
HEADERS = ["content-encoding", "accept", "sforce-query-options", "sforce-enable-pkchunking", "soapaction"]
SIGNATURES = ["", "Bearer", "Basic eDp5", "Bearer x", "Basic é"]
METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"]


@dataclass
class Bad:
    """One request."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def bad_request(random_: random.Random, token: str, ids: list[str]) -> Bad:
    """Make up a request.

    :param ids: of what is there, for paths and bodies
    """
    words = [*WORDS, *ids]
    if random_.random() < 0.1:
        return _pulled(random_, words)
    route = random_.choice(ROUTES)
    path = _filled(random_, route.path, words)
    if random_.random() < 0.4:
        name = random_.choice(
            ["q", "ids", "fields", "locator", "maxRecords", "queryLocator", "start", "jobType", "explain"]
        )
        value = _mutated_text(random_, random_.choice(QUERIES)) if name == "q" else random_.choice(words)
        path += f"?{name}={quote(value)}&allOrNone={random_.choice(['true', 'x'])}"
    body: bytes
    share = 0.2 if route.name.partition(".")[0] in ("oauth", "soap", "bulk1") or route.name == "ingest.upload" else 0.9
    if random_.random() < share:
        fitting = [BODIES[number] for number in FITTING.get(route.name, ())]
        chosen = random_.choice(fitting if fitting and random_.random() < 0.8 else BODIES)
        body = json.dumps(chosen if random_.random() < 0.3 else _mutated(random_, chosen, words)).encode()
    else:
        body = _mutated_text(random_, random_.choice(TEXTS)).encode(errors="replace")
    if random_.random() < 0.02:
        body = b'{"a":' * DEEP
    if random_.random() < 0.1:
        body = bytes(random_.randrange(256) for _ in range(random_.randrange(40)))
    headers = {"authorization": f"Bearer {token}", "x-sfdc-session": token, "content-type": random_.choice(TYPES)}
    if random_.random() < 0.8:
        kind = route.name.partition(".")[0]
        fit = {"oauth": TYPES[7], "soap": "text/xml", "bulk1": random_.choice(TYPES[:4])}
        headers["content-type"] = "text/csv" if route.name == "ingest.upload" else fit.get(kind, "application/json")
    for name in random_.sample(
        ("content-encoding", "accept", "sforce-query-options", "sforce-enable-pkchunking", "soapaction"), 2
    ):
        if random_.random() < 0.2:
            headers[name] = random_.choice(["gzip", "batchSize=0", "true", "chunkSize=1", "x", "identity", '"login"'])
    if random_.random() < 0.03:
        headers["authorization"] = (
            random_.choice(["", "Bearer", "Basic eDp5", "Bearer x", "Basic é"]).encode().decode("latin-1")
        )
    method = route.method if random_.random() < 0.9 else random_.choice(METHODS)
    return Bad(method, path, body, headers)


def _pulled(random_: random.Random, words: list[str]) -> Bad:
    """Return a call of a lever, mostly with something wrong in its arguments."""
    name = random_.choice(PULLED)
    arguments = _mutated(random_, ARGUMENTS.get(name, {}), words)
    return Bad("POST", f"/local-org/{name}", json.dumps(arguments).encode(), {"content-type": "application/json"})


def _filled(random_: random.Random, path: str, words: list[str]) -> str:
    """Return a path of a route, its variables mostly filled with what fits."""
    fit = {"version": "v66.0", "async_version": "66.0", "soap_version": "64.0", "locator": "01gLO0000000001YAA-2000"}
    fit["sobject"] = random_.choice(["Account", "Contact", "Case", "Opportunity"])

    def one(matched: re.Match[str]) -> str:
        name = matched[1]
        return fit[name] if name in fit and random_.random() < 0.9 else quote(random_.choice(words), safe="")

    plain = re.sub(
        r"\(\?:([^)|]*)(?:\|[^)]*)?\)\??", r"\1", path.replace("*", "").replace("[uc]", "u").replace("/\\w+", "")
    )
    return re.sub(r"\{(\w+)\}", one, plain)


def _mutated(random_: random.Random, value: Any, words: list[str]) -> Any:
    """Return JSON with some of it replaced."""
    if random_.random() < 0.08:
        return random_.choice([None, True, 0, -1, 1e300, 2**70, [], {}, [[]], {"a": {"b": []}}, "\ud800", *words])
    if isinstance(value, dict):
        return {
            (random_.choice(words) if random_.random() < 0.05 else name): _mutated(random_, each, words)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_mutated(random_, each, words) for each in value]
    return random_.choice(words) if random_.random() < 0.1 else value


def _mutated_text(random_: random.Random, text: str) -> str:
    """Return text with pieces cut out, doubled or put in."""
    for _ in range(random_.choice([0, 0, 1, 1, 2, 4])):
        start = random_.randrange(len(text) + 1)
        end = min(len(text), start + random_.randrange(12))
        text = (
            text[:start]
            + random_.choice(["", random_.choice(WORDS), text[start:end] * 2, "(", ")", ",", "."])
            + text[end:]
        )
    return text


class Fuzzer:
    """Sends such requests to an org."""

    def __init__(self, org: LocalOrg) -> None:
        self.org = org
        self._witness = Witness(org)
        self._witness.load("Name,External_Key__c\nA,k\nB,l\n")
        self._ids = [each["Id"] for each in org.records("Account")]

    def send(self, bad: Bad) -> int:
        """Send a request; return the status, 0 for a connection that was closed."""
        connection = http.client.HTTPConnection(urlsplit(self.org.url).netloc, timeout=60)
        try:
            connection.request(bad.method, bad.path, bad.body, bad.headers)
            response = connection.getresponse()
            response.read()
        except (http.client.HTTPException, ConnectionError):
            return 0
        else:
            return response.status
        finally:
            connection.close()

    def one(self, random_: random.Random) -> tuple[Bad, int]:
        """Make up a request and send it."""
        self._ids = [
            *self._ids[:2],
            *(job.id for job in self.org.jobs[-2:]),
            *(job.id for job in self.org.bulk1_jobs[-2:]),
        ]
        bad = bad_request(random_, self._witness.token or self._witness.log_in(), self._ids)
        return bad, self.send(bad)


def main() -> int:
    """Fuzz an org, and say what it answered.

    :return: 1 when it made a mistake
    """
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    random_ = random.Random(seed)
    statuses: dict[int, int] = {}
    wrong: list[Bad] = []
    org = LocalOrg().start()
    fuzzer = Fuzzer(org)
    for _ in range(count):
        bad, status = fuzzer.one(random_)
        statuses[status] = statuses.get(status, 0) + 1
        # SOAP faults are 500 by their protocol.
        if status >= 500 and "/Soap/" not in bad.path:
            wrong.append(bad)
    org.wait_until_idle()
    mistakes = list(org.core.mistakes)
    for each in wrong[:10]:
        print(each)
    for mistake in mistakes[:10]:
        print(repr(mistake))
    print(f"seed {seed}: {count} requests, by status {dict(sorted(statuses.items()))}, {len(mistakes)} mistakes")
    try:
        org.close()
    except RuntimeError:
        return 1
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
