"""The normal form of a value, as text: two values of a field mean the same if their normal forms are equal.

Facts: "Values are written back re-serialised" - the guide's own sample shows an uploaded 912260031 come back as
``9.12260031E8``. Booleans come back in lower case, datetimes in UTC with milliseconds, an id of 15 characters may come
back with the 18 it stands for, both ``#N/A`` and blank as blank.

Theory: a normal form is a text computed from the value alone, never from its neighbours, so that it does not matter in
which batch a value comes. What does not parse as its field's type is its own normal form.

A number of at most 15 significant digits is a 64-bit float and no two of them are the same float (IEEE 754: 15 decimal
digits survive the way to a double and back), so Arrow's own text of that float will do. Longer ones keep their digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from airflow_provider_sfbulk.client.parts.stream import NULL_TEXT
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute

_TRIMMED: Final = (
    "".join(map(chr, range(0x21)))
    + "\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""What is no part of a value at either end: the controls and the blank, as Java's ``trim``, and Unicode's blanks."""

_EXACT_DIGITS: Final = 15
"""Significant decimal digits of which every number is a 64-bit float of its own."""

NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$"
"""How a number is written that has a normal form; ``compare/same.py`` takes no other for one either."""

_NUMBER_PARTS: Final = re.compile(r"([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?")

_FLOAT_EXPONENT: Final = 200
"""Well inside the exponents (308) up to which a 64-bit float has all its digits."""

_DAY: Final = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
_ZONE: Final = r"(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])"
_DATETIME: Final = rf"^{_DAY}[T ]{_CLOCK}{_ZONE}?$"
_TIME: Final = rf"^{_CLOCK}Z?$"
_MORE_THAN_A_DATE: Final = rf"^({_DAY})(T00:00:00(\.0+)?)?(Z|[+-]00:?00)?$"

_DATE_CHARACTERS: Final = len("2026-03-04")

_ID_CHARACTERS: Final = 15
_ID_SUFFIX: Final = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", np.uint8)
"""The letter of an id's last three that stands for five characters' cases; the first character is the lowest bit."""


def normal_form(texts: Array, field_type: str | None) -> Array:
    """Return the normal form of each value of a column; blank and ``#N/A`` both as ``""``.

    :param texts: an Arrow array of strings
    :param field_type: what describe calls the field's type; None when it is not known, which is read as text
    """
    trimmed = _trimmed(texts)
    read = _READERS.get(field_type or "")
    if read is None:
        return trimmed
    forms = read(trimmed)
    if not forms.null_count:
        return forms
    # Marked, so that no text looks like the normal form of another value.
    text = compute.if_else(compute.equal(trimmed, ""), "", compute.binary_join_element_wise("?", trimmed, ""))
    return compute.coalesce(forms, text)


def holds(texts: Array, byte: int) -> bool:
    """Return whether a byte may occur in any of the texts; looked for in the buffer, which is ten times faster."""
    data = texts.buffers()[2]
    return data is not None and bool((np.frombuffer(data, np.uint8) == byte).any())


def _trimmed(texts: Array) -> Array:
    if texts.null_count:
        texts = compute.fill_null(texts, "")
    if holds(texts, ord("\r")):
        for line_break in ("\r\n", "\r"):
            texts = compute.replace_substring(texts, line_break, "\n")
    texts = compute.utf8_trim(texts, characters=_TRIMMED)
    null = compute.equal(texts, NULL_TEXT)
    return compute.if_else(null, "", texts) if compute.any(null).as_py() else texts


def _number(texts: Array) -> Array:
    numbers = _only(texts, NUMBER)
    long = compute.greater(compute.binary_length(numbers), _EXACT_DIGITS)
    if compute.any(long).as_py():
        shortened = _by_distinct(compute.if_else(long, numbers, None), _shortened)
        numbers = compute.if_else(long, shortened, numbers)
    exact = compute.starts_with(numbers, "=")
    floats = compute.cast(compute.if_else(exact, None, numbers), pa.float64())
    # Plus zero: -0.0 becomes 0.0.
    return compute.coalesce(compute.cast(compute.add(floats, 0.0), pa.string()), numbers)


