"""The folder that a task writes into: who owns it, and what in it may be replaced or removed.

==========================  =======================================================================================
``_manifest.json``          names its writer and the files; what it does not name belongs to no extract and no load
``_writing-<…>-<try>.json``  a try that is writing here, and the files that it is about to show or to remove
``manifest.json``           name of ``_manifest.json`` in earlier versions; it names no writer
``_publishing.json``        the files that an earlier version was about to show
==========================  =======================================================================================

A folder belongs to one task. Another task is refused, and so is another map index of the same run: they would remove each
other's files, and both succeed. A later run of the task replaces what is there. Storages have no locks, so each try writes
its own ``_writing-…`` and then looks for those of others: of two that start at the same time, at least one sees the other.

Only files that a manifest or a ``_writing-…`` of this package names, with names in this package's form, are replaced or
removed. Readers of whole folders ignore names that begin with ``_``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import COMPRESSED_ENDS, RESULT_KINDS, FileFormat
from airflow_provider_sfbulk.files.paths import AnyPath, Location, locate
from airflow_provider_sfbulk.files.storage import open_folder

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from airflow_provider_sfbulk.client.results.folder import Output

MANIFEST: Final = "_manifest.json"
OLD_MANIFEST: Final = "manifest.json"
OLD_PUBLISHING: Final = "_publishing.json"

FORMAT_VERSION: Final = 1
"""Version of the manifest's form."""

PART: Final = (
    rf"part-[0-9A-Za-z]{{15,18}}(?:-[0-9a-f]+)?-[0-9]{{5,}}\.(?:{'|'.join(FileFormat)})"
    rf"(?:{'|'.join(map(re.escape, COMPRESSED_ENDS.values()))})?"
)
"""Names of an extract's files; in earlier versions they had no setup."""

RESULT_NAMES: Final = frozenset(f"{kind}.{suffix}" for kind in RESULT_KINDS for suffix in FileFormat)
"""Names of result files."""

_FOLDERS: Final = r"(?:(?:records|deletions)/)?(?:[^/=]+=[^/]*/)*"
"""In which folders they may lie, below the task's: none of them leads out of it."""

