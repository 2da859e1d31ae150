"""Explains a code or a class of errors.

The explanations come from the table that classifies errors, from the classes, and from the documentation page about errors
of records.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Final

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.replies.error_table import TABLE

RECORDS: Final = (Path(__file__).with_name("errors.md"), Path(__file__).parents[2] / "docs" / "errors.md")
"""The page, in an installed wheel and in a checkout."""

_SECTION: Final = re.compile(r"^### (\w+)\n\n(.+?)(?=\n\n#|\Z)", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def explanations(code: str) -> list[dict[str, str]]:
    """Return what is known about a code or a class, an entry for each case; empty when it is unknown.

    :param code: in any case
    """
    wanted = code.strip().casefold()
    found = [
        {
            "code": row.code,
            "when": " and ".join(
                [f"the message has {row.words!r}"] * bool(row.words) + [f"the login is {row.flow}"] * bool(row.flow)
            ),
            "raised_as": row.kind.__name__ if row.kind is not None else "by the reply's status",
            "what_to_do": row.advice,
        }
        for row in TABLE
        if row.code.casefold() == wanted
    ]
    for name, text in _records().items():
        if name.casefold() == wanted:
            found.append({"code": name, "when": "a record was not saved", "raised_as": "", "what_to_do": text})
    for name, kind in vars(errors).items():
        if name.casefold() == wanted and inspect.isclass(kind) and issubclass(kind, errors.SfBulkError):
            found.append({"code": name, "when": "", "raised_as": name, "what_to_do": _first_line(kind.__doc__)})
    return found


def _records() -> dict[str, str]:
    page = next((path for path in RECORDS if path.is_file()), None)
    text = "" if page is None else page.read_text(encoding="utf-8")
    return {code: " ".join(_LINK.sub(r"\1", said).split()) for code, said in _SECTION.findall(text)}


def _first_line(docstring: str | None) -> str:
    return inspect.cleandoc(docstring or "").partition("\n\n")[0].replace("\n", " ")
