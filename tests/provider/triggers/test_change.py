"""Watches of objects: which events they fire, whatever dies. Real triggers in Airflow's own shared streams, a local org."""

from __future__ import annotations

import asyncio
import copy
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset, AssetWatcher
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.triggers.base import BaseEventTrigger
from airflow.triggers.shared_stream import SharedStreamManager
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from starlette.responses import Response

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.waiting import polls
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.local_org.rest.saving import save_records
from airflow_provider_sfbulk.triggers import change as change_module
from airflow_provider_sfbulk.triggers import shared_client
from airflow_provider_sfbulk.triggers.change import SalesforceChangeTrigger
from tests.examples import examples
from tests.provider.triggers.test_watcher import Answer, busy, edit_connection, until
from tests.provider.triggers.test_watcher import run as run_whole

ACCOUNTS = Asset("accounts")
KEY = "sfbulk.watch:Account:SystemModstamp:salesforce_bulk_default"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_module, "SHORTEST_SECONDS", 0.0)
    monkeypatch.setattr(change_module, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(change_module, "STORE_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(polls, "TOGETHER_SECONDS", 0.01)
    monkeypatch.setattr(polls, "WINDOW_SECONDS", 0.1)


@dataclass
class Airflow:
    """What a triggerer does with watchers, and what outlives it: the assets' states and the events.

    :ivar dies_at: at which step, of those that are durable, the triggerer dies; before it or after it
    """

    states: dict[tuple[str, str], Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    assets: tuple[str, ...] = ("accounts",)
    dies_at: int | None = None
    after: bool = False
    store_errors: int = 0
    reads: int = 0
    steps: int = 0
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    async def durable(self, step: Callable[[], None]) -> None:
        """Do what outlives the triggerer, unless it is dead, or dies before it."""
        self.steps += 1
        if (self.steps != self.dies_at or self.after) and not self.dead.is_set():
            step()
        if self.steps == self.dies_at:
            self.dead.set()
        if self.dead.is_set():
            await asyncio.Event().wait()

    async def run(self, *triggers: SalesforceChangeTrigger) -> None:
        """Run the triggers as Airflow makes them from what it has stored, until it dies."""
        self.dead = asyncio.Event()
        manager = SharedStreamManager()
        alive = [asyncio.create_task(self._run(manager, number, each)) for number, each in enumerate(triggers, 1)]
        try:
            await self.dead.wait()
        finally:
            for each in alive:
                each.cancel()
            await asyncio.wait(alive)
            await manager.stop_all()

    async def _run(self, manager: SharedStreamManager, number: int, given: SalesforceChangeTrigger) -> None:
        _, kwargs = given.serialize()
        trigger = type(given)(**json.loads(json.dumps(kwargs)))
        trigger.trigger_id = number
        trigger.asset_state_store = self._accessors()
        key = trigger.shared_stream_key()
        assert key is not None
        try:
            stream = manager.subscribe(trigger_id=number, trigger=trigger, key=key)
            async for event in trigger.filter_shared_stream(stream):
                seq = manager.bind_pending_event(trigger_id=number, key=key)
                assert seq is not None, "Airflow would not say whether it has stored this event"
                await asyncio.sleep(0)
                payload = copy.deepcopy(event.payload)
                await self.durable(partial(self.events.append, payload))
                manager.confirm_persisted([seq])
        finally:
            await manager.unsubscribe(number, key)

    def _accessors(self) -> Any:
        return SimpleNamespace(_by_name={name: Accessor(self, name) for name in self.assets}, _by_uri={})


@dataclass
class Accessor:
    """One asset's store in the triggerer."""

    airflow: Airflow
    name: str

    async def aget(self, key: str) -> Any:
        await self._away()
        self.airflow.reads += 1
        return copy.deepcopy(self.airflow.states.get((self.name, key)))

    async def aset(self, key: str, value: Any) -> None:
        await self._away()
        await self.airflow.durable(lambda: self.airflow.states.update({(self.name, key): copy.deepcopy(value)}))

    async def _away(self) -> None:
        await asyncio.sleep(0)
        self.airflow.store_errors -= 1
        if self.airflow.store_errors >= 0:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500}))


