"""Checks of the ledger's entries as they are read.

Nothing else writes these keys; but a store can be edited, restored or cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_sfbulk.client.errors import LedgerError


class Entry(dict[str, Any]):
    """An entry as it was read.

    :raises LedgerError: a value does not have the form it is written in, or a requested value is missing
    """

    def __init__(self, key: str, values: Any) -> None:
        if not isinstance(values, Mapping):
            raise spoilt(key, f"it is not an object but {type(values).__name__}")
        super().__init__(values)
        self._key = key
        for name, kinds in _FORMS.items():
            value = values.get(name)
            if name in values and (not isinstance(value, kinds) or isinstance(value, bool)):
                raise spoilt(key, f"{name} is {type(value).__name__}")
            if isinstance(value, str) and name in _WORDS and not _WORDS[name].fullmatch(value):
                raise spoilt(key, f"{name} is none")
            if isinstance(value, int) and not 0 <= value < 2**63:
                raise spoilt(key, f"{name} is out of range")

    def __missing__(self, name: str) -> Any:
        raise spoilt(self._key, f"{name} is missing")


def spoilt(key: str, why: str) -> LedgerError:
    """Make the error for an entry that does not have the form in which this provider writes it."""
    return LedgerError(
        f"the entry {key} in the task's state store does not have this provider's form ({why}): restore it. To "
        "start over, which loads records again that are in the org already, delete the task's entries (sfbulk.…)"
    )


_FORMS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "load": int,
    "cleared": (int, type(None)),
    "clears": (int, type(None)),
    "try": int,
    "max_tries": (int, type(None)),
    "state": str,
    "plan": (Mapping, str),
    "compared": Mapping,
    "verdict": Mapping,
    "done": Mapping,
    "round": int,
    "parts": (int, list),  # their number in a decision; in a plan of Bulk API 1.0 the parts themselves
    "attempt": int,
    "part_bytes": int,
    "part_records": int,
    "job_id": str,
    "batch_id": str,
    "records": int,
    "length": int,
    "bytes": int,
    "first_row": int,
    "sha256": str,
    "mode": str,
    "rule": Mapping,
    "since": (str, type(None)),
    "until": (str, type(None)),
    "of": int,
    "jobs": list,
    "files": (list, type(None)),
    "names": list,
    "object": str,
    "left_out": Mapping,
    "column": str,
    "row": str,
    "unknown": list,
    "api_version": (str, type(None)),
}
"""Forms of the values in entries, by name: a name means the same in all entries."""

_WORDS: Final = {
    "job_id": re.compile("[0-9A-Za-z]{1,18}"),
    "batch_id": re.compile("[0-9A-Za-z]{1,18}"),
    "api_version": re.compile(r"[0-9]{2,3}\.0"),
}
"""Forms of values that become part of a request's path."""
