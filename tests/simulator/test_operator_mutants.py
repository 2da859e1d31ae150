"""What only whole operators show: each of these broken ones must be caught, too. See ``test_mutants``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pytest

from airflow_provider_sfbulk.client.extract import pages, query_job
from airflow_provider_sfbulk.client.load import fill as ingest
from airflow_provider_sfbulk.client.load import outcome, still
from airflow_provider_sfbulk.client.protocol import distrust
from airflow_provider_sfbulk.client.results import downloads, spool
from airflow_provider_sfbulk.files import report
from airflow_provider_sfbulk.files import task_folder as folder
from airflow_provider_sfbulk.operators import verdict
from airflow_provider_sfbulk.operators.extract import extract
from airflow_provider_sfbulk.operators.incremental import Incremental
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.load import load, results
from airflow_provider_sfbulk.operators.load.input import LoadInput
from airflow_provider_sfbulk.operators.task_run import TaskRun
from airflow_provider_sfbulk.task.ledger import TaskLedger
from airflow_provider_sfbulk.task.old_ledger import OldTry
from airflow_provider_sfbulk.triggers.job import BulkJobTrigger
from tests.simulator.faults import OPERATOR_EVERY
from tests.simulator.invariants import Violation
from tests.simulator.operators import operator_schedule
from tests.simulator.test_mutants import MUTANTS, Change

SCHEDULES: Final = 1200
"""In which a mutant must be caught."""

CLOSE: Final = """\
    with closing(self._unsent(rounds)) as parts:
        self._send(last.number, parts, {}, last.mode)
"""
CLOSE_OR_SEND: Final = """\
    try:
        with closing(self._unsent(rounds)) as parts:
            self._send(last.number, parts, {}, last.mode)
    except NotFoundError:
        plan = self._ledger.decision["plan"]
        self._ledger._head = {**self._ledger._head, "load": self._ledger.attempt}
        return self.fill_first(plan)
"""
SAVED: Final = """np.zeros(results["successful"].records, dtype=np.int16)"""
SAVED_TOO: Final = """\
np.full(
                results["successful"].records,
                0
                if sent.counters_are_final
                else next((at for at, rule in self._rules.items() if rule.unprocessed and at > number), 0),
                dtype=np.int16,
            )"""
MADE: Final = """\
        info = yield from jobs.create(written)
        try:
            yield Aside(partial(on_job, info.id, number=number, records=part.records))
            yield from jobs.upload(info.id, part.body)
"""
MADE_WITH_DATA: Final = """\
        info = yield from jobs.create_with_data(written, b"".join(part.body.chunks()))
        try:
            pass
"""
NAMES: Final = """\
    planned = {kind: [self._names[kind]] for kind in RESULT_KINDS if outcome.counts[kind]}
    self._folder.finish({"files": planned, "counts": dict(outcome.counts)})
"""
PAGES: Final = """\
    page = {"name": f"part-{job.id}-00000.{file_format}", "records": job.processed, "bytes": 0, "sha256": ""}
    folder.finish({"job_id": job.id, "records": job.processed, "files": [page]})
    shown = yield from files.publish"""
NO_PAGE: Final = """\
    if is_html(reply):
        raise ServerBusyError("a web page instead of CSV, as during maintenance", status=reply.status)
    if kind != CSV:
