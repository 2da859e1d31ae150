"""Takes the documentation's pictures: ``python -m tests.airflow.page.screenshots [FOLDER]``, with a Chromium at hand."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.airflow.conftest import ROOT, Stage, set_up
from tests.airflow.page.browser import Browser, find_chromium
from tests.airflow.page.shown import look, start, theme
from tests.airflow.warm.stack import lay_out

NARROW = 480
"""Pixels, as of half a screen."""

OTHER_DAGS = ("airports", "soql_to_parquet")


def main(folder: Path) -> None:
    """Take them all."""
    path = find_chromium()
    if path is None:
        sys.exit("no Chromium was found: set CHROMIUM to its path")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        database = lay_out(Path(home, "database"))
        with set_up(Path(home, "stage"), database) as stage, Browser(path) as browser:
            browser.sign_in(stage.stack.url, stage.stack.sign_in("admin"))
            _take(stage, browser, folder)


def _take(stage: Stage, browser: Browser, folder: Path) -> None:
    stage.hurry_jobs()
    for dag_id in OTHER_DAGS:
        stage.stack.finish_run(dag_id, stage.stack.start_run(dag_id))
    shown = start(stage)
    look(browser, shown.tab, "Jobs at Salesforce")
    browser.picture(folder / "jobs-running.png")
    failed = start(stage)
    failed.end()
    look(browser, failed.tab, "Failures by code")
    browser.picture(folder / "jobs-failed.png")
    another = start(stage)
    look(browser, another.overview, another.run_id)
    browser.picture(folder / "jobs-overview.png")
    with theme(browser, "dark"):
        look(browser, failed.tab, "Failures by code")
        browser.picture(folder / "jobs-dark.png")
    with browser.width(NARROW):
        look(browser, another.overview, another.run_id)
        browser.picture(folder / "jobs-narrow.png")
    another.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
