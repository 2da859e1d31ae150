"""BulkQueryOperator under hostile users, with nothing sent; and under replies that look like pages and are none."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from starlette.responses import Response

from airflow_provider_sfbulk.client.errors import ProtocolError, SourceError, TransientError
from airflow_provider_sfbulk.client.protocol import retry
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Dropped, Exchange, Fault
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import FakeTask
from tests.provider.readings import COLUMNS, SOQL, fill_readings, many


def operator(**arguments: Any) -> BulkQueryOperator:
    defaults: dict[str, Any] = {"task_id": "extract", "soql": "SELECT Id FROM Account", "deferrable": False}
    return BulkQueryOperator(**{**defaults, **arguments})


@pytest.mark.parametrize("kind", ["a file", "below a file", "empty"])
def test_an_output_that_could_not_be_written_stops_the_query_before_a_call(
    kind: str, task: FakeTask, tmp_path: Path
) -> None:
    """An empty text, as templates give it, would otherwise be the folder that the worker happens to run in."""
    file = tmp_path / "notes.txt"
    file.write_text("not a folder")
    path = {"a file": file, "below a file": file / "out", "empty": ""}[kind]
    with pytest.raises(SourceError, match=r"folder|empty string"):
        task.start().run(operator(output_path=str(path)))


@pytest.mark.parametrize(
    ("argument", "value"),
    [("timeout", -1), ("poll_interval", 0), ("page_records", "5"), ("max_xcom_records", "5"), ("max_xcom_records", -1)],
)
def test_a_number_that_makes_no_sense_is_refused_before_a_call(argument: str, value: Any, task: FakeTask) -> None:
    with pytest.raises(SourceError, match=f"^{argument} must be"):
        task.start().run(operator(**{argument: value}))


# --- pages that are none ----------------------------------------------------------------------------------------------

HTML: Final = b"<!DOCTYPE html><html><body>Down for maintenance</body></html>"


NUMBERS = itertools.count(1)


class Spoiled(Fault):
    """Spoil some answers, counted from 1."""

    def __init__(self, spoil: Callable[[bytes, dict[str, str]], bytes], spoiled: Callable[[int], bool]) -> None:
        self._spoil, self._spoiled, self._calls = spoil, spoiled, 0

    async def after(self, exchange: Exchange, response: Response) -> Response:
        self._calls += 1
        if not self._spoiled(self._calls):
            return response
        whole = b"".join([bytes(each) async for each in response.body_iterator])  # type: ignore[attr-defined]
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        body = self._spoil(whole, headers)
        return Response(body, headers=headers)


def html(whole: bytes, headers: dict[str, str]) -> bytes:
    headers["content-type"] = "text/html; charset=UTF-8"
    return HTML


def html_called_csv(whole: bytes, headers: dict[str, str]) -> bytes:
    return HTML


def fewer_rows(whole: bytes, headers: dict[str, str]) -> bytes:
    return b"".join(whole.splitlines(keepends=True)[:-2])  # a row of these has two lines


def more_rows(whole: bytes, headers: dict[str, str]) -> bytes:
    return whole + b"".join(whole.splitlines(keepends=True)[-2:])


def half_a_row(whole: bytes, headers: dict[str, str]) -> bytes:
    return whole[:-9]


def no_count(whole: bytes, headers: dict[str, str]) -> bytes:
    del headers["sforce-numberofrecords"]
    return whole


def no_locator(whole: bytes, headers: dict[str, str]) -> bytes:
    del headers["sforce-locator"]
    return whole


def another_header(whole: bytes, headers: dict[str, str]) -> bytes:
    """Another one each time: pages that are read at the same time would else agree on the wrong one."""
    return whole.replace(b'"Name","External_Key__c"', b'"External_Key__c","Name_%d__c"' % next(NUMBERS), 1)


def no_header(whole: bytes, headers: dict[str, str]) -> bytes:
    return whole.partition(b"\n")[2]


def nothing(whole: bytes, headers: dict[str, str]) -> bytes:
    return b""


def cut_gzip(whole: bytes, headers: dict[str, str]) -> bytes:
    """Cut behind the last row and before the check sum: every byte of the CSV arrives."""
    headers["content-encoding"] = "gzip"
    return gzip.compress(whole)[:-8]


SPOILS: Final = [
    html,
    html_called_csv,
    fewer_rows,
    more_rows,
    half_a_row,
    no_count,
    no_locator,
    another_header,
    no_header,
    nothing,
    cut_gzip,
]


@pytest.fixture
def readings(org: LocalOrg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalOrg:
    """12 rows, which are three pages of four; calls are repeated without pausing."""
    monkeypatch.setattr(retry, "FIRST_DELAY_SECONDS", 0.001)
    fill_readings(org, tmp_path / "seed", many(12))
    org.core.page_records = 4
    return org


def extract(out: Path, **arguments: Any) -> BulkQueryOperator:
    soql = f"{SOQL} ORDER BY Count__c"
    defaults = {"soql": soql, "output_path": str(out), "page_records": 4, "max_concurrent_pages": 1}
    return operator(**{**defaults, **arguments})


def keys(summary: dict[str, Any]) -> list[str]:
    found = []
    for name in summary["files"]:
        with Path(name).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            found += [row["External_Key__c"] for row in reader]
            assert reader.fieldnames == COLUMNS
    return found


def shown(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if not path.name.startswith("_")]


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_page_that_is_none_is_read_again_from_its_own_locator(
    spoil: Callable[..., bytes], readings: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    readings.core.faults.add("query.results", Spoiled(spoil, lambda call: call in (2, 3)))
    summary = task.start().run(extract(tmp_path / "out"))
    assert keys(summary) == [f"K-{n}" for n in range(12)]
    pages = [call.path.partition("?")[2] for call in readings.calls if "/results" in call.path]
    assert pages == ["maxRecords=4", *["locator=NA&maxRecords=4"] * 3, "locator=OA&maxRecords=4"]


@pytest.mark.parametrize("spoil", [html, cut_gzip])
def test_the_first_page_must_be_one_too(
    spoil: Callable[..., bytes], readings: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    readings.core.faults.add("query.results", Spoiled(spoil, lambda call: call == 1))
    assert keys(task.start().run(extract(tmp_path / "out"))) == [f"K-{n}" for n in range(12)]


@pytest.mark.parametrize("spoil", SPOILS)
def test_what_never_is_a_page_is_no_part_of_an_extract(
    spoil: Callable[..., bytes], readings: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    readings.core.faults.add("query.results", Spoiled(spoil, lambda call: call > 1))
    with pytest.raises(TransientError):
        task.start().run(extract(out))
    assert not shown(out)
    readings.core.faults.clear()
    assert keys(task.start().run(extract(out))) == [f"K-{n}" for n in range(12)]


@pytest.mark.parametrize("file_format", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("spoil", [fewer_rows, another_header])
def test_no_format_and_no_way_of_paging_lets_such_a_page_through(
    spoil: Callable[..., bytes], at_once: int, file_format: str, readings: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    readings.core.faults.add("query.results", Spoiled(spoil, lambda call: call > 2))
    with pytest.raises(TransientError):
        task.start().run(extract(out, output_format=file_format, max_concurrent_pages=at_once))
    assert not shown(out)


@pytest.mark.parametrize("count", [11, 13])
def test_pages_that_do_not_add_up_to_the_job_are_no_extract(
    count: int, readings: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def recounted(whole: bytes, headers: dict[str, str]) -> bytes:
        return json.dumps({**json.loads(whole), "numberRecordsProcessed": count}).encode()

    class Recounted(Fault):
        async def after(self, exchange: Exchange, response: Response) -> Response:
            return Response(recounted(bytes(response.body), {}), media_type="application/json")

    readings.core.faults.add("query.get", Recounted())
    with pytest.raises(ProtocolError, match=f"12 records, but the job counts {count}"):
        task.start().run(extract(out))
    assert not shown(out)
    readings.core.faults.clear()
    assert len(keys(task.start().run(extract(out)))) == 12


@pytest.mark.parametrize("locator", ["NA", "OA"], ids=["its own", "the one before"])
def test_a_locator_that_comes_twice_ends_the_extract(
    locator: str, readings: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    def circle(whole: bytes, headers: dict[str, str]) -> bytes:
        headers["sforce-locator"] = locator
        return whole

    readings.core.faults.add("query.results", Spoiled(circle, lambda call: call == (2 if locator == "NA" else 3)))
    with pytest.raises(ProtocolError, match="twice"):
        task.start().run(extract(tmp_path / "out"))
    assert not shown(tmp_path / "out")
    assert sum("/results" in call.path for call in readings.calls) <= 3


def test_a_line_that_breaks_amid_a_page_costs_one_more_call(readings: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    class Break(Fault):
        async def _half(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            whole = b"".join([chunk async for chunk in chunks])
            yield whole[: len(whole) // 2]
            raise Dropped

        def body(self, exchange: Exchange, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            return self._half(chunks) if exchange.number == 2 else chunks

    readings.core.faults.add("query.results", Break())
    assert len(keys(task.start().run(extract(tmp_path / "out")))) == 12
    assert sum("/results" in call.path for call in readings.calls) == 4
