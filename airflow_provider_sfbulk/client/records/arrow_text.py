"""Whole columns as text: Arrow arrays and lists of Python values to arrays of strings, nulls kept.

The fast twin of ``values.text_of``. Where a kernel cannot do it, or refuses, the values go through ``text_of`` one by
one, which also finds out which of them is to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute

from airflow_provider_sfbulk.client.records.values import (
    EXACT_FLOAT,
    INFINITE,
    NO_ZONE,
    Text,
    UnfitValueError,
    number_text,
    text_of,
)

# Both Any: the stubs' overloads know neither a scalar among arrays, which the kernels take, nor all kinds of arrays.
compute: Any = pyarrow.compute
Array: TypeAlias = Any
"""An Arrow array."""


class Missing:
    """Of a value that is not there: the row has no such key. Its text is empty, whatever becomes of nulls."""


MISSING: Final = Missing()

_ZONE_RULES_FROM: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - compared with naive ones
_ZONE_RULES_TO: Final = datetime(2037, 1, 1)  # noqa: DTZ001
"""Between these Arrow knows when clocks change. Seen with pyarrow 26: from 2038 on it takes all year for winter."""

_DATETIME_CHARACTERS: Final = len("2026-03-04 05:06:07.000")
_DATE_CHARACTERS: Final = len("2026-03-04")


class UnfitRowError(Exception):
    """A value that cannot be sent.

    :param index: its place in the column, from 0
    :param reason: why, without the value
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(index, reason)
        self.index = index
        self.reason = reason


def texts_of_values(values: list[Any], zone: ZoneInfo | None) -> Array:
    """Turn Python values, ``MISSING`` among them or not, into an array of strings.

    :raises UnfitRowError: for a value that has no text
    """
    kinds = set(map(type, values))
    if Missing in kinds:
        missing = [value is MISSING for value in values]
        texts = texts_of_values([None if value is MISSING else value for value in values], zone)
        return compute.if_else(pa.array(missing), "", texts)
    kinds.discard(type(None))
    if not kinds:
        return pa.nulls(len(values), pa.string())
    build = _BUILDERS.get(kinds.pop()) if len(kinds) == 1 else None
    if build is not None:
        try:
            return texts_of_array(build(values), zone)
        except (pa.ArrowException, ValueError, OverflowError):
            pass  # the long way finds the value, or copes with it
    return _one_by_one(values, zone)