def _shortened(number: str) -> str:
    """Write a number as its significant digits and an exponent; ``=`` in front when a float has not all of them."""
    parts = _NUMBER_PARTS.fullmatch(number)
    assert parts is not None
    sign, whole, fraction, exponent = parts.groups()
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return "0"
    power = int(exponent or 0) - len(fraction) + len(digits) - len(significant)
    short = f"{sign.strip('+')}{significant}E{power}"
    fits = len(significant) <= _EXACT_DIGITS and abs(power) < _FLOAT_EXPONENT
    return short if fits else f"={short}"


def _boolean(texts: Array) -> Array:
    lower = compute.utf8_lower(texts)
    true = compute.or_(compute.equal(lower, "true"), compute.equal(lower, "1"))
    false = compute.or_(compute.equal(lower, "false"), compute.equal(lower, "0"))
    return compute.if_else(true, "true", compute.if_else(false, "false", None))


def _datetime(texts: Array) -> Array:
    # Without a zone: read as UTC, the only zone that Salesforce writes.
    return _moments(_only(texts, _DATETIME))


def _time(texts: Array) -> Array:
    # Arrow casts no text to a time of day, so by way of a day.
    return _moments(compute.binary_join_element_wise("1970-01-01T", _only(texts, _TIME), ""))


def _moments(texts: Array) -> Array:
    beyond = compute.match_substring_regex(texts, r"\.[0-9]{4}")
    if compute.any(beyond).as_py():
        texts = compute.replace_substring_regex(texts, r"(\.[0-9]{3})[0-9]+", r"\1")
    zoned = compute.match_substring_regex(texts, f"{_ZONE}$")
    if not compute.all(zoned, min_count=0).as_py():
        texts = compute.if_else(zoned, texts, compute.binary_join_element_wise(texts, "Z", ""))
    return compute.cast(compute.cast(_cast(texts, pa.timestamp("ms", "UTC")), pa.timestamp("ms")), pa.string())


def _date(texts: Array) -> Array:
    ends = compute.min_max(compute.binary_length(texts)).as_py()
    if ends["max"] is None or ends["max"] <= _DATE_CHARACTERS:
        return texts
    # The guide says that an offset is not supported, and has the sample 1990-06-07Z.
    return compute.replace_substring_regex(texts, _MORE_THAN_A_DATE, r"\1")


def _id(texts: Array) -> Array:
    short = compute.match_substring_regex(texts, r"^[0-9A-Za-z]{15}$")
    if not compute.any(short).as_py():
        return texts
    ids = compute.filter(texts, short).to_numpy(zero_copy_only=False).astype(f"S{_ID_CHARACTERS}")
    letters = ids.view(np.uint8).reshape(-1, 3, 5)
    upper = (letters >= ord("A")) & (letters <= ord("Z"))
    suffix = _ID_SUFFIX[upper @ np.array([1, 2, 4, 8, 16])]
    whole = np.concatenate((letters.reshape(-1, _ID_CHARACTERS), suffix), axis=1)
    long = whole.view(f"S{whole.shape[1]}").ravel().astype(str).tolist()
    return compute.replace_with_mask(texts, short, pa.array(long, pa.string()))


def _only(texts: Array, pattern: str) -> Array:
    """Keep the texts that match; null instead of the others."""
    return compute.if_else(compute.match_substring_regex(texts, pattern), texts, None)


def _cast(texts: Array, kind: pa.DataType) -> Array:
    """Cast each text that can be, by halving where one cannot; null instead of the others."""
    try:
        return compute.cast(texts, kind)
    except pa.ArrowInvalid:
        if len(texts) == 1:
            return compute.cast(pa.nulls(1), kind)
        half = len(texts) // 2
        return pa.concat_arrays([_cast(texts.slice(0, half), kind), _cast(texts.slice(half), kind)])


def _by_distinct(texts: Array, rewrite: Callable[[str], str]) -> Array:
    """Rewrite each text that is not null, every distinct one once."""
    coded = compute.dictionary_encode(texts)
    return compute.take(pa.array(map(rewrite, coded.dictionary.to_pylist()), pa.string()), coded.indices)


_READERS: Final[Mapping[str, Callable[[Array], Array]]] = {
    "double": _number,
    "currency": _number,
    "percent": _number,
    "int": _number,
    "long": _number,
    "boolean": _boolean,
    "datetime": _datetime,
    "date": _date,
    "time": _time,
    "id": _id,
    "reference": _id,
}
"""By describe's type; null for what does not parse. Every other type is text."""
