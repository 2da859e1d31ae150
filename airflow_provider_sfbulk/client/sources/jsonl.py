"""JSON Lines: one object per line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.parts.stream import RecordStream, Rules
from airflow_provider_sfbulk.client.sources.compression import OpenBinary, pieces
from airflow_provider_sfbulk.client.sources.first_bytes import beginning, refuse_other
from airflow_provider_sfbulk.client.sources.rows import stream_rows

_LINE_BYTES: Final = 16 * limits.RECORD_CHARACTERS
"""Bytes of one line at most: one character is 12 as two escapes, the rest is for names."""

_ONE_LINE: Final = ": JSON Lines has one whole object per line (jq -c . converts it)"
_JSON_NAMES: Final = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
_PERHAPS_CSV: Final = ': if this is a CSV file, set source_format="csv"'


def from_jsonl(open_binary: OpenBinary, rules: Rules, *, name: str, compression: str | None = None) -> RecordStream:
    """Make a stream from a file of JSON objects, one per line, in UTF-8.

    The file is read twice: objects may leave keys out, and the header must have the keys of all of them. So broken JSON
    anywhere is found before anything is sent. Numbers with a fraction are kept digit by digit.

    :param open_binary: opens the file from its beginning, each time it is called
    :param compression: ``gz``, ``zst`` or None
    :raises SourceError: for a line that is not JSON object, or columns that cannot be sent
    """

    def rows() -> Iterator[dict[str, Any]]:
        data = pieces(open_binary, compression=compression, taken_for="jsonl", name=name)
        return _objects(_lines(data, name, is_packed=compression is not None), name)

    return stream_rows(rows, rows(), rules, name=name)


class _TwiceError(Exception):
    """An object has a key twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _TwiceError(next(key for at, (key, _) in enumerate(pairs) if key in dict(pairs[:at])))
    return made


def _objects(lines: Iterator[bytes], name: str) -> Iterator[dict[str, Any]]:
    decode = json.JSONDecoder(parse_float=Decimal, object_pairs_hook=_unique).decode
    row = 0
    for line in lines:
        text = line.strip()
        while text.startswith(codecs.BOM_UTF8):  # of each file, when files were put together
            text = text.removeprefix(codecs.BOM_UTF8)
        if not text:
            continue
        row += 1
        try:
            found = decode(text.decode())
        except UnicodeDecodeError:
            raise SourceError(f"{name}: row {row} is not UTF-8: convert the file to UTF-8") from None
        except json.JSONDecodeError as error:
            # The decoder's message is kept, not the error: it holds the line.
            hint = "" if row > 1 else _ONE_LINE if text.startswith(b"{") else _PERHAPS_CSV
            raise SourceError(
                f"{name}: row {row} is not JSON: {error.msg} at character {error.pos + 1}{hint}"
            ) from None
        except _TwiceError as twice:
            raise SourceError(
                f"{name}: row {row} has the key {twice.args[0]!r:.60} twice: remove one of them"
            ) from None
        except (ValueError, RecursionError):
            raise SourceError(f"{name}: row {row} has a number that is too long, or is nested too deeply") from None
        if not isinstance(found, dict):
            raise SourceError(
                f"{name}: row {row} must be a JSON object, not {_JSON_NAMES.get(type(found), 'a number')}"
            )
        yield found


def _lines(data: Iterator[bytes], name: str, *, is_packed: bool) -> Iterator[bytes]:
    rest = b""
    head, data = beginning(data)
    refuse_other(head, taken_for="jsonl", name=name, is_packed=is_packed)
    for piece in data:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
        if len(rest) > _LINE_BYTES:
            raise SourceError(
                f"{name}: a line is longer than {_LINE_BYTES:,} bytes: JSON Lines has one object per line"
            )
    yield rest
