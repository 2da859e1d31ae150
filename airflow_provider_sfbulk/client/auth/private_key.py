"""The RSA key that signs a JWT: read in every form that people give it, and refused with a reason when it cannot sign.

Forms, environment variables and secret stores alter a PEM: its line ends become ``\\n`` (once or twice), blanks or
nothing, or it is put into quotes, into base64 (once or twice) or percent-encoded. All of that is undone: between ``BEGIN``
and ``END`` is base64, in which white space has no meaning (RFC 7468). A file often holds a certificate beside the key.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote

from airflow_provider_sfbulk.client.errors import LoginError

log = logging.getLogger(__name__)

FILE_BYTES: Final = 64 * 1024
"""Bytes of a key file at most. Ours: a key of 4,096 bits has 3 kB."""

KEY_BITS: Final = 2048
"""Minimum bits of an RSA key: RFC 7518, 3.3, and the smallest that Salesforce makes certificates for."""

_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----(.*?)-----END \1-----", re.DOTALL)
_ESCAPES: Final = re.compile(r"\\+[nrt]")
_AROUND: Final = " \t\r\n\"'\ufeff\u200b"
"""What may stand around a key without meaning anything: also a byte order mark."""

_DATA_URI: Final = re.compile(r"data:[^,]{0,100};base64,")
_TIMES_PACKED: Final = 2
_LINE: Final = 64
_SEQUENCE: Final = b"\x30"
"""DER begins with this; the parser says what it contains."""

_NEEDED: Final = "private_key must be an RSA key in PEM without a passphrase, from -----BEGIN to -----END"
_PATH: Final = re.compile(r"(?:file:)?[/~.\\\w -]{0,400}\.(?:pem|key|der|p8|pk8|txt)", re.IGNORECASE)
_BUNDLE: Final = "PKCS12"
"""What we call the block of a key store, which has no PEM of its own."""
_HINTS: Final[tuple[tuple[str, str], ...]] = (
    ("PUBLIC KEY", "it is a public key, the private one is needed"),
    (
        _BUNDLE,
        "it is neither a key nor a certificate, perhaps a key store (.p12, .pfx); take the key out: openssl pkcs12 -in "
        "store.p12 -nocerts -nodes -out key.pem",
    ),
    ("CERTIFICATE", "it is a certificate, its private key is needed"),
    ("ENCRYPTED", "it has a passphrase; remove it: openssl pkey -in key.pem -out plain.pem"),
    ("OPENSSH", "it is in OpenSSH's format; convert a copy: ssh-keygen -p -m PEM -f copy"),
    ("EC PRIVATE", "it is an elliptic curve key; Salesforce accepts only RS256, which needs an RSA key"),
    ("DSA PRIVATE", "it is a DSA key; Salesforce accepts only RS256, which needs an RSA key"),
)


def read_key_file(path: str) -> str:
    """Read a key file. It is opened without blocking, since it may be a pipe, and at most ``FILE_BYTES`` are read.

    :raises LoginError: it cannot be read, or is not a key's file
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(number, "rb") as file:  # noqa: PTH123 - of a number
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                raise LoginError(f"cannot read private_key_file {path!r:.200}: it is not a regular file")
            data = file.read(FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is not a path"
        raise LoginError(f"cannot read private_key_file {path!r:.200}: {reason}") from error
    if len(data) > FILE_BYTES:
        raise LoginError(f"cannot read private_key_file {path!r:.200}: it has more than {FILE_BYTES} bytes")
    if status.st_mode & (stat.S_IRGRP | stat.S_IROTH) and status.st_uid == os.geteuid():
        log.warning("private_key_file %r can be read by others: chmod 600 keeps the key to its owner", path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if data[:1] != _SEQUENCE:
            raise LoginError(f"cannot read private_key_file {path!r:.200}: it is not text") from None
        return base64.b64encode(data).decode("ascii")  # DER, which is read below


def unfolded(text: str) -> str:
    """Restore a key to the form of a PEM. Anything else is returned unchanged."""
    found = next(filter(None, map(_key_in, _spellings(text))), None)
    if found is None:
        return text.strip()
    kind, body = found.groups()
    if ":" in body:  # headers of an old encrypted key: its lines mean something
        return f"-----BEGIN {kind}-----{body}-----END {kind}-----"
    if "\n" in body.strip():
        lines = ["".join(line.split()) for line in body.splitlines() if line.strip()]
        return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"])
    packed = "".join(body.split())
    lines = [packed[at : at + _LINE] for at in range(0, len(packed), _LINE)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"])


def _spellings(text: str) -> Iterator[str]:
    """Yield what a text may have been before it was put into something, the nearest first."""
    plain = _ESCAPES.sub("\n", text.strip(_AROUND))
    yield plain
    if "%" in plain:
        yield unquote(plain)
    packed = _DATA_URI.sub("", plain)
    for _ in range(_TIMES_PACKED):
        if not (packed := _from_base64(packed)):
            return
        yield packed


def _key_in(text: str) -> re.Match[str] | None:
    """Find the block of a key; another one when there is none."""
    blocks = list(_PEM.finditer(text))
    return next((block for block in blocks if "PRIVATE KEY" in block[1]), blocks[0] if blocks else None)


def load(text: str) -> Any:
    """Return the key to sign with.

    :param text: as :func:`unfolded` gives it
    :raises LoginError: it cannot sign; says why
    """
    # Imported here: only this login method needs the package, and it takes a tenth of a second.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    hint = next((hint for words, hint in _HINTS if words in text), None)
    if hint is None and "Proc-Type" in text:
        hint = dict(_HINTS)["ENCRYPTED"]
    if hint is None and _PATH.fullmatch(text):
        hint = "it is the name of a file: give it as private_key_file"
    try:
        key = load_pem_private_key(text.encode("utf-8", "replace"), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # From None: what a parser says of a key may quote the key.
        raise LoginError(f"private_key cannot sign: {hint or _NEEDED}") from None
    if not isinstance(key, RSAPrivateKey):
        raise LoginError("private_key cannot sign: it is not an RSA key; Salesforce takes RS256 only")
    if key.key_size < KEY_BITS:
        raise LoginError(
            f"private_key has {key.key_size} bits: RS256 needs {KEY_BITS} or more (RFC 7518). Make a new one and give "
            "the app its certificate: openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem"
        )
    return key


def _from_base64(text: str) -> str:
    """Read a PEM or DER that was put into base64; empty when it is something else."""
    packed = "".join(text.split())
    try:
        data = base64.b64decode(packed, altchars=b"-_" if {"-", "_"} & set(packed) else None, validate=True)
    except (binascii.Error, ValueError):
        return ""
    if data[:1] == _SEQUENCE:
        return _named_by_content(data)
    return _ESCAPES.sub("\n", data.decode("utf-8", "replace"))


def _named_by_content(der: bytes) -> str:
    """Put DER into the armour of what it is."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    packed = base64.b64encode(der).decode("ascii")
    kind = "PRIVATE KEY"
    try:
        key = serialization.load_der_private_key(der, None)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem.decode("ascii")
    except TypeError:
        kind = "ENCRYPTED PRIVATE KEY"
    except Exception:  # whatever it is, it is not a private key: perhaps a public one
        kind = _kind_without_a_key(der)
    return f"-----BEGIN {kind}-----{packed}-----END {kind}-----"


def _kind_without_a_key(der: bytes) -> str:
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415

    readers: tuple[tuple[str, Callable[[bytes], object]], ...] = (
        ("PUBLIC KEY", load_der_public_key),
        ("CERTIFICATE", load_der_x509_certificate),
    )
    for kind, read in readers:
        with suppress(Exception):
            read(der)
            return kind
    return _BUNDLE
