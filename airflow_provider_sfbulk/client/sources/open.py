"""Any source of rows as a stream of encoded records: what callers of this folder use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, Final, TypeVar

import pyarrow as pa

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import SOURCE_FORMATS
from airflow_provider_sfbulk.client.parts.stream import DELETES, Block, Nulls, RecordStream, Rules
from airflow_provider_sfbulk.client.sources.arrow import (
    from_arrow,
    from_frame,
    from_frames,
    from_parquet,
    from_polars,
    polars_batches,
)
from airflow_provider_sfbulk.client.sources.compression import OpenBinary
from airflow_provider_sfbulk.client.sources.csv_source import from_csv
from airflow_provider_sfbulk.client.sources.jsonl import from_jsonl
from airflow_provider_sfbulk.client.sources.rows import from_dicts, from_ids, from_tuples

__all__ = [
    "READERS",
    "Block",
    "Nulls",
    "RecordStream",
    "Rules",
    "from_arrow",
    "from_csv",
    "from_dicts",
    "from_file",
    "from_frame",
    "from_frames",
    "from_ids",
    "from_jsonl",
    "from_parquet",
    "from_polars",
    "from_source",
    "from_tuples",
    "source_format_of",
]

_NOTHING: Final = object()

T = TypeVar("T")

READERS: Final[Mapping[str, Callable[..., RecordStream]]] = {
    "csv": from_csv,
    "jsonl": from_jsonl,
    "parquet": from_parquet,
}
"""What reads the files of each format, without its compression."""


def source_format_of(name: str) -> str:
    """Return a file's format by its name: the longest suffix that is one of ``SOURCE_FORMATS``, in any case.

    :param name: path, URI or file name
    :raises SourceError: when it has none of the suffixes
    """
    lower = PurePosixPath(name).name.casefold()
    for each in sorted(SOURCE_FORMATS, key=len, reverse=True):
        if lower.endswith(f".{each}"):
            return each
    known = ", ".join(f".{each}" for each in SOURCE_FORMATS)
    raise SourceError(f"{name}: the name does not show the format, as it ends with none of {known}: set source_format")


def from_file(open_binary: OpenBinary, rules: Rules, *, name: str, source_format: str | None = None) -> RecordStream:
    """Make a stream of a file.

    :param source_format: one of ``SOURCE_FORMATS``; None = by the name
    :raises SourceError: for an unknown format, and as the format's own function
    """
    chosen = source_format or source_format_of(name)
    if chosen not in SOURCE_FORMATS:
        raise SourceError(f"source_format must be one of {', '.join(SOURCE_FORMATS)}, not {chosen!r:.40}")
    kind, _, compression = chosen.partition(".")
    return READERS[kind](open_binary, rules, name=name, **({"compression": compression} if compression else {}))


def from_source(
    source: Any,
    rules: Rules,
    *,
    name: str,
    open_binary: OpenBinary | None = None,
    source_format: str | None = None,
) -> RecordStream:
    """Make a stream from any source.

    With ``open_binary`` a file; else mappings, bare ids (delete and hardDelete), a pandas or polars frame, an Arrow
    table, or an iterable of mappings, ids, record batches or pandas frames.

    :raises SourceError: for a source of another kind, and as the kind's own function
    """
    if open_binary is not None:
        return from_file(open_binary, rules, name=name, source_format=source_format)
    if isinstance(source, pa.Table):
        return from_arrow(source, rules, name=name)
    if isinstance(source, pa.RecordBatch):
        return from_arrow(pa.Table.from_batches([source]), rules, name=name)
    library = type(source).__module__.partition(".")[0]  # so that neither pandas nor polars is imported for it
    if library == "pandas" and type(source).__name__ == "DataFrame":
        return from_frame(source, rules, name=name)
    if library == "polars" and type(source).__name__ == "DataFrame":
        return from_polars(source, rules, name=name)
    if isinstance(source, (str, bytes, Mapping)) or not isinstance(source, Iterable):
        raise SourceError(
            f"{name}: a {type(source).__name__} is not a source of records: pass a list of dicts, a DataFrame, an Arrow "
            "table, or an iterable of dicts or record batches"
        )
    return _from_iterable(source, rules, name)


def _from_iterable(source: Iterable[Any], rules: Rules, name: str) -> RecordStream:
    if isinstance(source, (list, tuple)):
        first: Any = source[0] if source else _NOTHING
        rows: Iterable[Any] = source
    else:
        iterator = iter(source)
        first = next(iterator, _NOTHING)
        rows = iterator if first is _NOTHING else chain((first,), iterator)
    if isinstance(first, str) or (first is None and rules.operation in DELETES):
        return from_ids(rows, rules, name=name)
    library, kind = type(first).__module__.partition(".")[0], type(first).__name__
    if isinstance(first, pa.RecordBatch):
        return from_arrow(_alike(rows, type(first), name), rules, name=name)
    if isinstance(first, pa.Table):
        batches = (batch for table in _alike(rows, type(first), name) for batch in table.to_batches())
        return from_arrow(batches, rules, name=name)
    if (library, kind) == ("pandas", "DataFrame"):
        return from_frames(_alike(rows, type(first), name), rules, name=name)
    if (library, kind) == ("polars", "DataFrame"):
        return from_arrow(polars_batches(_alike(rows, type(first), name), name=name), rules, name=name)
    return from_dicts(rows, rules, name=name)


def _alike(items: Iterable[T], kind: type, name: str) -> Iterator[T]:
    """Yield items, all of which must be of the first one's type."""
    for number, each in enumerate(items, start=1):
        if not isinstance(each, kind):
            raise SourceError(
                f"{name}: item {number} is a {type(each).__name__}, but the first is a {kind.__name__}: all must be "
                "of one kind"
            )
        yield each
