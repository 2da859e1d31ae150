"""The ledger over a store that behaves as Airflow 3.3.2's does, fencing included."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.sdk.execution_time.context import NEVER_EXPIRE
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import FencedError, InputChangedError, LedgerError
from airflow_provider_sfbulk.task.ledger import FAILED, SUCCESS, TaskLedger, check_plan
from airflow_provider_sfbulk.task.old_ledger import plan_digest

PLAN = {"sobject": "Account", "operation": "insert", "source": "lake/*.csv"}
END: dict[str, Any] = {"plan": PLAN, "parts": 1, "records": 2, "jobs": [["A", 2, 30, "ab"]]}


def failed(status: int) -> AirflowRuntimeError:
    return AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": status}))


class TaskStates:
    """What the API server keeps for one task, and which try may write."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.kept_for: dict[str, Any] = {}
        self.current = 0

    def start_try(self) -> Store:
        self.current += 1
        return Store(self, self.current)


class Store:
    """One try's view: once replaced, its ``set`` is refused with 404 and its ``get`` silently answers None."""

    def __init__(self, states: TaskStates, number: int) -> None:
        self.states, self.number = states, number
        self.down = False
        self.calls = 0
        self.before_get: Callable[[str], bool] = lambda key: False

    def get(self, key: str) -> Any:
        self.calls += 1
        if self.down:
            raise failed(500)
        if self.before_get(key) or self.number != self.states.current:
            return None
        return copy.deepcopy(self.states.values.get(key))

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self.calls += 1
        assert retention is not None, "a site's default retention may be too short"
        if self.down:
            raise failed(500)
        if self.number != self.states.current:
            raise failed(404)
        assert self.states.values.setdefault(key, value) == value, f"{key} is written anew"
        self.states.kept_for[key] = retention
        self.states.values[key] = copy.deepcopy(value)


def new_try(states: TaskStates, *, clears: int | None = 0) -> TaskLedger:
    ledger = TaskLedger(states.start_try(), try_number=states.current, clears=clears)  # type: ignore[arg-type]
    ledger.begin_load()
    return ledger


def take(states: TaskStates, state: str) -> None:
    """Airflow has taken the end of the newest try, and its listener runs."""
    TaskLedger(Store(states, states.current), try_number=states.current).take(state)


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


def test_the_highest_earlier_try_wins_also_when_an_earlier_one_writes_late() -> None:
    states = TaskStates()
    new_try(states)
    new_try(states).record("0.0", entry("B"))
    states.values["sfbulk.try1.0.0"] = entry("A")
    assert new_try(states).recall("0.0") == entry("B")


def test_a_replaced_try_is_fenced_when_it_records() -> None:
    states = TaskStates()
    old = new_try(states)
    new_try(states)
    with pytest.raises(FencedError, match="replaced by a newer one"):
        old.record("0.0", entry("A"))


def test_a_key_is_written_once() -> None:
    ledger = new_try(TaskStates())
    ledger.record("end.0", END)
    ledger.record("end.0", END)
    with pytest.raises(LedgerError, match="written once"):
        ledger.record("end.0", {**END, "parts": 2})


@pytest.mark.parametrize("key", ["load", "end.0", "done", "taken", "given_up"])
def test_one_wrong_404_on_a_read_makes_nothing_begin_anew(key: str) -> None:
    """The task SDK takes any 404 with JSON for "there is no such key", also one of a proxy."""
    states = TaskStates()
    first = new_try(states)
    first.record("end.0", END)
    first.finish({"successful": 2})
    store = states.start_try()
    struck: list[str] = []

    def answered(asked: str) -> bool:
        hit = asked == f"sfbulk.try1.{key}" and not struck
        struck.extend([asked] if hit else [])
        return hit

    store.before_get = answered
    second = TaskLedger(store, try_number=2)  # type: ignore[arg-type]
    second.begin_load()
    assert second.decision == END
    assert second.done == {"result": {"successful": 2}}
    assert struck


def test_a_try_that_is_replaced_while_it_reads_does_not_begin_anew() -> None:
    states = TaskStates()
    new_try(states).record("end.0", END)
    store = states.start_try()

    def replaced(key: str) -> bool:
        states.current += key == "sfbulk.try1.load"
        return False

    store.before_get = replaced
    with pytest.raises(FencedError):
        TaskLedger(store, try_number=2).begin_load()  # type: ignore[arg-type]


