"""What literals mean: strings without their escapes, patterns of ``LIKE``, numbers, dates and times.

Source: "Quoted String Escape Sequences", "Date Formats and Date Literals in WHERE", SOQL and SOSL Reference.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.soql.errors import Place, malformed
from airflow_provider_sfbulk.local_org.soql.syntax import Value

_ESCAPES: Final = {
    "n": "\n", "N": "\n", "r": "\r", "R": "\r", "t": "\t", "T": "\t", "b": "\b", "B": "\b", "f": "\f", "F": "\f",
    '"': '"', "'": "'", "\\": "\\",
}  # fmt: skip
_PIECE: Final = re.compile(r"\\u(?P<code>[0-9a-fA-F]{4})|\\(?P<escaped>.)|(?P<plain>[^\\]+)", re.DOTALL)
_WILDCARDS: Final = frozenset("%_")
_INTEGER_BITS: Final = 63


def string(value: Value) -> str:
    """Return the text of a string literal.

    :raises Refused: for an escape that does not exist, half a surrogate pair, or more than
        :data:`~airflow_provider_sfbulk.limits.SOQL_STRING_CHARACTERS`
    """
    return "".join(text for text, _ in _pieces(value, like=False))


def like_pattern(value: Value) -> list[tuple[str, bool]]:
    """Return the characters of a ``LIKE`` string, each with whether it is a wildcard (``%`` or ``_``, not escaped).

    :raises Refused: as :func:`string`
    """
    return [
        (character, plain and character in _WILDCARDS)
        for text, plain in _pieces(value, like=True)
        for character in text
    ]


def _pieces(value: Value, *, like: bool) -> list[tuple[str, bool]]:
    r"""Return the string in pieces, each with whether it was written without an escape.

    "LIKE expression only: ``\_`` matches a single underscore character"; "If you use a backslash character in any other
    context, an error occurs".
    """
    pieces: list[tuple[str, bool]] = []
    for match in _PIECE.finditer(value.text, 1, len(value.text) - 1):
        code, escaped, plain = match["code"], match["escaped"], match["plain"]
        if plain is not None:
            pieces.append((plain, True))
        elif code is not None:
            pieces.append((chr(int(code, 16)), False))
        elif escaped in _ESCAPES:
            pieces.append((_ESCAPES[escaped], False))
        elif like and escaped in _WILDCARDS:
            pieces.append((escaped, False))
        else:
            raise malformed(
                f"Invalid string literal {value.text}. Illegal character sequence '\\{escaped}' in string literal.",
                value.place,
            )
    if not pieces:
        return pieces
    joined = _whole_characters(pieces, value)
    if sum(len(text) for text, _ in joined) > limits.SOQL_STRING_CHARACTERS:
        raise malformed(f"string literal is longer than {limits.SOQL_STRING_CHARACTERS} characters", value.place)
    return joined


def _whole_characters(pieces: list[tuple[str, bool]], value: Value) -> list[tuple[str, bool]]:
    r"""Join surrogate pairs, which ``\ud83d\ude00`` spells as two escapes."""
    whole: list[tuple[str, bool]] = []
    for text, plain in pieces:
        if whole and "\ud800" <= whole[-1][0] <= "\udbff" and "\udc00" <= text <= "\udfff":
            pair = whole.pop()[0] + text
            whole.append((pair.encode("utf-16", "surrogatepass").decode("utf-16"), False))
        else:
            whole.append((text, plain))
    for text, _ in whole:
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise malformed(f"Invalid string literal {ascii(value.text)[1:-1]}. It has half a character.", value.place)
    return whole


def number(value: Value) -> int | float:
    """Return a number: an int when written without fraction and exponent and SQLite has room for it."""
    try:
        whole = int(value.text)
    except ValueError:
        real = float(value.text)
    else:
        if abs(whole) < 1 << _INTEGER_BITS:
            return whole
        real = float(value.text)
    if real in (float("inf"), float("-inf")):
        raise malformed(f"numeric value out of range: {value.text}", value.place)
    return real


def whole_number(text: str, place: Place) -> int:
    """Return the number of ``LIMIT`` or of ``LAST_N_DAYS:n``: not negative, at most 32 bits."""
    if not text.isdigit():
        raise malformed(f"unexpected token: '{text}'", place)
    if len(text) > len(str(limits.SOQL_LIMIT_ROWS)) or int(text) > limits.SOQL_LIMIT_ROWS:
        raise malformed(f"numeric value out of range: {text}", place)
    return int(text)


def date_text(value: Value) -> str:
    """Return a date as it is stored."""
    try:
        day = date.fromisoformat(value.text)
    except ValueError as error:
        raise malformed(f"Invalid date: {value.text}", value.place) from error
    _check_year(day.year, value)
    return day.isoformat()


def datetime_text(value: Value) -> str:
    """Return a date and time as it is stored: UTC, with milliseconds."""
    try:
        moment = datetime.fromisoformat(value.text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise malformed(f"Invalid date: {value.text}", value.place) from error
    _check_year(moment.year, value)
    return stored_datetime(moment)


def time_text(value: Value) -> str:
    """Return a time of day as it is stored."""
    try:
        moment = time.fromisoformat(value.text)
    except ValueError as error:
        raise malformed(f"Invalid time: {value.text}", value.place) from error
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def stored_datetime(moment: datetime) -> str:
    """Return an aware moment as it is stored."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _check_year(year: int, value: Value) -> None:
    if not limits.FIRST_YEAR <= year <= limits.LAST_YEAR:
        raise malformed(f"Invalid date: {value.text}", value.place)
