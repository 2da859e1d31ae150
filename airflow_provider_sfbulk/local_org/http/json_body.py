"""JSON from callers. Whatever is sent, it is read or it is a :class:`ValueError`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def read_json(body: bytes, *, number: Callable[[str], Any] | None = None) -> Any:
    """Return what a body in UTF-8 says.

    :param number: makes something of a number as it was written; without it numbers are Python's
    :raises ValueError: for what is no JSON, is nested too deeply, or has half a character (``"\\ud800"``), which no UTF-8
        can write
    """
    text = body.decode()
    try:
        read = json.loads(text, parse_int=number, parse_float=number, parse_constant=_no_number)
        if "\\ud" in text.lower():
            json.dumps(read, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return read


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
