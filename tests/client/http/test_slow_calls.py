"""Calls whose replies begin rightly and then drip: each ends after its tries, none of which lasts longer than it may."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.extract.pages import pages
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.client.protocol.changes import Question, look_for_changes
from airflow_provider_sfbulk.client.protocol.describe import describe
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls, QueryCalls
from airflow_provider_sfbulk.client.results.spool import DownloadedRows
from tests.client.http.outcome import one
from tests.client.http.test_time_limit import LATE, Drips, driver_of

TIMEOUT = 0.1
TRIES = 8
"""At most, of any call that may be repeated."""

JOB_ID = "7508d000003QaLpAAK"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
JSON, CSV, XML = "application/json", "text/csv\r\nSforce-Locator: null\r\nSforce-NumberOfRecords: 5", "application/xml"


def _job() -> JobInfo:
    return JobInfo.from_json(
        {"id": JOB_ID, "state": "JobComplete", "operation": "query", "columnDelimiter": "COMMA", "lineEnding": "LF",
         "numberRecordsProcessed": 5}
    )  # fmt: skip


CALLS: dict[str, tuple[str, bytes, Callable[[], Any]]] = {
    # what a reply is, how its body begins, and the call
    "describe": (JSON, b'{"name": "Account", "fields": [', lambda: describe("Account", api_version="66.0")),
    "page": (CSV, b"Id\n001", lambda: pages(QueryCalls("66.0"), _job(), lambda _: DownloadedRows(Dialect()))),
    "result file": (
        CSV,
        b"sf__Id,sf__Error,Name\n",
        lambda: IngestCalls("66.0").results(JOB_ID, "failed", DownloadedRows(Dialect())),
    ),
    "list of jobs": (JSON, b'{"done": true, "records": [', lambda: IngestCalls("66.0").list_page()),
    "list of batches": (XML, b"<batchInfoList>", lambda: Bulk1Calls("66.0").list_batches(JOB_ID)),
    "look for changes": (
        JSON,
        b'{"compositeResponse": [',
        lambda: look_for_changes([Question("Account", "SystemModstamp", NOW, NOW, False)], api_version="66.0"),
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_reply_that_begins_rightly_and_drips_is_given_up(make: Any, call: str) -> None:
    kind, body, flow = CALLS[call]
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 100000\r\n\r\n".encode()
    server = Drips(head + body, b" ", pause=0.02)
    begun = time.monotonic()
    try:
        with pytest.raises(errors.TransportError, match=r"in \d+\.\d s"):
            one(driver_of(make, server, TIMEOUT), flow())
        assert server.connections <= TRIES
    finally:
        server.close()
    assert time.monotonic() - begun < TRIES * TIMEOUT * LATE
