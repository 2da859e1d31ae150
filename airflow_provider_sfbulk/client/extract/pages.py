"""The results of a query job: page after page, or several at once. Each page is verified before the next one is trusted.

Facts (Bulk API 2.0 guide, "Get Results for a Query Job" and "Get Parallel Results"; replies captured by clients):

- a page has the headers ``Sforce-Locator`` (the four letters ``null`` on the last) and ``Sforce-NumberOfRecords``;
- every page begins with the header row, and may be read again from its own locator while the job exists;
- ``resultPages`` names up to five pages an answer; since API version 58.0.

Theory. A cut reply may look whole, so a page counts only when its header row is the first page's and when its sink
says so (sinks count the records, see ``Sforce-NumberOfRecords`` in the reply they are started with); and all pages
together must have as many records as the job says. A page that fails is read again from its own locator.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.effects import Concurrently, Flow, Reply, Sink
from airflow_provider_sfbulk.client.errors import ProtocolError, TransportError
from airflow_provider_sfbulk.client.models import (
    RECORDS_HEADER,
    JobInfo,
    check_id,
    check_locator,
    read_count,
)
from airflow_provider_sfbulk.client.protocol.call import CSV, ApiCall, call_object, fetch
from airflow_provider_sfbulk.client.protocol.distrust import MANY_LIST_PAGES, CsvSink, Trail, locator_of
from airflow_provider_sfbulk.client.protocol.jobs import QueryCalls
from airflow_provider_sfbulk.client.protocol.retry import DOWNLOAD, repeat

LOCATOR_HEADER: Final = "sforce-locator"
_LAST: Final = "null"
_HEADER_BYTES: Final = limits.HEADER_CHARACTERS * 8
"""Bytes of a header row at most: quotes and UTF-8 make it longer than its names."""


@dataclass(frozen=True)
class Page:
    """One page that has been fetched and proven.

    :param index: from 0, in the result's order
    :param locator: where it begins; None for the first page of a result read in order
    :param next_locator: where the next one begins; None after the last, and when pages are read at once
    :param records: records in it
    :param header: its header row, as sent, without line ending
    :param in_order: whether it was read in order; pages of the two ways begin and end elsewhere
    """

    index: int
    locator: str | None
    next_locator: str | None
    records: int
    header: bytes
    in_order: bool = True


MakeSink = Callable[[int], Sink]
"""Gives the sink of the page with that index."""


def pages(
    jobs: QueryCalls,
    job: JobInfo,
    make_sink: MakeSink,
    *,
    max_records: int | None = None,
    at_once: int = 1,
    done: Sequence[Page] = (),
    on_page: Callable[[Page], Flow[None]] | None = None,
) -> Flow[list[Page]]:
    """Fetch all pages of a job that is ``JobComplete``.

    :param at_once: pages read at the same time; 1 reads them in order, by locator
    :param done: pages that were fetched and kept by an earlier try, by index: they are not fetched again, and decide
        whether the rest is read in order. Some may be missing; one that is not where it was named is read again
    :param on_page: is run after each page, to note it; with ``at_once`` several run at the same time
    :return: all pages, those of ``done`` too
    :raises ProtocolError: pages repeat, or their records do not add up to the job's
    """
    jobs = jobs.at(job.api_version)
    together = at_once > 1 and float(jobs.api_version) >= float(limits.OLDEST_RESULT_PAGES_API_VERSION)
    if done:
        together = not done[0].in_order
    reader = _Reader(jobs, job.id, make_sink, on_page)
    locators: list[str] = []
    if together:
        locators = yield from result_pages(jobs, job.id)
    if locators:
        found = yield from reader.at_once(locators, max(1, at_once), done)
    else:
        found = yield from reader.in_order(max_records, done)
    if job.number_records_processed is None:
        job = yield from jobs.get(job.id)
    check_total(job, found)
    return found


def check_total(job: JobInfo, found: Sequence[Page]) -> None:
    """Compare the records of all pages with what the job says.

    :raises ProtocolError: they differ
    """
    total = sum(page.records for page in found)
    if total != job.number_records_processed:
        raise ProtocolError(
            f"query job {job.id}: its {len(found)} pages have {total} records, but the job counts "
            f"{job.number_records_processed}",
            job_id=job.id,
        )


def result_pages(jobs: QueryCalls, job_id: str) -> Flow[list[str]]:
    """Ask for the locators of all pages of a finished job, in order.

    :raises ProtocolError: the list contains a page twice
    """
    path = jobs.path(check_id(job_id), "resultPages")
    found: list[str] = []
    seen: set[str] = set()
    query: tuple[tuple[str, str], ...] = ()
    trail = Trail(f"query job {job_id}", MANY_LIST_PAGES)
    while True:
        api = ApiCall("GET", path, query=query, job_id=job_id)
        data = yield from repeat(partial(call_object, api))
        named = list(_page_locators(data, job_id))
        for locator in named:
            if locator in seen:
                raise ProtocolError(f"query job {job_id}: the list contains a page twice", job_id=job_id)
            seen.add(locator)
        found += named
        if data.get("done") is not False:
            return found
        # The reference's table and its sample spell this key differently.
        url = data.get("nextRecordsUrl") or data.get("nextRecordUrl")
        following = locator_of(url, "locator", path=f"/jobs/query/{job_id[:15]}[0-9A-Za-z]{{0,3}}/resultPages/?")
        trail.step(following, len(named))
        query = (("locator", following),)


def fetch_page(
    jobs: QueryCalls,
    job_id: str,
    sink: Sink,
    *,
    index: int = 0,
    locator: str | None = None,
    max_records: int | None = None,
    header: HeaderRow | None = None,
    in_order: bool = True,
) -> Flow[Page]:
    """Fetch one page into ``sink``, again from its beginning while it comes in pieces.

    :param header: of the job's pages, which this page's must equal
    :param in_order: whether the page must name the next one
    :raises TransportError: no whole page came
    """
    query = []
    if locator is not None:
        query.append(("locator", check_locator(locator)))
    if max_records is not None:
        query.append(("maxRecords", str(max_records)))
    path = jobs.path(check_id(job_id), "results")
    api = ApiCall("GET", path, query=tuple(query), accept=CSV, job_id=job_id)

    row = header or HeaderRow()

    def attempt() -> Flow[Page]:
        proven = PageSink(sink, header=row.known, in_order=in_order)
        reply = yield from fetch(api, proven)
        if reply.status != 200:
            raise TransportError(
                f"GET {path}: status {reply.status} instead of a page", status=reply.status, job_id=job_id
            )
        row.agree(proven.header)
        following = proven.next_locator if in_order else None
        return Page(index, locator, following, proven.records, proven.header, in_order)

    return repeat(attempt, DOWNLOAD)


def next_page(
    jobs: QueryCalls, job_id: str, sink: Sink, before: Sequence[Page], locator: str | None, *, max_records: int | None
) -> Flow[Page]:
    """Fetch the page that follows those ``before``, for callers who read page by page.

    :raises ProtocolError: they lead back, or to no end
    """
    trail = Trail(f"query job {job_id}")
    for page in before:
        if page.next_locator is not None:
            trail.step(page.next_locator, page.records)
    header = HeaderRow(before[0].header if before else None)
    return fetch_page(jobs, job_id, sink, index=len(before), locator=locator, max_records=max_records, header=header)


_OTHER_HEADER: Final = "a page of results has another header line than the others"


class OtherHeaderError(TransportError):
    """A page's header row is not that of the pages before. Mostly this page is wrong; when it stays so, they may be."""


