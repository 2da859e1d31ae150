"""The table of an operator's arguments: a check for each, and which of them cannot be combined.

The checks run twice. The constructor checks everything that is known when the DAG is parsed: a mistake is an import
error, which CI sees. When the task begins, before anything is sent, it checks the values that were templates or outputs
of other tasks until then. A mapped operator is constructed in the worker, so both happen at the same time there; its
``partial`` checks its own arguments when the DAG is parsed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from airflow.sdk import BaseOperator

from airflow_provider_sfbulk.arguments.templates import is_reference
from airflow_provider_sfbulk.client.arguments import Check, meant
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.files.paths import is_path, path_text

MARKS: Final = ("{{", "{%", "{#")
"""What begins a template in a text."""


MEANT: Final[Mapping[str, str]] = {
    "query": "soql",
    "salesforce_query": "soql",
    "object": "sobject",
    "object_name": "sobject",
    "payload": "source",
}
"""Arguments of other operators for Salesforce, and what they are called here."""

Clash: TypeAlias = tuple[Callable[[Any], object], str]
"""Arguments that do not go together: whether an operator has them, and what to say."""


@dataclass(frozen=True)
class Arguments:
    """The arguments of one class.

    :param checks: by name, see :mod:`airflow_provider_sfbulk.client.arguments`
    :param clashes: looked at when every single argument is right
    """

    checks: Mapping[str, Check]
    clashes: Sequence[Clash]

    def apply(self, operator: Any, *, rendered: bool) -> None:
        """Check an operator's arguments, and set each as its check gives it back.

        :param rendered: whether the template fields hold their values by now
        :raises SourceError: naming the argument
        """
        for name in operator.returned_nothing if rendered else ():
            # Else the argument would count as not given, and something else would be done.
            raise SourceError(f"{name} is None: the task that it comes from returned nothing, or was skipped")
        for name, check in self.checks.items():
            value = getattr(operator, name)
            if not rendered and name in operator.template_fields and waits_for_rendering(value, operator.template_ext):
                continue
            if rendered and name in operator.template_fields and name not in operator.native_fields:
                refuse_none(name, value)
            kept = self._checked(name, value, check, operator.template_fields)
            if kept is not value:
                setattr(operator, name, kept)
        for has, message in self.clashes:
            if has(operator):
                raise SourceError(message)

    def check_partial(
        self, given: Mapping[str, Any], template_fields: Collection[str] = (), ends: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Check what is known of a mapped operator when the DAG is parsed: its own arguments, each by itself.

        :return: these, as their checks give them back
        :raises SourceError: naming the argument
        """
        return {
            name: self._checked(name, given[name], self.checks[name], template_fields)
            for name in self.checks.keys() & given.keys()
            if not (name in template_fields and waits_for_rendering(given[name], ends))
        }

    def _checked(self, name: str, value: Any, check: Check, template_fields: Collection[str]) -> Any:
        if name not in template_fields:
            if is_reference(value):
                raise SourceError(
                    f"{name} is not a template field, so it cannot take another task's output. Pass its value, or map the "
                    f"task over it with .expand({name}=…)"
                )
            if isinstance(value, str) and any(mark in value for mark in MARKS):
                raise SourceError(
                    f"{name} is not a template field, so {value!r:.40} would not be rendered: pass the value itself"
                )
        return check(name, value)


def refuse_none(name: str, value: Any) -> None:
    """Refuse what a template makes of None."""
    if isinstance(value, str) and value.strip() == "None":
        raise SourceError(f"{name} is the string None: if it comes from a task before, that task returned nothing")


def waits_for_rendering(value: Any, ends: Sequence[str] = ()) -> bool:
    """Whether a template field's value is not known before the task runs.

    :param ends: of names of files that hold the text
    """
    if isinstance(value, str):
        return any(mark in value for mark in MARKS) or (bool(ends) and value.endswith(tuple(ends)))
    if isinstance(value, (list, tuple)):
        return any(waits_for_rendering(each) for each in value)
    return waits_for_rendering(path_text(value)) if is_path(value) else is_reference(value)


def check_known(operator_class: type, given: Iterable[str]) -> None:
    """Check that the arguments left over are Airflow's own.

    Airflow's own message for one that is not would show its value, which may be records.

    :raises TypeError: naming the argument that was meant
    """
    known = {
        name
        for each in operator_class.__mro__
        if issubclass(each, BaseOperator) and "__init__" in vars(each)
        for name in inspect.signature(each.__init__).parameters
    } - {"self", "kwargs"}
    for name in given:
        if name not in known and not name.startswith("_"):
            ours = MEANT.get(name)
            hint = f": did you mean {ours!r}?" if ours in known else meant(name, known)
            raise TypeError(f"{operator_class.__name__} has no argument {name!r:.60}{hint}")
