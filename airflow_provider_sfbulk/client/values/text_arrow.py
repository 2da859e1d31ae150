"""Whole columns as text: Arrow arrays and lists of Python values to arrays of strings, nulls kept.

The fast twin of ``text.text_of``. If an Arrow kernel does not support a type or refuses a value, the values go through
``text_of`` one by one, which also finds the invalid one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute

from airflow_provider_sfbulk.client.values.fixed_text import date_texts, moment_texts
from airflow_provider_sfbulk.client.values.plain_arrow import FEW, few_strings
from airflow_provider_sfbulk.client.values.text import (
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


Writer: TypeAlias = Callable[[object, "ZoneInfo | None"], Text]
Kernel: TypeAlias = Callable[[Array, "ZoneInfo | None"], Array]
"""Returns an array's texts, or raises ``pa.ArrowException`` when the values must be converted one by one."""


@dataclass(frozen=True)
class Form:
    """How a column's values become texts.

    :param text: the text of one value
    :param builders: by the type that all values of a list have, how they become an array that means the same
    :param kernels: by Arrow type, how a whole array becomes texts; the first that matches
    """

    text: Writer
    builders: Mapping[type, Callable[[list[Any]], Array]]
    kernels: Sequence[tuple[Callable[[Any], bool], Kernel]]

    def kernel(self, kind: pa.DataType) -> Kernel | None:
        """Return the kernel for a type, if there is one."""
        return next((write for matches, write in self.kernels if matches(kind)), None)


class Missing:
    """Stands for a missing value: the row has no such key. Its text is empty, whatever nulls become."""


MISSING: Final = Missing()

_ZONE_RULES_FROM: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - compared with naive ones
_ZONE_RULES_TO: Final = datetime(2037, 1, 1)  # noqa: DTZ001
"""Years in which Arrow knows when clocks change. Seen with pyarrow 26: from 2038 on, it takes the whole year for winter."""

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


def texts_of_values(values: list[Any], zone: ZoneInfo | None, form: Form | None = None) -> Array:
    """Turn Python values, ``MISSING`` among them or not, into an array of strings.

    :param form: None: by the values' own types

    :raises UnfitRowError: for a value that has no text
    """
    form = form or BY_OWN_TYPE
    kinds = set(map(type, values))
    if Missing in kinds:
        missing = [value is MISSING for value in values]
        texts = texts_of_values([None if value is MISSING else value for value in values], zone, form)
        return compute.if_else(pa.array(missing), "", texts)
    kinds.discard(type(None))
    if not kinds:
        return pa.nulls(len(values), pa.string())
    build = form.builders.get(kinds.pop()) if len(kinds) == 1 else None
    if build is not None:
        try:
            return texts_of_array(build(values), zone, form)
        except (pa.ArrowException, ValueError, OverflowError):
            pass  # one by one, the value is found, or is written after all
    return texts_one_by_one(values, zone, form)


def texts_of_array(array: Array, zone: ZoneInfo | None, form: Form | None = None) -> Array:
    """Turn an Arrow array of any type into an array of strings.

    :param form: None: by the values' own types

    :raises UnfitRowError: for a value that has no text
    """
    form = form or BY_OWN_TYPE
    kind = array.type
    if pa.types.is_dictionary(kind):
        return texts_of_array(array.dictionary_decode(), zone, form)
    if (write := form.kernel(kind)) is not None:
        try:
            return write(array, zone)
        except (pa.ArrowException, OverflowError):
            pass
    return texts_one_by_one(_python_values(array), zone, form)


def texts_together(arrays: Sequence[Array], zone: ZoneInfo | None, form: Form) -> list[Array]:
    """Turn arrays of one type and equal length into arrays of strings, with what it costs to begin paid once.

    :return: nothing when one of them needs :func:`texts_of_array`
    """
    write = form.kernel(arrays[0].type)
    if write is None:
        return []
    try:
        texts = write(pa.concat_arrays(arrays), zone)
    except (pa.ArrowException, OverflowError, UnfitRowError):
        return []
    rows = len(arrays[0])
    return [texts.slice(start, rows) for start in range(0, len(texts), rows)]


