"""Rows that share a key with another row, found in little memory however many rows there are.

Each row's key is a digest of 128 bits, written with the row's number into one of some temporary files, which the digest
chooses: equal keys are in one file. At the end each file is sorted by itself. Of a hundred million rows a file has 75 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.load.digests import Digests
from airflow_provider_sfbulk.client.parts.temporary import TemporaryFile

Numbers: TypeAlias = NDArray[np.int64]

FILES: Final = 32
_MEMORY_BYTES: Final = 128 * 1024
_FIELDS: Final = 3
"""Two halves of the digest, and the row's number."""


@dataclass(frozen=True)
class Sharing:
    """Rows that share their key, those of one key together.

    :param rows: numbers in the input, ascending within a key
    :param is_later: whether a row before has the same key
    """

    rows: Numbers
    is_later: NDArray[np.bool_]


class Keys:
    """The keys of all rows."""

    def __init__(self) -> None:
        self._files: dict[int, TemporaryFile] = {}

    def add(self, digests: Digests, rows: Numbers) -> None:
        """Take the keys of rows; zeros are of rows without one."""
        there = np.flatnonzero((digests != 0).any(axis=1))
        entries = np.column_stack((digests[there], rows[there].astype(np.uint64)))
        places = entries[:, 0] % np.uint64(FILES)
        for place in np.unique(places).tolist():
            if place not in self._files:
                self._files[place] = TemporaryFile(_MEMORY_BYTES)
            self._files[place].write(np.ascontiguousarray(entries[places == place]).tobytes())

    def sharing(self) -> Iterator[Sharing]:
        """Give the rows that share their key with another, some keys at a time."""
        for file in self._files.values():
            file.seek(0)
            entries: NDArray[Any] = np.frombuffer(file.read(), np.uint64).reshape(-1, _FIELDS)
            order = np.lexsort((entries[:, 2], entries[:, 1], entries[:, 0]))
            entries = entries[order]
            same = (entries[1:, :2] == entries[:-1, :2]).all(axis=1)
            is_later = np.concatenate((np.zeros(min(1, len(entries)), np.bool_), same))
            shares = is_later | np.concatenate((same, np.zeros(min(1, len(entries)), np.bool_)))
            if shares.any():
                yield Sharing(entries[shares, 2].astype(np.int64), is_later[shares])

    def close(self) -> None:
        """Give the files back."""
        for file in self._files.values():
            file.close()
