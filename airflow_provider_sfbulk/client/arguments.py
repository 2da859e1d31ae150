"""Checks of arguments, with messages that name the argument and say what it may be.

A check takes the argument's name and value, and returns the value in the form that is used from then on: durations in
seconds, choices as Salesforce spells them. Every check raises ``SourceError``, which is a ``ValueError``, and shows no more
of a value than is needed to find it in the code; for a list, a dict or an object, only its type.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, timedelta
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, Final, TypeAlias, TypeGuard
from zoneinfo import ZoneInfo, available_timezones

from airflow_provider_sfbulk.client.errors import SourceError

Check: TypeAlias = Callable[[str, Any], Any]

Seconds: TypeAlias = float | timedelta
"""A length of time, wherever one is an argument: seconds, or a timedelta."""

_LONG_NUMBER: Final = 10**40
LARGEST: Final = 2**53
"""Largest of the whole numbers that every JSON reader keeps as they are. Nothing that is counted here comes near it."""

_API_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,120}")
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*")
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_RESULT_COLUMN: Final = re.compile(r"sf__\w*", re.IGNORECASE)
_NAMED_FIELD: Final = re.compile(r"sf__\w+__[cr]", re.IGNORECASE)
"""A field of a package whose namespace is ``sf``."""


def shown(value: object) -> str:
    """Describe a value for a message: what a person wrote into the code, but nothing that may contain records."""
    if isinstance(value, int) and abs(value) >= _LONG_NUMBER:
        return "a number of more than 40 digits"  # Python does not write those of more than 4,300
    if value is None or isinstance(value, (str, int, float, timedelta)):
        return f"{value!r:.40}"
    kind = f"{type(value).__name__:.40}"
    return f"{'an' if kind[0] in 'aeiouAEIO' else 'a'} {kind}"


def meant(value: object, known: Iterable[str]) -> str:
    """Suggest the known word that a wrong one may have meant, as the end of a sentence; empty when none is close."""
    if not isinstance(value, (str, int, float)):
        return ""
    given = value if isinstance(value, str) else shown(value)
    words = {str(each).casefold(): str(each) for each in known}
    close = get_close_matches(given.casefold()[:60], list(words), n=1, cutoff=0.5)
    return f": did you mean {words[close[0]]!r}?" if close else ""


def one_of(kind: Iterable[str], *, also: Mapping[str, str] | None = None) -> Check:
    """Check a choice.

    :param kind: an enumeration or the words themselves
    :param also: other words that people write for one of them
    """
    words = [str(each) for each in kind]

    def check(name: str, value: Any) -> str:
        if isinstance(value, str) and str(value) in words:
            return str(value)
        hint = (
            f": did you mean {also[value]!r}?"
            if also and isinstance(value, str) and value in also
            else meant(value, words)
        )
        raise SourceError(f"{name} must be one of {', '.join(words)}, not {shown(value)}{hint}")

    return check


def optional(check: Check) -> Check:
    """Allow None, too."""
    return lambda name, value: None if value is None else check(name, value)


def flag(name: str, value: Any) -> bool:
    """Check a boolean. A text would always be true."""
    if not isinstance(value, bool):
        raise SourceError(f"{name} must be True or False, not {shown(value)}")
    return value


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number of any kind, numpy's too. Python takes booleans for some."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def count(*, least: int = 1, most: int | None = None) -> Check:
    """Check a whole number."""
    bounds = f"from {least:,}" if most is None else f"from {least:,} to {most:,}"

    def check(name: str, value: Any) -> int:
        if not is_whole(value) or not least <= value <= (LARGEST if most is None else most):
            raise SourceError(f"{name} must be a whole number {bounds}, not {shown(value)}{_as_number(value)}")
        return int(value)

    return check


def seconds(*, zero: bool = False) -> Check:
    """Check a length of time, and return it in seconds.

    :param zero: whether 0 is allowed
    """

    def check(name: str, value: Any) -> float:
        given = value.total_seconds() if isinstance(value, timedelta) else value
        is_number = isinstance(given, Real) and not isinstance(given, bool)
        if not is_number or not (given >= 0 if zero else given > 0) or not given <= threading.TIMEOUT_MAX:
            raise SourceError(
                f"{name} must be a number of seconds {'from' if zero else 'above'} 0, or a timedelta, "
                f"not {shown(value)}{_as_number(value)}"
            )
        return float(given)

    return check


def function(name: str, value: Any) -> Any:
    """Check what is called later on."""
    if not callable(value):
        raise SourceError(f"{name} must be a function, not {shown(value)}")
    return value


def allowance(name: str, value: Any) -> float | None:
    """Check a number of records, a float as a fraction of all, or None for any number."""
    if value is None or (isinstance(value, float) and 0 <= value <= 1):
        return value
    if not is_whole(value) or not 0 <= value <= LARGEST:
        raise SourceError(
            f"{name} must be a whole number from 0, a float from 0.0 to 1.0 as a fraction of all records, or None, "
            f"not {shown(value)}{_as_number(value)}"
        )
    return int(value)


def text(name: str, value: Any) -> str:
    """Check a text, which must not be blank."""
    if not isinstance(value, str):
        raise SourceError(f"{name} must be a string, not {shown(value)}")
    if not value.strip():
        raise SourceError(f"{name} is an empty string: was it made from something empty? Use None for no value")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        # From None: the error quotes the text.
        raise SourceError(f"{name} has an unpaired surrogate, at character {error.start + 1}") from None
    return value


def column(name: str, value: Any) -> str:
    """Check the name of a column."""
    if not isinstance(value, str) or not value.strip():
        raise SourceError(f"{name} must be the name of a column, not {shown(value)}")
    return value


def is_api_name(value: object) -> bool:
    """Whether a value has the form of an object's API name."""
    return isinstance(value, str) and _API_NAME.fullmatch(value) is not None