def strings(texts: Iterable[Text]) -> Array:
    """Make an array of strings.

    :raises UnfitRowError: for a text that UTF-8 has no bytes for
    """
    held = list(texts)
    try:
        return few_strings(held) if len(held) <= FEW and "pandas" not in sys.modules else pa.array(held, pa.string())
    except UnicodeEncodeError:
        for index, text in enumerate(held):
            try:
                (text or "").encode()
            except UnicodeEncodeError as error:
                raise UnfitRowError(index, "half a surrogate pair, which UTF-8 has no bytes for") from error
        raise


def fitting_texts(
    values: Array | Iterable[Any], zone: ZoneInfo | None, form: Form, unfit: Callable[[int, str], None]
) -> Array:
    """Turn values, which may include ``MISSING``, into strings one by one, with null for those that do not fit.

    :param unfit: called for each value that has no text, with its place from 0 and the reason
    """
    texts: list[Text] = []
    for index, value in enumerate(_python_values(values) if isinstance(values, pa.Array) else values):
        texts.append(None)
        try:
            text = "" if value is MISSING else form.text(value, zone)
            strings((text,))
            texts[index] = text
        except (UnfitRowError, ValueError, OverflowError) as error:
            unfit(index, _reason(error))
    return strings(texts)


def texts_one_by_one(values: Iterable[Any], zone: ZoneInfo | None, form: Form) -> Array:
    """Turn values into strings one by one: the quickest way for up to ``FEW`` values, since it does not import pandas. For
    more it is slow, but copes with every value.

    :raises UnfitRowError: for a value that has no text
    """
    texts: list[Text] = []
    write = form.text
    try:
        for value in values:
            # Not a comprehension: its length shows where an error was.
            texts.append("" if value is MISSING else write(value, zone))
    except (ValueError, OverflowError) as error:
        raise UnfitRowError(len(texts), _reason(error)) from error
    return strings(texts)


def _reason(error: Exception) -> str:
    if isinstance(error, UnfitRowError):
        return error.reason
    return str(error) if isinstance(error, UnfitValueError) else "a date or time that Python cannot hold"


def _python_values(array: Array) -> Iterator[Any]:
    # Not to_pylist: a value that Python cannot hold is found at its place.
    return (value.as_py() for value in array)


def _aware_datetimes(values: Sequence[datetime | None]) -> Array:
    # Arrow would take a naive datetime for UTC, and give a year 0 outside the calendar: both are written one by one.
    if any(value is not None and (value.tzinfo is None or not 1 < value.year < 9999) for value in values):
        raise ValueError
    return pa.array(values, pa.timestamp("us", tz="UTC"))


def _decimals(values: Sequence[Decimal | None]) -> Array:
    texts = [None if value is None else str(value) for value in values]
    together = "".join(filter(None, texts))
    # An exponent, NaN or Infinity: such a value is written, left out or refused one by one.
    if any(letter in together for letter in "ENI"):
        raise ValueError
    return pa.array(texts, pa.string())


BUILDERS: Final[dict[type, Callable[[list[Any]], Array]]] = {
    str: strings,
    int: lambda values: pa.array(values, pa.int64()),
    bool: lambda values: pa.array(values, pa.bool_()),
    float: lambda values: pa.array(values, pa.float64()),
    Decimal: _decimals,
    date: lambda values: pa.array(values, pa.date32()),
    datetime: _aware_datetimes,
}


def write_null(array: Array, _zone: ZoneInfo | None) -> Array:
    return pa.nulls(len(array), pa.string())


def write_cast(array: Array, _zone: ZoneInfo | None) -> Array:
    return compute.cast(array, pa.string())


def write_boolean(array: Array, _zone: ZoneInfo | None) -> Array:
    return compute.if_else(array, "true", "false")  # half of the time of a cast


def write_float(array: Array, _zone: ZoneInfo | None) -> Array:
    if pa.types.is_float16(array.type):  # Arrow writes the digits of a wider float
        return texts_one_by_one(array.to_numpy(zero_copy_only=False), None, BY_OWN_TYPE)
    wide = compute.cast(array, pa.float64())
    nan = compute.fill_null(compute.is_nan(wide), False)
    if compute.any(nan).as_py():
        wide, array = (compute.if_else(nan, pa.scalar(None, each.type), each) for each in (wide, array))
    infinite = compute.index(compute.is_inf(wide), True).as_py()
    if infinite >= 0:
        raise UnfitRowError(infinite, INFINITE)
    whole = compute.and_(compute.equal(compute.floor(wide), wide), compute.less(compute.abs(wide), float(EXACT_FLOAT)))
    integers = write_cast(compute.cast(compute.if_else(whole, wide, None), pa.int64()), None)
    if compute.all(whole, min_count=0).as_py():
        return integers
    # From the narrow array: the shortest digits of its own width. float32(0.1) is 0.1.
    return compute.if_else(whole, integers, _plain(write_cast(array, None)))


