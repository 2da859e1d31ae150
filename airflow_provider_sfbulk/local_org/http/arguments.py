"""Checks arguments that came as JSON against the types that a Python function declares: a caller in another language makes
mistakes that no type checker finds."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

_SAID: Final[dict[Any, str]] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    types.NoneType: "null",
    Iterable: "a list",
    Sequence: "a list",
    Mapping: "an object",
}
"""JSON's types in words, by how Python declares them."""


def check(function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Refuse arguments of other types than a function declares. Missing ones are left to the call.

    :raises TypeError: with the name of the argument, and what it should be
    """
    hints = get_type_hints(function)
    for name, value in arguments.items():
        if name in hints and not _fits(value, hints[name]):
            raise TypeError(f"{name} must be {' or '.join(dict.fromkeys(_said(hints[name])))}")


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is Literal:
        return value in inner
    if origin in (Iterable, Sequence):
        return isinstance(value, list) and all(_fits(each, inner[0]) for each in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_fits(each, inner[1]) for each in value.values())
    return hint is Any or (type(value) in (int, float) if hint is float else type(value) is hint)


def _said(hint: Any) -> Iterable[str]:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for each in inner:
            yield from _said(each)
    elif origin is Literal:
        yield from map(repr, inner)
    elif (origin or hint) in _SAID:
        said = _SAID[origin or hint]
        below = list(_said(inner[0])) if origin in (Iterable, Sequence) else []
        yield f"{said}, each {' or '.join(below)}" if below else said
