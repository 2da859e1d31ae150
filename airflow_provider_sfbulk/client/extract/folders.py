"""The folder of each row of an extract in Hive's layout: ``Region__c=EMEA/CreatedDate_day=2026-11-30``.

Facts (read in their sources, and tried with their releases by the tests where they are Python):

- Hive, Spark, pyarrow, DuckDB, polars, BigQuery and Athena read ``name=value`` folders as columns. Those that look into the
  files, too, want no column of that name there: BigQuery, Hive and Athena refuse one, pyarrow wants the same type.
- Null is ``__HIVE_DEFAULT_PARTITION__``. It is compared before ``%`` is decoded, so a text of that name can be told apart.
- Hive and Spark escape control characters and ``"#%'*/:=?\\{[]^`` as ``%`` and two digits, and decode each such pair as one
  character: what lies beyond ASCII stays as it is.
- Iceberg names the day of ``CreatedDate`` ``CreatedDate_day``, and writes ``2026``, ``2026-11``, ``2026-11-30`` and
  ``2026-11-30-09``; Trino writes the wish for one as ``day(CreatedDate)``.

So a column whose value is in the folder's name is not in the files, and a part of a datetime is an additional column
with its own name.
"""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.extract.layout import (
    DELETIONS,
    IS_DELETED,
    OF_DELETIONS,
    OF_PARTITIONS,
    PARTS,
    RECORDS,
    Layout,
    Partition,
)
from airflow_provider_sfbulk.client.results.writers import cell_texts
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute

NULL: Final = "__HIVE_DEFAULT_PARTITION__"

MOST_FOLDERS: Final = 1024
"""Partitions of one extract at most, as in pyarrow: far more are a mistake that makes a lake slow."""

_SEGMENT_BYTES: Final = 255
"""Bytes of one folder's name: what file systems take."""

_ESCAPED: Final = re.compile("[\x00-\x1f\"#%'*/:=?\\\\\x7f{\\[\\]^]")

_DAY: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
_FORMS: Final = {True: rf"{_DAY}T[0-9]{{2}}:.*(?:Z|[+-]00:?00)$", False: rf"{_DAY}(?:T[0-9]{{2}}:.*(?:Z|[+-]00:?00))?$"}
"""What a text has to be for a part: of an hour, and of the others."""


class Folders:
    """The folders of the rows of one result.

    :param schema: its columns; texts where their types are not known, as of CSV
    :raises SourceError: a column is not there, or has no such part
    """

    def __init__(self, layout: Layout, schema: pa.Schema) -> None:
        self._names = schema.names
        places = [(each.part, self._find(each.column, OF_PARTITIONS)) for each in layout.partition_by]
        self._levels = [(Partition(self._names[place], part), place) for part, place in places]
        self._deleted = self._find(IS_DELETED, OF_DELETIONS) if layout.deletions_apart else None
        self._prefix = f"{RECORDS}/" if layout.deletions_apart else ""
        for level, place in self._levels:
            kind = schema.field(place).type
            has_part = pa.types.is_string(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind)
            if level.part is not None and not (has_part and (level.part != "hour" or not pa.types.is_date(kind))):
                raise SourceError(f"partition_by: {level.column} is a {kind}, which has no {level.part}")
            if level.part is not None and level.name.lower() in map(str.lower, self._names):
                raise SourceError(f"partition_by: the result already has a column {level.name}")
        self.dropped = frozenset(place for level, place in self._levels if level.part is None)
        """Columns, by number, that are not in the files of records, since their folders say them."""
        if len(self.dropped) == len(self._names):
            raise SourceError("partition_by names all columns, so the files would have none: select another column")

    @property
    def empty(self) -> list[str]:
        """Folders that have a file even when there is no row for it: whoever reads every night finds the columns."""
        nothing = [f"{_escaped(level.name)}={NULL}" for level, _ in self._levels]
        records = (self._prefix + "/".join(nothing)).rstrip("/")
        return [records] if self._deleted is None else [records, DELETIONS]

    def of(self, rows: pa.RecordBatch) -> Array:
        """Return each row's folder, relative to the extract's; empty for that one itself.

        :raises SourceError: a value makes no folder's name; it is not shown
        """
        parts: list[Any] = [pa.scalar(self._prefix.rstrip("/") if not self._levels else self._prefix)]
        for number, (level, place) in enumerate(self._levels):
            parts += [
                pa.scalar(("/" if number else "") + f"{_escaped(level.name)}="),
                _segments(level, rows.column(place)),
            ]
        folders = compute.binary_join_element_wise(*parts, "")
        if not self._levels:
            folders = pa.repeat(parts[0], rows.num_rows)
        if self._deleted is None:
            return folders
        deleted = compute.fill_null(compute.equal(cell_texts(rows.column(self._deleted)), "true"), False)
        return compute.if_else(deleted, DELETIONS, folders)

    def _find(self, column: str, argument: str) -> int:
        for place, name in enumerate(self._names):
            if name.lower() == column.lower():
                return place
        raise SourceError(
            f"{argument}: the result has no column {column}; its columns are {', '.join(self._names[:50])}"
        )


def _segments(level: Partition, column: Array) -> Array:
    """Return what a level's folders are called after the equals sign."""
    texts = cell_texts(column)
    if level.part is not None:
        form = _FORMS[level.part == "hour"]
        if not compute.all(compute.match_substring_regex(texts, form), min_count=0).as_py():
            raise SourceError(
                f"partition_by: a value of {level.column} is not a UTC datetime, and so has no {level.part}"
            )
        texts = compute.utf8_slice_codeunits(texts, 0, PARTS[level.part])
        texts = compute.replace_substring(texts, "T", "-")
    values = texts.dictionary_encode()
    if len(values.dictionary) > MOST_FOLDERS:
        raise too_many_folders()
    names = [_escaped(each) for each in values.dictionary.to_pylist()]
    if any(len(f"{_escaped(level.name)}={each}".encode()) > _SEGMENT_BYTES for each in names):
        raise SourceError(f"partition_by: a value of {level.column} is too long for a folder's name")
    return compute.fill_null(pa.array(names, pa.string()).take(values.indices), NULL)


def too_many_folders() -> SourceError:
    """Make the error of an extract in too many partitions."""
    return SourceError(
        f"partition_by makes more than {MOST_FOLDERS:,} partitions: partition by fewer columns, by one with fewer values, "
        "or by a longer span of time, as month(…) instead of day(…)"
    )


def _escaped(text: str) -> str:
    escaped = _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", text)
    return f"%5F{escaped[1:]}" if text == NULL else escaped
