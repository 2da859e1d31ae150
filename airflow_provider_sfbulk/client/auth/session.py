"""The shared token: who logs in, who waits for that login, and what the others get if it fails.

Many threads or coroutines use one session, and Salesforce answers all of them with 401 when it expires. One of them
logs in while the others wait, and all share the result, a failure too: eight wrong passwords in a row would lock the
user out. The driver does the waiting (a lock); the decisions are here.

Use, by a driver::

    seen = session.logins
    with lock:
        token = session.token_for(stale, seen)
        if token is None:
            token = run(session.renew(stale))
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from airflow_provider_sfbulk.client.auth import oauth, soap_login
from airflow_provider_sfbulk.client.auth.echoes import Echoes
from airflow_provider_sfbulk.client.effects import Flow, Reply, Token
from airflow_provider_sfbulk.client.errors import LoginError, SfBulkError
from airflow_provider_sfbulk.client.settings import AuthFlow, Settings, spellings

log = logging.getLogger(__name__)

_SHOWN: Final = ("warning", "content-type", "content-encoding")
"""Headers whose text a log line or an error quotes."""


def _keep_quiet(secrets: Iterable[str]) -> None:
    """Mask nothing."""


class Session:
    """A token and the way to get the next one.

    :param settings: of the connection
    :param on_secrets: called with each new secret, in all its spellings, before it is used: masks it in logs
    :param clock: seconds since 1970
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_secrets: Callable[[Iterable[str]], None] = _keep_quiet,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._tell = on_secrets
        self._secrets: frozenset[str] = settings.secrets()
        self._echoes: Echoes | None = None
        """Of these secrets; made when a reply comes, for it takes longer than the rest of a login."""
        self._clock = clock
        self._token: Token | None = None
        self._failure: SfBulkError | None = None
        self.logins = 0
        """Logins that have ended, with or without a token."""

    @property
    def settings(self) -> Settings:
        """The connection's settings, with the current refresh token."""
        return self._settings

    def _on_secrets(self, secrets: frozenset[str]) -> None:
        if not secrets <= self._secrets:
            self._secrets |= secrets
            self._echoes = None
        self._tell(secrets)

    def unsaid(self, reply: Reply) -> Reply:
        """Return a reply without this login's secrets: headers and the text of a refusal may repeat them, and are shown."""
        echoes = self._echoes = self._echoes or Echoes(self._secrets)
        headers = {name: echoes.hidden(reply.headers[name]) for name in _SHOWN if name in reply.headers}
        body = echoes.hidden_in(reply.body) if reply.status >= 300 else reply.body
        return replace(reply, headers={**reply.headers, **headers}, body=body)

    def token_for(self, stale: Token | None, seen: int) -> Token | None:
        """Return the token to use, or None when the caller has to log in.

        :param stale: the token that did not work
        :param seen: ``logins`` before the caller began to wait
        :raises SfBulkError: the login that the caller waited for failed
        """
        if self._failure is not None and seen != self.logins:
            raise copy.copy(self._failure)
        return None if self._token == stale else self._token

    def renew(self, stale: Token | None) -> Flow[Token]:
        """Log in. One at a time: the driver holds a lock.

        :raises LoginError: Salesforce refuses, or the connection cannot renew its session
        :raises TransientError: no proper answer came
        """
        try:
            token = yield from self._login(stale)
        except SfBulkError as error:
            self._failure = error
            raise
        else:
            self._token, self._failure = token, None
            return token
        finally:
            self.logins += 1

    def _login(self, stale: Token | None) -> Flow[Token]:
        if stale is not None and self._settings.auth_flow is AuthFlow.ACCESS_TOKEN:
            raise LoginError(
                "the session of the connection's access_token has expired and cannot be renewed: put a new access_token "
                "into the connection, or use a login method that renews itself (jwt_bearer, client_credentials)",
                status=401,
            )
        if self.logins == 0 and self._settings.auth_flow is AuthFlow.SOAP_LOGIN:
            log.warning(soap_login.DEPRECATION)
        settings = self._settings.with_private_key()
        self._on_secrets(settings.secrets())
        if settings.auth_flow is AuthFlow.SOAP_LOGIN:
            grant = yield from soap_login.login(settings)
        else:
            grant = yield from oauth.login(settings, self._clock)
        self._on_secrets(spellings(grant.token.access_token, *filter(None, [grant.refresh_token])))
        if grant.refresh_token not in (None, self._settings.refresh_token):
            self._settings = replace(self._settings, refresh_token=grant.refresh_token)
            log.warning(
                "Salesforce replaced the refresh token of this login. This process uses the new one; the connection "
                "still has the old one, which may be invalid: switch rotation off for this app, or use jwt_bearer."
            )
        return grant.token
