"""Rows into a file of the command: it appears when all of them are in it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import FileFormat


def write_rows(path: Path, rows: Any, kind: FileFormat = FileFormat.CSV) -> None:
    """Write rows.

    :param rows: dicts; for Parquet the result of a query
    :raises SourceError: the file cannot be written
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        if kind is FileFormat.PARQUET:
            rows.to_df().to_parquet(unfinished)
        else:
            with unfinished.open("w", encoding="utf-8", newline="") as file:
                _write_csv(file, rows) if kind is FileFormat.CSV else _write_lines(file, rows)
        unfinished.replace(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _write_csv(file: Any, rows: Iterable[Mapping[str, Any]]) -> None:
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)


def _write_lines(file: Any, rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        file.write(json.dumps(row, default=str, ensure_ascii=False) + "\n")
