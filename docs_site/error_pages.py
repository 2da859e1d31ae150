"""The pages of errors: by class, by Salesforce's code, and by message, taken from the code that raises them."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import airflow_provider_sfbulk
from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.replies.error_table import TABLE
from docs_site.reference import cell, page, parts_of

PACKAGE: Final = Path(airflow_provider_sfbulk.__file__).parent
UNSEEN: Final = ("local_org", "demo")
"""Parts whose errors no user of the provider meets."""

_MARKUP: Final = re.compile(r"([*_<>{}\[\]])")
_ESCAPED: Final = r"\\\1"

SHORTEST: Final = 12
"""Characters of a message's own words: less says nothing that could be searched for."""

TO_DO: Final = {
    "SfBulkError": "Catch it to catch all of them.",
    "TransientError": "Let Airflow retry the task: the try after goes on with the same jobs.",
    "TransportError": "Let Airflow retry. If it lasts: the network, the proxy, `ca_file` and `timeout` of the connection.",
    "ServerBusyError": "Let Airflow retry, with a `retry_delay` of minutes during maintenance.",
    "RequestLimitError": "Wait for the allowance (`daily` says whether it is the day's), or leave calls to others with "
    "[`api_reserve`](../waiting.md#reserving-api-calls-for-others).",
    "LoginError": "Fix the [connection](../connection.md) or the app in Salesforce: the message names the field or the "
    "setting. The task is not retried.",
    "RequestRefusedError": "Change what is asked for: the SOQL, the object, the fields, a permission.",
    "NotFoundError": "Check the name and the permission. Jobs are deleted seven days after they end.",
    "JobError": "Open the job by the link *Salesforce job*.",
    "JobFailedError": "Read the job's own message, then clear the task: what the job left is sent again.",
    "JobTimeoutError": "Raise `timeout`, or let a retry adopt the jobs: they go on.",
    "FailedRecordsError": "Read `failed.csv`; see [fix and resend failed rows](../how-to/failed-rows.md), and "
    "[errors of records](../errors.md).",
    "LedgerError": "Airflow's task state store could not be read or written: look at its API server, then let the task "
    "retry.",
    "FencedError": "Nothing: another try of the same task is at work, and this one rightly ended.",
    "InputChangedError": "Restore the input the load began with; or delete the task's `sfbulk.` entries in its state store "
    "to begin anew, after a look at what is in the org.",
    "StorageError": "Free space, or repair the access to the storage; then let the task retry.",
    "ProtocolError": "Salesforce, or something on the way to it, answered what its documentation excludes. Retry; if it "
    "lasts, report it with the message.",
    "StoppedError": "Nothing: a person ended the task.",
    "SourceError": "Fix the input or the argument that the message names. Nothing was sent.",
    "MissingSourceError": "Wait for the file, or fix its path. The task is retried.",
    "EmptyInputError": "Say with [`on_empty`](../ingest.md#nothing-to-load) what a load without records is.",
}
"""By class: what a user does."""


def classes() -> list[type[errors.SfBulkError]]:
    """Give the classes of errors, in the order of their file."""
    found = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, errors.SfBulkError)]
    return [each for each in found if each.__module__ == errors.__name__]


def tree() -> str:
    """Give the picture of the classes."""
    docstring = inspect.cleandoc(errors.__doc__ or "")
    drawn = docstring.split("::\n", 1)[1].split("\n\nA message", 1)[0]
    return inspect.cleandoc(drawn.strip("\n"))


def class_sections() -> Iterator[str]:
    """Write the classes."""
    yield f"```text\n{tree()}\n```\n"
    for each in classes():
        yield f"### {each.__name__}\n\n{parts_of(each.__doc__)[0].strip()}\n\n**What to do:** {TO_DO[each.__name__]}\n"


def code_sections() -> Iterator[str]:
    """Write Salesforce's codes, one heading each: the anchor is the code in lower case."""
    for code in sorted({row.code for row in TABLE}, key=str.lower):
        yield f"### {code} {{ #{anchor_of(code)} }}\n"
        yield "| when | raised as | what to do |\n| --- | --- | --- |"
        for row in TABLE:
            if row.code == code:
                when = " and ".join(
                    [f'the message has "{row.words}"'] * bool(row.words)
                    + [f"the login is `{row.flow}`"] * bool(row.flow)
                )
                kind = f"[`{row.kind.__name__}`](#{row.kind.__name__.lower()})" if row.kind else "by the reply's status"
                yield f"| {cell(when)} | {kind} | {cell(row.advice)} |"
        yield ""


def anchor_of(code: str) -> str:
    """Give a code's anchor. Bulk API 1.0 spells some codes of the others in mixed case: those keep a name of their own."""
    twins = {row.code for row in TABLE if row.code.lower() == code.lower()}
    return code.lower() if len(twins) == 1 or code.isupper() else f"{code.lower()}-1.0"


def messages() -> dict[str, list[str]]:
    """Find the messages that the package raises, by class: with ``…`` for what is filled in."""
    names = {each.__name__ for each in classes()} | {"TypeError"}
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in UNSEEN:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names and node.args:
                text = template_of(node.args[0])
                if len(re.sub(r"…|\W", "", text)) >= SHORTEST:
                    found.setdefault(node.func.id, set()).add(text)
    return {name: sorted(texts, key=str.lower) for name, texts in sorted(found.items())}


def template_of(node: ast.expr) -> str:
    """Give a message's own words, with ``…`` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(template_of(each) for each in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template_of(node.left) + template_of(node.right)
    return "…"


def message_sections() -> Iterator[str]:
    """Write the messages, by class."""
    for name, texts in messages().items():
        yield f"## {name}\n"
        yield "" if name == "TypeError" else f"[What it means, what to do](errors.md#{name.lower()})\n"
        yield from (f"- {_MARKUP.sub(_ESCAPED, cell(text))}" for text in texts)
        yield ""


def pages() -> dict[str, str]:
    """Give the generated pages by their path below ``docs``."""
    return {
        "reference/errors.md": page(
            "Errors by class and code",
            "Generated from the code. A task's log ends with the class and the message; the message has Salesforce's code, "
            "the HTTP status, the call and the job. Why single *records* fail: [errors of records](../errors.md). Every "
            "message: [by message](messages.md).",
            ["## Classes\n", "All are in `airflow_provider_sfbulk.client.errors`.\n"],
            class_sections(),
            ["## Salesforce's codes\n", "The anchor of a code is the code in lower case, as `#invalid_session_id`.\n"],
            code_sections(),
        ),
        "reference/messages.md": page(
            "Errors by message",
            "Generated from the code: the messages, with … for what they fill in. Search the site for the words of yours.",
            message_sections(),
        ),
    }
