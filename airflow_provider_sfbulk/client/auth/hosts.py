"""Which hosts a password or a token may be sent to.

A session is as valuable as its user's password, and the reply to a login names the host to send it to. So
:func:`check_url` checks both the login host and the host in the reply.

====================  =============================================================================================
allowed by default    because
====================  =============================================================================================
``salesforce.com``    login and test hosts, My Domains, sandboxes, scratch orgs ("My Domain URL Formats")
``force.com``         old My Domain and site hosts; on Salesforce's list of required domains for firewalls
``salesforce.mil``    Government Cloud Plus: ``<name>.my.salesforce.mil`` (forcedotcom/sfdx-core, ``sfdcUrl.ts``)
``sfcrmproducts.cn``  Salesforce on Alibaba Cloud: ``<name>.my.sfcrmproducts.cn`` (seen in projects of its customers)
loopback              the local org; the only hosts with plain ``http`` and with any port
====================  =============================================================================================

Others are added by the connection's ``allowed_hosts``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from airflow_provider_sfbulk.client.errors import LoginError

LOGIN_HOST: Final = "https://login.salesforce.com"
TEST_HOST: Final = "https://test.salesforce.com"

SALESFORCE_DOMAINS: Final = ("salesforce.com", "force.com", "salesforce.mil", "sfcrmproducts.cn")
_SHORT: Final = {"login": LOGIN_HOST, "test": TEST_HOST}
_KIND: Final = r"(?:\.(?:sandbox|develop|scratch|demo|patch|trailblaze|free))?"
_BROWSED: Final = re.compile(
    rf"(?<=://)(?:([a-z0-9-]+{_KIND})\.(?:lightning\.force|my\.salesforce-setup|file\.force)"
    rf"|([a-z0-9-]+)--[a-z0-9]+({_KIND})\.vf\.force)\.com(?=[:/?#]|$)",
    re.IGNORECASE,
)
"""Hosts that a browser shows instead of an org's My Domain, the only one that issues tokens ("My Domain URL Formats")."""

_SCHEME: Final = re.compile(r"^(https?):/*(?=[a-z])", re.IGNORECASE)
_SITE: Final = re.compile(r"([a-z0-9-]+(?:\.[a-z]+)?)\.my\.(?:site|salesforce-sites)\.com")
_BARE: Final = re.compile(rf"([a-z0-9-]+{_KIND})(?:\.my(?:\.salesforce)?)?")
_NAME: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*")
_HTTPS_PORT: Final = 443
_PORT: Final = re.compile(r"[0-9]{1,5}")


def complete(host: str) -> str:
    """Complete what people write as host to a URL: ``login``, ``test``, a bare host name, or a URL."""
    text = _SCHEME.sub(r"\1://", host.strip(" \t\r\n\"'").strip("/"))
    if not text:
        return LOGIN_HOST
    url = _SHORT.get(text.lower()) or (text if "://" in text else f"https://{text}")
    return _BROWSED.sub(r"\1\2\3.my.salesforce.com", url)


def is_loopback(name: str) -> bool:
    """Whether a host name without port means this machine."""
    if name == "localhost":
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def is_sandbox(url: str) -> bool:
    """Whether the host is that of a sandbox or scratch org, whose JWT audience is the test host.

    Source: auth fact "Hosts": sandboxes and scratch orgs log in at ``test.salesforce.com``, their My Domains hold
    ``.sandbox.my.`` or ``.scratch.my.``; before enhanced domains a sandbox was ``<name>--<sandbox>.my.``.
    """
    name = urlsplit(url).hostname or ""
    first = name.partition(".")[0]
    return name == "test.salesforce.com" or ".sandbox.my." in name or ".scratch.my." in name or "--" in first


def check_url(url: object, allowed_hosts: Iterable[str] = (), *, loopback: bool = True, what: str = "host") -> str:
    """Return the scheme and host of ``url``, without trailing slash, when a secret may be sent there.

    :param allowed_hosts: further hosts, each ``name`` or ``*.name``, with ``:port`` when it is not 443
    :param loopback: whether this machine is allowed; it is not when Salesforce itself names it
    :param what: what the URL is, for the message
    :raises LoginError: when it is not https (or http on loopback), names a user, has a path, or is not an allowed host
    """
    if not isinstance(url, str):
        raise LoginError(f"{what} is not a URL but {type(url).__name__}")
    parts, port = _split(url, what)
    name = (parts.hostname or "").lower()
    if parts.username is not None or parts.password is not None:
        raise LoginError(f"{what} must not hold a user name or password")
    here = loopback and is_loopback(name)
    if not here and (not _NAME.fullmatch(name) or not _is_allowed(name, port, allowed_hosts)):
        raise LoginError(_refusal(what, name, port))
    good = _joined(parts.scheme if here and parts.scheme == "http" else "https", name, port)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise LoginError(f"{what} has more than scheme and host: write {good}")
    if parts.scheme != "https" and not (here and parts.scheme == "http"):
        raise LoginError(f"{what} must be reached by https, plain http is for this machine only: write {good}")
    return good


def _split(url: str, what: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise LoginError(f"{what} is not a URL that can be read") from None
    return parts, port


def _is_allowed(name: str, port: int | None, allowed_hosts: Iterable[str]) -> bool:
    if port in (None, _HTTPS_PORT) and any(name.endswith(f".{domain}") for domain in SALESFORCE_DOMAINS):
        return True
    return any(_matches(name, port, pattern.strip().lower()) for pattern in allowed_hosts)


def _matches(name: str, port: int | None, pattern: str) -> bool:
    wanted, _, wanted_port = pattern.partition(":")
    if (port or _HTTPS_PORT) != (int(wanted_port) if _PORT.fullmatch(wanted_port) else _HTTPS_PORT):
        return False
    return name.endswith(wanted[1:]) if wanted.startswith("*.") else name == wanted


def _refusal(what: str, name: str, port: int | None) -> str:
    """Make the message for a host that is not allowed: what to write instead."""
    site = _SITE.fullmatch(name)
    if site is not None:
        return (
            f"{what} {_shown(name)} is a site, of Experience Cloud or Salesforce Sites, which does not issue tokens: write "
            f"https://{site[1]}.my.salesforce.com (or add the site to allowed_hosts)"
        )
    if port not in (None, _HTTPS_PORT) and any(name.endswith(f".{domain}") for domain in SALESFORCE_DOMAINS):
        return f"{what} {_shown(name)}:{port}: Salesforce answers at port {_HTTPS_PORT} only; write https://{name}"
    bare = _BARE.fullmatch(name)
    if bare is not None and port is None:
        return (
            f"{what} {_shown(name)} is not a whole host name: for the My Domain of that name write "
            f"https://{bare[1]}.my.salesforce.com"
        )
    if any(name.endswith(f".{domain}.") for domain in SALESFORCE_DOMAINS):
        return f"{what} {_shown(name)} ends with a dot: write https://{name.rstrip('.')}"
    port_shown = f":{port}" if port else ""
    return f"{what} {_shown(name)}{port_shown} is not a Salesforce host; if it is one of yours, add it to allowed_hosts"


def _joined(scheme: str, name: str, port: int | None) -> str:
    host = f"[{name}]" if ":" in name else name
    return f"{scheme}://{host}" if port is None else f"{scheme}://{host}:{port}"


def _shown(name: str) -> str:
    return repr(name[:100])
