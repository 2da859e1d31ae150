"""What tells one callable source from another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sfbulk.files.callable_identity import callable_identity


def read(*args: Any, **kwargs: Any) -> Iterator[dict[str, Any]]:
    yield {}


@dataclass
class Span:
    since: date
    regions: tuple[str, ...] = ()


class Reader:
    def __init__(self, table: str) -> None:
        self.table = table
        self.client = object()

    def rows(self) -> Iterator[dict[str, Any]]:
        yield {}

    __call__ = rows


class Slotted:
    __slots__ = ("table",)

    def __init__(self, table: str) -> None:
        self.table = table

    def __call__(self) -> Iterator[dict[str, Any]]:
        yield {}


def taken(table: str) -> Callable[[], Any]:
    def rows() -> Any:
        return read(table)

    return rows


def defaulted(table: str) -> Callable[..., Any]:
    def rows(name: str = table) -> Any:
        return read(name)

    return rows


KINDS: list[Callable[[str], Any]] = [
    lambda text: partial(read, text),
    lambda text: partial(read, table=text),
    lambda text: partial(partial(read, 1), [text]),
    lambda text: partial(read, {"a": {text}}),
    lambda text: partial(read, Path(text)),
    lambda text: partial(read, Span(date(2026, 1, 1), (text,))),
    lambda text: partial(read, text.encode()),
    lambda text: Reader(text).rows,
    Reader,
    Slotted,
    taken,
    defaulted,
    lambda text: lambda: read(text),
]


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_tell_a_callable_from_another_and_are_not_told(kind: Callable[[str], Any]) -> None:
    one, same, other = (callable_identity(kind(text)) for text in ("s3cr3t-a", "s3cr3t-a", "s3cr3t-b"))
    assert one == same
    assert one != other
    assert "s3cr3t" not in one


def test_a_lambda_is_told_by_its_constants() -> None:
    assert callable_identity(lambda: read("a")) != callable_identity(lambda: read("b"))


def test_a_partial_is_told_from_its_function() -> None:
    assert (
        callable_identity(read) != callable_identity(partial(read, "a")) != callable_identity(partial(read, "a", "b"))
    )
    assert callable_identity(read).startswith("<callable read ")


def test_an_object_within_an_object_does_not_count() -> None:
    one, other = Reader("a"), Reader("a")
    other.client = {"calls": 7}.__iter__()
    one.client = other.client
    assert callable_identity(one) == callable_identity(other)


def test_what_holds_itself_has_an_identity() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert callable_identity(partial(read, circle)) == callable_identity(partial(read, circle))


def test_it_is_alike_in_every_process() -> None:
    script = (
        "from functools import partial; from tests.provider.files.test_callable_identity import *;"
        "print(callable_identity(partial(read, {'b', 'a', 'c'}, Span(date(2026, 1, 1)), Reader('x').rows)))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for seed in ("1", "2")
    }
    assert len(found) == 1
