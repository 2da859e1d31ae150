"""Identifies a callable with its arguments: the same in every process, and without revealing a value."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final
from uuid import UUID

PLAIN: Final = (
    type(None), bool, int, float, complex, str, bytes, Decimal, date, time, timedelta, tzinfo, UUID, range,
)  # fmt: skip
"""Types whose ``repr`` is complete and the same in every process."""

OWN: Final = "airflow."
"""Objects of Airflow itself, and loggers, have internal state that does not matter for what they read."""


def callable_identity(function: Any) -> str:
    """Return the name of a callable and a digest of its data: a partial's arguments, a method's object, a lambda's
    constants and closure, the attributes of a callable object.

    A function's code is not included: correcting it does not change the input. Nor are objects within objects, such as a
    client in a reader, since their state changes as they work.
    """
    inner = function
    while isinstance(inner, partial):
        inner = inner.func
    name = getattr(inner, "__qualname__", type(inner).__name__)
    try:
        written = _written_out(function)
    except RecursionError:
        written = ""
    digest = hashlib.sha256(written.encode("utf-8", "backslashreplace"))
    return f"<callable {name} {digest.hexdigest()[:32]}>"


def _written_out(value: Any, *, in_object: bool = False) -> str:
    """Write out a value's data. It is never shown, only its digest."""
    if isinstance(value, Enum):
        return f"{_name(type(value))}.{value.name}"
    if isinstance(value, PLAIN):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, os.PathLike):
        return f"path {os.fspath(value)!r}"
    if isinstance(value, (type, ModuleType, BuiltinFunctionType)):
        return _name(value)
    return _made_of(value, in_object)


def _made_of(value: Any, in_object: bool) -> str:
    written: str
    match value:
        case partial():
            written = _all(("partial", value.func, value.args, value.keywords), in_object)
        case MethodType():
            written = _all((value.__func__, value.__self__), in_object)
        case FunctionType():
            written = _of_function(value, in_object)
        case CodeType():
            written = _all((value.co_name, value.co_names, value.co_consts), in_object)
        case Mapping():
            written = f"{{{','.join(sorted(_all(item, in_object) for item in value.items()))}}}"
        case list() | tuple():
            written = _all(value, in_object)
        case set() | frozenset():
            written = f"{{{','.join(sorted(_written_out(each, in_object=in_object) for each in value))}}}"
        case _ if in_object:
            written = _name(type(value))
        case _:
            written = f"{_name(type(value))}{_all(_state_of(value), True)}"
    return written


def _of_function(function: FunctionType, in_object: bool) -> str:
    taken = [_content(cell) for cell in function.__closure__ or ()]
    code = function.__code__ if function.__name__ == "<lambda>" else None
    return _all((_name(function), code, function.__defaults__, function.__kwdefaults__, taken), in_object)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is in it yet
        return None


def _state_of(value: Any) -> Iterable[tuple[str, Any]]:
    if _name(type(value)).startswith((OWN, "logging.")):
        return ()
    if is_dataclass(value):
        return [(each.name, getattr(value, each.name, None)) for each in fields(value)]
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    state = {name: getattr(value, name) for name in slots if hasattr(value, name)} | getattr(value, "__dict__", {})
    return sorted(state.items())


def _slots(kind: type) -> Iterable[str]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots


def _all(values: Iterable[Any], in_object: bool) -> str:
    return f"({','.join(_written_out(each, in_object=in_object) for each in values)})"


def _name(value: Any) -> str:
    return (
        f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', None) or getattr(value, '__name__', '')}"
    )
