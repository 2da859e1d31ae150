"""Retries, kills and clears of a load that sends only what differs: which rows those are is decided once."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from airflow_provider_sfbulk import BulkIngestOperator
from airflow_provider_sfbulk.client.compare import org_rows
from airflow_provider_sfbulk.client.errors import FailedRecordsError, InputChangedError
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.provider.conftest import DyingTry, FakeTask, Killed
from tests.provider.unchanged.test_skip_unchanged import KEY, ROWS, load, loaded, sent, with_changes

__all__ = ["loaded"]

CHANGED: Final = with_changes(K_1="other", K_3="another", K_4="and one more")
KEYS: Final = ["K-1", "K-3", "K-4"]


def written(folder: Path, rows: list[dict[str, str]]) -> str:
    path = folder / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ROWS[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def names(org: LocalOrg) -> dict[str, str]:
    return {row[KEY]: row["Name"] for row in org.records("Account")}


def processed(org: LocalOrg) -> Counter[str]:
    """Count how often each row was sent in a job that was processed."""
    return Counter(row[KEY] for job in sent(org) for row in job)


def retried(source: Any, **more: Any) -> BulkIngestOperator:
    return load(source=source, retries=9, part_records=2, max_concurrent_jobs=1, **more)


@pytest.mark.parametrize("api", ["2.0", "1.0"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("write", range(1, 8))
def test_a_try_that_dies_at_any_write_is_followed_by_one_that_sends_each_row_once(
    loaded: LocalOrg, task: FakeTask, tmp_path: Path, write: int, after: bool, api: str
) -> None:
    operator = retried(written(tmp_path, CHANGED), results_path=str(tmp_path / "results"), api=api)
    with pytest.raises(Killed):
        DyingTry(task, write, after=after).run(operator)
    result = task.start().run(operator)
    assert {name: result[name] for name in ("successful", "failed", "unchanged")} == {
        "successful": 3,
        "failed": 0,
        "unchanged": 3,
    }
    assert names(loaded) == {row[KEY]: row["Name"] for row in CHANGED}
    if api == "2.0":
        assert processed(loaded) == Counter(KEYS)
    with (tmp_path / "results" / "successful.csv").open(newline="") as file:
        assert {row[KEY]: row["sf__Row"] for row in csv.DictReader(file)} == {"K-1": "2", "K-3": "4", "K-4": "5"}


def test_a_decision_stands_whatever_the_org_has_by_now(loaded: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    loaded.fail_rows("Account", where={KEY: "K-3"})
    operator = retried(written(tmp_path, CHANGED), max_record_retries=0)
    with pytest.raises(FailedRecordsError):
        task.start().run(operator)
    with loaded.core.store.writing() as connection:
        connection.execute(f"UPDATE Account SET Name = 'by another' WHERE {KEY} IN ('K-0', 'K-1')")
    result = task.start(cleared=True).run(operator)
    assert (result["successful"], result["unchanged"]) == (3, 3)
    assert processed(loaded) == Counter({**dict.fromkeys(KEYS, 1), "K-3": 2})
    assert [str(job.operation) for job in loaded.jobs].count("query") == 1, "nothing is compared again"
    assert names(loaded)["K-0"] == "by another"


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_changed_row_that_was_sent_is_a_changed_input(
    loaded: LocalOrg, task: FakeTask, tmp_path: Path, kind: str
) -> None:
    def source(rows: list[dict[str, str]]) -> Any:
        return written(tmp_path, rows) if kind == "file" else rows

    loaded.fail_rows("Account", where={KEY: "K-3"})
    with pytest.raises(FailedRecordsError):
        task.start().run(retried(source(CHANGED), max_record_retries=0))
    with pytest.raises(InputChangedError):
        task.start(cleared=True).run(retried(source(with_changes(K_1="a third")), max_record_retries=0))
    assert processed(loaded) == Counter(KEYS)


def test_whether_only_what_differs_is_sent_does_not_change_on_the_way(
    loaded: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    loaded.fail_rows("Account", where={KEY: "K-3"})
    with pytest.raises(FailedRecordsError):
        task.start().run(retried(written(tmp_path, CHANGED), max_record_retries=0))
    with pytest.raises(InputChangedError, match="skip_unchanged changed"):
        task.start(cleared=True).run(retried(written(tmp_path, CHANGED), max_record_retries=0, skip_unchanged=False))


def test_locked_rows_are_sent_again_in_a_round_with_their_own_numbers(
    loaded: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    loaded.fail_rows("Account", where={KEY: "K-3"}, attempts=2)
    operator = retried(written(tmp_path, CHANGED), results_path=str(tmp_path / "results"))
    assert task.start().run(operator)["successful"] == 3
    with (tmp_path / "results" / "successful.csv").open(newline="") as file:
        assert {row[KEY]: row["sf__Row"] for row in csv.DictReader(file)} == {"K-1": "2", "K-3": "4", "K-4": "5"}


def test_parts_that_are_kept_are_read_again_as_they_were_sent(loaded: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    loaded.fail_rows("Account", where={KEY: "K-3"})
    operator = retried(
        lambda: iter(CHANGED),
        staging_path=str(tmp_path / "kept"),
        results_path=str(tmp_path / "results"),
        max_record_retries=0,
    )
    with pytest.raises(FailedRecordsError):
        task.start().run(operator)
    assert task.start(cleared=True).run(operator)["successful"] == 3
    with (tmp_path / "results" / "successful.csv").open(newline="") as file:
        assert {row[KEY]: row["sf__Row"] for row in csv.DictReader(file)} == {"K-1": "2", "K-3": "4", "K-4": "5"}


def test_a_retry_goes_on_with_a_recent_query_and_asks_anew_after_a_while(
    loaded: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    operator = retried(written(tmp_path, CHANGED))

    def dies() -> None:
        with pytest.raises(Killed):
            DyingTry(task, 4, after=False).run(operator)

    def queries() -> int:
        return [str(job.operation) for job in loaded.jobs].count("query")

    dies()
    dies()
    assert queries() == 1
    with loaded.core.store.writing() as connection:
        connection.execute(f"UPDATE Account SET Name = 'by another' WHERE {KEY} = 'K-0'")
    loaded.advance(org_rows.RECENT.total_seconds())
    assert task.start().run(operator)["unchanged"] == 2
    assert queries() == 2
    assert names(loaded) == {row[KEY]: row["Name"] for row in CHANGED}
    assert task.start(cleared=True).run(operator)["unchanged"] == 6
    assert queries() == 3
