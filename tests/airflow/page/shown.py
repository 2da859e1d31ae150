"""One run that is looked at: while its jobs are at work, and after some of its rows have failed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.plugin import PREFIX
from airflow_provider_sfbulk.task.progress import PROGRESS_XCOM_KEY
from tests.airflow.conftest import HELD_SECONDS, Stage
from tests.airflow.page.browser import Browser

DAG_ID, TASK_ID = "nightly_accounts", "load_accounts"
ROWS, NAMELESS, WORDY = 10_000, 31, 6
BATCH_RECORDS = 2_000
"""Of the org meanwhile, so that each of the two jobs is seen with some of its rows processed."""
SECRETIVE = "Confidential Holdings"
"""Begin of every name in the input."""


@dataclass
class Shown:
    """The run.

    :ivar while_at_work: what the task told after some of the rows
    """

    stage: Stage
    run_id: str
    while_at_work: dict[str, Any]

    # --- addresses ---

    @property
    def task_path(self) -> str:
        """Path of the task instance in the REST API."""
        return f"/api/v2/dags/{DAG_ID}/dagRuns/{quote(self.run_id)}/taskInstances/{TASK_ID}"

    @property
    def tab(self) -> str:
        """Address of the task's tab in Airflow's UI."""
        return f"{self.stage.stack.url}/dags/{DAG_ID}/runs/{quote(self.run_id)}/tasks/{TASK_ID}/plugin/salesforce_bulk_task"

    @property
    def run_tab(self) -> str:
        """Address of the run's tab in Airflow's UI."""
        return f"{self.stage.stack.url}/dags/{DAG_ID}/runs/{quote(self.run_id)}/plugin/salesforce_bulk_run"

    @property
    def overview(self) -> str:
        """Address of the overview in Airflow's UI."""
        return f"{self.stage.stack.url}/plugin/salesforce_bulk_jobs"

    @property
    def frame(self) -> str:
        """Path of the task's page itself."""
        return f"/{PREFIX}/task/{DAG_ID}/{quote(self.run_id)}/{TASK_ID}/%7BMAP_INDEX%7D"

    # --- what is there ---

    @property
    def told(self) -> dict[str, Any]:
        """What the task tells now."""
        return told(self.stage, self.run_id) or {}

    def end(self) -> None:
        """Let the jobs end, and the task with them."""
        self.stage.let_jobs_end()
        assert self.stage.stack.finish_run(DAG_ID, self.run_id) == "failed"
        self.stage.org.core.batch_records = limits.BATCH_RECORDS


def told(stage: Stage, run_id: str, task_id: str = TASK_ID) -> dict[str, Any] | None:
    """Read what a task tells."""
    value = stage.stack.xcom(DAG_ID, run_id, task_id, PROGRESS_XCOM_KEY)
    found: dict[str, Any] | None = json.loads(value) if isinstance(value, str) else value
    return found


def start(stage: Stage) -> Shown:
    """Start the run, and wait until the triggerer has told of some of its rows."""
    stage.hold_jobs()
    stage.org.core.batch_records = BATCH_RECORDS
    folder = stage.lake / "shown"
    folder.mkdir(exist_ok=True)
    source = folder / "accounts.csv"
    _write(source)
    run_id = stage.stack.start_run(DAG_ID, {"source": str(source), "results": str(folder / "results")})
    stage.wait_for_state(DAG_ID, run_id, TASK_ID, "deferred")
    stage.org.advance(0.45 * HELD_SECONDS)
    stage.org.advance(0.2 * HELD_SECONDS)
    at_work = stage.stack.wait_for(lambda: _at_work(stage, run_id), "the triggerer tells of rows")
    return Shown(stage, run_id, at_work)


def _at_work(stage: Stage, run_id: str) -> dict[str, Any] | None:
    found = told(stage, run_id) or {}
    return found if all(job["processed"] for job in found.get("jobs", [])) and found.get("processed") else None


def _write(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["External_Key__c", "Name", "NumberOfEmployees"])
        for number in range(ROWS):
            name = "" if number % (ROWS // NAMELESS) == 1 and number // (ROWS // NAMELESS) < NAMELESS else SECRETIVE
            wordy = number % (ROWS // WORDY) == 2 and number // (ROWS // WORDY) < WORDY
            writer.writerow([f"K-{number}", name and f"{name} {number}", "a dozen" if wordy else number % 500])


def fetch(url: str, token: str | None = None) -> tuple[int, dict[str, str], str]:
    """Read a page; give status, headers in lower case, and text."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=60) as reply:
            return reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.read().decode()
    except HTTPError as error:
        return error.code, {}, error.read().decode()


FRAME = "document.querySelector('iframe').contentDocument"


def look(browser: Browser, url: str, awaited: str) -> str:
    """Go to a page of Airflow's UI and give the text in its frame, once a word is there.

    :param awaited: the word
    """
    browser.open(url)
    return read(browser, awaited)


def read(browser: Browser, awaited: str) -> str:
    """Give the text in the frame, once a word is there."""
    body = "(document.querySelector('iframe')?.contentDocument?.body?.innerText ?? '')"
    found: str = browser.wait_for(f"{body}.includes({json.dumps(awaited)}) && {body}")
    return found


@contextmanager
def theme(browser: Browser, name: str) -> Iterator[None]:
    """Switch Airflow's theme, as its own menu does, for pages that are opened meanwhile."""
    browser.run(f"localStorage.setItem('theme', '{name}')")
    try:
        yield
    finally:
        browser.run("localStorage.removeItem('theme')")
