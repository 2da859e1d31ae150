"""Reference pages from the code: signatures, docstrings, and the checks that the arguments go through.

A row of an argument's table is taken from the signature (type, default), the docstring (meaning), ``template_fields``, and
the check that the argument goes through: it is given a value that nothing accepts, and its message says what it accepts.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, is_typeddict

from airflow_provider_sfbulk import AsyncBulkClient, BulkClient, BulkIngestOperator, BulkJobSensor, BulkQueryOperator
from airflow_provider_sfbulk.client.bulk1.api import Bulk1Api
from airflow_provider_sfbulk.client.errors import SfBulkError
from airflow_provider_sfbulk.client.faces.bulk_result import BulkResult
from airflow_provider_sfbulk.client.faces.query_result import BulkQueryResult
from airflow_provider_sfbulk.client.ingest import IngestApi
from airflow_provider_sfbulk.client.models import BulkError, JobInfo
from airflow_provider_sfbulk.client.query import QueryApi
from airflow_provider_sfbulk.get_provider_info import get_provider_info
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.query import Incremental
from airflow_provider_sfbulk.triggers.change import SalesforceChangeTrigger
from airflow_provider_sfbulk.triggers.job import BulkJobTrigger

_FIELD: Final = re.compile(r"^:(param|raises|return|returns) ?([\w, .]*): *", re.MULTILINE)
_ROLE: Final = re.compile(r":(?:class|meth|func|data|mod|attr):`~?([^`]*)`")
_CODE: Final = re.compile(r"``(.+?)``", re.DOTALL)


_CHOICE: Final = re.compile(r"Literal\[[^\]]*\]")
_UNION: Final = re.compile(r" \| (?![^\[]*\])")

SPELLED: Final = {
    "Seconds": "float | timedelta",
    "AnyPath": "str | Path | ObjectStoragePath | UPath",
    "Nulls": "str",
    **dict.fromkeys(("SourceFormat", "DelimiterName", "BlankIds", "Operation", "ColumnDelimiter", "LineEnding"), "str"),
    **dict.fromkeys(("FileFormat", "ConcurrencyMode", "JobType", "ContentType"), "str"),
}
"""Names of types in signatures, as a user writes them: an enumeration's word will do."""

LARGE: Final = 9_999
"""Numbers above are written with their thousands apart."""

PLAIN: Final = ("a text", "True or False", "")
"""What a check accepts where the type says as much."""


class Nothing:
    """A value that no argument takes."""


def prose(text: str | None) -> str:
    """Convert a docstring's reST to Markdown."""
    text = _ROLE.sub(r"`\1`", inspect.cleandoc(text or ""))
    return _CODE.sub(lambda match: f"`{' '.join(match[1].split())}`", text)


def cell(text: str) -> str:
    """Make text fit for a cell of a table; inside of code a bar is no border."""
    pieces = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(piece if piece.startswith("`") else piece.replace("|", "\\|") for piece in pieces)


def parts_of(docstring: str | None) -> tuple[str, dict[str, str], list[tuple[str, str]]]:
    """Split a docstring: its prose, what it says of each parameter, and what is raised when."""
    text = inspect.cleandoc(docstring or "")
    matches = list(_FIELD.finditer(text))
    if not matches:
        return prose(text), {}, []
    body, params, raised = text[: matches[0].start()], {}, []
    for match, following in zip(matches, [*matches[1:], None], strict=True):
        said = text[match.end() : following.start() if following else len(text)]
        said, _, rest = said.partition("\n\n")
        body += f"\n\n{inspect.cleandoc(rest)}" if rest.strip() else ""
        said = prose(" ".join(said.split()))
        if match[1] == "param":
            params[match[2].strip()] = said
        elif match[1] == "raises":
            raised += [(name.strip(), said) for name in match[2].split(",")]
    return prose(body), params, raised


