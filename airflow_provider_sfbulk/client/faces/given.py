"""The forms in which callers pass records, the text of a CSV, or a file."""

from __future__ import annotations

import asyncio
import io
import os
import stat
from collections.abc import AsyncIterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeGuard, cast

from airflow_provider_sfbulk.client.arguments import shown
from airflow_provider_sfbulk.client.effects import Body
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.http.beside import on_loop
from airflow_provider_sfbulk.client.local_path import is_uri, local_path, looks_like_a_path
from airflow_provider_sfbulk.client.parts.split import CONTENT_TYPE
from airflow_provider_sfbulk.client.sources.open import RecordStream, Rules, from_csv, from_file, from_source
from airflow_provider_sfbulk.client.sources.open import source_format_of as format_of_name

_CHUNK_BYTES: Final = 1024 * 1024
_AT_A_TIME: Final = 1000
"""Asynchronous records that a thread asks their loop for at a time."""

_TEXTS: Final = (str, bytes, bytearray, memoryview)


def stream_of(records: Any, rules: Rules, *, source_format: str | None = None) -> RecordStream:
    """Make a stream from records, from the path of a file, or from a CSV's text or bytes.

    :param source_format: format of a file whose name does not show it
    :raises SourceError: it is none of these, or cannot be read
    """
    if names_a_file(records):
        _refuse_no_file(records)
        return from_file(lambda: _opened(records), rules, name=_shown(records), source_format=source_format)
    if isinstance(records, (list, tuple)) and records and all(_is_path(each) for each in records):
        raise SourceError(f"records is a list of {len(records)} paths: load the files one after the other")
    if is_text(records):
        data = bytes_of(records)
        return from_csv(lambda: io.BytesIO(data), rules, name="the CSV given")
    return from_source(records, rules, name="records")


def names_a_file(given: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Whether it names a file: a path object, or a text of one line, since a CSV with records has at least two."""
    if isinstance(given, str):
        return "\n" not in given and "\r" not in given
    return isinstance(given, os.PathLike) or (hasattr(given, "open") and hasattr(given, "suffix"))


def is_text(given: Any) -> bool:
    """Whether it is a CSV itself: text, bytes, or an open file of either. Ask :func:`names_a_file` first."""
    return isinstance(given, _TEXTS) or (hasattr(given, "read") and not isinstance(given, type))


def is_csv_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is sent unchanged: an uncompressed CSV, or a file of unknown format."""
    try:
        return format_of_name(str(path)) == "csv"
    except SourceError:
        return True


def file_body(path: str | os.PathLike[str]) -> Body:
    """Make a body from a file, which is read again each time it is sent.

    :raises SourceError: there is no such file
    """

    def chunks() -> Iterator[bytes]:
        with _opened(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    with _opened(path) as file:
        length = file.seek(0, io.SEEK_END)
    return Body(chunks, length, CONTENT_TYPE)


def bytes_of(given: Any) -> bytes:
    """Return the bytes of a CSV, see :func:`is_text`.

    :raises SourceError: it is none, it cannot be encoded, or the file cannot be read
    """
    if not is_text(given):
        raise SourceError(f"a CSV is given as text or bytes, or as an open file of either, not as {shown(given)}")
    text = given if isinstance(given, _TEXTS) else _read(given)
    if not isinstance(text, str):
        return bytes(text)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # From None: the error quotes the text.
        raise SourceError("the CSV contains half a surrogate pair, which is not a character") from None


def _read(file: Any) -> str | bytes | bytearray | memoryview:
    if getattr(file, "closed", False):
        raise SourceError("the file given as a CSV is closed")
    try:
        found = file.read()
    except (OSError, ValueError) as error:
        # From None: the error may quote what is in the file.
        raise SourceError(f"the file given as a CSV cannot be read: {type(error).__name__}") from None
    if not isinstance(found, _TEXTS):
        raise SourceError(f"the file given as a CSV gives {shown(found)} instead of text or bytes")
    return found


def threaded(records: AsyncIterable[Any], loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """Iterate over asynchronous records from another thread than their loop's."""
    source = aiter(records)

    async def following() -> list[Any]:
        taken: list[Any] = []
        async for record in source:
            taken.append(record)
            if len(taken) == _AT_A_TIME:
                break
        return taken

    while found := on_loop(following(), loop):
        yield from found


def _opened(path: str | os.PathLike[str]) -> BinaryIO:
    _refuse_no_file(path)
    try:
        return cast("BinaryIO", _openable(path).open("rb"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        # From None: the error quotes what was given, which may be a record and no path.
        raise SourceError(f"cannot read {_shown(path)}: {reason}. {_hint(path)}") from None


def _openable(path: str | os.PathLike[str]) -> Any:
    """Give a path its own method to open it, where it has one: a path of object storage is none of this machine."""
    if hasattr(path, "open") and not isinstance(path, Path):
        return path
    return Path(local_path(os.fspath(path), what="records"))


def _refuse_no_file(path: str | os.PathLike[str]) -> None:
    """Refuse what is there but is no file that can be read more than once. What is missing is said by what opens it."""
    if isinstance(path, str) and not path.strip():
        raise SourceError("the path of a file is an empty string")
    place = _openable(path)
    try:
        mode = place.stat().st_mode if isinstance(place, Path) else stat.S_IFREG
    except (OSError, ValueError):
        return
    if stat.S_ISDIR(mode):
        raise SourceError(f"cannot read {_shown(path)}: it is a folder. Name one of its files")
    if not stat.S_ISREG(mode):
        raise SourceError(
            f"cannot read {_shown(path)}: it is not a regular file, and could be read only once, if at all"
        )


def _hint(path: str | os.PathLike[str]) -> str:
    text = str(path)
    if is_uri(text):
        return "A text names a file of this machine: give an object that opens a URI, such as a UPath"
    if looks_like_a_path(text) and any(mark in text for mark in "*?["):
        return "A pattern is not looked up here: name one file"
    return "A CSV has a header line and records, and ids are given as a list"


def _is_path(given: object) -> bool:
    return names_a_file(given) and not (isinstance(given, str) and not looks_like_a_path(given))


def _shown(path: str | os.PathLike[str]) -> str:
    if not isinstance(path, str) or looks_like_a_path(path):
        return str(path)
    return f"a text of one line ({len(path)} characters), which names a file"
