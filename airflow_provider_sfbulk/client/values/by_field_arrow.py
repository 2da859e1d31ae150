"""Whole columns as the texts of a field of a known type: the fast twin of ``by_field.text_for``.

An Arrow kernel writes a column that needs no special treatment. If it does not support or refuses a value, the values go
through ``text_for`` one by one, which converts them or says which value is wrong, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa

from airflow_provider_sfbulk.client.values.by_field import DAY, FALSE, TRUE, WIRE_MOMENT, WIRE_TIME, fit_of, text_for
from airflow_provider_sfbulk.client.values.text_arrow import (
    BUILDERS,
    BY_OWN_TYPE,
    KERNELS,
    Array,
    Form,
    Kernel,
    compute,
    write_boolean,
    write_cast,
    write_date,
    write_decimal,
    write_float,
    write_null,
    write_time,
    write_timestamp,
)


@cache
def form_of(field_type: str | None) -> Form:
    """Return how a column for fields of this type is written.

    :param field_type: what describe calls it; None when it is not known
    """
    if field_type is None or fit_of(field_type) is None:
        return BY_OWN_TYPE
    known = _KERNELS.get(field_type)
    # As arrays these would no more be what they were: decimals are texts there, and moments have lost their clock.
    dropped = {Decimal, datetime} if known is not None and field_type not in _NUMBERS else set()
    if field_type == "datetime":
        dropped -= {datetime}
    return Form(
        lambda value, zone: text_for(value, field_type, zone),
        {kind: build for kind, build in BUILDERS.items() if kind not in dropped},
        KERNELS if known is None else ((pa.types.is_null, write_null), *known),
    )


def _texts(pattern: str) -> Kernel:
    """Make the kernel for texts that all have a form that Salesforce accepts, or are empty."""
    whole = f"^(?:{pattern})?$"

    def write(array: Array, _zone: ZoneInfo | None) -> Array:
        texts = write_cast(array, None)
        if not compute.all(compute.match_substring_regex(texts, whole), min_count=0).as_py():
            raise pa.ArrowInvalid
        return texts

    return write


def _whole_floats(array: Array, zone: ZoneInfo | None) -> Array:
    return _whole_numbers(write_float(array, zone))


def _whole_decimals(array: Array, zone: ZoneInfo | None) -> Array:
    return _whole_numbers(compute.replace_substring_regex(write_decimal(array, zone), r"\.0+$", ""))


def _whole_numbers(texts: Array) -> Array:
    if compute.any(compute.match_substring(texts, ".")).as_py():
        raise pa.ArrowInvalid
    return texts


def _one_or_zero(array: Array, _zone: ZoneInfo | None) -> Array:
    return write_cast(_only_if(compute.is_in(array, pa.array([0, 1], array.type)), array).cast(pa.bool_()), None)


def _boolean_texts(array: Array, _zone: ZoneInfo | None) -> Array:
    # All in one way, whatever is beside them: what a batch holds must not decide how a text is written.
    texts = write_cast(array, None)
    words = compute.utf8_lower(compute.utf8_trim_whitespace(texts))
    is_true, is_false = (compute.is_in(words, pa.array(sorted(each), pa.string())) for each in (TRUE, FALSE))
    return compute.if_else(is_true, "true", compute.if_else(is_false, "false", texts))


def _midnights(array: Array, zone: ZoneInfo | None) -> Array:
    local = array if array.type.tz is None else compute.local_timestamp(array)
    days = compute.floor_temporal(local, unit="day")
    return write_date(_only_if(compute.equal(days, local), days), zone)


def _first_moments(array: Array, zone: ZoneInfo | None) -> Array:
    if zone is None:
        raise pa.ArrowInvalid
    return write_timestamp(compute.cast(compute.cast(array, pa.date32()), pa.timestamp("s")), zone)


def _only_if(fit: Array, array: Array) -> Array:
    """Return the array when all its values are fit; a null is."""
    if not compute.all(compute.fill_null(compute.or_kleene(fit, compute.is_null(array)), True), min_count=0).as_py():
        raise pa.ArrowInvalid
    return array


def _is_text(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


_NUMBERS: Final = frozenset({"double", "currency", "percent"})

_NUMBER_KERNELS: Final = (
    (pa.types.is_integer, write_cast),
    (pa.types.is_floating, write_float),
    (pa.types.is_decimal, write_decimal),
    (_is_text, write_cast),
)
_WHOLE_KERNELS: Final = (
    (pa.types.is_integer, write_cast),
    (pa.types.is_floating, _whole_floats),
    (pa.types.is_decimal, _whole_decimals),
    (_is_text, _texts("[+-]?[0-9]+")),
)
_ID_KERNELS: Final = ((_is_text, write_cast),)

_KERNELS: Final[dict[str, tuple[tuple[Callable[[Any], bool], Kernel], ...]]] = {
    **dict.fromkeys(_NUMBERS, _NUMBER_KERNELS),
    "int": _WHOLE_KERNELS,
    "long": _WHOLE_KERNELS,
    "boolean": (
        (pa.types.is_boolean, write_boolean),
        (pa.types.is_integer, _one_or_zero),
        (_is_text, _boolean_texts),
    ),
    "date": ((pa.types.is_date, write_date), (pa.types.is_timestamp, _midnights), (_is_text, _texts(DAY.pattern))),
    "datetime": (
        (pa.types.is_timestamp, write_timestamp),
        (pa.types.is_date, _first_moments),
        (_is_text, _texts(WIRE_MOMENT.pattern)),
    ),
    "time": ((pa.types.is_time, write_time), (_is_text, _texts(WIRE_TIME.pattern))),
    "id": _ID_KERNELS,
    "reference": _ID_KERNELS,
}
"""By describe's type. Types of text have those of ``arrow_text``."""
