"""Starts DAGs when a Salesforce object has changed: the trigger of an asset's watcher.

The theory:

* A *window* is half open, like that of an extract: records stamped at ``since`` or later, and before ``until``. Windows
  follow each other, and an event is fired for each with at least one record. A window without records stays open until it
  has some, so that a record that becomes visible late is still found.
* ``until`` is ``lag`` before the present by the org's clock, for the reason given in ``operators/incremental.py``.
* The asset's state store keeps where the next window begins and, from before a window's event is fired until Airflow has
  stored that event, where it ends. So no window is lost, whatever dies in between, and an event that is fired again is
  the same event.
* Only a shared stream of Airflow's in ack mode tells that an event is stored (``airflow.triggers.shared_stream``). Each
  trigger has its own stream; the triggers of an org share the watcher (``triggers/watcher.py``).

Airflow recreates triggers from their stored arguments, and the triggerer survives only a ``TypeError`` while it does so
(seen with 3.3.2). So a wrong argument raises an error that is a ``TypeError`` as well as a ``SourceError``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from airflow_provider_sfbulk.client.arguments import Check, Seconds, api_name, field_name, flag, optional, seconds, text
from airflow_provider_sfbulk.client.errors import SfBulkError, SourceError
from airflow_provider_sfbulk.client.settings import checked_version
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.task.asset_state import asset_key, lag_seconds, moment, written
from airflow_provider_sfbulk.triggers.watch_state import AssetStates, State
from airflow_provider_sfbulk.triggers.watcher import Watch, Watcher, watcher_of

T = TypeVar("T")

SHORTEST_SECONDS: Final = 10.0
"""Seconds between two checks of an object."""

PAUSE_SECONDS: Final = 60.0
LONGEST_PAUSE_SECONDS: Final = 60 * 60.0
"""First and longest pause after an error that does not pass by itself: a refused login, a missing object. The pauses grow,
since a few wrong passwords lock a user out."""

STORE_PAUSE_SECONDS: Final = 10.0
"""Pause after an error of Airflow's state store."""


class TriggerArgumentError(SourceError, TypeError):
    """An argument of the trigger is wrong."""