"""

FAVOURED: Final = {
    "aborts on a deploy": ("ask_state", "error"),
    "aborts in a triggerer that is late": ("outside", "late_triggerer"),
    "what a load knows expires": ("outside", "month"),
    "does not read what 0.1.0 has written": ("outside", "upgrade"),
    "forgets the window of 0.1.0": ("outside", "upgrade"),
    "reads a query with its own API version": ("outside", "api_version"),
    "reads what became of a load with its own API version": ("outside", "api_version"),
    "tells its files by their time": ("outside", "touch"),
    "looks for its files again": ("outside", "one_more_file"),
    "looks for its files when it is decided": ("outside", "source_away"),
    "its window goes with the state of the task": ("success", "forgotten"),
    "sends again while a batch of an ended job is at work": ("outside", "fail_at_work"),
    "was: gives a load up while a batch of its ended job is at work": ("outside", "fail_at_work"),
    "takes a result file with fewer rows": ("download", "rows_missing"),
    "aborts when Airflow does not say why it ends": ("ask_state", "error"),
}
"""Mutants that show under a rare fault alone: of these, schedules that favour it are run."""

SLOW: Final = (
    *("takes a page with fewer rows", "sends a failed job's records again", "takes a web page for a result file"),
    *("sends again what Salesforce has deleted", "leaves the manifest of an earlier run"),
    *("names the pages before they are there", "takes a result file with fewer rows"),
    *("what a load knows expires", "sends again while a batch of an ended job is at work"),
    *("a clear goes on with the query of before", "a retry after the success loads everything again"),
)
"""Mutants that take hundreds of schedules to show."""

UNRECONCILED: Final = Change(
    outcome._Pass, "_check_sum", "if sum(found.values()) !=", "if False and sum(found.values()) !="
)

OPERATOR_MUTANTS: dict[str, tuple[Change, ...]] = {
    "aborts on a deploy": (Change(TaskRun, "_is_ended_by_person", "return is_ended", "return True or is_ended"),),
    "aborts when Airflow does not say why it ends": (
        Change(TaskRun, "_is_ended_by_person", "return False", "return True"),
    ),
    "aborts in a triggerer that is late": (
        Change(BulkJobTrigger, "_abort_if_ended", "if await self._is_ended_by_person()", "if True"),
    ),
    "sends again while a batch of an ended job is at work": (
        Change(still, "wait_until_still", "if may_be_at_work(job, part)", "if False", (results,)),
    ),
    "does not read what 0.1.0 has written": (
        Change(TaskLedger, "_old_try", "if number not in self._old", "return None\n    if False"),
    ),
    "forgets the window of 0.1.0": (Change(OldTry, "_window", "return {each", "return None and {each"),),
    "reads a query with its own API version": (
        Change(query_job.ByPages, "__init__", "jobs.at(job.api_version)", "jobs"),
        Change(pages, "pages", "jobs = jobs.at(job.api_version)", "jobs = jobs", (query_job,)),
    ),
    "reads what became of a load with its own API version": (
        Change(outcome._Pass, "_part", "self._jobs.at(sent.job.api_version)", "self._jobs"),
    ),
    "tells its files by their time": (
        Change(LoadInput, "identity", "path_text(path) for path in self.paths", "str(f.modified) for f in self._files()"),
    ),
    "looks for its files again": (Change(LoadInput, "pin", "if files is None", "if True"),),
    "looks for its files when it is decided": (
        Change(BulkIngestOperator, "_start", "if decision is None and done is None", "if done is None"),
    ),
    "what a load knows expires": (
        Change(TaskLedger, "_write", "retention=retention or self._retention", "retention=RETENTION"),
    ),
    "its window goes with the state of the task": (
        Change(Incremental, "advance", 'if conf.getboolean("state_store", "clear_on_success", fallback=False)', "if False"),
    ),
    "was: gives a load up while a batch of its ended job is at work": (
        Change(verdict, "judge", "and not _may_be_at_work(outcome, last_round)", "", (load,)),
    ),
    "sends again what Salesforce has deleted": (Change(load.Load, "close_last", CLOSE, CLOSE_OR_SEND),),
    "sends a failed job's records again": (Change(outcome._Pass, "_part", SAVED, SAVED_TOO),),
    "makes jobs with their data": (Change(ingest, "_upload", MADE, MADE_WITH_DATA),),
    "a retry after the success loads everything again": MUTANTS["was: a retry after the success loads everything again"],
    "names the result files before they are there": (
        Change(report.ReportFiles, "commit", "    self._folder.withdraw()\n", NAMES),
    ),
    "leaves the manifest of an earlier run": (
        Change(report.ReportFiles, "commit", "    self._folder.withdraw()\n", ""),
    ),
    "names the pages before they are there": (
        Change(extract, "extract_to_files", "    shown = yield from files.publish", PAGES),
    ),
    "lets another task into its folder": (
        Change(folder.Writer, "keeps_out", "return True", "return False"),
    ),
    "takes a web page for a result file": (
        Change(distrust.CsvSink, "start", NO_PAGE, "    if False:\n"),
        Change(spool.DownloadedCsv, "finish", "if self._counter.length:", "return\n    if self._counter.length:"),
        UNRECONCILED,
    ),
    "takes a result file with fewer rows": (
        Change(
            spool.DownloadedCsv,
            "finish",
            "self._expected not in (None, self.records)",
            "self._expected is not None and self.records > self._expected",
        ), UNRECONCILED,
    ),
    "takes a page with fewer rows": (
        Change(downloads.PageWriter, "_prove", "self.records != self._expected", "self.records > self._expected"),
    ),
    "records the rows that do not differ": (
        Change(load.Load, "fill_first", "chosen.to_dict()", "type(chosen)(chosen.rows, ~chosen.bits).to_dict()"),
    ),
    "a clear goes on with the query of before": (
        Change(TaskLedger, "begin_query", "before.is_done or before.is_cleared(self._clears, self._max_tries)", "False"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_mutant_is_still_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for change in OPERATOR_MUTANTS[name]:
        change.apply(monkeypatch)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in SLOW else []) for name in OPERATOR_MUTANTS]
)
def test_a_broken_operator_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for change in OPERATOR_MUTANTS[name]:
        change.apply(monkeypatch)
    seeds: Iterable[int] = range(SCHEDULES)
    if name in FAVOURED:
        seeds = range(OPERATOR_EVERY.index(FAVOURED[name]), 100 * len(OPERATOR_EVERY), len(OPERATOR_EVERY))
    for seed in seeds:
        try:
            operator_schedule.run(seed)
        except Violation as violation:
            print(f"{name}: caught by schedule {seed}: {str(violation).splitlines()[0]}")
            return
    pytest.fail(f"{SCHEDULES} schedules passed: {name}")
