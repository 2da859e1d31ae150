"""A CSV that is right passes as it is; one that is not is refused with the record's number."""

from __future__ import annotations

import gzip
import io
import sys
import tracemalloc
from collections.abc import Mapping

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.csv.scan import record_ends, scan
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, LineEnding, Operation
from airflow_provider_sfbulk.client.sources.csv_records import RECORD_BYTES
from airflow_provider_sfbulk.client.sources.open import Rules, from_csv, from_file
from tests.client.sources.witness import INSERT, SECRET, encoded, opened, parse, rows_of, write

TEXT = st.text(st.sampled_from("ab;,|^`\t\"' \u2028\u0085é語😀\x0b\x0c#"), max_size=6)
READS = st.lists(st.sampled_from([1, 2, 3, 7, 100, 5000]), min_size=1, max_size=4)


@st.composite
def tables(draw: st.DrawFn, breaks: tuple[str, ...] = ()) -> list[list[str]]:
    """A header and records, of values with such line breaks."""
    columns = draw(st.integers(1, 4))
    value = st.lists(TEXT | st.sampled_from([*breaks, ""]), max_size=3).map("".join)
    rows = draw(st.lists(st.lists(value, min_size=columns, max_size=columns), max_size=8))
    return [[f"C{place}" for place in range(columns)], *rows]


@given(
    table=st.data(),
    delimiter=st.sampled_from(ColumnDelimiter),
    ending=st.sampled_from(LineEnding),
    reads=READS,
    block_bytes=st.integers(1, 60),
    bom=st.booleans(),
    quotes=st.randoms(use_true_random=False),
)
@pytest.mark.parity("G9.7")
def test_a_right_csv_passes_byte_by_byte(
    table: st.DataObject,
    delimiter: ColumnDelimiter,
    ending: LineEnding,
    reads: list[int],
    block_bytes: int,
    bom: bool,
    quotes: object,
) -> None:
    rows = table.draw(tables(breaks=(ending.characters,)))
    data = write(
        rows,
        delimiter=delimiter.character,
        newline=ending.characters,
        quoted=lambda *_: quotes.random() < 0.3,  # type: ignore[attr-defined]
    )
    stream = from_csv(
        opened(b"\xef\xbb\xbf" * bom + data, reads),
        Rules(operation=Operation.INSERT, column_delimiter=delimiter),
        name="a.csv",
        block_bytes=block_bytes,
    )
    assert stream.columns == tuple(rows[0])
    assert (stream.dialect.column_delimiter, stream.dialect.line_ending) == (delimiter, ending)
    sent = encoded(stream)
    assert parse(sent, delimiter.character) == rows
    assert sent[len(stream.header) :] == data[len(parse_header(data, ending)) :]


def parse_header(data: bytes, ending: LineEnding) -> bytes:
    return data[: data.index(ending.characters.encode()) + len(ending.characters)]


@given(
    table=tables(breaks=("\n",)),
    ending=st.sampled_from(LineEnding),
    block_bytes=st.integers(1, 60),
    dropped=st.sets(st.integers(0, 3)),
    cleared=st.sets(st.integers(0, 3)),
    quotes=st.randoms(use_true_random=False),
)
def test_dropped_columns_and_cleared_nulls_change_nothing_else(
    table: list[list[str]],
    ending: LineEnding,
    block_bytes: int,
    dropped: set[int],
    cleared: set[int],
    quotes: object,
) -> None:
    header, *rows = table
    kept = [place for place in range(len(header)) if place not in dropped]
    if not kept:
        return
    clears = [header[place] for place in kept if place in cleared]
    rules = Rules(
        operation=Operation.INSERT,
        column_delimiter=ColumnDelimiter.COMMA,
        column_mapping={header[place]: None for place in range(len(header)) if place not in kept},
        nulls=dict.fromkeys(clears, "clear"),
        line_ending=LineEnding.LF,
    )
    data = write(table, newline=ending.characters, quoted=lambda *_: quotes.random() < 0.3)  # type: ignore[attr-defined]
    wanted = [
        ["#N/A" if header[place] in clears and row[place] == "" else row[place] for place in kept] for row in rows
    ]
    stream = from_csv(opened(data), rules, name="a.csv", block_bytes=block_bytes)
    try:
        assert rows_of(stream) == wanted
    except SourceError as error:
        assert "only column" in str(error)  # noqa: PT017
        assert len(kept) == 1 < len(header)
        assert [""] in wanted


