"""Files of an extract that are not simply its pages: split by rows or bytes, in folders by value, or with deleted
records apart.

========================================  ==========================================================================
``_page-<job>-<index>.arrow.<setup>``     a finished page: it waits for the others, or for a retry
``_part-<job>-<index>.<format>.<form>``   a file that is made of the pages, and waits for the other files
``<folder>/part-<job>-<form>-<index>.…``  a part file
========================================  ==========================================================================

Pages are still what is verified and what a retry resumes from. When all pages are verified, their rows are read once
more, from the pages' files, and written into the requested files. If the try is killed meanwhile, only this step is
repeated: the next try makes the same files from the same pages. The pages are removed when the manifest is written.

Rows are in the order of the pages, and folders in the order of their names, so the same pages give the same files. At most
``OPEN_FILES`` folders are written at the same time; more of them cost another reading of the pages' files.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from airflow_provider_sfbulk.client.effects import Flow, Now
from airflow_provider_sfbulk.client.errors import SourceError, StorageError
from airflow_provider_sfbulk.client.extract.folders import MOST_FOLDERS, Folders, too_many_folders
from airflow_provider_sfbulk.client.extract.layout import DELETIONS, Layout
from airflow_provider_sfbulk.client.extract.placed_pages import PlacedPage, PlacedRows, counted
from airflow_provider_sfbulk.client.models import Compression, FileFormat
from airflow_provider_sfbulk.client.results.downloads import OneFile
from airflow_provider_sfbulk.client.results.writers import (
    ROW_GROUP_BYTES,
    ByteFile,
    JsonlRows,
    ParquetRows,
    QueryRows,
    RowWriter,
    SpreadsheetQueryRows,
)
from airflow_provider_sfbulk.files.part_files import PartFile, PartFiles

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.results.downloads import PageFile
    from airflow_provider_sfbulk.client.results.schema import ColumnType
    from airflow_provider_sfbulk.client.values.text_arrow import Array

OPEN_FILES: Final = 32
"""Folders written at the same time: each has a file open, with rows of a row group or bytes of an upload in memory."""

_HELD_BYTES: Final = 256 * 1024 * 1024
"""Bytes of rows that Parquet files which are written at the same time hold together. Ours."""

MOST_FILES: Final = 10_000
"""Files of one extract at most: the manifest and the task's result name each."""

_TOGETHER_BYTES: Final = 512 * 1024
"""Bytes of rows, for each folder that is written, that are divided into folders at once: of less, each of many folders gets
a few rows at a time, which took half as long again."""

_MEASURED_ROWS: Final = 1000
"""After so many rows it is looked whether a file has its bytes. Not after each batch: the same rows give the same files,
whatever batches they come in."""


