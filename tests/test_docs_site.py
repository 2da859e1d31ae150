"""The documentation as a site: whole, before anything builds it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from airflow_provider_sfbulk import BulkIngestOperator, BulkJobSensor, BulkQueryOperator
from airflow_provider_sfbulk.operators.query import Incremental
from docs_site import error_pages, reference
from docs_site.assemble import CONFIGURATION, made_pages, written_pages
from docs_site.reference import parts_of, signature_of
from tests.test_docs import anchor_of

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*?)(?: \{ #(\S+) \})?$", re.MULTILINE)
ANCHOR = re.compile(r'<a id="([^"]+)">')
FENCE = re.compile(r"^ *```.*?^ *```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


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


def test_every_link_of_the_site_leads_to_a_page_and_an_anchor() -> None:
    anchors = {
        page: {heading[1] or anchor_of(heading[0]) for heading in HEADING.findall(text)} | set(ANCHOR.findall(text))
        for page, text in pages().items()
    }
    lost = []
    for page, text in pages().items():
        for target in LINK.findall(FENCE.sub("", text)):
            if re.match(r"\w+:", target):
                continue
            path, _, anchor = target.partition("#")
            to = _joined(page, path) if path else page
            if to.startswith("images/"):
                continue
            if to not in anchors or (anchor and anchor not in anchors[to]):
                lost.append(f"{page}: {target}")
    assert not lost


def _joined(page: str, target: str) -> str:
    parts: list[str] = list(PurePosixPath(page).parent.parts)
    for part in PurePosixPath(target).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


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