def write_decimal(array: Array, _zone: ZoneInfo | None) -> Array:
    texts = write_cast(array, None)
    if compute.any(compute.match_substring(texts, "E")).as_py():
        raise pa.ArrowInvalid  # an exponent: Python's own digits instead
    return texts


def _plain(texts: Array) -> Array:
    odd = compute.fill_null(compute.match_substring(texts, "e"), False)
    if not compute.any(odd).as_py():
        return texts
    fixed = [number_text(text) for text in compute.filter(texts, odd).to_pylist()]
    return compute.replace_with_mask(texts, odd, pa.array(fixed, pa.string()))


def write_date(array: Array, _zone: ZoneInfo | None) -> Array:
    dates = compute.cast(array, pa.date32())
    texts = _of_valid(dates, pa.int32(), date_texts)
    return _of_length(write_cast(dates, None), _DATE_CHARACTERS) if texts is None else texts


def write_time(array: Array, _zone: ZoneInfo | None) -> Array:
    return _with_z(write_cast(compute.cast(array, pa.time32("ms"), safe=False), None))


def write_timestamp(array: Array, zone: ZoneInfo | None) -> Array:
    moments = array
    if moments.type.tz is None:
        if zone is None:
            first = compute.index(compute.is_valid(array), True).as_py()
            if first >= 0:
                raise UnfitRowError(first, NO_ZONE)
            return write_null(array, None)
        ends = compute.min_max(compute.cast(moments, pa.timestamp("us"), safe=False)).as_py()
        if ends["min"] is not None and not _ZONE_RULES_FROM <= ends["min"] <= ends["max"] < _ZONE_RULES_TO:
            raise pa.ArrowInvalid  # one by one
        # A skipped hour raises, and the slow way names the row; of an hour that comes twice both take the first.
        moments = compute.assume_timezone(moments, zone.key, ambiguous="earliest", nonexistent="raise")
    utc = compute.cast(moments, pa.timestamp(moments.type.unit))
    if utc.type.unit in {"us", "ns"}:
        utc = compute.floor_temporal(utc, unit="millisecond")  # a cast would cut towards 1970
    utc = compute.cast(utc, pa.timestamp("ms"))
    texts = _of_valid(utc, pa.int64(), moment_texts)
    if texts is not None:
        return texts
    texts = _of_length(write_cast(utc, None), _DATETIME_CHARACTERS)
    return _with_z(compute.utf8_replace_slice(texts, start=10, stop=11, replacement="T"))


def _of_valid(array: Array, numbers: pa.DataType, write: Callable[[Any], Array | None]) -> Array | None:
    """Write the numbers that an array is made of, null for null."""
    plain = array.view(numbers)
    texts = write(compute.fill_null(plain, 0).to_numpy())
    if texts is None or not array.null_count:
        return texts
    return compute.if_else(compute.is_valid(array), texts, pa.scalar(None, pa.string()))


def _with_z(texts: Array) -> Array:
    return compute.binary_join_element_wise(texts, "Z", "")


def _of_length(texts: Array, characters: int) -> Array:
    ends = compute.min_max(compute.binary_length(texts)).as_py()
    if not {ends["min"], ends["max"]} <= {None, characters}:
        raise pa.ArrowInvalid  # a year outside 0000 to 9999
    return texts


KERNELS: Final[tuple[tuple[Callable[[Any], bool], Kernel], ...]] = (
    (pa.types.is_null, write_null),
    (pa.types.is_boolean, write_boolean),
    (pa.types.is_integer, write_cast),
    (pa.types.is_string, write_cast),
    (pa.types.is_large_string, write_cast),
    (pa.types.is_floating, write_float),
    (pa.types.is_decimal, write_decimal),
    (pa.types.is_date, write_date),
    (pa.types.is_time, write_time),
    (pa.types.is_timestamp, write_timestamp),
)

BY_OWN_TYPE: Final = Form(text_of, BUILDERS, KERNELS)
"""Values go by their own types: for a field whose type is not known, and for text."""
