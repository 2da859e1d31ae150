"""Temporary files: without a name, readable by this process alone, gone with it, also when it is killed."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

from airflow_provider_sfbulk.client.errors import StorageError


class TemporaryFile:
    """A temporary file whose errors are this package's.

    :param memory_bytes: so much is held in memory before there is a file at all; None: it is a file from its beginning
    :param folder: where a file from its beginning lies; None = the system's place for temporary files
    """

    def __init__(self, memory_bytes: int | None = None, *, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder = folder
        with self._named():
            self._file: IO[bytes]
            if memory_bytes is None:
                self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close()
            else:
                self._file = tempfile.SpooledTemporaryFile(memory_bytes)  # noqa: SIM115

    def write(self, data: bytes, /) -> int:
        """Write the next bytes."""
        with self._named():
            return self._file.write(data)

    def writelines(self, pieces: Iterable[bytes], /) -> None:
        """Write pieces."""
        with self._named():
            self._file.writelines(pieces)

    def read(self, size: int = -1, /) -> bytes:
        """Read the next bytes."""
        with self._named():
            return self._file.read(size)

    def read_at(self, place: int, size: int) -> bytes:
        """Read bytes of a file that was flushed, without moving in it: readings do not disturb each other.

        :raises StorageError: also when the file has become shorter than that
        """
        with self._named():
            data = os.pread(self._file.fileno(), size, place)
            if size and not data:
                raise OSError(errno.EIO, "the file has become shorter")
            return data

    def seek(self, place: int, /) -> int:
        """Go to a place, counted from the beginning."""
        with self._named():
            return self._file.seek(place)

    def flush(self) -> None:
        """Write out what is buffered."""
        with self._named():
            self._file.flush()

    def close(self) -> None:
        """Give the file back. Never raises: on a full disk what is buffered cannot be written, and is not needed."""
        with suppress(OSError):
            self._file.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            code = errno.errorcode.get(error.errno or 0, type(error).__name__)
            what = "is full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "cannot be used"
            raise StorageError(
                f"the folder for temporary files, {self._folder or _place()}, {what} ({code}). Make room there, or set "
                "TMPDIR to a folder with more. A retry goes on with what is done"
            ) from error


def _place() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "TMPDIR"