def watch(sobject: str = "Account", **arguments: Any) -> SalesforceChangeTrigger:
    return SalesforceChangeTrigger(sobject, **{"every": 0.03, "lag": 0, **arguments})


def save(org: LocalOrg, sobject: str = "Account", operation: str = "insert", **values: Any) -> str:
    """Save a record, and let a second pass: an org's clock is known to the second that has begun."""
    core = org.core
    with core.saving, core.store.writing():
        known = core.schema.get(sobject)
        assert known is not None
        (saved,) = save_records(core, known, operation, [values])
    org.advance(2)
    assert saved.record_id, saved.error
    return saved.record_id


def run(test: Callable[[], Awaitable[Any]]) -> Any:
    return run_whole(test)


async def while_running(airflow: Airflow, *triggers: SalesforceChangeTrigger, do: Callable[[], Awaitable[Any]]) -> Any:
    """Do something while triggers run, which end with it."""
    running = asyncio.create_task(airflow.run(*triggers))
    doing = asyncio.create_task(do())
    await asyncio.wait([running, doing], return_when=asyncio.FIRST_COMPLETED)
    for each in (running, doing):
        each.cancel()
    await asyncio.wait([running, doing])
    return None if doing.cancelled() else doing.result()


def looks(org: LocalOrg) -> int:
    return sum(call.path.endswith("/composite") for call in org.calls)


async def more_looks(org: LocalOrg, number: int = 3) -> None:
    there = looks(org)
    await until(lambda: looks(org) >= there + number)


def windows(airflow: Airflow) -> list[tuple[str, str]]:
    return [(event["since"], event["until"]) for event in airflow.events]


# --- which events -----------------------------------------------------------------------------------------------------


def test_a_change_fires_one_event_and_the_next_one_the_next(org: LocalOrg) -> None:
    airflow = Airflow()

    async def changes() -> None:
        await more_looks(org)
        assert not airflow.events
        for number in (1, 2):
            save(org, Name=f"account {number}")
            await until(lambda number=number: len(airflow.events) == number)
            await more_looks(org)
            assert len(airflow.events) == number

    run(lambda: while_running(airflow, watch(), do=changes))
    (first, second) = windows(airflow)
    assert first[0] < first[1] == second[0] < second[1]
    assert {key: airflow.events[0][key] for key in ("sobject", "field", "include_deleted")} == {
        "sobject": "Account",
        "field": "SystemModstamp",
        "include_deleted": False,
    }
    assert airflow.states["accounts", KEY] == {"since": second[1]}


def test_what_was_there_before_the_watch_is_announced_from_initial_on(org: LocalOrg) -> None:
    save(org, Name="old")
    airflow, asking = Airflow(), Airflow()

    async def test() -> None:
        await while_running(airflow, watch(), do=lambda: more_looks(org))
        old = watch(initial="2026-01-01T00:00:00Z")
        await while_running(asking, old, do=lambda: until(lambda: bool(asking.events)))

    org.advance(60)
    run(test)
    assert airflow.events == []
    assert asking.events[0]["since"] == "2026-01-01T00:00:00.000Z"


def test_a_change_is_announced_when_the_lag_has_passed(org: LocalOrg) -> None:
    airflow = Airflow()

    async def changes() -> None:
        await more_looks(org)
        save(org, Name="fresh")
        await more_looks(org)
        assert not airflow.events
        org.advance(300)
        await until(lambda: bool(airflow.events))

    run(lambda: while_running(airflow, watch(lag=timedelta(minutes=5)), do=changes))
    stamps = [row["SystemModstamp"] for row in org.records("Account")]
    assert airflow.events[0]["since"] <= stamps[0].replace("+0000", "Z") < airflow.events[0]["until"]


