"""The org's own addresses: the page to look at, its state as JSON, and its levers over HTTP."""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import Answer, V, Witness

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">\'"&'


TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div"} | {
    *("table", "thead", "tbody", "tr", "th", "td")
}


class Elements(HTMLParser):
    """Collects a page's elements, and the texts of its tables' cells."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell &= tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


def look(witness: Witness, path: str = "/", **headers: str) -> Answer:
    return witness.call("GET", path, authorization="", **headers)


def pull(witness: Witness, name: str, body: Any, **headers: str) -> Answer:
    return witness.call("POST", f"/local-org/{name}", body, authorization="", **headers)


@pytest.fixture
def used(org: LocalOrg, witness: Witness) -> Elements:
    witness.load(f'Name,Phone\n"{HOSTILE.replace(chr(34), chr(34) * 2)}",+49\nPlain,\n')
    witness.load("Nonsense\n1\n")
    witness.query("SELECT Id FROM Account")
    gone = witness.load("Name\nGone\n")
    record_id = witness.results(gone, "successfulResults").rows[0]["sf__Id"]
    witness.load(f"Id\n{record_id}\n", operation="delete")
    witness.call("GET", f"{V}/nothing?x=<b>")
    org.fault("query.*", "drop")
    return Elements(look(witness).text)


def test_the_page_shows_objects_jobs_faults_and_calls(org: LocalOrg, used: Elements) -> None:
    fields = str(len(org.core.schema.get("Account").fields))  # type: ignore[union-attr]
    assert ["Account", "Account", "2", "1", fields] in used.rows
    jobs = [row for row in used.rows if row[0].startswith("750")]
    assert [row[0] for row in jobs] == [job.id for job in reversed(org.jobs)]
    # As it is: a poll that sees a state later does not change what is shown.
    assert [row[4:7] for row in jobs] == [
        ["JobComplete", "1", "0"],
        ["JobComplete", "1", "0"],
        ["JobComplete", "2", "0"],
        ["Failed", "0", "0"],
        ["JobComplete", "2", "0"],
    ]
    assert "InvalidBatch : Field name not found : Nonsense" in jobs[3]
    assert ["query.*", "drop", "0"] in used.rows
    assert [str(len(org.calls)), "GET", f"{V}/nothing?x=<b>", "404"] in used.rows


def test_hostile_values_are_shown_and_nothing_else(witness: Witness, used: Elements) -> None:
    assert any(HOSTILE in row for row in used.rows)
    assert {tag for tag, _ in used.tags} == TAGS
    assert {name for _, attributes in used.tags for name in attributes} == {"lang", "charset", "class"}


def test_hostile_names_of_objects_and_labels_are_escaped(org: LocalOrg, witness: Witness) -> None:
    org.add_object(name="Odd__c", label=HOSTILE, fields=[{"name": "A__c", "type": "string", "length": 9}])
    page = look(witness).text
    assert "<script" not in page
    assert any(HOSTILE in row for row in Elements(page).rows)


def test_nothing_of_the_page_is_loaded_or_run(witness: Witness) -> None:
    answer = look(witness)
    policy = answer.headers["Content-Security-Policy"]
    style = re.search("<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    expected = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{expected}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"https?:|url\(|@import|style=", answer.text)


def test_the_page_has_no_secrets(org: LocalOrg, witness: Witness) -> None:
    token = witness.log_in()
    text = look(witness).text + look(witness, "/local-org/state").text
    for secret in (token, org.client_secret, org.password, org.security_token, org.refresh_token):
        assert secret not in text


def test_the_page_is_where_people_are_led_and_looking_is_no_call(org: LocalOrg, witness: Witness) -> None:
    setup = "/lightning/setup/AsyncApiJobStatus/page?address=%2F7508d000003QaLpAAK"
    for path in ("/", "/local-org", "/local-org/", setup):
        answer = look(witness, path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert org.calls == []
    assert org.core.usage.api_requests.used == 0


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:80", "127.0.0.1.example", ""])
def test_names_that_point_here_get_nothing(witness: Witness, host: str) -> None:
    assert look(witness, "/", host=host).status == 403
    assert look(witness, "/local-org/records/Account", host=host).status == 403
    assert pull(witness, "expire_tokens", {}, host=host).status == 403


def test_other_sites_cannot_pull_levers(org: LocalOrg, witness: Witness) -> None:
    token = witness.log_in()
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = pull(witness, "expire_tokens", "{}", content_type=content_type)
        assert answer.status == 415
    preflight = witness.call("OPTIONS", "/local-org/expire_tokens", authorization="")
    assert preflight.status == 404
    assert preflight.headers["Access-Control-Allow-Origin"] is None
    assert org.core.sessions.get(token) is not None


def test_levers_are_those_of_python(org: LocalOrg, witness: Witness) -> None:
    limits = f"{V}/limits"
    answer = pull(witness, "fault", {"route": "data.limits", "kind": "status", "status": 502, "retry_after": 1})
    assert answer.json == {"done": True, "fault": {"route": "data.limits", "kind": "status", "struck": 0}}
    assert witness.call("GET", limits).status == 502
    assert look(witness, "/local-org/state").json["faults"] == [{"route": "data.limits", "kind": "status", "struck": 1}]
    assert pull(witness, "clear_faults", {}).json == {"done": True}
    assert look(witness, "/local-org/state").json["faults"] == []
    before = org.core.clock.now()
    pull(witness, "advance", {"seconds": 3600})
    assert (org.core.clock.now() - before).total_seconds() > 3599
    pull(witness, "fail_rows", {"sobject": "Account", "where": {"Name": "B"}})
    pull(witness, "fail_jobs", {"kind": "query"})
    witness.log_in()
    assert len(witness.errors("Name\nA\nB\n")) == 1
    assert witness.query("SELECT Id FROM Account")["state"] == "Failed"
    pull(witness, "limit", {"name": "DailyApiRequests", "maximum": 0})
    assert witness.call("GET", limits).status == 403
    pull(witness, "limit", {"name": "DailyApiRequests", "maximum": 1000})
    pull(witness, "expire_tokens", {})
    assert witness.call("GET", limits).status == 401


def test_state_and_records_are_there_as_json(org: LocalOrg, witness: Witness) -> None:
    info = witness.load("Name\nA\n")
    state = look(witness, "/local-org/state").json
    (job,) = state["jobs"]
    assert (job["id"], job["jobType"], job["state"], job["numberRecordsProcessed"]) == (
        info["id"],
        "V2Ingest",
        "JobComplete",
        1,
    )
    assert state["calls"][0] == {"method": "POST", "path": "/services/oauth2/token", "status": 200}
    records = look(witness, "/local-org/records/account").json
    assert records == org.records("Account")
    assert records[0]["IsDeleted"] is False
    witness.load(f"Id\n{records[0]['Id']}\n", operation="delete")
    assert look(witness, "/local-org/records/Account").json == []
    (deleted,) = look(witness, "/local-org/records/Account?include_deleted=true").json
    assert deleted["IsDeleted"] is True


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("fault", {"route": "nowhere", "kind": "drop"}, "no route is called 'nowhere'"),
        ("fault", {"route": "data.limits", "kind": ["drop"]}, "kind must be 'status' or"),
        ("fault", {"route": "data.limits"}, "missing 1 required positional argument: 'kind'"),
        ("advance", {"seconds": -1}, "time only moves forward"),
        ("advance", {"seconds": "soon"}, "seconds must be a number"),
        ("advance", {"seconds": True}, "seconds must be a number"),
        ("freeze", {"at": 5}, "at must be a string or null"),
        ("put", {"sobject": None, "records": []}, "sobject must be a string"),
        ("put", {"sobject": "Account", "records": {}}, "records must be a list, each an object"),
        ("put", {"sobject": "Account", "records": [{"Name": "A", "CreatedById": {}}]}, "a user's id"),
        ("undelete", {"record_id": "\ud800"}, "surrogates not allowed"),
        ("validation_rule", {"sobject": "Account", "message": "m", "on": "insert"}, "on must be a list, each a string"),
        ("trigger", {"sobject": "Account", "event": "Insert"}, "event is when and what, such as BeforeInsert"),
        ("add_object", {"name": "a b", "fields": [{"name": "A__c", "type": "string"}]}, "cannot be called 'a b'"),
        ("add_object", {"name": "X__c", "fields": [{"name": "\0", "type": "string"}]}, "cannot be called '\\x00'"),
        (
            "add_object",
            {"name": "X__c", "fields": [{"name": "A__c", "type": "string", "length": "5"}]},
            "length of a field",
        ),
        ("add_object", {"name": "X__c", "fields": [{"name": "A__c", "type": None}]}, "needs type"),
        (
            "add_object",
            {"name": "X__c", "fields": [{"name": "A__c", "type": "picklist", "picklistValues": [1]}]},
            "must be a string",
        ),
        (
            "add_object",
            {"name": "X__c", "key_prefix": "abcd", "fields": [{"name": "A__c", "type": "int"}]},
            "keyPrefix",
        ),
        ("advance", {"hours": 1}, "unexpected keyword"),
        ("fail_rows", {"sobject": "Account", "where": "Name"}, "where must be an object or null"),
        ("fail_jobs", [], "send a JSON object"),
        ("fail_jobs", "{", "Expecting property name"),
    ],
)
def test_mistakes_are_told(witness: Witness, name: str, body: Any, why: str) -> None:
    answer = pull(witness, name, body, content_type="application/json")
    assert answer.status == 400
    assert why in answer.json["error"]


@pytest.mark.parametrize("name", ["close", "records", "core", "_object", "nothing", ""])
def test_there_are_no_other_levers(witness: Witness, name: str) -> None:
    assert pull(witness, name, {}).status == 404
    assert look(witness, "/local-org/records/_setting").status == 404


def test_an_infinite_leap_is_a_mistake_too(witness: Witness) -> None:
    assert pull(witness, "advance", '{"seconds": Infinity}', content_type="application/json").status == 400
    assert pull(witness, "advance", '{"seconds": 1e300}', content_type="application/json").status == 400
    assert pull(witness, "advance", '{"seconds": 1e12}', content_type="application/json").status == 400
    assert look(witness).status == 200


def test_the_page_works_over_tls() -> None:
    with LocalOrg(tls=True) as org:
        answer = Witness(org).call("GET", "/", authorization="")
        assert isinstance(answer.headers, http.client.HTTPMessage)
        assert answer.status == 200
