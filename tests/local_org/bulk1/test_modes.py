"""Parallel and serial jobs, locks, and what outlives a restart."""

from __future__ import annotations

import threading
from pathlib import Path

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.bulk1.async_witness import AsyncWitness


def contacts(account_id: str, count: int) -> str:
    return "LastName,AccountId\n" + "".join(f"N{n},{account_id}\n" for n in range(count))


def test_serial_batches_run_one_after_the_other_and_parallel_ones_side_by_side() -> None:
    """Facts: "`Serial` (batches one after the other, for lock trouble)"."""
    with LocalOrg(job_seconds=60) as org:
        bulk = AsyncWitness(org)
        for mode, seconds in (("Parallel", 60), ("Serial", 180)):
            job_id = bulk.create("insert", concurrencyMode=mode)
            for name in "ABC":
                bulk.add(job_id, f"Name\n{name}\n")
            before = len(org.records("Account"))
            waiter = threading.Thread(target=org.wait_until_idle)
            waiter.start()
            advanced = 0
            while waiter.is_alive():
                waiter.join(0.02)
                if _all_waiting(bulk, job_id):
                    assert len(org.records("Account")) - before == advanced // 60
                    org.advance(60)
                    advanced += 60
            assert (advanced, len(org.records("Account")) - before) == (seconds, 3)


def _all_waiting(bulk: AsyncWitness, job_id: str) -> bool:
    """Whether the org can do nothing before its clock moves."""
    states = [
        each.batch.state for entry in bulk.org.core.bulk1 if entry.job.id == job_id for each in entry.batches.values()
    ]
    left = [state for state in states if state != "Completed"]
    serial = any(entry.job.is_serial for entry in bulk.org.core.bulk1 if entry.job.id == job_id)
    return bool(left) and left[0] == "InProgress" and (serial or set(states) == {"InProgress"})


def test_a_contended_record_fails_rows_in_parallel_and_never_in_serial(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "`Serial` (batches one after the other, for lock trouble)"; "single rows get
    `UNABLE_TO_LOCK_ROW`"."""
    (account,) = bulk.rows("insert", "Name\nA\n")
    org.contend(account["Id"])
    rows = bulk.rows("insert", contacts(account["Id"], 3) + "Free,\n", "Contact")
    locked = f"UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 1 records: {account['Id']}:--"
    assert [row["Error"] for row in rows] == [locked] * 3 + [""]
    assert bulk.rest.errors(contacts(account["Id"], 1), "Contact") == [locked]
    serial = bulk.rows("insert", contacts(account["Id"], 3), "Contact", concurrencyMode="Serial")
    assert [row["Success"] for row in serial] == ["true"] * 3
    org.release(account["Id"])
    assert [row["Success"] for row in bulk.rows("insert", contacts(account["Id"], 1), "Contact")] == ["true"]


def test_a_record_held_by_somebody_else_is_locked_in_serial_too(bulk: AsyncWitness, org: LocalOrg) -> None:
    (account,) = bulk.rows("insert", "Name\nA\n")
    org.hold(account["Id"])
    rows = bulk.rows("update", f"Id,Phone\n{account['Id']},1\n", concurrencyMode="Serial")
    assert [row["Success"] for row in rows] == ["false"]


def test_a_batch_with_more_than_100_locks_is_tried_again_and_may_succeed(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "if more than 100 lock problems show in a batch it is requeued, up to 10 times"."""
    (account,) = bulk.rows("insert", "Name\nA\n")
    org.hold(account["Id"], batches=3)
    job_id, _, batch = bulk.load("insert", contacts(account["Id"], 101), "Contact")
    assert (batch["state"], batch["numberRecordsFailed"]) == ("Completed", "0")
    assert bulk.job(job_id)["numberRetries"] == "3"
    assert len(org.records("Contact")) == 101


def test_locks_that_stay_fail_the_batch(bulk: AsyncWitness, org: LocalOrg) -> None:
    """Facts: "… up to 10 times, then it ends with `TooManyLockFailure`"; `Sforce-Disable-Batch-Retry` "stops
    the automatic repeats"."""
    (account,) = bulk.rows("insert", "Name\nA\n")
    org.hold(account["Id"])
    data = contacts(account["Id"], 101)
    for retries, header in (("10", {}), ("0", {"sforce_disable_batch_retry": "TRUE"})):
        job_id, _, batch = bulk.load("insert", data, "Contact", "CSV", **header)
        assert batch["stateMessage"] == "TooManyLockFailure : Too many lock failure 101 Trying again later."
        assert bulk.job(job_id)["numberRetries"] == retries
    rows = bulk.rows("insert", contacts(account["Id"], 100), "Contact")
    assert {row["Error"].partition(":")[0] for row in rows} == {"UNABLE_TO_LOCK_ROW"}


def test_jobs_batches_and_results_outlive_a_restart(tmp_path: Path) -> None:
    """With ``--data`` everything is in the file; a batch that was under way is done by the next process, once."""
    data = tmp_path / "org.sqlite"
    with LocalOrg(data=data) as org:
        bulk = AsyncWitness(org)
        done, done_batch, _ = bulk.load("insert", "Name\nDone\n")
        queried, query_batch, _ = bulk.load("query", "SELECT Name FROM Account")
        session = bulk.session
    with LocalOrg(data=data, job_seconds=3600) as org:
        bulk = AsyncWitness(org)
        waiting = bulk.create("insert", concurrencyMode="Serial")
        first, second = (bulk.add(waiting, f"Name\n{name}\n") for name in ("First", "Second"))
    with LocalOrg(data=data) as org:
        bulk = AsyncWitness(org)
        bulk.session = session
        assert bulk.job(done)["numberBatchesCompleted"] == "1"
        assert [row["Success"] for row in bulk.result(done, done_batch).rows] == ["true"]
        (result_id,) = bulk.result_ids(queried, query_batch)
        assert bulk.result_file(queried, query_batch, result_id).text == '"Name"\n"Done"\n'
        assert {bulk.wait(waiting, each)["state"] for each in (first, second)} == {"Completed"}
        assert [record["Name"] for record in org.records("Account")] == ["Done", "First", "Second"]
        assert [job.id for job in org.bulk1_jobs] == [done, queried, waiting]
