"""``/query`` and ``/queryAll``: records page by page.

All of a query's records are read in one moment. Those beyond the first page wait in a file, from which any page of the
cursor is cut, so that memory does not grow with their number and later changes do not show.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.http.replies import ApiError
from airflow_provider_sfbulk.local_org.rest.ask import Answer, Ask
from airflow_provider_sfbulk.local_org.rest.compile import RestQuery, compile_rest
from airflow_provider_sfbulk.local_org.rest.run import Record, Runner
from airflow_provider_sfbulk.local_org.soql import SoqlError

LEAST: Final = 200
MOST: Final = 2_000
"""Records of a page: "the minimum is 200, and the maximum is 2,000"."""

_OFFSET_BYTES: Final = 8


def query(ask: Ask) -> Answer:
    """``GET /query?q=``."""
    return _first_page(ask, include_deleted=False)


def query_all(ask: Ask) -> Answer:
    """``GET /queryAll?q=``: with what lies in the recycle bin."""
    return _first_page(ask, include_deleted=True)


def more(ask: Ask) -> Answer:
    """``GET /query/01g…-2000``: a further page."""
    cursor, _, start = ask.parts["locator"].rpartition("-")
    path = _path(ask.core, cursor)
    if path is None:
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    total = path.with_suffix(".offsets").stat().st_size // _OFFSET_BYTES - 1
    if int(start) > total:
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    end = min(total, int(start) + _page_records(ask))
    return _page(ask, total, _slice(path, int(start), end), cursor, end)


def compiled(ask: Ask, soql: str, *, include_deleted: bool = False) -> RestQuery:
    """Compile a query.

    :raises ApiError: when Salesforce would refuse it
    """
    core = ask.core
    try:
        return compile_rest(
            soql,
            core.schema,
            now=core.clock.now(),
            user_id=core.credentials.user_id,
            include_deleted=include_deleted,
        )
    except SoqlError as error:
        raise ApiError(400, error.error_code, error.message) from error


def records_of(ask: Ask, soql: str, *, include_deleted: bool = False) -> list[Record]:
    """Return all records of a query that is known to have few. Sees what an open transaction of this thread wrote."""
    core = ask.core
    with core.store.lock:
        runner = Runner(core.store.writer, core.schema, ask.version)
        return list(itertools.chain.from_iterable(runner.records(compiled(ask, soql, include_deleted=include_deleted))))


def _first_page(ask: Ask, *, include_deleted: bool) -> Answer:
    if "explain" in ask.query:
        raise ApiError(400, "FUNCTIONALITY_NOT_ENABLED", "The local org has no query plans")
    found = compiled(ask, ask.query.get("q", ""), include_deleted=include_deleted)
    core = ask.core
    with core.store.looking() as connection:
        runner = Runner(connection, core.schema, ask.version)
        if found.is_count:
            return Answer({"totalSize": runner.count(found), "done": True, "records": []})
        records = itertools.chain.from_iterable(runner.records(found))
        size = _page_records(ask)
        page = list(itertools.islice(records, size))
        following = next(records, None)
        if following is None:
            return _page(ask, len(page), page, "", len(page))
        if found.id_place is None:
            message = (
                "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch"
            )
            raise ApiError(400, "EXCEEDED_ID_LIMIT", message)
        cursor = next(ids.make("01g", core.store.next_number("01g", 1) + 1, 1))
        total = _keep(core, cursor, itertools.chain(page, [following], records))
    return _page(ask, total, page, cursor, len(page))


def _page(ask: Ask, total: int, records: list[Record], cursor: str, end: int) -> Answer:
    done = end >= total
    body: dict[str, Any] = {"totalSize": total, "done": done}
    if not done:
        body["nextRecordsUrl"] = f"{ask.base}/query/{cursor}-{end}"
    return Answer({**body, "records": records})


def _page_records(ask: Ask) -> int:
    """Return how many records the caller wants on a page."""
    matched = re.search(r"batchSize\s*=\s*(\d{1,9})", ask.headers.get("sforce-query-options", ""), re.IGNORECASE)
    return min(max(int(matched[1]), LEAST), MOST) if matched else ask.core.query_records


# --- cursors ---


def _path(core: Core, cursor: str) -> Path | None:
    path = core.folder / "cursors" / f"{cursor}.json"
    return path if path.exists() else None


def _keep(core: Core, cursor: str, records: Iterable[Record]) -> int:
    """Write the records of a cursor, one a line, with the offset of each beside them; return their number."""
    folder = core.folder / "cursors"
    folder.mkdir(exist_ok=True)
    path = folder / f"{cursor}.json"
    position, count = 0, 0
    with path.open("wb") as file, path.with_suffix(".offsets").open("wb") as offsets:
        array("Q", [0]).tofile(offsets)
        for record in records:
            position += file.write(json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
            array("Q", [position]).tofile(offsets)
            count += 1
    return count


def _slice(path: Path, start: int, end: int) -> list[Record]:
    with path.open("rb") as file, path.with_suffix(".offsets").open("rb") as offsets:
        first, last = (
            int.from_bytes(os.pread(offsets.fileno(), _OFFSET_BYTES, place * _OFFSET_BYTES), "little")
            for place in (start, end)
        )
        file.seek(first)
        return [json.loads(line) for line in file.read(last - first).splitlines()]