def test_a_write_that_vanishes_is_fenced_by_the_read_back() -> None:
    states = TaskStates()
    ledger = new_try(states)
    store: Any = ledger._store

    def replaced(key: str) -> bool:
        states.current += 1
        return False

    store.before_get = replaced
    with pytest.raises(FencedError):
        ledger.record("0.0", entry("A"))


def test_a_store_that_is_down_is_an_error_of_its_own() -> None:
    ledger = new_try(TaskStates())
    ledger._store.down = True  # type: ignore[attr-defined]
    with pytest.raises(LedgerError, match="task state store could not be") as caught:
        ledger.record("0.0", entry("A"))
    assert not isinstance(caught.value, FencedError)


def test_a_backend_of_the_site_that_has_lost_a_value_is_an_error_and_nothing_begins_anew() -> None:
    """``[workers] state_store_backend``: with ``clear_on_success`` its values go before Airflow has taken the success."""
    states = TaskStates()
    new_try(states).record("end.0", END)
    store = states.start_try()

    def gone(key: str) -> bool:
        if key.startswith("sfbulk.try1."):
            raise FileNotFoundError("s3://states/1")
        return False

    store.before_get = gone
    with pytest.raises(FileNotFoundError):
        TaskLedger(store, try_number=2).begin_load()  # type: ignore[arg-type]


# --- what follows a try ------------------------------------------------------------------------------------------------


def test_after_a_success_that_airflow_took_a_new_load_begins() -> None:
    states = TaskStates()
    first = new_try(states)
    first.record("end.0", END)
    first.finish({"successful": 2})
    take(states, SUCCESS)
    again = new_try(states)
    assert (again.load, again.decision, again.done) == (2, None, None)


@pytest.mark.parametrize("end", [None, FAILED])
@pytest.mark.parametrize("clears", [None, 0, 1])
def test_a_success_that_airflow_did_not_take_is_returned_once_more(end: str | None, clears: int | None) -> None:
    """Red for Airflow and done for the ledger: whatever is said of a clear, nothing is sent again."""
    states = TaskStates()
    first = new_try(states)
    first.record("end.0", END)
    first.finish({"successful": 2})
    if end:
        take(states, end)
    second = new_try(states, clears=clears)
    assert second.done == {"result": {"successful": 2}}
    second.finish(second.done["result"])
    take(states, SUCCESS)
    assert new_try(states, clears=clears).done is None, "the next clear is one of a success that was taken"


def test_a_load_that_was_given_up_is_not_taken_up_again() -> None:
    states = TaskStates()
    first = new_try(states)
    first.record("0.0", entry("A"))
    first.record("given_up", {})
    assert new_try(states).recall("0.0") is None


def test_a_giving_up_that_lands_when_a_later_try_has_taken_the_load_up_does_not_count() -> None:
    states = TaskStates()
    new_try(states)
    new_try(states).record("end.0", END)
    states.values["sfbulk.try1.given_up"] = {}
    assert new_try(states).decision == END


@pytest.mark.parametrize(
    ("end", "clears", "asks"), [(FAILED, 0, True), (None, 1, True), (None, 0, False), (None, None, False)]
)
def test_all_failed_records_go_again_when_a_person_has_cleared(end: str | None, clears: int | None, asks: bool) -> None:
    states = TaskStates()
    first = new_try(states)
    first.record("end.0", END)
    first.judge(0)
    assert not first.asks_for_all(0)
    if end:
        take(states, end)
    assert new_try(states, clears=clears).asks_for_all(0) is asks
    assert new_try(states, clears=clears).asks_for_all(0) is asks, "that try was lost: the next one still owes it"
    third = new_try(states, clears=clears)
    third.record("end.1", {**END, "parts": 1})
    assert not third.asks_for_all(1), "they were sent"
    third.judge(1)
    assert not new_try(states, clears=clears).asks_for_all(1), "a retry of the try that has done it"