def test_deletions_are_changes_on_request(org: LocalOrg) -> None:
    gone = save(org, Name="gone")
    org.advance(60)
    plain, deleting = Airflow(), Airflow()

    async def test() -> None:
        async def delete() -> None:
            await more_looks(org)
            save(org, operation="delete", Id=gone)
            await until(lambda: bool(deleting.events))
            await more_looks(org)

        other = asyncio.create_task(plain.run(watch()))
        await while_running(deleting, watch(include_deleted=True), do=delete)
        other.cancel()
        await asyncio.wait([other])

    run(test)
    assert [event["include_deleted"] for event in deleting.events] == [True]
    assert plain.events == []


def test_another_datetime_says_when_a_record_changed(org: LocalOrg) -> None:
    known = save(org, Name="known")
    org.advance(60)
    airflow = Airflow()

    async def changes() -> None:
        await more_looks(org)
        save(org, operation="update", Id=known, Name="changed")
        await more_looks(org)
        assert not airflow.events
        save(org, Name="new")
        await until(lambda: bool(airflow.events))

    run(lambda: while_running(airflow, watch(field="CreatedDate"), do=changes))
    assert airflow.events[0]["field"] == "CreatedDate"


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_five_objects_share_a_call_and_all_share_a_login(org: LocalOrg) -> None:
    objects = ("Account", "Contact", "Lead", "Case", "Opportunity")
    airflow = Airflow()

    async def changes() -> None:
        await more_looks(org, 5)

    run(lambda: while_running(airflow, *map(watch, objects), do=changes))
    calls = Counter(call.path.rpartition("/")[2] for call in org.calls)
    assert calls["token"] == 1
    # One to learn the org's time; the first look may find some of them only.
    assert calls.total() <= 1 + 1 + looks(org)
    assert looks(org) <= 7
    stored = {key for _, key in airflow.states}
    assert len(stored) == len(objects)


def test_more_objects_than_a_call_takes_are_all_looked_at(org: LocalOrg) -> None:
    objects = ("Account", "Contact", "Lead", "Case", "Opportunity", "Task", "Event", "Campaign", "Product2")
    airflow = Airflow()

    async def changes() -> None:
        await more_looks(org)
        for sobject in ("Product2", "Account"):
            save(org, sobject, Name="new")
        await until(lambda: {each["sobject"] for each in airflow.events} == {"Product2", "Account"})

    run(lambda: while_running(airflow, *map(watch, objects), do=changes))
    assert len(airflow.events) == 2


# --- what may go wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [{"sobject": "Nonesuch__c"}, {"field": "Nonesuch__c"}, {"conn_id": "nonesuch"}])
def test_a_bad_watch_fires_nothing_and_ends_no_other(bad: dict[str, Any], org: LocalOrg) -> None:
    airflow = Airflow()

    async def changes() -> None:
        await more_looks(org)
        save(org, Name="new")
        await until(lambda: bool(airflow.events))

    run(lambda: while_running(airflow, watch(**{"sobject": "Account", **bad}), watch(every=0.2), do=changes))
    assert [event["sobject"] for event in airflow.events] == ["Account"]


def test_an_org_that_is_away_does_not_end_the_watch(org: LocalOrg) -> None:
    airflow = Airflow()
    away = Answer(busy, 3)
    org.core.faults.add("composite.calls", away)

    async def changes() -> None:
        await until(lambda: away.left < 3)
        save(org, Name="new")
        await until(lambda: bool(airflow.events))

    run(lambda: while_running(airflow, watch(), do=changes))
    assert len(airflow.events) == 1


def test_a_login_that_works_again_is_taken_up(org: LocalOrg) -> None:
    airflow = Airflow()
    text = '{"error":"invalid_grant","error_description":"expired authorization code"}'
    refused = Answer(lambda: Response(text, status_code=400, media_type="application/json"), 3)
    org.core.faults.add("oauth.token", refused)

    async def changes() -> None:
        await until(lambda: bool(looks(org)))
        save(org, Name="new")
        await until(lambda: bool(airflow.events))

    run(lambda: while_running(airflow, watch(), do=changes))
    assert refused.left < 0


