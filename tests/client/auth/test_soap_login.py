"""SOAP login, by hand and against the local org: what is sent, what is believed, and what is never shown."""

from __future__ import annotations

import logging
import pickle
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client import BulkClient, errors
from airflow_provider_sfbulk.client.auth.oauth import LOGIN_TRIES
from airflow_provider_sfbulk.client.auth.session import Session
from airflow_provider_sfbulk.client.auth.soap_login import REPLY_BYTES
from airflow_provider_sfbulk.client.effects import Reply, Send, Sleep, Token
from airflow_provider_sfbulk.client.settings import AuthFlow, Settings
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.local_org import LocalOrg

PASSWORD, SECURITY_TOKEN = 'pä&s<s>"1', "SEC7RITYt0ken"
SESSION_ID = "00D8d000000kLmN!AQ8AQ.secret_tail"
CONNECTION = {"login": "loader&co@acme.example", "password": PASSWORD, "security_token": SECURITY_TOKEN}
QUICK = Schedule(first=0.02, longest=0.1)
ENVELOPE = "{http://schemas.xmlsoap.org/soap/envelope/}"
PARTNER = "{urn:partner.soap.sforce.com}"


def enveloped(inner: str) -> bytes:
    return (
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com" '
        'xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<soapenv:Body>{inner}</soapenv:Body></soapenv:Envelope>"
    ).encode()


def ok(
    server_url="https://acme.my.salesforce.com/services/Soap/u/64.0/00D8d000000kLmN", expired="false", **more
) -> Reply:
    values = {"passwordExpired": expired, "sandbox": "false", "serverUrl": server_url, "sessionId": SESSION_ID, **more}
    result = "".join(f"<{name}>{value}</{name}>" for name, value in values.items() if value is not None)
    info = "<userInfo><organizationId>00D8d000000kLmNEAU</organizationId><sessionId>no</sessionId></userInfo>"
    return Reply(200, {}, enveloped(f"<loginResponse><result>{result}{info}</result></loginResponse>"))


def fault(code: str, message: str, status: int = 500) -> Reply:
    detail = (
        f'<detail><sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>{code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{message}</sf:exceptionMessage></sf:LoginFault></detail>"
    )
    body = f"<faultcode>sf:{code}</faultcode><faultstring>{code}: {message}</faultstring>{detail}"
    return Reply(status, {}, enveloped(f"<soapenv:Fault>{body}</soapenv:Fault>"))


def session(**more) -> Session:
    return Session(Settings.from_mapping({**CONNECTION, **more}))


def renew(made: Session, replies):
    """Run a login; give the token, the requests and the seconds slept. Exceptions among the replies are raised."""
    flow, requests, slept, result, error = made.renew(None), [], [], None, None
    while True:
        try:
            effect = flow.send(result) if error is None else flow.throw(error)
        except StopIteration as end:
            return end.value, requests, slept
        result = error = None
        if isinstance(effect, Sleep):
            slept.append(effect.seconds)
            continue
        assert isinstance(effect, Send)
        requests.append(effect.request)
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            error = reply
        else:
            result = reply


def sent(request) -> ElementTree.Element:
    return ElementTree.fromstring(b"".join(request.body.chunks()))


@pytest.mark.parity("G2.2", "A5.1")
def test_user_and_password_without_an_app_mean_soap():
    assert session().settings.auth_flow is AuthFlow.SOAP_LOGIN
    assert session(client_id="3MVG9", client_secret="consumersecret").settings.auth_flow is AuthFlow.PASSWORD


def test_the_message_carries_name_and_password_whatever_they_hold():
    token, (request,), _ = renew(session(), [ok()])
    assert token == Token(SESSION_ID, "https://acme.my.salesforce.com")
    assert (request.method, request.url) == ("POST", "https://login.salesforce.com/services/Soap/u/64.0")
    assert request.headers["SOAPAction"] == "login"
    assert request.body.content_type == "text/xml; charset=UTF-8"
    message = sent(request)
    assert message.findtext(f"{ENVELOPE}Body/{PARTNER}login/{PARTNER}username") == CONNECTION["login"]
    assert message.findtext(f"{ENVELOPE}Body/{PARTNER}login/{PARTNER}password") == PASSWORD + SECURITY_TOKEN
    assert message.find(f"{ENVELOPE}Header") is None


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\r\n"), min_size=1))
def test_any_password_survives_xml(password):
    made = session(password=f"x{password}x")
    _, (request,), _ = renew(made, [ok()])
    found = sent(request).findtext(f".//{PARTNER}password")
    if "\ufffe" not in password and "\uffff" not in password:
        assert found == f"x{password}x{SECURITY_TOKEN}"


