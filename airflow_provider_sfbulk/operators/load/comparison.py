"""What ``skip_unchanged`` does before anything is sent: read the input, and compare it with the org's rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_sfbulk.client.compare.input_rows import InputRows
from airflow_provider_sfbulk.client.compare.org_rows import ask, find_all
from airflow_provider_sfbulk.client.errors import EmptyInputError, JobTimeoutError, TransientError
from airflow_provider_sfbulk.client.models import JobInfo, JobState
from airflow_provider_sfbulk.client.protocol.jobs import QueryCalls
from airflow_provider_sfbulk.task.progress import Phase
from airflow_provider_sfbulk.task.reporter import log_group
from airflow_provider_sfbulk.triggers.event import WaitEvent, WaitOutcome

if TYPE_CHECKING:
    from airflow_provider_sfbulk.operators.load.input import LoadInput
    from airflow_provider_sfbulk.operators.task_run import TaskRun

ASKS: Final = 2
"""Query jobs that a try makes to compare with, when one is aborted: a late trigger of the try before may do that."""

log = logging.getLogger(__name__)


class Comparison:
    """The comparison of a load's input with the org.

    :param describe: of the object
    """

    def __init__(self, run: TaskRun, source: LoadInput, describe: Mapping[str, Any]) -> None:
        self._try = run
        self._calls = QueryCalls(run.client.api_version)
        self._input = source
        self._describe = describe

    def rows(self, wait: Callable[[str], JobInfo], awaited: Collection[str]) -> InputRows:
        """Return the rows of the input, compared. They are the caller's, who closes them.

        :param wait: waits for a query job, or defers the task
        :param awaited: ids of jobs that this try has waited for
        :raises EmptyInputError: the input has no records
        :raises SourceError: what is wrong with it, or a column that cannot be compared
        :raises JobFailedError: the query job did not complete
        """
        rows = InputRows.of(self._input.rules, self._describe)
        try:
            self._read(rows)
            if rows.may_be_there:
                self._find(rows, wait, awaited)
            chosen = rows.chosen
        except BaseException:
            rows.close()
            raise
        log.info(
            "%s of %s rows differ from the org's, or may, and are sent; %s are unchanged",
            *(f"{count:,}" for count in (chosen.sent, rows.rows, chosen.unchanged)),
        )
        return rows

    def _read(self, rows: InputRows) -> None:
        self._try.reporter.enter(Phase.COMPARING)
        with closing(self._input.streams(self._describe)) as streams:
            rows.read(streams)
        if not rows.rows:
            raise EmptyInputError("the input has no records: there is nothing to load")

    def _find(self, rows: InputRows, wait: Callable[[str], JobInfo], awaited: Collection[str]) -> None:
        for _ in range(ASKS):
            asked = self._try.run(ask(self._calls, self._describe["name"], rows, awaited=awaited))
            log.info("comparing %s rows with the org's, which query job %s reads", f"{rows.rows:,}", asked.job_id)
            with self._try.reading(asked):
                job = wait(asked.job_id)
            if job.state is not JobState.ABORTED:
                break
        self._try.reporter.enter(Phase.COMPARING)
        with log_group(log, "Comparing with the org"):
            self._try.run(find_all(self._calls.at(asked.api_version), job, rows))
        self._try.reporter.at(())


def check_wait(ended: WaitEvent) -> None:
    """Check that the wait for the query has not ended too early.

    :raises JobTimeoutError: the time is up
    :raises TransientError: the triggerer could no longer poll the query
    """
    if ended.outcome is WaitOutcome.TIMEOUT:
        raise JobTimeoutError(
            "the task's timeout has passed while it waited for the query that skip_unchanged compares with: nothing "
            "was sent. A retry asks again"
        )
    if ended.outcome is WaitOutcome.ERROR:
        raise TransientError(
            "the triggerer could no longer poll the query that skip_unchanged compares with; its own log says why. "
            "Nothing was sent, and a retry continues with the query"
        )
