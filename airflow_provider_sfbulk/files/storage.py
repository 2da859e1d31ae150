"""Files on local disks and in object storage: for reading, and for writing files that appear whole or not at all.

Any storage works whose Airflow provider is installed (``s3``, ``gs``, ``abfs``, …), and any that a ``UPath`` provides.
Every error there becomes one of this package's errors, which names the place and the argument.
"""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, cast
from urllib.parse import unquote

from airflow_provider_sfbulk.client.errors import (
    EmptyInputError,
    MissingSourceError,
    SfBulkError,
    SourceError,
    StorageError,
)
from airflow_provider_sfbulk.client.local_path import looks_like_a_path
from airflow_provider_sfbulk.client.results.folder import LocalFolder, Output, OutputFile
from airflow_provider_sfbulk.files.paths import AnyPath, Location, check_connection, locate, without_folder_values
from airflow_provider_sfbulk.files.storage_errors import converted, named

READ_BLOCK_BYTES: Final = 4 * 1024 * 1024
"""Bytes requested from object storage at a time."""

WRITE_BLOCK_BYTES: Final = 16 * 1024 * 1024
"""Bytes of one piece of a multipart upload. S3 takes 10,000 pieces, so an object can have up to 160 GB; two pieces of this
size are held in memory."""

WILDCARDS: Final = frozenset("*?[")

_WITHOUT_FOLDERS: Final = frozenset({"s3", "s3a", "s3n", "gs", "gcs", "abfs", "abfss", "az", "adl", "memory"})
"""Storages in which a folder is only a part of a name, and need not be created."""


@dataclass(frozen=True)
class SourceFile:
    """One file to read records from."""

    place: Location

    @property
    def name(self) -> str:
        """Its path or URI, for messages and for the choice of format."""
        return self.place.uri

    @property
    def path(self) -> str:
        """Its path within its file system."""
        return self.place.path

    def open(self) -> BinaryIO:
        """Open it for reading from the beginning."""
        with named("read", self.place):
            if self.place.is_local:
                file: Any = open(self.place.path, "rb")  # noqa: SIM115, PTH123 - the caller closes it
            else:
                file = self.place.fs.open(self.place.path, "rb", block_size=READ_BLOCK_BYTES)
        return cast("BinaryIO", _Reading(file, self.place))

    def size(self) -> int:
        """Read its size in bytes."""
        with named("read", self.place):
            if self.place.is_local:
                return Path(self.place.path).stat().st_size
            return int(self.place.fs.info(self.place.path)["size"] or 0)


def find_sources(source: AnyPath, *, conn_id: str | None = None, argument: str = "source") -> list[SourceFile]:
    """Find the file of that path or URI, or all files of a pattern (``*``, ``?``, ``[…]``), in the order of their names.

    An exact name takes precedence: a file or folder whose own name contains such characters is that file or folder.

    :param conn_id: connection of the object storage, when the URI does not name it
    :param argument: of the operator, for messages
    :raises SourceError: when there is none; as its ``EmptyInputError`` when nothing matches a pattern
    :raises StorageError: when the storage does not answer
    """
    place = locate(source, conn_id=conn_id, argument=argument)
    check_connection(place)
    kind = _kind(place)
    if kind is None and WILDCARDS & set(place.path):
        return [SourceFile(each) for each in _matching(place)]
    if kind is None:
        _check_bucket(place)
        raise MissingSourceError(
            f"{argument}: there is no file {_named(place)}{_hint(place)}. Check the path, and that this worker can see it"
        )
    if kind == "directory":
        raise SourceError(
            f"{argument}: {place.uri} is a folder. Name a file, or a pattern such as {place.uri.rstrip('/')}/*.csv."
        )
    if kind != "file":
        raise SourceError(f"{argument}: {place.uri} is neither a file nor a folder, and can be read only once at best")
    return [SourceFile(place)]


def is_there(place: Location) -> bool:
    """Whether something is there, as far as the storage says so."""
    try:
        return _kind(place) is not None
    except SfBulkError:
        return False


