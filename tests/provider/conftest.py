"""A task's surroundings without a scheduler: real operators, a real local org on loopback, and a task state store that
behaves as Airflow 3.3.2's."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3
import pytest
from airflow.sdk import Asset, BaseOperator
from airflow.sdk._shared.secrets_masker import reset_secrets_masker, secrets_masker
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType, TaskDeferred
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.triggers.base import BaseTrigger, TriggerEvent
from moto.server import ThreadedMotoServer
from pytest_mock import MockerFixture
from starlette.responses import Response

from airflow_provider_sfbulk.client.load import still
from airflow_provider_sfbulk.client.waiting import polls
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators import base
from airflow_provider_sfbulk.task import accepted
from airflow_provider_sfbulk.task.ended_by_person import ENDED_XCOM_KEY
from airflow_provider_sfbulk.triggers import job as job_trigger
from tests.provider.buckets import BUCKET


@pytest.fixture(scope="session")
def s3(session_mocker: MockerFixture) -> Iterator[Any]:
    """An S3 server; the connection ``minio`` leads to it. One for the session: Airflow keeps what a connection led to."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"region_name": "us-east-1", "endpoint_url": url}
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": keys}
    session_mocker.patch.dict(os.environ, {"AIRFLOW_CONN_MINIO": json.dumps(connection)})
    client = boto3.client("s3", aws_access_key_id="key", aws_secret_access_key="secret", **keys)
    client.create_bucket(Bucket=BUCKET)
    yield client
    server.stop()


@pytest.fixture
def folder(s3: Any, request: pytest.FixtureRequest) -> str:
    """A folder of this test's own."""
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


@dataclass
class FakeTask:
    """One task of one run, over all its tries.

    :ivar assets: Airflow's asset state store, by the asset's name and the key; runs may share it
    :ivar run: what the run adds to the context
    """

    assets: dict[tuple[str, str], Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    current: int = 0
    clears: int = 0
    airflow_state: str = "running"
    last: Try | None = None

    def start(self, *, cleared: bool = False) -> Try:
        """Begin the next try: what follows a user's clear, when Airflow has taken the end of the try before; or a retry,
        when it is to try again, also because the try's success did not come through."""
        if cleared and self.last is not None and self.last.task is not None:
            state, self.airflow_state = self.airflow_state, self.last.state
            (accepted.on_task_instance_failed if self.last.state == "failed" else accepted.on_task_instance_success)(
                self.last
            )
            self.airflow_state = state
        self.clears += cleared
        self.current += 1
        self.last = Try(self, self.current)
        return self.last


class Try:
    """One try: its context, its XComs, and the store as this try sees it.

    As in a process of its own, nothing is masked yet; Airflow compiles all masks anew for each secret that is added.
    """

    def __init__(self, task: FakeTask, number: int) -> None:
        reset_secrets_masker()
        self.fake, self.try_number = task, number
        self.task: BaseOperator | None = None
        self.state = "running"
        self.dag_id, self.task_id, self.run_id, self.map_index = "dag", "task", "run", -1
        self.id = uuid4()
        self.xcoms: dict[str, Any] = {}
        self.rendered: dict[str, Any] = {}
        self.outlet_events: dict[str, SimpleNamespace] = {}

    @property
    def context(self) -> Any:
        return self.context_of(())

    def context_of(self, assets: Sequence[Any]) -> Any:
        names = {asset.name for asset in assets}
        self.outlet_events = {asset: SimpleNamespace(extra={}) for asset in assets}
        return {
            "dag_run": SimpleNamespace(clear_number=self.fake.clears),
            **self.fake.run,
            "ti": self,
            "task_state_store": self,
            "asset_state_store": AssetStates(self, names),
            "outlet_events": self.outlet_events,
        }

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        return {self.run_id: {self.task_id: self.fake.airflow_state}}

    def get(self, key: str, default: Any = None) -> Any:
        if self.try_number != self.fake.current:
            return None
        return copy.deepcopy(self.fake.states.get(key, default))

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        assert retention is not None
        if self.try_number != self.fake.current:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404}))
        self.fake.states[key] = copy.deepcopy(value)

    def set_of_asset(self, name: str, key: str, value: Any) -> None:
        assert value is not None
        self.fake.assets[name, key] = copy.deepcopy(value)

    def run(self, operator: BaseOperator) -> Any:
        """Run the operator to its end, over as many deferrals as it takes."""
        try:
            return self.run_once(operator)
        except TaskDeferred as deferral:
            return self.resume(operator, deferral)

    def run_once(self, operator: BaseOperator) -> Any:
        """Run the operator until its end or its deferral."""
        self.rendered = {name: getattr(operator, name) for name in operator.template_fields}
        return self._ended(operator, "execute")

    def _ended(self, operator: BaseOperator, method: str, **given: Any) -> Any:
        """Do what Airflow does around it, up to the try's end."""
        self.task = operator
        context = self.context_of([*operator.inlets, *operator.outlets])
        try:
            value = getattr(operator, method)(context, **given)
        except TaskDeferred:
            raise
        except Exception:
            self.state = "failed"
            raise
        self.state = "success"
        return value

    def get_template_context(self) -> Any:
        return self.context

    def resume(self, operator: BaseOperator, pending: TaskDeferred) -> Any:
        """Run the trigger as the triggerer would, from what is stored of it, then the operator to its end."""
        while True:
            _, kwargs = pending.trigger.serialize()
            trigger = type(pending.trigger)(**json.loads(json.dumps(kwargs)))
            event = asyncio.run(first_event(trigger))
            if operator is self.task:
                for name, value in self.rendered.items():  # another process, in which the templates are rendered again
                    setattr(operator, name, value)
            try:
                return self._ended(operator, pending.method_name, event=event.payload)
            except TaskDeferred as deferral:
                pending = deferral


