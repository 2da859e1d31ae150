"""Parts: nothing lost, nothing changed, every part within its limits, always the same."""

from __future__ import annotations

import hashlib
import io
import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Body
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, LineEnding
from airflow_provider_sfbulk.client.parts import split as parts_module
from airflow_provider_sfbulk.client.parts.split import MEMORY_BYTES, Part, split, split_again
from airflow_provider_sfbulk.client.parts.stream import Block, RecordStream, Rules
from airflow_provider_sfbulk.client.sources.csv_source import from_csv
from tests.client.sources.witness import parse, write

VALUE = st.text(st.sampled_from('ab,;|"\n\r \u2028é😀'), max_size=8)
ROWS = st.lists(st.lists(VALUE, min_size=2, max_size=2), max_size=12)


def stream_of(rows: list[list[str]], cuts: list[int] | None = None, dialect: Dialect | None = None) -> RecordStream:
    """A stream of these records in blocks of ``cuts`` records."""
    dialect = dialect or Dialect()

    def blocks(_: object) -> Iterator[Block]:
        rest, turn = rows, 0
        while rest:
            size = (cuts or [len(rows)])[turn % len(cuts or [1])]
            block, rest = rest[:size], rest[size:]
            turn += 1
            yield Block(write(block, delimiter=dialect.delimiter, newline=dialect.newline), len(block))

    return RecordStream(["A", "B"], dialect, blocks, name="rows")


def body_of(part: Part) -> bytes:
    return b"".join(part.body.chunks())


@given(
    rows=ROWS,
    cuts=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    max_bytes=st.integers(5, 120),
    max_records=st.integers(1, 5),
    delimiter=st.sampled_from(ColumnDelimiter),
    ending=st.sampled_from(LineEnding),
)
@pytest.mark.parity("I4.11", "G9.10", "G16.3")
def test_parts_together_are_the_records(
    rows: list[list[str]],
    cuts: list[int],
    max_bytes: int,
    max_records: int,
    delimiter: ColumnDelimiter,
    ending: LineEnding,
) -> None:
    dialect = Dialect(delimiter, ending)
    header = write([["A", "B"]], delimiter=dialect.delimiter, newline=dialect.newline)
    sizes = [len(write([row], delimiter=dialect.delimiter, newline=dialect.newline)) for row in rows]
    found: list[Part] = []
    row = 1
    try:
        for part in split(stream_of(rows, cuts, dialect), max_bytes=max_bytes, max_records=max_records):
            data = body_of(part)
            assert data == body_of(part)  # it opens again
            assert data.startswith(header)
            assert (part.number, part.first_row) == (len(found), row)
            assert part.length == part.body.length == len(data) <= max_bytes
            assert part.sha256 == hashlib.sha256(data).hexdigest()
            read = parse(data, dialect.delimiter)[1:]
            assert read == rows[row - 1 : row - 1 + part.records]
            assert 1 <= part.records <= max_records
            row += part.records
            found.append(part)
            # greedy: the next record would not have fitted
            if row <= len(rows) and part.records < max_records:
                assert len(data) + sizes[row - 1] > max_bytes
    except SourceError as error:
        assert f"row {row}: the record and the header" in str(error) or len(header) >= max_bytes  # noqa: PT017
        assert len(header) + max(sizes, default=0) > max_bytes or len(header) >= max_bytes
    else:
        assert row == len(rows) + 1
        again = split(stream_of(rows, None, dialect), max_bytes=max_bytes, max_records=max_records)
        assert [part.sha256 for part in again] == [part.sha256 for part in found]


def test_no_records_make_no_part() -> None:
    assert list(split(stream_of([]))) == []
    assert list(split(RecordStream([], Dialect(), lambda _: iter(()), name="rows"))) == []


def test_a_part_never_has_more_than_the_default_limits() -> None:
    (part,) = split(stream_of([["1", "2"]]))
    assert (part.records, body_of(part)) == (1, b"A,B\n1,2\n")
    assert part.body.content_type == "text/csv; charset=UTF-8"
    assert limits.PART_BYTES * 4 / 3 < limits.UPLOAD_BASE64_BYTES


