"""What the lines of the table are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

JSON, CSV, XML, HTML = "application/json", "text/csv", "application/xml", "text/html"
JOB_ID: Final = "7508d000003QaLpAAK"
HUGE: Final = 10**5_000
HALF: Final = "\ud800"
"""Half of a character."""


@dataclass(frozen=True)
class Answer:
    """A reply, as a line of the table has it."""

    status: int
    kind: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)


Line = tuple[str, str, tuple[Any, ...], str]


def closed() -> BytesIO:
    file = BytesIO(b"Name\na\n")
    file.close()
    return file
