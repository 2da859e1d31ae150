"""Temporary files without a name: only this process can read them, and they end with it, also when it is killed.

They are in the folder that ``TMPDIR`` names. If it is not set and the system's folder is in memory, like ``/tmp`` on
many distributions, they are in ``/var/tmp`` if that is on a disk: otherwise the parts of a load would take some 400 MB
of a worker's memory.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Final

from airflow_provider_sfbulk.client.errors import Remedy, StorageError

_DISK: Final = Path("/var/tmp")  # noqa: S108 - files there have no name
_MOUNTS: Final = Path("/proc/self/mounts")
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


class TemporaryFile:
    """A temporary file whose errors are this package's.

    :param memory_bytes: bytes held in memory before there is a file; None = a file from the beginning
    :param folder: folder of a file from the beginning; None = the system's folder for temporary files
    """

    def __init__(self, memory_bytes: int | None = None, *, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder = folder or _usual_folder()
        with self._named():
            self._file: IO[bytes]
            if memory_bytes is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed by close()
            else:
                self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
                    memory_bytes, dir=None if self._folder is None else os.fspath(self._folder)
                )

    def write(self, data: bytes | memoryview, /) -> int:
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
        """Close the file. Never raises: on a full disk the buffer cannot be written, and is not needed."""
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
                f"the folder for temporary files, {self._folder or 'TMPDIR'}, {what} ({code}). Free space there, or set "
                "TMPDIR to a folder with more space",
                remedy=Remedy.GO_ON,
            ) from error


def folder() -> str:
    """Return the folder for temporary files.

    :raises StorageError: when the system has none that can be written to
    """
    found = _usual_folder()
    if found is None:
        raise StorageError("there is no folder for temporary files that can be written to: set TMPDIR to one")
    return found


def _usual_folder() -> str | None:
    try:
        usual = tempfile.gettempdir()
    except OSError:
        return None
    if any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")):
        return usual
    disk = os.fspath(_DISK)
    in_memory = [_is_memory(each, _MOUNTS) for each in (usual, disk)]
    return disk if in_memory == [True, False] and os.access(disk, os.W_OK | os.X_OK) else usual


@lru_cache(maxsize=8)  # asked for each temporary file
def _is_memory(folder: str, mounts: Path) -> bool:
    return _type_at(folder, mounts) in _IN_MEMORY


def mount_type(folder: str | os.PathLike[str]) -> str | None:
    """Return the type of a folder's file system, such as ``ext4``; None when the system does not say."""
    return _type_at(folder, _MOUNTS)


def _type_at(folder: str | os.PathLike[str], mounts: Path) -> str | None:
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    real = Path(folder).resolve()
    # device, mount point, type, …; of several mounts at one point the last one counts
    points = [(Path(fields[1]), fields[2]) for line in lines if len(fields := line.split()) > 2]
    around = [
        (len(point.parts), order, kind) for order, (point, kind) in enumerate(points) if real.is_relative_to(point)
    ]
    return max(around)[2] if around else None
