"""The documentation as a site: whole, before anything builds it."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_sfbulk import BulkIngestOperator, BulkJobSensor, BulkQueryOperator
from airflow_provider_sfbulk.operators.query import Incremental
from docs_site import error_pages, reference
from docs_site.__main__ import builder
from docs_site.assemble import CONFIGURATION, ROOT, assemble, made_pages, written_pages
from docs_site.reference import parts_of, signature_of

PICTURE = re.compile(r"!\[[^\]]*\]\((?:\.\./)*([^)\s]+)\)")


@cache
def pages() -> dict[str, str]:
    return {**written_pages(), **made_pages()}


class Loader(yaml.SafeLoader):
    """Reads the configuration without what its tags would import."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def in_navigation(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for each in entry.values() if isinstance(entry, dict) else entry:
            yield from in_navigation(each)


def test_every_page_is_in_the_navigation_once_and_is_there() -> None:
    listed = list(in_navigation(yaml.load(CONFIGURATION.read_text(encoding="utf-8"), Loader)["nav"]))
    assert len(listed) == len(set(listed))
    there = {page for page in pages() if not page.startswith("decisions/0")}  # the decisions' index lists them
    assert set(listed) == there


def test_each_decision_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "decisions").glob("0*.md")]
    assert len(numbers) == len(set(numbers))


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    assemble(tmp_path, "0.0")
    assert "No issues found" in built(tmp_path)


def test_links_that_lead_nowhere_are_errors(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Home\n\n[lost](lost.md) and [lost](index.md#lost)\n", encoding="utf-8")
    everything = CONFIGURATION.read_text(encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(everything.partition("nav:")[0], encoding="utf-8")
    with pytest.raises(AssertionError, match="2 issues found"):
        built(tmp_path)


def built(folder: Path) -> str:
    """Build the site in a folder, and give what the builder says."""
    run = subprocess.run(builder(folder / "mkdocs.yml"), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def test_every_picture_is_there() -> None:
    shown = {name for text in pages().values() for name in PICTURE.findall(text)}
    assert shown == {f"images/{each.name}" for each in (ROOT / "docs" / "images").iterdir()}


@pytest.mark.parametrize("operator", [BulkIngestOperator, BulkQueryOperator, BulkJobSensor, Incremental])
def test_every_argument_has_a_meaning(operator: type) -> None:
    said = parts_of(operator.__doc__)[1]
    names = {each.name for each in signature_of(operator.__init__) if each.kind is not each.VAR_KEYWORD}  # type: ignore[misc]
    assert names == set(said)


def test_what_is_templated_is_said_as_it_is() -> None:
    for operator in (BulkIngestOperator, BulkQueryOperator, BulkJobSensor):
        said = {name for name, text in parts_of(operator.__doc__)[1].items() if "(templated)" in text}
        assert said == set(operator.template_fields)


def test_every_error_says_what_to_do() -> None:
    assert {each.__name__ for each in error_pages.classes()} == set(error_pages.TO_DO)


def test_messages_are_found_with_their_words() -> None:
    found = error_pages.messages()
    assert sum(map(len, found.values())) > 300
    assert "sql needs sql_conn_id: the Airflow connection to run it on" in reference.pages()["reference/operators.md"]
    assert any("has been replaced by a newer one and sends nothing more" in text for text in found["FencedError"])


@pytest.mark.parametrize(
    ("written", "read"), [("'a'", "a"), ("f'no {name!r:.40} in {path}'", "no … in …"), ("'a ' + 'b' + name", "a b…")]
)
def test_what_is_filled_into_a_message_is_an_ellipsis(written: str, read: str) -> None:
    assert error_pages.template_of(ast.parse(written, mode="eval").body) == read


def test_no_page_shows_the_environment_of_its_builder() -> None:
    assert "environ({" not in "".join(made_pages().values())
