"""The lines, the marks of the tests, and the page that is made of them and of the mutants."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from tests.parity.mutants import MUTANTS

TESTS: Final = Path(__file__).parents[1]
DOCS: Final = TESTS.parent / "docs"
PAGE: Final = DOCS / "parity.md"
NAMED_TESTS: Final = 3
"""Tests that the page names for a line."""

_LINE: Final = re.compile(r"([A-Z])(\d+)\.(\d+)")


@dataclass(frozen=True)
class Line:
    """A line of a document.

    :ivar text: what it names
    :ivar state: ``done``, ``partly`` or ``refused``
    :ivar note: its name here, or the reason for what is not done
    :ivar page: page of ``docs``, with a section, that says it
    :ivar says: phrases that the section has
    """

    name: str
    text: str
    state: str = "done"
    note: str = ""
    page: str = ""
    says: tuple[str, ...] = ()

    @property
    def part(self) -> str:
        return self.name[0]

    @property
    def group(self) -> str:
        return self.name.partition(".")[0]

    @property
    def place(self) -> tuple[str, int, int]:
        found = _LINE.fullmatch(self.name)
        assert found is not None, self.name
        return found[1], int(found[2]), int(found[3])

    def missing(self, pages: Mapping[str, str] | None = None) -> list[str]:
        """The phrases that its section does not say.

        :param pages: texts of pages instead of the files
        """
        name, _, anchor = self.page.partition("#")
        text = (pages or {}).get(name) or (DOCS / name).read_text(encoding="utf-8")
        found = _words(section(text, anchor))
        return [phrase for phrase in self.says if _words(phrase) not in found]


class Parity:
    """All lines with their tests."""

    @cached_property
    def _data(self) -> dict[str, Any]:
        return tomllib.loads((TESTS / "parity" / "lines.toml").read_text(encoding="utf-8"))

    @cached_property
    def lines(self) -> list[Line]:
        return [
            Line(name, **{**known, "says": tuple(known.get("says", ()))})
            for name, known in self._data.items()
            if name != "titles"
        ]

    @property
    def titles(self) -> dict[str, str]:
        titles: dict[str, str] = self._data["titles"]
        return titles

    @cached_property
    def tests(self) -> dict[str, list[str]]:
        """Tests by the lines that they show, as pytest names them, below ``tests``."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in sorted(TESTS.rglob("test_*.py")):
            source = path.read_text(encoding="utf-8")
            if "mark.parity" in source:
                for test, names in _marks(ast.parse(source)):
                    for name in names:
                        found[name].append(f"{path.relative_to(TESTS).as_posix()}::{test}")
        return found

    def page(self) -> str:
        """The text of ``docs/parity.md``."""
        counts = Counter(line.state for line in self.lines)
        out = [
            "# Line by line: what two clients and the guide of Bulk API 1.0 offer",
            "",
            "<!-- Made by `python -m tests.parity` of tests/parity/lines.toml and mutants.py, and the tests' marks. -->",
            "",
            "Everything that the documents of two Python clients for Bulk API 2.0 and Salesforce's guide of Bulk API 1.0",
            "name, and where it is here: the tests (in `tests/`) or the page that show it.",
            f"Of {len(self.lines)} lines **{counts['done']} are done, {counts['partly']} partly, "
            f"{counts['refused']} refused**,",
            "each of the latter with its reason. Each line is checked: a test carries its mark, or its page has to say it.",
            "",
            "Coming from one of them: [kinetic-core](from-kinetic-core.md), [aiosalesforce](from-aiosalesforce.md), "
            "[a program for Bulk API 1.0](from-bulk-api-1.md).",
        ]
        part = group = ""
        for line in self.lines:
            if line.part != part:
                part = line.part
                out += ["", f"## {self.titles[part]}"]
            if line.group != group:
                group = line.group
                out += ["", f"### {self.titles[group]}", "", "| | | | |", "| --- | --- | --- | --- |"]
            out.append(f"| {line.name} | {line.text} | {line.state} | {self._where(line)} |")
        return "\n".join([*out, *self._changes()]) + "\n"

    def _changes(self) -> Iterator[str]:
        """Write which changes of the code the tests of the lines catch, by group."""
        yield from ("", "## Changes that are caught", "")
        yield f"Each of {len(MUTANTS)} changes of the code, some for every group that tests show, must fail a test of each"
        yield "line that it breaks (`make campaign`; `make test` tries a few of them). A phrase that a page has to say is"
        yield "missed when it is taken out."
        yield from ("", "| | | |", "| --- | --- | --- |")
        for group in dict.fromkeys(line.group for line in self.lines):
            of_group = [each for each in MUTANTS if any(line.partition(".")[0] == group for line in each.lines)]
            if of_group:
                yield f"| {group} | {self.titles[group]} | {'; '.join(each.what for each in of_group)} |"

    def _where(self, line: Line) -> str:
        tests = self.tests.get(line.name, [])
        shown = [line.note] if line.note else []
        if line.page:
            shown.append(f"[{line.page.partition('.')[0].replace('-', ' ')}]({line.page})")
        shown += [f"`{test}`" for test in tests[:NAMED_TESTS]]
        if len(tests) > NAMED_TESTS:
            shown.append(f"{len(tests) - NAMED_TESTS} more")
        return "; ".join(shown)


def section(page: str, anchor: str) -> str:
    """The part of a page under a heading, those below it included; the whole page for no anchor."""
    if not anchor:
        return page
    lines = page.splitlines()
    for start, line in enumerate(lines):
        if line.startswith("#") and slug(line.lstrip("#").strip()) == anchor:
            depth = len(line) - len(line.lstrip("#"))
            rest = lines[start + 1 :]
            ends = (n for n, each in enumerate(rest) if re.match(rf"#{{1,{depth}}} ", each))
            return "\n".join(rest[: next(ends, len(rest))])
    raise LookupError(f"there is no section {anchor}")


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _words(text: str) -> str:
    return " ".join(text.split())


def _marks(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.parity":
                    given = ast.fix_missing_locations(ast.Expression(ast.Tuple(mark.args, ast.Load())))
                    yield node.name, list(eval(compile(given, "<marks>", "eval"), {"__builtins__": {}}))