def texts_of_array(array: Array, zone: ZoneInfo | None) -> Array:
    """Turn an Arrow array of any type into an array of strings.

    :raises UnfitRowError: for a value that has no text
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return texts_of_array(array.dictionary_decode(), zone)
    for matches, write in _KERNELS:
        if matches(kind):
            try:
                return write(array, zone)
            except (pa.ArrowException, OverflowError):
                break
    return _one_by_one(_python_values(array), zone)


def strings(texts: Iterable[Text]) -> Array:
    """Make an array of strings.

    :raises UnfitRowError: for a text that UTF-8 has no bytes for
    """
    held = list(texts)
    try:
        return pa.array(held, pa.string())
    except UnicodeEncodeError:
        for index, text in enumerate(held):
            try:
                (text or "").encode()
            except UnicodeEncodeError as error:
                raise UnfitRowError(index, "half a surrogate pair, which UTF-8 has no bytes for") from error
        raise


def _one_by_one(values: Iterable[Any], zone: ZoneInfo | None) -> Array:
    texts: list[Text] = []
    try:
        for value in values:
            texts.append(text_of(value, zone))  # not a comprehension: its length tells where an error was
    except UnfitValueError as error:
        raise UnfitRowError(len(texts), str(error)) from error
    except (ValueError, OverflowError) as error:
        raise UnfitRowError(len(texts), "a date or time that Python cannot hold") from error
    return strings(texts)


def _python_values(array: Array) -> Iterator[Any]:
    # Not to_pylist: a value that Python cannot hold is found at its place.
    return (value.as_py() for value in array)


def _aware_datetimes(values: Sequence[datetime | None]) -> Array:
    # Arrow would take a naive datetime for UTC, and give a year 0 where UTC leaves the calendar: both go the long way.
    if any(value is not None and (value.tzinfo is None or not 1 < value.year < 9999) for value in values):
        raise ValueError
    return pa.array(values, pa.timestamp("us", tz="UTC"))


def _decimals(values: Sequence[Decimal | None]) -> Array:
    texts = [None if value is None else str(value) for value in values]
    together = "".join(filter(None, texts))
    # An exponent, NaN or Infinity: the long way writes, leaves out or refuses it.
    if any(letter in together for letter in "ENI"):
        raise ValueError
    return pa.array(texts, pa.string())


_BUILDERS: Final[dict[type, Callable[[list[Any]], Array]]] = {
    str: strings,
    int: lambda values: pa.array(values, pa.int64()),
    bool: lambda values: pa.array(values, pa.bool_()),
    float: lambda values: pa.array(values, pa.float64()),
    Decimal: _decimals,
    date: lambda values: pa.array(values, pa.date32()),
    datetime: _aware_datetimes,
}


def _null(array: Array, _zone: ZoneInfo | None) -> Array:
    return pa.nulls(len(array), pa.string())


def _cast(array: Array, _zone: ZoneInfo | None) -> Array:
    return compute.cast(array, pa.string())


def _float(array: Array, _zone: ZoneInfo | None) -> Array:
    wide = compute.cast(array, pa.float64())
    nan = compute.fill_null(compute.is_nan(wide), False)
    if compute.any(nan).as_py():
        wide, array = (compute.if_else(nan, pa.scalar(None, each.type), each) for each in (wide, array))
    infinite = compute.index(compute.is_inf(wide), True).as_py()
    if infinite >= 0:
        raise UnfitRowError(infinite, INFINITE)
    whole = compute.and_(compute.equal(compute.floor(wide), wide), compute.less(compute.abs(wide), float(EXACT_FLOAT)))
    integers = _cast(compute.cast(compute.if_else(whole, wide, None), pa.int64()), None)
    if compute.all(whole, min_count=0).as_py():
        return integers
    # From the narrow array: the shortest digits of its own width. float32(0.1) is 0.1.
    return compute.if_else(whole, integers, _plain(_cast(array, None)))


def _decimal(array: Array, _zone: ZoneInfo | None) -> Array:
    texts = _cast(array, None)
    if compute.any(compute.match_substring(texts, "E")).as_py():
        raise pa.ArrowInvalid  # an exponent: Python's own digits instead
    return texts


def _plain(texts: Array) -> Array:
    odd = compute.fill_null(compute.match_substring(texts, "e"), False)
    if not compute.any(odd).as_py():
        return texts
    fixed = [number_text(text) for text in compute.filter(texts, odd).to_pylist()]
    return compute.replace_with_mask(texts, odd, pa.array(fixed, pa.string()))


def _date(array: Array, _zone: ZoneInfo | None) -> Array:
    return _of_length(_cast(compute.cast(array, pa.date32()), None), _DATE_CHARACTERS)


def _time(array: Array, _zone: ZoneInfo | None) -> Array:
    return _with_z(_cast(compute.cast(array, pa.time32("ms"), safe=False), None))


def _timestamp(array: Array, zone: ZoneInfo | None) -> Array:
    moments = array
    if moments.type.tz is None:
        if zone is None:
            first = compute.index(compute.is_valid(array), True).as_py()
            if first >= 0:
                raise UnfitRowError(first, NO_ZONE)
            return _null(array, None)
        ends = compute.min_max(compute.cast(moments, pa.timestamp("us"), safe=False)).as_py()
        if ends["min"] is not None and not _ZONE_RULES_FROM <= ends["min"] <= ends["max"] < _ZONE_RULES_TO:
            raise pa.ArrowInvalid  # the long way
        # A skipped hour raises, and the long way tells the row; of an hour that is there twice both take the first.
        moments = compute.assume_timezone(moments, zone.key, ambiguous="earliest", nonexistent="raise")
    utc = compute.cast(moments, pa.timestamp(moments.type.unit))
    if utc.type.unit in {"us", "ns"}:
        utc = compute.floor_temporal(utc, unit="millisecond")  # a cast would cut towards 1970
    texts = _of_length(_cast(compute.cast(utc, pa.timestamp("ms")), None), _DATETIME_CHARACTERS)
    return _with_z(compute.utf8_replace_slice(texts, start=10, stop=11, replacement="T"))


def _with_z(texts: Array) -> Array:
    return compute.binary_join_element_wise(texts, "Z", "")


def _of_length(texts: Array, characters: int) -> Array:
    ends = compute.min_max(compute.binary_length(texts)).as_py()
    if not {ends["min"], ends["max"]} <= {None, characters}:
        raise pa.ArrowInvalid  # a year outside 0000 to 9999
    return texts


_KERNELS: Final[tuple[tuple[Callable[[Any], bool], Callable[[Any, ZoneInfo | None], Array]], ...]] = (
    (pa.types.is_null, _null),
    (pa.types.is_boolean, _cast),
    (pa.types.is_integer, _cast),
    (pa.types.is_string, _cast),
    (pa.types.is_large_string, _cast),
    (pa.types.is_floating, _float),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_date, _date),
    (pa.types.is_time, _time),
    (pa.types.is_timestamp, _timestamp),
)
