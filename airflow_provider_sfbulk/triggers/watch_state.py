"""How far a watch has come, in the state store of its assets."""

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
    """Where the next window begins; and where it ends, once it is to be announced and until that is stored."""

    since: datetime
    until: datetime | None = None

    def to_dict(self) -> dict[str, str]:
        """Give what is stored."""
        ends = {} if self.until is None else {"until": written(self.until)}
        return {"since": written(self.since), **ends}

    @classmethod
    def from_stored(cls, value: Any, key: str) -> State:
        """Read what was stored.

        :raises SourceError: it is something else; somebody has to correct or delete it
        """
        if not isinstance(value, Mapping) or "since" not in value:
            raise SourceError(
                f"the asset's state {key} is no window of a watch: correct it, or delete it to begin anew"
            )
        until = value.get("until")
        since = moment(value["since"], f"{key}: since")
        return cls(since, None if until is None else moment(until, f"{key}: until"))


@dataclass(frozen=True)
class AssetStates:
    """The stores of the assets that a trigger's events go to.

    Airflow makes one trigger of equal ones in a DAG file, so there may be several assets, which are kept alike. When a kill
    has left them different, the one that is behind counts, and of those the one that knows of an event to be announced: it
    is one that the others know, too.

    :param accessors: none outside of a triggerer. Then what was written lasts as long as this object
    """

    accessors: Sequence[AssetStateStoreAccessor] = ()
    _memory: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, given: AssetStateStoreAccessors | None) -> AssetStates:
        """Take those that Airflow gives a trigger."""
        if given is None:
            return cls()
        # Its public methods are for a single asset or for one that is named, and a trigger does not know any names.
        return cls([*given._by_name.values(), *given._by_uri.values()])

    async def read(self, key: str) -> State | None:
        """Read how far the watch has come; None before its first step."""
        stored = [await each.aget(key) for each in self.accessors] or [self._memory.get(key)]
        states = [State.from_stored(each, key) for each in stored if each is not None]
        return min(states, key=lambda state: (state.since, state.until is None), default=None)

    async def write(self, key: str, state: State) -> State:
        """Keep how far the watch has come, and give it."""
        self._memory[key] = state.to_dict()
        for each in self.accessors:
            await each.aset(key, state.to_dict())  # type: ignore[arg-type]
        return state
