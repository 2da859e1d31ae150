"""Files of the command: queries that are read, and rows that are written. A file appears once all rows are in it."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.errors import SfBulkError, SourceError
from airflow_provider_sfbulk.client.local_path import is_uri, local_path
from airflow_provider_sfbulk.client.models import FileFormat
from airflow_provider_sfbulk.client.results.folder import LocalFile
from airflow_provider_sfbulk.client.soql import is_a_query

_QUERY_BYTES: Final = 4 * limits.SOQL_CHARACTERS


def read_query(text: str) -> str:
    """Return a query: the text itself, or the contents of the file that ``@FILE`` names.

    :raises SourceError: the file cannot be read, or does not contain a query
    """
    path = query_file(text)
    if path is None:
        if text.strip() and not is_a_query(text):
            raise SourceError("the query does not begin with SELECT: to read it from a file, write @FILE")
        return text
    if path.exists() and not path.is_file():
        raise SourceError(f"{path} is not a file: name a file that contains a query")
    with _named(path, "read"), path.open("rb") as file:
        data = file.read(_QUERY_BYTES + 1)
    if len(data) > _QUERY_BYTES:
        raise SourceError(f"{path} is larger than a query may be ({limits.SOQL_CHARACTERS:,} characters)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # From None: the error quotes the file.
        raise SourceError(f"{path} is not UTF-8, at byte {error.start + 1}: convert the file") from None


def query_file(text: str) -> Path | None:
    """Return the file that a query is read from."""
    return on_this_machine(Path(text[1:])) if text.startswith("@") else None


def on_this_machine(path: Path) -> Path:
    """Return a path that may have been written as a ``file:`` URI, or from the home folder where no shell has seen it.

    :raises SourceError: it is the URI of another place
    """
    made = Path(local_path(os.fspath(path), what="the path"))
    if is_uri(os.fspath(made)) and not made.parent.exists():
        raise SourceError(f"{made} is a URI, but this command reads and writes only local files")
    return made


class NewFile:
    """A file to be written: opened before anything is sent, private and under another name until it is complete.

    :param path: replaces a file of that name
    :param reads: the input file, which must not be replaced
    :raises SourceError: it cannot be written, is the input file, or is not a file
    """

    def __init__(self, path: Path, *, reads: Path | None = None) -> None:
        self._path = path = on_this_machine(path)
        reads = None if reads is None else on_this_machine(reads)
        with _named(path, "written"):
            target = path.resolve()  # a link stays, and leads to the new rows
            if target.is_symlink():  # a circle of links, which Python 3.13 does not refuse
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if target.exists() and not target.is_file():
                raise SourceError(f"{path} exists and is not a regular file: name another one")
            if reads is not None and target.exists() and reads.exists() and target.samefile(reads):
                raise SourceError(f"{path} is the input file and would be replaced: write to another file")
            if not target.name:
                raise SourceError(f"{path} is not the name of a file")
            self._file = LocalFile(target)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._file.discard()

    def write(self, rows: Any, kind: FileFormat = FileFormat.CSV, *, columns: Sequence[str] = ()) -> None:
        """Write rows, and make the file visible.

        :param rows: dicts; for Parquet, the result of a query
        :param columns: columns of a CSV without rows
        """
        with _named(self._path, "written"):
            if kind is FileFormat.PARQUET:
                packed = io.BytesIO()
                rows.to_df().to_parquet(packed)
                self._file.write(packed.getvalue())
            elif kind is FileFormat.CSV:
                self._write_csv(rows, columns)
            else:
                self._write_lines(rows)
            self._file.commit()

    def _write_csv(self, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
        writer = None
        for row in rows:
            if writer is None:
                writer = self._begun(list(row))
            writer.writerow(row)
        if writer is None and columns:
            self._begun(columns)

    def _begun(self, columns: Sequence[str]) -> csv.DictWriter[str]:
        writer = csv.DictWriter(_Text(self._file), columns, lineterminator="\n")
        writer.writeheader()
        return writer

    def _write_lines(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self._file.write((json.dumps(row, default=str, ensure_ascii=False) + "\n").encode())


class _Text:
    def __init__(self, file: LocalFile) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode())


@contextmanager
def _named(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except SfBulkError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # the last two: no path at all, a circle of links
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is not a path"
        raise SourceError(f"{os.fspath(path)[:200]} cannot be {done}: {reason}") from error
