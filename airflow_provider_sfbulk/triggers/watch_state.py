"""The progress of a watch, in the state store of its assets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.task.asset_state import moment, written

if TYPE_CHECKING:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor, AssetStateStoreAccessors


@dataclass(frozen=True)
class State:
    """Where the next window begins; and where it ends, from its announcement until that is stored."""

    since: datetime
    until: datetime | None = None

    def to_dict(self) -> dict[str, str]:
        """Return what is stored."""
        ends = {} if self.until is None else {"until": written(self.until)}
        return {"since": written(self.since), **ends}

    @classmethod
    def from_stored(cls, value: Any, key: str) -> State:
        """Read what was stored.

        :raises SourceError: it is something else; somebody has to correct or delete it
        """
        if not isinstance(value, Mapping) or "since" not in value:
            raise SourceError(
                f"the asset's state {key} is not a window of a watch: correct it, or delete it to start over"
            )
        until = value.get("until")
        since = moment(value["since"], f"{key}: since")
        return cls(since, None if until is None else moment(until, f"{key}: until"))


@dataclass(frozen=True)
class AssetStates:
    """The stores of the assets that a trigger's events go to.

    Airflow merges equal triggers in a DAG file into one, so there may be several assets, whose states are kept equal. When
    a kill has left them different, the earliest counts, and among those one with an event to be announced, which the
    others know, too.

    :param accessors: empty outside of a triggerer; then what is written lasts as long as this object
    """

    accessors: Sequence[AssetStateStoreAccessor] = ()
    _memory: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, given: AssetStateStoreAccessors | None) -> AssetStates:
        """Use the stores that Airflow gives a trigger."""
        if given is None:
            return cls()
        # Its public methods are for a single asset or a named one, and a trigger knows no names (Airflow 3.3).
        return cls([*given._by_name.values(), *given._by_uri.values()])

    async def read(self, key: str) -> State | None:
        """Read the progress of the watch; None before its first step."""
        stored = [await each.aget(key) for each in self.accessors] or [self._memory.get(key)]
        states = [State.from_stored(each, key) for each in stored if each is not None]
        return min(states, key=lambda state: (state.since, state.until is None), default=None)

    async def write(self, key: str, state: State) -> State:
        """Store the progress of the watch, and return it."""
        self._memory[key] = state.to_dict()
        for each in self.accessors:
            await each.aset(key, state.to_dict())  # type: ignore[arg-type]
        return state
