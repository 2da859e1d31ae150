"""What arrives at a StatsD server: Airflow's own client, real UDP."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk.observability.metrics import stats_utils
from airflow.sdk.observability.stats import Stats

from airflow_provider_sfbulk.client.errors import FailedRecordsError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import Advancing, FakeTask

LINE = re.compile(r"night\.(?P<name>[\w.]+):(?P<value>[\d.]+)\|(?P<kind>c|ms)")


class Listener:
    """A StatsD server that keeps what it gets."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server

    def arrived(self) -> tuple[Counter[str], list[tuple[str, float]]]:
        """Give the counters' sums and the timers' values, since it was asked last."""
        counters: Counter[str] = Counter()
        timers: list[tuple[str, float]] = []
        while True:
            try:
                packet = self._server.recv(65535).decode()
            except TimeoutError:
                return counters, timers
            for line in packet.splitlines():
                match = LINE.fullmatch(line)
                assert match, line
                if match["kind"] == "c":
                    counters[match["name"]] += int(match["value"])
                else:
                    timers.append((match["name"], float(match["value"])))


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        for name, value in {
            "STATSD_ON": "True",
            "STATSD_HOST": "127.0.0.1",
            "STATSD_PORT": str(server.getsockname()[1]),
            "STATSD_PREFIX": "night",
        }.items():
            monkeypatch.setenv(f"AIRFLOW__METRICS__{name}", value)
        clients: list[Any] = []

        def connect() -> Any:
            clients.append(stats_utils.get_stats_factory()())
            return clients[-1]

        # What a task's process does when it starts.
        Stats.initialize(factory=connect, export_legacy_names=False)
        yield Listener(server)
        for client in clients:
            client.statsd.close()
    monkeypatch.undo()
    Stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)


def load(good: int, bad: int, **arguments: Any) -> BulkIngestOperator:
    rows = [{"Name": f"Account {number}", "NumberOfEmployees": number} for number in range(good)]
    rows += [{"Name": f"Bad {number}", "NumberOfEmployees": "a dozen"} for number in range(bad)]
    defaults = {"sobject": "Account", "operation": "insert", "source": rows, "deferrable": False}
    return BulkIngestOperator(task_id="load", **{**defaults, **arguments})


def test_a_load_counts_its_rows_failures_calls_and_time(org: LocalOrg, task: FakeTask, listener: Listener) -> None:
    summary = task.start().run(load(5, 2, max_failed_records=None, part_records=4))
    counters, timers = listener.arrived()
    ((code, failed),) = summary["errors"].items()
    assert counters == {
        "salesforce_bulk.records.successful": 5,
        "salesforce_bulk.records.failed": failed,
        f"salesforce_bulk.failures.{code}": 2,
        "salesforce_bulk.api_calls": summary["api_calls"],
    }
    assert [name for name, _ in timers] == ["salesforce_bulk.job_time"] * 2


def test_a_query_counts_what_it_read(org: LocalOrg, task: FakeTask, listener: Listener) -> None:
    FakeTask().start().run(load(5, 0))
    listener.arrived()
    task.start().run(BulkQueryOperator(task_id="q", soql="SELECT Id FROM Account", deferrable=False))
    counters, timers = listener.arrived()
    calls = counters.pop("salesforce_bulk.api_calls")
    assert (counters, calls > 3, len(timers)) == ({"salesforce_bulk.records.read": 5}, True, 1)


def test_calls_of_the_triggerer_are_counted_once(org: LocalOrg, task: FakeTask, listener: Listener) -> None:
    org.core.job_seconds = 60
    org.core.faults.add("ingest.get", Advancing(org, 10))
    before = len(org.calls)
    task.start().run(load(3, 0, deferrable=True, poll_interval=0.01))
    counters, _ = listener.arrived()
    logins = sum(call.path.endswith("/token") for call in org.calls[before:])
    assert counters["salesforce_bulk.api_calls"] == len(org.calls) - before - logins


def test_a_load_that_fails_is_counted_once_over_its_tries(org: LocalOrg, task: FakeTask, listener: Listener) -> None:
    for cleared in (False, False, True):
        with pytest.raises(FailedRecordsError):
            task.start(cleared=cleared).run(load(5, 2))
    counters, timers = listener.arrived()
    assert counters["salesforce_bulk.records.successful"] == 5
    # The retry sent nothing; after the clear both rows were sent again, and failed again.
    assert counters["salesforce_bulk.records.failed"] == 2 * 2
    assert len(timers) == 2
