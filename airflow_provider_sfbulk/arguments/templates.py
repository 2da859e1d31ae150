"""How the template fields of operators are rendered: each with the type that it needs.

Airflow renders all fields alike, by the DAG's environment: as texts, or with ``render_template_as_native_obj=True`` as
whatever Python literal a text happens to be, so that the account ``"None"`` becomes null and ``"42"`` a number. It also
calls every callable that it finds in a field. Here

* a text without a template in it is never touched;
* the SOQL, names, ids and paths are texts, whatever the DAG says;
* a value that is bound (``soql_params``, ``sql_parameters``) has the type of its expression when it is one expression
  (``"{{ data_interval_start }}"`` is a datetime), and is a text otherwise;
* records and job ids are rendered as the DAG says, since with native rendering a template can give a list;
* a name that nobody has defined is an error, also where the DAG's ``template_undefined`` lets it pass.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.sdk import BaseOperator, ObjectStoragePath, XComArg

from airflow_provider_sfbulk.arguments.hidden import HiddenTemplate, HiddenValue
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.soql import soql_literal
from airflow_provider_sfbulk.files.paths import is_path, path_text, rendered

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context


class TypedTemplates(BaseOperator):
    """An operator whose fields are rendered so."""

    native_fields: ClassVar[Collection[str]] = ()
    """Fields that are rendered as the DAG says."""

    returned_nothing: Collection[str] = ()
    """Fields that are the output of a task which had none."""

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        # Airflow's own point to come in, for mapped operators too (see MappedOperator.render_template_fields, 3.3.2).
        if parent is not self:
            super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
            return
        nothing: list[str] = []
        rendering = _Rendering(self, context, jinja_env, seen_oids)
        for name, value in self._iter_templated_fields(parent, template_fields):
            try:
                new = rendering.field(name, value, is_native=name in self.native_fields)
            except Exception as error:
                error.add_note(f"while the template field {name} of task {self.task_id} was rendered")
                raise
            if new is not value:
                setattr(parent, name, new)
            if new is None and isinstance(value, XComArg):
                nothing.append(name)
        self.returned_nothing = nothing


class _Rendering:
    """The rendering of one task's fields."""

    def __init__(
        self, operator: TypedTemplates, context: Context, env: jinja2.Environment, seen_oids: set[int]
    ) -> None:
        self._operator = operator
        self._context = context
        self._seen = seen_oids
        """Values that came from other tasks, which are no templates."""
        self._strict = _strict(env)
        self._exact = _exact(env)
        self._marks = (env.variable_start_string, env.block_start_string, env.comment_start_string)

    def field(self, name: str, value: Any, *, is_native: bool) -> Any:
        """Render one field."""
        if isinstance(value, HiddenTemplate):
            return self._holder(value)
        if isinstance(value, HiddenValue):
            return value
        if is_native and isinstance(value, str) and self._is_template(value):
            return _defined(self._operator.render_template(value, self._context, self._strict, self._seen))
        ends = tuple(self._operator.template_ext) if name in self._operator.template_fields_renderers else ()
        return self._value(value, ends=ends, typed=False)

    def _holder(self, holder: HiddenTemplate) -> HiddenTemplate:
        return HiddenTemplate(self._value(holder.records, ends=(), typed=True))

    def _value(self, value: Any, *, ends: tuple[str, ...], typed: bool) -> Any:  # noqa: PLR0911 - one line a kind
        if id(value) in self._seen:
            return value
        if isinstance(value, str):
            return self._text(value, ends=ends, typed=typed)
        if is_reference(value):
            return value.resolve(self._context)
        if isinstance(value, ObjectStoragePath):
            return self._operator.render_template(value, self._context, self._strict, self._seen)
        if is_path(value):
            return rendered(value, new) if (new := self._text(path_text(value), ends=(), typed=False)) else value
        if isinstance(value, dict):
            return {key: self._value(each, ends=ends, typed=typed) for key, each in value.items()}
        if type(value) in (list, tuple, set, frozenset):
            return type(value)(self._value(each, ends=ends, typed=typed) for each in value)
        return value

    def _text(self, text: str, *, ends: tuple[str, ...], typed: bool) -> Any:
        if ends and text.endswith(ends):
            template = self._exact.get_template(text)
        elif self._is_template(text):
            template = self._exact.from_string(text)
        else:
            return text
        return _rendered(template, self._context, typed=typed)

    def _is_template(self, text: str) -> bool:
        return any(mark in text for mark in self._marks)


def is_reference(value: Any) -> bool:
    """Whether a value is known when the task runs: the output of another task, or a parameter of the DAG."""
    return hasattr(value, "resolve") and hasattr(value, "iter_references")


def to_date(value: Any) -> date:
    """Make a date of an ISO text as ``{{ ds }}``, or of a datetime, whose own day it is.

    :raises SourceError: it is none
    """
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise SourceError("to_date takes a date as 2026-01-31; a text with a time goes through to_datetime") from None


def to_datetime(value: Any) -> datetime:
    """Make a datetime of an ISO text with an offset, as ``{{ ts }}``.

    :raises SourceError: it is none, or has no offset
    """
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.utcoffset() is None:
        raise SourceError("to_datetime takes a point in time with an offset, such as 2026-01-31T00:00:00Z")
    return moment


FILTERS: Final[Mapping[str, Any]] = {"soql_literal": soql_literal, "to_date": to_date, "to_datetime": to_datetime}
"""What templates of these operators have beside Airflow's and the DAG's own filters."""


def _strict(env: jinja2.Environment) -> jinja2.Environment:
    """Return the DAG's environment with our filters, where a name that nobody has defined is an error."""
    from jinja2 import StrictUndefined

    strict = env.overlay(undefined=StrictUndefined)
    strict.filters = {**FILTERS, **env.filters}
    return strict


def _exact(env: jinja2.Environment) -> jinja2.Environment:
    """Return it once more, compiling templates to the values of their expressions, which nothing takes for literals."""
    from jinja2.nativetypes import NativeCodeGenerator

    exact = _strict(env)
    exact.code_generator_class = NativeCodeGenerator
    exact.concat = _joined  # type: ignore[method-assign] # of macros and blocks
    return exact


def _joined(nodes: Iterable[Any]) -> str:
    return "".join(map(str, nodes))


def _rendered(template: jinja2.Template, context: Context, *, typed: bool) -> Any:
    env = template.environment
    variables = {**template.globals, **context}
    nodes = list(template.root_render_func(env.context_class(env, variables, template.name, template.blocks)))
    if typed and len(nodes) == 1:
        return _defined(nodes[0])
    return _joined(nodes)


def _defined(value: Any) -> Any:
    """Return a value that an expression had. One that is not defined raises only when it becomes a text."""
    from jinja2 import Undefined

    return str(value) if isinstance(value, Undefined) else value
