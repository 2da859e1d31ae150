"""The ledger over a store that behaves as Airflow 3.3.2's does, fencing included."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import FencedError, InputChangedError, LedgerError
from airflow_provider_sfbulk.ledger import BLOCK_ENTRIES, TaskLedger

PLAN = {"sobject": "Account", "operation": "insert", "source": [{"name": "a.csv", "bytes": 5}]}


class TaskStates:
    """What the API server keeps for one task, and which try may write."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.current = 0

    def start_try(self) -> Store:
        self.current += 1
        return Store(self, self.current)


class Store:
    """One try's view: once replaced, its ``set`` is refused with 404 and its ``get`` silently answers None."""

    def __init__(self, states: TaskStates, number: int) -> None:
        self.states, self.number = states, number
        self.down = False

    def get(self, key: str) -> Any:
        if self.down:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500}))
        if self.number != self.states.current:
            return None
        return copy.deepcopy(self.states.values.get(key))

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        assert retention is not None, "a site's default retention may be too short"
        if self.down:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500}))
        if self.number != self.states.current:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404}))
        self.states.values[key] = copy.deepcopy(value)


def new_try(states: TaskStates, plan: dict[str, Any] | None = PLAN) -> TaskLedger:
    ledger = TaskLedger(states.start_try(), try_number=states.current)
    if plan is not None:
        ledger.begin(plan)
    return ledger


def entry(job_id: str) -> dict[str, Any]:
    return {"job_id": job_id, "records": 2, "length": 30, "sha256": "ab"}


def test_a_new_try_finds_what_an_earlier_one_recorded() -> None:
    states = TaskStates()
    new_try(states).record("0.0", entry("A"))
    assert new_try(states).recall("0.0") == entry("A")


def test_a_new_try_may_put_another_job_in_the_place_of_an_earlier_one() -> None:
    states = TaskStates()
    new_try(states).record("0.0", entry("A"))
    assert new_try(states).record("0.0", entry("B")) == entry("B")
    assert new_try(states).recall("0.0") == entry("B")


def test_an_earlier_try_that_writes_late_does_not_come_back() -> None:
    states = TaskStates()
    new_try(states)
    new_try(states)
    third = new_try(states)
    third.record("0.0", entry("C"))
    third.record("end.0", {"parts": 1, "records": 2})
    states.values["sfbulk.t2.0.0"] = {"0.0": entry("B")}
    assert new_try(states).recall("0.0") == entry("C")


def test_the_highest_earlier_try_wins() -> None:
    states = TaskStates()
    first = new_try(states)
    second = new_try(states)
    second.record("0.0", entry("B"))
    # the frozen first try's write lands late, under its own key
    states.values["sfbulk.t1.0.0"] = {"0.0": entry("A")}
    assert first is not second
    assert new_try(states).recall("0.0") == entry("B")


def test_a_replaced_try_is_fenced_when_it_records() -> None:
    states = TaskStates()
    old = new_try(states)
    new_try(states)
    with pytest.raises(FencedError, match="replaced by a newer one"):
        old.record("0.0", entry("A"))


def test_a_try_that_is_replaced_while_it_reads_does_not_act_on_the_older_half() -> None:
    """Found by the simulator: it had read the first try's entries, then None where the second try's were, and closed."""
    states = TaskStates()
    new_try(states).record("0.0", entry("A"))
    second = new_try(states)
    second.record("0.0", entry("B"))
    second.record("end.0", {"parts": 1, "records": 2})
    third = new_try(states)
    real_get = Store.get

    def replaced_before_the_second(self: Store, key: str, default: Any = None) -> Any:
        if key == "sfbulk.t2.0.0":
            self.states.current += 1
        return real_get(self, key)

    third._store.get = replaced_before_the_second.__get__(third._store)  # type: ignore[attr-defined, method-assign]
    with pytest.raises(FencedError):
        third.recall("0.0")


