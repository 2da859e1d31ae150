"""The page in Airflow's UI, on a real API server and in a real browser.

One run is looked at while its jobs are at work, and again after its end; the tests say what was to be seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_sfbulk.plugin import PREFIX
from airflow_provider_sfbulk.task.progress import PROGRESS_XCOM_KEY
from tests.airflow.conftest import Stage
from tests.airflow.page.browser import Browser, find_chromium
from tests.airflow.page.shown import (
    DAG_ID,
    FRAME,
    NAMELESS,
    ROWS,
    SECRETIVE,
    TASK_ID,
    WORDY,
    Shown,
    fetch,
    look,
    read,
    start,
    theme,
    told,
)

FAILED = NAMELESS + WORDY

HOSTILE = "<img src=x onerror='parent.owned=1'><script>parent.owned=1</script>"
HOSTILE_TOLD = {
    "job_type": "ingest",
    "operation": "insert",
    "sobject": HOSTILE,
    "try_number": 1,
    "phase": "failed",
    "setup_url": "javascript:parent.owned=1//https://acme.example",
    "processed": 10,
    "failed": 5,
    "records": 10,
    "message": HOSTILE,
    "errors": {HOSTILE: 5, "REQUIRED_FIELD_MISSING": "many"},
    "jobs": [{"id": HOSTILE, "state": HOSTILE, "error": HOSTILE, "processed": {}, "failed": "5"}, None, 5],
    "files": {HOSTILE: [HOSTILE, None], "failed": "no list"},
    "manifest": "javascript:parent.owned=1",
    "more_jobs": -1,
}


@dataclass
class Seen:
    """What was to be seen.

    :ivar at_work: text of the page while the jobs were at work; none of these without a browser
    """

    shown: Shown
    at_work: str = ""
    at_work_share: int = 0
    went_on: bool = False
    opened: list[str] = field(default_factory=list)
    background: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def browser(stage: Stage) -> Iterator[Browser | None]:
    """A browser with an administrator's session; None where there is none."""
    path = find_chromium()
    if path is None:
        yield None
        return
    with Browser(path) as running:
        running.sign_in(stage.stack.url, stage.stack.sign_in("admin"))
        yield running


@pytest.fixture(scope="module")
def seen(stage: Stage, browser: Browser | None) -> Seen:
    """Let the run begin, look, and let it end."""
    shown = start(stage)
    seen = Seen(shown)
    if browser is not None:
        seen.at_work = look(browser, shown.tab, "Jobs at Salesforce")
        bar = f"{FRAME}.querySelector('[role=progressbar]')"
        seen.at_work_share = int(browser.run(f"{bar}.getAttribute('aria-valuenow')"))
        seen.opened = _click_job(browser)
    shown.end()
    if browser is not None:
        # The page that was opened while the task was deferred goes on by itself.
        seen.went_on = "FailedRecordsError" in read(browser, "FailedRecordsError")
    return seen


@pytest.fixture
def chromium(browser: Browser | None) -> Browser:
    """A browser; the test is skipped where there is none."""
    if browser is None:
        pytest.skip("no Chromium was found: set CHROMIUM to its path")
    return browser


def _click_job(browser: Browser) -> list[str]:
    """Click the link to the first job, and give the addresses of the tabs that it opens."""
    before = {tab["targetId"] for tab in browser.tabs()}
    browser.run(f"{FRAME}.querySelector('td a').click()")
    browser.wait_for("true")
    tabs = [tab for tab in browser.tabs() if tab["targetId"] not in before and tab["type"] == "page"]
    for tab in tabs:
        browser.close_tab(tab["targetId"])
    return [tab["url"] for tab in tabs]


# --- what is told -----------------------------------------------------------------------------------------------------


def test_the_triggerer_tells_how_far_the_jobs_are(seen: Seen) -> None:
    at_work = seen.shown.while_at_work
    assert (at_work["phase"], at_work["records"], len(at_work["jobs"])) == ("waiting", ROWS, 2)
    assert 0 < at_work["processed"] < ROWS
    assert {job["state"] for job in at_work["jobs"]} == {"InProgress"}


def test_the_end_is_told_by_code_and_without_a_value(seen: Seen) -> None:
    ended = seen.shown.told
    assert (ended["phase"], ended["counts"]["failed"]) == ("failed", FAILED)
    assert sorted(ended["errors"].values()) == sorted([NAMELESS, WORDY])
    assert ended["message"].startswith(f"FailedRecordsError: {FAILED} of {ROWS:,} records failed")
    everything = json.dumps([ended, seen.shown.while_at_work])
    assert SECRETIVE not in everything
    assert "a dozen" not in everything


