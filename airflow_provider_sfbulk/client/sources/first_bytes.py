"""Recognises a file by its first bytes, when its name or ``source_format`` says something else."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from airflow_provider_sfbulk.client.errors import SourceError

LOOKED_AT: Final = 4096
"""Number of bytes examined at the beginning of a file."""


@dataclass(frozen=True)
class OtherFormat:
    """A format that is not the expected one.

    :param what: in words, with its article
    :param advice: what to do
    :param ending: of files in this compression, if they can be read directly
    """

    what: str
    advice: str
    ending: str = ""

    def advice_for(self, taken_for: str, *, is_packed: bool) -> str:
        """Return what to do with a file that was taken for something else.

        :param taken_for: ``csv``, ``jsonl`` or ``parquet``
        :param is_packed: whether this was found inside a compressed file
        """
        if not self.ending:
            return self.advice
        if is_packed:
            return "the file is compressed twice: decompress it once"
        if taken_for == "parquet":
            return "decompress it, since Parquet files are compressed inside"
        return f'rename it to end in .{taken_for}.{self.ending}, or set source_format="{taken_for}.{self.ending}"'


_UNPACK: Final = "decompress it first (only gzip and Zstandard can be read directly)"
_CONVERT: Final = "convert it to CSV, JSON Lines or Parquet"
_EXCEL: Final = "save it as “CSV UTF-8 (comma delimited)” and load that file"
_UTF: Final = "convert it to UTF-8"

_SIGNATURES: Final[
    tuple[tuple[bytes, OtherFormat], ...]
] = (  # longer than the formats' own, where a header may begin so
    (b"\x1f\x8b", OtherFormat("gzip", "", "gz")),
    (b"\x28\xb5\x2f\xfd", OtherFormat("Zstandard", "", "zst")),
    *((b"BZh%d1AY&SY" % level, OtherFormat("bzip2", _UNPACK)) for level in range(1, 10)),
    (b"\xfd7zXZ\0", OtherFormat("xz", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", OtherFormat("a 7-Zip archive", _UNPACK)),
    (b"\x04\x22\x4d\x18", OtherFormat("LZ4", _UNPACK)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OtherFormat("an Excel workbook (.xls)", _EXCEL)),
    (b"PAR1\x15", OtherFormat("Parquet", 'rename it to end in .parquet, or set source_format="parquet"')),
    *((b"ORC" + bytes((byte,)), OtherFormat("ORC", _CONVERT)) for byte in (*range(32), *range(128, 256))),
    (b"Obj\x01", OtherFormat("Avro", _CONVERT)),
    (b"ARROW1\0\0", OtherFormat("Arrow IPC (Feather)", _CONVERT)),
    (b"SQLite format 3\0", OtherFormat("a SQLite database", "read it with SQL")),
    (b"%PDF-", OtherFormat("a PDF", _CONVERT)),
    # UTF-32 first: its mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, OtherFormat("UTF-32", _UTF)),
    (codecs.BOM_UTF32_BE, OtherFormat("UTF-32", _UTF)),
    (codecs.BOM_UTF16_LE, OtherFormat("UTF-16", _UTF)),
    (codecs.BOM_UTF16_BE, OtherFormat("UTF-16", _UTF)),
)

_TAR_MARK_AT: Final = 257
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_PACKED: Final = {"gz": b"\x1f\x8b", "zst": b"\x28\xb5\x2f\xfd"}
_ZSTD_SKIPPABLE: Final = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")


def beginning(data: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes of pieces, enough to recognise them, and all of the pieces."""
    parts: list[bytes] = []
    while sum(map(len, parts)) < LOOKED_AT and (piece := next(data, b"")):
        parts.append(piece)
    head = b"".join(parts)
    return head, chain((head,), data) if head else data


def refuse_other(head: bytes, *, taken_for: str, name: str, is_packed: bool = False) -> None:
    """Refuse a file that has another format than expected.

    :param head: its beginning, decompressed
    :param taken_for: ``csv``, ``jsonl`` or ``parquet``
    :param name: the file's name, for messages
    :param is_packed: whether the file was decompressed to read it
    :raises SourceError: saying what it is, and what to do
    """
    found = _found(head[:LOOKED_AT], taken_for)
    if found is not None:
        raise SourceError(
            f"{name}: this is {found.what}, not {_NAMES[taken_for]}: {found.advice_for(taken_for, is_packed=is_packed)}"
        )


