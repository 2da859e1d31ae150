"""A connection's settings: what is inferred, what is refused, and what is hidden."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import LoginError, SfBulkError, SourceError
from airflow_provider_sfbulk.client.settings import AuthFlow, Settings, checked_version, spellings

APP = {"client_id": "3MVG9", "client_secret": "consumersecret"}
DOMAIN = {"host": "https://acme.my.salesforce.com"}
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("given_", "flow"),
    [
        ({**APP, "login": "u", "private_key": PEM}, AuthFlow.JWT_BEARER),
        ({**APP, "login": "u", "private_key_file": "/k.pem"}, AuthFlow.JWT_BEARER),
        ({**APP, "refresh_token": "5Aep"}, AuthFlow.REFRESH_TOKEN),
        ({**APP, "login": "u", "password": "p"}, AuthFlow.PASSWORD),
        ({"login": "u", "password": "p"}, AuthFlow.SOAP_LOGIN),
        ({"access_token": "00D!AQ", "instance_url": "https://acme.my.salesforce.com"}, AuthFlow.ACCESS_TOKEN),
        ({**APP, **DOMAIN}, AuthFlow.CLIENT_CREDENTIALS),
        ({**APP, **DOMAIN, "login": "u", "password": ""}, AuthFlow.CLIENT_CREDENTIALS),
    ],
)
def test_the_filled_fields_tell_the_way_to_log_in(given_, flow):
    assert Settings.from_mapping(given_).auth_flow is flow


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (
            {"auth_flow": "jwt_bearer"},
            "jwt_bearer needs client_id, login (username) and private_key or private_key_file",
        ),
        ({"auth_flow": "password", **APP, "login": "u"}, "password needs password"),
        ({"password": "secret", "client_secret": "x"}, "password needs client_id and login (username)"),
        ({"password": "secret"}, "soap_login needs login (username)"),
        ({"auth_flow": "refresh_token", **APP}, "refresh_token needs refresh_token"),
        ({"access_token": "00D!AQ"}, "access_token needs instance_url"),
        ({**DOMAIN, "client_secret": "x"}, "client_credentials needs client_id"),
        (APP, "client_credentials needs host = your My Domain"),
        ({**APP, "host": "test"}, "client_credentials needs host = your My Domain"),
        ({}, "the connection has nothing to log in with"),
        ({**APP, "host": "https://evil.example"}, "add it to allowed_hosts"),
        ({"access_token": "00D!AQ", "instance_url": "http://acme.my.salesforce.com"}, "instance_url"),
        (
            {"access_token": "two\nlines", "instance_url": "https://acme.my.salesforce.com"},
            "access_token is not a token",
        ),
    ],
)
def test_what_is_missing_or_wrong_for_a_login_is_said(given_, message):
    with pytest.raises(LoginError) as caught:
        Settings.from_mapping(given_)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"consumer_key": "x"}, "unknown settings consumer_key; known are host, login"),
        (
            {"auth_flow": "saml"},
            "known are jwt_bearer, client_credentials, refresh_token, password, soap_login, access_token",
        ),
        ({"api_version": "40.0"}, "41.0 or later"),
        ({"api_version": "latest"}, "must be like '66.0'"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "nan"}, "timeout"),
        ({"timeout": "inf"}, "timeout"),
        ({"allowed_hosts": 7}, "allowed_hosts"),
        ({"organization_id": "00D/x"}, "organization_id must be"),
        ({"proxy": "socks5://secret@proxy.example"}, "proxy must be a URL"),
        ({"proxy": "http://[secret"}, "proxy must be a URL"),
        ({"proxy": "http://:3128"}, "proxy must be a URL"),
    ],
)
def test_a_value_that_cannot_be_is_refused(given_, message):
    with pytest.raises(SourceError) as caught:
        Settings.from_mapping({**APP, **DOMAIN, **given_})
    assert message in str(caught.value)
    assert "secret" not in str(caught.value).replace("client_secret", "")


@pytest.mark.parametrize("text", ["66.0", "66", "v66.0", "V66", 66, 66.0, " 66.0 "])
def test_a_version_is_read_in_every_form(text):
    assert checked_version(text) == "66.0"


def test_settings_are_completed():
    made = Settings.from_mapping({**APP, "host": "acme.my.salesforce.com", "allowed_hosts": "a.example, b.example"})
    assert made.host == "https://acme.my.salesforce.com"
    assert made.allowed_hosts == ("a.example", "b.example")
    assert made.timeout == 120
    assert made.api_version == "66.0"


def test_settings_are_read_from_the_environment():
    environ = {"SFBULK_HOST": DOMAIN["host"], "SFBULK_CLIENT_ID": "3MVG9", "SFBULK_CLIENT_SECRET": "s", "HOST": "x"}
    assert Settings.from_env(environ) == Settings.from_mapping({**DOMAIN, "client_id": "3MVG9", "client_secret": "s"})


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "fill in SFBULK_PRIVATE_KEY, SFBULK_PRIVATE_KEY_FILE, SFBULK_CLIENT_SECRET, SFBULK_REFRESH_TOKEN, "),
        ({"SFBULK_LOGIN": "u", "SFBULK_PRIVATE_KEY_FILE": "/k"}, "jwt_bearer needs SFBULK_CLIENT_ID"),
        ({"SFBULK_CLIENT_SECRET": "s"}, "client_credentials needs SFBULK_CLIENT_ID"),
        ({"SFBULK_PASSWORD": "secret", "SFBULK_CLIENT_ID": "a"}, "needs SFBULK_CLIENT_SECRET and SFBULK_LOGIN"),
        ({"SFBULK_AUTH_FLOW": "jwt_bearer"}, "SFBULK_LOGIN and SFBULK_PRIVATE_KEY or SFBULK_PRIVATE_KEY_FILE"),
        ({"SFBULK_CLIENT_SECRT": "s"}, "unknown variables SFBULK_CLIENT_SECRT; known are SFBULK_HOST"),
    ],
)
def test_the_variable_that_is_missing_or_misspelt_is_named(environ, message):
    with pytest.raises(SfBulkError) as caught:
        Settings.from_env(environ)
    assert message in str(caught.value)


def test_a_proxys_password_is_hidden():
    made = Settings.from_mapping({**APP, **DOMAIN, "proxy": "http://me:p%40ssword@proxy.example:3128"})
    assert {"p%40ssword", "p@ssword"} <= made.secrets()
    assert "ssword" not in repr(made)
    assert Settings.from_mapping({**APP, **DOMAIN, "proxy": "proxy.example:3128"}).proxy == "http://proxy.example:3128"


def test_every_secret_field_is_hidden_from_repr():
    secret = {"password", "client_secret", "private_key", "refresh_token", "security_token", "access_token", "proxy"}
    assert {each.name for each in dataclasses.fields(Settings) if not each.repr} == secret


SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=6, max_size=30).filter(
    lambda text: text.strip() == text
)


@given(password=SECRETS, token=SECRETS)
def test_masks_cover_every_way_a_secret_is_written(password, token):
    made = Settings.from_mapping({**APP, "login": "u", "password": password, "security_token": token})
    masks = made.secrets()
    for text in (password, token, password + token):
        for written in (
            text,
            repr(text)[1:-1],
            json.dumps(text)[1:-1],
            quote(text),
            quote(text, safe=""),
            quote_plus(text),
        ):
            assert written in masks
    assert repr(made) == repr(dataclasses.replace(made, password=None, security_token=None))


def test_masks_cover_every_line_of_a_key_and_no_common_word():
    folded = PEM.replace("\n", "\\n")
    for written in (PEM, folded):
        masks = Settings.from_mapping({**APP, "login": "u", "private_key": written}).secrets()
        assert {"MIIEvQIBADANBgkqhkiG9w0BAQ", "EFAASCBKcwggSjAgEAAoIBAQC7"} <= masks
        # By its lines alone: a mask of the whole key matches nothing that its lines do not.
        assert not any("\n" in mask or "\\n" in mask for mask in masks)
        assert "-----BEGIN PRIVATE KEY-----" not in masks
    assert spellings("abcd") == frozenset()


def test_a_key_squeezed_into_one_line_is_unfolded(tmp_path):
    made = Settings.from_mapping({**APP, "login": "u", "private_key": PEM.replace("\n", "\\n")})
    assert made.with_private_key().private_key == PEM.strip()
    path = tmp_path / "a key 1%.pem"
    path.write_text(PEM)
    for place in (str(path), path, path.as_uri()):
        from_file = Settings.from_mapping({**APP, "login": "u", "private_key_file": place})
        assert from_file.with_private_key().private_key == PEM.strip()


def test_a_key_file_that_cannot_be_read_is_said(tmp_path):
    made = Settings.from_mapping({**APP, "login": "u", "private_key_file": str(tmp_path / "none.pem")})
    with pytest.raises(LoginError, match="No such file"):
        made.with_private_key()
    (tmp_path / "none.pem").write_bytes(b"\xff\xfe")
    with pytest.raises(LoginError, match="not text"):
        made.with_private_key()


@given(st.dictionaries(st.sampled_from([each.name for each in dataclasses.fields(Settings)]), st.text(max_size=20)))
def test_nonsense_is_refused_with_an_error_of_ours(values):
    with contextlib.suppress(SfBulkError):
        assert isinstance(Settings.from_mapping(values), Settings)