def named_source(source: AnyPath, path: str, *, conn_id: str | None = None) -> SourceFile:
    """Return a file of a source by its path, whether it exists or not.

    :param source: where it was found
    :param path: from :attr:`SourceFile.path`
    """
    return SourceFile(locate(source, conn_id=conn_id, argument="source").at(path))


def pattern_of(place: Location) -> str:
    """Return the path as a ``glob`` pattern in which wildcards that are part of folder names are taken literally."""
    parts = place.path.split("/")
    for number, part in enumerate(parts[:-1]):
        if not WILDCARDS & set(part):
            continue
        if _kind(place.at("/".join([*place.path.split("/")[:number], part]))) != "directory":
            break
        parts[number] = glob.escape(part)
    return "/".join(parts)


def resolved_pattern(place: Location) -> tuple[str, str, str] | None:
    """Resolve the part before the first wildcard, as ``Location.resolved`` does; None when it is not a pattern."""
    parts, escaped = place.path.split("/"), pattern_of(place).split("/")
    first = next((i for i, part in enumerate(escaped) if part == parts[i] and WILDCARDS & set(part)), None)
    if first is None:
        return None
    base = place.at("/".join(parts[:first]) or ("/" if place.path.startswith("/") else "."))
    kind, address, path = base.resolved()
    return kind, address, "/".join([glob.escape(path.rstrip("/")), *escaped[first:]])


def open_output(folder: AnyPath, *, conn_id: str | None = None, argument: str = "output_path") -> Output:
    """Open a folder for writing. It need not exist, and is not created before there is something to write.

    :param argument: of the operator, for messages
    :raises SourceError: it is not a folder, or a folder on a local disk that cannot be created or written to
    """
    return open_folder(locate(folder, conn_id=conn_id, argument=argument))


def open_folder(place: Location, *, private: bool = False) -> Output:
    """Open a folder as :func:`open_output` does.

    :param private: on a disk, whether its files, and created folders, are for this user only
    """
    check_connection(place)
    if not place.is_local:
        return NamedOutput(ObjectFolder(place), place)
    with named("write to", place):
        _check_writable(Path(place.path), place.argument)
    return NamedOutput(LocalFolder(place.path, private=private), place)


class NamedOutput:
    """An ``Output`` whose errors are this package's.

    :param output: the folder itself
    :param place: where it is
    """

    def __init__(self, output: Output, place: Location) -> None:
        self._output = output
        self._place = place

    def create(self, name: str, /) -> OutputFile:
        """Begin a file."""
        place = self._shown(name)
        with named("write", place):
            return _NamedFile(self._output.create(name), place)

    def read(self, name: str, /) -> bytes | None:
        """Read a small file completely; None when it does not exist."""
        with named("read", self._shown(name)):
            return self._output.read(name)

    def remove(self, name: str, /) -> None:
        """Remove a file, if it exists."""
        with named("remove", self._shown(name)):
            self._output.remove(name)

    def open(self, name: str, /) -> IO[bytes]:
        """Open a file for reading."""
        place = self._shown(name)
        with named("read", place):
            return cast("IO[bytes]", _Reading(self._output.open(name), place))

    def sizes(self, inside: str = "", /) -> dict[str, int]:
        """List the files that lie in the folder itself, or in one in it, with their bytes; none when there is no folder."""
        with named("list", self._place):
            return self._output.sizes(inside)

    def rename(self, name: str, new: str, /) -> None:
        """Rename a file, replacing one of that name."""
        with named(f"rename to {without_folder_values(new)}", self._shown(name)):
            self._output.rename(name, new)

    def remove_if_empty(self) -> None:
        """Remove the folder if it was created here and is empty."""
        with named("remove", self._place):
            self._output.remove_if_empty()

    def uri(self, name: str, /) -> str:
        """Return the URI of a file of that name, whether it exists or not."""
        return self._output.uri(name)

    def _shown(self, name: str) -> Location:
        return self._place.child(without_folder_values(name))


