"""From an Airflow connection to the client's settings, and its secrets to Airflow's masker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from airflow.sdk import Connection
from airflow.sdk.log import mask_secret

from airflow_provider_sfbulk.client.auth.session import Session
from airflow_provider_sfbulk.client.settings import Settings

OFFICIAL_TYPE: Final = "salesforce"
"""Connection type of the official Salesforce provider. Its connections work here as they are."""

_OFFICIAL_PREFIX: Final = "extra__salesforce__"

_OFFICIAL_KEYS: Final[Mapping[str, str]] = {
    "consumer_key": "client_id",
    "consumer_secret": "client_secret",
    "private_key": "private_key",
    "private_key_file_path": "private_key_file",
    "security_token": "security_token",
    "session_id": "access_token",
    "instance_url": "instance_url",
    "version": "api_version",
}
"""Extras of the official type, and the settings they are here. Its ``client_id`` is not among them: there it is the name
sent in ``Sforce-Call-Options``, and the OAuth client is ``consumer_key``."""


def connection_session(connection: Connection, *, api_version: str | None = None) -> Session:
    """Read the settings from a connection of this provider's type or the official one, and mask its secrets.

    New secrets, as the token of a login, are masked by the session before they are used.

    :param api_version: instead of the connection's
    :raises SourceError: when a value has not the form it must have
    :raises LoginError: when what its way of login needs is missing
    """
    extra: dict[str, Any] = dict(connection.extra_dejson)
    if connection.conn_type == OFFICIAL_TYPE:
        extra = _from_official(extra)
    if connection.host:
        extra.setdefault("host", connection.host)
    values = {**extra, "login": connection.login, "password": connection.password}
    if api_version is not None:
        values["api_version"] = api_version
    settings = Settings.from_mapping({key: value for key, value in values.items() if value not in (None, "")})
    _mask(settings.secrets())
    return Session(settings, on_secrets=_mask)


def _mask(secrets: Iterable[str]) -> None:
    for secret in secrets:
        mask_secret(secret)


def _from_official(extra: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key.removeprefix(_OFFICIAL_PREFIX): value for key, value in extra.items()}
    values = {ours: plain[theirs] for theirs, ours in _OFFICIAL_KEYS.items() if plain.get(theirs)}
    if plain.get("domain"):
        values["host"] = f"https://{plain['domain']}.salesforce.com"
    if plain.get("instance"):
        values.setdefault("instance_url", f"https://{plain['instance']}")
    return values