def test_record_endings_are_rewritten_to_the_given_line_ending() -> None:
    for file, job in ((LineEnding.LF, LineEnding.CRLF), (LineEnding.CRLF, LineEnding.LF)):
        data = write([["A", "B"], ["1", ""], ["", "2"]], newline=file.characters)
        stream = from_csv(opened(data), Rules(operation=Operation.INSERT, line_ending=job), name="a.csv")
        assert encoded(stream) == write([["A", "B"], ["1", ""], ["", "2"]], newline=job.characters)


def test_a_cleared_last_value_stands_before_the_rewritten_ending() -> None:
    rules = Rules(operation=Operation.INSERT, nulls="clear", line_ending=LineEnding.CRLF)
    assert encoded(from_csv(opened(b'A,B\n1,\n"",""\n'), rules, name="a")) == b"A,B\r\n1,#N/A\r\n#N/A,#N/A\r\n"


@pytest.mark.parametrize(("records", "breaks", "job"), [("\r\n", "\n", "LF"), ("\n", "\r\n", "CRLF")])
def test_values_with_the_other_line_break_decide_the_job(records: str, breaks: str, job: str) -> None:
    rows = [["A", "B"], [f"x{breaks}y", "1"], ["", "2"]]
    stream = from_csv(opened(write(rows, newline=records)), INSERT, name="a.csv")
    assert stream.dialect.line_ending == job
    assert encoded(stream) == write(rows, newline=stream.dialect.newline)


def test_a_later_value_with_another_line_break_is_refused_with_the_remedy() -> None:
    rows = [["A", "B"], ["x\ny", "1"], ["", f"{SECRET}\r\n"]]
    with pytest.raises(SourceError, match=r'a\.csv: row 2, column B: CRLF line breaks .* line_ending="CRLF"'):
        encoded(from_csv(opened(write(rows)), INSERT, name="a.csv"))
    rows = [["A", "B"], ["x\r\ny", "1"], ["x\ny", "1"]]
    with pytest.raises(SourceError, match=r'row 2, column A: LF line breaks .* line_ending="LF"'):
        encoded(from_csv(opened(write(rows, newline="\r\n")), INSERT, name="a.csv"))


def test_a_lone_carriage_return_inside_quotes_stays() -> None:
    assert rows_of(from_csv(opened(b'A\n"x\ry"\n'), INSERT, name="a.csv")) == [["x\ry"]]


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n"])
def test_the_end_of_the_file_makes_no_record_more_or_less(end: str) -> None:
    for block_bytes in (1, 3, 1000):
        data = f"A,B\n1,2\n3,4{end}".encode()
        assert encoded(from_csv(opened(data), INSERT, name="a", block_bytes=block_bytes)) == b"A,B\n1,2\n3,4\n"
    crlf = f"A,B\n1,2\n3,4{end}".replace("\n", "\r\n").encode()
    assert encoded(from_csv(opened(crlf), INSERT, name="a", block_bytes=3)) == b"A,B\r\n1,2\r\n3,4\r\n"


@pytest.mark.parametrize("data", [b"A,B", b"A,B\n", b"A,B\r\n", b"A,B\n\n\n", b"\xef\xbb\xbfA,B\n"])
def test_a_header_alone_is_a_stream_without_records(data: bytes) -> None:
    stream = from_csv(opened(data), INSERT, name="a.csv")
    assert (stream.columns, list(stream.blocks())) == (("A", "B"), [])


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [
        ("A;B;C", "SEMICOLON"),
        ("A\tB", "TAB"),
        ("A|B", "PIPE"),
        ("A^B", "CARET"),
        ("A`B", "BACKQUOTE"),
        ('"A,B,C";B', "SEMICOLON"),
        ("A", "COMMA"),
    ],
)
def test_the_delimiter_is_seen_in_the_header(line: str, delimiter: str) -> None:
    assert from_csv(opened(f"{line}\n".encode()), INSERT, name="a.csv").dialect.column_delimiter == delimiter


