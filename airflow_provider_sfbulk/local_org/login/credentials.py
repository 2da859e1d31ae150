"""Who may log in, and the sessions there are.

Everything is made up when an org is first started and kept in its data file, so that what a client has stored works
after a restart. The RSA key, which takes longest, is made when it is first asked for, and once for all orgs of a
process.
"""

from __future__ import annotations

import json
import random
import string
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.clock import Clock
from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.data.store import Store

USERNAME: Final = "loader@local-org.example"


_UNGUESSABLE: Final = random.SystemRandom()
_LETTERS: Final = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Credentials:
    """What logs in. Not secret: the org listens on loopback and shows them when it starts."""

    org_id: str
    user_id: str
    username: str
    password: str
    security_token: str
    client_id: str
    client_secret: str
    refresh_token: str


def load(store: Store, random_seed: int | None = None) -> Credentials:
    """Return the org's credentials, made now if it has none.

    :param random_seed: the same seed makes the same ids and secrets; None: others each time
    """
    kept = store.setting("credentials")
    if kept is not None:
        return Credentials(**json.loads(kept))
    source = _UNGUESSABLE if random_seed is None else random.Random(random_seed)  # noqa: S311 - they guard nothing
    made = Credentials(
        org_id=next(ids.make("00D", source.randrange(10**9) + 1, 1)),
        user_id=store.new_ids("005", 1)[0],
        username=USERNAME,
        password=_letters(16, source),
        security_token=_letters(24, source),
        client_id=f"3MVG9{_letters(80, source)}",
        client_secret=f"{source.getrandbits(256):064X}",
        refresh_token=f"5Aep{_letters(80, source)}",
    )
    store.keep_setting("credentials", json.dumps(asdict(made)))
    return made


def private_key(store: Store) -> str:
    """Return the PEM of the key that signs JWT assertions; the org knows its public half."""
    kept = store.setting("private_key")
    if kept is None:
        kept = _new_private_key()
        store.keep_setting("private_key", kept)
    return kept


def public_key(store: Store) -> rsa.RSAPublicKey:
    """Return the public half of :func:`private_key`."""
    key = serialization.load_pem_private_key(private_key(store).encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("the org's key is an RSA key")
    return key.public_key()


@lru_cache(maxsize=1)
def _new_private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode()


def _letters(count: int, source: random.Random = _UNGUESSABLE) -> str:
    # Bytes all at once: the system is asked anew for each choice, and that was a tenth of an org's start.
    return "".join(_LETTERS[each % len(_LETTERS)] for each in source.randbytes(count))


@dataclass
class Session:
    """One login."""

    token: str
    issued: datetime
    used: datetime
    scope: str
    from_refresh_token: str | None = None

    @property
    def ends(self) -> datetime:
        """When it ends if it is not used again."""
        return self.used + timedelta(seconds=limits.SESSION_IDLE_SECONDS)


class Sessions:
    """The sessions of an org. Their use extends them; a restart does not end them."""

    def __init__(self, store: Store, clock: Clock, org_id: str) -> None:
        self._store = store
        self._clock = clock
        self._org_id = org_id
        self._sessions: dict[str, Session] = {}
        self._revoked: set[str] = set(json.loads(store.setting("revoked") or "[]"))
        now = clock.now()
        for kept in json.loads(store.setting("sessions") or "[]"):
            self._sessions[kept["token"]] = Session(kept["token"], now, now, kept["scope"], kept["from_refresh_token"])

    def open(self, scope: str, *, from_refresh_token: str | None = None) -> Session:
        """Start a session."""
        token = f"{self._org_id[:15]}!AQ8AQ{_letters(40)}.{_letters(40)}_{_letters(8)}"
        now = self._clock.now()
        session = self._sessions[token] = Session(token, now, now, scope, from_refresh_token)
        self._keep()
        return session

    def get(self, token: str) -> Session | None:
        """Return a session that has not ended, and count this as its use."""
        session = self._sessions.get(token)
        if session is None:
            return None
        if session.ends < self._clock.now():
            del self._sessions[token]
            return None
        session.used = self._clock.now()
        return session

    def expire_all(self) -> None:
        """End every session. Refresh tokens stay good."""
        self._sessions.clear()
        self._keep()

    def revoke(self, token: str) -> None:
        """End a session, or a refresh token with the sessions that came from it."""
        self._sessions = {
            key: session for key, session in self._sessions.items() if token not in (key, session.from_refresh_token)
        }
        self._revoked.add(token)
        self._keep()

    def is_revoked(self, token: str) -> bool:
        """Whether the token was revoked."""
        return token in self._revoked

    def _keep(self) -> None:
        kept: list[dict[str, Any]] = [
            {"token": s.token, "scope": s.scope, "from_refresh_token": s.from_refresh_token}
            for s in self._sessions.values()
        ]
        self._store.keep_setting("sessions", json.dumps(kept))
        self._store.keep_setting("revoked", json.dumps(sorted(self._revoked)))
