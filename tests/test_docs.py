"""What the documentation shows is run, and what it points to is there."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults.kinds import Kind
from airflow_provider_sfbulk.local_org.http.loopback_routes import LEVERS
from airflow_provider_sfbulk.local_org.http.routes import ROUTES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

PLUGIN = ["-p", "airflow_provider_sfbulk.local_org.pytest_plugin"]
"""For runs in which the package is not installed, so that pytest does not find its plugin."""

_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block."""

    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(language: str) -> list[Block]:
    """Find the blocks of a language in all pages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            if match["language"] == language:
                line = text.count("\n", 0, match.start("text")) + 1
                found.append(Block(page, line, textwrap.dedent(match["text"])))
    return found


def links() -> Iterator[tuple[str, str]]:
    """Find the links of all pages that do not leave the repository."""
    for page in PAGES:
        for match in _LINK.finditer(_BLOCK.sub("", page.read_text(encoding="utf-8"))):
            if not re.match(r"\w+:", match["target"]):
                yield str(page.relative_to(ROOT)), match["target"]


def test_there_is_something_to_run() -> None:
    assert len(blocks("python")) >= 5
    assert len(blocks("json")) >= 1


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_runs(
    block: Block,
    salesforce_org: LocalOrg,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "snippet"}
    # As many empty lines before as the page has, so that an error names the page's own line.
    exec(compile("\n" * (block.line - 1) + block.text, block.page, "exec"), names)  # the page is ours
    for name, test in names.items():
        if name.startswith("test_") and callable(test):
            _run_test(test, request)


def test_the_hook_s_snippets_do_what_their_pages_say(
    salesforce_org: LocalOrg, capsys: pytest.CaptureFixture[str]
) -> None:
    (load,) = [
        each for each in blocks("python") if "SalesforceBulkHook().insert(" in each.text and each.page.stem == "ingest"
    ]
    (query,) = [each for each in blocks("python") if "hook.query(" in each.text]
    exec(compile(load.text, load.page, "exec"), {})
    ids = {record["Name"]: record["Id"] for record in salesforce_org.records("Account")}
    # Airflow writes its log to the same place.
    assert {"2 0", ids["Umbrella Stand Co"], ids["Parasol Works"]} <= set(capsys.readouterr().out.splitlines())
    names: dict[str, Any] = {}
    exec(compile(query.text, query.page, "exec"), names)
    assert {"Umbrella Stand Co", "Parasol Works"} <= set(capsys.readouterr().out.splitlines())
    assert sorted(names["frame"]["Id"]) == sorted(ids.values())


def test_the_complete_example_runs_in_an_airflow_of_its_own(tmp_path: Path, airflow_database: Path) -> None:
    """Blocks in ``py`` are files: their first line is a comment with the name. Other clients' code is in ``py``, too."""
    for block in blocks("py"):
        if block.page.name.startswith("from-"):
            continue
        name = re.match("# (.+)\n", block.text)
        assert name is not None, block
        path = tmp_path / name[1]
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "accounts.csv").write_text(
        "Name,External_Key__c\nUmbrella Stand Co,A-1\nParasol Works,A-2\n", encoding="utf-8"
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        "AIRFLOW_HOME": str(tmp_path / ".airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(ROOT),
    }
    (tmp_path / ".airflow").mkdir()
    shutil.copy(airflow_database, tmp_path / ".airflow")
    plugin = [] if "salesforce_org" in {point.name for point in entry_points(group="pytest11")} else PLUGIN
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.client.waiting.pauses",
        *plugin,
    ]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert re.search(r"\b2 passed\b", run.stdout), run.stdout[-4000:]


def test_every_route_is_in_the_local_org_s_page() -> None:
    page = (ROOT / "docs" / "local-org.md").read_text(encoding="utf-8")
    assert [route.name for route in ROUTES if f"`{route.name}`" not in page] == []


def test_every_lever_and_kind_of_fault_is_in_the_local_org_s_page() -> None:
    page = (ROOT / "docs" / "local-org.md").read_text(encoding="utf-8")
    assert [name for name in LEVERS if f"`{name}`" not in page or f"org.{name}(" not in page] == []
    assert [kind for kind in get_args(Kind) if f"| `{kind}` |" not in page] == []


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize(("page", "target"), sorted(set(links())))
def test_links_lead_somewhere(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    found = (ROOT / page).parent / path if path else ROOT / page
    assert found.exists(), f"{page} points to {target}"
    if anchor:
        assert anchor in {anchor_of(heading) for heading in _HEADING.findall(found.read_text(encoding="utf-8"))}


def _run_test(test: Callable[..., Any], request: pytest.FixtureRequest) -> None:
    """Run a test that a page shows, with the fixtures that it names."""
    test(**{name: request.getfixturevalue(name) for name in inspect.signature(test).parameters})


def anchor_of(heading: str) -> str:
    """Give the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
