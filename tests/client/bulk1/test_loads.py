"""Whole loads by Bulk API 1.0, and what a lost reply does to them: every row once."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.responses import Response

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client import BulkClient, errors
from airflow_provider_sfbulk.client.bulk1 import load as load1
from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls, Bulk1JobSpec
from airflow_provider_sfbulk.client.http.memory_ledger import MemoryLedger
from airflow_provider_sfbulk.client.models import Operation
from airflow_provider_sfbulk.client.parts.split import Part, split
from airflow_provider_sfbulk.client.sources.open import Rules, from_source
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.bulk1 import work
from airflow_provider_sfbulk.local_org.bulk1.jobs import JobState
from airflow_provider_sfbulk.local_org.faults import Exchange
from tests.client.bulk1.conftest import QUICK, LostReply, LostRequest, Once, settings
from tests.client.bulk1.failing import fail_next_batch

_names = itertools.count()


@pytest.fixture
def name() -> str:
    """Begins the names of a test's own records: the org is shared."""
    return f"load{next(_names)}-"


def rows(name: str, number: int = 25) -> list[dict[str, Any]]:
    return [{"Name": f"{name}{n}", "NumberOfEmployees": n} for n in range(number)]


def stored(org: LocalOrg, name: str) -> list[str]:
    org.wait_until_idle()
    # Of all tests' accounts, which are ten thousands.
    found = org.core.store.select("SELECT Name FROM Account WHERE IsDeleted = 0 AND instr(Name, ?) = 1", (name,))
    return sorted(each for (each,) in found)


def names(name: str, number: int = 25) -> list[str]:
    return sorted(f"{name}{n}" for n in range(number))


