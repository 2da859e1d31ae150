"""SOAP login, seen by the standard library's HTTP client and XML parser."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import Answer, V, Witness

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
PATH = "/services/Soap/u/64.0"


def envelope(body: str, api: str = "partner") -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><env:Envelope xmlns:env="{ENVELOPE}" xmlns:n1="urn:{api}.soap.sforce.com">'
        f"<env:Header><n1:CallOptions><n1:client>test</n1:client></n1:CallOptions></env:Header><env:Body>{body}</env:Body>"
        "</env:Envelope>"
    )


def post(witness: Witness, body: str, path: str = PATH, **headers: str) -> Answer:
    sent = {"content_type": "text/xml; charset=UTF-8", "soapaction": "login", "authorization": "", **headers}
    return witness.call("POST", path, body, **{name: value for name, value in sent.items() if value != "-"})


def log_in(witness: Witness, username: str, password: str, path: str = PATH, api: str = "partner") -> Answer:
    body = f"<n1:login><n1:username>{username}</n1:username><n1:password>{password}</n1:password></n1:login>"
    return post(witness, envelope(body, api), path)


def result(answer: Answer, api: str = "partner") -> dict[str, str]:
    found = ElementTree.fromstring(answer.body).find(f".//{{urn:{api}.soap.sforce.com}}result")
    assert found is not None, answer.text
    return {each.tag.partition("}")[2]: each.text or "" for each in found.iter()}


def fault(answer: Answer, api: str = "partner") -> tuple[int, str, str]:
    """Return status, code and text, which the detail repeats."""
    found = ElementTree.fromstring(answer.body).find(f".//{{{ENVELOPE}}}Fault")
    assert found is not None, answer.text
    code, text = found.findtext("faultcode", ""), found.findtext("faultstring", "")
    if code.startswith("sf:"):
        namespace = f"{{urn:fault.{api}.soap.sforce.com}}"
        inner = found.findtext(f".//{namespace}exceptionCode"), found.findtext(f".//{namespace}exceptionMessage")
        assert (code, text) == (f"sf:{inner[0]}", f"{inner[0]}: {inner[1]}")
    return answer.status, code, text


@pytest.mark.parametrize(("letter", "api"), [("u", "partner"), ("c", "enterprise")])
def test_a_login_gives_a_session_for_every_api(org: LocalOrg, witness: Witness, letter: str, api: str) -> None:
    """Facts: "Base URL = scheme and host of `serverUrl`"; "`sessionSecondsValid` tells the lifetime (7200 = 2
    h)"; "Any access token or UI/SOAP session id works as Bearer token and as `X-SFDC-Session`"."""
    path = f"/services/Soap/{letter}/64.0"
    answer = log_in(witness, org.username, org.password + org.security_token, path, api)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/xml; charset=UTF-8")
    found = result(answer, api)
    assert found["serverUrl"] == f"{org.url}{path}/{org.org_id[:15]}"
    assert (found["passwordExpired"], found["sandbox"], found["sessionSecondsValid"]) == ("false", "false", "7200")
    assert (found["userId"], found["organizationId"]) == (org.user_id, org.org_id)
    session = found["sessionId"]
    assert session.startswith(f"{org.org_id[:15]}!")
    assert witness.call("GET", f"{V}/limits", authorization=f"Bearer {session}").status == 200
    old = "/services/async/64.0/job/750000000000001"
    assert "InvalidJob" in witness.call("GET", old, authorization="", x_sfdc_session=session).text


def test_a_wrong_password_is_a_fault_with_status_500(org: LocalOrg, witness: Witness) -> None:
    text = "INVALID_LOGIN: Invalid username, password, security token; or user locked out."
    for username, password in ((org.username, "no"), ("nobody", org.password + org.security_token), ("", "")):
        assert fault(log_in(witness, username, password)) == (500, "sf:INVALID_LOGIN", text)


def test_the_security_token_is_asked_for_outside_of_trusted_networks(org: LocalOrg, witness: Witness) -> None:
    status, code, text = fault(log_in(witness, org.username, org.password))
    assert (status, code) == (500, "sf:LOGIN_MUST_USE_SECURITY_TOKEN")
    assert "you must add a security token to your password" in text
    org.core.trusted_network = True
    assert result(log_in(witness, org.username, org.password))["userId"] == org.user_id


def test_names_and_passwords_are_unescaped(witness: Witness, org: LocalOrg) -> None:
    """Facts: "XML-escape name and password"."""
    escaped = "".join(f"&#{ord(letter)};" for letter in org.password + org.security_token)
    assert log_in(witness, org.username, escaped).status == 200


def test_login_is_gone_from_65_on_and_may_be_off(org: LocalOrg, witness: Witness) -> None:
    """Facts: "`login()` does not exist in API 65.0 and later …; it is off by default in new orgs"."""
    password = org.password + org.security_token
    for version in ("65.0", "30.0"):
        answer = log_in(witness, org.username, password, f"/services/Soap/u/{version}")
        assert fault(answer)[:2] == (500, "sf:UNSUPPORTED_API_VERSION")
    org.core.soap_login = False
    text = "INVALID_OPERATION: SOAP API login() is disabled by default in this org."
    assert fault(log_in(witness, org.username, password)) == (500, "sf:INVALID_OPERATION", text)


@pytest.mark.parametrize(
    "body",
    [
        "no xml",
        f'<env:Envelope xmlns:env="{ENVELOPE}"><env:Body/></env:Envelope>',
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + envelope("<n1:login/>").partition("?>")[2],
        envelope("<n1:logout/>"),
        envelope("<n1:login>" + " " * 70_000 + "</n1:login>"),
    ],
)
def test_what_is_no_login_is_the_clients_fault(witness: Witness, body: str) -> None:
    status, code, text = fault(post(witness, body))
    assert (status, code) == (500, "soapenv:Client")
    assert "root:" not in text


def test_soap_wants_its_headers(witness: Witness) -> None:
    assert fault(post(witness, envelope("<n1:login/>"), soapaction="-"))[1:] == (
        "soapenv:Client",
        "SOAPAction HTTP header missing",
    )
    assert fault(post(witness, envelope("<n1:login/>"), content_type="text/plain"))[1] == "soapenv:Client"
