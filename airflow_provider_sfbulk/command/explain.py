"""What a code or a class of errors means: from the table that decides what an error is, and from the classes themselves."""

from __future__ import annotations

import inspect

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.replies.error_table import TABLE


def explanations(code: str) -> list[dict[str, str]]:
    """Give what is known of a code or a class, one entry for each case; none when it is unknown.

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
    for name, kind in vars(errors).items():
        if name.casefold() == wanted and inspect.isclass(kind) and issubclass(kind, errors.SfBulkError):
            found.append({"code": name, "when": "", "raised_as": name, "what_to_do": _first_line(kind.__doc__)})
    return found


def _first_line(docstring: str | None) -> str:
    return inspect.cleandoc(docstring or "").partition("\n\n")[0].replace("\n", " ")