def test_a_watch_follows_its_connection_to_another_org(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_client, "REREAD_SECONDS", 0.0)
    airflow = Airflow()
    with LocalOrg() as other:

        async def changes() -> None:
            await until(lambda: bool(looks(org)))
            edit_connection(monkeypatch, other)
            await until(lambda: bool(looks(other)))
            save(other, Name="new")
            await until(lambda: bool(airflow.events))

        run(lambda: while_running(airflow, watch(), do=changes))
    assert len(airflow.events) == 1


def test_a_single_question_that_fails_for_a_while_is_asked_again(org: LocalOrg) -> None:
    airflow = Airflow()

    class Slow(Fault):
        left = 2

        async def before(self, exchange: Exchange) -> Response | None:
            self.left -= 1
            answers = [
                {
                    "referenceId": "q0",
                    "httpStatusCode": 400,
                    "httpHeaders": {},
                    "body": [{"errorCode": "QUERY_TIMEOUT"}],
                }
            ]
            body = json.dumps({"compositeResponse": answers})
            return Response(body, media_type="application/json") if self.left >= 0 else None

    org.core.faults.add("composite.calls", Slow())

    async def changes() -> None:
        await more_looks(org, 1)
        save(org, Name="new")
        await until(lambda: bool(airflow.events))

    run(lambda: while_running(airflow, watch(), do=changes))


@pytest.mark.parametrize(
    "body", ["{}", '{"compositeResponse":[]}', "[1]", "{", '{"compositeResponse":[{"referenceId":"q0"}]}']
)
def test_an_answer_that_is_none_is_no_end_either(body: str, org: LocalOrg) -> None:
    airflow = Airflow()
    org.core.faults.add("composite.calls", Answer(lambda: Response(body, media_type="application/json"), 2))

    async def changes() -> None:
        await more_looks(org, 1)
        save(org, Name="new")
        await until(lambda: bool(airflow.events))

    run(lambda: while_running(airflow, watch(), do=changes))


def test_without_airflow_s_state_store_nothing_is_announced_until_it_is_back(org: LocalOrg) -> None:
    airflow = Airflow(store_errors=20)

    async def changes() -> None:
        await until(lambda: airflow.store_errors < 0)
        await more_looks(org, 1)
        save(org, Name="new")
        await until(lambda: bool(airflow.events))

    run(lambda: while_running(airflow, watch(), do=changes))


@pytest.mark.parametrize(
    "spoilt", ["yesterday", 7, {}, {"since": "yesterday"}, {"since": None}, {"since": "2026-01-01"}]
)
def test_a_state_that_somebody_spoilt_is_waited_for_until_it_is_corrected(spoilt: Any, org: LocalOrg) -> None:
    airflow = Airflow(states={("accounts", KEY): spoilt})

    async def changes() -> None:
        await until(lambda: airflow.reads > 2)
        assert not looks(org)
        airflow.states["accounts", KEY] = {"since": "2026-01-01T00:00:00Z"}
        save(org, Name="new")
        await until(lambda: bool(airflow.events))

    run(lambda: while_running(airflow, watch(), do=changes))
    assert airflow.events[0]["since"] == "2026-01-01T00:00:00.000Z"


def test_a_watch_that_is_set_back_announces_that_time_again(org: LocalOrg) -> None:
    airflow = Airflow()

    async def changes() -> None:
        await more_looks(org, 1)
        save(org, Name="new")
        await until(lambda: "until" not in airflow.states.get(("accounts", KEY), {"until": 1}) and bool(airflow.events))
        airflow.states["accounts", KEY] = {"since": "2026-01-01T00:00:00.000Z"}
        save(org, Name="newer")
        await until(lambda: len(airflow.events) == 2)

    run(lambda: while_running(airflow, watch(), do=changes))
    assert airflow.events[1]["since"] == "2026-01-01T00:00:00.000Z"


# --- what may die -----------------------------------------------------------------------------------------------------


