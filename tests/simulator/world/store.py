"""Airflow's task state store with faults, and what fences: as ``tests/provider/task/test_ledger.py`` has it from 3.3.2."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any, Protocol

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.sdk.execution_time.context import NEVER_EXPIRE

GET_FAULTS = ("kill_before", "kill_after", "error", "not_found", "frozen_before", "frozen_after")
SET_FAULTS = (
    "kill_before",
    "kill_after",
    "lost",
    "reply_lost",
    "late",
    "repeated",
    "frozen_before",
    "frozen_within",
    "frozen_after",
)


class Killed(BaseException):
    """The try's process is gone."""


class Faults(Protocol):
    """What the scheduler offers to the store."""

    def fault(self, effect: str, kinds: tuple[str, ...], number: int) -> str | None:
        """Choose a fault, or none."""

    def freeze(self, number: int) -> None:
        """Let the try stand still while it is replaced and its successor runs on."""

    def later(self, label: str, act: Any) -> None:
        """Do something at some later step."""


class Values:
    """What the API server keeps for one task, and which try may write."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.kept: dict[str, Any] = {}
        """How long, by key."""
        self.current = 0

    def expire(self) -> None:
        """Drop what is to be kept for some time only: that is over."""
        for key, retention in self.kept.items():
            if retention is not NEVER_EXPIRE:
                self.values.pop(key, None)

    def clear(self) -> None:
        """Drop all."""
        self.values.clear()


class Store:
    """One try's view: once replaced, its ``set`` is refused with 404 and its ``get`` silently answers None."""

    def __init__(self, states: Values, number: int, faults: Faults) -> None:
        self._states, self._number, self._faults = states, number, faults
        self._struck: set[str] = set()

    def get(self, key: str) -> Any:
        """Read, unless the fates are against it."""
        fault = self._begin("get", GET_FAULTS)
        if fault == "error":
            raise failed(500)
        value = copy.deepcopy(self._states.values.get(key)) if self._number == self._states.current else None
        if (
            fault == "not_found" and key not in self._struck
        ):  # a proxy's 404, which the task SDK takes for "no such key"
            self._struck.add(key)
            value = None
        self._end(fault)
        return value

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        """Write, unless the fates are against it."""
        assert retention is not None, "a site's default retention may be too short"
        fault = self._begin("set", SET_FAULTS)
        if self._number != self._states.current:
            raise failed(404)
        kept = copy.deepcopy(value)
        self._states.kept[key] = retention
        before = self._states.values.get(key, value)
        if before != value:
            raise AssertionError(f"{key} is written anew")
        if fault == "frozen_within":  # the server has looked at the id, and a newer try begins before it commits
            self._faults.freeze(self._number)
        # The task SDK gives a reply up after five seconds and sends the write again; the first one comes late.
        if fault in ("late", "repeated"):  # the server has looked at the id; it commits when it comes to it
            self._faults.later(f"write {key}", lambda: self._states.values.update({key: kept}))
        if fault not in ("late", "lost"):
            self._states.values[key] = kept
        self._end(fault)
        if fault in ("late", "lost", "reply_lost"):
            raise failed(500)

    def _begin(self, effect: str, kinds: tuple[str, ...]) -> str | None:
        fault = self._faults.fault(effect, kinds, self._number)
        if fault == "kill_before":
            raise Killed
        if fault == "frozen_before":
            self._faults.freeze(self._number)
        return fault

    def _end(self, fault: str | None) -> None:
        if fault == "kill_after":
            raise Killed
        if fault == "frozen_after":
            self._faults.freeze(self._number)


def failed(status: int) -> AirflowRuntimeError:
    """Make the task SDK's error for a reply of the API server."""
    return AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": status}))
