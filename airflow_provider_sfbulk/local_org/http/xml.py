"""XML from callers, read without what makes XML dangerous: no document type, no entities, nothing from elsewhere. And XML
that the org writes, as text.
"""

from __future__ import annotations

import re
from typing import Final
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException, ElementTree

NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"
"""The attribute that says null."""


class MalformedXmlError(ValueError):
    """A body that is not XML, or XML of the dangerous kind; the text says which."""


def parse(body: bytes) -> Element:
    """Return the root element of a body.

    :raises MalformedXmlError: when there is none, or a document type, an entity or a reference to another file
    """
    try:
        root = ElementTree.fromstring(body, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise MalformedXmlError("a document type is not allowed here") from error
    except (ParseError, ValueError, LookupError) as error:
        raise MalformedXmlError(str(error)) from error
    return root


def local_name(element: Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def namespace(element: Element) -> str:
    """Return an element's namespace, or nothing."""
    return str(element.tag)[1:].partition("}")[0] if str(element.tag).startswith("{") else ""


def is_nil(element: Element) -> bool:
    """Whether the element says null."""
    return element.get(NIL, "").strip() in ("true", "1")


# --- written ---

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'

_ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 cannot have in any spelling."""


def text(value: str) -> str:
    """Write text. Characters that XML cannot have become question marks, for what Salesforce does is not known."""
    return escape(_ILLEGAL.sub("?", value), {"\r": "&#13;"})


def element(name: str, value: str) -> str:
    """Write an element that holds text."""
    return f"<{name}>{text(value)}</{name}>"