def test_the_records_decide_between_two_delimiters() -> None:
    stream = from_csv(opened(b"Name, full;City, town;Phone, home\na;b,c;d\n"), INSERT, name="a.csv")
    assert stream.columns == ("Name, full", "City, town", "Phone, home")
    with pytest.raises(SourceError, match=r"COMMA or SEMICOLON.*column_delimiter"):
        from_csv(opened(b"A,B;C\n"), INSERT, name="a.csv")


def test_a_renamed_column_changes_the_header_only() -> None:
    rules = Rules(operation=Operation.INSERT, column_mapping={"acct": "Name"})
    data = b'acct,City\n"x",  y \n'
    assert encoded(from_csv(opened(data), rules, name="a.csv")) == b'Name,City\n"x",  y \n'


def test_a_failed_rows_file_can_be_fed_back() -> None:
    data = (
        b'"sf__Id","sf__Error","Name","sf__Row","City","sf__ErrorCode","sf__ErrorMessage","sf__ErrorFields"\n'
        b'"","REQUIRED:x, y:Name --","a ""b"", c","3","","REQUIRED","x,\n y","Name"\n'
    )
    assert encoded(from_csv(opened(data), INSERT, name="failed.csv")) == b'Name,City\n"a ""b"", c",""\n'
    update = Rules(operation=Operation.UPDATE, column_mapping={"sf__Id": "Id"})
    assert from_csv(opened(data), update, name="s.csv").columns == ("Id", "Name", "City")


def test_a_field_of_a_namespace_called_sf_is_no_result_column() -> None:
    assert from_csv(opened(b"sf__Created__c,sf__Error__c\n"), INSERT, name="a").columns == (
        "sf__Created__c",
        "sf__Error__c",
    )