def test_a_write_that_vanishes_is_fenced_by_the_read_back() -> None:
    states = TaskStates()
    ledger = new_try(states)
    real_set = Store.set

    def lose(self: Store, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        real_set(self, key, value, retention=retention)
        self.states.current += 1

    ledger._store.set = lose.__get__(ledger._store)  # type: ignore[attr-defined, method-assign]
    with pytest.raises(FencedError):
        ledger.record("0.0", entry("A"))


def test_a_store_that_is_down_is_an_error_of_its_own() -> None:
    states = TaskStates()
    ledger = new_try(states)
    ledger._store.down = True  # type: ignore[attr-defined]
    with pytest.raises(LedgerError, match="task state store could not be") as caught:
        ledger.record("0.0", entry("A"))
    assert not isinstance(caught.value, FencedError)


def test_after_the_decision_a_changed_plan_is_refused_by_name() -> None:
    states = TaskStates()
    ledger = new_try(states)
    ledger.record("0.0", entry("A"))
    ledger.record("end.0", {"parts": 1, "records": 2})
    with pytest.raises(InputChangedError, match="sobject"):
        new_try(states, {**PLAN, "sobject": "Contact"})


def test_before_the_decision_a_changed_plan_begins_a_new_load_and_names_the_old_jobs() -> None:
    states = TaskStates()
    ledger = new_try(states)
    ledger.record("0.0", entry("A"))
    ledger.record(f"0.{BLOCK_ENTRIES}", entry("B"))
    second = TaskLedger(states.start_try(), try_number=states.current)
    assert second.begin({**PLAN, "sobject": "Contact"}) == ["A", "B"]
    assert second.recall("0.0") is None


def test_a_query_starts_over_after_a_clear_and_names_the_old_jobs() -> None:
    states = TaskStates()
    new_try(states).record("0.0", entry("A"))
    retry = TaskLedger(states.start_try(), try_number=states.current)
    assert retry.begin(PLAN, restart_after_clear=True) == []
    second = TaskLedger(states.start_try(), try_number=states.current, max_tries=4)
    assert second.begin(PLAN, restart_after_clear=True) == ["A"]
    assert second.recall("0.0") is None


def test_after_a_success_the_next_start_begins_a_new_load() -> None:
    states = TaskStates()
    ledger = new_try(states)
    ledger.record("0.0", entry("A"))
    ledger.record("end.0", {"parts": 1, "records": 2})
    ledger.finish()
    again = new_try(states, {**PLAN, "sobject": "Contact"})
    assert not again.is_resumed
    assert again.recall("0.0") is None


def test_a_retry_after_a_success_goes_on_with_the_finished_load_and_a_clear_begins_a_new_one() -> None:
    states = TaskStates()
    first = TaskLedger(states.start_try(), try_number=1, max_tries=2)
    first.begin(PLAN)
    first.record("0.0", entry("A"))
    first.record("end.0", {"parts": 1, "records": 2})
    first.finish()
    retry = TaskLedger(states.start_try(), try_number=2, max_tries=2)
    retry.begin(PLAN)
    assert retry.is_resumed
    assert retry.recall("0.0") == entry("A")
    retry.finish()
    cleared = TaskLedger(states.start_try(), try_number=3, max_tries=4)
    cleared.begin(PLAN)
    assert not cleared.is_resumed
    assert cleared.recall("0.0") is None


def test_a_load_that_was_given_up_is_not_taken_up_again() -> None:
    states = TaskStates()
    first = new_try(states)
    first.record("0.0", entry("A"))
    first.record("given_up", {})
    assert new_try(states).recall("0.0") is None


def test_a_resumed_deferral_goes_on_with_its_own_entries() -> None:
    states = TaskStates()
    ledger = new_try(states)
    ledger.record("0.0", entry("A"))
    ledger.record("end.0", {"parts": 1, "records": 2})
    resumed = TaskLedger(Store(states, 1), try_number=1)
    resumed.resume()
    assert resumed.is_resumed
    assert resumed.recall("0.0") == entry("A")


def test_resuming_a_try_that_recorded_nothing_is_an_error() -> None:
    states = TaskStates()
    with pytest.raises(LedgerError, match="nothing is recorded"):
        TaskLedger(states.start_try(), try_number=1).resume()


@given(parts=st.integers(min_value=1, max_value=5 * BLOCK_ENTRIES), tries=st.integers(min_value=1, max_value=4))
def test_thousands_of_parts_fit_in_values_under_64_kib(parts: int, tries: int) -> None:
    import json

    states = TaskStates()
    for number in range(tries):
        ledger = new_try(states)
        for part in range(number, parts, 7):
            job_id = f"750{part:015d}"
            ledger.record(f"0.{part}", {"job_id": job_id, "records": 150_000_000, "length": 10**8, "sha256": "f" * 64})
    assert all(len(json.dumps(value)) < 64 * 1024 for value in states.values.values())