class _NamedFile:
    """A file being written, whose errors are this package's."""

    def __init__(self, file: OutputFile, place: Location) -> None:
        self._file = file
        self._place = place

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""
        try:
            return self._file.write(data)
        except Exception as error:
            raise converted(error, "write", self._place) from error

    def commit(self) -> str:
        """Make the file visible."""
        with named("write", self._place):
            return self._file.commit()

    def discard(self) -> None:
        """Leave nothing behind."""
        with named("remove", self._place):
            self._file.discard()


class _Reading:
    """A file being read, whose errors are this package's."""

    def __init__(self, file: Any, place: Location) -> None:
        self._file = file
        self._place = place

    def read(self, size: int = -1, /) -> bytes:
        """Read the next bytes."""
        try:
            data: bytes = self._file.read(size)
        except Exception as error:
            raise converted(error, "read", self._place) from error
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to another position."""
        with named("read", self._place):
            place: int = self._file.seek(offset, whence)
        return place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        with named("read", self._place):
            yield from self._file


class ObjectFolder:
    """An ``Output`` in object storage."""

    def __init__(self, folder: Location) -> None:
        self._folder = folder

    def create(self, name: str, /) -> OutputFile:
        """Begin an object."""
        place = self._folder.child(name)
        self._make_folder_of(place)
        return MemoryFile(place) if place.protocol == "memory" else ObjectFile(place)

    def read(self, name: str, /) -> bytes | None:
        """Read a small object completely; None when it does not exist."""
        try:
            data: bytes = self._folder.fs.cat_file(self._folder.child(name).path)
        except FileNotFoundError:
            return None
        return data

    def remove(self, name: str, /) -> None:
        """Remove an object, if it exists."""
        with suppress(FileNotFoundError):
            self._folder.fs.rm_file(self._folder.child(name).path)

    def open(self, name: str, /) -> IO[bytes]:
        """Open an object for reading."""
        place = self._folder.child(name)
        file: IO[bytes] = place.fs.open(place.path, "rb", block_size=READ_BLOCK_BYTES)
        return file

    def sizes(self, inside: str = "", /) -> dict[str, int]:
        """List the objects of the folder itself, or of one in it, with their bytes."""
        folder = self._folder.child(inside) if inside else self._folder
        fs = folder.fs
        fs.invalidate_cache()  # what another process wrote meanwhile counts
        try:
            found: list[Mapping[str, Any]] = fs.ls(folder.path, detail=True)
        except FileNotFoundError:
            return {}
        finally:
            fs.invalidate_cache()  # for a missing folder, its parent is listed, and cached
        return {each["name"].rpartition("/")[2]: int(each["size"]) for each in found if each["type"] == "file"}

    def rename(self, name: str, new: str, /) -> None:
        """Copy an object within the storage, and remove it under its old name once the copy is complete.

        :raises StorageError: it is not, for example when the storage answers before it has copied; both stay
        """
        source, target = self._folder.child(name), self._folder.child(new)
        fs = source.fs
        self._make_folder_of(target)
        fs.cp_file(source.path, target.path)
        fs.invalidate_cache(target.path.rpartition("/")[0])
        there, due = fs.info(target.path)["size"], fs.info(source.path)["size"]
        if there != due:
            raise StorageError(f"{source.uri}: the copy has {there} bytes, the original {due}; a retry copies it again")
        fs.rm_file(source.path)

    def remove_if_empty(self) -> None:
        """Do nothing: there are no folders."""

    def uri(self, name: str, /) -> str:
        """Return the URI of an object of that name."""
        return self._folder.child(name).uri

    @staticmethod
    def _make_folder_of(place: Location) -> None:
        if place.protocol not in _WITHOUT_FOLDERS:
            place.fs.makedirs(place.path.rpartition("/")[0], exist_ok=True)


class ObjectFile:
    """An object that does not exist before :meth:`commit`.

    Leaving ``with path.open("wb")`` with an exception would publish a truncated object that looks complete. So the upload
    is started without ``autocommit``, fsspec's way to complete or abort a multipart upload.
    """

    def __init__(self, place: Location) -> None:
        self._place = place
        self._file: Any = place.fs.open(place.path, "wb", block_size=WRITE_BLOCK_BYTES, autocommit=False)
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
        return self._place.uri

    def discard(self) -> None:
        """Abort the upload. Does nothing after :meth:`commit`."""
        if self._open:
            self._open = False
            with suppress(FileNotFoundError):
                self._file.discard()


class MemoryFile(io.BytesIO):
    """The same in ``memory://``, where fsspec ignores ``autocommit``: the bytes are kept here until the commit."""

    def __init__(self, place: Location) -> None:
        super().__init__()
        self._place = place

    def commit(self) -> str:
        """Make the object visible."""
        self._place.fs.pipe_file(self._place.path, self.getvalue())
        return self._place.uri

    def discard(self) -> None:
        """Forget the bytes."""
        self.close()