BAD = {
    "empty": (b"", "the file is empty"),
    "only a BOM": (b"\xef\xbb\xbf", "the first line is empty"),
    "empty first line": (b"\nA,B\n", "the first line is empty"),
    "UTF-16": ("A,B\n".encode("utf-16"), "UTF-16"),
    "lone CR": (b"A,B\r1,2\r", "lone carriage return"),
    "open quote in header": (b'A,"B\n1,2\n', "the header line has no closing quote"),
    "stray quote in header": (b'"A"x,B\n1,2\n', "the header line is not valid CSV"),
    "latin-1 header": ("Größe,B\n".encode("latin-1"), r"byte 3, in the header line, is not UTF-8"),
    "short row": (f"A,B\n1,2\n{SECRET}\n".encode(), r"row 2: 1 values, but the header has 2 columns"),
    "long row": (f"A,B\n1,2\n1,2\n{SECRET},2,3\n".encode(), r"row 3: 3 values, but the header has 2"),
    "one long, one short": (b"A,B\n1,2,3\n1\n", r"row 1: 3 values"),
    "empty line": (b"A,B\n1,2\n\n3,4\n", r"row 2: an empty line before other records"),
    "empty line, one column": (b"A\n1\n\n3\n", r"row 2: an empty line before other records"),
    "quote in value": (f'A,B\n1,2\n{SECRET} 12" pipe,2\n'.encode(), r"row 2, column A: a misplaced quote"),
    "blank before quote": (f'A,B\n1, "{SECRET}"\n'.encode(), r"row 1, column B: a misplaced quote"),
    "text after quote": (f'A,B\n1,"{SECRET}"x\n'.encode(), r"row 1, column B: a misplaced quote"),
    "never closed": (f'A,B\n1,2\n1,"{SECRET}\n3,4\n'.encode(), r"row 2: a quoted value without a closing quote"),
    "NUL": (b"A,B\n1,2\n1,x\0y\n", r"row 2, column B: a NUL"),
    "mixed CRLF": (b"A,B\n1,2\n3,4\r\n", r"row 2: ends with CRLF, but the header line with LF"),
    "mixed LF": (b"A,B\r\n1,2\r\n3,4\n5,6\r\n", r"row 2: ends with LF, but the header line with CRLF"),
    "CR outside": (b"A,B\n1,2\n3\r,4\n", r"row 2: a lone carriage return"),
    "CR outside in CRLF": (b"A,B\r\n1,2\r\n3\r,4\r\n", r"row 2: a lone carriage return"),
    "latin-1": (f"A,B\n1,2\n3,{SECRET}\n".encode("latin-1"), r"row 2, column B: not UTF-8, at byte 16 of the file"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("block_bytes", [1, 5, 10_000])
@pytest.mark.parity("G9.7")
def test_a_wrong_csv_is_refused_with_the_place_and_without_the_value(case: str, block_bytes: int) -> None:
    data, message = BAD[case]
    with pytest.raises(SourceError, match=message) as caught:
        encoded(from_csv(opened(data), INSERT, name="a.csv", block_bytes=block_bytes))
    assert str(caught.value).startswith("a.csv: ")
    assert SECRET not in str(caught.value)
    assert "Zeb" not in str(caught.value)


def test_an_open_quote_does_not_take_the_file_into_memory() -> None:
    data = b'A,B\n1,"x\n' + b"2,y\n" * (RECORD_BYTES // 2)
    with pytest.raises(SourceError, match=r"row 1: longer than any record .*closing quote"):
        encoded(from_csv(opened(data), INSERT, name="a.csv"))


@pytest.mark.parity("G13.9", "G13.11")
def test_sizes_are_counted_in_characters() -> None:
    fits = "é" * limits.FIELD_CHARACTERS
    assert rows_of(from_csv(opened(f"A,B\n{fits},1\n".encode()), INSERT, name="a")) == [[fits, "1"]]
    quoted = '"' + '""' * limits.FIELD_CHARACTERS + '"'
    assert len(encoded(from_csv(opened(f"A,B\n1,{quoted}\n".encode()), INSERT, name="a")))
    with pytest.raises(SourceError, match="row 2, column B: longer than the 131,072 characters"):
        encoded(from_csv(opened(f"A,B\n1,2\n1,{fits}é\n".encode()), INSERT, name="a"))
    four = ",".join(["é" * (limits.RECORD_CHARACTERS // 4)] * 4)
    assert len(encoded(from_csv(opened(f"A,B,C,D\n{four}\n".encode()), INSERT, name="a")))
    with pytest.raises(
        SourceError, match="row 1: longer than the 400,000 characters that Salesforce accepts in a record"
    ):
        encoded(from_csv(opened(f"A,B,C,D\n{four}é\n".encode()), INSERT, name="a"))
    names = ",".join(f"C{place:07d}" for place in range(limits.HEADER_CHARACTERS // 9 + 1))
    with pytest.raises(SourceError, match="the header line has 32,003 characters"):
        from_csv(opened(names.encode()), INSERT, name="a")


def test_a_file_that_changes_between_two_readings_is_refused() -> None:
    files = iter([b"A,B\n1,2\n", b"B,A\n2,1\n"])
    stream = from_csv(lambda: io.BytesIO(next(files)), INSERT, name="a.csv")
    with pytest.raises(SourceError, match="changed while it was read"):
        encoded(stream)


def test_records_are_given_once_and_files_are_closed() -> None:
    files = []

    def open_binary() -> object:
        files.append(opened(b"A,B\n1,2\n3,4\n")())
        return files[-1]

    stream = from_csv(open_binary, INSERT, name="a.csv", block_bytes=1)  # type: ignore[arg-type]
    blocks = stream.blocks()
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    assert [file.closed for file in files] == [True, True]
    with pytest.raises(RuntimeError, match="already been read"):
        stream.blocks()


def test_with_columns_rewrites_the_header_only() -> None:
    stream = from_csv(opened(b"name,city\nx,y\n"), INSERT, name="a.csv").with_columns(["Name", "City"])
    assert encoded(stream) == b"Name,City\nx,y\n"
    with pytest.raises(SourceError, match="2 columns"):
        stream.with_columns(["Name"])


PACKED: Mapping[str, object] = {"csv.gz": gzip.compress, "csv.zst": zstandard.compress}


@pytest.mark.parametrize("form", PACKED)
def test_a_packed_file_is_read_whole_or_refused(form: str) -> None:
    rows = [["A", "B"], *([str(each), SECRET] for each in range(200))]
    data = write(rows)
    pack = PACKED[form]
    one, two = pack(data[:100]), pack(data[100:])  # type: ignore[operator]
    for reads in (None, (1,), (5, 1000)):
        assert rows_of(from_file(opened(one + two, reads), INSERT, name=f"a.{form}")) == rows[1:]
    for cut in (0, 1, len(one) - 1, len(one) + 1, len(one + two) - 1):
        with pytest.raises(SourceError, match=f"a.{form}: the .* data ends too early"):
            encoded(from_file(opened((one + two)[:cut], (7,)), INSERT, name=f"a.{form}"))
    with pytest.raises(SourceError, match=r"the data is not .*: this is not compressed"):
        encoded(from_file(opened(data), INSERT, name=f"a.{form}"))


def test_a_bomb_of_zstandard_is_refused_before_it_fills_the_memory() -> None:
    block = (128 * 1024) << 3 | 0b010  # a block of one byte, so many times; not the last
    bomb = b"\x28\xb5\x2f\xfd\x00\x58" + 4_000 * (block.to_bytes(3, "little") + b"a")
    packed = zstandard.compress(b"Name\n") + bomb  # of half a gigabyte in 16 kB
    tracemalloc.start()
    try:
        with pytest.raises(SourceError):
            encoded(from_file(opened(packed), INSERT, name="a.csv.zst"))
        assert tracemalloc.get_traced_memory()[1] < 200_000_000
    finally:
        tracemalloc.stop()


def test_zstd_needs_a_package_that_the_error_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(SourceError, match="needs the package zstandard"):
        from_file(opened(b""), INSERT, name="a.csv.zst")


def test_zeros_after_gzip_data_are_padding() -> None:
    assert rows_of(from_file(opened(gzip.compress(b"A\n1\n") + b"\0" * 70), INSERT, name="a.csv.gz")) == [["1"]]
    with pytest.raises(SourceError, match="corrupt"):
        encoded(from_file(opened(gzip.compress(b"A\n1\n") + b"junk"), INSERT, name="a.csv.gz"))


def test_broken_gzip_data_are_refused() -> None:
    packed = bytearray(gzip.compress(b"A\n" + b"1\n" * 1000))
    packed[-6] ^= 1  # the CRC
    with pytest.raises(SourceError, match="corrupt"):
        encoded(from_file(opened(bytes(packed)), INSERT, name="a.csv.gz"))


@given(st.lists(st.lists(TEXT, min_size=2, max_size=2), min_size=1, max_size=8))
def test_ends_of_records_are_where_a_reader_sees_them(rows: list[list[str]]) -> None:
    data = write(rows)
    ends = record_ends(data).tolist()
    starts = [0, *ends[:-1]]
    assert [parse(data[start:end])[0] for start, end in zip(starts, ends, strict=True)] == rows
    found = scan(data, ord(","))
    assert (found.ends + 1).tolist() == ends
    assert found.records == len(rows)
    assert found.ragged(2) is None
    assert found.ragged(3) == (0, 2)
    assert np.diff(np.searchsorted(found.separators, found.ends), prepend=-1).tolist() == [2] * len(rows)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "y,2"])
@pytest.mark.parametrize("header", ["A,B", '"A","B"', "A;B"])
def test_a_header_line_between_records_is_refused(header: str, last: str, ending: str) -> None:
    """Files were put together with ``cat``: the line would be a record of its own."""
    quoted = f'"z{ending}{header.replace(chr(34), chr(34) * 2)}{ending}",3'
    lines = [header, "x,1", quoted, f"A,Bx{ending}zA,B", header, *([last] if last else [])]
    data = ending.join(each.replace(",", ";") if ";" in header else each for each in lines).encode()
    for block_bytes in (1, 1_000_000):
        with pytest.raises(SourceError, match="a: row 5: repeats the header line"):
            encoded(from_csv(opened(data), INSERT, name="a", block_bytes=block_bytes))
    alone = from_csv(opened(b"A\nA\n"), INSERT, name="a")
    assert rows_of(alone) == [["A"]]
