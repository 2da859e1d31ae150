"""XML from Salesforce, read without what makes XML dangerous: no document type, no entities, nothing from elsewhere.

What was read is an ordinary element tree. A reply is at most ``wire.REPLY_BYTES`` long, and without entities a tree is
no more than a small multiple of its text. Deeply nested XML, which would exhaust the stack of who walks it, is refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final, Protocol
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"
"""The attribute that says null."""

MOST_LEVELS: Final = 32
"""Elements inside each other at most. Ours: a row with parents of parents has some eight."""


MOST_ELEMENTS: Final = 250_000
"""Elements of a document that is read as a whole. Ours; they take some 60 MB. A list of 10,000 batches has 130,000."""


class MalformedXmlError(ValueError):
    """Bytes that are no XML, or XML of the dangerous kind. The text never quotes them."""


class Readable(Protocol):
    """A file to read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Read the next bytes."""


def parse(data: bytes, most: int = MOST_ELEMENTS) -> Element:
    """Read a whole document and return its root element.

    :param most: elements in it
    :raises MalformedXmlError: it is none, was cut, or has what is not allowed
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
    """Read a document and give each element when it ends, the root last.

    Whoever wants memory not to grow clears the elements it is done with.

    :raises MalformedXmlError: as :func:`parse`, once the reading comes there
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
    """Give an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def element_text(element: Element) -> str | None:
    """Give an element's text; None when it says null."""
    if element.get(NIL, "").strip() in ("true", "1"):
        return None
    return element.text or ""


def texts_of(parent: Element) -> dict[str, str]:
    """Give the texts of an element's children by their names, null ones left out. Of a repeated name the first counts."""
    found: dict[str, str] = {}
    for child in parent:
        text = element_text(child)
        if text is not None:
            found.setdefault(local_name(child), text)
    return found
