"""Who moves the rows: this provider, bare scripts of common tools, and other clients. One function each, one process each.

A contender is given a prepared input and returns what it moved; only the call itself is timed. "Bare" is what a careful
script needs with common tools and without any guarantee: one job, one upload, nothing checked.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import COLUMNS, SOBJECT, SOQL, rows

TOKEN = "00D000000000001!benchmark"  # noqa: S105 - the sink takes any
VERSION = "66.0"


@dataclass
class Place:
    """Where a contender works.

    :param url: of the sink
    :param folder: with ``rows.csv`` and ``rows.parquet``, and room for output
    """

    url: str
    folder: Path
    count: int

    @property
    def csv(self) -> Path:
        return self.folder / "rows.csv"

    @property
    def parquet(self) -> Path:
        return self.folder / "rows.parquet"

    def out(self, name: str) -> Path:
        """Give an empty place for output."""
        path = self.folder / "out"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path / name


Run = Callable[[], Any]
Contender = Callable[[Place], Run]
"""Gets ready, untimed, and gives what is timed."""

WORKS: dict[str, dict[str, Contender]] = {}


def contender(work: str, name: str) -> Callable[[Contender], Contender]:
    """Register a contender."""

    def register(made: Contender) -> Contender:
        WORKS.setdefault(work, {})[name] = made
        return made

    return register


DICTS = "list of dicts → Salesforce"
CSV_IN = "CSV file → Salesforce"
PARQUET_IN = "Parquet → Salesforce"
FRAME_IN = "DataFrame → Salesforce"
CSV_OUT = "query → CSV file"
FRAME_OUT = "query → DataFrame"
PARQUET_OUT = "query → Parquet"

OURS = "sfbulk"
BARE = "bare"


# --- this provider -----------------------------------------------------------------------------------------------------


def _connect(place: Place) -> None:
    extra = {"access_token": TOKEN, "instance_url": place.url, "api_version": VERSION}
    os.environ["AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT"] = json.dumps({"conn_type": "salesforce_bulk", "extra": extra})


_IMPORTING_ROWS = 2_000
"""Rows of a load that imports what is imported late; one of fewer does without pandas."""


def _import_what_is_imported_late() -> None:
    from airflow.sdk.listener import get_listener_manager

    from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook

    for module in ("pandas", "pyarrow.csv", "pyarrow.parquet", "airflow_provider_sfbulk.files.storage"):
        importlib.import_module(module)
    SalesforceBulkHook().get_conn().close()  # Airflow's own, to read a connection
    get_listener_manager()  # a task process has it before its task begins


def _ours_in(place: Place, source: Any) -> Run:
    from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
    from benchmarks.task import run

    def load(records: Any) -> Any:
        return run(BulkIngestOperator(task_id="load", sobject=SOBJECT, operation="insert", source=records))

    _connect(place)
    load(list(rows(_IMPORTING_ROWS)))
    return lambda: load(source)


def _ours_out(place: Place, output_format: str) -> Run:
    from airflow_provider_sfbulk.operators.query import BulkQueryOperator
    from benchmarks.task import run

    _connect(place)
    _import_what_is_imported_late()
    output = str(place.out("extract"))
    return lambda: run(BulkQueryOperator(task_id="extract", soql=SOQL, output_path=output, output_format=output_format))


@contender(DICTS, OURS)
def _(place: Place) -> Run:
    return _ours_in(place, list(rows(place.count)))


@contender(DICTS, OURS + ", hook")
def _(place: Place) -> Run:
    from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook

    _connect(place)
    SalesforceBulkHook().insert(SOBJECT, list(rows(_IMPORTING_ROWS)))
    records = list(rows(place.count))
    return lambda: SalesforceBulkHook().insert(SOBJECT, records)


@contender(CSV_IN, OURS)
def _(place: Place) -> Run:
    return _ours_in(place, str(place.csv))


@contender(PARQUET_IN, OURS)
def _(place: Place) -> Run:
    return _ours_in(place, str(place.parquet))


@contender(FRAME_IN, OURS)
def _(place: Place) -> Run:
    return _ours_in(place, _frame(place))


@contender(CSV_OUT, OURS)
def _(place: Place) -> Run:
    return _ours_out(place, "csv")


@contender(PARQUET_OUT, OURS)
def _(place: Place) -> Run:
    return _ours_out(place, "parquet")


@contender(FRAME_OUT, OURS)
def _(place: Place) -> Run:
    from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook

    _connect(place)
    _import_what_is_imported_late()
    return lambda: len(SalesforceBulkHook().get_df(SOQL))


# --- bare scripts ------------------------------------------------------------------------------------------------------


class _Bare:
    """A job by hand."""

    def __init__(self, place: Place) -> None:
        import requests

        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {TOKEN}"
        self.jobs = f"{place.url}/services/data/v{VERSION}/jobs"

    def load(self, data: Any) -> None:
        """Create, upload, close, wait."""
        created = self.session.post(
            f"{self.jobs}/ingest", json={"object": SOBJECT, "operation": "insert", "contentType": "CSV"}
        ).json()
        job = f"{self.jobs}/ingest/{created['id']}"
        self.session.put(f"{job}/batches", data=data, headers={"Content-Type": "text/csv"}).raise_for_status()
        self.session.patch(job, json={"state": "UploadComplete"}).raise_for_status()
        self.wait(job)

    def query(self) -> str:
        """Create and wait."""
        created = self.session.post(f"{self.jobs}/query", json={"operation": "query", "query": SOQL}).json()
        job = f"{self.jobs}/query/{created['id']}"
        self.wait(job)
        return f"{job}/results"

    def wait(self, job: str) -> None:
        while self.session.get(job).json()["state"] != "JobComplete":
            pass

    def pages(self, url: str) -> Any:
        """Give the responses, page after page, unread."""
        locator = ""
        while locator != "null":
            answer = self.session.get(url, params={"locator": locator} if locator else None, stream=True)
            yield answer
            locator = answer.headers["Sforce-Locator"]


@contender(DICTS, BARE)
def _(place: Place) -> Run:
    import csv
    import io
    from operator import itemgetter

    bare, records = _Bare(place), list(rows(place.count))

    def run() -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(map(itemgetter(*COLUMNS), records))
        bare.load(text.getvalue().encode())

    return run


@contender(DICTS, "limit: polars from dicts")
def _(place: Place) -> Run:
    import polars as pl

    bare, records = _Bare(place), list(rows(place.count))
    return lambda: bare.load(pl.from_dicts(records).write_csv().encode())


@contender(CSV_IN, BARE)
def _(place: Place) -> Run:
    bare = _Bare(place)

    class File:
        """The file in pieces of 256 KiB: those of 16 KiB that ``requests`` reads take half as long again."""

        def __len__(self) -> int:
            return place.csv.stat().st_size

        def __iter__(self) -> Iterator[bytes]:
            with place.csv.open("rb", buffering=0) as file:
                while piece := file.read(256 * 1024):
                    yield piece

    return lambda: bare.load(File())


@contender(CSV_IN, "limit: curl")
def _(place: Place) -> Run:
    import subprocess

    bare = _Bare(place)
    job = bare.session.post(f"{bare.jobs}/ingest", json={}).json()["id"]
    command = ["curl", "-sS", "-T", str(place.csv), f"{bare.jobs}/ingest/{job}/batches"]
    return lambda: subprocess.run(command, check=True)


@contender(CSV_IN, "limit: copy")
def _(place: Place) -> Run:
    return lambda: shutil.copyfile(place.csv, place.out("copy.csv"))


@contender(PARQUET_IN, BARE)
def _(place: Place) -> Run:
    import polars as pl

    bare = _Bare(place)
    return lambda: bare.load(pl.read_parquet(place.parquet).write_csv().encode())


@contender(FRAME_IN, BARE)
def _(place: Place) -> Run:
    import polars as pl

    bare, frame = _Bare(place), _frame(place)
    return lambda: bare.load(pl.from_pandas(frame).write_csv().encode())


def _frame(place: Place) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(place.parquet).to_pandas(types_mapper=_arrow_types)


def _arrow_types(arrow: Any) -> Any:
    import pandas as pd

    return pd.ArrowDtype(arrow)


@contender(CSV_OUT, BARE)
def _(place: Place) -> Run:
    bare, path = _Bare(place), place.out("rows.csv")

    def run() -> None:
        url = bare.query()
        with path.open("wb") as file:
            for page in bare.pages(url):
                # Of a size: ``content`` gathers a page from pieces of 10 KiB and takes five times as long.
                for chunk in page.iter_content(1 << 20):
                    file.write(chunk)

    return run


@contender(CSV_OUT, "limit: curl")
def _(place: Place) -> Run:
    import subprocess

    bare, path = _Bare(place), place.out("rows.csv")

    def run() -> None:
        url = bare.query()
        subprocess.run(["curl", "-sS", "-o", str(path), f"{url}?maxRecords={place.count}"], check=True)

    return run


@contender(FRAME_OUT, BARE)
def _(place: Place) -> Run:
    import polars as pl

    bare = _Bare(place)

    def run() -> int:
        url = bare.query()
        frames = [pl.read_csv(page.raw.read()) for page in bare.pages(url)]
        return len(pl.concat(frames, how="vertical_relaxed"))

    return run


@contender(PARQUET_OUT, BARE)
def _(place: Place) -> Run:
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    bare, path = _Bare(place), place.out("rows.parquet")

    def run() -> None:
        url = bare.query()
        writer = None
        for page in bare.pages(url):
            page.raw.decode_content = True
            with pa_csv.open_csv(page.raw) as reader:
                writer = writer or pq.ParquetWriter(path, reader.schema)
                for batch in reader:
                    writer.write_batch(batch)
        assert writer is not None
        writer.close()

    return run


# --- other clients -----------------------------------------------------------------------------------------------------


def _simple_salesforce(place: Place) -> Any:
    import requests
    from simple_salesforce.bulk2 import SFBulk2Handler

    return SFBulk2Handler(TOKEN, f"{place.url}/services/data/v{VERSION}/jobs/", {}, requests.Session())


@contender(DICTS, "simple-salesforce")
def _(place: Place) -> Run:
    bulk, records = _simple_salesforce(place), list(rows(place.count))
    return lambda: getattr(bulk, SOBJECT).insert(records=records, wait=0.01)


@contender(CSV_IN, "simple-salesforce")
def _(place: Place) -> Run:
    bulk = _simple_salesforce(place)
    return lambda: getattr(bulk, SOBJECT).insert(csv_file=str(place.csv), wait=0.01)


@contender(CSV_OUT, "simple-salesforce")
def _(place: Place) -> Run:
    bulk, path = _simple_salesforce(place), place.out("")
    return lambda: getattr(bulk, SOBJECT).download(SOQL, path=str(path), max_records=250_000, wait=0.01)


@contender(FRAME_OUT, "simple-salesforce + pandas")
def _(place: Place) -> Run:
    import io

    import pandas as pd

    bulk = _simple_salesforce(place)

    def run() -> int:
        pages = getattr(bulk, SOBJECT).query(SOQL, max_records=250_000, wait=0.01)
        return len(pd.concat([pd.read_csv(io.StringIO(page)) for page in pages]))

    return run


@contender(PARQUET_OUT, "simple-salesforce + pandas")
def _(place: Place) -> Run:
    import io

    import pandas as pd

    bulk, path = _simple_salesforce(place), place.out("rows.parquet")

    def run() -> None:
        pages = getattr(bulk, SOBJECT).query(SOQL, max_records=250_000, wait=0.01)
        pd.concat([pd.read_csv(io.StringIO(page), dtype=str) for page in pages]).to_parquet(path)

    return run


def _kinetic(place: Place) -> Any:
    from kinetic_core.bulk.client import BulkV2Client
    from kinetic_core.core.session import SalesforceSession

    return BulkV2Client(SalesforceSession(instance_url=place.url, access_token=TOKEN, api_version=f"v{VERSION}"))


@contender(DICTS, "kinetic-core")
def _(place: Place) -> Run:
    bulk, records = _kinetic(place), list(rows(place.count))
    return lambda: bulk.insert(SOBJECT, records)


@contender(PARQUET_IN, "pandas + kinetic-core")
def _(place: Place) -> Run:
    import pandas as pd

    bulk = _kinetic(place)
    return lambda: bulk.insert(SOBJECT, pd.read_parquet(place.parquet).to_dict("records"))


@contender(FRAME_IN, "kinetic-core")
def _(place: Place) -> Run:
    bulk, frame = _kinetic(place), _frame(place)
    return lambda: bulk.insert(SOBJECT, frame.to_dict("records"))


@contender(DICTS, "aiosalesforce")
def _(place: Place) -> Run:
    import httpx
    from aiosalesforce import Salesforce
    from aiosalesforce.auth import Auth

    records = [{**row, "AnnualRevenue": float(row["AnnualRevenue"])} for row in rows(place.count)]  # knows no Decimal

    class Token(Auth):
        async def _acquire_new_access_token(self, _client: Salesforce) -> str:
            return TOKEN

    class ToSink(httpx.AsyncHTTPTransport):
        """It talks to ``*.my.salesforce.com`` alone."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.url = httpx.URL(place.url + request.url.raw_path.decode())
            return await super().handle_async_request(request)

    async def load() -> None:
        async with httpx.AsyncClient(transport=ToSink(), timeout=60) as http:
            client = Salesforce(http, "https://bench.my.salesforce.com", Token(), version=VERSION)
            jobs = client.bulk_v2.ingest.perform_operation(
                "insert", SOBJECT, records, fieldnames=COLUMNS, polling_interval=0.01
            )
            async for _ in jobs:
                pass

    return lambda: asyncio.run(load())


def _aio_sf(place: Place) -> Any:
    from aio_sf.api.auth import StaticTokenAuth
    from aio_sf.api.client import SalesforceClient

    return SalesforceClient(StaticTokenAuth(place.url, TOKEN), version=f"v{VERSION}")


@contender(PARQUET_OUT, "aio-sf")
def _(place: Place) -> Run:
    from aio_sf.exporter.bulk_export import bulk_query
    from aio_sf.exporter.parquet_writer import ParquetWriter

    path = place.out("rows.parquet")

    async def extract() -> None:
        client = _aio_sf(place)
        result = await bulk_query(client, SOQL, batch_size=250_000)
        await ParquetWriter(str(path)).write_query_result(result)
        await client.close()

    return lambda: asyncio.run(extract())
