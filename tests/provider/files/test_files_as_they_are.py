"""Files that are not what their names say, or not quite: what they are is named, with what to do, and no value is shown."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import json
import lzma
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
import zstandard

from airflow_provider_sfbulk.client.csv.names import unseen_in
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.conftest import FakeTask

SECRET: Final = "Jane Roe"
CSV: Final = f"Name,Phone\n{SECRET},1\n"
ROWS: Final = [{"Name": SECRET, "Phone": "1"}]
BOM: Final = "\ufeff"


def load(source: Any, **arguments: Any) -> Any:
    given = {"sobject": "Account", "operation": "insert", **arguments}
    return FakeTask().start().run(BulkIngestOperator(task_id="load", source=source, **given))


def refusal(source: Any, **arguments: Any) -> str:
    with pytest.raises(SourceError) as caught:
        load(source, **arguments)
    message = str(caught.value)
    assert SECRET not in message
    assert len(message) <= 1000
    assert message.isprintable()
    return message


def zipped(names: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in names.items():
            archive.writestr(name, text)
    return out.getvalue()


def written(write: Callable[[Any], Any]) -> bytes:
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def tarred(names: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in names.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def sqlite_file() -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE a (b)")
        return connection.serialize()


TABLE: Final = pa.Table.from_pylist(ROWS)
PARQUET: Final = written(lambda out: pq.write_table(TABLE, out))
OTHERS: Final[dict[str, tuple[bytes, str]]] = {
    "gzip": (gzip.compress(CSV.encode()), "gzip, not {}: "),
    "Zstandard": (zstandard.compress(CSV.encode()), "Zstandard, not {}: "),
    "bzip2": (bz2.compress(CSV.encode()), "bzip2, not {}: decompress it"),
    "xz": (lzma.compress(CSV.encode()), "xz, not {}: decompress it"),
    "zip": (zipped({"a.csv": CSV}), "a zip archive, not {}: decompress it"),
    "tar": (tarred({"a.csv": CSV}), "a tar archive, not {}: decompress it"),
    "xlsx": (zipped({"[Content_Types].xml": "", "xl/workbook.xml": ""}), "an Excel workbook (.xlsx), not {}: save it"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "an Excel workbook (.xls), not {}: save it"),
    "Parquet": (PARQUET, 'Parquet, not {}: rename it to end in .parquet, or set source_format="parquet"'),
    "ORC": (written(lambda out: pyarrow.orc.write_table(TABLE, out)), "ORC, not {}: convert it to CSV"),
    "Feather": (written(lambda out: pyarrow.feather.write_feather(TABLE, out)), "Arrow IPC (Feather), not {}"),
    "SQLite": (sqlite_file(), "a SQLite database, not {}: read it with SQL"),
    "UTF-16 with a mark": (CSV.encode("utf-16"), "UTF-16, not {}: convert it to UTF-8"),
    "UTF-16": (CSV.encode("utf-16-le"), "UTF-16 (without a byte order mark), not {}"),
    "UTF-16 big-endian": (CSV.encode("utf-16-be"), "UTF-16 (without a byte order mark), not {}"),
    "UTF-32 with a mark": (CSV.encode("utf-32"), "UTF-32, not {}"),
    "UTF-32": (CSV.encode("utf-32-be"), "UTF-32 (without a byte order mark), not {}"),
    "HTML": (b"\r\n<!DOCTYPE html><html>", "an HTML page, not {}: probably a login or error page"),
    "table": (b"<table><tr>", "an HTML page, not {}"),
    "HTML after a comment": (b"<!-- saved\nfrom -->\n<html>", "an HTML page, not {}"),
    "XML": (b'<?xml version="1.0"?>', "XML, not {}"),
    "XML without its first line": (b"<Error>\n <Code>AccessDenied</Code>", "XML, not {}"),
    "RTF": (b"{\\rtf1\\ansi " + CSV.encode(), "rich text (RTF), not {}"),
    "JSON array": (json.dumps(ROWS, indent=1).encode(), "a JSON array, not {}: JSON Lines has one object per line"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_of_another_kind_is_named_as_what_it_is(org: LocalOrg, tmp_path: Path, kind: str) -> None:
    data, wanted = OTHERS[kind]
    for ending, name in (("csv", "CSV"), ("jsonl", "JSON Lines"), ("parquet", "Parquet"), ("csv.gz", "CSV")):
        if ending == kind.lower():
            continue
        path = tmp_path / f"people.{ending}"
        path.write_bytes(gzip.compress(data) if ending == "csv.gz" else data)
        message = refusal(str(path))
        assert f"{path}: this is " + wanted.format(name) in message
    assert org.records("Account") == []


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        ("a.csv", json.dumps(ROWS[0]).encode(), 'this is JSON, not CSV: .*, rename it to end in .jsonl'),
        ("a.jsonl", CSV.encode(), 'row 1 is not JSON: .*if this is a CSV file, set source_format="csv"'),
        ("a.jsonl", json.dumps(ROWS[0], indent=1).encode(), "one whole object per line"),
        ("a.parquet", CSV.encode(), 'this is text, not Parquet: if it is a CSV file, set source_format="csv"'),
        ("a.parquet", b"", "the file is empty: a Parquet file contains at least a schema"),
        ("a.parquet", PARQUET[:-9], "the file is not Parquet, or is cut off or corrupt"),
        ("a.parquet", gzip.compress(PARQUET), "this is gzip, not Parquet: decompress it"),
        ("a.csv", gzip.compress(CSV.encode()), r'rename it to end in .csv.gz, or set source_format="csv.gz"'),
        ("a.jsonl", zstandard.compress(b"{}"), r'rename it to end in .jsonl.zst, or set source_format="jsonl.zst"'),
        ("a.csv.gz", gzip.compress(gzip.compress(CSV.encode())), "this is gzip, not CSV: the file is compressed twice"),
        ("a.jsonl.gz", gzip.compress(zstandard.compress(b"{}")), "not JSON Lines: the file is compressed twice"),
        ("a.csv.gz", CSV.encode(), "the data is not gzip: this is not compressed"),
        ("a.csv.gz", zstandard.compress(CSV.encode()), 'the data is not gzip: this is Zstandard: .*"csv.zst"'),
        ("a.jsonl.zst", gzip.compress(b"{}"), r'is not Zstandard: this is gzip: rename it to end in .jsonl.gz'),
        ("a.csv.gz", PARQUET, "the data is not gzip: this is Parquet"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"\n" + CSV.encode(), "the first line is empty: it must be the header"),
        ("a.csv", b"sep=;\n" + CSV.encode(), r"the first line is a hint for Excel \(sep=\): remove it"),
        ("a.csv", b",,\n1,2,3\n", "the first line names no column: it must be the header"),
        ("a.csv", b"Name,,Phone\na,b,c\n", "column 2 has no name, but the header line must name every column"),
        ("a.csv", f"Name;Phone\n{SECRET};1\n".encode(), None),
        ("a.csv", f"<Name>,<Phone>\n{SECRET},1\n".encode(), r"none of the 2 name\(s\)"),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_a_file_with_the_wrong_name_or_beginning(
    org: LocalOrg, tmp_path: Path, name: str, data: bytes, wanted: str | None
) -> None:
    (tmp_path / name).write_bytes(data)
    if wanted is None:
        assert load(str(tmp_path / name))["successful"] == 1
        return
    with pytest.raises(SourceError, match=wanted) as caught:
        load(str(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{SECRET},jane@example.com\n", "the first line is a record, not a header line: its column 2 is an e-mail"),
        (f"{SECRET},12.5\n", "its column 2 is a number"),
        (f"2026-03-04,{SECRET}\n", "its column 1 is a date"),
        (f"{SECRET},https://example.com\n", "its column 2 is a URL"),
        (f"001000000000001AAA,{SECRET}\n", "its column 1 is a Salesforce id"),
        (
            f"{SECRET},Berlin\n",
            "none of the 2 name(s) in the first line is a field of Account. If the header line",
        ),
        (f"{SECRET},{SECRET}\n", "column 2 has the same name as column 1"),
        (f" {SECRET},Berlin\n", "column 1 has spaces around it"),
        (f"{SECRET}\u200b,Berlin\n", "column 1 has invisible characters in its name (U+200B ZERO WIDTH SPACE)"),
    ],
)
@pytest.mark.parametrize("mapping", [None, {"Customer": "Name"}])
def test_a_missing_header_line_is_reported_without_the_first_record(
    org: LocalOrg, tmp_path: Path, text: str, wanted: str, mapping: dict[str, str | None] | None
) -> None:
    (tmp_path / "people.csv").write_text(text * 2, encoding="utf-8")
    message = refusal(str(tmp_path / "people.csv"), column_mapping=mapping)
    assert str(tmp_path / "people.csv") in message
    assert "Berlin" not in message
    assert "jane@" not in message
    if mapping is None:
        assert wanted in message
    elif "none of the" in wanted:
        assert "names columns that do not exist: Customer. None of them is in the first line" in message


def test_a_header_line_that_the_mapping_knows_is_shown(org: LocalOrg, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Customer,Tel\na,1\n")
    message = refusal(str(tmp_path / "a.csv"), column_mapping={"Customer": "Nmae"})
    assert "there is no field Nmae, or this user cannot see it (is it Name?); there is no field Tel" in message


def test_the_file_of_a_pattern_is_named(org: LocalOrg, tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("Name,Phone\na,1\n")
    (tmp_path / "2.csv").write_text("Name,Fone\nb,2\n")
    message = refusal(str(tmp_path / "*.csv"))
    assert f"{tmp_path}/2.csv: the columns do not fit Account: there is no field Fone" in message
    assert "is it Phone?" in message
    assert org.records("Account") == []


def test_a_delimiter_that_is_not_in_the_header_is_reported_with_the_one_that_is(org: LocalOrg, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"Name;Phone\n{SECRET};1\n")
    message = refusal(str(tmp_path / "a.csv"), column_delimiter="COMMA")
    assert "column_delimiter is COMMA, but the header line contains none. It probably is SEMICOLON: set" in message


MARKED: Final[dict[str, Callable[[Path], Any]]] = {
    "CSV": lambda folder: put(folder / "a.csv", (BOM + CSV).encode()),
    "CSV with two marks": lambda folder: put(folder / "a.csv", (BOM + BOM + CSV).encode()),
    "CSV with a mark in quotes": lambda folder: put(folder / "a.csv", f'"{BOM}Name","Phone"\n{SECRET},1\n'.encode()),
    "CSV with a mark before quotes": lambda folder: put(
        folder / "a.csv", f'{BOM}"Name","Phone"\n{SECRET},1\n'.encode()
    ),
    "packed CSV": lambda folder: put(folder / "a.csv.gz", gzip.compress((BOM + CSV).encode())),
    "JSON Lines": lambda folder: put(folder / "a.jsonl", (BOM + json.dumps(ROWS[0])).encode()),
    "JSON Lines with two marks": lambda folder: put(folder / "a.jsonl", (BOM + BOM + json.dumps(ROWS[0])).encode()),
    "packed JSON Lines": lambda folder: put(
        folder / "a.jsonl.zst", zstandard.compress((BOM + json.dumps(ROWS[0])).encode())
    ),
    "a key of JSON": lambda folder: put(folder / "a.jsonl", json.dumps({BOM + "Name": SECRET, "Phone": "1"}).encode()),
    "a key": lambda _: [{BOM + "Name": SECRET, "Phone": "1"}],
    "a DataFrame": lambda _: pd.DataFrame([{BOM + "Name": SECRET, "Phone": "1"}]),
    "a polars frame": lambda _: pl.DataFrame([{BOM + "Name": SECRET, "Phone": "1"}]),
    "Arrow": lambda _: pa.Table.from_pylist([{BOM + BOM + "Name": SECRET, "Phone": "1"}]),
}


def put(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("kind", MARKED)
def test_a_byte_order_mark_is_taken_off_wherever_it_stands(org: LocalOrg, tmp_path: Path, kind: str) -> None:
    assert load(MARKED[kind](tmp_path))["successful"] == 1
    (record,) = org.records("Account")
    assert (record["Name"], record["Phone"]) == (SECRET, "1")
    assert load(MARKED[kind](tmp_path), column_mapping={"Name": "Description", "Phone": "Name"})["successful"] == 1
    assert {each["Description"] for each in org.records("Account")} == {SECRET, None}


INVISIBLE: Final = {
    "\u200b": "U+200B ZERO WIDTH SPACE",
    "\u200d": "U+200D ZERO WIDTH JOINER",
    "\u2060": "U+2060 WORD JOINER",
    "\ufeff": "U+FEFF ZERO WIDTH NO-BREAK SPACE",
    "\xa0": "U+00A0 NO-BREAK SPACE",
    "\u202f": "U+202F NARROW NO-BREAK SPACE",
    "\u3000": "U+3000 IDEOGRAPHIC SPACE",
    "\xad": "U+00AD SOFT HYPHEN",
    "\u202e": "U+202E RIGHT-TO-LEFT OVERRIDE",
    "\u200f": "U+200F RIGHT-TO-LEFT MARK",
    "\u2066": "U+2066 LEFT-TO-RIGHT ISOLATE",
    "\x1b": "U+001B control character",
    "\t": "U+0009 control character",
    "\u2028": "U+2028 LINE SEPARATOR",
    "\u3164": "U+3164 HANGUL FILLER",
    "\ud800": "U+D800 half a surrogate pair",
}


@pytest.mark.parametrize("sign", INVISIBLE, ids=lambda sign: f"U+{ord(sign):04X}")
def test_signs_that_nobody_sees_are_named(org: LocalOrg, tmp_path: Path, sign: str) -> None:
    assert INVISIBLE[sign] in unseen_in(sign)
    for key in (f"Na{sign}me", f"Name{sign}"):
        message = refusal([{key: SECRET, "Phone": "1"}])
        assert f"invisible characters in its name ({INVISIBLE[sign]}" in message
        if sign != "\ud800":
            (tmp_path / "a.csv").write_text(f"{key},Phone\n{SECRET},1\n", encoding="utf-8", newline="")
            assert INVISIBLE[sign] in refusal(str(tmp_path / "a.csv"), column_delimiter="COMMA")


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        ("Owner:User-Email", "Data Loader's notation: Bulk API uses User:Owner.Email"),
        ("Who:Contact-email", "Data Loader's notation: Bulk API uses Contact:Who.email"),
        ("Parent:External_Key__c", "Bulk API uses Parent.External_Key__c"),
        ("attributes", 'drop them with column_mapping={"attributes": None}'),
        ("__index_level_0__", 'the index of a pandas DataFrame: write the file with index=False, or drop it with'),
        ("Unnamed: 0", 'drop it with column_mapping={"Unnamed: 0": None}'),
    ],
)  # fmt: skip
def test_columns_of_other_programs_get_the_right_hint(org: LocalOrg, tmp_path: Path, column: str, wanted: str) -> None:
    assert wanted in refusal([{"Name": SECRET, column: "x"}])
    (tmp_path / "a.csv").write_text(f"Name,{column}\n{SECRET},x\n")
    assert wanted in refusal(str(tmp_path / "a.csv"))
    (tmp_path / "b.csv").write_text(f"{column},Quux\nx,y\n")
    assert wanted.partition("{")[0] in refusal(str(tmp_path / "b.csv"))


def test_attributes_of_rest_replies_are_dropped_by_the_hint(org: LocalOrg) -> None:
    rows = [{"attributes": {"type": "Account", "url": "/x"}, "Name": "A"}]
    assert "REST reply has attributes" in refusal(rows)
    assert load(rows, column_mapping={"attributes": None})["successful"] == 1


def test_failed_rows_are_fed_back_with_the_same_mapping(org: LocalOrg, tmp_path: Path) -> None:
    mapping = {"Customer": "Name", "Tel": "Phone", "Junk": None, "Size": "NumberOfEmployees"}
    rows = [
        {"Customer": "A", "Tel": "1", "Junk": "x", "Size": "a dozen"},
        {"Customer": "B", "Tel": "2", "Junk": "y", "Size": "3"},
    ]
    summary = load(rows, column_mapping=mapping, results_path=str(tmp_path / "1"), max_failed_records=1)
    failed = Path(summary["results"]["failed"][0].removeprefix("file://"))
    failed.write_text(failed.read_text().replace("a dozen", "12"))
    again = load(str(failed), column_mapping=mapping, results_path=str(tmp_path / "2"))
    assert again["successful"] == 1
    assert {(each["Name"], each["Phone"], each["NumberOfEmployees"]) for each in org.records("Account")} == {
        ("A", "1", 12), ("B", "2", 3)
    }  # fmt: skip
    assert "column_mapping names columns that do not exist" in refusal(str(failed), column_mapping={"Customer": "Site"})


def test_a_mapping_that_swaps_columns_is_not_applied_twice(org: LocalOrg, tmp_path: Path) -> None:
    (tmp_path / "failed.csv").write_text('"sf__Row","sf__Error","Name","Phone"\n"1","x","A","1"\n')
    message = refusal(str(tmp_path / "failed.csv"), column_mapping={"Name": "Phone", "Phone": "Name"})
    assert "already have the names of fields" in message


def test_thousands_of_unknown_columns_are_a_short_message(org: LocalOrg) -> None:
    message = refusal([{f"Unknown_{n}": n for n in range(1_500)}])
    assert "; and 1490 more" in message
