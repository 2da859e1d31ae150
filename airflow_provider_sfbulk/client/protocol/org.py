"""What an org reports about itself: objects, limits, the user, API versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

from airflow_provider_sfbulk.client.effects import Flow, Reply
from airflow_provider_sfbulk.client.errors import ProtocolError, RequestRefusedError, SfBulkError
from airflow_provider_sfbulk.client.protocol.call import ApiCall, call, call_json, call_object, data_path
from airflow_provider_sfbulk.client.protocol.retry import repeat

_YEARS: Final = range(2000, 3000)
"""Years that a clock may show. Beyond them, Python or Salesforce cannot write the ends of windows."""

USER_INFO_PATH: Final = "/services/oauth2/userinfo"
VERSIONS_PATH: Final = "/services/data/"

# Not anchored: with an app's own quota the header goes on, "; per-app-api-usage=17/250(appName=loader)".
_USAGE: Final = re.compile(r"(?:^|[;\s])api-usage=(\d{1,15})/(\d{1,15})")


@dataclass(frozen=True)
class Allowance:
    """A limit of the org: how much in total, and how much is left."""

    max: int
    remaining: int


@dataclass(frozen=True)
class ApiUsage:
    """API calls of the rolling 24 hours, from ``Sforce-Limit-Info``. Salesforce counts with some delay."""

    used: int
    allowed: int

    @property
    def left(self) -> int:
        """Calls that are left, never below 0: Salesforce lets orgs exceed the limit a little."""
        return max(0, self.allowed - self.used)


def describe_global(*, api_version: str) -> Flow[dict[str, Any]]:
    """Read the list of objects, as Salesforce's JSON."""
    return repeat(lambda: call_object(ApiCall("GET", data_path(api_version, "sobjects"))))


def read_limits(*, api_version: str) -> Flow[dict[str, Allowance]]:
    """Read the org's limits. Those nested in others are left out.

    Also the best test of a connection: it checks host, token, API permission and version.
    """
    data = yield from repeat(lambda: call_object(ApiCall("GET", data_path(api_version, "limits"))))
    found: dict[str, Allowance] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            most, left = value.get("Max"), value.get("Remaining")
            if isinstance(most, int) and isinstance(left, int):
                found[name] = Allowance(most, left)
    return found


def read_api_usage(*, api_version: str) -> Flow[ApiUsage | None]:
    """Read how many API calls the org has used and may make; None when Salesforce does not say.

    The limits are for users with the permission "View Setup and Configuration", which a user that only loads and extracts
    does not need. Without it, the header of the list of resources says the same.
    """
    try:
        calls = (yield from read_limits(api_version=api_version)).get("DailyApiRequests")
    except RequestRefusedError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        reply = yield from repeat(lambda: call(ApiCall("GET", data_path(api_version))))
        return read_usage(reply.headers)
    return None if calls is None else ApiUsage(calls.max - calls.remaining, calls.max)


def user_info() -> Flow[dict[str, Any]]:
    """Read who is logged in: ``user_id``, ``organization_id``, ``preferred_username`` and more."""
    return repeat(lambda: call_object(ApiCall("GET", USER_INFO_PATH)))


def versions() -> Flow[list[str]]:
    """Read which API versions the org supports, oldest first: ``["31.0", …]``. Needs no permission."""
    data = yield from repeat(lambda: call_json(ApiCall("GET", VERSIONS_PATH)))
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise ProtocolError(f"GET {VERSIONS_PATH}: expected a list of versions", path=VERSIONS_PATH)
    return [str(entry.get("version")) for entry in data]


def server_time() -> Flow[datetime | None]:
    """Read the time by the org's clock, in whole seconds; None when the reply does not say.

    It is in the ``Date`` header (RFC 9110, 6.6.1).
    """
    reply = yield from repeat(lambda: call(ApiCall("GET", VERSIONS_PATH)))
    return date_of(reply)


def date_of(reply: Reply) -> datetime | None:
    """Read the time by the org's clock from a reply; None when it has none, or an impossible one."""
    try:
        said = parsedate_to_datetime(reply.headers.get("date", "")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return said if said.year in _YEARS else None


def read_usage(headers: Mapping[str, str]) -> ApiUsage | None:
    """Read ``Sforce-Limit-Info`` of a reply, if it has one."""
    match = _USAGE.search(headers.get("sforce-limit-info", ""))
    return ApiUsage(int(match[1]), int(match[2])) if match else None


def age(stamp: datetime | None) -> Flow[float]:
    """Return how many seconds ago the org wrote a stamp, by its own clock; 0 when that cannot be said."""
    if stamp is None:
        return 0.0
    try:
        now = yield from server_time()
    except SfBulkError:
        return 0.0
    return 0.0 if now is None else max(0.0, (now - stamp).total_seconds())
