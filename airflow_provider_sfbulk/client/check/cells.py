"""Checks whether a value can be saved in its field, as far as describe says.

A column is checked as a whole: a pattern or a length shows which of its texts are certainly valid. The few others are
checked one by one, each distinct text once, and get the code with which Salesforce would fail the record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final, TypeAlias

import pyarrow as pa

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.load.normal_forms import normal_form
from airflow_provider_sfbulk.client.values.by_field import WIRE_MOMENT, WIRE_TIME
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute

Field: TypeAlias = Mapping[str, Any]
"""One entry of ``fields`` of a describe."""


@dataclass(frozen=True)
class Problem:
    """One kind of mistake.

    :param code: Salesforce's, as a failed record has it
    :param message: what is wrong, without a value
    :param column: of the input, in describe's spelling
    """

    code: str
    column: str
    message: str


@dataclass(frozen=True)
class Cells:
    """The valid cells of one column.

    :param sure: says for each text whether it is certainly valid
    :param problem: says what is wrong with any other text; None: nothing
    """

    sure: Callable[[Array], Array]
    problem: Callable[[str], Problem | None]

    def find(self, texts: Array) -> dict[Problem, Array]:
        """Find what is wrong.

        :param texts: the column, with null for cells that are not to be looked at
        :return: by kind of problem, whether each cell has it
        """
        unsure = compute.if_else(self.sure(texts), None, texts)
        if unsure.null_count == len(unsure):
            return {}
        coded = compute.dictionary_encode(unsure)
        problems = [self.problem(text) for text in coded.dictionary.to_pylist()]
        found: dict[Problem, Array] = {}
        for problem in dict.fromkeys(each for each in problems if each is not None):
            is_it = pa.array([each == problem for each in problems], pa.bool_())
            found[problem] = compute.fill_null(compute.take(is_it, coded.indices), False)
        return found


_YEARS: Final = r"(?:170[1-9]|17[1-9][0-9]|1[89][0-9]{2}|[23][0-9]{3})"
"""Years that Salesforce can hold to their last hour, whatever the zone."""

_DAYS: Final = rf"{_YEARS}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
_CLOCK: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_SURE_DATE: Final = rf"^{_DAYS}$"
_SURE_MOMENT: Final = rf"^{_DAYS}T{_CLOCK}(?:\.[0-9]{{1,9}})?(?:Z|[+-](?:0[0-9]|1[0-3]):?[0-5][0-9])$"
_SURE_TIME: Final = rf"^{_CLOCK}(?:\.[0-9]{{1,3}})?Z$"
_SURE_BOOLEAN: Final = r"^(?i:true|false|1|0)$"

_DATE: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(Z|[+-][0-9]{2}:?[0-9]{2})?")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_SEVERAL_LABELS: Final = r"(?:[^@\s,;:<>()\[\]\"\\.]+\.)+"
_EMAIL: Final = rf"^[^@\s,;:<>()\[\]\"\\]+@{_SEVERAL_LABELS}[^@\s,;:<>()\[\]\"\\.]{{2,}}$"
_ID: Final = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")

_EXACT_DIGITS: Final = 15
"""Digits that a 64-bit float has for sure: with no more of them a number is not rounded up to its bound."""
_SHORT_WHOLE: Final = 9
"""Digits of numbers that are all below 2**31."""

PREFIXES: Final[Mapping[str, str]] = {
    "Account": "001",
    "Asset": "02i",
    "Campaign": "701",
    "Case": "500",
    "Contact": "003",
    "Contract": "800",
    "Event": "00U",
    "Group": "00G",
    "Lead": "00Q",
    "Opportunity": "006",
    "Order": "801",
    "Organization": "00D",
    "Pricebook2": "01s",
    "PricebookEntry": "01u",
    "Product2": "01t",
    "Profile": "00e",
    "RecordType": "012",
    "Task": "00T",
    "User": "005",
    "UserRole": "00E",
}
"""First three characters of the ids of standard objects, alike in all orgs (help article 000385203). Those of other objects
differ from org to org, and describe names only the object's own."""


