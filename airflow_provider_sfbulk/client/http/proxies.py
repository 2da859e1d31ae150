"""Which proxy a request goes through, by the same rules for both drivers: the connection's, or the environment's.

``requests`` reads ``NO_PROXY`` for both. ``httpx`` knows no networks there, and one of IPv6, as dual-stack clusters have
it, is an error (``fd00::/8``, seen with 0.28).
"""

from __future__ import annotations

from typing import Final

from airflow_provider_sfbulk.client.effects import Request
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.http.exchange import is_local
from airflow_provider_sfbulk.client.settings import Settings, checked_proxy

_SCHEMES: Final = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def proxy_of(request: Request, settings: Settings) -> str | None:
    """Return the URL of the proxy; None for the direct way, which requests to this machine always take.

    :raises SourceError: the environment's proxy is none
    """
    if is_local(request):
        return None
    if settings.proxy is not None:
        return settings.proxy
    from requests.utils import get_environ_proxies, select_proxy  # noqa: PLC0415 - a triggerer has not imported it

    found = (select_proxy(request.url, get_environ_proxies(request.url)) or "").strip()
    return checked_proxy(found, what="the environment's HTTPS_PROXY", schemes=_SCHEMES) if found else None


def no_proxy_of_this_kind(package: str) -> SourceError:
    """Make the error for a proxy that the HTTP library cannot use.

    :param package: that it may lack
    """
    return SourceError(
        f"the environment's HTTPS_PROXY cannot be used: for a SOCKS proxy install {package}, or set another proxy in the "
        "connection"
    )
