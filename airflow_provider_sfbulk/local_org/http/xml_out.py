"""XML that the org writes, as text."""

from __future__ import annotations

import re
from typing import Final
from xml.sax.saxutils import escape

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'

_ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 cannot have in any spelling."""


def text(value: str) -> str:
    """Write text. Characters that XML cannot have become question marks, for what Salesforce does is not known."""
    return escape(_ILLEGAL.sub("?", value), {"\r": "&#13;"})


def element(name: str, value: str) -> str:
    """Write an element that holds text."""
    return f"<{name}>{text(value)}</{name}>"