def test_a_record_larger_than_a_part_is_told_by_its_number() -> None:
    parts = split(stream_of([["1", "2"], ["x" * 50, ""]]), max_bytes=40)
    next(parts)
    with pytest.raises(
        SourceError, match=r"rows: row 2: the record and the header line are longer than a part may be \(40 bytes"
    ):
        next(parts)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_bytes": 4}, "part_bytes is 4, but the header line"),
        ({"max_records": 0}, "part_records must be at least 1, not 0"),
    ],
)
def test_limits_that_nothing_fits_in_are_refused(limit: dict[str, int], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        list(split(stream_of([["1", "2"]]), **limit))


def big_stream(blocks: int) -> RecordStream:
    data = b"x" * 1022 + b",\n"
    return RecordStream(["A", "B"], Dialect(), lambda _: (Block(data * 1024, 1024) for _ in range(blocks)), name="rows")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208


def test_a_large_part_lies_in_a_nameless_file_until_it_is_closed(tmp_path: Path) -> None:
    before = open_files()
    big, small = split(big_stream(7), max_bytes=6 * 1024 * 1024, spool_folder=tmp_path)
    assert (big.length > MEMORY_BYTES, small.length < MEMORY_BYTES) == (True, True)
    assert list(tmp_path.iterdir()) == []
    assert open_files() in {before + 1, 0}
    one, two = big.body.chunks(), big.body.chunks()
    first = next(iter(one))
    assert b"".join(two) == first + b"".join(one)
    assert hashlib.sha256(body_of(big)).hexdigest() == big.sha256
    for part in (big, small):
        part.close()
        part.close()
        with pytest.raises(ValueError, match="closed"):
            body_of(part)
    assert open_files() == before


@pytest.mark.parametrize("how", ["closed", "failed"])
def test_an_unfinished_part_leaves_nothing(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(parts_module.Spool):
        def close(self) -> None:
            closed.append(self.length)
            super().close()

    closed: list[int] = []
    monkeypatch.setattr(parts_module, "Spool", Watched)
    before = open_files()

    def blocks(_: object) -> Iterator[Block]:
        yield from big_stream(6).blocks()
        if how == "failed":
            raise SourceError("row 6145: broken")
        yield from big_stream(6).blocks()
        yield from big_stream(6).blocks()

    parts = split(RecordStream(["A", "B"], Dialect(), blocks, name="rows"), max_bytes=11 * 1024 * 1024)
    if how == "failed":
        with pytest.raises(SourceError, match="row 6145"):
            list(parts)
        assert len(closed) == 1
    else:
        first = next(parts)
        parts.close()  # type: ignore[attr-defined]
        first.close()
    assert open_files() == before


def test_memory_does_not_grow_with_the_part(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        for part in split(big_stream(40), spool_folder=tmp_path):
            part.close()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MEMORY_BYTES


_cells = st.sampled_from(["a", "", '"b ""c"" d"', '"e,f"', '"g\nh"', "é"])
_files = st.tuples(st.lists(st.tuples(_cells, _cells), max_size=12), st.sampled_from(["", "\n", "\n\n"]))
"""Rows, and how the file ends."""

NO_BODY = Body.of(b"", "text/csv")

MAPPINGS: list[dict[str, str | None] | None] = [None, {"A": "B", "B": "A"}, {"B": None}]


def csv_of(file: tuple[list[tuple[str, str]], str], mapping: dict[str, str | None] | None) -> RecordStream:
    rows, end = file
    data = "\n".join(
        ["A,B", *(f"k{number}{a},{b}" if a.isalpha() else f"k{number},{b}" for number, (a, b) in enumerate(rows))]
    )
    rules = Rules(operation="insert", column_mapping=mapping)
    return from_csv(lambda: io.BytesIO((data + end).encode()), rules, name="rows", block_bytes=7)


def all_of(parts: Iterator[Part]) -> list[tuple[Part, bytes]]:
    found = []
    for part in parts:
        found.append((replace(part, body=NO_BODY), part.data))
        part.close()
    return found


@given(_files, st.sampled_from(MAPPINGS), st.integers(40, 90), st.integers(1, 5), st.data())
def test_parts_that_are_cut_again_are_those_of_before(
    file: tuple[list[tuple[str, str]], str],
    mapping: dict[str, str | None] | None,
    max_bytes: int,
    max_records: int,
    data: st.DataObject,
) -> None:
    limit = {"max_bytes": max_bytes, "max_records": max_records}
    first = all_of(split(csv_of(file, mapping), **limit))
    known = [part for part, _ in first]
    assert all_of(split_again(csv_of(file, mapping), known, **limit)) == first
    # What is known may be of another file, of fewer parts, or of more.
    for change in (known[1:], known[:-1], [*known, *known]):
        assert all_of(split_again(csv_of(file, mapping), change, **limit)) == first
    rows, end = file
    other = data.draw(st.sampled_from([(rows[1:], end), (rows[:-1], end), (rows, ""), ([*rows, ("a", "")], end)]))
    now = all_of(split(csv_of(other, mapping), **limit))
    assert all_of(split_again(csv_of(other, mapping), known, **limit)) == now


def test_a_file_that_is_sent_as_it_is_is_not_looked_at_when_it_is_cut_again(monkeypatch: pytest.MonkeyPatch) -> None:
    file = ([("a", "b")] * 5, "\n")
    limit = {"max_bytes": 20, "max_records": 100}
    first = all_of(split(csv_of(file, None), **limit))
    monkeypatch.setattr(parts_module, "split", None)
    assert all_of(split_again(csv_of(file, None), [part for part, _ in first], **limit)) == first
    assert len(first) > 1