@pytest.mark.parametrize("field", ["login", "password"])
def test_a_character_that_xml_cannot_carry_is_refused(field):
    with pytest.raises(errors.LoginError, match=f"{field} has a character") as caught:
        renew(session(**{field: "hidden\x00word"}), [])
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(("version", "asked"), [("66.0", "64.0"), ("65.0", "64.0"), ("64.0", "64.0"), ("58.0", "58.0")])
def test_login_is_asked_of_a_version_that_has_it(version, asked):
    _, (request,), _ = renew(session(api_version=version, host="test"), [ok()])
    assert request.url == f"https://test.salesforce.com/services/Soap/u/{asked}"


def test_the_scope_of_a_portal_user_is_sent():
    _, (request,), _ = renew(session(organization_id="00D8d000000kLmNEAU", security_token=None), [ok()])
    scope = sent(request).find(f"{ENVELOPE}Header/{PARTNER}LoginScopeHeader")
    assert scope.findtext(f"{PARTNER}organizationId") == "00D8d000000kLmNEAU"
    with pytest.raises(errors.SourceError, match="organization_id"):
        session(organization_id="00D</s:x>")


@pytest.mark.parametrize(
    ("server_url", "instance"),
    [
        ("https://na1-api.salesforce.com/services/Soap/u/64.0/00D", "https://na1.salesforce.com"),
        ("https://my-api.my.salesforce.com/services/Soap/u/64.0", "https://my-api.my.salesforce.com"),
        ("https://na1-api.salesforce.com.my.salesforce.com/x", "https://na1-api.salesforce.com.my.salesforce.com"),
    ],
)
@pytest.mark.parity("G2.3")
def test_the_instance_is_scheme_and_host_of_the_server_url(server_url, instance):
    assert renew(session(), [ok(server_url)])[0].instance_url == instance


@pytest.mark.parametrize(
    "reply",
    [
        ok("http://acme.my.salesforce.com/services/Soap/u/64.0"),
        ok("https://evil.example/services/Soap/u/64.0"),
        ok("https://user:pw@acme.my.salesforce.com/x"),
        ok("http://127.0.0.1:8080/services/Soap/u/64.0"),
        ok("https://[/x"),
        ok("no url"),
        ok(None),
        ok(sessionId=None),
        ok(sessionId="two\nlines"),
        ok(expired="true"),
        Reply(302, {"location": "https://evil.example"}, b""),
        Reply(404, {}, b"<html>URL No Longer Exists</html>"),
    ],
)
def test_a_reply_that_is_no_login_is_not_believed(reply):
    with pytest.raises(errors.LoginError) as caught:
        renew(session(), [reply])
    assert SESSION_ID not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.", "check login, password"),
        ("LOGIN_MUST_USE_SECURITY_TOKEN", "Are you at a new location?", "fill in security_token"),
        ("INVALID_OPERATION_WITH_EXPIRED_PASSWORD", "expired", "new password"),
        ("PASSWORD_LOCKOUT", "locked", "unlock"),
        ("LOGIN_DURING_RESTRICTED_DOMAIN", "no", "from this address"),
        ("LOGIN_DURING_RESTRICTED_TIME", "no", "time of day"),
        ("API_DISABLED_FOR_ORG", "API is disabled for this User", "API Enabled"),
        ("INVALID_OPERATION", "SOAP API login() is disabled by default in this org.", "jwt_bearer"),
        ("UNSUPPORTED_API_VERSION", "no login()", "jwt_bearer"),
        ("SOMETHING_NEW", "what is this", "SOMETHING_NEW: what is this"),
    ],
)
def test_a_refused_login_is_not_tried_again_and_says_what_to_do(code, message, advice):
    with pytest.raises(errors.LoginError, match=r"at https://login\.salesforce\.com") as caught:
        renew(session(), [fault(code, message)])
    assert advice in str(caught.value)
    assert (caught.value.error_code, caught.value.status) == (code, 500)
    assert pickle.loads(pickle.dumps(caught.value)).error_code == code