class HeaderRow:
    """The header row of a job's pages: that of the first one that is proven. May be used by several threads.

    :param known: the row, when a page was proven before
    """

    def __init__(self, known: bytes | None = None) -> None:
        self._lock = threading.Lock()
        self.known = known

    def agree(self, header: bytes) -> None:
        """Take a proven page's header row.

        :raises OtherHeaderError: it is another one
        """
        with self._lock:
            if self.known is None:
                self.known = header
            if header != self.known:
                raise OtherHeaderError(_OTHER_HEADER)


class PageSink(CsvSink):
    """A sink that lets only a page of query results through.

    :param header: the header row it must have, or None when it is the first page
    """

    def __init__(self, inner: Sink, *, header: bytes | None, in_order: bool) -> None:
        super().__init__(inner)
        self._wanted = header
        self._in_order = in_order
        self._seen = b""
        self.records = 0
        self.next_locator: str | None = None

    @property
    def header(self) -> bytes:
        """The header row, without line ending."""
        return self._seen.partition(b"\n")[0].rstrip(b"\r")

    def start(self, reply: Reply) -> None:
        """Read the page's own headers.

        :raises TransportError: one is missing, so this is not a page
        """
        self._seen = b""
        number = read_count(reply.headers.get(RECORDS_HEADER, ""))
        if number is None:
            super().start(reply)  # says it if this is not even CSV
            raise TransportError("a page of results without Sforce-NumberOfRecords")
        self.records = number
        locator = reply.headers.get(LOCATOR_HEADER, "").strip()
        if self._in_order and not locator:
            raise TransportError("a page of results without Sforce-Locator")
        self.next_locator = None if locator.lower() in ("", _LAST) else check_locator(locator)
        super().start(reply)

    def write(self, data: bytes) -> None:
        """Pass on, and keep the header row."""
        if b"\n" not in self._seen and len(self._seen) < _HEADER_BYTES:
            self._seen += data[:_HEADER_BYTES]
        super().write(data)

    def finish(self) -> None:
        """Compare the header rows, then let ``inner`` judge.

        :raises TransportError: there is no header row
        :raises OtherHeaderError: it is not the first page's
        """
        if not self.header:
            raise TransportError("a page of results without a header line")
        if self._wanted is not None and self.header != self._wanted:
            raise OtherHeaderError(_OTHER_HEADER)
        super().finish()


