"""Arrow arrays of few texts and of booleans, and what is in the latter, without pandas.

pyarrow imports pandas with the first Python value that it is given to convert, and with the first array that numpy is to
have from it (seen with pyarrow 26): 0.4 s of a processor and 45 MB of every task. A load of a few rows is done before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FEW: Final = 512
"""Values of a column that are turned into text one by one: up to here that is quicker than to import pandas, by far."""

FEW_IN_ALL: Final = 100_000
"""Values of all columns and batches that are: for more, which wide rows have in small batches, the import pays."""


def few_strings(texts: Sequence[str | None]) -> Any:
    """Make an array of strings.

    :raises UnicodeEncodeError: for a text that UTF-8 has no bytes for
    """
    encoded = [b"" if text is None else text.encode() for text in texts]
    offsets = np.fromiter(accumulate(map(len, encoded), initial=0), np.int32, len(encoded) + 1)
    is_valid = np.packbits(np.fromiter((text is not None for text in texts), np.bool_, len(texts)), bitorder="little")
    buffers: list[pa.Buffer | None] = [
        pa.py_buffer(each) for each in (is_valid.tobytes(), offsets.tobytes(), b"".join(encoded))
    ]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


@lru_cache
def literal(text: str | bytes) -> Any:
    """Make a scalar of a text that is in the code."""
    return few_strings((text,))[0] if isinstance(text, str) else literal(text.decode()).cast(pa.binary())


def booleans(mask: NDArray[np.bool_]) -> Any:
    """Make an array of booleans."""
    return pa.Array.from_buffers(
        pa.bool_(), len(mask), [None, pa.py_buffer(np.packbits(mask, bitorder="little").tobytes())]
    )


def where_true(array: Any) -> NDArray[np.intp]:
    """Return the places, from 0, of what is true in an array of booleans without nulls."""
    if not len(array):  # which may be without buffers
        return np.zeros(0, np.intp)
    bits = np.frombuffer(array.buffers()[1], np.uint8)
    return np.flatnonzero(np.unpackbits(bits, bitorder="little")[array.offset : array.offset + len(array)])
