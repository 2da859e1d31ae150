"""Rows that share a key with another row, found in little memory however many rows there are.

Each row's key is a digest of 128 bits. The digests are sorted a share at a time; with a hundred million rows, a share
has 38 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.load.digests import DigestFile, Digests, runs, shares

Numbers: TypeAlias = NDArray[np.int64]


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
        self._file = DigestFile()

    def add(self, digests: Digests, rows: Numbers) -> None:
        """Take the keys of rows; zeros are of rows without one."""
        self._file.add(digests, rows)

    def sharing(self) -> Iterator[Sharing]:
        """Yield the rows that share their key with another, some keys at a time."""
        for (keys,) in shares([self._file]):
            order, same = runs(keys.digests)
            is_later = np.concatenate((np.zeros(min(1, len(order)), np.bool_), same))
            shared = is_later | np.concatenate((same, np.zeros(min(1, len(order)), np.bool_)))
            if shared.any():
                yield Sharing(keys.rows[order[shared]], is_later[shared])

    def close(self) -> None:
        """Release the file."""
        self._file.close()
