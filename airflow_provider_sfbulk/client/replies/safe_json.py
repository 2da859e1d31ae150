"""Reads JSON from Salesforce without what makes JSON dangerous: small texts that become huge trees, and infinite numbers.

30 MB of ``[]`` take a gigabyte of memory; a list page of 1,000 jobs has 1,001 lists and objects, the describe of an
object with 800 fields and long picklists some ten thousand.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

MOST_CONTAINERS: Final = 250_000
"""Maximum lists and objects in one reply; our limit. They take some 60 MB."""


class MalformedJsonError(ValueError):
    """Bytes that are not JSON, or JSON that Salesforce never sends. The message never quotes them."""


def parse(data: bytes) -> Any:
    """Read a whole document.

    :raises MalformedJsonError: it is not JSON, was cut, or contains what is not allowed
    """
    if data.count(b"[") + data.count(b"{") > MOST_CONTAINERS:
        raise MalformedJsonError(f"JSON of more than {MOST_CONTAINERS} lists and objects")
    try:
        return json.loads(data, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        # From None: the error quotes the text. ValueError is also a number of more digits than Python reads.
        raise MalformedJsonError("no whole JSON") from None


def _finite(text: str) -> float:
    """Read a number. ``1e999`` would be infinite, which no code expects in JSON."""
    number = float(text)
    return number if math.isfinite(number) else _no_number(text[:20])


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
