"""Keeps a load's input and output apart: a load never replaces what it reads, and no later run reads what it wrote.

Places are resolved before they are compared (links, ``..``, ``file:`` URIs, with or without a connection; on a disk also
folders that are mounted twice, and names that differ only in case where case does not count). Patterns are compared by
what they would match, whether it exists yet or not. Object storage may have more addresses than a connection tells:
there the mark that a load leaves in its folder shows whether a file lies in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsspec.utils import glob_translate

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.files.paths import AnyPath, Location, locate
from airflow_provider_sfbulk.files.storage import SourceFile, is_there, resolved_pattern
from airflow_provider_sfbulk.files.storage_errors import named
from airflow_provider_sfbulk.files.task_folder import MANIFEST, OLD_MANIFEST, RESULT_NAMES


@dataclass(frozen=True)
class Target:
    """A folder that a load writes into.

    :param place: the folder
    :param names: files that it writes there, or may find there from an earlier run and replace
    :param reread: those that a pattern of the source must not match
    """

    place: Location
    names: frozenset[str]
    reread: frozenset[str]

    @classmethod
    def results(cls, path: AnyPath, results_format: str, *, conn_id: str | None) -> Target:
        """The folder of the result files."""
        place = locate(path, conn_id=conn_id, argument="results_path")
        written = frozenset(name for name in RESULT_NAMES if name.endswith(f".{results_format}"))
        return cls(place, RESULT_NAMES | {MANIFEST, OLD_MANIFEST}, written | {MANIFEST})

    @classmethod
    def staging(cls, path: AnyPath, *, conn_id: str | None) -> Target:
        """The folder of the parts that are kept for a retry: each try has its own subfolder."""
        place = locate(path, conn_id=conn_id, argument="staging_path")
        return cls(place, frozenset(), frozenset({"dag.task.run.-1.1/part-00000.csv", "dag.task.run.-1.1/parts.json"}))


def check_apart(sources: Iterable[AnyPath], targets: Sequence[Target], *, conn_id: str | None) -> None:
    """Check paths and patterns, whatever exists now.

    :raises SourceError: naming the file that would be replaced or read again, and the argument
    """
    for source in sources:
        place = locate(source, conn_id=conn_id)
        for target in targets:
            with named("look at", place):
                _check_path(place, target)


def check_files_apart(files: Iterable[SourceFile], targets: Sequence[Target]) -> None:
    """Check existing files, whose names may be links to what is written.

    :raises SourceError: naming the file
    """
    for file in files:
        for target in targets:
            with named("look at", file.place):
                _check_file(file.place, target)


def check_not_beside(files: Iterable[SourceFile], target: Target, mark: str) -> None:
    """Check files in object storage whose address does not tell whether they are in the folder that is written: a storage
    may have several addresses, and a bucket several names. If they are, what was just written lies beside them.

    :param mark: name of the file that was written
    :raises SourceError: naming the file
    """
    for file in files:
        if file.place.is_local:
            continue
        with named("look at", file.place):
            folder, name = _split(file.place.resolved()[2])
            if name in target.names and is_there(file.place.at(f"{folder.lstrip('/')}/{mark}")):
                raise _replaced(file.place, name, target)


def _check_path(place: Location, target: Target) -> None:
    _check_file(place, target)
    pattern = resolved_pattern(place)
    if pattern is None:
        return
    match = re.compile(glob_translate(pattern[2])).match
    for name in sorted(target.reread):
        written = target.place.child(name)
        resolved = (*target.place.resolved()[:2], f"{target.place.resolved()[2].rstrip('/')}/{name}")
        if _is_same_storage(pattern, resolved) and match(resolved[2]):
            what = written.uri if target.names else f"files in {target.place.uri}"
            argument = target.place.argument
            raise SourceError(
                f"source: the pattern {place.uri} also matches {what}, which this load writes because of {argument}: a "
                f"later run would load it again. Choose a {argument} that the pattern does not cover"
            )


def _check_file(place: Location, target: Target) -> None:
    *storage, folder = target.place.resolved()
    for each in (place, place.at(place.path.rstrip("/"))):
        parent, _, name = each.path.rpartition("/")
        by_name = (*each.at(parent or ("/" if each.path.startswith("/") else ".")).resolved(), name)
        itself = each.resolved()
        for *where, inside, name in (by_name, (*itself[:2], *_split(itself[2]))):
            if not _is_same_storage((*where, ""), (*storage, "")):
                continue
            if inside != folder and not (place.is_local and _is_same_file(inside, folder)):
                continue
            last = _written_name(name, inside, target.names) if place.is_local else name
            if last in target.names:
                raise _replaced(place, last, target)


def _replaced(place: Location, name: str, target: Target) -> SourceError:
    argument = target.place.argument
    return SourceError(
        f"source: {place.uri} is {name} in {argument}, which this load would replace: give another {argument}"
    )


def _is_same_storage(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two places are in the same storage; unknown addresses may be the same."""
    return one[0] == other[0] and (one[1] == other[1] or not one[1] or not other[1])


def _is_same_file(one: str, other: str) -> bool:
    """Whether two paths lead to one file or folder: a folder may be mounted twice, and case may not count."""
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def _written_name(name: str, folder: str, written: frozenset[str]) -> str:
    """Return the name under which a file is written that exists in another case."""
    alike = (each for each in written if each.casefold() == name.casefold() and each != name)
    return next((each for each in alike if _is_same_file(f"{folder}/{name}", f"{folder}/{each}")), name)


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder or "/", name
