"""Every address that the org answers, in one table.

A path ends with or without a slash. ``*`` after a word lets it be written in any case, as clients do with
``unprocessedRecords`` and the org's own ``resultpages``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from starlette.responses import Response

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk1 import routes as bulk1
from airflow_provider_sfbulk.local_org.bulk2 import ingest_routes, query_routes
from airflow_provider_sfbulk.local_org.http.incoming import Incoming
from airflow_provider_sfbulk.local_org.http.replies import ApiError, NotFoundError
from airflow_provider_sfbulk.local_org.login import oauth, soap
from airflow_provider_sfbulk.local_org.rest import routes as data_routes

Handler = Callable[[Incoming], Awaitable[Response]]

_CAPTURED: Final = {
    "async_version": r"(?P<async_version>\d{1,3}\.\d)",
    "soap_version": r"(?P<soap_version>\d{1,3}\.\d)",
    "batch_id": r"(?P<batch_id>\w{15}(?:\w{3})?)",
    "record_id": r"(?P<record_id>\w{15}(?:\w{3})?)",
    "result_id": r"(?P<result_id>\w{15}(?:\w{3})?)",
    "version": r"v(?P<version>\d{1,3}\.\d)",
    "job_id": r"(?P<job_id>\w{15}(?:\w{3})?)",
    "sobject": r"(?P<sobject>\w+)",
}


@dataclass(frozen=True)
class Route:
    """One address.

    :ivar name: what faults are bound to
    :ivar since: oldest API version that has it
    :ivar is_open: whether its handler is called without a session, and without counting the call as an API call: what
        needs neither, and Bulk API 1.0, which does both in its own way
    """

    name: str
    method: str
    path: str
    handler: Handler
    since: str = limits.OLDEST_LIVE_API_VERSION
    is_open: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a path is matched with."""
        pattern = re.sub(r"\{(\w+)\}", lambda m: _CAPTURED[m[1]], self.path)
        return re.compile(re.sub(r"(\w+)\*", r"(?i:\1)", pattern) + "/?", re.ASCII)


_INGEST: Final = "/services/data/{version}/jobs/ingest"
_QUERY: Final = "/services/data/{version}/jobs/query"
_BULK1_JOB: Final = f"{bulk1.PATH}/{{job_id}}"
_BULK1_BATCH: Final = f"{_BULK1_JOB}/batch/{{batch_id}}"
_V2: Final = limits.OLDEST_API_VERSION
_V2_QUERY: Final = limits.OLDEST_QUERY_API_VERSION
_V2_PAGES: Final = limits.OLDEST_RESULT_PAGES_API_VERSION

