"""A connection's settings, which are read, checked and completed once."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import ssl
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any, Final, Self
from urllib.parse import quote, quote_plus, unquote, urlsplit

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.arguments import LARGEST, shown
from airflow_provider_sfbulk.client.auth import hosts, private_key
from airflow_provider_sfbulk.client.errors import LoginError, SourceError
from airflow_provider_sfbulk.client.local_path import local_path
from airflow_provider_sfbulk.client.replies.safe_text import fit

ENV_PREFIX: Final = "SFBULK_"
TIMEOUT_SECONDS: Final = 120.0
"""Default of the connection's ``timeout``, in seconds (see ``http/pace``)."""

MOST_TIMEOUT: Final = 24 * 60 * 60
MASK_CHARACTERS: Final = 5
"""Shorter texts are not masked: Airflow's masker skips them, and they would hide ordinary words."""

BASE64_CHARACTERS: Final = 8
"""Shorter pieces of base64 are not masked: they occur in other texts by chance."""

_URL_SAFE: Final = str.maketrans("+/", "-_")
_VERSION: Final = re.compile(r"v?([0-9]{2,3})(?:\.0)?", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[!-~]+")
_ID: Final = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_ARMOUR: Final = "-----"


class AuthFlow(StrEnum):
    """Login methods; see ``client/auth``."""

    JWT_BEARER = "jwt_bearer"
    CLIENT_CREDENTIALS = "client_credentials"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a way to log in
    PASSWORD = "password"  # noqa: S105 - likewise
    SOAP_LOGIN = "soap_login"
    ACCESS_TOKEN = "access_token"  # noqa: S105 - likewise


_NEEDS: Final[Mapping[AuthFlow, tuple[tuple[str, ...], ...]]] = {
    AuthFlow.JWT_BEARER: (("client_id",), ("login",), ("private_key", "private_key_file")),
    AuthFlow.CLIENT_CREDENTIALS: (("client_id",), ("client_secret",)),
    AuthFlow.REFRESH_TOKEN: (("client_id",), ("refresh_token",)),
    AuthFlow.PASSWORD: (("client_id",), ("client_secret",), ("login",), ("password",)),
    AuthFlow.SOAP_LOGIN: (("login",), ("password",)),
    AuthFlow.ACCESS_TOKEN: (("access_token",), ("instance_url",)),
}
"""What each method needs: at least one of each group."""

_INFERRED: Final[tuple[tuple[tuple[str, ...], AuthFlow], ...]] = (
    (("private_key",), AuthFlow.JWT_BEARER),
    (("private_key_file",), AuthFlow.JWT_BEARER),
    (("refresh_token",), AuthFlow.REFRESH_TOKEN),
    (("access_token",), AuthFlow.ACCESS_TOKEN),
    (("password", "client_id"), AuthFlow.PASSWORD),
    (("password", "client_secret"), AuthFlow.PASSWORD),
    (("password",), AuthFlow.SOAP_LOGIN),
    (("client_secret",), AuthFlow.CLIENT_CREDENTIALS),
)
"""The first row whose fields are all filled decides. OAuth precedes SOAP, which will be retired."""

_VISIBLE: Final = re.compile(r"[!-~]+")

_SECRET: Final = frozenset(
    {"password", "client_secret", "private_key", "refresh_token", "security_token", "access_token", "proxy"}
)
"""Fields whose value is never shown."""

_ENOUGH: Final = ("private_key", "private_key_file", "client_secret", "refresh_token", "password", "access_token")
"""Fields of which every login method needs one."""


def _title(name: str) -> str:
    return "login (username)" if name == "login" else name


def _variable(name: str) -> str:
    return f"{ENV_PREFIX}{name.upper()}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The keys of a connection. Made by :meth:`from_mapping`, which checks them.

    :param host: scheme and host of the login, ``https://login.salesforce.com`` or a My Domain
    :param login: username
    :param auth_flow: how to log in
    :param private_key: RSA key in PEM, for ``jwt_bearer``
    :param private_key_file: path of that key instead
    :param audience: ``aud`` of the JWT; by default the login or test host, by ``host``
    :param security_token: appended to the password
    :param organization_id: org in which ``soap_login`` looks for the user; for portal users
    :param access_token: a ready-made session, with ``instance_url``; it cannot be renewed
    :param api_version: ``"66.0"``
    :param allowed_hosts: hosts besides Salesforce's own, see :mod:`~airflow_provider_sfbulk.client.auth.hosts`
    :param ca_file: path of the certificate authorities to trust, instead of the default ones
    :param proxy: URL of the proxy to all hosts except this machine, instead of the environment's
    :param timeout: maximum seconds until a reply begins, and of silence
    """

    host: str = hosts.LOGIN_HOST
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    auth_flow: AuthFlow
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    private_key_file: str | None = None
    audience: str | None = None
    refresh_token: str | None = field(default=None, repr=False)
    security_token: str | None = field(default=None, repr=False)
    organization_id: str | None = None
    access_token: str | None = field(default=None, repr=False)
    instance_url: str | None = None
    api_version: str = limits.DEFAULT_API_VERSION
    allowed_hosts: tuple[str, ...] = ()
    ca_file: str | None = None
    proxy: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT_SECONDS

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, title: Callable[[str], str] = _title) -> Self:
        """Read, complete and check settings. Keys without a value (None, blank) count as absent.

        :param title: returns the name of a key in the source of the values, for errors
        :raises SourceError: an unknown key, or a value that cannot be understood
        :raises LoginError: something that the login method needs is missing, or a host is not allowed
        """
        known = [each.name for each in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise SourceError(f"unknown settings {', '.join(unknown)}; known are {', '.join(known)}")
        given = {key: value for key, value in values.items() if value is not None and not _is_blank(value)}
        timeout = given.pop("timeout", TIMEOUT_SECONDS)
        for key, value in given.items():
            is_text = isinstance(value, str | int | float | PurePath) and not isinstance(value, bool)
            if (key != "allowed_hosts" and not is_text) or (isinstance(value, int) and abs(value) > LARGEST):
                raise SourceError(f"{title(key)} must be a string, not {type(value).__name__}")
        texts = {key: str(value).strip() for key, value in given.items()}
        for key, text in texts.items():
            _check_characters(text, is_shown=key not in _SECRET | {"login"}, what=title(key))
        for key in texts.keys() & {"private_key_file", "ca_file"}:
            texts[key] = local_path(texts[key], what=title(key))
        allowed = _patterns(given.get("allowed_hosts", ()))
        flow = _flow(texts, title)
        if "instance_url" in texts:
            url = hosts.complete(texts["instance_url"])
            texts["instance_url"] = hosts.check_url(url, allowed, what="instance_url")
        for key in ("access_token", "refresh_token"):
            check_token(texts.get(key, "-"), what=key)
        checked: dict[str, Any] = {
            **texts,
            "host": hosts.check_url(hosts.complete(texts.get("host", "")), allowed),
            "auth_flow": flow,
            "api_version": checked_version(texts.get("api_version", limits.DEFAULT_API_VERSION)),
            "allowed_hosts": allowed,
            "timeout": _seconds(timeout),
        }
        if "organization_id" in texts and not _ID.fullmatch(texts["organization_id"]):
            raise SourceError("organization_id must be the org's id: 15 or 18 letters and digits")
        if "ca_file" in texts:
            check_authorities(texts["ca_file"], what=title("ca_file"))
        if "proxy" in texts:
            checked["proxy"] = checked_proxy(texts["proxy"])
        if "password" in given:
            checked["password"] = str(given["password"])  # blanks at its ends may be part of it
        return cls(**checked)._checked(title)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read ``SFBULK_HOST``, ``SFBULK_LOGIN``, ``SFBULK_CLIENT_ID`` … as :meth:`from_mapping` does.

        :raises SourceError: as there; also for an unknown variable with this prefix, such as a misspelt one
        :raises LoginError: as there; names the variable that is missing
        """
        if not isinstance(environ, Mapping) or not all(isinstance(key, str) for key in environ):
            raise SourceError(f"environ is a mapping as os.environ, with texts as keys, not {shown(environ)}")
        values = {key.removeprefix(ENV_PREFIX).lower(): environ[key] for key in environ if key.startswith(ENV_PREFIX)}
        unknown = sorted(set(values) - {each.name for each in fields(cls)})
        if unknown:
            known = ", ".join(_variable(each.name) for each in fields(cls))
            raise SourceError(f"unknown variables {', '.join(map(_variable, unknown))}; known are {known}")
        return cls.from_mapping(values, title=_variable)

    def _checked(self, title: Callable[[str], str]) -> Self:
        missing = [
            " or ".join(map(title, group))
            for group in _NEEDS[self.auth_flow]
            if not any(getattr(self, name) for name in group)
        ]
        if missing:
            raise LoginError(f"{self.auth_flow} needs {_listed(missing)}")
        if self.auth_flow is AuthFlow.CLIENT_CREDENTIALS and self.host in (hosts.LOGIN_HOST, hosts.TEST_HOST):
            raise LoginError("client_credentials needs host = your My Domain; Salesforce refuses it on login and test")
        return self

    @property
    def full_password(self) -> str:
        """Password and security token in one string, as Salesforce expects them."""
        return f"{self.password or ''}{self.security_token or ''}"

    def with_private_key(self) -> Self:
        """Read ``private_key_file``, and restore a PEM that was squeezed into one line.

        :raises LoginError: the file cannot be read
        """
        text = self.private_key
        if text is None and self.private_key_file is not None:
            text = private_key.read_key_file(self.private_key_file)
        return self if text is None else replace(self, private_key=private_key.unfolded(text))

    def secrets(self) -> frozenset[str]:
        """Return every spelling in which a secret of this connection may appear in a log.

        A masker that compares texts misses a secret's ``repr``, JSON, XML and URL forms, and a key that is logged line
        by line (measured on Airflow 3.3.2), so each is listed. Texts under ``MASK_CHARACTERS`` are not.
        """
        own = (self.password, self.client_secret, self.refresh_token, self.security_token, self.access_token)
        given = [*own, self.full_password, *_proxy_passwords(self.proxy)]
        if self.private_key is not None:
            given += [*_key_lines(private_key.unfolded(self.private_key)), *_key_lines(self.private_key)]
        return spellings(*(text for text in given if text))


def spellings(*secrets: str) -> frozenset[str]:
    """Return each secret itself and in the form that ``repr``, JSON, XML, a URL, base64 and a CRLF file give it.

    In base64 a text looks different at each of three offsets; its neighbours change its first and last characters, so
    those are left out.
    """
    found: set[str] = set()
    for written in {*secrets, *(secret.strip() for secret in secrets)}:
        lines = written.replace("\r\n", "\n")
        for text in (written, lines, lines.replace("\n", "\r\n")):
            found |= {text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
            found |= {quote(text), quote(text, safe=""), quote_plus(text)}
            found |= {html.escape(text), html.escape(text, quote=False)}
        found |= set(_in_base64(written))
    return frozenset(text for text in found if len(text) >= MASK_CHARACTERS)


def _in_base64(text: str) -> Iterator[str]:
    data = text.encode("utf-8", "surrogatepass")
    for before in range(3):
        packed = base64.b64encode(bytes(before) + data).decode("ascii")
        first = (0, 2, 3)[before]
        last = (before + len(data)) * 8 // 6
        core = packed[first:last]
        if len(core) >= BASE64_CHARACTERS:
            safe = core.translate(_URL_SAFE)
            yield from (core, safe, quote(core, safe=""))


def checked_version(value: object) -> str:
    """Convert ``"v66.0"``, ``"66"``, ``66`` or ``66.0`` to ``"66.0"``.

    :raises SourceError: when it is not a version, or one without Bulk API 2.0
    """
    match = _VERSION.fullmatch(value.strip() if isinstance(value, str) else shown(value))
    if match is None:
        raise SourceError(f"api_version must be like {limits.DEFAULT_API_VERSION!r}, not {shown(value)}")
    version = f"{match[1]}.0"
    if float(version) < float(limits.OLDEST_API_VERSION):
        raise SourceError(f"api_version {version} has no Bulk API 2.0: it needs {limits.OLDEST_API_VERSION} or later")
    return version


def check_token(token: object, *, what: str) -> str:
    """Return ``token`` if it is valid in an HTTP header: HTTP libraries quote invalid ones in their errors.

    :raises LoginError: it is not
    """
    if isinstance(token, str) and _TOKEN.fullmatch(token):
        return token
    raise LoginError(f"{what} is not a token: it must be one line of printable ASCII without blanks")


def check_authorities(path: str, *, what: str) -> None:
    """Check that a file of certificate authorities, or a folder of them, exists and contains some.

    :raises LoginError: it does not: no certificate could be trusted
    """
    place = Path(path)
    try:
        status = place.stat()
        if stat.S_ISDIR(status.st_mode):
            return
        if not stat.S_ISREG(status.st_mode):
            raise LoginError(f"{what} {path!r:.200} is not a regular file")
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise LoginError(f"{what} {path!r:.200} has no certificate in PEM that can be read") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is not a path"
        raise LoginError(f"{what} {path!r:.200} cannot be read: {reason}") from error


def checked_proxy(text: str, *, what: str = "proxy", schemes: Collection[str] = ("http", "https")) -> str:
    """Check a proxy's URL, and complete it. The text is not shown: it may hold a password.

    :raises SourceError: it is none
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        good = parts.scheme in schemes and parts.hostname and parts.port != 0 and _VISIBLE.fullmatch(text)
    except ValueError:
        good = False
    if not good:
        raise SourceError(f"{what} must be a URL such as http://proxy.example:3128")
    return parts.geturl()


def _flow(texts: Mapping[str, str], title: Callable[[str], str]) -> AuthFlow:
    if "auth_flow" in texts:
        try:
            return AuthFlow(texts["auth_flow"])
        except ValueError:
            known = ", ".join(AuthFlow)
            raise SourceError(f"unknown auth_flow {texts['auth_flow'][:40]!r}; known are {known}") from None
    for names, flow in _INFERRED:
        if all(name in texts for name in names):
            return flow
    *enough, last = map(title, _ENOUGH)
    raise LoginError(f"the connection has nothing to log in with: fill in {', '.join(enough)} or {last}")


def _check_characters(text: str, *, is_shown: bool, what: str) -> None:
    if is_shown and not text.isprintable():
        raise SourceError(f"{what} has a character that cannot be seen: {fit(text, 100)}")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise SourceError(f"{what} has half a surrogate pair in it, which is not a character")


def _proxy_passwords(proxy: str | None) -> tuple[str, ...]:
    written = urlsplit(proxy).password if proxy is not None else None
    return (written, unquote(written)) if written is not None else ()


def _patterns(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise SourceError("allowed_hosts must be a list of host names, or one text with commas between them")
    return tuple(part.strip() for part in parts if part.strip())


def _is_blank(value: object) -> bool:
    return isinstance(value, str | tuple) and not value


def _seconds(value: object) -> float:
    """Read a length of time, which is a text where settings are texts."""
    try:
        text = str(value.total_seconds() if isinstance(value, timedelta) else value)
        seconds = float(text) if text.isascii() else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MOST_TIMEOUT:
        raise SourceError(
            f"timeout must be a number of seconds above 0, and {MOST_TIMEOUT} at most, or a timedelta, not {shown(value)}"
        )
    return seconds


def _key_lines(pem: str) -> Iterator[str]:
    return (line for line in pem.split("\n") if not line.startswith(_ARMOUR))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
