"""CSV of a batch.

The rules are those of Bulk API 2.0 (see :mod:`~airflow_provider_sfbulk.local_org.bulk2.csv_in`) with two differences:
"comma only", and lines may end with LF or CRLF, there being no ``lineEnding`` to keep to (CRLF was recorded).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk1.records import BatchFailedError, Records, check_count

_BODY: Final = '[^"]*+(?:""[^"]*+)*+'
_VALUE: Final = re.compile(
    rf'(?:"({_BODY})"(?=,|\r?\n)|( *+"{_BODY}" *+)|([^",\r\n]*+(?:\r(?!\n)[^",\r\n]*+)*+))(,|\r?\n)'
)
"""One value with what ends it; groups: quoted, quoted with blanks beside, bare, end."""


def read(body: bytes) -> Records:
    """Return the rows.

    :raises BatchFailedError: for a body that is not UTF-8 or not CSV, and for too many rows
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        # "Data must be UTF-8"; what Salesforce makes of other bytes is not known.
        raise BatchFailedError("ClientInputError : Data is not valid UTF-8") from error
    rows = _rows(text if text.endswith("\n") else text + "\n")
    header, problem = next(rows, ([], ""))
    if problem:
        raise _unescaped_quote()
    if len(text.partition("\n")[0]) > limits.HEADER_CHARACTERS:
        raise BatchFailedError(f"InvalidBatch : Header line is longer than {limits.HEADER_CHARACTERS} characters")
    good: list[list[str]] = []
    records = Records(header, [], [])
    for place, (row, spaced) in enumerate(rows):
        if spaced or len(row) != len(header):
            # That such rows fail is certain for blanks beside quotes, likely for another number of columns; the words
            # are ours.
            records.unreadable[place] = spaced or f"Row has {len(row)} columns, the header has {len(header)}"
        else:
            good.append(row)
            records.places.append(place)
    check_count(records.count)
    records.columns = [list(column) for column in zip(*good, strict=True)] if good else [[] for _ in header]
    return records


def _rows(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield each row with what is wrong with it. Blank lines are skipped.

    :raises BatchFailedError: for a quote where none can be
    """
    row: list[str] = []
    problem = ""
    position = 0
    while matched := _VALUE.match(text, position):
        position = matched.end()
        quoted, spaced, bare, end = matched.groups()
        if spaced is not None:
            problem = "A space before or after a double quote"
        row.append(quoted.replace('""', '"') if quoted is not None else spaced or bare or "")
        if end == ",":
            continue
        if row != [""] or quoted is not None:
            yield row, problem
        row, problem = [], ""
    if position != len(text):
        raise _unescaped_quote()


def _unescaped_quote() -> BatchFailedError:
    return BatchFailedError("InvalidBatch : Failed to parse CSV. Found unescaped quote")
