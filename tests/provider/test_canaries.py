"""Canaries in the connection, the query and the rows, through the ways in which each operator, the sensor and the trigger
fail: none is found in a log at DEBUG, an XCom, a state, a trigger's row, an error with its causes, or an event.
"""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk.exceptions import TaskDeferred
from starlette.responses import Response

from airflow_provider_sfbulk.client.errors import SfBulkError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.sensors.job import BulkJobSensor
from tests.provider.conftest import FakeTask

BOUND = "Canary Bound+Value 4711"
CELL = "Canary Cell/Value 0815"


class Refuses(Fault):
    """Refuses, and quotes all that it may have been sent."""

    def __init__(self, status: int, code: str, org: LocalOrg) -> None:
        said = f"no: {org.client_secret} WHERE Name = '{BOUND}' \x1b[2J {CELL}"
        self._body = json.dumps([{"errorCode": code, "message": said}, {"error": code, "error_description": said}])
        self._status = status

    async def before(self, exchange: Exchange) -> Response | None:
        return Response(self._body, self._status, media_type="application/json")


class Fails(Fault):
    """Lets every job fail, with a message that quotes a row and the query."""

    async def after(self, exchange: Exchange, response: Response) -> Response:
        read = json.loads(bytes(response.body))
        if "state" in read:
            read |= {"state": "Failed", "errorMessage": f"InvalidBatch : cannot read '{CELL}' or '{BOUND}'"}
        return Response(json.dumps(read), response.status_code, media_type="application/json")


def query(**options: Any) -> BulkQueryOperator:
    soql = "SELECT Id FROM Account WHERE Name = :n"
    return BulkQueryOperator(task_id="read", soql=soql, soql_params={"n": BOUND}, **options)


def load(**options: Any) -> BulkIngestOperator:
    source = [{"Name": CELL, "Description": "x"}]
    return BulkIngestOperator(task_id="load", sobject="Account", operation="insert", source=source, **options)


def sensor(**options: Any) -> BulkJobSensor:
    return BulkJobSensor(task_id="wait", job_id="7508d000003QaLpAAK", job_type="query", **options)


def spellings(text: str) -> set[str]:
    data = text.encode()
    packed = {base64.b64encode(bytes(at) + data).decode()[4:-4] for at in range(3)}
    return {text, quote(text), quote(text, safe=""), repr(text)[1:-1], json.dumps(text)[1:-1], *packed}


MAKERS: dict[str, Callable[..., Any]] = {
    "query": query,
    "deferred query": lambda: query(deferrable=True),
    "load": load,
    "deferred load": lambda: load(deferrable=True),
    "load by 1.0": lambda: load(api="1.0"),
    "query by 1.0": lambda: query(api="1.0"),
    "sensor": sensor,
    "deferred sensor": lambda: sensor(deferrable=True),
}
FAULTS: dict[str, Callable[[LocalOrg], tuple[str, Fault]]] = {
    "refused": lambda org: ("*", Refuses(400, "INVALID_FIELD", org)),
    "forbidden": lambda org: ("*", Refuses(403, "INSUFFICIENT_ACCESS", org)),
    "refused login": lambda org: ("oauth.token", Refuses(400, "invalid_grant", org)),
    "refused query": lambda org: ("query.create", Refuses(400, "MALFORMED_QUERY", org)),
    "refused upload": lambda org: ("ingest.upload", Refuses(400, "INVALIDJOB", org)),
    "refused batch": lambda org: ("bulk1.add_batch", Refuses(400, "InvalidBatch", org)),
    "failed ingest job": lambda org: ("ingest.get", Fails()),
    "failed query job": lambda org: ("query.get", Fails()),
    "no results": lambda org: ("query.results", Refuses(403, "INSUFFICIENT_ACCESS", org)),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("maker", MAKERS)
def test_no_canary_is_found(
    maker: str, fault: str, org: LocalOrg, task: FakeTask, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    org.core.faults.add(*FAULTS[fault](org))
    attempt = task.start()
    shown: list[str] = []
    operator = MAKERS[maker]()
    with caplog.at_level(logging.DEBUG):
        try:
            attempt.run(operator)
        except (SfBulkError, TaskDeferred) as error:
            shown.append("".join(traceback.format_exception(error)) + repr(vars(error)))
    shown += [caplog.text, *capsys.readouterr(), json.dumps(attempt.xcoms, default=str), json.dumps(task.states)]
    shown += [repr({name: event.extra for name, event in attempt.outlet_events.items()})]
    everything = "\n".join(shown)
    canaries = [CELL, BOUND, org.client_secret]
    assert not [text for canary in canaries for text in spellings(canary) if text in everything]
    assert "\x1b[2J" not in everything
