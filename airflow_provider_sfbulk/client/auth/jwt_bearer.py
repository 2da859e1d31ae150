"""JWT bearer: a signed claim in place of a password. No secret travels and no person is needed.

Source: "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration": ``iss`` is the client id, ``sub`` the username,
``aud`` the login or test host, ``exp`` at most a few minutes ahead; RS256 is the only algorithm. The clock is the wall
clock: this is the one decision of the client that needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from airflow_provider_sfbulk.client.auth import private_key
from airflow_provider_sfbulk.client.auth.hosts import LOGIN_HOST, TEST_HOST, is_sandbox
from airflow_provider_sfbulk.client.auth.token_endpoint import Grant, request_grant
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.errors import LoginError
from airflow_provider_sfbulk.client.settings import Settings

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFE_SECONDS: Final = 3 * 60
"""How far ahead ``exp`` lies: the guide's "within 3 minutes"; other clients send 3 or 5."""


def login(settings: Settings, clock: Callable[[], float]) -> Flow[Grant]:
    """Sign a claim and exchange it for a session.

    :param settings: with the key's text, see ``Settings.with_private_key``
    :param clock: seconds since 1970
    """
    return request_grant(settings, lambda: {"grant_type": GRANT_TYPE, "assertion": sign(settings, now=clock())})


def sign(settings: Settings, *, now: float) -> str:
    """Make the assertion.

    :raises LoginError: the key cannot be used
    """
    # Imported here: only this way of login needs the package, and it takes a tenth of a second.
    import jwt  # noqa: PLC0415

    key = private_key.load(settings.private_key or "")
    audience = settings.audience or (TEST_HOST if is_sandbox(settings.host) else LOGIN_HOST)
    claims = {"iss": settings.client_id, "sub": settings.login, "aud": audience, "exp": int(now) + LIFE_SECONDS}
    try:
        return jwt.encode(claims, key, algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):
        # From None: what a library says of a key may quote the key.
        raise LoginError("private_key cannot sign") from None
