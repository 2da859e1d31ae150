"""The list is worth what its checks find: each change must be caught by the tests of the lines that it breaks."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

from tests.parity.lines import TESTS, Parity
from tests.parity.mutants import MUTANTS

BY_PAGES: Final = {"K8", "K9", "A1", "G15", "B1"}
"""Groups whose lines pages show, or other groups' tests, too."""


def test_each_change_is_caught_by_the_tests_of_its_lines() -> None:
    command = [sys.executable, "-m", "tests.parity.nursery"]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, check=True)
    found = {each["what"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert set(found) == {mutant.what for mutant in MUTANTS}
    for mutant in MUTANTS:
        each = found[mutant.what]
        assert each["caught"] == sorted(mutant.lines), f"{mutant.what}: {each['told']}"


def test_every_group_that_tests_show_has_a_mutant() -> None:
    groups = {line.group for line in Parity().lines} - BY_PAGES
    assert groups <= {line.partition(".")[0] for mutant in MUTANTS for line in mutant.lines}