@dataclass(frozen=True)
class _Reader:
    """Reads the pages of one job that an earlier try did not."""

    jobs: QueryCalls
    job_id: str
    make_sink: MakeSink
    on_page: Callable[[Page], Flow[None]] | None

    def in_order(self, max_records: int | None, done: Sequence[Page]) -> Flow[list[Page]]:
        kept = {page.index: page for page in done if page.in_order}
        header = HeaderRow(next((page.header for page in kept.values()), None))
        found: list[Page] = []
        trail = Trail(f"query job {self.job_id}")
        locator: str | None = None
        for index in count():
            page = kept.get(index)
            if page is None or page.locator != locator:
                page = yield from self._page(index, locator, header, max_records=max_records)
            found.append(page)
            locator = page.next_locator
            if locator is None:
                return found
            trail.step(locator, page.records)
        raise AssertionError("unreachable: count() has no end")

    def at_once(self, locators: Sequence[str], limit: int, done: Sequence[Page]) -> Flow[list[Page]]:
        places = list(enumerate(locators))
        kept = {(page.index, page.locator): page for page in done if not page.in_order}
        found = [kept[place] for place in places if place in kept]
        # All pages at once: whichever is proven first, the others must have its header row.
        header = HeaderRow(found[0].header if found else None)
        found += yield Concurrently(
            (self._page(*place, header, in_order=False) for place in places if place not in kept), limit
        )
        return sorted(found, key=lambda page: page.index)

    def _page(
        self,
        index: int,
        locator: str | None,
        header: HeaderRow,
        *,
        max_records: int | None = None,
        in_order: bool = True,
    ) -> Flow[Page]:
        page = yield from fetch_page(
            self.jobs,
            self.job_id,
            self.make_sink(index),
            index=index,
            locator=locator,
            max_records=max_records,
            header=header,
            in_order=in_order,
        )
        if self.on_page is not None:
            yield from self.on_page(page)
        return page


def _page_locators(data: dict[str, object], job_id: str) -> Iterator[str]:
    entries = data.get("resultPages")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ProtocolError(f"query job {job_id}: a list of pages without resultPages", job_id=job_id)
    for entry in entries:
        yield locator_of(
            entry.get("resultUrl"), "locator", path=f"/jobs/query/{job_id[:15]}[0-9A-Za-z]{{0,3}}/results/?"
        )