def cells_of(field: Field, describe: Mapping[str, Any]) -> Cells | None:
    """Return the valid cells of a field; None when any text is valid, or nothing is known.

    :param describe: of the object that has the field
    """
    kind, name = str(field.get("type")), str(field["name"])
    if kind in ("int", "long"):
        return _whole_numbers(name, kind, int(field.get("digits") or 0))
    if kind in ("double", "currency", "percent"):
        return _numbers(name, int(field.get("precision") or 0), int(field.get("scale") or 0))
    if kind in ("id", "reference"):
        return _ids(name, kind, field, describe)
    if kind in _BY_PATTERN:
        pattern, reads, message = _BY_PATTERN[kind]
        return _by_pattern(pattern, reads, Problem("INVALID_FIELD", name, message))
    return _texts(name, kind, field)


def _by_pattern(pattern: str, reads: Callable[[str], object], problem: Problem) -> Cells:
    first, last = date(limits.FIRST_YEAR, 1, 1), date(limits.LAST_YEAR, 12, 31)
    begins, ends = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, last))
    out_of_range = Problem("FIELD_INTEGRITY_EXCEPTION", problem.column, f"not between {first} and {last}")

    def problem_of(text: str) -> Problem | None:
        try:
            value = reads(text)
        except (ValueError, OverflowError):
            return problem
        if isinstance(value, datetime):
            return None if begins <= value <= ends else out_of_range
        if isinstance(value, date):
            return None if first <= value <= last else out_of_range
        return None

    return Cells(lambda texts: compute.match_substring_regex(texts, pattern), problem_of)


def _read_date(text: str) -> object:
    matched = _DATE.fullmatch(text)
    if matched is None:
        raise ValueError
    if matched[2] is None:
        return date.fromisoformat(text)
    return datetime.fromisoformat(f"{matched[1]}T00:00:00{matched[2]}").astimezone(UTC).date()


def _read_moment(text: str) -> object:
    if not WIRE_MOMENT.fullmatch(text):
        raise ValueError
    # Python reads six digits of a fraction, Salesforce takes nine.
    return datetime.fromisoformat(re.sub(r"\.[0-9]+", "", text)).astimezone(UTC)


def _read_time(text: str) -> object:
    if not WIRE_TIME.fullmatch(text):
        raise ValueError
    return time.fromisoformat(text[:8])


def _read_boolean(text: str) -> object:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError
    return text


_BY_PATTERN: Final[Mapping[str, tuple[str, Callable[[str], object], str]]] = {
    "boolean": (_SURE_BOOLEAN, _read_boolean, "neither true nor false"),
    "date": (_SURE_DATE, _read_date, "no date as 2026-03-04"),
    "datetime": (_SURE_MOMENT, _read_moment, "not a datetime with a zone, such as 2026-03-04T05:06:07Z"),
    "time": (_SURE_TIME, _read_time, "no time as 05:06:07.000Z"),
}


def _whole_numbers(name: str, kind: str, digits: int) -> Cells:
    largest = 2**31 if kind == "int" else 2**63
    bound = min(10**digits, largest) if digits else largest
    no_number = Problem("INVALID_FIELD", name, "no whole number")
    too_large = Problem("NUMBER_OUTSIDE_VALID_RANGE", name, f"not below {bound:,}")

    def problem(text: str) -> Problem | None:
        if not _WHOLE.fullmatch(text):
            return no_number
        return None if -bound < int(text) < bound else too_large

    sure = rf"^[+-]?[0-9]{{1,{min(digits or _SHORT_WHOLE, _SHORT_WHOLE)}}}$"
    return Cells(lambda texts: compute.match_substring_regex(texts, sure), problem)


def _numbers(name: str, precision: int, scale: int) -> Cells:
    before = max(0, precision - scale) if precision else 18
    bound = float(10**before) if precision else float("inf")
    no_number = Problem("INVALID_FIELD", name, "no number")
    too_large = Problem("NUMBER_OUTSIDE_VALID_RANGE", name, f"more than {before} digits before the decimal point")

    def problem(text: str) -> Problem | None:
        if not _NUMBER.fullmatch(text):
            return no_number
        return None if -bound < float(text) < bound else too_large

    whole = min(before, _SHORT_WHOLE)
    # As many digits in all as a float has for sure, so that none is rounded up to the bound.
    sure = rf"^[+-]?[0-9]{{{min(1, whole)},{whole}}}(?:\.[0-9]{{0,{_EXACT_DIGITS - whole}}})?$" if whole else r"^0$"
    return Cells(lambda texts: compute.match_substring_regex(texts, sure), problem)