def signature_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Give a function's parameters, without ``self`` and without Airflow's own."""
    found = inspect.signature(inspect.unwrap(function)).parameters.values()
    return [each for each in found if each.name not in ("self", "cls", "kwargs")]


def default_of(parameter: inspect.Parameter) -> str:
    """Write a default as a DAG author would."""
    if parameter.default is parameter.empty:
        return "required" if parameter.kind is not parameter.VAR_KEYWORD else ""
    if parameter.name == "deferrable":
        return "`[operators] default_deferrable`"
    value = parameter.default
    if value is not None and not isinstance(value, (str, int, float, tuple)):
        return ""  # an object, such as the environment: its text says nothing, or too much
    return f"`{value:_}`" if isinstance(value, int) and value > LARGE else f"`{value!r:.60}`"


def type_of(parameter: inspect.Parameter) -> str:
    """Write a type as a user needs it: choices are in the meaning, and outputs of tasks fit every templated argument."""
    if parameter.annotation is parameter.empty:
        return ""
    text = parameter.annotation if isinstance(parameter.annotation, str) else str(parameter.annotation)
    text = _CHOICE.sub("str", text)
    for name, written in SPELLED.items():
        text = re.sub(rf"\b{name}\b", written, text)
    kinds = list(dict.fromkeys(each for each in _UNION.split(text) if each != "XComArg"))
    return f"`{' | '.join(kinds)}`"


def accepted(name: str, check: Callable[[str, Any], Any]) -> str:
    """Say what an argument may be, in the words of its check."""
    try:
        check(name, Nothing())
    except SfBulkError as error:
        said = str(error).removeprefix(name).strip()
        said = re.split(r",? not an? Nothing|: a Nothing|, not", said)[0].removeprefix("must be ").removeprefix("is ")
        return "" if said.startswith(("not ", "like ")) else said
    return ""


def operator_page(classes: Iterable[type]) -> Iterator[str]:
    """Write the pages of classes that DAG files construct."""
    for each in classes:
        body, params, _ = parts_of(each.__doc__)
        checks = getattr(getattr(each, "arguments", None), "checks", {})
        yield f"## {each.__name__}\n\n`from airflow_provider_sfbulk import {each.__name__}`\n\n{body}\n"
        yield "| argument | type | default | templated | meaning |\n| --- | --- | --- | --- | --- |"
        for parameter in signature_of(each.__init__):  # type: ignore[misc]
            if parameter.kind is parameter.VAR_KEYWORD:
                continue
            said = params.get(parameter.name, "").replace(" (templated)", "")
            limits = accepted(parameter.name, checks[parameter.name]) if parameter.name in checks else ""
            limits = "" if limits in PLAIN else f". *Takes {limits}.*"
            templated = "yes" if parameter.name in getattr(each, "template_fields", ()) else ""
            anchor = f'<a id="{each.__name__.lower()}-{parameter.name}"></a>'
            yield (
                f"| {anchor}`{parameter.name}` | {cell(type_of(parameter))} | {cell(default_of(parameter))} "
                f"| {templated} | {cell(said + limits)} |"
            )
        clashes = getattr(getattr(each, "arguments", None), "clashes", ())
        if checks:
            yield (
                "\nEvery argument that is not templated is checked when the DAG is parsed: a wrong one is an import "
                "error (`SourceError`, a `ValueError`). Templated ones are checked when the task begins, before anything "
                "is sent.\n"
            )
        if clashes:
            yield "Refused together:\n"
            yield from (f"- {prose(message)}" for _, message in clashes)
            yield ""


def methods_of(each: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Find the public calls of a class: its methods, and what is declared for both clients."""
    seen = set()
    for base in each.__mro__:
        if not base.__module__.startswith("airflow_provider_sfbulk"):
            continue
        for name, value in vars(base).items():
            function = getattr(value, "function", getattr(value, "__func__", value))
            if name.startswith("_") or name in seen or not inspect.isfunction(function):
                continue
            seen.add(name)
            yield name, function


def properties_of(each: type) -> Iterator[tuple[str, str]]:
    """Find the public properties of a class, and what they say."""
    for base in each.__mro__:
        if base.__module__.startswith("airflow_provider_sfbulk"):
            for name, value in vars(base).items():
                is_property = isinstance(value, property) or type(value).__name__ in ("cached_property", "_Declared")
                if not name.startswith("_") and is_property and value.__doc__:
                    yield name, prose(value.__doc__)


def class_page(heading: str, each: type, *, call: str) -> Iterator[str]:
    """Write a class by its calls.

    :param call: how its calls begin, as ``client.ingest.``
    """
    body, params, raised = parts_of(each.__doc__)
    yield f"## {heading}\n\n{body}\n"
    if params and call not in ("result.", "rows."):
        yield "| argument | meaning |\n| --- | --- |"
        yield from (f"| `{name}` | {cell(said)} |" for name, said in params.items())
        yield ""
    yield from (f"- raises `{name}`: {said}" for name, said in raised)
    known = dict(properties_of(each))
    if known:
        yield "\n| attribute | |\n| --- | --- |"
        yield from (f"| `{name}` | {cell(said)} |" for name, said in known.items())
        yield ""
    for name, function in methods_of(each):
        yield from call_section(f"{call}{name}", function)


