"""A pytest plugin (``-p tests.parity.mutate``): runs the tests of a mutant's lines against the mutated source, and says
which of the lines have failed.

The mutant is the JSON of ``SFBULK_MUTANT``; the lines that failed are written to ``SFBULK_CAUGHT``. The source is changed
while it is imported, so that whoever imports the module gets the changed one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

import pytest

MUTANT: Final[dict[str, Any]] = json.loads(os.environ["SFBULK_MUTANT"])
MODULE: Final = f"airflow_provider_sfbulk.{MUTANT['module']}"
CAUGHT: Final[set[str]] = set()


class Changed(SourceFileLoader):
    """Loads a module whose text is not the file's."""

    def get_code(self, fullname: str) -> CodeType:
        text = Path(self.path).read_text(encoding="utf-8")
        return self.source_to_code(text.replace(MUTANT["old"], MUTANT["new"]).encode(), self.path)


class Finder(MetaPathFinder):
    """Finds the mutant's module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = Changed(fullname, spec.origin)
        return spec


assert MODULE not in sys.modules, "the mutant comes too late"
sys.meta_path.insert(0, Finder())


def _lines(item: pytest.Item) -> set[str]:
    return {line for mark in item.iter_markers("parity") for line in mark.args} & set(MUTANT["lines"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if not _lines(item)])
    # What sends nothing first: it is the quickest.
    items[:] = sorted((item for item in items if _lines(item)), key=lambda item: "org" in item.fixturenames)  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed:
        CAUGHT.update(_lines(item))
        if set(MUTANT["lines"]) <= CAUGHT:
            item.session.shouldstop = "all lines are caught"
    return report


def pytest_sessionfinish() -> None:
    Path(os.environ["SFBULK_CAUGHT"]).write_text(json.dumps(sorted(CAUGHT)), encoding="utf-8")
