"""Results that do not say clearly what became of the rows: nothing is sent again on their word."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from airflow_provider_sfbulk.client.errors import FailedRecordsError, ProtocolError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from tests.provider.conftest import FakeTask
from tests.provider.rounds.test_rounds import children, jobs_made, load, names, parents, rows_of, small_batches, stored

__all__ = ["parents", "small_batches"]

Rows = list[list[str]]


class Edited(Fault):
    """Lets a result file be other than the org has it."""

    def __init__(self, edit: Callable[[Rows], Rows]) -> None:
        self._edit = edit

    async def _edited(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        text = b"".join([chunk async for chunk in chunks]).decode()
        header, *rows = csv.reader(io.StringIO(text, newline=""))
        out = io.StringIO(newline="")
        csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([header, *self._edit(rows)])
        yield out.getvalue().encode()

    def body(self, exchange: Exchange, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Give the edited rows."""
        return self._edited(chunks)


def blank(rows: Rows) -> Rows:
    """Rows whose uploaded columns came back blank, as a help article warns."""
    return [[*row[:2], *("" for _ in row[2:])] for row in rows]


def test_rows_that_came_back_blank_are_left_without_a_number_and_do_not_fail_the_task(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    org.core.faults.add("ingest.successful", Edited(blank))
    result = task.start().run(load(children(parents), results_path=tmp_path))
    assert result["successful"] == 9
    assert [row["sf__Row"] for row in rows_of(tmp_path / "successful.csv")] == [""] * 9


def test_blank_rows_are_numbered_by_the_key_that_the_user_names(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    rows = [{**row, "Key": f"K{number}"} for number, row in enumerate(children(parents))]
    org.core.faults.add("ingest.successful", Edited(lambda rows: [[*row[:2], "", "", row[4]] for row in rows]))
    arguments = {"column_mapping": {"Key": "External_Key__c"}, "key_columns": ["Key"], "results_path": tmp_path}
    task.start().run(load(rows, **arguments))
    found = rows_of(tmp_path / "successful.csv")
    assert {row["External_Key__c"]: row["sf__Row"] for row in found} == {f"K{n}": str(n + 1) for n in range(9)}


def test_failed_rows_that_cannot_be_told_from_others_are_not_sent_again(
    org: LocalOrg, task: FakeTask, parents: list[str]
) -> None:
    org.hold(parents[0])
    org.core.faults.add("ingest.failed", Edited(blank))
    with pytest.raises(FailedRecordsError, match="3 of 9"):
        task.start().run(load(children(parents)))
    assert jobs_made(org) == 2
    assert sum(stored(org).values()) == 6


@pytest.mark.parametrize(("first", "then", "untold"), [(["Key"], [], 0), ([], ["Key"], 1)])
def test_key_columns_that_change_after_records_went_again_make_it_no_other_round(
    org: LocalOrg, task: FakeTask, parents: list[str], first: list[str], then: list[str], untold: int
) -> None:
    """One of the three locked rows can be told from others by its key alone."""
    rows = [{**row, "Key": f"K{number}"} for number, row in enumerate(children(parents))]

    def blank_the_first(found: Rows) -> Rows:
        return [[*row[:2], "", "", row[4]] if row[4] == "K0" and len(found) == 3 else row for row in found]

    org.hold(parents[0])
    org.core.faults.add("ingest.failed", Edited(blank_the_first))
    arguments = {"column_mapping": {"Key": "External_Key__c"}, "max_record_retries": 1}
    with pytest.raises(FailedRecordsError, match="3 of 9"):
        task.start().run(load(rows, key_columns=first, **arguments))
    org.release(parents[0])
    with nullcontext() if not untold else pytest.raises(FailedRecordsError, match="1 of 9"):
        task.start(cleared=True).run(load(rows, key_columns=then, **arguments))
    assert max(stored(org).values()) == 1
    assert sum(stored(org).values()) == 9 - untold


def test_a_row_that_is_said_to_be_saved_and_failed_is_not_sent_again(
    org: LocalOrg, task: FakeTask, parents: list[str]
) -> None:
    """As users of other tools have seen: the same record in the error file and in the success file."""
    rows = children(parents)
    org.hold(parents[0], batches=1)

    def copy(found: Rows) -> Rows:
        saved = rows[1]
        return [["", found[0][1], saved["LastName"], saved["AccountId"]], *found[1:]]

    org.core.faults.add("ingest.failed", Edited(copy))
    with pytest.raises(FailedRecordsError, match="1 of 9"):
        task.start().run(load(rows))
    assert max(stored(org).values()) == 1
    assert sum(stored(org).values()) == 8


@pytest.mark.parametrize("route", ["ingest.successful", "ingest.unprocessed"])
def test_files_of_a_broken_off_job_that_do_not_add_up_stop_the_task(
    org: LocalOrg,
    task: FakeTask,
    parents: list[str],
    small_batches: None,
    route: str,
) -> None:
    org.fail_jobs(after_batches=2)
    org.core.faults.add(route, Edited(lambda rows: rows[1:]))
    operator = load(children(parents))
    for _ in range(2):
        with pytest.raises(ProtocolError, match="do not add up: 9 records were uploaded"):
            task.start().run(operator)
    assert jobs_made(org) == 2
    org.core.faults.clear()
    task.start().run(operator)
    assert stored(org) == names(children(parents))


def test_a_saved_row_stays_saved_however_often_the_task_is_cleared(
    org: LocalOrg, task: FakeTask, parents: list[str]
) -> None:
    rows = [*children(parents, 4), {"LastName": "", "AccountId": parents[0]}]
    operator = load(rows)
    for number in range(4):
        with pytest.raises(FailedRecordsError):
            task.start(cleared=number > 0).run(operator)
    assert stored(org) == Counter(names(rows[:4]))
    assert jobs_made(org) == 1 + 4