def test_the_log_tells_how_far_the_jobs_are(seen: Seen) -> None:
    log = json.dumps(seen.shown.stage.stack.call("GET", f"{seen.shown.task_path}/logs/1"))
    assert "::group::Sending the input" in log
    assert f" of {ROWS:,} processed" in log
    assert SECRETIVE not in log


# --- who may read it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["vera", "uma", "olga", "admin"])
def test_who_may_read_the_run_may_read_the_page(user: str, seen: Seen) -> None:
    shown, token = seen.shown, seen.shown.stage.stack.sign_in(user)
    for path in (shown.frame, f"/{PREFIX}/run/{DAG_ID}/{shown.run_id}", f"/{PREFIX}/jobs"):
        status, headers, text = fetch(f"{shown.stage.stack.url}{path}", token)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "page.js" in text
        assert shown.run_id not in text, "the shell repeats nothing of its address"
    status, _, entry = fetch(f"{shown.stage.stack.url}{shown.task_path}/xcomEntries/{PROGRESS_XCOM_KEY}", token)
    assert (status, PROGRESS_XCOM_KEY in entry) == (200, True)


@pytest.mark.parametrize(("user", "refused"), [("ned", 403), (None, 401)])
def test_who_may_not_read_the_run_gets_neither_page_nor_data(user: str | None, refused: int, seen: Seen) -> None:
    shown = seen.shown
    token = None if user is None else shown.stage.stack.sign_in(user)
    entry = f"{shown.task_path}/xcomEntries/{PROGRESS_XCOM_KEY}"
    for path in (shown.frame, f"/{PREFIX}/run/{DAG_ID}/{shown.run_id}", f"/{PREFIX}/jobs", entry):
        status, _, text = fetch(f"{shown.stage.stack.url}{path}", token)
        assert (path, status) == (path, refused)
        assert "page.js" not in text
        assert "processed" not in text


def test_a_forged_session_is_refused(seen: Seen) -> None:
    stack = seen.shown.stage.stack
    status, _, _ = fetch(f"{stack.url}{seen.shown.frame}", stack.sign_in("admin")[:-8] + "forgery_")
    assert status == 403


@pytest.mark.parametrize("path", ["jobs", "static/page.js", "static/page.css"])
def test_every_reply_forbids_what_the_page_does_not_need(path: str, seen: Seen) -> None:
    stage = seen.shown.stage
    _, headers, _ = fetch(f"{stage.stack.url}/{PREFIX}/{path}", stage.stack.sign_in("vera"))
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'self'" in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_airflow_lists_the_plugin_with_its_views(seen: Seen) -> None:
    plugins = seen.shown.stage.stack.call("GET", "/api/v2/plugins?limit=100")["plugins"]
    (ours,) = [each for each in plugins if each["name"] == "salesforce_bulk"]
    views = {view["destination"]: view["url_route"] for view in ours["external_views"]}
    assert views == {
        "task_instance": "salesforce_bulk_task",
        "dag_run": "salesforce_bulk_run",
        "nav": "salesforce_bulk_jobs",
    }


# --- what a user sees -------------------------------------------------------------------------------------------------


def test_a_deferred_task_s_page_shows_how_far_it_is(chromium: Browser, seen: Seen) -> None:
    processed = seen.shown.while_at_work["processed"]
    assert "upsert Account" in seen.at_work
    assert "Salesforce is at work (deferred)" in seen.at_work
    assert f"{processed:,} of {ROWS:,} ({100 * processed // ROWS} %)" in seen.at_work
    assert seen.at_work_share == round(100 * processed / ROWS)
    assert all(job["id"] in seen.at_work for job in seen.shown.while_at_work["jobs"])


def test_the_page_goes_on_by_itself(chromium: Browser, seen: Seen) -> None:
    assert seen.went_on


def test_a_job_s_link_opens_its_page_in_setup(chromium: Browser, seen: Seen) -> None:
    job_id = seen.shown.while_at_work["jobs"][0]["id"]
    org = seen.shown.stage.org.url
    assert seen.opened == [f"{org}/lightning/setup/AsyncApiJobStatus/page?address=%2F{job_id}"]


def test_a_failed_task_s_page_says_what_failed_and_where_it_is(chromium: Browser, seen: Seen) -> None:
    text = look(chromium, seen.shown.tab, "Failures by code")
    for code, count in seen.shown.told["errors"].items():
        assert f"{code}\t{count}" in text
    assert "FailedRecordsError" in text
    assert all(uri in text for uris in seen.shown.told["files"].values() for uri in uris)
    assert SECRETIVE not in text


