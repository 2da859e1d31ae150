"""Where a password or a token may be sent."""

from __future__ import annotations

import pytest

from airflow_provider_sfbulk.client.auth.hosts import check_url, complete, is_sandbox
from airflow_provider_sfbulk.client.errors import LoginError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "https://login.salesforce.com"),
        ("login", "https://login.salesforce.com"),
        ("test", "https://test.salesforce.com"),
        ("acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        (" https://acme.my.salesforce.com/ ", "https://acme.my.salesforce.com"),
        ('"acme.my.salesforce.com"', "https://acme.my.salesforce.com"),
        ("https:/acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("https:acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("//acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("acme.my.salesforce.com:443", "https://acme.my.salesforce.com:443"),
        ("acme.my.salesforce-setup.com", "https://acme.my.salesforce.com"),
        ("acme--uat.sandbox.lightning.force.com:443", "https://acme--uat.sandbox.my.salesforce.com:443"),
        ("https://acme.lightning.force.com/lightning/page/home", "https://acme.my.salesforce.com/lightning/page/home"),
        ("acme.develop.file.force.com", "https://acme.develop.my.salesforce.com"),
        ("acme--uat--c.sandbox.vf.force.com", "https://acme--uat.sandbox.my.salesforce.com"),
        ("acme.lightning.force.com.evil.example", "https://acme.lightning.force.com.evil.example"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_what_people_write_becomes_a_url(text, url):
    assert complete(text) == url


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("https://login.salesforce.com", "https://login.salesforce.com"),
        ("https://ACME.my.salesforce.com/", "https://acme.my.salesforce.com"),
        ("https://acme--uat.sandbox.my.salesforce.com", "https://acme--uat.sandbox.my.salesforce.com"),
        ("https://acme.my.salesforce.com:443", "https://acme.my.salesforce.com:443"),
        ("https://acme.secure.force.com", "https://acme.secure.force.com"),
        ("https://acme.my.salesforce.mil", "https://acme.my.salesforce.mil"),
        ("https://acme.my.sfcrmproducts.cn", "https://acme.my.sfcrmproducts.cn"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("https://[::1]:9", "https://[::1]:9"),
        ("https://sf.proxy.example", "https://sf.proxy.example"),
        ("https://eu.gateway.example:8443", "https://eu.gateway.example:8443"),
    ],
)
def test_salesforce_loopback_and_the_hosts_of_the_connection_are_allowed(url, checked):
    assert check_url(url, ("sf.proxy.example", "*.gateway.example:8443")) == checked


@pytest.mark.parametrize(
    "url",
    [
        "http://login.salesforce.com",
        "https://salesforce.com.evil.example",
        "https://evilsalesforce.com",
        "https://salesforce.com",
        "https://evil.example#.salesforce.com",
        "https://evil.example/.salesforce.com",
        "https://evil.example?.salesforce.com",
        "https://evil.example\\.salesforce.com",
        "https://login.salesforce.com@evil.example",
        "https://user:pw@acme.my.salesforce.com",
        "https://acme.my.salesforce.com:8443",
        "https://acme.my.salesforce.com:99999",
        "https://acme.my.salesforce.com/services",
        "https://acme.my.salesforce.com\r\nX: y",
        "https://ac me.my.salesforce.com",
        "https://äcme.my.salesforce.com",
        "https://127.0.0.1.evil.example",
        "http://10.0.0.1",
        "https://10.0.0.1",
        "https://169.254.169.254",
        "ftp://login.salesforce.com",
        "file:///etc/passwd",
        "https://",
        "https://[::1",
        "//login.salesforce.com",
        "https://gateway.example:8443",
        "https://eu.gateway.example",
        None,
        7,
    ],
)
def test_everything_else_is_refused(url):
    with pytest.raises(LoginError):
        check_url(url, ("sf.proxy.example", "*.gateway.example:8443"))


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("https://acme.lightning.force.com/lightning/page/home?x=SECRET", "write https://acme.my.salesforce.com"),
        ("acme.my.salesforce.com/services/Soap/u/66.0", "write https://acme.my.salesforce.com"),
        ("http://acme.my.salesforce.com", "plain http .* write https://acme.my.salesforce.com"),
        ("acme.my.salesforce.com:8443", "at port 443 only; write https://acme.my.salesforce.com"),
        ("https://acme.my.site.com/portal", "is a site, .* write https://acme.my.salesforce.com"),
        (
            "acme--uat.sandbox.my.salesforce-sites.com",
            "is a site, .* write https://acme--uat.sandbox.my.salesforce.com",
        ),
        ("acme", "not a whole host name: .* write https://acme.my.salesforce.com"),
        ("acme.my", "not a whole host name: .* write https://acme.my.salesforce.com"),
        ("acme.my.salesforce.com.", "ends with a dot: write https://acme.my.salesforce.com"),
        ("gateway.example:8443", "'gateway.example':8443 is not a Salesforce host"),
    ],
)
def test_what_is_no_host_is_refused_with_what_to_write(host, told):
    with pytest.raises(LoginError, match=rf"{told}(?: |;|$)") as caught:
        check_url(complete(host))
    assert "SECRET" not in str(caught.value)


def test_this_machine_is_refused_where_salesforce_names_the_host():
    with pytest.raises(LoginError):
        check_url("http://127.0.0.1:8080", loopback=False)
    with pytest.raises(LoginError):
        check_url("https://localhost", loopback=False)


@pytest.mark.parametrize(
    ("url", "sandbox"),
    [
        ("https://test.salesforce.com", True),
        ("https://acme--uat.sandbox.my.salesforce.com", True),
        ("https://acme.scratch.my.salesforce.com", True),
        ("https://acme--uat.my.salesforce.com", True),
        ("https://login.salesforce.com", False),
        ("https://acme.my.salesforce.com", False),
        ("https://acme.develop.my.salesforce.com", False),
    ],
)
def test_sandboxes_are_known_by_their_host(url, sandbox):
    assert is_sandbox(url) is sandbox