def _kind(place: Location) -> str | None:
    """Return the type of what is there: ``file``, ``directory``, something else, or None.

    It uses ``info``, since ``isfile`` and ``exists`` of fsspec take a refusal for "does not exist".
    """
    with named("look for", place):
        try:
            fs = place.fs
            fs.invalidate_cache()
            kind: str = fs.info(place.path)["type"]
        except (FileNotFoundError, NotADirectoryError):
            return None
    return kind


def _matching(place: Location) -> list[Location]:
    """Find the files of a pattern.

    :raises SourceError: when there are none
    """
    pattern = pattern_of(place)
    if place.is_local and ".." in pattern.split("/") and (resolved := resolved_pattern(place)) is not None:
        pattern = resolved[2]  # fsspec finds nothing after it
    with named("list", place):
        fs = place.fs
        found: Mapping[str, Mapping[str, Any]] = fs.glob(pattern, detail=True)
        files = sorted(name for name, info in found.items() if _is_file(place.at(name), info["type"]))
        if not files:
            literal = place.path[: min(place.path.index(each) for each in WILDCARDS if each in place.path)]
            with suppress(FileNotFoundError, NotADirectoryError):
                fs.ls(literal.rpartition("/")[0] or "/")  # fsspec takes a refusal for "does not exist"
    if not files:
        _check_bucket(place)
        raise EmptyInputError(
            f"{place.argument}: no file matches {_named(place)}. Check the path, and that this worker can see it"
        )
    return [place.at(name) for name in files]


def _is_file(place: Location, kind: str) -> bool:
    """Whether a listed entry is a file: in listings of a disk, fsspec does not say where links lead."""
    return (_kind(place) if kind not in ("file", "directory") else kind) == "file"


def _check_bucket(place: Location) -> None:
    """Raise an error when it is the bucket that is missing, not the file."""
    bucket, _, key = place.path.lstrip("/").partition("/")
    if place.is_local or not key or WILDCARDS & set(bucket):
        return
    try:
        there = _kind(place.at(bucket)) is not None
    except SfBulkError:
        return  # a login may be allowed to read in a bucket but not to see it
    if not there:
        raise SourceError(
            f"{place.argument}: there is no bucket {bucket} for {place.uri}. Check its name and connection."
        )


def _named(place: Location) -> str:
    """Name a file that is not there: what was given may be a value, if it does not look like a path."""
    if not place.is_local or looks_like_a_path(place.uri):
        return place.uri
    several = "; several files are given as a list" if "," in place.uri else ""
    return f"(a string of {len(place.uri)} characters{several})"


def _hint(place: Location) -> str:
    """Suggest what a missing name may have meant."""
    decoded = place.at(unquote(place.path))
    if place.is_local or decoded.path == place.path:
        return ""
    try:
        there = _kind(decoded) is not None
    except SfBulkError:
        return ""
    hint = f"; there is {decoded.uri}" if there else ""
    return f" (a name in a {place.protocol}:// URI is taken as it is, %… is not decoded{hint})"


def _check_writable(folder: Path, argument: str) -> None:
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise SourceError(f"{argument}: {folder}: {there} is a file; a folder to write into is needed")
    if not os.access(there, os.W_OK | os.X_OK):
        raise SourceError(f"{argument}: {folder}: this worker may not write to {there}")
