"""The input of a load: its identity, without a value of a record, and its parts, read as often as needed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

from airflow_provider_sfbulk.arguments.hidden import HiddenValue
from airflow_provider_sfbulk.client.bulk1.commas import with_commas
from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
from airflow_provider_sfbulk.client.errors import EmptyInputError, LedgerError, SourceError
from airflow_provider_sfbulk.client.load.rounds import PartLimits
from airflow_provider_sfbulk.client.parts.fit import fit_to_object
from airflow_provider_sfbulk.client.parts.split import Part, PartFacts, split_again
from airflow_provider_sfbulk.client.sources.open import RecordStream, Rules, from_file, from_source, source_format_of
from airflow_provider_sfbulk.files.apart import Target, check_apart, check_files_apart, check_not_beside
from airflow_provider_sfbulk.files.callable_identity import callable_identity
from airflow_provider_sfbulk.files.paths import AnyPath, is_path, path_text
from airflow_provider_sfbulk.files.sql_source import SqlQuery
from airflow_provider_sfbulk.files.storage import SourceFile, find_sources, named_source


class LoadInput:
    """What an ingest operator was given as ``source`` or ``sql``.

    :param source: path, URI or pattern, or a list of these; records inside an :class:`HiddenValue`; a
        callable that gives records; or a query
    :param needed_columns: columns that the user names elsewhere, which the input must have, by source or target name
    :param one_header: whether all files must have the same columns
    :param may_be_empty: whether a pattern in a list may match nothing
    :param commas: whether the parts have commas between values, whatever the source has
    """

    def __init__(
        self,
        source: Any,
        rules: Rules,
        *,
        source_format: str | None,
        source_conn_id: str | None,
        needed_columns: Sequence[str] = (),
        one_header: bool = False,
        may_be_empty: bool = False,
        commas: bool = False,
    ) -> None:
        self._source = source
        self.rules = rules
        self._source_format = source_format
        self._source_conn_id = source_conn_id
        self._found: list[tuple[int, SourceFile]] = []
        self.columns: tuple[str, ...] = ()
        """Of the records, once the first was read."""
        self._needed_columns = [self.target(name) for name in needed_columns]
        self._one_header = one_header
        self._may_be_empty = may_be_empty
        self._commas = commas

    def check(self, targets: Sequence[Target]) -> None:
        """Check what can be checked without reading.

        :param targets: where the load writes
        :raises SourceError: when the load would replace its input, or a later run would read what this one writes
        """
        if self._is_files:
            check_apart(self.paths, targets, conn_id=self._source_conn_id)

    def find(self, targets: Sequence[Target]) -> None:
        """Look whether the files are there, or the hook that runs the query.

        :raises SourceError: when they are not
        """
        if self._is_files:
            self._look()
            check_files_apart(self._files(), targets)
        if isinstance(self._source, SqlQuery):
            self._source.hook()

    def check_not_beside(self, target: Target, mark: str) -> None:
        """Check that no file of the input lies where the load writes; to be asked when it has left its mark there.

        :raises SourceError: when one does
        """
        if self._is_files:
            check_not_beside([file for _, file in self._found], target, mark)

    def target(self, name: str) -> str:
        """Return the target column of a source column; a target column's own name stays."""
        mapping = self.rules.column_mapping or {}
        return mapping.get(name) or name

    def identity(self) -> Any:
        """Tell this input from another, alike in every process and without a value of a record.

        It is what the user has written, and nothing is read or looked up for it: files by path or pattern, a query by a
        digest of its text and parameters, a callable by its name and a digest of its arguments, records in memory only by
        type and number. What these give is compared part by part, where it is read again at all.
        """
        if self._is_files:
            texts = [path_text(path) for path in self.paths]
            return texts[0] if len(texts) == 1 else texts
        if isinstance(self._source, HiddenValue):
            return str(self._source)
        return self._source.identity() if isinstance(self._source, SqlQuery) else callable_identity(self._source)

    @property
    def is_in_memory(self) -> bool:
        """Whether the records themselves were given, which :meth:`identity` does not look at."""
        return isinstance(self._source, HiddenValue)

    def parts(
        self,
        describe: Mapping[str, Any],
        cut: PartLimits,
        known: Sequence[PartFacts] = (),
        chosen: ChosenRows | None = None,
    ) -> Generator[Part]:
        """Cut the input into parts, numbered through all files. Nothing is read before the first is asked for.

        Closing the generator closes what it reads from.

        :param describe: of the object, to check the columns by
        :param known: what is known of all parts, when they are cut once more
        :param chosen: the rows that are sent, by which the parts count their rows; None for all
        :raises SourceError: what is wrong with the input, and where
        """
        with closing(self.streams(describe)) as streams:
            yield from parts_of(streams if chosen is None else chosen.only(streams), cut, known)

    def streams(self, describe: Mapping[str, Any], rules: Rules | None = None) -> Generator[RecordStream]:
        """Yield the records, file by file, made to fit the object. Closing the generator closes what it reads from.

        :param rules: instead of the input's own, to collect what does not fit
        :raises SourceError: what is wrong with the input, and where
        """
        rules = rules or self.rules
        first: tuple[str, ...] = ()
        with closing(self._opened(rules)) as streams:
            for stream in streams:
                fitted = fit_to_object(stream, describe, rules)
                first = self.columns = first or fitted.columns
                self._check_columns(stream.name, fitted.columns, first)
                yield with_commas(fitted) if self._commas else fitted

    def _check_columns(self, name: str, columns: tuple[str, ...], first: tuple[str, ...]) -> None:
        there = {column.casefold() for column in columns}
        if columns and (missing := [column for column in self._needed_columns if column.casefold() not in there]):
            raise SourceError(
                f"{name}: there is no column {', '.join(missing)}, which key_columns or sort_by names; the columns are "
                f"{', '.join(columns[:50])}"
            )
        if self._one_header and set(columns) != set(first):
            # Said now, with nothing in the org yet: one result file over all jobs has one header.
            raise SourceError(
                f"{name}: other columns than in the files before it ({', '.join(sorted(set(columns) ^ set(first)))}), "
                "which do not fit into one result file: load them with a task of their own, or without results_path"
            )

    @property
    def _is_files(self) -> bool:
        return bool(self.paths)

    @property
    def paths(self) -> list[AnyPath]:
        """The paths and patterns that were given; none for records, a callable or a query."""
        return self._source if isinstance(self._source, list) else [self._source] if is_path(self._source) else []

    @property
    def files(self) -> list[list[Any]] | None:
        """The files that were found: the number of what they were found by, and their path within its file system; None for
        another source."""
        return [[number, file.path] for number, file in self._found] if self._is_files else None

    def csv_bytes(self) -> int | None:
        """Return the bytes of an input of plain CSV files; None for any other: packed, or not in files."""
        files = self._files() if self._is_files else []
        if not files or any((self._source_format or source_format_of(file.name)) != "csv" for file in files):
            return None
        return sum(file.size() for file in files)

    def pin(self, files: Sequence[Any] | None) -> None:
        """Read these files from now on, whatever is found where they came from.

        :param files: as :attr:`files` has given them
        :raises LedgerError: when it has not
        """
        if files is None:
            return
        paths = self.paths
        self._found = []
        for each in files:
            match each:
                case [int(number), str(path)] if 0 <= number < len(paths):
                    self._found.append((number, named_source(paths[number], path, conn_id=self._source_conn_id)))
                case _:
                    raise LedgerError(
                        "the files that the task's state store names are not as this provider writes them"
                    )

    def _files(self) -> list[SourceFile]:
        """Return the files, once they are found, in the order that was given.

        :raises EmptyInputError: when a pattern has no match, or with ``may_be_empty`` none of them has
        :raises SourceError: when there is not a file for each, or one is named twice
        """
        if not self._found:
            self._look()
        return [file for _, file in self._found]

    def _look(self) -> None:
        files: list[tuple[int, SourceFile]] = []
        missing: list[EmptyInputError] = []
        for number, path in enumerate(self.paths):
            try:
                files += [(number, each) for each in find_sources(path, conn_id=self._source_conn_id)]
            except EmptyInputError as error:
                missing.append(error)
        if missing and not (files and self._may_be_empty):
            raise missing[0]
        if len(files) > len(once := {file.name for _, file in files}):
            raise SourceError(
                f"source: {len(files) - len(once)} of its {len(files)} files are named twice, by a path and a pattern, and "
                "would be loaded twice"
            )
        self._found = files

    def _opened(self, rules: Rules) -> Generator[RecordStream]:
        if self._is_files:
            for file in self._files():
                yield from_file(file.open, rules, name=file.name, source_format=self._source_format)
            return
        if isinstance(self._source, SqlQuery):
            with self._source.stream(rules) as stream:
                yield stream
            return
        records = self._source.records if isinstance(self._source, HiddenValue) else self._source()
        if records is None:  # only a callable gives that
            return
        yield from_source(records, rules, name=f"the {type(records).__name__} given as source")


def parts_of(streams: Iterable[RecordStream], cut: PartLimits, known: Sequence[PartFacts] = ()) -> Generator[Part]:
    """Cut streams into parts, numbered through all of them.

    :param known: what is known of all parts, when they are cut once more
    """
    number, row = 0, 1
    for stream in streams:
        for part in split_again(stream, known[number:], max_bytes=cut.part_bytes, max_records=cut.part_records):
            yield part.renumbered(number, row)
            number += 1
            row += part.records
