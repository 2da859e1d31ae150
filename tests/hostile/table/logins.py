"""Replies of login hosts, connections, and settings of the client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final
from xml.sax.saxutils import escape

from tests.hostile.table.line import HTML, HUGE, JSON, XML, Answer, Line
from tests.hostile.ways import APP

# One line each.
# fmt: off

SECRET: Final = "S3cretOfTheApp"
PASSWORD: Final = "P4ssword!"
SPELLINGS: Final[dict[str, Callable[[str], str]]] = {
    "in capitals": str.upper,
    "in hex": lambda text: text.encode().hex(),
    "in hex with blanks": lambda text: text.encode().hex(" ").upper(),
    "percent-encoded": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "spaced": " ".join,
    "over lines": lambda text: f"{text[:4]}\r\n{text[4:]}",
    "as entities": lambda text: "".join(f"&#{ord(each)};" for each in text),
}


def _refused(text: str) -> str:
    return json.dumps({"error": "invalid_client", "error_description": text})


def _fault(text: str) -> str:
    return f"<Envelope><Body><Fault><faultcode>INVALID_LOGIN</faultcode><faultstring>{escape(text)}</faultstring></Fault></Body></Envelope>"


LOGINS: Final[list[Line]] = [
    ("login by password: a web page", "login", ("password", Answer(200, HTML, "<html>")), "TransportError"),
    ("login by client_credentials: a web page", "login", ("client_credentials", Answer(200, HTML, "<html>")), "TransportError"),
    ("login by refresh_token: a web page", "login", ("refresh_token", Answer(200, HTML, "<html>")), "TransportError"),
    ("login by password: no token", "login", ("password", Answer(200, JSON, "{}")), "LoginError"),
    ("login by client_credentials: no token", "login", ("client_credentials", Answer(200, JSON, "{}")), "LoginError"),
    ("login by refresh_token: no token", "login", ("refresh_token", Answer(200, JSON, "{}")), "LoginError"),
    ("login by password: a token with a line break", "login", ("password", Answer(200, JSON, '{"access_token": "a\\nb", "instance_url": "https://acme.my.salesforce.com"}')), "LoginError"),
    ("login by client_credentials: a token with a line break", "login", ("client_credentials", Answer(200, JSON, '{"access_token": "a\\nb", "instance_url": "https://acme.my.salesforce.com"}')), "LoginError"),
    ("login by refresh_token: a token with a line break", "login", ("refresh_token", Answer(200, JSON, '{"access_token": "a\\nb", "instance_url": "https://acme.my.salesforce.com"}')), "LoginError"),
    ("login by password: another host", "login", ("password", Answer(200, JSON, '{"access_token": "t", "instance_url": "https://evil.example"}')), "LoginError"),
    ("login by client_credentials: another host", "login", ("client_credentials", Answer(200, JSON, '{"access_token": "t", "instance_url": "https://evil.example"}')), "LoginError"),
    ("login by refresh_token: another host", "login", ("refresh_token", Answer(200, JSON, '{"access_token": "t", "instance_url": "https://evil.example"}')), "LoginError"),
    ("login by password: this machine as host", "login", ("password", Answer(200, JSON, '{"access_token": "t", "instance_url": "http://127.0.0.1"}')), "LoginError"),
    ("login by client_credentials: this machine as host", "login", ("client_credentials", Answer(200, JSON, '{"access_token": "t", "instance_url": "http://127.0.0.1"}')), "LoginError"),
    ("login by refresh_token: this machine as host", "login", ("refresh_token", Answer(200, JSON, '{"access_token": "t", "instance_url": "http://127.0.0.1"}')), "LoginError"),
    ("login by password: a host that is a number", "login", ("password", Answer(200, JSON, '{"access_token": "t", "instance_url": 7}')), "LoginError"),
    ("login by client_credentials: a host that is a number", "login", ("client_credentials", Answer(200, JSON, '{"access_token": "t", "instance_url": 7}')), "LoginError"),
    ("login by refresh_token: a host that is a number", "login", ("refresh_token", Answer(200, JSON, '{"access_token": "t", "instance_url": 7}')), "LoginError"),
    ("login by password: the form echoed", "login", ("password", Answer(400, JSON, '{"error": "invalid_client", "error_description": "client_secret=S3cretOfTheApp&password=P4ssword!"}')), "LoginError"),
    ("login by client_credentials: the form echoed", "login", ("client_credentials", Answer(400, JSON, '{"error": "invalid_client", "error_description": "client_secret=S3cretOfTheApp&password=P4ssword!"}')), "LoginError"),
    ("login by refresh_token: the form echoed", "login", ("refresh_token", Answer(400, JSON, '{"error": "invalid_client", "error_description": "client_secret=S3cretOfTheApp&password=P4ssword!"}')), "LoginError"),
    ("login by password: the form echoed as code", "login", ("password", Answer(400, JSON, '{"error": "S3cretOfTheApp"}')), "LoginError"),
    ("login by client_credentials: the form echoed as code", "login", ("client_credentials", Answer(400, JSON, '{"error": "S3cretOfTheApp"}')), "LoginError"),
    ("login by refresh_token: the form echoed as code", "login", ("refresh_token", Answer(400, JSON, '{"error": "S3cretOfTheApp"}')), "LoginError"),
    ("login by password: escapes", "login", ("password", Answer(400, JSON, '{"error": "invalid_grant", "error_description": "\\u001b[2J\\u202e"}')), "LoginError"),
    ("login by client_credentials: escapes", "login", ("client_credentials", Answer(400, JSON, '{"error": "invalid_grant", "error_description": "\\u001b[2J\\u202e"}')), "LoginError"),
    ("login by refresh_token: escapes", "login", ("refresh_token", Answer(400, JSON, '{"error": "invalid_grant", "error_description": "\\u001b[2J\\u202e"}')), "LoginError"),
    ("login by password: 503", "login", ("password", Answer(503, HTML, "")), "ServerBusyError"),
    ("login by client_credentials: 503", "login", ("client_credentials", Answer(503, HTML, "")), "ServerBusyError"),
    ("login by refresh_token: 503", "login", ("refresh_token", Answer(503, HTML, "")), "ServerBusyError"),
    ("login by password: inactive_org", "login", ("password", Answer(400, JSON, '{"error": "inactive_org"}')), "ServerBusyError"),
    ("login by client_credentials: inactive_org", "login", ("client_credentials", Answer(400, JSON, '{"error": "inactive_org"}')), "ServerBusyError"),
    ("login by refresh_token: inactive_org", "login", ("refresh_token", Answer(400, JSON, '{"error": "inactive_org"}')), "ServerBusyError"),
    ("login by password: a redirect", "login", ("password", Answer(302, HTML, "")), "LoginError"),
    ("login by client_credentials: a redirect", "login", ("client_credentials", Answer(302, HTML, "")), "LoginError"),
    ("login by refresh_token: a redirect", "login", ("refresh_token", Answer(302, HTML, "")), "LoginError"),
    ("login by password: 400 without a body", "login", ("password", Answer(400, JSON, "")), "LoginError"),
    ("login by client_credentials: 400 without a body", "login", ("client_credentials", Answer(400, JSON, "")), "LoginError"),
    ("login by refresh_token: 400 without a body", "login", ("refresh_token", Answer(400, JSON, "")), "LoginError"),
    ("login by password: 404", "login", ("password", Answer(404, HTML, "no")), "LoginError"),
    ("login by client_credentials: 404", "login", ("client_credentials", Answer(404, HTML, "no")), "LoginError"),
    ("login by refresh_token: 404", "login", ("refresh_token", Answer(404, HTML, "no")), "LoginError"),
    ("SOAP login: no XML", "login", ("soap_login", Answer(200, XML, "hello")), "TransportError"),
    ("SOAP login: no fault", "login", ("soap_login", Answer(500, XML, "<x/>")), "ServerBusyError"),
    ("SOAP login: API disabled", "login", ("soap_login", Answer(500, XML, "<Fault><exceptionCode>API_CURRENTLY_DISABLED</exceptionCode></Fault>")), "ServerBusyError"),
    ("SOAP login: the password echoed", "login", ("soap_login", Answer(500, XML, "<Fault><exceptionCode>INVALID_LOGIN</exceptionCode><exceptionMessage>P4ssword!</exceptionMessage></Fault>")), "LoginError"),
    ("SOAP login: an entity", "login", ("soap_login", Answer(200, XML, '<!DOCTYPE x [<!ENTITY a "b">]><result/>')), "TransportError"),
    ("SOAP login: a session without a host", "login", ("soap_login", Answer(200, XML, "<result><sessionId>x</sessionId></result>")), "LoginError"),
    ("an extra: a list", "connection", ([],), "SourceError"),
    ("an extra: a text", "connection", ('"x"',), "SourceError"),
    ("an extra: a number", "connection", (7,), "SourceError"),
    ("an extra: null", "connection", (None,), "SourceError"),
    ("an extra: no JSON", "connection", ("{",), "SourceError"),
    ("an extra: nested", "connection", ({"client_id": {"a": 1}, "client_secret": "s"},), "SourceError"),
    ("an extra: a list for a secret", "connection", ({"client_id": "c", "client_secret": ["s"]},), "SourceError"),
    ("an extra: an unknown flow", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "auth_flow": "magic"},), "SourceError"),
    ("an extra: nothing to log in with", "connection", ({},), "LoginError"),
    ("an extra: true as a timeout", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "timeout": True},), "SourceError"),
    ("an extra: a timeout of 0", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "timeout": 0},), "SourceError"),
    ("an extra: a timeout that is endless", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "timeout": "inf"},), "SourceError"),
    ("an extra: a timeout in fullwidth digits", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "timeout": "１０"},), "SourceError"),
    ("an extra: a negative timeout", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "timeout": -1},), "SourceError"),
    ("an extra: a version in fullwidth digits", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "api_version": "６６.０"},), "SourceError"),
    ("an extra: a version of 400 digits", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "api_version": "9" * 400},), "SourceError"),
    ("an extra: a version that is too old", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "api_version": "20.0"},), "SourceError"),
    ("an extra: a version with words", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "api_version": "Spring '26"},), "SourceError"),
    ("an extra: a ca_file that is missing", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "ca_file": "/nowhere/ca.pem"},), "LoginError"),
    ("an extra: a ca_file that is a device", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "ca_file": "/dev/zero"},), "LoginError"),
    ("an extra: a ca_file without certificates", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "ca_file": "/etc/hostname"},), "LoginError"),
    ("an extra: a ca_file with NUL", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "ca_file": "a\x00b"},), "SourceError"),
    ("an extra: a proxy that is no URL", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "proxy": "ftp://x"},), "SourceError"),
    ("an extra: a proxy with a bad port", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "proxy": "http://x:99999"},), "SourceError"),
    ("an extra: allowed_hosts that are numbers", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "allowed_hosts": [1]},), "SourceError"),
    ("an extra: a misspelt key", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "clientid": "x"},), "SourceError"),
    ("an extra: a key file that is missing", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "login": "u", "private_key_file": "/nowhere/key.pem"},), "LoginError"),
    ("an extra: a key file that is a device", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "login": "u", "private_key_file": "/dev/zero"},), "LoginError"),
    ("an extra: a key file that is a folder", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "login": "u", "private_key_file": "/tmp"},), "LoginError"),
    ("an extra: an access token with a blank", "connection", ({"access_token": "a b", "instance_url": "https://acme.my.salesforce.com"},), "LoginError"),
    ("an extra: an organization_id that is none", "connection", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "login": "u", "password": "p", "organization_id": "<x>"},), "SourceError"),
    ("a host: another domain", "settings", ({"host": "https://evil.example", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: a look-alike", "settings", ({"host": "https://salesforce.com.evil.example", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: a user in it", "settings", ({"host": "https://u:p@acme.my.salesforce.com", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: a path", "settings", ({"host": "https://acme.my.salesforce.com/x", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: plain http", "settings", ({"host": "http://acme.my.salesforce.com", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: another port", "settings", ({"host": "https://acme.my.salesforce.com:8443", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: a site", "settings", ({"host": "https://acme.my.site.com", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: a port that is none", "settings", ({"host": "https://acme.my.salesforce.com:x", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: a blank", "settings", ({"host": "https://acme my.salesforce.com", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: an escape", "settings", ({"host": "https://acme\x1b.my.salesforce.com", "client_id": "c", "client_secret": "s"},), "SourceError"),
    ("a host: another script", "settings", ({"host": "https://аcme.my.salesforce.com.", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: nothing but dots", "settings", ({"host": "https://...", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: an IPv6 that is cut", "settings", ({"host": "https://[::1", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: half of a character", "settings", ({"host": "https://\ud800.salesforce.com", "client_id": "c", "client_secret": "s"},), "SourceError"),
    ("a setting: client_secret with half of a character", "settings", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "a\ud800"},), "SourceError"),
    ("a setting: password with half of a character", "settings", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "password": "a\ud800"},), "SourceError"),
    ("a setting: login with half of a character", "settings", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "login": "a\ud800"},), "SourceError"),
    ("a setting: security_token with half of a character", "settings", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "security_token": "a\ud800"},), "SourceError"),
    ("a setting: a proxy with a blank", "settings", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "proxy": "http://a b"},), "SourceError"),
    ("a setting: a proxy that is no ASCII", "settings", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "proxy": "http://\ud800"},), "SourceError"),
    ("a setting: a proxy that is a number and no host", "settings", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "proxy": "http://:3128"},), "SourceError"),
    ("a setting: a proxy by another protocol", "settings", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "proxy": "socks5://a:1"},), "SourceError"),
    ("a setting: a proxy with a line break", "settings", ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "proxy": "http://a\r\nX: y"},), "SourceError"),
    ("a host: an IPv4 address in words", "settings", ({"host": "https://127.1.evil.example", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: a host of another width", "settings", ({"host": "https://acme.my.salesforce。com", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: a label of 64 letters", "settings", ({"host": "https://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.my.salesforce.com", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: a backslash", "settings", ({"host": "https://acme.my.salesforce.com\\@evil.example", "client_id": "c", "client_secret": "s"},), "LoginError"),
    ("a host: an empty label", "settings", ({"host": "https://a..my.salesforce.com", "client_id": "c", "client_secret": "s"},), "LoginError"),
    *((f"login by {flow}: the form echoed {how}", "login", (flow, Answer(400, JSON, _refused(f"client_secret={spell(SECRET)}&password={spell(PASSWORD)}"))), "LoginError") for flow in ("password", "client_credentials", "refresh_token") for how, spell in SPELLINGS.items()),
    *((f"SOAP login: the password echoed {how}", "login", ("soap_login", Answer(500, XML, _fault(spell(PASSWORD)))), "LoginError") for how, spell in SPELLINGS.items()),
    ("login by password: the password as another host", "login", ("password", Answer(200, JSON, '{"access_token": "t", "instance_url": "https://p4ssword.example"}')), "LoginError"),
    *((f"setting: {name} is a number of 5,000 digits", "settings", ({**APP, name: HUGE},), "SourceError") for name in ("host", "login", "client_secret", "api_version", "timeout", "allowed_hosts", "proxy", "ca_file")),
]
