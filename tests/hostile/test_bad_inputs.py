"""The table of bad inputs: every line comes out as it says."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sfbulk.client.effects import Reply
from tests.hostile.judge import judged
from tests.hostile.table import BAD_INPUTS
from tests.hostile.table.line import Answer


def came(given: Any) -> Any:
    """Make of a line's answer the reply that it stands for."""
    if not isinstance(given, Answer):
        return given
    headers = {name.lower(): value for name, value in {"Content-Type": given.kind, **given.headers}.items()}
    return Reply(given.status, headers, given.body.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(("what", "way", "given", "expected"), BAD_INPUTS, ids=[line[0] for line in BAD_INPUTS])
def test_a_bad_input_is_answered_as_the_table_says(what: str, way: str, given: tuple[Any, ...], expected: str) -> None:
    error = judged(way, *map(came, given))
    name, _, beginning = expected.partition(": ")
    assert type(error).__name__ == name, str(error)
    assert str(error).startswith(beginning)


def test_the_table_is_long_and_says_nothing_twice() -> None:
    names = [line[0] for line in BAD_INPUTS]
    assert len(names) >= 150
    assert len(set(names)) == len(names)