def refuse_unpacked(head: bytes, *, compression: str, taken_for: str, name: str) -> None:
    """Refuse a file that is not compressed as its name says.

    :param head: the file's own first bytes
    :param compression: ``gz`` or ``zst``
    :param taken_for: ``csv`` or ``jsonl``
    """
    mark = _PACKED[compression]
    if head.startswith(mark[: len(head)]) or (compression == "zst" and _ZSTD_SKIPPABLE.match(head)):
        return  # one that is cut off within its mark is reported as cut off
    form = {"gz": "gzip", "zst": "Zstandard"}[compression]
    found = _found(head[:LOOKED_AT], "")
    if found is None:
        is_text = b"\0" not in head
        found = (
            OtherFormat("not compressed", "rename it without that ending, or set source_format") if is_text else None
        )
    what = f": this is {found.what}" if found is not None else ""
    advice = f": {found.advice_for(taken_for, is_packed=False)}" if found is not None else ""
    raise SourceError(f"{name}: the data is not {form}{what}{advice}")


_NAMES: Final = {"csv": "CSV", "jsonl": "JSON Lines", "parquet": "Parquet"}


def _found(head: bytes, taken_for: str) -> OtherFormat | None:
    for signature, found in _SIGNATURES:
        if head.startswith(signature) and not (signature.startswith(b"PAR1") and taken_for == "parquet"):
            return found
    if head.startswith(_ZIP):
        return _zipped(head)
    if head.startswith(b"ustar", _TAR_MARK_AT):
        return OtherFormat("a tar archive", _UNPACK)
    if b"\0" in head[:_WIDE_BYTES]:
        return _wide(head[:_WIDE_BYTES])
    text = head.lstrip(codecs.BOM_UTF8 + b" \t\r\n")
    found_text = next((found for form, found in _TEXTS if form.match(text)), None)
    return None if found_text is _JSON and taken_for == "jsonl" else found_text


_JSON: Final = OtherFormat(
    "JSON", 'if it has one object per line, rename it to end in .jsonl or set source_format="jsonl"'
)
_TEXTS: Final = (
    (
        re.compile(rb"(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body|div|table|script)\b", re.I | re.S),
        OtherFormat(
            "an HTML page", "probably a login or error page, saved under the file's name: fetch the file again"
        ),
    ),
    # Without its first line, as the errors of object storage that were saved as the file: two elements, one in the other.
    (re.compile(rb"<\?xml\b|<[A-Za-z_][^<>,;\t|]*>\s*<[A-Za-z_/!]"), OtherFormat("XML", _CONVERT)),
    (re.compile(rb"\{\\rtf"), OtherFormat("rich text (RTF)", _CONVERT)),
    (
        re.compile(rb"\[\s*(?:[\[{\"\]]|null\b|true\b|false\b)"),
        OtherFormat("a JSON array", "JSON Lines has one object per line (jq -c '.[]' converts it)"),
    ),
    (re.compile(rb"\{\s*[\"}]"), _JSON),
)

_WIDE_BYTES: Final = 64


def _zipped(head: bytes) -> OtherFormat:
    if b"[Content_Types].xml" in head or b"xl/" in head:
        return OtherFormat("an Excel workbook (.xlsx)", _EXCEL)
    if b"application/vnd.oasis.opendocument" in head:
        return OtherFormat("an OpenDocument spreadsheet", _EXCEL)
    return OtherFormat("a zip archive", _UNPACK)


def _wide(head: bytes) -> OtherFormat | None:
    """Recognise UTF-32 and UTF-16 without a mark: for Latin letters every other byte, or three of four, are zero."""
    for width, form in ((4, "UTF-32"), (2, "UTF-16")):
        whole = head[: len(head) // width * width]
        for place in (0, width - 1):
            letters = whole[place::width]
            zeros = len(whole) - len(letters)
            if letters and b"\0" not in letters and whole.count(b"\0") == zeros:
                return OtherFormat(f"{form} (without a byte order mark)", _UTF)
    return None
