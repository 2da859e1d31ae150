"""Records durably which pages of a query job are finished: a retry fetches only the others.

A try may use a page of an earlier try if the page has the same rows in the same form. Everything that this depends on
(job, paging mode, column types, and what the caller adds: format, folder) is hashed into a short text, the *setup*. The
setup is part of every entry and of the files' names: pages of two setups never mix, and two processes that write the
same name write the same bytes.

Layout, each key written once by a try and under ``1.<job>``: a user may name another job for the next try, or run two
queries in one.

====================  ================================================================================================
``header.<doubts>``   the header row, the same for all pages: kept once, since it is the one long thing here. Names of
                      columns are no secret
``wide.<n>``          a column that a value did not fit
``doubt.<n>``         all pages were given up because they did not fit together
``shown.<setup>``     the files of this setup were about to be shown
``<setup>.<index>``   a finished page: ``locator``, ``next``, ``in_order``, ``records``, and what the caller says of its
                      file
====================  ================================================================================================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from itertools import count
from typing import Any, Final, Protocol

from airflow_provider_sfbulk.client.csv.dialect import dialect_of
from airflow_provider_sfbulk.client.effects import Flow, ReadEntry, WriteEntry
from airflow_provider_sfbulk.client.errors import LedgerError, ProtocolError, Remedy
from airflow_provider_sfbulk.client.extract.pages import Page
from airflow_provider_sfbulk.client.models import JobInfo, check_locator
from airflow_provider_sfbulk.client.results.downloads import columns_of
from airflow_provider_sfbulk.client.results.schema import ColumnType

_SETUP_DIGITS: Final = 8
"""Hexadecimal digits of a setup: enough to distinguish the few setups of one task."""

_LONGEST_GAP: Final = 25
"""So many missing pages in a row are the end. Between finished pages lie only those that were being read at the same
time; were they more, some finished pages would be read again."""


class PageFiles(Protocol):
    """Where the finished pages are: what the ledger says of a page must be true of its file."""

    def finished(self, index: int, /) -> Mapping[str, Any]:
        """Return what to remember of the file of a page that has just been finished, JSON."""

    def restore(self, page: Page, kept: Mapping[str, Any], setup: str, /, *, published: bool) -> bool:
        """Take over an earlier try's file, as :meth:`finished` described it; False when it is gone or not whole.

        :param published: whether that try may have given it its final name
        """


class PageLedger:
    """What is remembered of the pages of one job.

    :param setup: what the form of the files depends on, JSON
    """

    def __init__(self, job: JobInfo, files: PageFiles, *, setup: Mapping[str, Any]) -> None:
        self.setup = ""
        """The setup of the pages being fetched; known once begun."""
        self.types: tuple[ColumnType, ...] = ()
        """Types of the columns of the pages being fetched; none when the rows stay text."""
        self._job = job
        self._files = files
        self._given = dict(setup)
        self._doubts = 0
        self._widened: list[str] = []
        self._header = b""

    def open(self) -> Flow[None]:
        """Read what is known of the job. Comes first."""
        while (yield ReadEntry(self._key("doubt", self._doubts))) is not None:
            self._doubts += 1
        while (wide := (yield ReadEntry(self._key("wide", len(self._widened))))) is not None:
            self._widened.append(wide["column"])
        known = yield ReadEntry(self._key("header", self._doubts))
        self._header = known["row"].encode() if known else b""

    @property
    def columns(self) -> tuple[str, ...]:
        """The result's columns; empty when no page has been read."""
        return columns_of(self._header, dialect_of(self._job)) if self._header else ()

    @property
    def widened(self) -> Sequence[str]:
        """Columns that do not fit their described type."""
        return tuple(self._widened)

    def widen(self, column: str) -> Flow[None]:
        """Remember that a column does not fit its described type."""
        yield WriteEntry(self._key("wide", len(self._widened)), {"column": column})
        self._widened.append(column)

    def begin(self, types: Sequence[ColumnType], *, paging: Mapping[str, Any]) -> Flow[list[Page]]:
        """Find the finished pages, those whose files are there.

        :param types: of the columns; none when the rows stay text
        :param paging: what decides where pages begin and end
        """
        self.types = tuple(types)
        form = [self._job.id, self._given, dict(paging), [astuple(each) for each in types], self._doubts]
        self.setup = hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()[:_SETUP_DIGITS]
        published = (yield ReadEntry(self._key("shown", self.setup))) is not None
        found: list[Page] = []
        missing = 0
        for index in count():
            entry = yield ReadEntry(self._key(self.setup, index))
            missing = 0 if entry is not None else missing + 1
            if missing == _LONGEST_GAP:
                break
            if entry is not None:
                page = _page_of(entry, index, self._header)
                if self._files.restore(page, entry["file"], self.setup, published=published):
                    found.append(page)
        return found

    def note(self, page: Page) -> Flow[None]:
        """Remember a finished page. May run several times at once; until one has noted the header row, each notes it: a
        page's entry must never be there without it.

        :raises FencedError: a newer try has taken over
        """
        if page.header != self._header:
            yield WriteEntry(self._key("header", self._doubts), {"row": page.header.decode()})
            self._header = page.header
        entry = {
            "locator": page.locator,
            "next": page.next_locator,
            "in_order": page.in_order,
            "records": page.records,
            "file": dict(self._files.finished(page.index)),
        }
        yield WriteEntry(self._key(self.setup, page.index), entry)

    def forget(self) -> Flow[None]:
        """Let the next try begin the pages anew: those that were read do not fit together."""
        yield WriteEntry(self._key("doubt", self._doubts), {})
        self._doubts, self._header = self._doubts + 1, b""

    def publish(self) -> Flow[None]:
        """Remember that the files are about to get their final names: all pages are finished.

        :raises FencedError: a newer try has taken over, and this one must not touch the folder any more
        """
        yield WriteEntry(self._key("shown", self.setup), {})

    def _key(self, what: str, number: int | str) -> str:
        return f"1.{self._job.id}.{what}.{number}"


def _page_of(entry: Mapping[str, Any], index: int, header: bytes) -> Page:
    """Read an entry.

    :raises LedgerError: when it is none of ours
    """
    try:
        records = entry["records"]
        if not isinstance(records, int) or not isinstance(entry["file"], Mapping) or not header:
            raise TypeError("not an entry of a finished page")
        return Page(
            index=index,
            locator=None if entry["locator"] is None else check_locator(entry["locator"]),
            next_locator=None if entry["next"] is None else check_locator(entry["next"]),
            records=records,
            header=header,
            in_order=bool(entry["in_order"]),
        )
    except (KeyError, TypeError, ProtocolError) as error:
        raise LedgerError(f"the ledger's entry for page {index} cannot be read", remedy=Remedy.BEGIN_ANEW) from error
