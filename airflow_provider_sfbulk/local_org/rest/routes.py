"""What the REST API has besides records and queries: versions, resources, limits, describe, who the user is."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.data.describe import describe, describe_summary
from airflow_provider_sfbulk.local_org.data.store import quoted
from airflow_provider_sfbulk.local_org.http.incoming import Incoming
from airflow_provider_sfbulk.local_org.http.replies import NotFoundError, reply
from airflow_provider_sfbulk.local_org.login.oauth import identity_body
from airflow_provider_sfbulk.local_org.rest.ask import Answer, Ask

SEASONS: Final = ("Spring", "Summer", "Winter")
"""Of releases, by API version modulo 3: 66 is Spring '26, 67 Summer '26, 65 Winter '26."""

RESOURCES: Final = ("composite", "jobs", "limits", "query", "queryAll", "sobjects")


async def versions(call: Incoming) -> Response:  # noqa: ARG001 - handlers are called alike
    """``GET /services/data``: open to all, ascending."""
    first, last = (int(float(version)) for version in (limits.OLDEST_LIVE_API_VERSION, limits.NEWEST_API_VERSION))
    return reply(
        [
            {"label": _release(number), "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
            for number in range(first, last + 1)
        ]
    )


def _release(number: int) -> str:
    """Name the release of an API version: three a year, and Winter belongs to the year that it leads into."""
    return f"{SEASONS[number % 3]} '{26 + (number - 65) // 3}"


async def identity(call: Incoming) -> Response:
    """``GET /id/{org}/{user}``: who the token's user is."""
    who = call.core.credentials
    if (call.parts["org_id"][:15], call.parts["user_id"][:15]) != (who.org_id[:15], who.user_id[:15]):
        raise NotFoundError
    return reply(identity_body(call.core))


def resources(ask: Ask) -> Answer:
    """``GET /services/data/vXX.X``."""
    who = ask.core.credentials
    named = {name: f"{ask.base}/{name}" for name in RESOURCES}
    return Answer({**named, "identity": f"{ask.core.url}/id/{who.org_id}/{who.user_id}"})


def show_limits(ask: Ask) -> Answer:
    """``GET /services/data/vXX.X/limits``."""
    return Answer(ask.core.usage.body())


def record_count(ask: Ask) -> Answer:
    """``GET /services/data/vXX.X/limits/recordCount``: of all objects or those of ``sObjects``. A real org's numbers are
    approximate, and it passes over names that it does not know."""
    named = [name.strip().lower() for name in ask.query.get("sObjects", "").split(",") if name.strip()]
    counts = []
    for sobject in ask.core.schema:
        if not named or sobject.name.lower() in named:
            hidden = " WHERE IsDeleted = 0" if sobject.get("IsDeleted") is not None else ""
            sql = f"SELECT count(*) FROM {quoted(sobject.name)}{hidden}"  # noqa: S608 - a name of the schema, quoted
            counts.append({"count": ask.core.store.select(sql, ())[0][0], "name": sobject.name})
    return Answer({"sObjects": counts})


def sobjects(ask: Ask) -> Answer:
    """``GET /services/data/vXX.X/sobjects``."""
    everything = [describe_summary(sobject, ask.version) for sobject in ask.core.schema]
    return Answer({"encoding": "UTF-8", "maxBatchSize": limits.CHUNK_RECORDS, "sobjects": everything})


def describe_sobject(ask: Ask) -> Answer:
    """``GET /services/data/vXX.X/sobjects/{Object}/describe``."""
    sobject = ask.sobject
    sql = "SELECT Id, DeveloperName, Name, IsActive FROM RecordType WHERE SobjectType = ? AND IsDeleted = 0 ORDER BY Id"
    kinds = [(row[0], row[1], row[2], bool(row[3])) for row in ask.core.store.select(sql, (sobject.name,))]
    return Answer(describe(sobject, ask.core.schema, ask.version, kinds))
