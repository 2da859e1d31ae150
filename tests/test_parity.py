"""``docs/parity.md``: its counts are right, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parent
PAGE: Final = (TESTS.parent / "docs" / "parity.md").read_text(encoding="utf-8")
LINE: Final = re.compile(r"^\| ([KAIG])(\d+)\.(\d+) \| (.+?) \| (\w+) \| (.*) \|$", re.MULTILINE)
LINES: Final = [match.groups() for match in LINE.finditer(PAGE)]
NAMED: Final = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
MUCH: Final = 15
"""Characters of the shortest reason that says anything."""


def test_every_line_has_a_state_and_a_place_or_a_reason() -> None:
    assert len(LINES) == PAGE.count("\n| K") + PAGE.count("\n| A") + PAGE.count("\n| I") + PAGE.count("\n| G")
    for part, group, number, _, state, where in LINES:
        line = f"{part}{group}.{number}"
        assert state in {"done", "partly", "refused"}, line
        assert len(where) >= MUCH, line


def test_no_line_is_left_out_or_there_twice() -> None:
    places = [(part, int(group), int(number)) for part, group, number, *_ in LINES]
    for before, after in pairwise(places):
        (part, group, number), following = before, after
        assert following in {(part, group, number + 1), (part, group + 1, 1)} or following[1:] == (1, 1), following


def test_the_counts_are_those_of_the_lines() -> None:
    counts = Counter(line[4] for line in LINES)
    told = re.search(r"Of (\d+) lines \*\*(\d+) are done, (\d+) partly, (\d+) refused\*\*", PAGE)
    assert told is not None
    assert f", {len(LINES)} lines of it" in (TESTS.parent / "docs" / "supported.md").read_text(encoding="utf-8")
    assert tuple(map(int, told.groups())) == (len(LINES), counts["done"], counts["partly"], counts["refused"])


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_is_there(path: str, name: str) -> None:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
