"""Files on local disks and in object storage: what is read, and what appears whole or not at all.

Everything goes through Airflow's ``ObjectStoragePath``, so any scheme that a provider brings works (``file``, ``s3``,
``gs``, ``abfs``, …), with the connection in the URI (``s3://conn_id@bucket/key``) or named beside it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from airflow.sdk import ObjectStoragePath

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.records.output import LocalFolder, Output, OutputFile

LOCAL: Final = frozenset({"", "file", "local"})

READ_BLOCK_BYTES: Final = 4 * 1024 * 1024
"""Bytes asked of object storage at a time."""

WRITE_BLOCK_BYTES: Final = 16 * 1024 * 1024
"""Bytes of one piece of a multipart upload. S3 takes 10,000 pieces, so an object may grow to 160 GB; two pieces of this
size lie in memory."""

_WILDCARDS: Final = frozenset("*?[")


@dataclass(frozen=True)
class SourceFile:
    """One file to read records from."""

    path: ObjectStoragePath

    @property
    def name(self) -> str:
        """Its URI, for messages and for the choice of format."""
        return str(self.path)

    def open(self) -> BinaryIO:
        """Open it for reading from the beginning."""
        if _is_local(self.path):
            return open(self.path.path, "rb")  # noqa: PTH123 - the caller closes it
        stream: BinaryIO = self.path.fs.open(self.path.path, "rb", block_size=READ_BLOCK_BYTES)
        return stream


def find_sources(source: str | os.PathLike[str] | ObjectStoragePath, *, conn_id: str | None = None) -> list[SourceFile]:
    """Find the file of that path or URI, or all files of a pattern (``*``, ``?``, ``[…]``), in the order of their names.

    A local file whose own name has such characters is that file.

    :raises SourceError: when there is none
    """
    path = _path(source, conn_id)
    if _WILDCARDS & set(path.path) and not (_is_local(path) and path.is_file()):
        conn_id = path.conn_id  # the one in the pattern's URI counts for its files, too
        found = [_path(_uri_of(path, name), conn_id) for name in sorted(path.fs.glob(path.path))]
        files = [each for each in found if each.is_file()]
        if not files:
            raise SourceError(f"no file matches {source}. Check the path, and that this worker can see it.")
        return [SourceFile(each) for each in files]
    if path.is_dir():
        raise SourceError(f"{source} is a folder. Name a file, or a pattern such as {str(source).rstrip('/')}/*.csv.")
    if not path.is_file():
        raise SourceError(f"there is no file {source}. Check the path, and that this worker can see it.")
    return [SourceFile(path)]


def named_sources(names: Sequence[str], *, conn_id: str | None = None) -> list[SourceFile]:
    """Give files by their names, whether they are there or not.

    :param names: as :attr:`SourceFile.name` has given them
    """
    return [SourceFile(_path(name, conn_id)) for name in names]


def open_output(folder: str | os.PathLike[str] | ObjectStoragePath, *, conn_id: str | None = None) -> Output:
    """Open a folder for writing; it need not be there yet, and is not made before there is something to write.

    :raises SourceError: when the folder is on a local disk and could not be made or written to
    """
    if folder == "":
        raise SourceError("the folder to write to is an empty text: was its template rendered from something empty?")
    path = _path(folder, conn_id)
    if not _is_local(path):
        return ObjectFolder(path)
    _check_writable(Path(path.path))
    return LocalFolder(path.path)


class ObjectFolder:
    """An ``Output`` in object storage."""

    def __init__(self, folder: ObjectStoragePath) -> None:
        self._folder = folder

    def create(self, name: str, /) -> OutputFile:
        """Begin an object."""
        return ObjectFile(self._folder / name)

    def read(self, name: str, /) -> bytes | None:
        """Read a small object whole; None when it is not there."""
        try:
            data: bytes = (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        return data

    def remove(self, name: str, /) -> None:
        """Remove an object; it need not be there."""
        with suppress(FileNotFoundError):
            (self._folder / name).unlink()

    def sizes(self) -> dict[str, int]:
        """List the objects of the folder itself, with their bytes."""
        fs = self._folder.fs
        fs.invalidate_cache()  # what another process wrote meanwhile counts
        try:
            found: list[Mapping[str, Any]] = fs.ls(self._folder.path, detail=True)
        except FileNotFoundError:
            return {}
        finally:
            fs.invalidate_cache()  # of a folder that is not there, the one above is listed, and remembered
        return {each["name"].rpartition("/")[2]: int(each["size"]) for each in found if each["type"] == "file"}

    def rename(self, name: str, new: str, /) -> None:
        """Copy an object within the storage, and remove it under its old name when the copy is whole.

        :raises OSError: when it is not, as where copying goes on behind the storage's answer; both stay
        """
        source, target = self._folder / name, self._folder / new
        fs = source.fs
        fs.cp_file(source.path, target.path)
        fs.invalidate_cache(self._folder.path)
        there, due = fs.info(target.path)["size"], fs.info(source.path)["size"]
        if there != due:
            raise OSError(f"{target}: a copy of {there} bytes of an object of {due}; a retry copies again")
        source.unlink()

    def uri(self, name: str, /) -> str:
        """Give the URI of an object of that name."""
        return str(self._folder / name)


class ObjectFile:
    """An object that does not exist before :meth:`commit`.

    Leaving ``with path.open("wb")`` by an exception would publish a truncated object that looks whole, so the upload is
    begun without ``autocommit``: fsspec's own way to complete or abort a multipart upload.
    """

    def __init__(self, path: ObjectStoragePath) -> None:
        self._path = path
        self._file: Any = path.fs.open(path.path, "wb", block_size=WRITE_BLOCK_BYTES, autocommit=False)
        self._open = True

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""
        written: int = self._file.write(data)
        return written

    def commit(self) -> str:
        """Complete the upload."""
        self._file.close()
        self._file.commit()
        self._open = False
        return str(self._path)

    def discard(self) -> None:
        """Abort the upload."""
        if self._open:
            self._open = False
            with suppress(FileNotFoundError):
                self._file.discard()


def _check_writable(folder: Path) -> None:
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise SourceError(f"{folder}: {there} is a file; a folder is needed, to write files into")
    if not os.access(there, os.W_OK | os.X_OK):
        raise SourceError(f"{folder}: this worker may not write to {there}")


def _path(source: str | os.PathLike[str] | ObjectStoragePath, conn_id: str | None) -> ObjectStoragePath:
    if isinstance(source, ObjectStoragePath):
        return source
    return ObjectStoragePath(os.fspath(source), conn_id=conn_id)


def _is_local(path: ObjectStoragePath) -> bool:
    return path.protocol in LOCAL


def _uri_of(path: ObjectStoragePath, name: str) -> str:
    if _is_local(path):
        return name
    return f"{path.protocol}://{name.lstrip('/')}"
