"""Made-up replies, connections, rows and ledgers: anything of the right shape, and much of the wrong one."""

from __future__ import annotations

import inspect
import json
from typing import Any, Final

from hypothesis import strategies as st

from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator, Incremental
from airflow_provider_sfbulk.sensors.job import BulkJobSensor
from airflow_provider_sfbulk.triggers.change import SalesforceChangeTrigger
from tests.examples import examples
from tests.hostile.calls import CALLS as ANY_CALL
from tests.hostile.calls import JOB_ID
from tests.hostile.ways import APP, CALLS

EXAMPLES: Final = examples(20)
"""Examples of each property."""

NASTY: Final = [
    "", "\x1b[2J", "\u202e", "\x00", "９" * 30, "9" * 5000, "-1", "1e999", "null", "../..", "a" * 5000, "{{ x }}", "%s%n", JOB_ID,
    "BELL", "'; DROP", "\r\nX: y", "2024-13-01", "InvalidBatch : x",
]  # fmt: skip

texts = st.sampled_from(NASTY) | st.text(max_size=20)
numbers = st.sampled_from([0, -1, 2**31, 2**63, 10**400, 1.5, float("inf"), float("nan")]) | st.integers()
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))

JOB_KEYS: Final = [
    "id", "state", "operation", "object", "apiVersion", "columnDelimiter", "lineEnding", "numberRecordsProcessed",
    "numberRecordsFailed", "errorMessage", "createdDate", "done", "records", "nextRecordsUrl", "resultPages", "errorCode",
    "message", "error", "error_description", "access_token", "instance_url", "jobId", "contentType", "totalProcessingTime",
]  # fmt: skip
RIGHT: Final = {
    "id": JOB_ID, "state": "JobComplete", "operation": "query", "columnDelimiter": "COMMA", "lineEnding": "LF",
    "done": False, "records": [], "nextRecordsUrl": "/services/data/v66.0/jobs/ingest?queryLocator=a",
    "resultPages": [{"resultUrl": f"/services/data/v66.0/jobs/query/{JOB_ID}/results?locator=a"}],
    "jobId": JOB_ID, "contentType": "CSV",
}  # fmt: skip

objects = st.builds(lambda wrong: {**RIGHT, **wrong}, st.dictionaries(st.sampled_from(JOB_KEYS), values, max_size=4))
json_bodies = st.builds(
    lambda data: json.dumps(data).encode("utf-8", "surrogatepass"), objects | st.lists(objects, max_size=3) | values
)
xml_bodies = st.builds(
    lambda root, fields: (
        f"<{root}>" + "".join(f"<{name}>{text}</{name}>" for name, text in fields) + f"</{root}>"
    ).encode("utf-8", "surrogatepass"),
    st.sampled_from(["jobInfo", "batchInfo", "batchInfoList", "result-list", "results", "error", "Fault"]),
    st.lists(st.tuples(st.sampled_from([*JOB_KEYS, "batchInfo", "exceptionCode"]), texts), max_size=6),
)
csv_bodies = st.builds(lambda rows: "\n".join(rows).encode("utf-8", "surrogatepass"), st.lists(texts, max_size=5))
bodies = json_bodies | xml_bodies | csv_bodies | st.binary(max_size=200)
headers = st.dictionaries(
    st.sampled_from(
        [
            "content-type",
            "sforce-locator",
            "sforce-numberofrecords",
            "retry-after",
            "date",
            "warning",
            "content-encoding",
        ]
    ),
    st.sampled_from(["application/json", "text/csv", "application/xml", "text/html", "null", "1", "0"]) | texts,
)
statuses = st.sampled_from([200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 429, 500, 503]) | st.integers(100, 999)
replies = st.builds(Reply, statuses, headers, bodies)

calls = st.sampled_from(sorted(CALLS))
flows = st.sampled_from(["password", "client_credentials", "refresh_token", "soap_login"])
KEYS: Final = [
    *APP, "private_key", "private_key_file", "access_token", "instance_url", "refresh_token", "api_version", "timeout",
    "allowed_hosts", "ca_file", "proxy", "auth_flow", "organization_id", "audience",
]  # fmt: skip
places = st.sampled_from(["/dev/zero", "/tmp", "/nowhere", "/etc/hostname", "a\x00b"])
extras = st.builds(
    lambda wrong: {**APP, **wrong}, st.dictionaries(st.sampled_from(KEYS), values | places, max_size=3)
) | values  # fmt: skip
rows = st.lists(
    st.dictionaries(texts, leaves | st.dates() | st.decimals() | st.binary(max_size=5), max_size=3), max_size=4
)
sources = rows | st.binary(max_size=200).map(lambda data: b"Name,X__c\n" + data) | values
params = st.dictionaries(st.just("n"), values | st.datetimes() | st.decimals() | st.times(), max_size=1) | values
events = st.dictionaries(st.sampled_from(["outcome", "jobs", "job_ids", "api_calls"]), values) | values

wrong = values | texts | st.binary(max_size=20) | st.dates() | st.timedeltas() | st.decimals() | sources


def _wrong(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), wrong, min_size=1, max_size=2)


def _of_call(name: str) -> st.SearchStrategy[tuple[str, str, dict[str, Any]]]:
    needed, more = ANY_CALL[name]
    return st.tuples(st.just("call"), st.just(name), _wrong((*needed, *more)))


def _of_class(way: str, made: type) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    own = tuple(each for each in inspect.signature(made).parameters if each not in ("task_id", "kwargs"))
    return st.tuples(st.just(way), _wrong(own))


WAYS_IN: Final = {
    "reply": st.tuples(st.just("reply"), calls, replies),
    "login": st.tuples(st.just("login"), flows, replies),
    "connection": st.tuples(st.just("connection"), extras),
    "rows": st.tuples(st.just("rows"), sources),
    "params": st.tuples(st.just("params"), params),
    "event": st.tuples(st.just("event"), events),
    "describe": st.tuples(st.just("describe"), replies),
    "look": st.tuples(st.just("look"), replies),
    "call": st.sampled_from(sorted(ANY_CALL)).flatmap(_of_call),
    "ingest task": _of_class("ingest task", BulkIngestOperator),
    "query task": _of_class("query task", BulkQueryOperator),
    "sensor": _of_class("sensor", BulkJobSensor),
    "watch": _of_class("watch", SalesforceChangeTrigger),
    "window": _of_class("window", Incremental),
}
