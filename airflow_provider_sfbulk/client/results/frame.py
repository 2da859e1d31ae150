"""Arrow batches into a pandas DataFrame.

Columns are Arrow-backed (``pandas.ArrowDtype``), not numpy-nullable: decimals stay exact, integers with nulls stay
integers, dates are dates, null is ``<NA>`` in every column, and a result without rows still has its types. A numpy
column would need Python objects for decimals and dates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd


def data_frame(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pd.DataFrame:
    """Return all rows as one DataFrame, with ``schema``'s types even if there are none. It holds them all in memory."""
    import pandas as pd  # noqa: PLC0415 - most of a second, in every process that parses a DAG

    frame: pd.DataFrame = pa.Table.from_batches(list(batches), schema).to_pandas(types_mapper=pd.ArrowDtype)
    return frame
