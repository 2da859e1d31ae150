"""The list of what the local org does as Salesforce does names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parents[1] / "docs" / "local-org-conformance.md"
ROWS = [
    line
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| .* \| (done|partly|refused) \|", line)
]
DEFINED = {
    name
    for path in TESTS.rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
}


def test_the_list_is_as_long_as_the_facts() -> None:
    assert len(ROWS) >= 70


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:60])
def test_a_fact_has_a_test_or_a_reason(row: str) -> None:
    fact, state, test = (cell.strip() for cell in row.strip("|").split(" | "))
    named = set(re.findall(r"`(test_\w+)`", test))
    assert named <= DEFINED, f"{fact}: no such test: {named - DEFINED}"
    assert named or (state != "done" and len(test) > 10), fact
