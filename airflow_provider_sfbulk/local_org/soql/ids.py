"""Record ids as a query spells them: 15 characters, case-sensitive, or 18, whatever their case.

"Split the 15 into three groups of five; in each group bit i is 1 if that character is an upper-case letter; the 5-bit
number indexes the alphabet": the last three characters of the long form say which letters are upper-case, so a long id
whose case was lost can be put right.
"""

from __future__ import annotations

from typing import Final

SHORT: Final = 15
LONG: Final = 18
_GROUP: Final = 5
_SUFFIX_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def to_18(record_id: str) -> str | None:
    """Return the 18-character form of an id of 15 or 18 characters, or None when it is not an id."""
    if not (record_id.isascii() and record_id.isalnum()):
        return None
    if len(record_id) == SHORT:
        return record_id + _suffix(record_id)
    if len(record_id) == LONG:
        return _recased(record_id)
    return None


def _suffix(short: str) -> str:
    groups = (short[start : start + _GROUP] for start in range(0, SHORT, _GROUP))
    return "".join(_SUFFIX_ALPHABET[sum(c.isupper() << i for i, c in enumerate(group))] for group in groups)


def _recased(long: str) -> str | None:
    """Return the id with the case that its suffix tells, or None when the suffix fits no id of these characters."""
    suffix = long[SHORT:].upper()
    characters = []
    for index, character in enumerate(long[:SHORT]):
        bits = _SUFFIX_ALPHABET.find(suffix[index // _GROUP])
        upper = bits >= 0 and bits >> (index % _GROUP) & 1
        characters.append(character.upper() if upper else character.lower())
    short = "".join(characters)
    return short + suffix if _suffix(short) == suffix else None
