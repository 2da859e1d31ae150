"""A folder in memory with faults, in place of the local disk or object storage."""

from __future__ import annotations

import errno
import io
from dataclasses import dataclass

from airflow_provider_sfbulk.client.errors import SourceError
from tests.simulator.faults import OPERATOR_FAULTS
from tests.simulator.operators import expected
from tests.simulator.world.processes import Process, World
from tests.simulator.world.store import Killed

WATCHED = frozenset({"memory://results", "memory://extract"})
"""Where results go: files of their folder have their bare name."""


@dataclass(frozen=True)
class StoredFile:
    """A file to read from, in place of ``storage.SourceFile``."""

    data: bytes

    def open(self) -> io.BytesIO:
        """Open it."""
        return io.BytesIO(self.data)


class Files:
    """What lies in the folder, whoever wrote it."""

    def __init__(self) -> None:
        self.whole: dict[str, bytes] = {}
        self.is_disturbed = False
        """Whether a replaced try has changed anything since the last manifest of the newest."""

    def changed(self, name: str, *, by_newest: bool) -> None:
        """Note who changes something."""
        if "/" in name:
            return  # parts that are kept: each try has a folder of its own
        if not by_newest:
            self.is_disturbed = True
        elif name == "_manifest.json" and name in self.whole:
            self.is_disturbed = False


class Folder:
    """One process's view of a folder: an ``Output``.

    :param path: ``memory://results`` and ``memory://extract`` are the one folder that is watched
    """

    def __init__(self, path: str, files: Files, process: Process, world: World) -> None:
        self._prefix = "" if path in WATCHED else f"{path}/"
        self._files, self._process, self._world = files, process, world

    def stored(self, path: str) -> StoredFile:
        """Give a file that is there, to be read."""
        if path not in self._files.whole:
            raise SourceError(f"there is no file {path}")
        return StoredFile(self._files.whole[path])

    def create(self, name: str, /) -> File:
        """Begin a file."""
        self.meet("create_file")
        return File(self, self._prefix + name, self._files, self._process, self._world)

    def read(self, name: str, /) -> bytes | None:
        """Read a file whole."""
        self.meet("read_file")
        return self._files.whole.get(self._prefix + name)

    def remove(self, name: str, /) -> None:
        """Remove a file."""
        fault = self.meet("remove_file")
        name = self._prefix + name
        if self._files.whole.pop(name, None) is not None:
            self._files.changed(name, by_newest=self._world.is_newest(self._process.number))
        self._world.files_changed()
        if fault == "kill_after":
            raise Killed

    def open(self, name: str, /) -> io.BytesIO:
        """Open a file for reading."""
        self.meet("read_file")
        return io.BytesIO(self._files.whole[self._prefix + name])

    def sizes(self, inside: str = "", /) -> dict[str, int]:
        """List the files of this folder, or of one in it."""
        self.meet("read_file")
        prefix = f"{self._prefix}{inside}/" if inside else self._prefix
        there = ((name[len(prefix) :], data) for name, data in self._files.whole.items() if name.startswith(prefix))
        return {name: len(data) for name, data in there if "/" not in name}

    def rename(self, name: str, new: str, /) -> None:
        """Give a file another name."""
        fault = self.meet("commit_file")
        name, new = self._prefix + name, self._prefix + new
        if name not in self._files.whole:
            raise FileNotFoundError(name)
        self._files.whole[new] = self._files.whole.pop(name)
        self._files.changed(new, by_newest=self._world.is_newest(self._process.number))
        self._world.files_changed()
        if fault == "kill_after":
            raise Killed
        if fault == "error_applied":
            raise OSError(errno.EIO, "the storage does not answer")

    def remove_if_empty(self) -> None:
        """Do nothing: there are no folders."""

    def uri(self, name: str, /) -> str:
        """Give a file's URI."""
        return f"memory://{self._prefix}{name}"

    def meet(self, what: str) -> str | None:
        """Give the baton back before an effect, and meet the faults that are alike for all."""
        fault = self._world.fault(what, OPERATOR_FAULTS[what], self._process.number)
        if fault == "kill_before":
            raise Killed
        if fault == "freeze":
            self._world.freeze(self._process.number)
        if fault == "error":
            raise OSError(errno.EIO, "the storage does not answer")
        return fault


class File:
    """A file that is being written."""

    def __init__(self, folder: Folder, name: str, files: Files, process: Process, world: World) -> None:
        self._folder, self._name, self._files, self._process, self._world = folder, name, files, process, world
        self._pieces: list[bytes] = []
        process.open_files.add(self)

    def write(self, data: bytes, /) -> int:
        """Take the next bytes. Called from within Arrow, too, so that no other process goes on here."""
        if self._process.is_dead:
            raise Killed
        if self._world.fault_here("write_file", self._process.number):
            raise OSError(errno.ENOSPC, "no space left")
        self._pieces.append(bytes(data))
        return len(data)

    def commit(self) -> str:
        """Make it visible."""
        fault = self._folder.meet("commit_file")
        self._files.whole[self._name] = b"".join(self._pieces)
        self._files.changed(self._name, by_newest=self._world.is_newest(self._process.number))
        self._process.open_files.discard(self)
        self._world.files_changed()
        if fault == "kill_after":
            raise Killed
        if fault == "error_applied":
            self._files.is_disturbed |= self._name == "_manifest.json" and not expected.FOLDER_IS_GUARDED
            raise OSError(errno.EIO, "the storage does not answer")
        return f"memory://{self._name}"

    def discard(self) -> None:
        """Drop it. A dead process drops nothing."""
        if not self._process.is_dead:
            self._process.open_files.discard(self)

    def __repr__(self) -> str:
        return self._name
