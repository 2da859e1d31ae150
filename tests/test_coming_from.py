"""The pages for those who come from elsewhere: their examples are counted as they stand there. test_docs runs ours."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from tests.parity.lines import section, slug

PAGES: Final = sorted((Path(__file__).parents[1] / "docs").glob("from-*.md"))
ROW: Final = re.compile(r"^\| \[(.+?)\]\(#.+?\) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def lines_of(page: str, language: str) -> int:
    (block,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    ast.parse(block)
    return sum(bool(line.strip()) for line in block.splitlines())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_lines_of_code_are_counted_and_ours_are_not_more_than_a_few(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    rows = ROW.findall(page)
    assert len(rows) == page.count("\n### ") >= 2
    for name, theirs, ours in rows:
        example = section(page, slug(name))
        assert (lines_of(example, "py"), lines_of(example, "python")) == (int(theirs), int(ours)), name
        assert int(ours) <= int(theirs) + 1, name
