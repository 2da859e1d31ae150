"""Records that are sent again keep their bytes and their numbers, in whatever order they go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.load import resend
from airflow_provider_sfbulk.client.load.resend import RowsToResend
from airflow_provider_sfbulk.client.parts.stream import Block

BIG = 10**9


@given(st.data(), st.integers(0, 40), st.sampled_from([None, "Parent__c"]), st.integers(1, 9), st.integers(1, 60))
def test_records_go_again_as_they_were(
    data: st.DataObject, count: int, sort_by: str | None, looked_up: int, chunk_bytes: int
) -> None:
    parents = data.draw(st.lists(st.sampled_from("abc"), min_size=count, max_size=count))
    records = [f'{number},{parent},"x\n{"y" * (number % 7)}"\n'.encode() for number, parent in enumerate(parents)]
    cut = data.draw(st.integers(0, count))
    rows = RowsToResend()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(resend, "_LOOKED_UP", looked_up)
        patched.setattr(resend, "_CHUNK_BYTES", chunk_bytes)
        for start, piece in ((0, records[:cut]), (cut, records[cut:])):
            numbers = np.arange(start, start + len(piece)) + 100
            rows.add(["Key__c", "Parent__c", "Text__c"], Dialect(), [Block(b"".join(piece), len(piece))], numbers)
        assert rows.records == count
        parts = list(rows.parts(max_bytes=BIG, max_records=7, sort_by=sort_by))
        order = sorted(range(count), key=lambda each: parents[each]) if sort_by else list(range(count))
        sent = [part.part.data.split(b"\n", 1)[1] for part in parts]
        assert b"".join(sent) == b"".join(records[place] for place in order)
        found = [number for part in parts for number in part.numbers_at(np.arange(part.part.records)).tolist()]
        assert found == [place + 100 for place in order]
        for part in parts:
            part.part.close()
        rows.close()
