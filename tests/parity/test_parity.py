"""Every line has its check, and ``docs/parity.md`` is what lines and marks make of it."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

import pytest

from tests.parity.lines import DOCS, PAGE, Line, Parity, section

PARITY: Final = Parity()
NAMES: Final = {line.name for line in PARITY.lines}
SAID: Final = [line for line in PARITY.lines if line.says]
MUCH: Final = 15
"""Characters of the shortest reason that says anything."""


def test_the_page_is_made_of_the_lines_and_marks() -> None:
    assert PAGE.read_text(encoding="utf-8") == PARITY.page(), "run: python -m tests.parity"


@pytest.mark.parametrize("line", PARITY.lines, ids=lambda line: line.name)
def test_a_line_is_shown_or_has_a_reason(line: Line) -> None:
    assert line.state in {"done", "partly", "refused"}
    if line.state == "done":
        assert PARITY.tests.get(line.name) or line.says, "neither a test has its mark nor does a page say it"
    else:
        assert len(line.note) >= MUCH, "no reason"
    assert bool(line.page) is bool(line.says), "a page is named with what it says"


def test_a_mark_is_a_line_s() -> None:
    assert set(PARITY.tests) <= NAMES


def test_no_line_is_left_out_or_there_twice() -> None:
    for before, after in pairwise(line.place for line in PARITY.lines):
        (part, group, number), following = before, after
        assert following in {(part, group, number + 1), (part, group + 1, 1)} or following[1:] == (1, 1), following
    assert {line.group for line in PARITY.lines} | {line.part for line in PARITY.lines} == set(PARITY.titles)


@pytest.mark.parametrize("line", SAID, ids=lambda line: line.name)
def test_a_page_says_what_the_line_names(line: Line) -> None:
    assert line.missing() == []


@pytest.mark.parametrize("line", SAID, ids=lambda line: line.name)
def test_a_page_without_a_phrase_is_noticed(line: Line) -> None:
    name, _, anchor = line.page.partition("#")
    page = (DOCS / name).read_text(encoding="utf-8")
    for phrase in line.says:
        pattern = re.compile(r"\s+".join(re.escape(word) for word in phrase.split()))
        kept = section(page, anchor)
        assert line.missing({name: page.replace(kept, pattern.sub("", kept))}) != []


def test_the_page_of_what_is_supported_counts_the_same_lines() -> None:
    assert f", {len(PARITY.lines)} lines of it" in (DOCS / "supported.md").read_text(encoding="utf-8")
