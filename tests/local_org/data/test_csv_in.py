"""Uploads are read exactly: any records, quoted in any way, cut into batches anywhere."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk2 import csv_in
from airflow_provider_sfbulk.local_org.bulk2.csv_in import Dialect, JobFailedError
from tests.examples import examples

# A carriage return before the line feed would be another line ending; alone it is a character like any other.
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8) | st.sampled_from(
    ['"', '""', " ", ",", ";", "\n", "a\nb", "\n\n", ' "x" ', "#N/A", "\ufeff", "\x00", "é", "\u2028", ""]
)


def written(rows: list[list[str]], dialect: Dialect, quoting: int, *, last_ending: bool) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=dialect.delimiter, lineterminator=dialect.newline, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows(rows)
    data = text.getvalue().encode()
    return data if last_ending else data.removesuffix(dialect.newline.encode())


def read(
    data: bytes, dialect: Dialect, *, batch_records: int = limits.BATCH_RECORDS
) -> tuple[list[str], list[list[str]], int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload.csv"
        path.write_bytes(data)
        contents = csv_in.read(path, dialect, batch_records=batch_records)
        rows: list[list[str]] = []
        for span in contents.spans:
            table = csv_in.table(path, dialect, span, len(contents.header))
            assert table.malformed == []
            rows += [list(row) for row in zip(*table.columns, strict=True)]
        return list(contents.header), rows, len(contents.spans)


@settings(max_examples=examples(50))
@given(st.data())
def test_what_another_writer_wrote_is_read_back(data: st.DataObject) -> None:
    dialect = Dialect(data.draw(st.sampled_from(sorted(csv_in.DELIMITERS))), data.draw(st.sampled_from(["LF", "CRLF"])))
    width = data.draw(st.integers(1, 4))
    rows = data.draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=12))
    rows = [[cell.replace("\n", dialect.newline) for cell in row] for row in rows]
    header = [f"H{n}" for n in range(width)]
    quoting = data.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    upload = written([header, *rows], dialect, quoting, last_ending=data.draw(st.booleans()))
    with pytest.MonkeyPatch.context() as patch:
        batch = data.draw(st.integers(1, 5))
        patch.setattr(csv_in, "_BLOCK_BYTES", data.draw(st.integers(1, 40)))
        found_header, found, batches = read(upload, dialect, batch_records=batch)
    assert (found_header, found) == (header, rows)
    assert batches == -(-len(rows) // batch)


@pytest.mark.parametrize(
    "text", ['A\na"b\n', 'A\n"a"b\n', 'A\n"a\n', 'A\n"a""\n', '\ufeff"A"\nx\n', '"A\n', 'A,B\na,"b"c\n', 'A\n"a" "b"\n']
)
def test_a_quote_that_is_not_escaped_fails_the_file(text: str) -> None:
    with pytest.raises(JobFailedError, match="Found unescaped quote"):
        read(text.encode(), Dialect("COMMA", "LF"))


@pytest.mark.parametrize("text", ['A,B\na, "b"\n', 'A,B\n"a" ,b\n', "A,B\na\n", "A,B\na,b,c\n", 'A\n "a"\n'])
def test_a_row_that_is_malformed_is_set_apart_from_its_neighbours(text: str, tmp_path: Path) -> None:
    path = tmp_path / "upload.csv"
    width = text.split("\n")[0].count(",") + 1
    good = ",".join("x" * width)
    path.write_text(f"{text}{good}\n")
    dialect = Dialect("COMMA", "LF")
    contents = csv_in.read(path, dialect)
    table = csv_in.table(path, dialect, contents.spans[0], width)
    assert (table.count, len(table.malformed)) == (1, 1)
    assert len(table.malformed[0][0]) == width


def test_blank_lines_are_no_records(tmp_path: Path) -> None:
    header, rows, _ = read(b'A\n\n1\n\n\n""\n2\n\n', Dialect("COMMA", "LF"))
    assert (header, rows) == (["A"], [["1"], [""], ["2"]])
    assert read(b"A\n\n\n", Dialect("COMMA", "LF"))[1] == []


def test_bytes_that_are_not_utf8_fail_the_file() -> None:
    for data in (b"A\xff\nx\n", b"A\nx\xe9\n"):
        with pytest.raises(JobFailedError, match="UTF-8"):
            read(data, Dialect("COMMA", "LF"))


def test_a_header_line_has_its_limit() -> None:
    fits = ",".join(["H" * 99] * 320)[: limits.HEADER_CHARACTERS]
    assert len(read(f"{fits}\n".encode(), Dialect("COMMA", "LF"))[0]) == 320
    with pytest.raises(JobFailedError, match="32000 characters"):
        read(f"{fits}HH\n".encode(), Dialect("COMMA", "LF"))


def test_a_lone_carriage_return_is_a_character() -> None:
    assert read(b'A,B\na\rb,"c\rd"\n', Dialect("COMMA", "LF"))[1] == [["a\rb", "c\rd"]]
    assert read(b'A,B\r\na\rb,"c\rd"\r\n', Dialect("COMMA", "CRLF"))[1] == [["a\rb", "c\rd"]]
