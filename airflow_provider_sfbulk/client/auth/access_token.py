"""A ready-made session: an access token or session id from elsewhere, with its host. It cannot be renewed."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_sfbulk.client.auth.token_endpoint import Grant
from airflow_provider_sfbulk.client.effects import Flow, Token
from airflow_provider_sfbulk.client.settings import Settings


def login(settings: Settings, clock: Callable[[], float]) -> Flow[Grant]:  # noqa: ARG001 - all logins are called alike
    """Hand out the token of the connection; nothing is sent."""
    yield from ()
    return Grant(Token(settings.access_token or "", settings.instance_url or ""))
