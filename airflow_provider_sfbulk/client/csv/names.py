"""Column names in a readable form: invisible characters are named, and a byte order mark is removed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

BOM: Final = "\ufeff"

_SHOWN_CHARACTERS: Final = 60
_SHOWN_NAMES: Final = 20
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of invisible characters: controls, formats (zero widths, bidi marks, soft hyphen), surrogates, …"""

_BLANKS: Final = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols that are invisible."""


def without_bom(name: str) -> str:
    """Remove byte order marks from the beginning of a name: decoding a file with one leaves it in the first name."""
    return name.lstrip(BOM)


def shown_name(name: object) -> str:
    """Return a name for a message: invisible characters are named, and a long name is cut."""
    text = str(name)
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    seen = "".join(f"<{_named(each)}>" if _is_unseen(each) else each for each in cut)
    return seen if text == text.strip(" ") and text else f"'{seen}'"


def listed(names: Sequence[object]) -> str:
    """Return names for a message, only the first when there are many."""
    more = len(names) - _SHOWN_NAMES
    return ", ".join(map(shown_name, names[:_SHOWN_NAMES])) + (f" and {more} more" if more > 0 else "")


def unseen_in(name: str) -> str:
    """Name the invisible characters of a name; empty when there are none."""
    return ", ".join(dict.fromkeys(_named(each) for each in name if _is_unseen(each)))


def first_of(problems: Iterable[str], most: int = 10) -> str:
    """Join problems for a message, only the first when there are many."""
    found = list(problems)
    return "; ".join(found[:most]) + (f"; and {len(found) - most} more" if len(found) > most else "")


def _is_unseen(character: str) -> bool:
    category = unicodedata.category(character)
    return category in _UNSEEN or character in _BLANKS or (category == "Zs" and character != " ")


def _named(character: str) -> str:
    kind = {"Cc": "control character", "Cs": "half a surrogate pair"}.get(unicodedata.category(character), "unassigned")
    return f"U+{ord(character):04X} {unicodedata.name(character, kind)}"


_INDEX_OF_PANDAS: Final = re.compile(r"__index_level_[0-9]+__|Unnamed: [0-9]+")
_DATA_LOADER: Final = re.compile(r"(?P<relationship>\w+):(?:(?P<object>\w+)-)?(?P<field>\w+)", re.ASCII)
"""A relationship's column as written in Data Loader's mappings, and in old forms of the Bulk API 1.0 guide."""


def foreign_name(name: str) -> str:
    """Return what to do about a column that another program has named; empty for other names."""
    if name == "attributes" or name.endswith(".attributes") or name.startswith("attributes."):
        return (
            " (every record in a REST reply has attributes, which are not a field: drop them with "
            f'column_mapping={{"{name if name.endswith(".attributes") else "attributes"}": None}})'
        )
    if _INDEX_OF_PANDAS.fullmatch(name):
        return (
            f" (this is the index of a pandas DataFrame: write the file with index=False, or drop it with column_mapping="
            f'{{"{name}": None}})'
        )
    if matched := _DATA_LOADER.fullmatch(name):
        kind = f"{matched['object']}:" if matched["object"] else ""
        return f" (this is Data Loader's notation: Bulk API uses {kind}{matched['relationship']}.{matched['field']})"
    return ""