ROUTES: Final = (
    Route("oauth.token", "POST", "/services/oauth2/token", oauth.token, is_open=True),
    Route("oauth.revoke", "POST", "/services/oauth2/revoke", oauth.revoke, is_open=True),
    Route("oauth.introspect", "POST", "/services/oauth2/introspect", oauth.introspect, is_open=True),
    Route("oauth.userinfo", "GET", "/services/oauth2/userinfo", oauth.userinfo, is_open=True),
    Route("data.versions", "GET", "/services/data", data_routes.versions, is_open=True),
    Route("data.resources", "GET", "/services/data/{version}", data_routes.resources),
    Route("data.limits", "GET", "/services/data/{version}/limits", data_routes.show_limits),
    Route("data.sobjects", "GET", "/services/data/{version}/sobjects", data_routes.sobjects),
    Route("data.describe", "GET", "/services/data/{version}/sobjects/{sobject}/describe", data_routes.describe_sobject),
    Route("data.record", "GET", "/services/data/{version}/sobjects/{sobject}/{record_id}", data_routes.record),
    Route("ingest.create", "POST", _INGEST, ingest_routes.create, _V2),
    Route("ingest.list", "GET", _INGEST, ingest_routes.list_jobs, _V2),
    Route("ingest.get", "GET", f"{_INGEST}/{{job_id}}", ingest_routes.get, _V2),
    Route("ingest.change", "PATCH", f"{_INGEST}/{{job_id}}", ingest_routes.change, _V2),
    Route("ingest.delete", "DELETE", f"{_INGEST}/{{job_id}}", ingest_routes.delete, _V2),
    Route("ingest.upload", "PUT", f"{_INGEST}/{{job_id}}/batches", ingest_routes.upload, _V2),
    Route(
        "ingest.successful", "GET", f"{_INGEST}/{{job_id}}/successfulResults*", ingest_routes.successful_results, _V2
    ),
    Route("ingest.failed", "GET", f"{_INGEST}/{{job_id}}/failedResults*", ingest_routes.failed_results, _V2),
    Route(
        "ingest.unprocessed", "GET", f"{_INGEST}/{{job_id}}/unprocessedrecords*", ingest_routes.unprocessed_records, _V2
    ),
    Route("query.create", "POST", _QUERY, query_routes.create, _V2_QUERY),
    Route("query.list", "GET", _QUERY, query_routes.list_jobs, _V2_QUERY),
    Route("query.get", "GET", f"{_QUERY}/{{job_id}}", query_routes.get, _V2_QUERY),
    Route("query.change", "PATCH", f"{_QUERY}/{{job_id}}", query_routes.change, _V2_QUERY),
    Route("query.delete", "DELETE", f"{_QUERY}/{{job_id}}", query_routes.delete, _V2_QUERY),
    Route("query.results", "GET", f"{_QUERY}/{{job_id}}/results", query_routes.results, _V2_QUERY),
    Route("soap.login", "POST", "/services/Soap/[uc]/{soap_version}(?:/\\w+)?", soap.call, is_open=True),
    Route("bulk1.create", "POST", bulk1.PATH, bulk1.create_job, is_open=True),
    Route("bulk1.get", "GET", _BULK1_JOB, bulk1.show_job, is_open=True),
    Route("bulk1.change", "POST", _BULK1_JOB, bulk1.change_job, is_open=True),
    Route("bulk1.spec", "POST", f"{_BULK1_JOB}/spec", bulk1.set_spec, is_open=True),
    Route("bulk1.add_batch", "POST", f"{_BULK1_JOB}/batch", bulk1.add_batch, is_open=True),
    Route("bulk1.batches", "GET", f"{_BULK1_JOB}/batch", bulk1.list_batches, is_open=True),
    Route("bulk1.batch", "GET", _BULK1_BATCH, bulk1.show_batch, is_open=True),
    Route("bulk1.request", "GET", f"{_BULK1_BATCH}/request", bulk1.show_request, is_open=True),
    Route("bulk1.result", "GET", f"{_BULK1_BATCH}/result", bulk1.show_result, is_open=True),
    Route("bulk1.query_result", "GET", f"{_BULK1_BATCH}/result/{{result_id}}", bulk1.show_query_result, is_open=True),
    Route("query.pages", "GET", f"{_QUERY}/{{job_id}}/resultPages*", query_routes.result_pages, _V2_PAGES),
)


def find(method: str, path: str) -> tuple[Route, Mapping[str, str]]:
    """Return the route of a call, and what its path captured.

    :raises ApiError: 404 for an unknown path, 405 for a method that the path does not have
    """
    # The Salesforce CLI doubles the slash, as a recording of Bulk API 1.0 does; both were served.
    path = "/" + path.lstrip("/")
    allowed: list[str] = []
    for route in ROUTES:
        matched = route.pattern.fullmatch(path)
        if matched is None:
            continue
        if route.method == method:
            return route, matched.groupdict()
        allowed.append(route.method)
    if path.startswith("/services/async/"):
        raise bulk1.unknown(allowed)
    if not allowed:
        raise NotFoundError
    message = f"HTTP Method '{method}' not allowed. Allowed are {','.join(sorted(allowed))}"
    raise ApiError(405, "METHOD_NOT_ALLOWED", message, headers={"Allow": ", ".join(sorted(allowed))})


def check_version(route: Route, version: str) -> None:
    """Refuse a version that is retired, not there yet, or older than the resource.

    :raises ApiError: 410 for a retired one (its body is not known), else 404
    """
    number = float(version)
    if number < float(limits.OLDEST_LIVE_API_VERSION):
        raise ApiError(410, "UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL")
    if not number.is_integer() or number > float(limits.NEWEST_API_VERSION) or number < float(route.since):
        raise NotFoundError
