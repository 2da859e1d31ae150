"""What the arguments of the clients' calls may be.

A name means the same wherever it is an argument, so there is one check a name. What is not here is checked by what it is
given to: records and data (``given.py``), objects and operations (``IngestSpec``, ``Bulk1JobSpec``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, Final

from airflow_provider_sfbulk.client.arguments import (
    Check,
    column_mapping,
    column_names,
    count,
    field_name,
    flag,
    function,
    nulls,
    one_of,
    optional,
    seconds,
    shown,
    text,
    timezone,
    word,
)
from airflow_provider_sfbulk.client.errors import ProtocolError, SourceError
from airflow_provider_sfbulk.client.models import SourceFormat, check_id
from airflow_provider_sfbulk.client.waiting.schedule import Schedule

_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def job_id(name: str, value: Any) -> str:
    """Check the id of a job, a batch or a result."""
    try:
        return check_id(value)
    except ProtocolError as error:
        raise SourceError(f"{name} is {error}") from None


def _schedule(name: str, value: Any) -> Schedule:
    if not isinstance(value, Schedule):
        raise SourceError(f"{name} is a Schedule(…), not {shown(value)}")
    return value


CHECKS: Final[Mapping[str, Check]] = {
    "job_id": job_id,
    "batch_id": job_id,
    "result_id": job_id,
    "external_id_field": optional(field_name),
    "assignment_rule_id": optional(text),
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
    "source_format": optional(one_of(SourceFormat)),
    "column_mapping": optional(column_mapping),
    "nulls": nulls,
    "timezone": optional(timezone),
    "columns": optional(column_names),
}


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


def check(name: str, value: Any) -> Any:
    """Check one argument."""
    return CHECKS[name](name, value) if name in CHECKS else value
