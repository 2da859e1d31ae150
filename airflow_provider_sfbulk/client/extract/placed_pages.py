"""Pages with the folder of each row: hidden Arrow files, from which the files of an extract are made.

Such a page is verified and kept like any other page. Its rows are decoded once, and the first column is the folder of
the row. The code that writes the final files reads batch after batch and needs nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, cast

import pyarrow as pa

from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.errors import StorageError
from airflow_provider_sfbulk.client.extract.folders import MOST_FOLDERS, Folders, too_many_folders
from airflow_provider_sfbulk.client.extract.layout import Layout
from airflow_provider_sfbulk.client.models import FileFormat
from airflow_provider_sfbulk.client.results.downloads import RowsFilePage
from airflow_provider_sfbulk.client.results.folder import Output
from airflow_provider_sfbulk.client.results.schema import ColumnType
from airflow_provider_sfbulk.client.results.typed import insert_column, with_nulls
from airflow_provider_sfbulk.client.results.writers import ArrowRows, ByteFile
from airflow_provider_sfbulk.client.values.text_arrow import Array

if TYPE_CHECKING:
    import io

_FOLDER: Final = "(folder)"
"""The first column of a page. No field is called so."""


class PlacedPage(RowsFilePage):
    """A page into a file of rows with their folders.

    :param layout: what decides on the folders
    """

    def __init__(
        self,
        output: Output,
        name: str,
        dialect: Dialect,
        types: Sequence[ColumnType] = (),
        *,
        layout: Layout,
        null_columns: Sequence[ColumnType] = (),
    ) -> None:
        super().__init__(output, name, dialect, FileFormat.PARQUET, types, null_columns=null_columns)
        self._make_writer = _with_folders
        self._layout = layout
        self._folders: Folders | None = None
        self.counts: Counter[str] = Counter()
        """Rows of the page by folder."""

    def _begin_rows(self, schema: pa.Schema) -> None:
        self._folders = Folders(self._layout, schema)
        self.counts = Counter()
        super()._begin_rows(schema)

    def _rows(self, batch: pa.RecordBatch) -> None:
        if self._writer is None or self._folders is None:
            return
        folders = self._folders.of(batch)
        self.counts += counted(folders)
        if len(self.counts) > MOST_FOLDERS:
            raise too_many_folders()
        rows = batch if self._schema is None else with_nulls(batch, self._schema)
        self._writer.write(insert_column(rows, 0, _FOLDER, folders))


def _with_folders(file: ByteFile, schema: pa.Schema) -> ArrowRows:
    return ArrowRows(file, schema.insert(0, pa.field(_FOLDER, pa.string())))


def counted(folders: Array) -> Counter[str]:
    """Count rows by folder."""
    return Counter({each["values"]: each["counts"] for each in folders.value_counts().to_pylist()})


class PlacedRows:
    """The rows of such a page, read batch after batch.

    :param file: the page's, closed by :meth:`close`
    :param name: of the file, for messages
    :raises StorageError: it is not as it was written; so does reading on
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        with self._as_written():
            self._batches = pa.ipc.open_stream(pa.PythonFile(cast("io.IOBase", file), mode="r"))
        self.schema = self._batches.schema.remove(0)
        """The columns of the rows."""

    def __iter__(self) -> Iterator[tuple[Array, pa.RecordBatch]]:
        """Yield the folders of some rows, and the rows."""
        with self._as_written():
            for batch in self._batches:
                yield batch.column(0), batch.select(list(range(1, batch.num_columns)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _as_written(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowInvalid, OSError) as error:
            raise StorageError(
                f"{self._name} has changed since it was written ({type(error).__name__}): delete it to read its page again"
            ) from None
