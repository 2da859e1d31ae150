"""Batches of Bulk API 1.0 that fail when some of their rows are saved, as Salesforce's do after an unexpected error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from airflow_provider_sfbulk.local_org.bulk1 import data_work
from airflow_provider_sfbulk.local_org.bulk1.jobs import Batch, BatchState, JobEntry
from airflow_provider_sfbulk.local_org.core import Core

MESSAGE = "InternalServerError : Retried more than ten times"

Lines: TypeAlias = list[str]


def as_they_are(lines: Lines) -> Lines | None:
    """Leave the result file as it is: with the rows that were processed."""
    return lines


def fail_next_batch(
    monkeypatch: pytest.MonkeyPatch, *, after: int, results: Callable[[Lines], Lines | None] = as_they_are
) -> None:
    """Let the next batch fail after so many of its rows.

    :param results: makes the lines of its result file of those of these rows; None for no results
    """
    save = data_work.save_batch
    met: list[str] = []

    def broken(core: Core, entry: JobEntry, batch: Batch) -> bool:
        if met:
            return save(core, entry, batch)
        met.append(batch.id)
        path, file = core.bulk1.request_path(batch), core.bulk1.result_path(batch)
        whole = path.read_bytes()
        path.write_bytes(b"".join(whole.splitlines(keepends=True)[: after + 1]))
        set_state = core.bulk1.set_batch_state

        def fail(batch: Batch, state: BatchState, message: str | None = None) -> None:
            path.write_bytes(whole)
            lines = results(file.read_text(encoding="utf-8").splitlines(keepends=True))
            if lines is None:
                file.unlink()
            else:
                file.write_text("".join(lines), encoding="utf-8")
            set_state(batch, BatchState.FAILED, MESSAGE)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(core.bulk1, "set_batch_state", fail)
            return save(core, entry, batch)

    monkeypatch.setattr(data_work, "save_batch", broken)