@pytest.mark.parametrize("name", ["light", "dark"])
def test_the_page_has_airflow_s_theme(name: str, chromium: Browser, seen: Seen) -> None:
    chromium.open(f"{seen.shown.stage.stack.url}/{PREFIX}/static/page.css")  # what is cheap to open, of the same origin
    chromium.wait_for("location.pathname.endsWith('page.css')")
    with theme(chromium, name):
        look(chromium, seen.shown.tab, "Failures by code")
        assert chromium.run(f"{FRAME}.documentElement.dataset.theme") == name
        color = chromium.run(f"getComputedStyle({FRAME}.body).backgroundColor")
        assert (sum(json.loads(color.replace("rgb(", "[").replace(")", "]"))) < 200) is (name == "dark")


def test_the_overview_leads_to_the_task(chromium: Browser, seen: Seen) -> None:
    text = look(chromium, seen.shown.overview, seen.shown.run_id)
    assert f"{ROWS:,} of {ROWS:,}" in text
    link = f"{FRAME}.querySelector('td a[href*=\"/{DAG_ID}/\"]')"
    chromium.run(f"setTimeout((link) => link.click(), 0, {link}) && null")  # answered before the page goes away
    chromium.wait_for(f"location.pathname.includes('/tasks/{TASK_ID}')")


def test_the_run_s_page_shows_its_tasks(chromium: Browser, seen: Seen) -> None:
    text = look(chromium, seen.shown.run_tab, TASK_ID)
    assert "Salesforce jobs of this run" in text
    assert f"{FAILED}" in text


@pytest.mark.parametrize("name", ["no_such_task", "no%zztask"])
def test_a_task_without_jobs_has_a_quiet_page(name: str, chromium: Browser, seen: Seen) -> None:
    shown = seen.shown
    chromium.open(f"{shown.stage.stack.url}{shown.frame.replace(TASK_ID, name)}")
    chromium.wait_for("document.body?.innerText.includes('No Salesforce jobs.')")


@pytest.fixture
def hostile(seen: Seen) -> Iterator[str]:
    """Let a task tell what no task of this package would; give the address of its page."""
    shown = seen.shown
    path, before = f"{shown.task_path}/xcomEntries/{PROGRESS_XCOM_KEY}", shown.told
    _put(shown.stage, path, HOSTILE_TOLD)
    yield shown.tab
    _put(shown.stage, path, before)


def _put(stage: Stage, path: str, value: dict[str, Any]) -> None:
    stage.stack.call("PATCH", path, {"value": value, "map_index": -1})


@pytest.mark.parametrize("view", ["tab", "overview", "run_tab"])
def test_hostile_text_is_text(view: str, chromium: Browser, seen: Seen, hostile: str) -> None:
    assert told(seen.shown.stage, seen.shown.run_id) == HOSTILE_TOLD
    text = look(chromium, getattr(seen.shown, view), "<img src=x")
    assert HOSTILE in text
    assert chromium.run(f"{FRAME}.querySelectorAll('main img, main script, main [onerror]').length") == 0
    links = chromium.run(f"[...{FRAME}.querySelectorAll('main a')].map((each) => each.protocol)")
    assert set(links) <= {"http:", "https:"}
    assert chromium.run("typeof window.owned") == "undefined"
    assert chromium.run(f"typeof {FRAME}.defaultView.owned") == "undefined"


def test_the_browser_itself_would_refuse_markup(chromium: Browser, seen: Seen) -> None:
    look(chromium, seen.shown.tab, "Failures by code")
    attempt = (
        "(() => { try { FRAME.querySelector('main').innerHTML = '<b>x</b>'; return 'done' } "
        "catch (error) { return error.name } })()"
    )
    assert chromium.run(attempt.replace("FRAME", FRAME)) == "TypeError"


def test_a_session_that_has_ended_is_told(chromium: Browser, seen: Seen) -> None:
    stage = seen.shown.stage
    look(chromium, seen.shown.overview, seen.shown.run_id)
    chromium.sign_in(stage.stack.url, stage.stack.sign_in("ned"))
    try:
        chromium.run(f"{FRAME}.dispatchEvent(new Event('visibilitychange'))")
        assert "You may not read this" in read(chromium, "You may not read this")
    finally:
        chromium.sign_in(stage.stack.url, stage.stack.sign_in("admin"))
