"""What the client says: of Salesforce and of files. Airflow's words are the operators' (``task/failures.py``)."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from airflow_provider_sfbulk.client import errors

PACKAGE: Final = Path(errors.__file__).parents[1]
CLIENT: Final = sorted((PACKAGE / "client").rglob("*.py"))

AIRFLOW: Final = re.compile(
    r"\b(?:DAGs?|tasks?|retry|retries|XComs?|operators?|hooks?|sensors?|trigger(?:er)?s?|Airflow|connection id|conn_id)\b"
    # Fields are cleared, too.
    r"|\bclear(?:ing)? (?:it|them)\b",
    re.IGNORECASE,
)


def texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Give the texts of several words below a node, f-strings as one, docstrings left out."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, (ast.JoinedStr, ast.Constant)):
        pieces = node.values if isinstance(node, ast.JoinedStr) else [node]
        text = "".join(
            str(each.value) if isinstance(each, ast.Constant) and isinstance(each.value, str) else "…"
            for each in pieces
        )
        if " " in text:
            yield node.lineno, text
    for child in ast.iter_child_nodes(node):
        yield from texts(child)


def arguments(paths: list[Path]) -> set[str]:
    """Give the names of all parameters and fields."""
    found: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
    return found


@pytest.fixture(scope="module")
def theirs() -> set[str]:
    """Give the arguments that only operators have."""
    of_operators = arguments([*(PACKAGE / "operators").glob("*.py")])
    return {name for name in of_operators if "_" in name.strip("_")} - arguments(CLIENT)


@pytest.mark.parametrize("path", CLIENT, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_message_of_the_client_has_no_word_of_airflow(path: Path, theirs: set[str]) -> None:
    found = texts(ast.parse(path.read_text(encoding="utf-8")))
    wrong = [(line, text) for line, text in found if AIRFLOW.search(text) or theirs & set(re.findall(r"\w+", text))]
    assert wrong == []


def test_an_error_is_explained_without_a_word_of_airflow() -> None:
    """``sfbulk explain`` prints the first lines of their docstrings."""
    kinds = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, errors.SfBulkError)]
    assert [each for each in kinds if AIRFLOW.search(inspect.getdoc(each) or "")] == []
