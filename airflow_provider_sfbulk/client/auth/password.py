"""Username and password over OAuth. A legacy: orgs made since Summer '23 block it until Setup allows it.

Source: "OAuth 2.0 Username-Password Flow for Special Scenarios": the security token is glued to the password.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_sfbulk.client.auth.token_endpoint import Grant, request_grant
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.settings import Settings


def login(settings: Settings, clock: Callable[[], float]) -> Flow[Grant]:  # noqa: ARG001 - all logins are called alike
    """Exchange username and password for a session."""
    form = {
        "grant_type": "password",
        "client_id": settings.client_id or "",
        "client_secret": settings.client_secret or "",
        "username": settings.login or "",
        "password": settings.full_password,
    }
    return request_grant(settings, lambda: form)
