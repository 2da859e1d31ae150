"""Parts kept in object storage until their load is done, for sources that cannot be read again identically."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Body
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, LineEnding
from airflow_provider_sfbulk.client.parts.split import CONTENT_TYPE, Part, Spool
from airflow_provider_sfbulk.client.parts.temporary import mount_type
from airflow_provider_sfbulk.files.paths import AnyPath, locate
from airflow_provider_sfbulk.files.storage import SourceFile, open_folder

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

INDEX: Final = "parts.json"
"""Name of the list of parts so far. The ledger knows whether these are all."""

_POD: Final = "AIRFLOW_IS_K8S_EXECUTOR_POD"
"""Set by KubernetesExecutor in its pods: each try has its own pod. (Airflow's pod generator.)"""

_OWN_TO_A_CONTAINER: Final = frozenset({"overlay", "tmpfs", "ramfs"})
"""Types of file systems that no other pod sees. For other types a pod cannot know."""

_LONGEST_NAME: Final = 200
"""Longest folder name, in bytes, that is not shortened. Most file systems allow 255."""

_CHUNK_BYTES: Final = 1024 * 1024


class Staging:
    """The folder of the parts that one try has uploaded.

    A replaced try that wakes up writes into its own folder.

    :param path: ``staging_path``; each try has its own subfolder
    :param attempt: number of the try
    """

    def __init__(
        self,
        path: AnyPath,
        ti: RuntimeTaskInstanceProtocol,
        attempt: int,
        *,
        conn_id: str | None,
    ) -> None:
        names = (ti.dag_id, ti.task_id, ti.run_id, str(ti.map_index), str(attempt))
        root = self._root = locate(path, conn_id=conn_id, argument="staging_path")
        self._folder = root.child(_folder_name(".".join(quote(name, safe="") for name in names)))
        self._output = open_folder(self._folder, private=True)

    def begin(self) -> None:
        """Check that parts can be kept here, before anything is read.

        :raises SourceError: they would be gone when a retry looks for them
        """
        if os.environ.get(_POD) and self._root.is_local and mount_type(self._root.path) in _OWN_TO_A_CONTAINER:
            raise SourceError(
                f"staging_path: {self._root.uri} is visible only in this pod, and a retry runs in another one. Use a "
                "folder in object storage, or in a volume that all pods mount"
            )
        self._write(INDEX, (b"[]",))

    def keep(self, parts: Iterator[Part]) -> Iterator[Part]:
        """Pass parts on, each after it is stored completely."""
        index: list[dict[str, Any]] = []
        for part in parts:
            try:
                self._write(_name(part.number), part.body.chunks())
                index.append(_entry(part))
                self._write(INDEX, (json.dumps(index).encode(),))
            except BaseException:
                part.close()
                raise
            yield part

    def read(self) -> Generator[Part] | None:
        """Return the parts that are kept; None when there are none."""
        index = self._index()
        return None if index is None else (self._part(number, entry) for number, entry in enumerate(index))

    def remove(self) -> None:
        """Remove what is kept."""
        index = self._index() or []
        self._output.remove(INDEX)
        for number in range(len(index) + 1):  # one may have been written but not named
            self._output.remove(_name(number))
        self._output.remove_if_empty()

    def _write(self, name: str, chunks: Iterable[bytes]) -> None:
        file = self._output.create(name)
        try:
            for chunk in chunks:
                file.write(chunk)
            file.commit()
        except BaseException:
            file.discard()
            raise

    def _index(self) -> list[dict[str, Any]] | None:
        data = self._output.read(INDEX)
        return None if data is None else list(json.loads(data))

    def _part(self, number: int, entry: dict[str, Any]) -> Part:
        def chunks() -> Iterator[bytes]:
            with SourceFile(self._folder.child(_name(number))).open() as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk

        return Part(
            number=number,
            first_row=entry["first_row"],
            records=entry["records"],
            length=entry["length"],
            sha256=entry["sha256"],
            body=Body(chunks, entry["length"], CONTENT_TYPE),
            dialect=Dialect(ColumnDelimiter(entry["column_delimiter"]), LineEnding(entry["line_ending"])),
            spool=Spool(),
        )


def _entry(part: Part) -> dict[str, Any]:
    return {
        "first_row": part.first_row,
        "records": part.records,
        "length": part.length,
        "sha256": part.sha256,
        "column_delimiter": str(part.dialect.column_delimiter),
        "line_ending": str(part.dialect.line_ending),
    }


def _folder_name(name: str) -> str:
    """Shorten a name that is too long for file systems."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:150]}.{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def _name(number: int) -> str:
    return f"part-{number:05d}.csv"