class SalesforceChangeTrigger(BaseEventTrigger):
    """Fires each time an object has new changes: the trigger of an ``AssetWatcher``.

    An event's payload is ``{"sobject", "field", "since", "until", "include_deleted"}`` with two points in time in UTC, such
    as ``2026-01-31T00:00:00.000Z``: there are records whose ``field`` is at ``since`` or later, and before ``until``. The
    windows of a watch follow each other. An event that is fired twice, because the triggerer was killed while Airflow
    stored it, is the same both times. ``Incremental(by="asset_event")`` reads exactly the windows of a run's events.

    Up to five objects of a connection that are due together are checked with one API call.

    :param sobject: the object, by its API name
    :param conn_id: the connection to sign in with
    :param field: a datetime that every change sets; for objects without ``SystemModstamp`` another one, such as
        ``CreatedDate`` of a history object
    :param every: time between two checks, in seconds or as a timedelta, at least 10 seconds
    :param lag: how long before the org's present a window ends, in seconds or as a timedelta, at most a year: the longest
        time that a transaction may take from the stamp to the commit
    :param include_deleted: whether deletions are changes, too, as long as the records are in the recycle bin
    :param initial: where the first window begins, with a timezone; None for the start of the watch
    :param api_version: instead of the connection's, such as ``66.0``
    :raises SourceError: an argument is wrong
    """

    def __init__(
        self,
        sobject: str,
        conn_id: str = SalesforceBulkHook.default_conn_name,
        field: str = "SystemModstamp",
        every: Seconds = 300.0,
        *,
        lag: Seconds = 300.0,
        include_deleted: bool = False,
        initial: datetime | str | None = None,
        api_version: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sobject: str = _checked(api_name, "sobject", sobject)
        self.conn_id: str = _checked(text, "conn_id", conn_id)
        self.field: str = _checked(_own_field, "field", field)
        self.every: float = _checked(_every, "every", every)
        self.lag: float = _checked(lag_seconds, "lag", lag)
        self.include_deleted: bool = _checked(flag, "include_deleted", include_deleted)
        begin = _checked(lambda name, value: None if value is None else moment(value, name), "initial", initial)
        self.initial: str | None = None if begin is None else written(begin)
        self.api_version: str | None = _checked(optional(_version), "api_version", api_version)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores and distinguishes triggers by."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "sobject": self.sobject,
                "conn_id": self.conn_id,
                "field": self.field,
                "every": self.every,
                "lag": self.lag,
                "include_deleted": self.include_deleted,
                "initial": self.initial,
                "api_version": self.api_version,
            },
        )

    # --- how Airflow runs it ---

    def shared_stream_key(self) -> Hashable | None:
        """Give each trigger its own stream, since only streams report what became of their events."""
        return type(self).__qualname__, id(self) if self.trigger_id is None else self.trigger_id

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Make the stream, which watches and is told which events are stored."""
        return Announcements(cls(**kwargs))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Fire an event for each window. The stream gets the asset's state store, which Airflow gives only to triggers."""
        async for raw in shared_stream:
            if isinstance(raw, Announcements):
                raw.states.set_result(AssetStates.of(self.asset_state_store))
            else:
                yield TriggerEvent(raw)  # type: ignore[no-untyped-call]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire an event for each window without shared streams: an event counts as stored once it is handed over."""
        async with aclosing(self.windows(AssetStates.of(self.asset_state_store))) as windows:
            async for window in windows:
                yield TriggerEvent(window)  # type: ignore[no-untyped-call]

    # --- the watch ---

    async def windows(self, states: AssetStates) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the payload of one window after the other. Resuming it means that the last event is stored."""
        key = self._key
        pause = PAUSE_SECONDS
        while True:
            try:
                async with watcher_of(self.conn_id, self.api_version) as watcher:
                    soon = True
                    while True:
                        state = await self._next(states, key, watcher, soon=soon)
                        yield self._payload(state)
                        await self._surely(partial(states.write, key, State(state.until or state.since)))
                        pause, soon = PAUSE_SECONDS, False
            except SfBulkError as error:
                self.log.warning("a check of %s failed and is repeated in %g s: %s", self.sobject, pause, error)
            except Exception:
                self.log.exception("%s is checked again in %g s", self.sobject, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _next(self, states: AssetStates, key: str, watcher: Watcher, *, soon: bool) -> State:
        """Find the next window to announce, and store it."""
        watch = Watch(self.sobject, self.field, self.include_deleted, self.every, timedelta(seconds=self.lag))
        while True:
            state = await self._surely(partial(states.read, key))
            if state is None:
                begin = (
                    await watcher.org_time() - watch.lag if self.initial is None else moment(self.initial, "initial")
                )
                state = await self._surely(partial(states.write, key, State(begin)))
            if state.until is not None:
                # A kill may have kept it from some of the assets, which would resume from its start with another end.
                return await self._surely(partial(states.write, key, state))
            until = await watcher.wait_for_change(watch, state.since, soon=soon)
            soon = False
            # Meanwhile somebody may have set it back, or this watch with its old arguments has announced the window.
            if await self._surely(partial(states.read, key)) == state:
                return await self._surely(partial(states.write, key, State(state.since, until)))

    async def _surely(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Use Airflow's state store, which may be unavailable for a while: nothing may be announced without it."""
        while True:
            try:
                return await attempt()
            except SfBulkError:
                raise
            except Exception as error:
                said = type(error).__name__
                self.log.warning("the watch of %s waits for Airflow's asset state store (%s)", self.sobject, said)
            await asyncio.sleep(STORE_PAUSE_SECONDS)

    @property
    def _key(self) -> str:
        kind = "sfbulk.watch_deleted" if self.include_deleted else "sfbulk.watch"
        return asset_key(kind, self.sobject, self.field, self.conn_id)

    def _payload(self, state: State) -> dict[str, Any]:
        return {
            "sobject": self.sobject,
            "field": self.field,
            **state.to_dict(),
            "include_deleted": self.include_deleted,
        }


class Announcements(SharedStreamProducer):
    """The windows of one watch as a stream, which continues when Airflow has stored a window's event.

    Its first element is the stream itself: the reader sets ``states``.
    """

    def __init__(self, trigger: SalesforceChangeTrigger) -> None:
        self.states: asyncio.Future[AssetStates] = asyncio.get_running_loop().create_future()
        self._trigger = trigger
        self._stored: asyncio.Future[bool] | None = None

    async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
        """Yield the windows, each marked as one."""
        yield self, False
        async with aclosing(self._trigger.windows(await self.states)) as windows:
            async for window in windows:
                self._stored = asyncio.get_running_loop().create_future()
                yield window, True
                if not await self._stored:
                    # The stream ends with this error, and Airflow starts another one, which fires the same event again.
                    raise EventNotStoredError(
                        f"Airflow has not stored the event of a change of {self._trigger.sobject}"
                    )

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Receive what became of the events."""
        for is_window, outcome in batch:
            if is_window and self._stored is not None and not self._stored.done():
                self._stored.set_result(outcome.is_clean)


class EventNotStoredError(RuntimeError):
    """Airflow did not store an event in time."""


def _checked(check: Check, name: str, value: Any) -> Any:
    try:
        return check(name, value)
    except SourceError as error:
        raise TriggerArgumentError(str(error)) from error


def _own_field(name: str, value: Any) -> str:
    found = field_name(name, value)
    if "." in found:
        raise SourceError(f"{name} is a datetime of the object itself, not {value!r:.40} of another one")
    return found


def _version(name: str, value: Any) -> str:
    checked_version(found := text(name, value))
    return found  # as it was given: Airflow distinguishes triggers by it


def _every(name: str, value: Any) -> float:
    found: float = seconds()(name, value)
    if found < SHORTEST_SECONDS:
        raise SourceError(
            f"{name} must be {SHORTEST_SECONDS:g} seconds or more, not {found:g}: each check is an API call"
        )
    return found