@pytest.mark.parametrize(
    "trouble",
    [
        errors.TransportError("cut"),
        fault("SERVER_UNAVAILABLE", "later"),
        fault("API_CURRENTLY_DISABLED", "later"),
        fault("LOGIN_RATE_EXCEEDED", "later"),
        Reply(503, {}, b"<html>Maintenance</html>"),
        Reply(500, {}, b""),
        Reply(200, {}, b"<html>Maintenance</html>"),
        Reply(200, {}, ok().body[:-40]),
        Reply(200, {}, b"<!DOCTYPE a [<!ENTITY x 'y'>]>" + ok().body.replace(b"false", b"&x;")),
        Reply(200, {}, b"<a>" * 1000 + b"</a>" * 1000),
        Reply(200, {}, ok().body.replace(b"<sandbox>", b" " * REPLY_BYTES + b"<sandbox>")),
    ],
    ids=range(11),
)
def test_a_login_is_tried_again_while_no_proper_answer_comes(trouble):
    token, requests, slept = renew(session(), [trouble, trouble, ok()])
    assert token is not None
    assert (len(requests), slept) == (3, [1.0, 2.0])
    with pytest.raises(errors.TransientError):
        renew(session(), [trouble] * LOGIN_TRIES)


def test_no_fault_shows_a_secret():
    echoed = f"wrong: {PASSWORD} {SECURITY_TOKEN}".replace("&", "&amp;").replace("<", "&lt;")
    for code in ("INVALID_LOGIN", SECURITY_TOKEN):
        with pytest.raises(errors.LoginError) as caught:
            renew(session(), [fault(code, echoed)])
        shown = f"{caught.value!r} {vars(caught.value)}"
        assert PASSWORD not in shown
        assert SECURITY_TOKEN not in shown


def test_the_masker_gets_the_secrets_before_they_are_used():
    masked: set[str] = set()
    made = Session(Settings.from_mapping(CONNECTION), on_secrets=masked.update)
    flow = made.renew(None)
    next(flow)
    # Also as they stand in the message, and glued together.
    assert {PASSWORD, SECURITY_TOKEN, PASSWORD + SECURITY_TOKEN, 'pä&amp;s&lt;s&gt;"1SEC7RITYt0ken'} <= masked
    with pytest.raises(StopIteration):
        flow.send(ok())
    assert SESSION_ID in masked


# --- against the local org --------------------------------------------------------------------------------------------


def client(org: LocalOrg, **more) -> BulkClient:
    settings = {"login": org.username, "password": org.password, "security_token": org.security_token, **more}
    return BulkClient(host=org.url, **settings)


@pytest.mark.parity("G2.4")
def test_the_session_is_good_for_the_bulk_api_and_is_renewed(salesforce_org: LocalOrg, caplog):
    with caplog.at_level(logging.WARNING), client(salesforce_org) as made:
        assert made.api_version == "66.0"
        rows = [{"Name": "Umbrella Stand Co"}]
        assert made.ingest.perform("Account", "insert", rows, schedule=QUICK).successful_count == 1
        salesforce_org.expire_tokens()
        assert len(made.query.perform("SELECT Id FROM Account", schedule=QUICK)) == 1
    logins = [call.path for call in salesforce_org.calls if "/services/Soap/" in call.path]
    assert logins == ["/services/Soap/u/64.0"] * 2
    warnings = [record.getMessage() for record in caplog.records if "Summer '27" in record.getMessage()]
    assert len(warnings) == 1
    assert "jwt_bearer" in warnings[0]
    assert salesforce_org.password not in caplog.text


@pytest.mark.parametrize(
    ("more", "code"),
    [({"password": "not-this-one"}, "INVALID_LOGIN"), ({"security_token": None}, "LOGIN_MUST_USE_SECURITY_TOKEN")],
)
def test_the_orgs_faults_are_told(more, code, salesforce_org: LocalOrg):
    with client(salesforce_org, **more) as made, pytest.raises(errors.LoginError, match=code) as caught:
        made.limits()
    assert caught.value.error_code == code
    assert len(salesforce_org.calls) == 1


def test_an_org_without_soap_login_says_so(salesforce_org: LocalOrg):
    salesforce_org.core.soap_login = False
    with client(salesforce_org) as made, pytest.raises(errors.LoginError, match="jwt_bearer or client_credentials"):
        made.limits()


def test_a_trusted_address_needs_no_security_token(salesforce_org: LocalOrg):
    salesforce_org.core.trusted_network = True
    with client(salesforce_org, security_token=None, organization_id=salesforce_org.org_id) as made:
        assert made.user_info()["organization_id"] == salesforce_org.org_id