@pytest.mark.parametrize(("end", "clears", "over"), [(None, 0, False), (FAILED, 0, True), (None, 1, True)])
def test_a_query_goes_on_with_a_retry_and_starts_over_with_a_clear(end: str | None, clears: int, over: bool) -> None:
    states = TaskStates()
    first = TaskLedger(states.start_try(), try_number=1, clears=0)  # type: ignore[arg-type]
    first.begin_query()
    first.record("0.0", {"job_id": "A", "plan": "p"})
    if end:
        take(states, end)
    second = TaskLedger(states.start_try(), try_number=2, clears=clears)  # type: ignore[arg-type]
    assert second.begin_query() == (["A"] if over else [])
    assert (second.recall("0.0") is None) is over


def test_a_query_that_is_done_is_read_anew_whoever_asks() -> None:
    states = TaskStates()
    first = TaskLedger(states.start_try(), try_number=1, clears=0)  # type: ignore[arg-type]
    first.begin_query()
    first.record("0.0", {"job_id": "A", "plan": "p"})
    first.finish()
    second = TaskLedger(states.start_try(), try_number=2, clears=0)  # type: ignore[arg-type]
    assert second.begin_query() == []
    assert second.recall("0.0") is None


def test_a_resumed_deferral_goes_on_with_its_own_entries() -> None:
    states = TaskStates()
    new_try(states).record("end.0", END)
    resumed = TaskLedger(Store(states, 1), try_number=1)  # type: ignore[arg-type]
    resumed.resume()
    assert resumed.decision == END


def test_resuming_a_try_that_recorded_nothing_is_an_error() -> None:
    with pytest.raises(LedgerError, match="nothing is recorded"):
        TaskLedger(TaskStates().start_try(), try_number=1).resume()  # type: ignore[arg-type]


def test_the_end_of_a_try_that_began_nothing_is_not_noted() -> None:
    states = TaskStates()
    states.start_try()
    take(states, FAILED)
    assert states.values == {}


def test_after_the_decision_a_changed_plan_is_refused_by_name() -> None:
    check_plan(END, PLAN, has_verdict=False)
    with pytest.raises(InputChangedError, match="sobject"):
        check_plan(END, {**PLAN, "sobject": "Contact"}, has_verdict=False)
    with pytest.raises(InputChangedError, match="api"):
        check_plan(END, {**PLAN, "api": "1.0"}, has_verdict=True)


# --- sizes -------------------------------------------------------------------------------------------------------------


@given(parts=st.integers(min_value=1, max_value=3000))
def test_a_decision_of_thousands_of_parts_lies_in_values_under_64_kib(parts: int) -> None:
    states = TaskStates()
    end = {**END, "parts": parts, "jobs": [[f"750{n:015d}", 150_000_000, 10**8, "f" * 64] for n in range(parts)]}
    new_try(states).record("end.0", end)
    assert all(len(json.dumps(value)) < 64 * 1024 for value in states.values.values())
    second = new_try(states)
    second._store.calls = 0  # type: ignore[attr-defined]
    assert second.decision == end
    assert second._store.calls <= 3 + parts / 300  # type: ignore[attr-defined]


def test_a_first_try_reads_nothing_but_what_it_wrote() -> None:
    states = TaskStates()
    ledger = new_try(states)
    ledger._store.calls = 0  # type: ignore[attr-defined]
    for part in range(100):
        assert ledger.recall(f"0.{part}") is None
        ledger.record(f"0.{part}", entry("A"))
    assert ledger._store.calls == 200  # type: ignore[attr-defined]


def test_what_a_load_knows_never_expires_and_a_query_only_keeps_its_window() -> None:
    states = TaskStates()
    new_try(states).finish({})
    take(states, SUCCESS)
    assert set(states.kept_for.values()) == {NEVER_EXPIRE}
    query = TaskLedger(states.start_try(), try_number=2, retention=timedelta(days=30))  # type: ignore[arg-type]
    query.begin_query()
    query.keep_window({"field": "SystemModstamp"}, {"since": "a", "until": "b"})
    kept = {key: each for key, each in states.kept_for.items() if key.startswith("sfbulk.try2.")}
    assert [key for key, each in kept.items() if each is NEVER_EXPIRE] == [
        f"sfbulk.try2.window.{plan_digest({'field': 'SystemModstamp'})}"
    ]


# --- what version 0.1.0 wrote --------------------------------------------------------------------------------------------