_SHOWN: Final = re.compile(rf"{_FOLDERS}{PART}|{'|'.join(map(re.escape, sorted(RESULT_NAMES)))}")
_WRITING: Final = re.compile(r"_writing-[0-9a-f]{16}-[0-9]+\.json")
_LEFTOVER: Final = re.compile(
    rf"(?:{'|'.join(map(re.escape, (MANIFEST, OLD_MANIFEST, OLD_PUBLISHING)))}|{_WRITING.pattern})\.[0-9]+\.part"
)
"""Files that killed processes were writing."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Writer:
    """The task instance that writes into a folder."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int

    @classmethod
    def of(cls, ti: RuntimeTaskInstanceProtocol) -> Writer:
        """Name a task instance."""
        return cls(ti.dag_id, ti.task_id, ti.run_id, -1 if ti.map_index is None else ti.map_index)

    @classmethod
    def read(cls, value: Any) -> Writer | None:
        """Read what :meth:`to_dict` wrote; None for anything else."""
        try:
            return cls(str(value["dag_id"]), str(value["task_id"]), str(value["run_id"]), int(value["map_index"]))
        except (KeyError, TypeError, ValueError):
            return None

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON."""
        return asdict(self)

    def keeps_out(self, other: Writer) -> bool:
        """Whether another one may not write where this one does."""
        if (self.dag_id, self.task_id) != (other.dag_id, other.task_id):
            return True
        return self.run_id == other.run_id and self.map_index != other.map_index

    def __str__(self) -> str:
        mapped = "" if self.map_index < 0 else f", map index {self.map_index}"
        return f"task {self.task_id} of DAG {self.dag_id} (run {self.run_id}{mapped})"


class TaskFolder:
    """One try's view of the folder that its task writes into. Leaving it by an error gives the folder free, unless
    files were being shown: then the next try, or the next run of the task, finishes that.

    :param output: the folder
    :param hidden: the same for files that are not visible yet; private, where the storage has permissions
    :param place: where it is
    :param writer: the task instance
    :param attempt: number of the try
    :ivar mark: name of the file that says who is at work here
    """

    def __init__(self, output: Output, hidden: Output, place: Location, writer: Writer, attempt: int) -> None:
        self.output = output
        self.hidden = hidden
        self.conn_id = place.conn_id
        self.before: set[str] = set()
        """Files that the present manifest names."""
        self.stray: set[str] = set()
        """Files that a try of this task was about to show or remove, but perhaps did not."""
        self._place = place
        self._writer = writer
        digest = hashlib.sha256("\0".join(map(str, asdict(writer).values())).encode()).hexdigest()[:16]
        self.mark = f"_writing-{digest}-{attempt}.json"
        self._of_task: set[str] = set()
        self._has_old_manifest = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None and isinstance(error, Exception) and not isinstance(error, TaskDeferred):
            try:
                if not names_in(_read(self.output.read(self.mark)) or {}):  # else somebody has to finish that
                    self.output.remove(self.mark)
                self.output.remove_if_empty()
            except Exception as trouble:  # it must not replace what went wrong first
                log.warning("%s stays in %s (%s)", self.mark, self._place.uri, type(trouble).__name__)

    def claim(self, *, may_show: Iterable[str] = (), shows: Iterable[str] = ()) -> None:
        """Claim the folder for this try, after checking that it may; this also tests that the folder can be written to.

        :param may_show: names of files that may be replaced later
        :param shows: names of files that appear, or are replaced, from now on
        :raises SourceError: when the folder has another task's files, or files that this package did not write
        """
        there = self._look()
        if foreign := sorted({*may_show} & there.keys() - self.before - self.stray):
            raise SourceError(
                f"{self._place.argument}: {self._place.child(foreign[0]).uri} is there, and no manifest of this package "
                "names it: it would be replaced. Move it away, or write to another folder"
            )
        files = sorted({*shows} | self.stray | (self.before if shows else set()))
        self._write(self.mark, {"files": files})
        try:
            self._check_others(self.output.sizes())
        except SourceError:
            self.output.remove(self.mark)
            raise
        self.output.remove(OLD_PUBLISHING)  # its names are in our own now; and it shows that removing is allowed

    def last_manifest(self) -> Mapping[str, Any] | None:
        """Read the present manifest, also of an earlier version; None when there is none."""
        for name in (MANIFEST, OLD_MANIFEST):
            manifest = _read(self.output.read(name))
            if manifest is not None:
                return manifest
        return None

    def ignores_case(self) -> bool:
        """Whether the storage takes names for one that differ in upper and lower case only, once this try is at work."""
        return self.output.read(self.mark.upper()) is not None

    def claim_for_results(self, results_format: str) -> None:
        """Claim the folder for result files; see :meth:`claim`."""
        self.claim(may_show={f"{kind}.{results_format}" for kind in RESULT_KINDS})

    def finish(self, manifest: Mapping[str, Any]) -> str:
        """Write the manifest.

        :return: its URI
        """
        connection = {} if self.conn_id is None else {"conn_id": self.conn_id}
        return self._write(MANIFEST, {**connection, **manifest})

    def withdraw(self) -> None:
        """Remove the manifest: its files are about to be replaced under the same names."""
        self.output.remove(MANIFEST)
        self._remove_old_manifest()

    def leave(self) -> None:
        """Release the folder: the manifest is written, and what it replaces is gone."""
        self._remove_old_manifest()
        for name in self._of_task:
            self.output.remove(name)
        for name in filter(_LEFTOVER.fullmatch, self.output.sizes()):
            self.output.remove(name)
        self.output.remove(self.mark)

    def _remove_old_manifest(self) -> None:
        if self._has_old_manifest:
            self.output.remove(OLD_MANIFEST)
            self._has_old_manifest = False

    def _look(self) -> dict[str, int]:
        """Read what is in the folder, and who wrote it.

        :raises SourceError: somebody else did
        """
        there = self.output.sizes()
        self.before, self.stray = set(), set()
        if MANIFEST in there and (raw := self.output.read(MANIFEST)) is not None:
            manifest = _read(raw)
            if manifest is None or manifest.get("version") != FORMAT_VERSION:
                raise SourceError(
                    f"{self._place.argument}: {self._place.child(MANIFEST).uri} was not written by this package, or "
                    f"by a later version of it. Write to another folder"
                )
            self._check_writer(Writer.read(manifest.get("writer")), "holds the files of")
            self.before |= names_in(manifest)
        old = _read(self.output.read(OLD_MANIFEST)) if OLD_MANIFEST in there else None
        self._has_old_manifest = old is not None and _is_old(old)
        if old is not None and self._has_old_manifest:
            self.before |= names_in(old)
        self.stray |= self._check_others(there)
        if OLD_PUBLISHING in there:
            self.stray |= names_in(_read(self.output.read(OLD_PUBLISHING)) or {})
        self.stray -= self.before
        return there

    def _check_others(self, there: Iterable[str]) -> set[str]:
        """Read who else is writing here, and return the files that tries of this task were about to show.

        :raises SourceError: when it is another task
        """
        files: set[str] = set()
        for name in filter(_WRITING.fullmatch, there):
            found = _read(self.output.read(name)) or {}
            if name != self.mark:
                self._check_writer(Writer.read(found.get("writer")), "is being written to by", name)
                self._of_task.add(name)
            files |= names_in(found)
        return files

    def _check_writer(self, other: Writer | None, does: str, claim: str | None = None) -> None:
        if other is None or not other.keeps_out(self._writer):
            return
        mapped = (other.dag_id, other.task_id) == (self._writer.dag_id, self._writer.task_id)
        part = "{{ ti.map_index }}" if mapped else self._writer.task_id
        gone = (
            f"its worker died for good, remove {claim}"
            if claim
            else "it no longer exists or was renamed, empty the folder"
        )
        raise SourceError(
            f"{self._place.argument}: {self._place.uri} {does} {other}, and {self._writer} would remove its files. One "
            f"folder is for one task: write to {self._place.airflow_uri.rstrip('/')}/{part} instead. If {gone}"
        )

    def _write(self, name: str, value: Mapping[str, Any]) -> str:
        whole = {"version": FORMAT_VERSION, "writer": self._writer.to_dict(), **value}
        file = self.output.create(name)
        try:
            file.write(json.dumps(whole, indent=1).encode())
            return file.commit()
        except BaseException:
            file.discard()
            raise


def open_task_folder(
    path: AnyPath, ti: RuntimeTaskInstanceProtocol, *, conn_id: str | None, argument: str
) -> TaskFolder:
    """Open the folder that a task writes into.

    :raises SourceError: when the path leads to no folder
    """
    place = locate(path, conn_id=conn_id, argument=argument)
    return TaskFolder(open_folder(place), open_folder(place, private=True), place, Writer.of(ti), ti.try_number)


def names_in(manifest: Mapping[str, Any]) -> set[str]:
    """Read the names of the files that a manifest names; those alone that have a form of this package's."""
    files, deletions = manifest.get("files"), manifest.get("deletions")
    if isinstance(deletions, dict) and isinstance(files, list) and isinstance(deletions.get("files"), list):
        files = [*files, *deletions["files"]]
    named: list[Any] = []
    if isinstance(files, list):
        named = [each.get("name") if isinstance(each, dict) else each for each in files]
    elif isinstance(files, dict):
        named = [uri for uris in files.values() if isinstance(uris, list) for uri in uris]
    bare = (str(each).rpartition("/")[2] if isinstance(files, dict) else each for each in named)
    return {name for name in bare if isinstance(name, str) and _SHOWN.fullmatch(name)}


def _read(raw: bytes | None) -> dict[str, Any] | None:
    try:
        value = json.loads(raw or b"")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _is_old(manifest: Mapping[str, Any]) -> bool:
    """Whether a ``manifest.json`` is an earlier version's, of an extract or of a load."""
    of_extract = manifest.get("version") == FORMAT_VERSION and {"job_id", "files"} <= manifest.keys()
    return of_extract or {"sobject", "operation", "counts", "files", "jobs"} <= manifest.keys()
