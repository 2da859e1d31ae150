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
"""Maximum pages of a result: far more than one can have in seven days."""

MANY_LIST_PAGES: Final = 1_000
"""Maximum pages of a list of jobs, or of a list of pages: a million jobs; an org has some 100,000 in seven days."""

EMPTY_PAGES: Final = 20
"""Maximum empty pages in a row; our limit: a filtered list may have some."""


class CsvSink:
    """A sink that lets only CSV through: a web page with status 200 is a maintenance notice, not rows."""

    def __init__(self, inner: Sink) -> None:
        self._inner = inner

    def start(self, reply: Reply) -> None:
        """Check the reply's type.

        :raises ServerBusyError: it is a web page
        :raises ProtocolError: it is something else
        """
        kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        if is_html(reply):
            raise ServerBusyError("a web page instead of CSV, as during maintenance", status=reply.status)
        if kind != CSV:
            raise ProtocolError(f"a reply of type {kind[:40]!r} instead of {CSV}", status=reply.status)
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
    """Whether two ids of 15 or 18 characters are the same."""
    return short_id(one) == short_id(other)


def short_id(given: str) -> str:
    """Return the 15 characters that distinguish ids. The last three of 18 are a checksum."""
    return given[:15]


def locator_of(url: object, parameter: str, *, path: str) -> str:
    """Take the locator from a URL in a reply. Nothing else of the URL is used.

    :param parameter: the query parameter that has it
    :param path: pattern that the end of the URL's path must match
    :raises ProtocolError: the URL leads elsewhere, or does not have exactly one locator
    """
    if not isinstance(url, str):
        raise ProtocolError(f"expected a URL, not {type(url).__name__}")
    parts = urlsplit(url)
    if parts.scheme or parts.netloc or not re.search(f"{path}$", parts.path, re.IGNORECASE):
        raise ProtocolError("a reply's URL of the next page leads elsewhere")
    pairs = (pair.partition("=") for pair in parts.query.split("&"))
    found = [unquote(value) for name, _, value in pairs if name == parameter]
    if len(found) != 1:
        raise ProtocolError(f"a reply's URL of the next page has {parameter} {len(found)} times")
    return check_locator(found[0])


class Trail:
    """The pages read of one list or result: each leads on, none leads back, and few are empty.

    :param what: for the error
    :param most: pages at most
    """

    def __init__(self, what: str, most: int = MANY_PAGES) -> None:
        self._what = what
        self._most = most
        self._seen: set[str] = set()
        self._empty = 0

    def step(self, locator: str, entries: int) -> None:
        """Go from a page with this number of entries to the one at ``locator``.

        :raises ProtocolError: it was named before, or there is no end in sight
        """
        self._empty = 0 if entries else self._empty + 1
        if locator in self._seen:
            raise ProtocolError(f"{self._what}: a page was named twice, so it would never end")
        self._seen.add(locator)
        if self._empty > EMPTY_PAGES:
            raise ProtocolError(f"{self._what}: {self._empty} empty pages in a row, each naming another one")
        if len(self._seen) >= self._most:
            raise ProtocolError(f"{self._what}: no last page after {self._most} pages")
