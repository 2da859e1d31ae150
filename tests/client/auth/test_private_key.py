"""Keys as people hand them in: used where they can be, and refused with what is wrong where they cannot."""

from __future__ import annotations

import base64
import os
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from airflow_provider_sfbulk.client.auth import private_key
from airflow_provider_sfbulk.client.errors import LoginError

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PLAIN, DER, ENCODED = serialization.NoEncryption(), serialization.Encoding.DER, serialization.Encoding.PEM
PKCS8, PKCS1 = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL
PEM = KEY.private_bytes(ENCODED, PKCS8, PLAIN).decode()
OLD_PEM = KEY.private_bytes(ENCODED, PKCS1, PLAIN).decode()
PUBLIC = KEY.public_key().public_bytes(ENCODED, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
LOCKED = serialization.BestAvailableEncryption(b"passphrase")

USED = {
    "as it is": PEM,
    "PKCS#1": OLD_PEM,
    "CRLF": PEM.replace("\n", "\r\n"),
    "escaped": PEM.replace("\n", "\\n"),
    "escaped CRLF": PEM.replace("\n", "\\r\\n"),
    "escaped twice": PEM.replace("\n", "\\\\n"),
    "blanks instead of lines": PEM.replace("\n", " "),
    "nothing instead of lines": PEM.replace("\n", ""),
    "indented": PEM.replace("\n", "\n    "),
    "in quotes": f'"{PEM}"',
    "escaped and in quotes": '"' + PEM.replace("\n", "\\n") + '"',
    "text around it": f"Bag Attributes\n    localKeyID: 01\n{PEM}\n",
    "base64": base64.b64encode(PEM.encode()).decode(),
    "base64 in lines": base64.encodebytes(PEM.encode()).decode(),
    "base64 of an escaped one": base64.b64encode(PEM.replace("\n", "\\n").encode()).decode(),
    "URL-safe base64": base64.urlsafe_b64encode(PEM.encode()).decode(),
    "DER in base64": base64.b64encode(KEY.private_bytes(DER, PKCS8, PLAIN)).decode(),
    "base64, twice": base64.b64encode(base64.b64encode(PEM.encode())).decode(),
    "base64 as a data URI": "data:application/x-pem-file;base64," + base64.b64encode(PEM.encode()).decode(),
    "base64 behind a byte order mark": "\ufeff" + base64.b64encode(PEM.encode()).decode(),
    "percent-encoded": quote(PEM),
    "behind its certificate": f"{CERTIFICATE}{PEM}",
    "behind its public key, escaped": f"{PUBLIC}{PEM}".replace("\n", "\\n"),
    "PKCS#1 DER in base64": base64.b64encode(KEY.private_bytes(DER, PKCS1, PLAIN)).decode(),
}

REFUSED = {
    "public": (PUBLIC, "public key"),
    "public, base64": (base64.b64encode(PUBLIC.encode()).decode(), "public key"),
    "public, DER": (
        base64.b64encode(KEY.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)).decode(),
        "public key",
    ),
    "a certificate": (CERTIFICATE, "certificate"),
    "a key store, base64": (
        base64.b64encode(pkcs12.serialize_key_and_certificates(b"k", KEY, None, None, LOCKED)).decode(),
        "perhaps a key store",
    ),
    "the name of a file": ("/opt/airflow/keys/server.key", "give it as private_key_file"),
    "locked": (KEY.private_bytes(ENCODED, PKCS8, LOCKED).decode(), "passphrase"),
    "locked, the old way": (KEY.private_bytes(ENCODED, PKCS1, LOCKED).decode(), "passphrase"),
    "OpenSSH": (KEY.private_bytes(ENCODED, serialization.PrivateFormat.OpenSSH, PLAIN).decode(), "OpenSSH|no RSA"),
    "elliptic": (
        ec.generate_private_key(ec.SECP256R1()).private_bytes(ENCODED, PKCS8, PLAIN).decode(),
        "not an RSA key",
    ),
    "elliptic, the old way": (
        ec.generate_private_key(ec.SECP256R1()).private_bytes(ENCODED, PKCS1, PLAIN).decode(),
        "not an RSA key",
    ),
    "1024 bits": (
        rsa.generate_private_key(public_exponent=65537, key_size=1024).private_bytes(ENCODED, PKCS8, PLAIN).decode(),
        "1024 bits",
    ),
    "cut": (PEM[:800], "RSA key in PEM"),
    "a word": ("hunter2", "RSA key in PEM"),
    "spoilt": (PEM.replace("A", "B"), "RSA key in PEM"),
    "half a character": ("\ud800", "RSA key in PEM"),
}


@pytest.mark.parametrize("way", USED)
def test_a_key_is_used_however_it_was_put_in(way):
    assert private_key.load(private_key.unfolded(USED[way])).private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize("way", REFUSED)
def test_what_cannot_sign_is_refused_with_a_reason(way):
    text, reason = REFUSED[way]
    with pytest.raises(LoginError, match=reason) as caught:
        private_key.load(private_key.unfolded(text))
    assert caught.value.__cause__ is None
    assert len(text) < 80 or text[40:80] not in str(caught.value)


def test_a_der_file_is_used(tmp_path):
    path = tmp_path / "key.der"
    path.write_bytes(KEY.private_bytes(DER, PKCS8, PLAIN))
    read = private_key.read_key_file(str(path))
    assert private_key.load(private_key.unfolded(read)).private_numbers() == KEY.private_numbers()


def test_no_other_file_holds_a_login(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "big.pem").write_bytes(b"A" * 1_000_000)
    (tmp_path / "empty.pem").touch()
    for place in (tmp_path / "pipe", tmp_path, "/dev/zero", "/dev/stdin", tmp_path / "big.pem", "a\0b", "x" * 5000):
        with pytest.raises(LoginError, match="private_key_file"):
            private_key.read_key_file(str(place))
    with pytest.raises(LoginError, match="RSA key in PEM"):
        private_key.load(private_key.unfolded(private_key.read_key_file(str(tmp_path / "empty.pem"))))


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_key_that_others_can_read_is_said(tmp_path, caplog, mode, told):
    path = tmp_path / "key.pem"
    path.write_text(PEM)
    path.chmod(mode)
    private_key.read_key_file(str(path))
    assert ("can be read by others" in caplog.text) is told
