"""Checks of the arguments of the clients' calls.

An argument's name means the same in every call, so there is one check for each name. Other arguments are checked where
they are used: records and data in ``given.py``, objects and operations in ``IngestSpec`` and ``Bulk1JobSpec``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter, iscoroutinefunction, signature
from typing import Any, Final

from airflow_provider_sfbulk.client.arguments import (
    Check,
    column_mapping,
    column_names,
    count,
    each_once,
    field_name,
    flag,
    function,
    meant,
    nulls,
    one_of,
    optional,
    seconds,
    shown,
    timezone,
    word,
)
from airflow_provider_sfbulk.client.errors import ProtocolError, SourceError
from airflow_provider_sfbulk.client.faces import options
from airflow_provider_sfbulk.client.models import SOURCE_FORMATS, check_id
from airflow_provider_sfbulk.client.waiting.schedule import Schedule

_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def _id_of(what: str) -> Check:
    def check(name: str, value: Any) -> str:
        try:
            return check_id(value, what=what)
        except ProtocolError as error:
            raise SourceError(f"{name} is {error}") from None

    return check


job_id: Final = _id_of("job id")
"""Checks the id of a job, a batch or a result."""

rule_id: Final = _id_of("id of an assignment rule")


def _schedule(name: str, value: Any) -> Schedule:
    if not isinstance(value, Schedule):
        raise SourceError(f"{name} is a Schedule(…), not {shown(value)}")
    return value


CHECKS: Final[Mapping[str, Check]] = {
    "job_id": job_id,
    "batch_id": job_id,
    "result_id": job_id,
    "external_id_field": optional(field_name),
    "assignment_rule_id": optional(rule_id),
    "include_deleted": flag,
    "wait": flag,
    "skip_unchanged": flag,
    "compress": flag,
    "batch_retry": flag,
    "is_pk_chunking_enabled": optional(flag),
    "job_type": optional(word),
    "max_records": optional(count()),
    "timeout": optional(seconds(zero=True)),
    "on_progress": optional(function),
    "schedule": _schedule,
    "source_format": optional(one_of(SOURCE_FORMATS)),
    "column_mapping": optional(column_mapping),
    "nulls": nulls,
    "timezone": optional(timezone),
    "columns": optional(each_once(column_names)),
}


def keywords(called: Callable[..., Any]) -> frozenset[str] | None:
    """Name the arguments that may be named in a call of a method, also behind ``**options: Unpack[…]``; None for any."""
    found: set[str] = set()
    for each in signature(called).parameters.values():
        if each.kind is Parameter.VAR_KEYWORD:
            behind = getattr(options, str(each.annotation).removeprefix("Unpack[").removesuffix("]"), None)
            if behind is None:
                return None
            found |= behind.__annotations__.keys()
        elif each.kind is not Parameter.POSITIONAL_ONLY:
            found.add(each.name)
    return frozenset(found)


def refuse_unknown(called: str, named: Iterable[str], known: frozenset[str] | None) -> None:
    """Refuse names that are no argument of a call, as Python does, but with the one that was meant.

    :param called: name of the method
    :param known: from :func:`keywords`
    :raises TypeError: naming the argument
    """
    for name in named:
        if known is not None and name not in known:
            raise TypeError(f"{called}() has no argument {name!r:.60}{meant(name, known)}")


def positions(called: Callable[..., Any]) -> Sequence[str]:
    """Name the arguments of a method that need not be named, from the one after ``self``."""
    return [each.name for each in signature(called).parameters.values() if each.kind in _POSITIONAL][1:]


def checked(names: Sequence[str], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Check the arguments of a call, and give them as they are used from then on.

    :param names: of those that are not named in the call
    :raises SourceError: naming the argument
    """
    known = [*names, *[""] * (len(args) - len(names))]
    given = [check(name, value) for name, value in zip(known, args, strict=False)]
    return given, {name: check(name, value) for name, value in kwargs.items()}


def without_async(given: Mapping[str, Any]) -> None:
    """Refuse a function that only an event loop can await.

    :raises SourceError: naming the argument
    """
    for name, value in given.items():
        if iscoroutinefunction(value):
            raise SourceError(f"{name} is an async function, which only AsyncBulkClient awaits: pass an ordinary one")


def check(name: str, value: Any) -> Any:
    """Check one argument."""
    return CHECKS[name](name, value) if name in CHECKS else value
