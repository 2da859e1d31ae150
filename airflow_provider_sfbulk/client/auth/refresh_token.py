"""Refresh token: a person consented once, and the app renews the session from then on.

Source: "OAuth 2.0 Refresh Token Flow": the client secret only if the app demands it; the reply repeats no refresh token
unless the app rotates them, and then the old one is dead.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_sfbulk.client.auth.token_endpoint import Grant, request_grant
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.settings import Settings


def login(settings: Settings, clock: Callable[[], float]) -> Flow[Grant]:  # noqa: ARG001 - all logins are called alike
    """Exchange the refresh token for a session, and for the next refresh token if Salesforce gives one."""
    form = {
        "grant_type": "refresh_token",
        "client_id": settings.client_id or "",
        "refresh_token": settings.refresh_token or "",
    }
    if settings.client_secret:
        form["client_secret"] = settings.client_secret
    return request_grant(settings, lambda: form)
