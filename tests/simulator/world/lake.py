"""Files that a load reads, as they change under it: touched, put again, one more of the pattern, out of reach."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from airflow_provider_sfbulk.client.errors import StorageError
from airflow_provider_sfbulk.files.paths import Location

PATTERN: Final = "memory://lake/*.csv"


@dataclass
class Lake:
    """What lies under the pattern.

    :param header: of all files
    :param files: rows by path
    :param on_failure: is called when a file cannot be read
    """

    header: str
    files: dict[str, list[str]]
    on_failure: Callable[[], None]
    meet: Callable[[str], None]
    is_away: bool = False
    changes: int = 0

    def find(self) -> list[LakeFile]:
        """List the files, in the order of their names."""
        self._reach()
        return [LakeFile(self, path) for path in sorted(self.files)]

    def named(self, path: str) -> LakeFile:
        """Give a file by its path."""
        return LakeFile(self, path)

    def rows(self, paths: Iterable[str]) -> Counter[str]:
        """Count the rows of some files."""
        return Counter(row for path in paths for row in self.files[path])

    def add(self, rows: Sequence[str]) -> None:
        """Put one more file before the others."""
        self.files[f"lake/0{99 - len(self.files)}.csv"] = list(rows)

    def read(self, path: str) -> io.BytesIO:
        """Open a file."""
        self._reach()
        return io.BytesIO("\n".join([self.header, *self.files[path], ""]).encode())

    def _reach(self) -> None:
        if self.is_away:
            self.on_failure()
            raise StorageError("the storage does not answer")
        try:
            self.meet("open_source")
        except StorageError:
            self.on_failure()
            raise


@dataclass(frozen=True)
class LakeFile:
    """One of them, in place of ``storage.SourceFile``."""

    lake: Lake
    path: str

    @property
    def place(self) -> Location:
        """Where it is."""
        return Location("memory", self.path)

    @property
    def name(self) -> str:
        """Its URI."""
        return self.place.uri

    @property
    def modified(self) -> int:
        """Another number when it was touched."""
        return self.lake.changes

    def size(self) -> int:
        """Give its bytes."""
        return len(self.lake.read(self.path).getvalue())

    def open(self) -> io.BytesIO:
        """Open it."""
        return self.lake.read(self.path)
