"""Paths of files on this machine, as people write them: also as a ``file:`` URI, or from the home folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from airflow_provider_sfbulk.client.errors import SourceError

_LIKE_A_PATH: Final = re.compile(r"[^\x00-\x1f,;|]{0,240}(?:[/\\][^\x00-\x1f,;|]{1,100}|\.[A-Za-z]\w{0,9})")

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How a URI begins, also one whose slashes a ``Path`` has folded."""


def is_uri(text: str) -> bool:
    """Whether a text is a URI, not the path of a file."""
    return _URI.match(text) is not None


def looks_like_a_path(text: str) -> bool:
    """Whether a text has a folder or a suffix, and may be shown in a message. Anything else may be a value of a record."""
    return _LIKE_A_PATH.fullmatch(text) is not None


def local_path(text: str, *, what: str) -> str:
    """Return the path that a text names; other texts stay as they are.

    :param what: what the path is, for messages
    :raises SourceError: a ``file:`` URI that names another machine
    """
    found = of_file_uri(text, what=what)
    return os.path.expanduser(text) if found is None else found  # noqa: PTH111 - it stays as it was given otherwise


def of_file_uri(text: str, *, what: str) -> str | None:
    """Return the path of a ``file:`` URI; None for any other text.

    Such a URI is percent-encoded, as ``Path.as_uri()`` writes it, so a name that does not exist as written is decoded.

    :param what: what the path is, for messages
    :raises SourceError: it names another machine
    """
    if not text.lower().startswith(("file:/", "local:/")):
        return None
    rest = text.partition(":")[2]
    if not rest.startswith("//"):
        return _decoded(rest)
    host, slash, path = rest[2:].partition("/")
    if host.lower() not in ("", "localhost") or not slash:
        raise SourceError(
            f"{what}: file://{rest[2:].rpartition('@')[2]} names a host; a path on this machine is file:///… with three "
            "slashes, or just the path"
        )
    return _decoded(f"/{path}")


def _decoded(path: str) -> str:
    """Decode the path of a ``file:`` URI, unless it, or its folder, exists as written."""
    decoded = unquote(path)
    if decoded == path or "\0" in decoded or os.path.lexists(path):
        return path
    return path if not os.path.lexists(decoded) and "%" in path and _has_written_folder(path) else decoded


def _has_written_folder(path: str) -> bool:
    folder = os.path.dirname(path)  # noqa: PTH120 - text in, text out
    return "%" in folder and unquote(folder) != folder and Path(folder).is_dir()
