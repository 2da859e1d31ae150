"""The part files of an extract: hidden until all of them are complete, then shown together, the manifest last.

=========================================  ===========================================================================
``_part-<job>-<index>.<format>.<setup>``   a finished page of an unfinished extract: it waits for a retry
``part-<job>-<setup>-<index>.<format>``    a part file
``_manifest.json``, ``_writing-….json``    see ``folder``
=========================================  ===========================================================================

Readers of whole folders (Spark, Hive, Athena, Arrow) skip names that begin with ``_``, and patterns such as ``*.parquet``
or ``part-*`` do not match the hidden ones. A part file's name identifies its bytes: files of two jobs, or of one job in two
forms, never replace each other, so a manifest stays true as long as it exists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from unicodedata import normalize

from airflow_provider_sfbulk.client.csv.dialect import dialect_of
from airflow_provider_sfbulk.client.effects import Concurrently, Flow
from airflow_provider_sfbulk.client.errors import LedgerError, SourceError, StorageError
from airflow_provider_sfbulk.client.models import Compression, FileFormat, file_end
from airflow_provider_sfbulk.client.results.downloads import (
    CsvPage,
    PageFile,
    RowsFilePage,
    SpreadsheetPage,
    columns_of,
)
from airflow_provider_sfbulk.files.paths import without_folder_values
from airflow_provider_sfbulk.files.task_folder import PART

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.extract.pages import Page
    from airflow_provider_sfbulk.client.models import JobInfo
    from airflow_provider_sfbulk.client.results.schema import ColumnType
    from airflow_provider_sfbulk.client.results.schema_change import SchemaGuard
    from airflow_provider_sfbulk.files.task_folder import TaskFolder

FilePage: TypeAlias = CsvPage | RowsFilePage


@dataclass(frozen=True)
class PartFile:
    """A file that is finished, and waits to be shown.

    :param file: as it lies there
    :param name: that it gets, relative to the folder
    :param is_of_deletions: whether its records are deleted ones, apart from the others
    """

    file: PageFile
    name: str
    is_of_deletions: bool = False


@dataclass(frozen=True)
class Published:
    """What is shown of an extract.

    :param files: in the order of the rows
    :param deletions: files of deleted records, when they have files of their own
    :param manifest: its URI
    """

    files: list[PageFile]
    deletions: list[PageFile]
    manifest: str


_PAGE: Final = r"page-[0-9A-Za-z]{15,18}-[0-9]{5,}\.arrow"
_LEFTOVER: Final = re.compile(rf"_(?:{PART}|{_PAGE})\.[0-9a-f]+(?:\.[0-9]+\.part)?")
"""What may lie in the folder when an extract is finished and belongs to none: pages of jobs that were given up, and pages
that killed processes were writing."""


class PartFiles:
    """The part files of one job in a folder, each of them a page. A ``extract.finished_pages.PageFiles``.

    :param folder: where they are
    :param compression: of the files, or inside of Parquet; None for the format's own
    :param schema: columns that the files have beyond those of the result
    :param verify: raises when another try has taken over; called before every step that others can see
    """

    def __init__(
        self,
        folder: TaskFolder,
        job: JobInfo,
        file_format: FileFormat,
        *,
        verify: Callable[[], None],
        spreadsheet_safe: bool = False,
        compression: Compression | None = None,
        schema: SchemaGuard,
    ) -> None:
        self._is_spreadsheet_safe = spreadsheet_safe
        self._folder = folder
        self._schema = schema
        self._output = folder.output
        self._verify = verify
        self._job = job
        self._format = file_format
        self._compression = compression
        self._end = file_end(file_format, compression)
        self._dialect = dialect_of(job)
        self._setup = ""
        self._there = self._output.sizes()
        self._made: dict[int, FilePage] = {}
        self._restored: dict[int, PageFile] = {}

    def page(self, index: int, types: Sequence[ColumnType], setup: str) -> FilePage:
        """Make the sink of a page, for columns of these types (none for CSV)."""
        self._setup = setup
        page = self._new_page(self._hidden_name(index), types)
        self._restored.pop(index, None)
        self._made[index] = page
        return page

    def finished(self, index: int, /) -> Mapping[str, Any]:
        """Return what to remember about a page's file."""
        file = self._file(index)
        return {"name": self._final_name(index), "bytes": file.length, "sha256": file.sha256}

    def restore(self, page: Page, kept: Mapping[str, Any], setup: str, /, *, published: bool) -> bool:
        """Take over a finished page if its file still has the same bytes, hidden or under its final name.

        :raises LedgerError: when what was remembered does not have the form of :meth:`finished`
        """
        if not isinstance(kept.get("bytes"), int) or not isinstance(kept.get("sha256"), str):
            raise LedgerError(f"the record of the file of page {page.index} in the task state store cannot be read")
        self._setup = setup
        final, hidden = self._final_name(page.index), self._hidden_name(page.index)
        if self._there.get(hidden) == kept["bytes"]:
            name = hidden
        elif published and self._there.get(final) == kept["bytes"]:
            name = final
        else:
            return False
        columns = (
            *columns_of(page.header, self._dialect),
            *(each.name for each in self._schema.null_columns),
        )
        self._restored[page.index] = PageFile(
            self._output.uri(name), name, page.records, kept["bytes"], kept["sha256"], columns
        )
        return True

    def columns(self) -> tuple[str, ...]:
        """Return the columns of the rows, once a page is finished."""
        return self._file(0).columns

    def publish(self, pages: int, *, at_once: int, facts: Mapping[str, Any]) -> Flow[Published]:
        """Give the files their final names, write the manifest, and remove what the manifest before named.

        If this is killed, the next publication into this folder, of this job or another one, repeats it.

        :param pages: how many there are; all are finished
        :param at_once: files to rename at the same time: object storage copies
        :param facts: what else the manifest says, JSON
        :raises FencedError: another try has taken over
        :raises StorageError: another run of this task has meanwhile replaced what this one was about to show
        """
        parts = yield from self._parts([self._file(index) for index in range(pages)])
        names = {part.name for part in parts}
        self._verify()
        self._folder.claim(shows=names)
        self._check_case(names)
        before = self._folder.before
        for name in self._folder.stray - names:
            self._output.remove(name)
        moves = [(part.file.name, part.name) for part in parts if part.file.name != part.name]
        yield Concurrently((self._rename(*move) for move in moves), at_once)
        self._check_all_there(parts)
        self._verify()
        shown, deletions = [self._shown(parts, is_of_deletions=each) for each in (False, True)]
        manifest = self._folder.finish({**self._manifest(shown, deletions), **facts})
        self._verify()  # what is old to this try may be new to its successor
        for name in before - names:
            self._output.remove(name)
        for name in filter(_LEFTOVER.fullmatch, self._output.sizes()):
            self._output.remove(name)
        self._folder.leave()
        return Published(shown, deletions, manifest)

    def _new_page(self, name: str, types: Sequence[ColumnType]) -> FilePage:
        """Make the sink of a page into a hidden file."""
        if self._format is FileFormat.CSV:
            make = SpreadsheetPage if self._is_spreadsheet_safe else CsvPage
            return make(self._folder.hidden, name, self._dialect, compression=self._compression)
        null_columns = self._schema.null_columns
        return RowsFilePage(
            self._folder.hidden,
            name,
            self._dialect,
            self._format,
            types[: len(types) - len(null_columns)],
            null_columns=null_columns,
            compression=self._compression,
        )

    def _parts(self, pages: Sequence[PageFile]) -> Flow[list[PartFile]]:
        """Make the files that are to be shown of the pages' files."""
        yield from ()  # a flow: it may take long
        return [PartFile(page, self._final_name(index)) for index, page in enumerate(pages)]

    def _check_all_there(self, parts: Sequence[PartFile]) -> None:
        folders = {part.name.rpartition("/")[0] for part in parts}
        there = {
            f"{folder}/{name}".lstrip("/"): length
            for folder in folders
            for name, length in self._output.sizes(folder).items()
        }
        missing = [part.name for part in parts if there.get(part.name) != part.file.length]
        if missing:
            gone = self._output.uri(without_folder_values(missing[0]))
            raise StorageError(
                f"{gone} was removed or replaced while the extract was being published: does another run of the task write "
                "into the same folder? Put {{ run_id }} into output_path, or set max_active_runs=1. A retry reads what is "
                "missing again"
            )

    def _check_case(self, names: Iterable[str]) -> None:
        folders = {name.rpartition("/")[0] for name in names}
        # A file system that takes cases for one does so, as those of macOS do, with "é" written in two ways.
        alike = {normalize("NFC", each.casefold()) for each in folders}
        if len(alike) < len(folders) and self._folder.ignores_case():
            raise SourceError(
                "partition_by: there are values that differ in upper and lower case only, or in how an accent is coded, "
                f"and the file system of {self._output.uri('')} treats their folders as one. Write to another one, "
                f"or to "
                "object storage"
            )

    def _rename(self, name: str, new: str) -> Flow[None]:
        yield from ()  # a flow, so that several may run at the same time
        self._verify()
        self._output.rename(name, new)

    def _file(self, index: int) -> PageFile:
        file = self._made[index].file if index in self._made else self._restored[index]
        if file is None:
            raise RuntimeError("a page's file is asked for when the page is finished")
        return file

    def _shown(self, parts: Sequence[PartFile], *, is_of_deletions: bool) -> list[PageFile]:
        return [
            replace(part.file, name=part.name, uri=self._output.uri(part.name))
            for part in parts
            if part.is_of_deletions is is_of_deletions
        ]

    def _final_name(self, index: int) -> str:
        return f"part-{self._job.id}-{self._setup}-{index:05d}.{self._end}"

    def _hidden_name(self, index: int) -> str:
        return f"_part-{self._job.id}-{index:05d}.{self._end}.{self._setup}"

    def _manifest(self, files: Sequence[PageFile], deletions: Sequence[PageFile]) -> dict[str, Any]:
        return {
            "job_id": self._job.id,
            "sobject": self._job.object,
            "format": str(self._format),
            **({} if self._compression is None else {"compression": str(self._compression)}),
            "columns": list(self.columns()),
            "records": sum(file.records for file in (*files, *deletions)),
            "files": _listed(files),
            **(
                {"deletions": {"records": sum(file.records for file in deletions), "files": _listed(deletions)}}
                if deletions
                else {}
            ),
        }


def _listed(files: Sequence[PageFile]) -> list[dict[str, Any]]:
    return [
        {
            "name": file.name,
            "uri": file.uri,
            "records": file.records,
            "bytes": file.length,
            "sha256": file.sha256,
        }
        for file in files
    ]