@settings(
    max_examples=examples(1),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate],
)
@example(deaths=[(1, True), (3, False)], assets=("accounts", "customers"))
@given(
    deaths=st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=3),
    assets=st.sampled_from([("accounts",), ("accounts", "customers")]),
)
def test_whenever_a_triggerer_dies_every_change_is_in_one_window_and_an_event_that_comes_again_is_the_same(
    deaths: list[tuple[int, bool]], assets: tuple[str, ...], org: LocalOrg
) -> None:
    airflow = Airflow(assets=assets)
    changed: list[str] = []

    def announced() -> int:
        """Count the events, each once, that speak of the record that was changed last."""
        return sum(since <= changed[-1] < end for since, end in set(windows(airflow)))

    async def changes() -> None:
        for _ in range(2):
            record = save(org, Name="new")
            (stamp,) = (row["SystemModstamp"] for row in org.records("Account") if row["Id"] == record)
            changed.append(stamp.replace("+0000", "Z"))
            await until(lambda: announced() > 0)

    async def test() -> None:
        begun = asyncio.create_task(airflow.run(watch()))
        await until(lambda: bool(airflow.states))
        begun.cancel()
        await asyncio.wait([begun])
        for death in [*deaths, None]:
            airflow.steps, (airflow.dies_at, airflow.after) = 0, death or (None, False)
            await while_running(airflow, watch(), do=changes)

    run(test)
    seen = sorted(set(windows(airflow)))
    assert all(first[1] == second[0] for first, second in pairwise(seen)), "windows overlap or have gaps"
    for stamp in changed:
        assert sum(since <= stamp < end for since, end in seen) == 1
    again = [window for window, times in Counter(windows(airflow)).items() if times > 1]
    assert len(again) <= sum(1 for _ in deaths)


# --- what it may be given ---------------------------------------------------------------------------------------------

WRONG: list[dict[str, Any]] = [
    {"sobject": "Account; DROP"},
    {"sobject": ""},
    {"sobject": None},
    {"conn_id": ""},
    {"conn_id": 7},
    {"field": "Owner.LastModifiedDate"},
    {"field": "SystemModstamp >= 1"},
    {"every": 0},
    {"every": "300"},
    {"every": timedelta(seconds=-1)},
    {"lag": -1},
    {"lag": float("nan")},
    {"include_deleted": "yes"},
    {"initial": "yesterday"},
    {"initial": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is what is wrong with it
    {"api_version": 66.0},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_argument_is_refused_in_the_dag_file_and_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match=next(iter(wrong))):
        SalesforceChangeTrigger(**{"sobject": "Account", **wrong})


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_in_a_triggerer_a_wrong_argument_is_an_error_that_it_survives(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        SalesforceChangeTrigger(**{"sobject": "Account", **wrong})


def test_looks_are_not_too_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(SourceError, match="every must be 10 seconds or more"):
        SalesforceChangeTrigger("Account", every=5)


def test_it_is_stored_in_this_form() -> None:
    trigger = SalesforceChangeTrigger(
        "Account", "other_org", "LastModifiedDate", timedelta(minutes=1), lag=7, include_deleted=True,
        initial=datetime.fromisoformat("2026-01-01T01:00:00+01:00"), api_version="60.0",
    )  # fmt: skip
    path, kwargs = trigger.serialize()
    assert path == "airflow_provider_sfbulk.triggers.change.SalesforceChangeTrigger"
    assert kwargs == {
        "sobject": "Account",
        "conn_id": "other_org",
        "field": "LastModifiedDate",
        "every": 60.0,
        "lag": 7.0,
        "include_deleted": True,
        "initial": "2026-01-01T00:00:00.000Z",
        "api_version": "60.0",
    }
    again = SalesforceChangeTrigger(**json.loads(json.dumps(kwargs)))
    assert BaseEventTrigger.hash(*again.serialize()) == BaseEventTrigger.hash(path, kwargs)
    assert AssetWatcher(name="accounts", trigger=again)


def test_without_shared_streams_it_fires_the_same_events(org: LocalOrg) -> None:
    async def test() -> list[Any]:
        trigger = watch(initial="2026-01-01T00:00:00Z")
        events = aiter(trigger.run())
        save(org, Name="new")
        first = await anext(events)
        save(org, Name="newer")
        second = await anext(events)
        await events.aclose()  # type: ignore[attr-defined]
        return [first.payload, second.payload]

    first, second = run(test)
    assert first["until"] == second["since"]
