"""Object storage that goes away while a load is on its way: connections are refused, or every reply is 503."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from threading import Thread
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from starlette.responses import Response
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from airflow_provider_sfbulk.client.errors import JobTimeoutError, StorageError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.buckets import BUCKET
from tests.provider.conftest import FakeTask

AWAY = pytest.mark.parametrize("how", ["refused", "503"])


class Handler(WSGIRequestHandler):
    """One request a connection: who has left is not reached by a connection of before."""

    protocol_version = "HTTP/1.0"

    def log(self, *_: Any) -> None:
        """Say nothing."""


class Storage:
    """Another door to the objects of the fixture ``s3``, always at the same address."""

    def __init__(self) -> None:
        self._objects = DomainDispatcherApplication(create_backend_app)
        self.requests: list[str] = []
        self.is_busy = False
        self.port = 0
        self.open()

    def open(self) -> None:
        self._server: BaseWSGIServer = make_server("127.0.0.1", self.port, self._answer, True, request_handler=Handler)
        self.port = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def go_away(self, how: str) -> None:
        self.requests.clear()
        if how == "refused":
            self.close()
        self.is_busy = how == "503"

    def come_back(self) -> None:
        if not self.is_busy:
            self.open()
        self.is_busy = False

    def _answer(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        self.requests.append(environ["PATH_INFO"])
        if self.is_busy:
            start_response("503 Slow Down", [("Content-Type", "text/plain")])
            return [b""]
        return self._objects(environ, start_response)


@pytest.fixture
def storage(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """The storage, by the connection ``leaving<port>``: Airflow keeps what a connection led to."""
    one = Storage()
    keys = {"region_name": "us-east-1", "endpoint_url": f"http://127.0.0.1:{one.port}"}
    keys["config_kwargs"] = {"retries": {"max_attempts": 0}}  # type: ignore[assignment]
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": keys}
    monkeypatch.setenv(f"AIRFLOW_CONN_LEAVING{one.port}", json.dumps(connection))
    yield one
    one.close()


class Then(Fault):
    """Do something when a route is called for the given time, before it answers."""

    def __init__(self, act: Callable[[], None], call: int) -> None:
        self._act, self._call = act, call

    async def before(self, exchange: Exchange) -> Response | None:
        if exchange.number == self._call:
            self._act()
        return None


def load(source: Any, **given: Any) -> BulkIngestOperator:
    common = {"task_id": "load", "sobject": "Account", "operation": "insert", "deferrable": False, "retries": 2}
    return BulkIngestOperator(**{**common, "source": source, **given})


def stored(org: LocalOrg) -> list[str]:
    return sorted(record["Name"] for record in org.records("Account"))


def put(s3: Any, storage: Storage, folder: str, **files: str) -> list[str]:
    """Put files, and name them by the connection that will leave."""
    for name, row in files.items():
        s3.put_object(Bucket=BUCKET, Key=f"{folder}/{name}.csv", Body=f"Name\n{row}\n".encode())
    return [f"s3://leaving{storage.port}@{BUCKET}/{folder}/{name}.csv" for name in files]


@AWAY
def test_the_retry_of_a_decided_load_asks_nothing_of_a_storage_that_is_away(
    how: str, org: LocalOrg, task: FakeTask, s3: Any, storage: Storage, folder: str
) -> None:
    operator = load(put(s3, storage, folder, a="A", b="B"), timeout=0.1)
    org.core.job_seconds = 60
    with pytest.raises(JobTimeoutError):
        task.start().run(operator)
    org.advance(61)
    org.wait_until_idle()
    storage.go_away(how)
    result = task.start().run(operator)
    assert (result["successful"], len(org.jobs), storage.requests) == (2, 2, [])
    assert stored(org) == ["A", "B"]
    storage.come_back()


@AWAY
def test_a_storage_that_leaves_amid_the_input_is_named_and_the_next_try_brings_every_row_once(
    how: str, org: LocalOrg, task: FakeTask, s3: Any, storage: Storage, folder: str
) -> None:
    operator = load(put(s3, storage, folder, a="A", b="B"), max_concurrent_jobs=1)
    org.core.faults.add("ingest.upload", Then(lambda: storage.go_away(how), 1))
    with pytest.raises(
        StorageError, match=rf"source: could not read s3://{BUCKET}/{folder}/b\.csv with connection leav"
    ):
        task.start().run(operator)
    assert stored(org) == []
    with pytest.raises(StorageError, match=rf"source: could not .* s3://{BUCKET}/{folder}/a\.csv with connection leav"):
        task.start().run(operator)  # away from the beginning
    storage.come_back()
    assert task.start().run(operator)["successful"] == 2
    assert stored(org) == ["A", "B"]
    assert sum(job.state == "JobComplete" for job in org.jobs) == 2


@AWAY
def test_rows_that_would_go_again_wait_for_the_storage(
    how: str, org: LocalOrg, task: FakeTask, s3: Any, storage: Storage, folder: str
) -> None:
    """What failed for a lock is read again from the input: while that is away, nothing is sent."""
    task.start().run(load([{"Name": "parent"}]))
    (parent,) = org.records("Account")
    rows = f"LastName,AccountId\nA,{parent['Id']}\nB,\n"
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/in.csv", Body=rows.encode())
    org.hold(parent["Id"], batches=1)
    contacts = FakeTask()
    operator = load(f"s3://leaving{storage.port}@{BUCKET}/{folder}/in.csv", sobject="Contact")
    org.core.faults.add("ingest.failed", Then(lambda: storage.go_away(how), 1))
    made = len(org.jobs)
    with pytest.raises(
        StorageError, match=rf"source: could not read s3://{BUCKET}/{folder}/in\.csv .*staging"
    ) as caught:
        contacts.start().run(operator)
    assert not isinstance(caught.value, AirflowFailException), "a retry may find it back"
    assert len(org.jobs) == made + 1
    storage.come_back()
    assert contacts.start().run(operator)["successful"] == 2
    assert sorted(record["LastName"] for record in org.records("Contact")) == ["A", "B"]


@AWAY
def test_results_that_cannot_be_written_are_named_and_the_next_try_writes_them(
    how: str, org: LocalOrg, task: FakeTask, s3: Any, storage: Storage, folder: str
) -> None:
    results = f"s3://leaving{storage.port}@{BUCKET}/{folder}/results"
    operator = load([{"Name": "A"}, {"Name": "B"}], results_path=results)
    org.core.faults.add("ingest.change", Then(lambda: storage.go_away(how), 1))
    with pytest.raises(StorageError, match=rf"results_path: could not .* s3://{BUCKET}/{folder}/results"):
        task.start().run(operator)
    storage.come_back()
    result = task.start().run(operator)
    assert (result["successful"], len(org.jobs)) == (2, 1)
    assert stored(org) == ["A", "B"]
    assert len(s3.get_object(Bucket=BUCKET, Key=f"{folder}/results/successful.csv")["Body"].read().splitlines()) == 3
