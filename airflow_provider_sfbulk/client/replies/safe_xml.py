"""Reads XML from Salesforce without what makes XML dangerous: no document type, no entities, nothing external.

The result is an ordinary element tree. A reply is at most ``effects.REPLY_BYTES`` long, and without entities a tree is
only a small multiple of its text. Deeply nested XML, which would exhaust the stack of code that walks it, is refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final, Protocol
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"
"""The attribute that marks a null."""

MOST_LEVELS: Final = 32
"""Maximum depth; our limit. A row with parents of parents has some eight levels."""


MOST_ELEMENTS: Final = 250_000
"""Maximum elements of a document that is read as a whole; our limit. They take some 60 MB. A list of 10,000 batches
has 130,000."""


class MalformedXmlError(ValueError):
    """Bytes that are not XML, or XML of the dangerous kind. The message never quotes them."""


class Readable(Protocol):
    """A file to read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Read the next bytes."""


def parse(data: bytes, most: int = MOST_ELEMENTS) -> Element:
    """Read a whole document and return its root element.

    :param most: maximum elements
    :raises MalformedXmlError: it is not XML, was cut, or contains what is not allowed
    """
    if data.count(b"<") > 2 * most:  # each has two tags; counting is cheap
        raise MalformedXmlError(f"XML of more than {most} elements")
    root: Element | None = None
    for element in ends(io.BytesIO(data)):
        root = element
    if root is None:
        raise MalformedXmlError("no XML element")
    return root


def ends(file: Readable) -> Iterator[Element]:
    """Read a document and yield each element when it ends, the root last.

    To keep memory constant, clear elements once they are used.

    :raises MalformedXmlError: as :func:`parse`, when the place is reached
    """
    level = 0
    try:
        events = ElementTree.iterparse(
            file, events=("start", "end"), forbid_dtd=True, forbid_entities=True, forbid_external=True
        )
        for event, element in events:
            level += 1 if event == "start" else -1
            if level > MOST_LEVELS:
                raise MalformedXmlError(f"more than {MOST_LEVELS} elements inside each other")
            if event == "end":
                yield element
    except DefusedXmlException as error:
        raise MalformedXmlError("a document type or an entity, which Salesforce never sends") from error
    except ParseError as error:
        # Not chained: its text may quote what it stumbled over.
        line, column = error.position
        raise MalformedXmlError(f"not whole XML: it breaks off at line {line}, column {column}") from None
    except (ValueError, LookupError) as error:
        if isinstance(error, MalformedXmlError):
            raise
        raise MalformedXmlError("XML in a character set that cannot be read") from None


def local_name(element: Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def element_text(element: Element) -> str | None:
    """Return an element's text; None for a null."""
    if element.get(NIL, "").strip() in ("true", "1"):
        return None
    return element.text or ""


def texts_of(parent: Element) -> dict[str, str]:
    """Return the texts of an element's children by name, without nulls. The first counts when a name is repeated."""
    found: dict[str, str] = {}
    for child in parent:
        text = element_text(child)
        if text is not None:
            found.setdefault(local_name(child), text)
    return found
