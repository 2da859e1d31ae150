"""What only whole operators show: each of these broken ones must be caught, too. See ``test_mutants``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

import pytest

from airflow_provider_sfbulk.client.flows import distrust, ingest, query
from airflow_provider_sfbulk.client.records import pages, results
from airflow_provider_sfbulk.operators import extract, report
from airflow_provider_sfbulk.operators.base import BulkJobOperator
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.simulator import operator_schedule
from tests.simulator.invariants import Violation
from tests.simulator.test_mutants import MUTANTS, Change

SCHEDULES: Final = 1200
"""In which a mutant must be caught."""

FOUND: Final = """\
        filled = yield from recorded()
        looked = True
"""
ANEW: Final = """\
        filled = yield from recorded()
        for each in filled:
            try:
                yield from jobs.get(each.job_id)
            except NotFoundError:
                filled = yield from _fill_all(jobs, spec, parts, limit)
                break
        looked = True
"""
MADE: Final = """\
        info = yield from jobs.create(written)
        try:
            yield from jobs.upload(info.id, part.body)
"""
MADE_WITH_DATA: Final = """\
        info = yield from jobs.create_with_data(written, b"".join(part.body.chunks()))
        try:
            pass
"""
ABORT_FIRST: Final = """\
    peek = self._ledger(context)
    head = peek._previous_head()
    if head is not None and not peek._is_over(head) and head["plan"] != self._plan() and not head.get("end"):
        with self.hook.get_conn() as client:
            self._abort(client, peek._jobs_of(head["load"]))
    given_up = ledger.begin"""
NAMES: Final = """\
    planned = {kind: [f"{kind}.{results_format}"] for kind in KINDS if settlement.count(kind)}
    write_json(output, MANIFEST, {"files": planned})
"""
PAGES: Final = """\
    page = {"name": f"part-{job.id}-00000.{file_format}", "records": job.processed, "bytes": 0, "sha256": ""}
    write_json(output, MANIFEST, {"job_id": job.id, "records": job.processed, "files": [page]})
    typed = file_format"""
NO_PAGE: Final = """\
    if is_html(reply):
        raise ServerBusyError("a web page where CSV is due, as in a maintenance", status=reply.status)
    if kind != CSV:
"""

OPERATOR_MUTANTS: dict[str, tuple[Change, ...]] = {
    "aborts on a deploy": (Change(BulkJobOperator, "_is_ended_by_person", "return any(", "return True or any("),),
    "aborts when Airflow does not say why it ends": (
        Change(BulkJobOperator, "_is_ended_by_person", "return False", "return True"),
    ),
    "sends again what Salesforce has deleted": (Change(ingest, "load", FOUND, ANEW),),
    "sends a failed job's records again": MUTANTS["sends a failed job's records again"],
    "makes jobs with their data": (Change(ingest, "_upload", MADE, MADE_WITH_DATA),),
    "a retry after the success loads everything again": MUTANTS["was: a retry after the success loads everything again"],
    "aborts a load before it is given up": (
        Change(BulkIngestOperator, "execute", "    given_up = ledger.begin", ABORT_FIRST),
    ),
    "aborts while it is replaced": MUTANTS["was: aborts while it is replaced"],
    "names the result files before they are there": (
        Change(report, "write_report", "    output.remove(MANIFEST)\n", NAMES),
    ),
    "leaves the manifest of an earlier run": (Change(report, "write_report", "    output.remove(MANIFEST)\n", ""),),
    "names the pages before they are there": (
        Change(extract, "extract_to_files", "    typed = file_format", PAGES),
    ),
    "takes a web page for a result file": (
        Change(distrust.CsvSink, "start", NO_PAGE, "    if False:\n"),
        Change(results, "check_csv", "if reply.status", "if False and reply.status"),
        Change(results.JobResult, "_prove", "if self._counter.length:", "return\n        if self._counter.length:"),
    ),
    "takes a result file with fewer rows": (
        Change(results.JobResult, "_prove", "records != expected", "records > expected"),
    ),
    "takes a page with fewer rows": (
        Change(pages.Page, "_prove", "self.records != expected", "self.records > expected"),
    ),
    "takes pages of another total": (
        Change(pages.Page, "_prove", "self.records != expected", "self.records > expected"),
        Change(query, "check_total", "if total !=", "if total >"),
    ),
    "a clear goes on with the query of before": (
        Change(BulkQueryOperator, "_submitted", "restart=is_first", "restart=False"),
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Uploads fail by the thousand here, as they should."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", OPERATOR_MUTANTS)
def test_a_broken_operator_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for change in OPERATOR_MUTANTS[name]:
        change.apply(monkeypatch)
    for seed in range(SCHEDULES):
        try:
            operator_schedule.run(seed)
        except Violation as violation:
            print(f"{name}: caught by schedule {seed + 1}: {str(violation).splitlines()[0]}")
            return
    pytest.fail(f"{SCHEDULES} schedules passed: {name}")