@pytest.mark.parametrize("mode", ["Parallel", "Serial"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parity("G4.4", "G6.13", "G7.1", "G7.3", "G7.5", "G7.10", "G15.13")
def test_results_come_in_the_order_of_the_records(
    client: BulkClient, org: LocalOrg, name: str, mode: str, compress: bool
) -> None:
    records = rows(name)
    for bad in (3, 17):
        records[bad]["Name"] = ""
    result = client.bulk1.perform(
        "Account", "insert", records, batch_records=10, concurrency_mode=mode, compress=compress, schedule=QUICK
    )
    assert [each.success for each in result] == [n not in (3, 17) for n in range(25)]
    by_id = {each["Id"]: each["Name"] for each in org.records("Account")}
    for record, outcome in zip(records, result, strict=True):
        assert (by_id[outcome.id] if outcome.id else "") == record["Name"]
    assert (len(result), result.successful_count, result.failed_count, result.unprocessed_count) == (25, 23, 2, 0)
    assert not result.is_successful
    assert [each.status_code for each in result.errors] == ["REQUIRED_FIELD_MISSING"] * 2
    assert len(result.job_ids) == 1
    assert [each.processed for each in result.batches] == [10, 10, 5]
    assert [(str(job.concurrency_mode), str(job.state)) for job in result.jobs] == [(mode, "Closed")]


def test_a_mistake_in_the_last_record_leaves_the_org_untouched(client: BulkClient, org: LocalOrg, name: str) -> None:
    records = [*rows(name), {"Name": f"{name}last", "NumberOfEmployees": object()}]
    before = len(org.bulk1_jobs)
    with pytest.raises(errors.SourceError):
        client.bulk1.perform("Account", "insert", records, batch_records=5)
    assert (len(org.bulk1_jobs), stored(org, name)) == (before, [])


@pytest.mark.parity("G13.2", "G13.6", "G13.7", "G13.8", "G14.3", "G16.2")
def test_batches_keep_the_limits(client: BulkClient, org: LocalOrg, name: str) -> None:
    for wrong in ({"batch_bytes": limits.BATCH_CHARACTERS + 1}, {"batch_records": limits.BATCH_RECORDS + 1}):
        with pytest.raises(errors.SourceError, match="batch_"):
            client.bulk1.perform("Account", "insert", rows(name), **wrong)  # type: ignore[arg-type]
    result = client.bulk1.perform("Account", "insert", rows(name, limits.BATCH_RECORDS + 1), schedule=QUICK)
    assert [each.processed for each in result.batches] == [limits.BATCH_RECORDS, 1]
    result = client.bulk1.perform("Account", "insert", rows(name), batch_bytes=200, schedule=QUICK)
    sent = [client.bulk1.request(each.job_id, each.id) for each in result.batches]
    assert [len(each) <= 200 < len(each) + 20 for each in sent] == [True] * (len(sent) - 1) + [len(sent[-1]) > 180]
    with pytest.raises(errors.SourceError, match="no records"):
        client.bulk1.perform("Account", "insert", [])
    with pytest.raises(errors.SourceError, match=f"{limits.FIELD_CHARACTERS:,}"):
        client.bulk1.perform("Account", "insert", [{"Name": "x" * (limits.FIELD_CHARACTERS + 1)}])


@pytest.mark.parity("G5.4", "G12.14")
def test_a_batch_that_fails_as_a_whole_is_told_for_each_of_its_records(
    client: BulkClient, org: LocalOrg, name: str
) -> None:
    parent = client.bulk1.perform("Account", "insert", rows(name, 1), schedule=QUICK)
    (account,) = [each.id for each in parent]
    assert account is not None
    org.hold(account)
    children = [{"LastName": f"{name}{n}", "AccountId": account} for n in range(limits.BATCH_LOCK_FAILURES + 1)]
    result = client.bulk1.perform("Contact", "insert", children, schedule=QUICK, batch_retry=False)
    org.release(account)
    assert (result.unprocessed_count, result.successful_count) == (len(children), 0)
    outcomes = list(result)
    assert not any(each.processed for each in outcomes)
    assert "TooManyLockFailure" in outcomes[0].errors[0].message


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parity("G6.14", "G7.6")
def test_a_batch_that_fails_when_some_records_are_saved_is_asked_for_their_results(
    client: BulkClient, org: LocalOrg, name: str, padded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = '"","false","false","UNKNOWN_EXCEPTION:it stopped:--"\n'
    fail_next_batch(monkeypatch, after=7, results=lambda lines: lines + [rest] * (3 if padded else 0))
    records = rows(name)
    records[2]["Name"] = ""
    result = client.bulk1.perform("Account", "insert", records, batch_records=10, schedule=QUICK)
    outcomes = list(result)
    assert [each.success for each in outcomes] == [n not in (2, 7, 8, 9) for n in range(25)]
    assert stored(org, name) == sorted(
        record["Name"] for record, each in zip(records, outcomes, strict=True) if each.success
    )
    assert [each.processed for each in outcomes[7:10]] == [padded] * 3
    assert {error.status_code for each in outcomes[7:10] for error in each.errors} == {
        "UNKNOWN_EXCEPTION" if padded else "InvalidBatch"
    }


@pytest.mark.parametrize(
    "results",
    [
        lambda _: None,
        lambda lines: lines[:1],
        lambda lines: lines + lines[1:] * 3,
        lambda lines: ["Salesforce\n", "is sorry\n"],
    ],
    ids=["none", "header", "too many", "others"],
)
def test_what_became_of_records_is_unknown_when_a_batch_that_failed_has_no_results(
    client: BulkClient, name: str, results: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_next_batch(monkeypatch, after=4, results=results)
    result = client.bulk1.perform("Account", "insert", rows(name, 10), schedule=QUICK)
    assert {error.status_code for each in result for error in each.errors} == {"BATCH_FAILED_PARTLY"}
    assert all(each.processed for each in result), "they may be in the org"


# --- once ---


@pytest.mark.parametrize("fault", [LostReply, LostRequest])
@pytest.mark.parametrize("route", ["bulk1.create", "bulk1.add_batch", "bulk1.change", "bulk1.get", "bulk1.batches"])
@pytest.mark.parametrize("calls", [pytest.param((1,), marks=pytest.mark.long), (2,), (1, 2)])
def test_every_record_is_there_once_whatever_reply_is_lost(
    client: BulkClient, org: LocalOrg, name: str, route: str, fault: Any, calls: tuple[int, ...]
) -> None:
    org.core.faults.add(route, fault(*calls))
    result = client.bulk1.perform("Account", "insert", rows(name), batch_records=10, schedule=QUICK)
    assert stored(org, name) == names(name)
    assert result.is_successful
    assert [each.success for each in result] == [True] * 25


@pytest.mark.parity("G7.7")
def test_what_a_lost_reply_has_brought_in_is_found_by_reading_it_back(
    client: BulkClient, org: LocalOrg, name: str
) -> None:
    org.core.faults.add("bulk1.add_batch", LostReply(2))
    result = client.bulk1.perform("Account", "insert", rows(name), batch_records=10, compress=False, schedule=QUICK)
    assert len(result.job_ids) == 2
    assert [call.path.rpartition("/")[2] for call in org.calls].count("request") == 1
    assert stored(org, name) == names(name)


def test_batches_of_the_same_records_are_told_apart_by_number(client: BulkClient, org: LocalOrg, name: str) -> None:
    org.core.faults.add("bulk1.add_batch", LostReply(1, 3))
    records = [{"Name": f"{name}same"} for _ in range(40)]
    result = client.bulk1.perform("Account", "insert", records, batch_records=10, schedule=QUICK)
    assert stored(org, name) == [f"{name}same"] * 40
    assert len({each.id for each in result}) == 40


def spec() -> Bulk1JobSpec:
    return Bulk1JobSpec("Account", "insert")


def parts(records: list[dict[str, Any]], size: int = 10) -> Iterator[Part]:
    return split(from_source(records, Rules(operation=Operation.INSERT), name="records"), max_records=size)


class Killed(BaseException):
    """The process is gone."""


class DyingLedger(MemoryLedger):
    """The process dies at one of its writes, before it or after it."""

    def __init__(self, write: int, *, after: bool) -> None:
        super().__init__()
        self.left = write
        self._after = after

    def record(self, key: str, value: Any, /) -> Any:
        self.left -= 1
        if self.left == 0 and not self._after:
            raise Killed
        stands = super().record(key, value)
        if self.left == 0:
            raise Killed
        return stands


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("write", range(1, 8))
def test_a_try_that_dies_is_finished_by_the_next(
    client: BulkClient, org: LocalOrg, name: str, write: int, after: bool
) -> None:
    """The writes: the plan, the decision, the job, three batches. The seventh never comes."""
    ledger = DyingLedger(write, after=after)
    jobs = Bulk1Calls(client.api_version)
    try:
        client.run(load1.load(jobs, spec(), parts(rows(name))), ledger=ledger)
    except Killed:
        assert write < 7
    sent = client.run(load1.load(jobs, spec(), parts(rows(name))), ledger=ledger)
    assert stored(org, name) == names(name)
    assert [each.records for each in sent] == [10, 10, 5]
    again = client.run(load1.load(jobs, spec(), iter(())), ledger=ledger)
    assert again == sent


def test_a_next_try_with_other_records_sends_nothing(client: BulkClient, org: LocalOrg, name: str) -> None:
    ledger = DyingLedger(4, after=True)
    jobs = Bulk1Calls(client.api_version)
    with pytest.raises(Killed):
        client.run(load1.load(jobs, spec(), parts(rows(name))), ledger=ledger)
    for others in (rows(name)[:15], [*rows(name)[:-1], {"Name": f"{name}x", "NumberOfEmployees": 1}], []):
        with pytest.raises(errors.InputChangedError, match="batches were sent"):
            client.run(load1.load(jobs, spec(), parts(others)), ledger=ledger)
    client.run(load1.load(jobs, spec(), parts(rows(name))), ledger=ledger)
    assert stored(org, name) == names(name)


class Slow(Once):
    """The call waits on its way until the test lets it go on."""

    def __init__(self, *numbers: int) -> None:
        super().__init__(*numbers)
        self.has_come, self.goes_on = threading.Event(), threading.Event()

    async def before(self, exchange: Exchange) -> Response | None:
        if self.is_due():
            self.has_come.set()
            await asyncio.to_thread(self.goes_on.wait)
        return None


@pytest.mark.parity("G5.2")
def test_a_batch_of_a_replaced_try_that_arrives_late_is_refused(client: BulkClient, org: LocalOrg, name: str) -> None:
    """The old try's second batch is on its way while the next try does everything; then it arrives."""
    ledger, jobs, slow = MemoryLedger(), Bulk1Calls(client.api_version), Slow(2)
    org.core.faults.add("bulk1.add_batch", slow)
    ends: list[object] = []

    def old_try() -> None:
        with BulkClient(**settings(org)) as old:
            try:
                ends.append(old.run(load1.load(jobs, spec(), parts(rows(name))), ledger=ledger))
            except errors.SfBulkError as error:
                ends.append(error)

    thread = threading.Thread(target=old_try)
    thread.start()
    assert slow.has_come.wait(10)
    sent = client.run(load1.load(jobs, spec(), parts(rows(name))), ledger=ledger)
    slow.goes_on.set()
    thread.join(30)
    assert stored(org, name) == names(name)
    assert len(sent) == 3
    assert isinstance(ends[0], errors.FencedError)


class EndBefore(Once):
    """Somebody aborts or closes the job just before the call."""

    def __init__(self, org: LocalOrg, state: JobState, *numbers: int) -> None:
        super().__init__(*numbers)
        self._org = org
        self._state = state

    async def before(self, exchange: Exchange) -> Response | None:
        if self.is_due():
            entry = self._org.core.bulk1.get(exchange.path.split("/")[5])
            assert entry is not None
            self._org.core.bulk1.set_state(entry, self._state)
        return None


@pytest.mark.parity("G13.4")
def test_a_job_that_salesforce_has_closed_after_a_day_is_followed_by_another(
    client: BulkClient, org: LocalOrg, name: str
) -> None:
    org.core.faults.add("bulk1.add_batch", EndBefore(org, JobState.CLOSED, 2))
    result = client.bulk1.perform("Account", "insert", rows(name), batch_records=10, schedule=QUICK)
    assert (len(result.job_ids), result.successful_count) == (2, 25)
    assert stored(org, name) == names(name)


def test_a_job_that_somebody_has_aborted_is_not_gone_round(client: BulkClient, org: LocalOrg, name: str) -> None:
    org.core.faults.add("bulk1.add_batch", EndBefore(org, JobState.ABORTED, 2))
    with pytest.raises(errors.JobFailedError, match="while batches were sent to it: 1 of 3"):
        client.bulk1.perform("Account", "insert", rows(name), batch_records=10, schedule=QUICK)
    assert len(stored(org, name)) == 10


class Doubled(Once):
    """The network sends the call twice."""

    def __init__(self, org: LocalOrg, *numbers: int) -> None:
        super().__init__(*numbers)
        self._org = org

    async def after(self, exchange: Exchange, response: Response) -> Response:
        if self.is_due():
            core = self._org.core
            entry = core.bulk1.get(exchange.path.split("/")[5])
            assert entry is not None
            (first,) = entry.batches.values()
            made = core.bulk1.add_batch(entry, core.bulk1.request_path(first.batch).read_bytes())
            work.accepted(core, entry, made.batch)
        return response


def test_a_doubled_batch_cannot_be_undone_and_is_told(client: BulkClient, org: LocalOrg, name: str) -> None:
    org.core.faults.add("bulk1.add_batch", Doubled(org, 1))
    with pytest.raises(errors.LedgerError, match="in the org twice"):
        client.bulk1.perform("Account", "insert", rows(name), batch_records=10, schedule=QUICK)


def test_sending_ends_after_some_jobs(
    client: BulkClient, org: LocalOrg, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load1, "SEND_TRIES", 2)
    org.core.faults.add("bulk1.add_batch", LostRequest(1, 2))
    with pytest.raises(errors.TransportError):
        client.bulk1.perform("Account", "insert", rows(name), schedule=QUICK)
    assert stored(org, name) == []