class LaidOutFiles(PartFiles):
    """The files of one job, laid out as asked for. See :class:`PartFiles`.

    :param layout: what was asked for
    """

    def __init__(self, *given: Any, layout: Layout, **named: Any) -> None:
        super().__init__(*given, **named)
        self._layout = layout

    def _new_page(self, name: str, types: Sequence[ColumnType]) -> PlacedPage:
        null_columns = self._schema.null_columns
        types = types[: len(types) - len(null_columns)]
        return PlacedPage(
            self._folder.hidden, name, self._dialect, types, layout=self._layout, null_columns=null_columns
        )

    def _hidden_name(self, index: int) -> str:
        return f"_page-{self._job.id}-{index:05d}.arrow.{self._setup}"

    def _final_name(self, index: int) -> str:
        return self._hidden_name(index)  # a page is never shown

    def _parts(self, pages: Sequence[PageFile]) -> Flow[list[PartFile]]:
        counts: Counter[str] = Counter()
        for index, page in enumerate(pages):
            counts += yield from self._count(index, page)
        form = self._form()
        writers = self._plan(counts, pages, form)
        for start in range(0, len(writers), OPEN_FILES):
            yield from self._write(writers[start : start + OPEN_FILES], pages)
        numbers = count()
        parts = [
            PartFile(file, self._part_name(writer.folder, form, next(numbers)), writer.folder == DELETIONS)
            for writer in writers
            for file in writer.files
        ]
        if sum(each.file.records for each in parts) != sum(page.records for page in pages):
            raise StorageError(
                "the files do not have the same rows as the pages they were made from. A retry makes them again"
            )
        return parts

    def _count(self, index: int, page: PageFile) -> Flow[Counter[str]]:
        """Count the rows of a page by folder; of a page of an earlier try they are read."""
        made = self._made.get(index)
        if isinstance(made, PlacedPage):
            return made.counts
        counts: Counter[str] = Counter()
        for folders, _ in self._rows(page):
            yield Now()  # where a task that is to end stops
            counts += counted(folders)
        return counts

    def _rows(self, page: PageFile) -> Iterator[tuple[Array, pa.RecordBatch]]:
        rows = PlacedRows(self._output.open(page.name), page.uri)
        try:
            yield from rows
        finally:
            rows.close()

    def _plan(self, counts: Counter[str], pages: Sequence[PageFile], form: str) -> list[_FolderFiles]:
        """Return in which folders there will be files.

        :raises SourceError: too many
        """
        rows = PlacedRows(self._output.open(pages[0].name), pages[0].uri)
        rows.close()
        folders = Folders(self._layout, rows.schema)
        has_records = any(each != DELETIONS for each in counts)
        needed = {each for each in folders.empty if each == DELETIONS or not has_records}
        planned = {each: counts[each] for each in sorted({*counts, *needed})}
        if len(planned) > MOST_FOLDERS:
            raise too_many_folders()
        most = self._layout.rows_per_file
        if most and (files := sum(max(1, -(-records // most)) for records in planned.values())) > MOST_FILES:
            raise _too_many_files(f"rows_per_file={most}", f"{files:,}")
        group_bytes = min(_HELD_BYTES // min(len(planned), OPEN_FILES), ROW_GROUP_BYTES, *self._bytes)
        numbers = count()
        writers = []
        for folder in planned:
            kept = [i for i in range(len(rows.schema)) if folder == DELETIONS or i not in folders.dropped]
            schema = pa.schema([rows.schema.field(i) for i in kept])
            writers.append(
                _FolderFiles(
                    folder,
                    kept,
                    self._layout,
                    make=partial(self._new_file, form, numbers),
                    make_rows=partial(self._new_rows, schema=schema, group_bytes=group_bytes),
                )
            )
        return writers

    def _write(self, writers: Sequence[_FolderFiles], pages: Sequence[PageFile]) -> Flow[None]:
        by_folder = {each.folder: each for each in writers}
        together = _TOGETHER_BYTES * len(writers)
        try:
            for page in pages:
                for folders, rows in _together(self._rows(page), together):
                    yield Now()
                    for folder, part in _split(folders, rows, by_folder):
                        by_folder[folder].write(part)
            for writer in writers:
                writer.finish()
        except BaseException:
            for writer in writers:
                writer.discard()
            raise

    def _form(self) -> str:
        """Return what the bytes of the files depend on beyond the rows, as a short hash for their names."""
        form = [
            self._setup,
            str(self._format),
            str(self._compression),
            self._layout.rows_per_file,
            *self._bytes,
            self._is_spreadsheet_safe,
        ]
        return hashlib.sha256(json.dumps(form).encode()).hexdigest()[: len(self._setup)]

    @property
    def _bytes(self) -> tuple[int, ...]:
        return () if self._layout.bytes_per_file is None else (self._layout.bytes_per_file,)

    def _new_file(self, form: str, numbers: Iterator[int]) -> OneFile:
        if (number := next(numbers)) == MOST_FILES:
            raise _too_many_files(f"bytes_per_file={self._layout.bytes_per_file}", f"more than {MOST_FILES:,}")
        compression = None if self._format is FileFormat.PARQUET else self._compression
        return OneFile(self._folder.hidden, f"_part-{self._job.id}-{number:05d}.{self._end}.{form}", compression)

    def _part_name(self, folder: str, form: str, number: int) -> str:
        return f"{folder}/part-{self._job.id}-{form}-{number:05d}.{self._end}".lstrip("/")

    def _new_rows(self, file: ByteFile, *, schema: pa.Schema, group_bytes: int) -> RowWriter:
        if self._format is FileFormat.PARQUET:
            compression = self._compression or Compression.ZSTD
            return ParquetRows(file, schema, compression, group_bytes=group_bytes)
        if self._format is FileFormat.JSONL:
            return JsonlRows(file, schema)
        return (SpreadsheetQueryRows if self._is_spreadsheet_safe else QueryRows)(file, schema, self._dialect)


class _FolderFiles:
    """The files of one folder, one after the other.

    :param kept: columns of the rows that are in the files, by number
    :param layout: what ends a file
    :param make: makes the next file, hidden
    :param make_rows: makes what writes rows into it
    """

    def __init__(
        self,
        folder: str,
        kept: Sequence[int],
        layout: Layout,
        *,
        make: Callable[[], OneFile],
        make_rows: Callable[[ByteFile], RowWriter],
    ) -> None:
        self.folder = folder
        self.files: list[PageFile] = []
        """The files that are finished."""
        self._kept = list(kept)
        self._most = layout.rows_per_file
        self._bytes = layout.bytes_per_file
        self._make = make
        self._make_rows = make_rows
        self._file: OneFile | None = None
        self._writer: RowWriter | None = None
        self._records = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Write rows, into as many files as they need."""
        rows = rows.select(self._kept)
        while rows.num_rows:
            if self._is_full:
                self._end()
            writer = self._begin()
            here = rows.slice(0, self._room(rows.num_rows))
            writer.write(here)
            self._records += here.num_rows
            rows = rows.slice(here.num_rows)

    def finish(self) -> None:
        """End the last file. There is one, also for no rows."""
        if self._writer is None and not self.files:
            self._begin()
        self._end()

    def discard(self) -> None:
        """Leave nothing behind of a file that is not finished."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.discard()
        if self._file is not None:
            self._file.drop()

    def _begin(self) -> RowWriter:
        if self._writer is None:
            self._file = self._make()
            self._file.open()
            self._writer = self._make_rows(self._file)
            self._records = 0
        return self._writer

    def _end(self) -> None:
        if self._writer is None or self._file is None:
            return
        self._writer.close()
        self._writer = None
        self.files.append(self._file.commit(self._records, ()))

    @property
    def _is_full(self) -> bool:
        if self._file is None or not self._records:
            return False
        has_bytes = self._bytes is not None and self._file.length >= self._bytes
        return self._records == self._most or (has_bytes and self._records % _MEASURED_ROWS == 0)

    def _room(self, rows: int) -> int:
        """Return how many of so many rows to write before looking again."""
        room = rows if self._most is None else min(rows, self._most - self._records)
        return room if self._bytes is None else min(room, _MEASURED_ROWS - self._records % _MEASURED_ROWS)


def _too_many_files(limit: str, files: str) -> SourceError:
    return SourceError(
        f"{limit} makes {files} files of this extract, and at most {MOST_FILES:,} are written: give a larger number"
    )


def _together(
    batches: Iterable[tuple[Array, pa.RecordBatch]], least_bytes: int
) -> Iterator[tuple[Array, pa.RecordBatch]]:
    """Join batches of rows, and their folders, to larger ones of so many bytes."""
    held: list[tuple[Array, pa.RecordBatch]] = []
    length = 0
    for folders, rows in batches:
        if not rows.num_rows:
            continue
        held.append((folders, rows))
        length += rows.nbytes
        if length >= least_bytes:
            yield _joined(held)
            held, length = [], 0
    if held:
        yield _joined(held)


def _joined(batches: Sequence[tuple[Array, pa.RecordBatch]]) -> tuple[Array, pa.RecordBatch]:
    folders, rows = zip(*batches, strict=True)
    (together,) = pa.Table.from_batches(rows).combine_chunks().to_batches()
    return pa.concat_arrays(folders), together


def _split(folders: Array, rows: pa.RecordBatch, wanted: Mapping[str, object]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield the rows of each folder that is wanted. They hold on to no others: some wait long for their row group."""
    values = folders.dictionary_encode()
    names = values.dictionary.to_pylist()
    if len(names) == 1:
        if names[0] in wanted:
            yield names[0], rows
        return
    codes = values.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    for code, name in enumerate(names):
        if name in wanted:
            start = int(ends[code - 1]) if code else 0
            yield name, rows.take(order[start : int(ends[code])])
