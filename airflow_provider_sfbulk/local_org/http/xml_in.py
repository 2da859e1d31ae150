"""XML from callers, read without what makes XML dangerous: no document type, no entities, nothing from elsewhere."""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"
"""The attribute that says null."""


class MalformedXmlError(ValueError):
    """A body that is no XML, or XML of the dangerous kind; the text says which."""


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