def _ids(name: str, kind: str, field: Field, describe: Mapping[str, Any]) -> Cells:
    prefixes = _prefixes(kind, field, describe)
    malformed = Problem(
        "MALFORMED_ID", name, "not an id of 15 or 18 characters, or its last three characters do not match the others"
    )
    of_other = Problem(
        "INVALID_ID_FIELD" if kind == "id" else "FIELD_INTEGRITY_EXCEPTION", name, "the id of another object's record"
    )
    not_usable = Problem(
        "INVALID_CROSS_REFERENCE_KEY", name, "not a record type that this user may use for this object"
    )
    record_types = _record_types(describe) if name == "RecordTypeId" else None
    begins = "|".join(map(re.escape, sorted(prefixes))) if prefixes else "[0-9A-Za-z]{3}"
    pattern = rf"^(?:{begins})[0-9A-Za-z]{{12}}(?:[0-9A-Za-z]{{3}})?$"

    def sure(texts: Array) -> Array:
        whole = _long_ids(texts)
        # An id of 18 characters is the one that its first 15 stand for.
        is_right = compute.or_(compute.equal(whole, texts), compute.equal(compute.utf8_length(texts), 15))
        if record_types is not None:
            is_right = compute.and_(is_right, compute.is_in(whole, pa.array(sorted(record_types), pa.string())))
        return compute.and_(is_right, compute.match_substring_regex(texts, pattern))

    def problem(text: str) -> Problem | None:
        whole = _long_ids(pa.array([text], pa.string()))[0].as_py()
        if not _ID.fullmatch(text) or (len(text) != 15 and whole != text):
            return malformed
        if prefixes and text[:3] not in prefixes:
            return of_other
        return not_usable if record_types is not None and whole not in record_types else None

    return Cells(sure, problem)


def _long_ids(texts: Array) -> Array:
    return normal_form(compute.utf8_slice_codeunits(texts, 0, 15), "id")


def _prefixes(kind: str, field: Field, describe: Mapping[str, Any]) -> Collection[str]:
    """Return the possible prefixes of ids; empty unless known for every object that they may belong to."""
    own = {str(describe.get("name")): str(describe.get("keyPrefix") or "")}
    if kind == "id":
        return list(filter(None, own.values()))
    known = {**PREFIXES, **own}
    prefixes = [known.get(str(each), "") for each in field.get("referenceTo") or ()]
    return prefixes if all(prefixes) else ()


def _record_types(describe: Mapping[str, Any]) -> frozenset[str] | None:
    infos: Sequence[Mapping[str, Any]] = describe.get("recordTypeInfos") or ()
    usable = [
        str(each["recordTypeId"]) for each in infos if each.get("recordTypeId") and each.get("available") is not False
    ]
    return frozenset(normal_form(pa.array(usable, pa.string()), "id").to_pylist()) or None


def _texts(name: str, kind: str, field: Field) -> Cells | None:
    length = int(field.get("length") or 0) or limits.FIELD_CHARACTERS
    too_long = Problem("STRING_TOO_LONG", name, f"longer than {length:,} characters")
    entries = [each for each in field.get("picklistValues") or () if each.get("active", True)]
    allowed = frozenset(str(each.get("value")) for each in entries) if field.get("restrictedPicklist") else frozenset()
    not_listed = Problem(
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", name, f"none of the {len(allowed)} values of the restricted picklist"
    )
    no_email = Problem("INVALID_EMAIL_ADDRESS", name, "no email address")

    def sure(texts: Array) -> Array:
        is_short = compute.less_equal(compute.utf8_length(texts), length)
        if allowed:
            return compute.and_(is_short, compute.is_in(texts, pa.array(sorted(allowed), pa.string())))
        return compute.and_(is_short, compute.match_substring_regex(texts, _EMAIL)) if kind == "email" else is_short

    def problem(text: str) -> Problem | None:
        if len(text) > length:
            return too_long
        chosen = text.split(";") if kind == "multipicklist" else (text,)
        if allowed and not allowed.issuperset(chosen):
            return not_listed
        return no_email if kind == "email" and not re.fullmatch(_EMAIL, text) else None

    return Cells(sure, problem)
