"""The list is worth what its checks find: each change must be caught by the tests of the lines that it breaks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import pytest

from tests.parity.lines import TESTS, Parity
from tests.parity.mutants import MUTANTS, Mutant

BY_PAGES: Final = {"K8", "K9", "A1", "G15", "B1"}
"""Groups whose lines pages show, or other groups' tests, too."""


def groups_of(mutant: Mutant) -> set[str]:
    return {line.partition(".")[0] for line in mutant.lines}


def one_of_each_group() -> list[Mutant]:
    """Choose as few mutants as come first, so that each group has one."""
    chosen: list[Mutant] = []
    seen: set[str] = set()
    for mutant in MUTANTS:
        if not groups_of(mutant) <= seen:
            chosen.append(mutant)
            seen |= groups_of(mutant)
    return chosen


def check(mutants: Sequence[Mutant]) -> None:
    command = [sys.executable, "-m", "tests.parity.nursery", *(mutant.what for mutant in mutants)]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, check=True)
    found = {each["what"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert set(found) == {mutant.what for mutant in mutants}
    for mutant in mutants:
        each = found[mutant.what]
        assert each["caught"] == sorted(mutant.lines), f"{mutant.what}: {each['told']}"


def test_a_change_of_each_eighth_group_is_caught_by_the_tests_of_its_lines() -> None:
    check(one_of_each_group()[::8])


@pytest.mark.long
def test_each_change_is_caught_by_the_tests_of_its_lines() -> None:
    check(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_each_change_applies(mutant: Mutant) -> None:
    (module,) = (
        path
        for end in (".py", "/__init__.py")
        if (path := TESTS.parent / "airflow_provider_sfbulk" / (mutant.module.replace(".", "/") + end)).exists()
    )
    assert module.read_text(encoding="utf-8").count(mutant.old) == 1


def test_every_group_that_tests_show_has_a_mutant() -> None:
    groups = {line.group for line in Parity().lines} - BY_PAGES
    assert groups <= {group for mutant in MUTANTS for group in groups_of(mutant)}