def call_section(name: str, function: Callable[..., Any]) -> Iterator[str]:
    """Write one call."""
    body, params, raised = parts_of(function.__doc__)
    parameters = signature_of(function)
    yield f"### {name}\n\n{body}\n"
    if parameters:
        yield "| argument | type | default | meaning |\n| --- | --- | --- | --- |"
        for parameter in parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                yield from option_rows(parameter, function)
                continue
            yield (
                f"| `{parameter.name}` | {cell(type_of(parameter))} | {cell(default_of(parameter))} "
                f"| {cell(params.get(parameter.name, ''))} |"
            )
        yield ""
    yield from (f"- raises `{name}`: {said}" for name, said in raised)
    yield ""


def option_rows(parameter: inspect.Parameter, function: Callable[..., Any]) -> Iterator[str]:
    """Write what ``**options`` takes: the names, and where each is described."""
    named = re.match(r"Unpack\[(\w+)\]", str(parameter.annotation))
    table = inspect.unwrap(function).__globals__.get(named[1]) if named else None
    if table is None or not is_typeddict(table):
        yield f"| `**{parameter.name}` | {cell(type_of(parameter))} | | |"
        return
    names = sorted(table.__required_keys__ | table.__optional_keys__)
    about = " ".join(prose(table.__doc__).split())
    yield f"| `**{parameter.name}` | keywords | | {cell(', '.join(f'`{name}`' for name in names))}. {cell(about)} |"


def connection_page() -> Iterator[str]:
    """Write the fields of the connection's form."""
    (form,) = get_provider_info()["connection-types"]
    yield "| key in the extra | in the form | type | for | meaning |\n| --- | --- | --- | --- | --- |"
    for name, field in form["conn-fields"].items():
        schema = field["schema"]
        kind = (
            next(each for each in schema["type"] if each != "null")
            if isinstance(schema["type"], list)
            else schema["type"]
        )
        kind = ", ".join(f"`{each}`" for each in schema["enum"] if each) if "enum" in schema else kind
        yield f"| `{name}` | {cell(field['label'])} | {kind} | {schema['section']} | {cell(field['description'])} |"


def model_page(each: type) -> Iterator[str]:
    """Write a class of values by its fields."""
    body, params, _ = parts_of(each.__doc__)
    yield f"## {each.__name__}\n\n{body}\n"
    yield "| field | type | |\n| --- | --- | --- |"
    for name in get_type_hints_of(each):
        yield f"| `{name}` | `{cell(get_type_hints_of(each)[name])}` | {cell(params.get(name, ''))} |"
    for name, said in properties_of(each):
        yield f"| `{name}` | | {cell(said)} |"
    yield ""


def get_type_hints_of(each: type) -> dict[str, str]:
    """Give the annotations of a dataclass as they are written."""
    return {name: str(text) for name, text in each.__annotations__.items() if not name.startswith("_")}


GENERATED: Final = "Generated from the code.\n"


def page(title: str, introduction: str, *sections: Iterable[str]) -> str:
    """Join a page."""
    return "\n".join([f"# {title}\n", f"{introduction}\n", *(line for section in sections for line in section)])


def pages() -> dict[str, str]:
    """Give the generated pages by their path below ``docs``."""
    return {
        "reference/operators.md": page(
            "Operators, sensor, incremental windows",
            "Generated from the code. Airflow's own arguments (`task_id`, `retries`, `pool`, …) are taken as well.",
            operator_page([BulkIngestOperator, BulkQueryOperator, BulkJobSensor, Incremental]),
        ),
        "reference/hook.md": page(
            "Hook and triggers",
            GENERATED,
            class_page("SalesforceBulkHook", SalesforceBulkHook, call="hook."),
            class_page("BulkJobTrigger", BulkJobTrigger, call="trigger."),
            class_page("SalesforceChangeTrigger", SalesforceChangeTrigger, call="trigger."),
        ),
        "reference/client.md": page(
            "Client",
            "Generated from the code. `AsyncBulkClient` has the same calls: they are awaited, and streams are iterated "
            "over with `async for`.",
            class_page("BulkClient", BulkClient, call="client."),
            class_page("client.ingest", IngestApi, call="client.ingest."),
            class_page("client.query", QueryApi, call="client.query."),
            class_page("client.bulk1", Bulk1Api, call="client.bulk1."),
            class_page("AsyncBulkClient", AsyncBulkClient, call="await client."),
        ),
        "reference/results.md": page(
            "Results and models",
            GENERATED,
            class_page("BulkResult", BulkResult, call="result."),
            class_page("BulkQueryResult", BulkQueryResult, call="rows."),
            model_page(JobInfo),
            model_page(BulkError),
        ),
        "reference/connection-fields.md": page(
            "Fields of the connection",
            "Generated from the form. How to use them: [the connection](../connection.md).",
            connection_page(),
        ),
        "reference/local-org.md": page(
            "LocalOrg",
            "Generated from the code. How to use it: [the local org](../local-org.md).",
            class_page("LocalOrg", LocalOrg, call="org."),
        ),
    }