@dataclass
class AssetStates:
    """Airflow's asset state store as a try of one task sees it.

    :param names: of the task's outlets and inlets
    """

    attempt: Try
    names: set[str]

    def __getitem__(self, asset: Asset) -> AssetState:
        if asset.name not in self.names:
            raise KeyError(f"{asset!r} is not in this task's inlets or outlets")
        return AssetState(self.attempt, asset.name)


@dataclass
class AssetState:
    """The store of one asset: no retention, no compare-and-set, no fence."""

    attempt: Try
    name: str

    def get(self, key: str, default: Any = None) -> Any:
        return copy.deepcopy(self.attempt.fake.assets.get((self.name, key), default))

    def set(self, key: str, value: Any) -> None:
        self.attempt.set_of_asset(self.name, key, value)


class Killed(BaseException):
    """The process is gone."""


class DyingTry(Try):
    """A try whose process dies at one of its writes to the stores, before it or after it."""

    def __init__(self, task: FakeTask, write: int, *, after: bool) -> None:
        task.current += 1
        super().__init__(task, task.current)
        self.left, self._after = write, after

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        with self._dying():
            super().set(key, value, retention=retention)

    def set_of_asset(self, name: str, key: str, value: Any) -> None:
        with self._dying():
            super().set_of_asset(name, key, value)

    @contextmanager
    def _dying(self) -> Iterator[None]:
        self.left -= 1
        if self.left == 0 and not self._after:
            raise Killed
        yield
        if self.left == 0:
            raise Killed


async def first_event(trigger: BaseTrigger) -> TriggerEvent:
    """Run a trigger until it fires."""
    return await anext(aiter(trigger.run()))


class Advancing(Fault):
    """Lets the org's clock go on with each look."""

    def __init__(self, org: LocalOrg, seconds: float) -> None:
        self._org, self._seconds = org, seconds

    async def before(self, exchange: Exchange) -> Response | None:
        self._org.advance(self._seconds)
        return None


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Do as Airflow's API server does when a person ends a task instance, in a world of one task instance."""

    def end(task_instance: Any, state: str = "failed") -> None:
        fact = {"ti_id": str(task_instance.id), "state": state}
        monkeypatch.setattr(BaseXCom, "get_one", lambda key, **_: fact if key == ENDED_XCOM_KEY else None)

    return end


@pytest.fixture(autouse=True)
def no_pauses(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll jobs without pausing: the local org shows every state to at least one poll, whatever the time.

    For the poller in the triggerer a second counts as a minute: a test sees in seconds what it does in minutes.
    """
    if not request.node.get_closest_marker("real_pauses"):
        monkeypatch.setattr(polls, "WINDOW_SECONDS", 1.0)
        monkeypatch.setattr(polls, "SHORTEST_PERIOD_SECONDS", 0.2)
        monkeypatch.setattr(polls, "TROUBLE_SECONDS", 0.1)
    monkeypatch.setattr(base, "FIRST_POLLS", (0.0, 0.01, 0.01, 0.02, 0.05))
    monkeypatch.setattr(job_trigger, "SHORTEST_DEFERRAL_SECONDS", 0.0)
    monkeypatch.setattr(still, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(still, "BATCH_SECONDS", 0.0)


class LatePattern:
    """A pattern that is compiled when a text is first searched."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def sub(self, *given: Any) -> str:
        """Replace what is found."""
        return re.compile(self._pattern).sub(*given)


@pytest.fixture(autouse=True)
def no_old_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what earlier tests had masked.

    Airflow compiles all masks anew for each that is added, dozens of times a login; here, only for a text to search.
    """
    late = SimpleNamespace(compile=LatePattern, escape=re.escape, sub=re.sub)
    monkeypatch.setattr(secrets_masker, "re", late)
    reset_secrets_masker()


@pytest.fixture
def task() -> FakeTask:
    return FakeTask()


@pytest.fixture
def org(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalOrg]:
    """A local org whose connection is ``salesforce_bulk_default``."""
    with LocalOrg() as running:
        monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT", running.connection)
        yield running
