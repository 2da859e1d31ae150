"""The rest of the REST API that a bulk client needs: versions, resources, limits, describe, one record."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from starlette.responses import Response

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.data.describe import describe, describe_summary
from airflow_provider_sfbulk.local_org.data.schema import Field
from airflow_provider_sfbulk.local_org.data.store import quoted
from airflow_provider_sfbulk.local_org.http.incoming import Incoming
from airflow_provider_sfbulk.local_org.http.replies import NotFoundError, reply

SEASONS: Final = ("Spring", "Summer", "Winter")
"""Of releases, by API version modulo 3: 66 is Spring '26, 67 Summer '26, 65 Winter '26."""


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


async def resources(call: Incoming) -> Response:
    """``GET /services/data/vXX.X``."""
    base = f"/services/data/v{call.version}"
    who = call.core.credentials
    return reply(
        {
            "sobjects": f"{base}/sobjects",
            "limits": f"{base}/limits",
            "jobs": f"{base}/jobs",
            "identity": f"{call.core.url}/id/{who.org_id}/{who.user_id}",
        }
    )


async def show_limits(call: Incoming) -> Response:
    """``GET /services/data/vXX.X/limits``."""
    return reply(call.core.usage.body())


async def sobjects(call: Incoming) -> Response:
    """``GET /services/data/vXX.X/sobjects``."""
    everything = [describe_summary(sobject, call.version) for sobject in call.core.schema]
    return reply({"encoding": "UTF-8", "maxBatchSize": limits.CHUNK_RECORDS, "sobjects": everything})


async def describe_sobject(call: Incoming) -> Response:
    """``GET /services/data/vXX.X/sobjects/{Object}/describe``."""
    sobject = call.core.schema.get(call.parts["sobject"])
    if sobject is None:
        raise NotFoundError
    return reply(describe(sobject, call.core.schema, call.version))


async def record(call: Incoming) -> Response:
    """``GET /services/data/vXX.X/sobjects/{Object}/{Id}``: one record, which clients read to know the user they are."""
    sobject = call.core.schema.get(call.parts["sobject"])
    try:
        record_id = ids.normalize(call.parts["record_id"])
    except ids.MalformedIdError:
        raise NotFoundError from None
    if sobject is None:
        raise NotFoundError
    fields = [field for field in sobject.fields.values() if not field.is_compound]
    names = ", ".join(quoted(field.name) for field in fields)
    sql = f"SELECT {names} FROM {quoted(sobject.name)} WHERE Id = ? AND IsDeleted = 0"  # noqa: S608 - names of the schema, quoted
    rows = call.core.store.select(sql, (record_id,))
    if not rows:
        raise NotFoundError
    url = f"/services/data/v{call.version}/sobjects/{sobject.name}/{record_id}"
    found = {field.name: _in_json(field, value) for field, value in zip(fields, rows[0], strict=True)}
    return reply({"attributes": {"type": sobject.name, "url": url}, **found})


def _in_json(field: Field, value: Any) -> Any:
    if value is not None and field.type == "boolean":
        return bool(value)
    if value is not None and field.type == "datetime":
        return clock.in_json(datetime.fromisoformat(value))
    return value