def old_states(**head: Any) -> TaskStates:
    """A first try of version 0.1.0: one value for the load, blocks of entries."""
    states = TaskStates()
    states.current = 1
    plan = {**PLAN, "source": [{"name": "lake/a.csv", "bytes": 5, "tag": "1.5"}]}
    states.values = {
        "sfbulk.t1": {"load": 1, "plan": plan, "max_tries": 1, **head},
        "sfbulk.t1.0.0": {"0.0": entry("A")},
    }
    return states


def test_a_load_that_an_earlier_version_decided_is_gone_on_with() -> None:
    states = old_states(**{"end.0": {"attempt": 1, "part_bytes": 9, "part_records": 9, "parts": 1, "records": 2}})
    decision = new_try(states).decision
    assert decision is not None
    assert (decision["jobs"], decision["files"]) == ([["A", 2, 30, "ab"]], [[0, "lake/a.csv"]])
    check_plan(decision, PLAN, has_verdict=False)
    with pytest.raises(InputChangedError, match="sobject"):
        check_plan(decision, {**PLAN, "sobject": "Contact"}, has_verdict=False)


def test_a_deferred_try_of_an_earlier_version_is_resumed() -> None:
    states = old_states(**{"end.0": {"attempt": 1, "parts": 1, "records": 2}})
    resumed = TaskLedger(Store(states, 1), try_number=1)  # type: ignore[arg-type]
    resumed.resume()
    assert resumed.recorded_jobs() == ["A"]
    resumed.finish({"successful": 2})
    take(states, SUCCESS)
    assert new_try(states).done is None


def test_a_success_of_an_earlier_version_is_returned_once_more_since_nobody_noted_that_it_was_taken() -> None:
    states = old_states(
        **{"end.0": {"attempt": 1, "parts": 1, "records": 2}, "done": {"max_tries": 1, "result": {"n": 1}}}
    )
    assert new_try(states).done == {"max_tries": 1, "result": {"n": 1}}


@pytest.mark.parametrize(("max_tries", "asks"), [(1, False), (3, True), (None, False)])
def test_one_clear_of_a_load_that_failed_with_an_earlier_version_sends_its_failed_records_again(
    max_tries: int | None, asks: bool
) -> None:
    verdict = {"round": 0, "max_tries": 1}
    states = old_states(**{"end.0": {"attempt": 1, "parts": 1, "records": 2}, "verdict": verdict})
    ledger = TaskLedger(states.start_try(), try_number=2, max_tries=max_tries)  # type: ignore[arg-type]
    ledger.begin_load()
    assert ledger.asks_for_all(0) is asks


def test_a_query_of_an_earlier_version_is_gone_on_with_and_its_window_kept() -> None:
    states = TaskStates()
    states.current = 1
    plan, of = {"soql": "SELECT Id FROM Account"}, {"field": "SystemModstamp"}
    states.values = {
        "sfbulk.t1": {"load": 1, "plan": plan, "max_tries": 1},
        "sfbulk.t1.0.0": {"0.0": {"job_id": "A", "header": '"Id"', "batch_id": "B"}},
        "sfbulk.t1.window": {"since": "a", "until": "b", "of": of},
    }
    ledger = TaskLedger(states.start_try(), try_number=2)  # type: ignore[arg-type]
    ledger.begin_query()
    assert ledger.recall("0.0") == {"job_id": "A", "batch_id": "B", "plan": plan_digest(plan)}
    assert ledger.window(of) == {"since": "a", "until": "b"}
    assert ledger.window({"field": "CreatedDate"}) is None


def test_a_process_that_is_told_to_end_knows_its_jobs_without_asking() -> None:
    states = TaskStates()
    states.current = 1
    store = Store(states, 1)
    ledger = TaskLedger(store, try_number=1)  # type: ignore[arg-type]
    ledger.begin_load()
    for part, job_id in enumerate("ABC"):
        ledger.record(f"0.{part}", {"job_id": job_id, "records": 1, "bytes": 9, "sha256": "ab"})
    calls = store.calls
    assert (ledger.recorded_jobs(), store.calls) == (["A", "B", "C"], calls)
    ledger.record("end.0", {"parts": 3, "records": 3, "jobs": [[job_id, 1, 9, "ab"] for job_id in "ABD"]})
    calls = store.calls
    assert (ledger.recorded_jobs(), store.calls) == (["A", "B", "D"], calls)
