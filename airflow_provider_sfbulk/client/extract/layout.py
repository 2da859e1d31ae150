"""How the rows of an extract are laid out in files, where a file is not just a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_sfbulk.client.errors import SourceError

RECORDS: Final = "records"
DELETIONS: Final = "deletions"
"""Folders of the rows, when deleted records have files of their own."""

IS_DELETED: Final = "IsDeleted"

OF_DELETIONS: Final = "deletions='files'"
OF_PARTITIONS: Final = "partition_by"
"""What errors name the arguments."""

_PART: Final = re.compile(r"(\w+)\(\s*([\w.]+)\s*\)", re.ASCII)
_COLUMN: Final = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)*", re.ASCII)

PARTS: Final[Mapping[str, int]] = {"year": 4, "month": 7, "day": 10, "hour": 13}
"""Parts of a datetime that a folder may be named by, and how much of ``2026-11-30T09:15:00.000Z`` each is."""


@dataclass(frozen=True)
class Partition:
    """What one level of folders is named by.

    :param column: of the result
    :param part: of its date or datetime, in UTC; None for the value itself
    """

    column: str
    part: str | None = None

    @classmethod
    def read(cls, written: str) -> Partition:
        """Read ``Region__c`` or ``day(CreatedDate)``.

        :raises SourceError: it is neither
        """
        found = _PART.fullmatch(written.strip())
        column, part = (written.strip(), None) if found is None else (found[2], found[1].lower())
        if not _COLUMN.fullmatch(column) or (part is not None and part not in PARTS):
            raise SourceError(
                f"{written!r:.80} is neither a column nor {', '.join(f'{each}(column)' for each in PARTS)}"
            )
        return cls(column, part)

    @property
    def name(self) -> str:
        """The name of the column that a reader sees."""
        return self.column if self.part is None else f"{self.column}_{self.part}"


@dataclass(frozen=True)
class Layout:
    """How rows are laid out in files, where a file is not just a page.

    :param rows_per_file: records of a file at most; the last one of a folder has the rest
    :param bytes_per_file: bytes with which a file ends
    :param deletions_apart: whether deleted records have files of their own
    """

    partition_by: tuple[Partition, ...] = ()
    rows_per_file: int | None = None
    bytes_per_file: int | None = None
    deletions_apart: bool = False

    def __bool__(self) -> bool:
        return bool(self.partition_by or self.rows_per_file or self.bytes_per_file or self.deletions_apart)

    @property
    def needed(self) -> dict[str, str]:
        """Columns that the query has to select, and the argument that needs each."""
        deleted = dict.fromkeys(("Id", IS_DELETED), OF_DELETIONS) if self.deletions_apart else {}
        return {**deleted, **{each.column: OF_PARTITIONS for each in self.partition_by}}

    def partition_columns(self, columns: Sequence[str]) -> list[str]:
        """Return the columns that folders are named by, in the spelling of the result."""
        known = {each.lower(): each for each in columns}
        return [Partition(known.get(each.column.lower(), each.column), each.part).name for each in self.partition_by]

    @property
    def folders(self) -> dict[str, Any]:
        """What decides in which folder a row belongs, JSON."""
        return {"partition_by": [each.name for each in self.partition_by], "deletions_apart": self.deletions_apart}
