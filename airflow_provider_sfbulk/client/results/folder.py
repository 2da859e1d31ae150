"""Folders whose files appear whole or not at all.

Two implementations: :class:`LocalFolder` here, and object storage in ``airflow_provider_sfbulk.files.storage``.
"""

from __future__ import annotations

import glob
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Protocol

from airflow_provider_sfbulk.client.parts.threads import BackgroundWriter

SYNC_BYTES: Final = 8 * 1024 * 1024
"""Bytes after which the disk starts to write, so that it does not start only at the end of a file. Our choice."""


class OutputFile(Protocol):
    """A file that is being written, invisible before :meth:`commit`."""

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""

    def commit(self) -> str:
        """Make the file visible under its name, replacing one of that name, and return its URI."""

    def discard(self) -> None:
        """Remove the file. Does nothing after :meth:`commit`, and may be called twice."""


class Output(Protocol):
    """A folder to write files into."""

    def create(self, name: str, /) -> OutputFile:
        """Begin a file; ``name`` is relative to the folder and may hold ``/``."""

    def read(self, name: str, /) -> bytes | None:
        """Read a small file whole; None when it is not there."""

    def remove(self, name: str, /) -> None:
        """Remove a file; it need not be there."""

    def open(self, name: str, /) -> IO[bytes]:
        """Open a file for reading from its beginning.

        :raises OSError: it is not there
        """

    def sizes(self, inside: str = "", /) -> dict[str, int]:
        """List the files that lie in the folder itself, with their bytes; none when there is no folder.

        :param inside: of a folder in it, by its relative path
        """

    def rename(self, name: str, new: str, /) -> None:
        """Give a file another name, which may be in a folder in this one, replacing one of that name. Object storage
        copies, and removes the first.

        :raises OSError: when it could not be done; the file is still there under its old name, if it was
        """

    def remove_if_empty(self) -> None:
        """Remove the folder if it was made here and nothing is in it; object storage has none."""

    def uri(self, name: str, /) -> str:
        """Return the URI of a file of that name, whether it is there or not."""


class LocalFolder:
    """An :class:`Output` on the local disk.

    Files are private to this user while they are written, whole ones follow the umask.

    :param folder: made when it is not there
    :param private: whether whole files, and folders that are made, are private to this user, too
    """

    def __init__(self, folder: str | os.PathLike[str], *, private: bool = False) -> None:
        self._folder = Path(folder)
        self._private = private
        self._made: list[Path] = []

    def create(self, name: str, /) -> LocalFile:
        """Begin a file."""
        path = self._folder / name
        self._make_folder(path.parent)
        _remove_leftovers(path)
        return LocalFile(path, private=self._private)

    def read(self, name: str, /) -> bytes | None:
        """Read a small file whole; None when it is not there."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, name: str, /) -> None:
        """Remove a file; it need not be there. Folders in this one that are empty then go with it."""
        path = self._folder / name
        with suppress(FileNotFoundError):
            path.unlink()
        with suppress(OSError):
            for folder in path.relative_to(self._folder).parents[:-1]:
                (self._folder / folder).rmdir()

    def open(self, name: str, /) -> IO[bytes]:
        """Open a file for reading."""
        return (self._folder / name).open("rb")

    def sizes(self, inside: str = "", /) -> dict[str, int]:
        """List the files of the folder itself, or of one in it, with their bytes."""
        try:
            with os.scandir(self._folder / inside) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def rename(self, name: str, new: str, /) -> None:
        """Rename a file, replacing one of that name."""
        _set_mode(self._folder / name, private=self._private)
        self._make_folder((self._folder / new).parent)
        (self._folder / name).replace(self._folder / new)

    def remove_if_empty(self) -> None:
        """Remove the folders that were made here, as far as nothing is in them; a private one in any case."""
        for folder in [self._folder, *self._made] if self._private else self._made:
            with suppress(OSError):
                folder.rmdir()

    def uri(self, name: str, /) -> str:
        """Return the path of a file of that name."""
        return str(self._folder / name)

    def _make_folder(self, path: Path) -> None:
        missing = [each for each in (path, *path.parents) if not each.exists()]
        self._made += missing
        for folder in reversed(missing):
            folder.mkdir(0o700 if self._private else 0o777, exist_ok=True)


class LocalFile:
    """A file under ``<name>.<process>.part`` until it is whole.

    A killed process leaves it behind; the next writer of the same name removes it.
    """

    def __init__(self, path: Path, *, private: bool = False) -> None:
        self._path = path
        self._private = private
        self._part = path.with_name(f"{path.name}.{os.getpid()}.part")
        self._part.unlink(missing_ok=True)
        # Somebody else who may write into this folder must not have put a file here.
        self._file: IO[bytes] = os.fdopen(os.open(self._part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
        self._behind = BackgroundWriter()
        self._since_sync = 0

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""
        self._since_sync += len(data)
        if self._since_sync >= SYNC_BYTES:
            self._since_sync = 0
            self._behind.do(self._sync)
        return self._file.write(data)

    def commit(self) -> str:
        """Flush to the disk and move into place."""
        self._behind.finish()
        self._sync()
        self._file.close()
        _set_mode(self._part, private=self._private)
        self._part.replace(self._path)
        return str(self._path)

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def discard(self) -> None:
        """Remove what was written."""
        self._behind.close()
        with suppress(OSError):  # on a full disk what is buffered cannot be written, and is not needed
            self._file.close()
        with suppress(FileNotFoundError):
            self._part.unlink()


_UMASK: Final = threading.Lock()
"""The umask is read by setting it."""


def _set_mode(path: Path, *, private: bool) -> None:
    with _UMASK:
        umask = os.umask(0o077)
        os.umask(umask)
    path.chmod(0o600 if private else 0o666 & ~umask)


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of this file. Files of running processes are kept."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        process = left.name.removeprefix(f"{path.name}.").removesuffix(".part")
        if process.isascii() and process.isdigit() and not _is_alive(int(process)):
            left.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere the question cannot be asked without harm
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
