"""Every address that the org answers, in one table.

A path ends with or without a slash. ``*`` after a word lets it be written in any case, as clients do with
``unprocessedRecords`` and the org's own ``resultpages``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

from starlette.responses import Response

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk1 import routes as bulk1
from airflow_provider_sfbulk.local_org.bulk2 import ingest_routes, query_routes
from airflow_provider_sfbulk.local_org.http.incoming import Incoming
from airflow_provider_sfbulk.local_org.http.replies import ApiError, NotFoundError
from airflow_provider_sfbulk.local_org.login import oauth, soap
from airflow_provider_sfbulk.local_org.rest import collections, queries, records, tree
from airflow_provider_sfbulk.local_org.rest import routes as data_routes
from airflow_provider_sfbulk.local_org.rest.ask import Operation, RestHandler
from airflow_provider_sfbulk.local_org.rest.composite import Composite

Handler = Callable[[Incoming], Awaitable[Response]]

_CAPTURED: Final = {
    "async_version": r"(?P<async_version>\d{1,3}\.\d)",
    "soap_version": r"(?P<soap_version>\d{1,3}\.\d)",
    "batch_id": r"(?P<batch_id>\w{15}(?:\w{3})?)",
    "result_id": r"(?P<result_id>\w{15}(?:\w{3})?)",
    "version": r"v(?P<version>\d{1,3}\.\d)",
    "job_id": r"(?P<job_id>\w{15}(?:\w{3})?)",
    "sobject": r"(?P<sobject>\w+)",
    "org_id": r"(?P<org_id>\w{15}(?:\w{3})?)",
    "user_id": r"(?P<user_id>\w{15}(?:\w{3})?)",
    "locator": r"(?P<locator>\w{15}(?:\w{3})?-\d{1,9})",
    "name": r"(?P<name>[^/]+)",
    "value": r"(?P<value>.+?)",
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
        return _pattern(self.path)


def _pattern(path: str) -> re.Pattern[str]:
    pattern = re.sub(r"\{(\w+)\}", lambda m: _CAPTURED[m[1]], path)
    return re.compile(re.sub(r"(\w+)\*", r"(?i:\1)", pattern) + "/?", re.ASCII)


def _operation(method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
    """Return the operation of a call inside ``/composite``.

    :raises ApiError: as :func:`find`, and for what cannot be called inside another call
    """
    route, parts = find(method, path)
    if not isinstance(route.handler, RestHandler) or route.name in ("composite.calls", "composite.batch"):
        raise ApiError(400, "INVALID_INPUT", f"{path} cannot be called inside a composite request")
    check_version(route, parts["version"])
    return route.handler.operation, parts


_composite: Final = Composite(_operation)

_DATA: Final = "/services/data/{version}"
_SOBJECT: Final = f"{_DATA}/sobjects/{{sobject}}"
_COMPOSITE: Final = f"{_DATA}/composite"
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
    Route("data.identity", "GET", "/id/{org_id}/{user_id}", data_routes.identity),
    Route("data.resources", "GET", _DATA, RestHandler(data_routes.resources)),
    Route("data.limits", "GET", f"{_DATA}/limits", RestHandler(data_routes.show_limits)),
    Route("data.record_count", "GET", f"{_DATA}/limits/recordCount", RestHandler(data_routes.record_count)),
    Route("data.query", "GET", f"{_DATA}/query", RestHandler(queries.query)),
    Route("data.query_all", "GET", f"{_DATA}/queryAll*", RestHandler(queries.query_all)),
    Route("data.query_more", "GET", f"{_DATA}/query(?:All)?/{{locator}}", RestHandler(queries.more)),
    Route("data.sobjects", "GET", f"{_DATA}/sobjects", RestHandler(data_routes.sobjects)),
    Route("data.sobject", "GET", _SOBJECT, RestHandler(records.basics)),
    Route("data.create", "POST", _SOBJECT, RestHandler(records.create)),
    Route("data.describe", "GET", f"{_SOBJECT}/describe", RestHandler(data_routes.describe_sobject)),
    Route("data.updated", "GET", f"{_SOBJECT}/updated", RestHandler(records.updated)),
    Route("data.deleted", "GET", f"{_SOBJECT}/deleted", RestHandler(records.deleted)),
    Route("data.record", "GET", f"{_SOBJECT}/{{name}}", RestHandler(records.read)),
    Route("data.update", "PATCH", f"{_SOBJECT}/{{name}}", RestHandler(records.update)),
    Route("data.delete", "DELETE", f"{_SOBJECT}/{{name}}", RestHandler(records.delete)),
    Route("data.record_by_key", "GET", f"{_SOBJECT}/{{name}}/{{value}}", RestHandler(records.read_by_key)),
    Route("data.upsert", "PATCH", f"{_SOBJECT}/{{name}}/{{value}}", RestHandler(records.upsert_by_key)),
    Route("data.delete_by_key", "DELETE", f"{_SOBJECT}/{{name}}/{{value}}", RestHandler(records.delete_by_key)),
    Route("composite.resources", "GET", _COMPOSITE, RestHandler(_composite.show)),
    Route("composite.calls", "POST", _COMPOSITE, RestHandler(_composite.composite)),
    Route("composite.batch", "POST", f"{_COMPOSITE}/batch", RestHandler(_composite.batch)),
    Route("composite.tree", "POST", f"{_COMPOSITE}/tree/{{sobject}}", RestHandler(tree.create)),
    Route("composite.create", "POST", f"{_COMPOSITE}/sobjects", RestHandler(collections.create)),
    Route("composite.update", "PATCH", f"{_COMPOSITE}/sobjects", RestHandler(collections.update)),
    Route("composite.delete", "DELETE", f"{_COMPOSITE}/sobjects", RestHandler(collections.delete)),
    Route("composite.retrieve", "GET", f"{_COMPOSITE}/sobjects/{{sobject}}", RestHandler(collections.retrieve)),
    Route("composite.retrieve", "POST", f"{_COMPOSITE}/sobjects/{{sobject}}", RestHandler(collections.retrieve)),
    Route("composite.upsert", "PATCH", f"{_COMPOSITE}/sobjects/{{sobject}}/{{name}}", RestHandler(collections.upsert)),
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


_NOT_SIMULATED: Final = {
    f"{_SOBJECT}/\\w+/password": "passwords: sign in with those that it prints when it starts",
    f"{_DATA}/(?:search|parameterizedSearch)(?:/.*)?": "search (SOSL): it has no index of words, query with SOQL instead",
    f"{_DATA}/(?:chatter|connect)(?:/.*)?": "Chatter and Connect REST API",
    f"{_DATA}/tooling(?:/.*)?": "Tooling API",
    f"{_DATA}/(?:analytics|wave)(?:/.*)?": "reports, dashboards and CRM Analytics",
    f"{_DATA}/ui-api(?:/.*)?": "User Interface API",
    f"{_DATA}/(?:actions|process|quickActions)(?:/.*)?": "actions, flows, processes and approvals",
    f"{_DATA}/(?:event|metadata|async-queries)(?:/.*)?": "platform events, metadata and Async SOQL",
    f"{_SOBJECT}/(?:describe/.+|listviews(?:/.*)?|quickActions(?:/.*)?|defaultValues.*)": "layouts, list views and actions",
    f"{_DATA}/(?:recent|tabs|theme|appMenu|compactLayouts|knowledgeManagement|support)(?:/.*)?": (
        "what people have looked at, and how their pages look"
    ),
    f"{_DATA}/(?:graphql|composite/graph)(?:/.*)?": "GraphQL and composite graphs: use query and composite",
    f"{_SOBJECT}/{{name}}/(?:body*|versionData*)": "files: it stores none",
    "/services/Soap/m/.*": "Metadata API",
    "/services/apexrest(?:/.*)?": "Apex REST",
    "/cometd(?:/.*)?": "Streaming API",
}
"""What Salesforce has and the local org does not, by path, in the words that refuse it."""


@cache
def _not_simulated() -> list[tuple[re.Pattern[str], str]]:
    return [(_pattern(path), words) for path, words in _NOT_SIMULATED.items()]


def find(method: str, path: str) -> tuple[Route, Mapping[str, str]]:
    """Return the route of a call, and what its path captured.

    :raises ApiError: 404 for an unknown path and for what is not simulated, 405 for a method that the path does not have
    """
    # The Salesforce CLI doubles the slash, as a recording of Bulk API 1.0 does; both were served.
    path = "/" + path.lstrip("/")
    for pattern, words in _not_simulated():
        if pattern.fullmatch(path):
            raise ApiError(404, "FUNCTIONALITY_NOT_ENABLED", f"The local org does not simulate {words}")
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
