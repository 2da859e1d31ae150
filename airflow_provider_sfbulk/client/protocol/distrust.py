"""Checks of what replies say before anything relies on it: types, ids, and the locators inside URLs."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

from airflow_provider_sfbulk.client.effects import Reply, Sink
from airflow_provider_sfbulk.client.errors import ProtocolError, ServerBusyError
from airflow_provider_sfbulk.client.models import check_locator
from airflow_provider_sfbulk.client.protocol.call import CSV
from airflow_provider_sfbulk.client.replies.refusal import is_html

MANY_PAGES: Final = 100_000
"""Pages of a result at most: far more than one of seven days can fill."""

MANY_LIST_PAGES: Final = 1_000
"""Pages of a list of jobs at most, or of a list of pages: a million jobs; an org has some 100,000 in seven days."""

EMPTY_PAGES: Final = 20
"""Empty pages in a row, at most. Ours: a list that is filtered may have some."""


class CsvSink:
    """A sink that lets only CSV through: a web page with status 200 is a maintenance notice, not rows."""

    def __init__(self, inner: Sink) -> None:
        self._inner = inner

    def start(self, reply: Reply) -> None:
        """Look at the reply's type.

        :raises ServerBusyError: it is a web page
        :raises ProtocolError: it is something else
        """
        kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        if is_html(reply):
            raise ServerBusyError("a web page where CSV is due, as in a maintenance", status=reply.status)
        if kind != CSV:
            raise ProtocolError(f"a reply of type {kind[:40]!r} where {CSV} is due", status=reply.status)
        self._inner.start(reply)

    def write(self, data: bytes) -> None:
        """Pass on."""
        self._inner.write(data)

    def finish(self) -> None:
        """Pass on."""
        self._inner.finish()

    def discard(self) -> None:
        """Pass on."""
        self._inner.discard()


def same_id(one: str, other: str) -> bool:
    """Whether two ids are the same, of 15 or 18 characters."""
    return short_id(one) == short_id(other)


def short_id(given: str) -> str:
    """Give the 15 characters that distinguish ids. The last three of 18 are a checksum."""
    return given[:15]


def locator_of(url: object, parameter: str, *, path: str) -> str:
    """Take the locator out of a URL of a reply. Nothing else of the URL is ever used.

    :param parameter: its query parameter
    :param path: pattern of the end that the URL's path must have
    :raises ProtocolError: the URL leads elsewhere, or has no locator or several
    """
    if not isinstance(url, str):
        raise ProtocolError(f"a URL is due, not {type(url).__name__}")
    parts = urlsplit(url)
    if parts.scheme or parts.netloc or not re.search(f"{path}$", parts.path, re.IGNORECASE):
        raise ProtocolError("a reply's URL of the next page leads elsewhere")
    pairs = (pair.partition("=") for pair in parts.query.split("&"))
    found = [unquote(value) for name, _, value in pairs if name == parameter]
    if len(found) != 1:
        raise ProtocolError(f"a reply's URL of the next page has {len(found)} times {parameter}")
    return check_locator(found[0])


class Trail:
    """The pages of one list or result that were read: each leads on, none back, and few are empty.

    :param what: for the error
    :param most: pages at most
    """

    def __init__(self, what: str, most: int = MANY_PAGES) -> None:
        self._what = what
        self._most = most
        self._seen: set[str] = set()
        self._empty = 0

    def step(self, locator: str, entries: int) -> None:
        """Go on from a page with so many entries to the one at ``locator``.

        :raises ProtocolError: it was named before, or there is no end to be seen
        """
        self._empty = 0 if entries else self._empty + 1
        if locator in self._seen:
            raise ProtocolError(f"{self._what}: a page was named twice, so it would never end")
        self._seen.add(locator)
        if self._empty > EMPTY_PAGES:
            raise ProtocolError(f"{self._what}: {self._empty} empty pages in a row, and each names another one")
        if len(self._seen) >= self._most:
            raise ProtocolError(f"{self._what}: no last page after {self._most} pages")