def api_name(name: str, value: Any) -> str:
    """Check the API name of an object."""
    if not is_api_name(value):
        raise SourceError(f"{name} must be an object's API name, such as Account or Invoice__c, not {shown(value)}")
    return str(value)


def field_name(name: str, value: Any) -> str:
    """Check the API name of a field."""
    if not isinstance(value, str) or not _FIELD.fullmatch(value):
        raise SourceError(f"{name} must be a field's API name, such as External_Key__c, not {shown(value)}")
    return value


def names(name: str, value: Any) -> tuple[str, ...]:
    """Check a list of names. A single text would be taken for the list of its letters."""
    if isinstance(value, str):
        raise SourceError(f"{name} must be a list of names, not a string: write {as_list(value)}")
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) and each.strip() for each in value):
        raise SourceError(f"{name} must be a list of names, not {shown(value)}")
    return tuple(value)


def as_list(value: str) -> str:
    """Return how the names in a text are written as a list."""
    return f"[{', '.join(repr(each.strip()) for each in value.split(','))[:60]}]"


def column_names(name: str, value: Any) -> tuple[str, ...]:
    """Check the names of columns, also those of a DataFrame, or the keys of a dict."""
    is_list = isinstance(value, Collection) and not isinstance(value, (str, bytes, set, frozenset))
    return names(name, tuple(value) if is_list else value)


def each_once(check: Check) -> Check:
    """Allow each name of a list only once, whatever its case, and one at least."""

    def checked(name: str, value: Any) -> tuple[str, ...]:
        given: tuple[str, ...] = check(name, value)
        if not given:
            raise SourceError(f"{name} is an empty list: name the columns, or leave it out")
        counted = Counter(map(str.casefold, given))
        if twice := next((each for each in given if counted[each.casefold()] > 1), None):
            raise SourceError(f"{name} has {twice!r:.40} {counted[twice.casefold()]} times: give each column once")
        return given

    return checked


def word(name: str, value: Any) -> str:
    """Check one of Salesforce's own words, all of which are not known here."""
    if not is_api_name(value):
        raise SourceError(f"{name} must be a word of letters and digits, not {shown(value)}")
    return str(value)


def codes(name: str, value: Any) -> tuple[str, ...]:
    """Check a list of Salesforce's error codes, which are words in capitals."""
    for each in (given := names(name, value)):
        if not _CODE.fullmatch(each):
            upper = each.strip().upper().replace(" ", "_").replace("-", "_")
            hint = f": did you mean {upper!r}?" if _CODE.fullmatch(upper) else ""
            raise SourceError(
                f"{name}: {each!r:.40} is not an error code of Salesforce, such as UNABLE_TO_LOCK_ROW{hint}"
            )
    return given


def column_mapping(name: str, value: Any) -> Mapping[str, str | None]:
    """Check ``{"source column": "Field__c"}``, with None for a column to drop."""
    if not isinstance(value, Mapping):
        raise SourceError(f'{name} must be a dict as {{"source column": "Field__c"}}, not {shown(value)}')
    seen: dict[str, str] = {}
    for source, target in value.items():
        if not isinstance(source, str) or not (target is None or isinstance(target, str)):
            raise SourceError(
                f'{name} maps names to names (or None to drop a column), as {{"source column": "Field__c"}}'
            )
        if target is None:
            continue
        if not target.strip():
            raise SourceError(f"{name}: {source!r:.40} is mapped to an empty name; None drops the column")
        if _RESULT_COLUMN.fullmatch(target) and not _NAMED_FIELD.fullmatch(target):
            raise SourceError(
                f"{name}: {source!r:.40} is mapped to {target!r:.40}, but columns with sf__ belong to result files"
            )
        if (other := seen.setdefault(target.casefold(), source)) != source:
            raise SourceError(f"{name}: {other!r:.40} and {source!r:.40} are both mapped to {target!r:.40}")
    return value


def nulls(name: str, value: Any) -> Any:
    """Check ``leave`` or ``clear``, for all columns or by column."""
    choice = one_of(("leave", "clear"))
    if not isinstance(value, Mapping):
        return choice(name, value)
    for column, each in value.items():
        if not isinstance(column, str):
            raise SourceError(f'{name} by column is a dict as {{"Field__c": "clear"}}')
        choice(f"{name} of {column:.40}", each)
    return value


def timezone(name: str, value: Any) -> str:
    """Check the IANA name of a zone, and return it; of a ``ZoneInfo``, as pendulum's zones are, and of UTC, too."""
    try:
        found = "UTC" if value is UTC else value.key if isinstance(value, ZoneInfo) else value
        if isinstance(found, str):
            ZoneInfo(found)
            return found
    except (KeyError, ValueError, OSError):
        pass
    hint = meant(value, available_timezones())
    raise SourceError(f"{name} must be the IANA name of a zone, such as Europe/Berlin, not {shown(value)}{hint}")


def _as_number(value: object) -> str:
    """Return advice about a number that was passed as text."""
    if not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    return ": write the number without quotes (a value from a Variable or the environment is a text: int(…))"
