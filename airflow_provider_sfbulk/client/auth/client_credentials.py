"""Client credentials: the app logs in as the user that its settings in Salesforce name.

Source: "OAuth 2.0 Client Credentials Flow": only at the org's My Domain; no refresh token, ask again instead.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_sfbulk.client.auth.token_endpoint import Grant, request_grant
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.settings import Settings


def login(settings: Settings, clock: Callable[[], float]) -> Flow[Grant]:  # noqa: ARG001 - all logins are called alike
    """Exchange client id and secret for a session."""
    form = {
        "grant_type": "client_credentials",
        "client_id": settings.client_id or "",
        "client_secret": settings.client_secret or "",
    }
    return request_grant(settings, lambda: form)
