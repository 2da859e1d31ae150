"""The list of all tasks in a real browser, with more tasks than it shows at once.

Airflow's REST API is pretended here: so many loads would take an hour.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_sfbulk.plugin import PREFIX
from tests.airflow.page.browser import Browser, find_chromium

TASKS: Final = 230
ODD_ONE: Final = 170
"""Place of the one that failed: far behind those that are shown."""


class PretendedAirflow(BaseHTTPRequestHandler):
    """Answers what the page asks of Airflow."""

    app: Any

    def do_GET(self) -> None:
        """Answer."""
        url = urlsplit(self.path)
        name = url.path.rpartition("/")[2]
        if url.path.startswith(f"/{PREFIX}/"):
            page = (
                self.app.SHELL.format(view="jobs", up="")
                if name == "jobs"
                else (self.app.STATIC / name).read_text(encoding="utf-8")
            )
            self._reply(page, self.app.FILES.get(name, "text/html"))
        elif name == "xcomEntries":
            query = {key: int(values[0]) for key, values in parse_qs(url.query).items() if values[0].isdecimal()}
            last = min(TASKS, query["offset"] + min(query["limit"], 100))
            entries = [self._entry(number) for number in range(query["offset"], last)]
            self._reply(json.dumps({"xcom_entries": entries, "total_entries": TASKS}))
        elif "/xcomEntries/" in url.path:
            errors = {"UNABLE_TO_LOCK_ROW": 3} if self._is_odd() else {}
            told = {
                "operation": "insert",
                "sobject": "Account",
                "processed": 9,
                "failed": 3 * len(errors),
                "errors": errors,
            }
            self._reply(json.dumps({"value": told}))
        else:
            self._reply(json.dumps({"state": "failed" if self._is_odd() else "success"}))

    def _is_odd(self) -> bool:
        return f"/task_{ODD_ONE}" in self.path

    @staticmethod
    def _entry(number: int) -> dict[str, Any]:
        ids = {"dag_id": "nightly", "run_id": "run", "task_id": f"task_{number}", "map_index": -1}
        return {**ids, "timestamp": "2026-03-04T05:06:07Z"}

    def _reply(self, text: str, kind: str = "application/json") -> None:
        self.send_response(200)
        for header, value in {**self.app.HEADERS, "Content-Type": kind}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output to themselves."""


class Server(ThreadingHTTPServer):
    request_queue_size = 128


@pytest.fixture(scope="module")
def overview() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium was found: set CHROMIUM to its path")
    # It imports Airflow's API server, which a process that only collects this test has no use for.
    from airflow_provider_sfbulk.plugin import app

    PretendedAirflow.app = app
    server = Server(("127.0.0.1", 0), PretendedAirflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Browser(path) as browser:
        browser.open(f"http://127.0.0.1:{server.server_port}/{PREFIX}/jobs")
        yield browser
    server.shutdown()
    server.server_close()


def wait_for_tasks(browser: Browser, first: list[str], count: int, status: str = "") -> None:
    """Wait until so many lines are there, these first, and the filter says so."""
    browser.wait_for(
        f"((names) => names.length === {count} && names.slice(0, {len(first)}).join() === {json.dumps(','.join(first))})"
        "([...document.querySelectorAll('tbody tr td:first-child')].map((each) => each.innerText.trim()))"
        f" && document.querySelector('[role=status]').innerText === {json.dumps(status)}"
    )


def choose(browser: Browser, words: str = "", state: str = "", *, failed_first: bool = False) -> None:
    """Set the filter, as a user would."""
    for element, name, value in (
        ("input[type=search]", "value", words),
        ("select", "value", state),
        ("input[type=checkbox]", "checked", failed_first),
    ):
        kind = "input" if element.endswith("search]") else "change"
        browser.run(
            f"((each) => {{ each.{name} = {json.dumps(value)}; each.dispatchEvent(new Event('{kind}')) }})"
            f"(document.querySelector('{element}'))"
        )


def turn_over(browser: Browser) -> None:
    """Click "Older"."""
    browser.run("[...document.querySelectorAll('nav button')].at(-1).click()")


def test_a_page_of_tasks_is_shown_at_once(overview: Browser) -> None:
    wait_for_tasks(overview, ["task_0"], 50)
    turn_over(overview)
    wait_for_tasks(overview, ["task_50"], 50)


@pytest.mark.parametrize("chosen", [{"words": "lock_row"}, {"state": "failed"}, {"words": f"nightly _{ODD_ONE}"}])
def test_the_filter_finds_what_is_far_behind(chosen: dict[str, str], overview: Browser) -> None:
    choose(overview)
    wait_for_tasks(overview, ["task_0"], 50)
    choose(overview, **chosen)
    wait_for_tasks(overview, [f"task_{ODD_ONE}"], 1, f"1 of {TASKS} tasks")


def test_what_failed_comes_first_of_all(overview: Browser) -> None:
    choose(overview, failed_first=True)
    wait_for_tasks(overview, [f"task_{ODD_ONE}", "task_0"], 50, f"{TASKS} of {TASKS} tasks")


def test_what_is_found_is_turned_over_like_the_rest(overview: Browser) -> None:
    choose(overview, words="task_1")
    wait_for_tasks(overview, ["task_1", "task_10"], 50, f"111 of {TASKS} tasks")
    turn_over(overview)
    wait_for_tasks(overview, ["task_139"], 50, f"111 of {TASKS} tasks")
    choose(overview)
    wait_for_tasks(overview, ["task_0"], 50)
