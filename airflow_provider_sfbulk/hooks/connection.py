"""Reads the client's settings from an Airflow connection, and passes its secrets to Airflow's masker."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from airflow.sdk import Connection
from airflow.sdk.log import mask_secret

from airflow_provider_sfbulk.client.auth import hosts
from airflow_provider_sfbulk.client.auth.session import Session
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.settings import AuthFlow, Settings

OFFICIAL_TYPE: Final = "salesforce"
"""Connection type of the official Salesforce provider. Its connections work here unchanged."""

_PORT: Final = re.compile(r":[0-9]+/?$")

_OFFICIAL_PREFIX: Final = "extra__salesforce__"

_OFFICIAL_KEYS: Final[Mapping[str, str]] = {
    "consumer_key": "client_id",
    "consumer_secret": "client_secret",
    "private_key": "private_key",
    "private_key_file_path": "private_key_file",
    "security_token": "security_token",
    "session_id": "access_token",
    "instance_url": "instance_url",
    "organization_id": "organization_id",
    "version": "api_version",
    "auth_flow": "auth_flow",
}
"""Extras of the official type, and the corresponding settings. Its ``client_id`` is missing: there it is the name sent in
``Sforce-Call-Options``, and the OAuth client is ``consumer_key``. ``session_id`` and ``auth_flow`` are our additions: in
the official hook the first is an argument."""

_OFFICIAL_NAMES: Final = (*_OFFICIAL_KEYS, "domain", "instance", "proxies")

_OFFICIAL_FLOWS: Final[tuple[tuple[tuple[str, ...], AuthFlow], ...]] = (
    (("login", "password", "security_token"), AuthFlow.SOAP_LOGIN),
    (("access_token", "instance_url"), AuthFlow.ACCESS_TOKEN),
    (("login", "password", "organization_id"), AuthFlow.SOAP_LOGIN),
    (("login", "password", "client_id", "client_secret"), AuthFlow.PASSWORD),
    (("login", "client_id", "private_key_file"), AuthFlow.JWT_BEARER),
    (("login", "client_id", "private_key"), AuthFlow.JWT_BEARER),
    (("client_id", "client_secret"), AuthFlow.CLIENT_CREDENTIALS),
)
"""The order in which simple-salesforce, which the official hook uses, decides: the first row that is filled."""


def connection_session(connection: Connection, *, api_version: str | None = None) -> Session:
    """Read the settings from a connection of this provider's type or the official one, and mask its secrets.

    The session masks new secrets, such as the token of a login, before they are used.

    :param api_version: instead of the connection's
    :raises SourceError: when a value is malformed
    :raises LoginError: when what its login method needs is missing
    """
    values: dict[str, Any] = {
        **_extra(connection),
        "login": connection.login,
        "password": connection.password,
    }
    if connection.conn_type == OFFICIAL_TYPE:
        values = _from_official(values)
    if connection.host:
        port = f":{connection.port}" if connection.port and not _PORT.search(connection.host) else ""
        values.setdefault("host", f"{connection.host.rstrip('/')}{port}")
    if api_version is not None:
        values["api_version"] = api_version
    settings = Settings.from_mapping({key: value for key, value in values.items() if value not in (None, "")})
    _mask(settings.secrets())
    return Session(settings, on_secrets=_mask)


def _extra(connection: Connection) -> dict[str, Any]:
    """Read the extra fields.

    :raises SourceError: they are not a JSON object
    """
    if not connection.extra or not connection.extra.strip():
        return {}
    try:
        found = json.loads(connection.extra)
    except (ValueError, RecursionError):
        # From None: the text may hold secrets.
        raise SourceError(f"the extra of connection {connection.conn_id!r:.100} is not JSON") from None
    if not isinstance(found, dict):
        kind = type(found).__name__
        raise SourceError(
            f"the extra of connection {connection.conn_id!r:.100} is {kind}: it must be a JSON object, as "
            '{"client_id": "…"}'
        )
    return found


def _mask(secrets: Iterable[str]) -> None:
    for secret in secrets:
        mask_secret(secret)


def _from_official(given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields of the official type: extras by their name, or by the name with its old prefix."""
    plain = {key: given[key] if key in given else given.get(_OFFICIAL_PREFIX + key) for key in _OFFICIAL_NAMES}
    values = {"login": given.get("login"), "password": given.get("password")}
    values |= {ours: plain[theirs] for theirs, ours in _OFFICIAL_KEYS.items()}
    if plain["instance"] and not values["instance_url"]:
        values["instance_url"] = str(plain["instance"])
    values["proxy"] = _official_proxy(plain["proxies"])
    values = {key: value for key, value in values.items() if value not in (None, "")}
    flow = next((flow for names, flow in _OFFICIAL_FLOWS if values.keys() >= set(names)), None)
    if flow is not None:
        values.setdefault("auth_flow", flow)
    if plain["domain"]:
        values["host"] = _of_domain(plain["domain"])
    if values.get("auth_flow") == AuthFlow.JWT_BEARER:
        values |= _official_jwt(plain)
    if values.get("auth_flow") not in (None, AuthFlow.ACCESS_TOKEN):
        values.pop("instance_url", None)  # the login gives it
    if values.get("security_token"):
        values.pop("organization_id", None)
    return values


def _official_jwt(plain: Mapping[str, Any]) -> dict[str, str]:
    """With a JWT, ``domain`` is the audience, and ``instance_url`` the login host, in the form of a domain."""
    values = {}
    if plain["domain"]:
        values["audience"] = _of_domain(plain["domain"])
    if plain["instance_url"]:
        values.setdefault("audience", hosts.LOGIN_HOST)
        values["host"] = _of_domain(plain["instance_url"])
    return values


def _of_domain(domain: object) -> str:
    """Complete a domain as ``test`` or ``acme.my``, also one that was written as a whole host or URL."""
    name = str(domain).strip().rstrip("/")
    return name if "://" in name else f"https://{name.removesuffix('.salesforce.com')}.salesforce.com"


def _official_proxy(proxies: Any) -> str | None:
    """Read ``proxies``: a proxy by scheme, as requests takes it, or the same in JSON. Salesforce is reached by https."""
    if isinstance(proxies, str) and proxies.lstrip().startswith("{"):
        try:
            proxies = json.loads(proxies)
        except ValueError:
            raise SourceError('proxies must be JSON as {"https": "http://proxy.example:3128"}') from None
    found = (proxies.get("https") or proxies.get("all")) if isinstance(proxies, Mapping) else proxies
    if found is not None and not isinstance(found, str):
        raise SourceError("proxies must be a URL, or an object with one by scheme")
    return found or None
