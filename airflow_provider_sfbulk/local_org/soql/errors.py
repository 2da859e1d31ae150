"""How a query is refused.

Inside the package everything raises :class:`Refused` with a place in the query; :func:`~.compile_query` turns it into a
:class:`SoqlError` with the message as Salesforce lays it out::

    SELECT Foo FROM Account
           ^
    ERROR at Row:1:Column:8
    No such column 'Foo' on entity 'Account'. If you are attempting to use a custom field, ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EXCERPT_CHARACTERS: Final = 40
"""Characters of the query shown on either side of the place. Captured messages show about as much."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the query, both numbers from 1."""

    row: int
    column: int


class SoqlError(Exception):
    """A query that Salesforce refuses.

    :ivar error_code: as in the answer's ``errorCode``, e.g. ``MALFORMED_QUERY``
    :ivar message: as in the answer's ``message``, possibly of several lines
    """

    def __init__(self, error_code: str, message: str) -> None:
        super().__init__(error_code, message)
        self.error_code = error_code
        self.message = message

    def __str__(self) -> str:
        return f"{self.error_code}: {self.message}"


class Refused(Exception):
    """A refusal that still knows its place in the query rather than the finished message."""

    def __init__(self, error_code: str, reason: str, place: Place | None = None) -> None:
        super().__init__(error_code, reason, place)
        self.error_code = error_code
        self.reason = reason
        self.place = place

    def against(self, text: str) -> SoqlError:
        """Return the error to show for the query ``text``."""
        if self.place is None:
            return SoqlError(self.error_code, self.reason)
        excerpt, offset = _excerpt(text, self.place)
        where = f"ERROR at Row:{self.place.row}:Column:{self.place.column}"
        return SoqlError(self.error_code, f"\n{excerpt}\n{' ' * offset}^\n{where}\n{self.reason}")


def malformed(reason: str, place: Place | None = None) -> Refused:
    """Return the refusal of a query whose form is wrong."""
    return Refused("MALFORMED_QUERY", reason, place)


def invalid_field(reason: str, place: Place | None = None) -> Refused:
    """Return the refusal of a field, or of a value for it."""
    return Refused("INVALID_FIELD", reason, place)


def unexpected(token: str, place: Place) -> Refused:
    """Return the refusal of a token that is not allowed at its place."""
    return malformed(f"unexpected token: '{token}'", place)


def not_in_bulk(what: str) -> Refused:
    """Return the refusal of what is documented as not supported in a query job.

    The code and the words follow those that were seen for compound fields; for the rest no message is known.
    """
    return Refused("API_ERROR", f"{what} not supported in Bulk Query")


def too_complicated() -> Refused:
    """Return the refusal of a query beyond what this org's database can do."""
    return Refused(
        "QUERY_TOO_COMPLICATED",
        "Query is either selecting too many fields or the filter conditions are too complicated.",
    )


def _excerpt(text: str, place: Place) -> tuple[str, int]:
    """Return the row's part around the place, and the place's offset in it. It starts at a word."""
    rows = text.split("\n")
    row = rows[place.row - 1] if place.row <= len(rows) else ""
    at = place.column - 1
    start = max(0, at - EXCERPT_CHARACTERS)
    while 0 < start < at and not row[start - 1].isspace():
        start += 1
    return row[start : at + EXCERPT_CHARACTERS].rstrip(), at - start
