"""Whether the org certainly already has a value that would be sent.

If an unchanged row is taken for different, it is sent, which does no harm. If a different row were taken for unchanged,
it would not be sent. So a value with any doubt about its meaning counts as different: a datetime without a zone, text
around a number, an id of a wrong length. Text is the same if every character is the same. (``load/normal_forms.py``
answers another question, which row a result belongs to, and is less strict.)

Numbers. Salesforce writes them as Java writes a double. A stored number has at most as many decimals as describe gives
its field (its *scale*), and below ``10^(15 - scale)`` therefore at most 15 significant digits, which survive the way to
a double and back (IEEE 754): below this limit, the number that is read is the number that is stored. Above it, two
stored numbers may read alike, so no number counts as the same.

Several choices of a picklist are a set: their order does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.load.normal_forms import NUMBER, normal_form
from airflow_provider_sfbulk.client.models import BINARY_TYPE, COMPOUND_TYPES
from airflow_provider_sfbulk.client.parts.stream import NULL_TEXT
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute

Mask = NDArray[np.bool_]

_EXACT_DIGITS: Final = 15

_DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK: Final = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3}0*)?"
_DATETIME: Final = rf"^{_DAY}T{_CLOCK}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$"
_ID: Final = r"^[0-9A-Za-z]{15}([0-9A-Za-z]{3})?$"

_NOT_READ: Final = "?"
"""How the normal form of a value begins that is none of its type."""

_NOT_EXACT: Final = "="
"""How the normal form of a number begins that a double does not hold."""

UNREADABLE: Final[Mapping[str, str]] = {
    **dict.fromkeys(COMPOUND_TYPES, "is compound, which no bulk query reads"),
    **dict.fromkeys(("anytype", "junctionidlist"), "is of a type that no bulk query reads"),
    BINARY_TYPE: "holds binary data, which no bulk query reads",
    "encryptedstring": "is encrypted, and what is read of it may be masked",
}
"""Describe's types, in lower case, of fields whose values cannot be compared, and why."""


@dataclass(frozen=True)
class ComparedColumn:
    """A column whose values are compared.

    :param name: as it is sent, and as SOQL selects it
    :param kind: what describe calls its type; empty for a field of a parent (``Owner.External_Key__c``)
    :param scale: decimals of a number, at most
    """

    name: str
    kind: str
    scale: int = 0

    @classmethod
    def of(cls, name: str, describe: Mapping[str, Any]) -> Self:
        """Look a column up.

        :param name: in describe's spelling
        :raises SourceError: its values cannot be read
        """
        fields = describe.get("fields") or ()
        if ":" in name:
            raise _incomparable(name, "goes over a relationship to several objects, which no bulk query reads")
        if "." in name:
            return cls(name, "")
        field: Mapping[str, Any] = next((each for each in fields if each.get("name") == name), {})
        kind = str(field.get("type") or "")
        if (why := UNREADABLE.get(kind.lower())) is not None:
            raise _incomparable(name, why)
        scale = field.get("scale")
        return cls(name, kind, scale if isinstance(scale, int) else _EXACT_DIGITS)

    @property
    def is_of_parent(self) -> bool:
        """Whether it is a field of a parent: an empty one does not say that there is no parent."""
        return "." in self.name


def sent_forms(texts: Array, column: ComparedColumn) -> tuple[Array, Mask]:
    """Return the form of each value that is to be sent: equal to that of the org's when the field would not change.

    :param texts: as they are sent, without nulls; blanks, which leave a field as it is, are for the caller to see to
    :return: the forms, and where they are certain
    """
    forms, certain = _forms(texts, column, NULL_TEXT)
    if column.is_of_parent:
        certain &= ~_mask(compute.equal(texts, NULL_TEXT))
    return forms, certain


def read_forms(texts: Array, column: ComparedColumn) -> tuple[Array, Mask]:
    """Return the form of each value that was read from the org; see :func:`sent_forms`."""
    return _forms(texts, column, "")


def _forms(texts: Array, column: ComparedColumn, null: str) -> tuple[Array, Mask]:
    is_null = compute.equal(texts, null)
    if column.kind in _NUMBERS:
        forms = _number(texts, column.scale)
    else:
        write = _WRITERS.get(column.kind)
        forms = texts if write is None else write(texts)
    certain = compute.or_(is_null, compute.is_valid(forms))
    return compute.if_else(is_null, "", compute.fill_null(forms, "")), _mask(certain)


def _mask(values: Any) -> Mask:
    found: Mask = values.to_numpy(zero_copy_only=False).copy()
    return found


def _number(texts: Array, scale: int) -> Array:
    numbers = _of_type(texts, NUMBER, "double")
    numbers = compute.if_else(compute.starts_with(numbers, _NOT_EXACT), None, numbers)
    size = compute.abs(compute.cast(numbers, pa.float64()))
    return compute.if_else(compute.less(size, 10.0 ** (_EXACT_DIGITS - scale)), numbers, None)


def _boolean(texts: Array) -> Array:
    lower = compute.utf8_lower(texts)
    return compute.if_else(compute.is_in(lower, value_set=pa.array(["true", "false"])), lower, None)


def _datetime(texts: Array) -> Array:
    return _of_type(texts, _DATETIME, "datetime")


def _date(texts: Array) -> Array:
    return _of_type(texts, f"^{_DAY}$", "date")


def _time(texts: Array) -> Array:
    return _of_type(texts, f"^{_CLOCK}Z$", "time")


def _id(texts: Array) -> Array:
    return _of_type(texts, _ID, "id")


def _choices(texts: Array) -> Array:
    coded = compute.dictionary_encode(texts)
    written = [";".join(sorted(set(each.split(";")))) for each in coded.dictionary.to_pylist()]
    return compute.take(pa.array(written, pa.string()), coded.indices)


def _of_type(texts: Array, pattern: str, kind: str) -> Array:
    """Return normal forms; null instead of the others."""
    forms = normal_form(compute.if_else(compute.match_substring_regex(texts, pattern), texts, ""), kind)
    doubtful = compute.or_(compute.equal(forms, ""), compute.starts_with(forms, _NOT_READ))
    return compute.if_else(doubtful, None, forms)


def _incomparable(name: str, why: str) -> SourceError:
    return SourceError(
        f"skip_unchanged: {name} {why}, so its values cannot be compared: leave the column out (column_mapping), "
        "or load without skip_unchanged"
    )


_NUMBERS: Final = frozenset({"double", "currency", "percent", "int", "long"})

_WRITERS: Final[Mapping[str, Callable[[Array], Array]]] = {
    "boolean": _boolean,
    "datetime": _datetime,
    "date": _date,
    "time": _time,
    "id": _id,
    "reference": _id,
    "multipicklist": _choices,
}
"""By describe's type; null for what is in doubt. Every other type is text as it is."""
