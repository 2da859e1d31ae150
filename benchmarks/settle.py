"""``python -m benchmarks.settle``: what it costs to find out what became of every row, beside reading the result files.

An upsert of four columns with a key, in one part, of which some rows failed; its result files come from a server that has
them in memory. Three ways: into result files, the locked rows into another round, and both. ``× reading`` is beside reading
the two files with pyarrow alone.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow.csv

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.client.load.fill import UploadedPart
from airflow_provider_sfbulk.client.load.fingerprints import RowForm
from airflow_provider_sfbulk.client.load.outcome import Input, find_outcome
from airflow_provider_sfbulk.client.load.rounds import PartLimits, ResendRule, Round
from airflow_provider_sfbulk.client.models import RESULT_KINDS, JobInfo, Operation
from airflow_provider_sfbulk.client.parts.split import Part, split
from airflow_provider_sfbulk.client.parts.stream import Rules
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.results.folder import LocalFolder
from airflow_provider_sfbulk.client.results.result_files import ResultFile
from airflow_provider_sfbulk.client.sources.csv_source import from_csv
from benchmarks.data import FIELDS, rows, text
from benchmarks.one import status

COLUMNS = ("External_Key__c", "Name", "AnnualRevenue", "Remark__c")
JOB = "750000000000001AAA"
LOCKED = "UNABLE_TO_LOCK_ROW"
VERSION = "66.0"
PART_BYTES = 10 * limits.PART_BYTES
"""All rows in one part: what is matched at a time is a part."""


@dataclass
class Settled:
    """A load that has ended."""

    folder: Path
    count: int
    failed: int

    @property
    def source(self) -> Path:
        return self.folder / "input.csv"

    @property
    def results(self) -> dict[str, Path]:
        return {"successfulResults": self.folder / "successful.csv", "failedResults": self.folder / "failed.csv"}

    @cached_property
    def sent(self) -> tuple[UploadedPart, ...]:
        return tuple(UploadedPart.of(part, JOB) for part in self.parts())

    def parts(self) -> Generator[Part]:
        rules = Rules(operation=Operation.UPSERT, external_id_field=COLUMNS[0])
        yield from split(from_csv(lambda: self.source.open("rb"), rules, name="input"), max_bytes=PART_BYTES)


def main() -> None:
    """Measure, each in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.settle", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--failed", type=float, nargs="+", default=[0.01, 0.5], help="shares of rows that failed")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        way, folder, failed = chosen.one
        measure(way, Settled(Path(folder), chosen.rows[0], int(failed)))
        return
    print("| rows | failed | way | × reading, CPU | seconds | CPU seconds | MiB above idle |")
    print("| ---: | ---: | --- | ---: | ---: | ---: | ---: |")
    for count in chosen.rows:
        for share in chosen.failed:
            with tempfile.TemporaryDirectory() as folder:
                settled = write(Path(folder), count, share)
                for way in WAYS:
                    one = ["--one", way, folder, str(settled.failed), "--rows", str(count)]
                    subprocess.run([sys.executable, "-m", "benchmarks.settle", *one], check=True)


def write(folder: Path, count: int, share: float) -> Settled:
    """Write the input and its result files."""
    settled = Settled(folder, count, 0)
    saved, failed = settled.results.values()
    with settled.source.open("w", newline="") as given, saved.open("w") as good, failed.open("w") as bad:
        sent = csv.writer(given, lineterminator="\n")
        saved_rows, failed_rows = (csv.writer(each, quoting=csv.QUOTE_ALL, lineterminator="\n") for each in (good, bad))
        sent.writerow(COLUMNS)
        saved_rows.writerow(("sf__Id", "sf__Created", *COLUMNS))
        failed_rows.writerow(("sf__Id", "sf__Error", *COLUMNS))
        for number, row in enumerate(rows(count)):
            values = [text(row[name]) for name in COLUMNS]
            sent.writerow(values)
            record = f"001{number:012d}AAA"
            if int((number + 1) * share) > int(number * share):
                settled.failed += 1
                error = f"{LOCKED}:unable to obtain exclusive access to this record or 1 records: {record}:--"
                failed_rows.writerow(("", error, *values))
            else:
                saved_rows.writerow((record, "true", *values))
    return settled


def measure(way: str, settled: Settled) -> None:
    """Settle once, and print a line."""
    reading = sum(min(_cpu(partial(pyarrow.csv.read_csv, path)) for _ in range(3)) for path in settled.results.values())
    importlib.import_module("pandas")  # Arrow does when it is first given a Python value
    with serve(settled) as url:
        assert settled.sent
        idle = status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        start = time.perf_counter()
        cpu = _cpu(partial(WAYS[way], settled, url))
        seconds, mib = time.perf_counter() - start, (status("VmHWM") - idle) / 1024
    print(
        f"| {settled.count:,} | {settled.failed:,} | {way} | {cpu / reading:.1f} | {seconds:.2f} | {cpu:.2f} | {mib:.0f} |"
    )


def into_files(settled: Settled, url: str, *, rule: ResendRule | None = None) -> None:
    """Write the rows into result files."""
    folder = LocalFolder(settled.folder / "out")
    files = {kind: ResultFile(folder, f"{kind}.csv", kind) for kind in RESULT_KINDS}
    _settle(settled, url, files, rule)
    for file in files.values():
        file.commit() if rule is None else file.discard()


def into_a_round(settled: Settled, url: str) -> None:
    """Take the locked rows into another round."""
    _settle(settled, url, None, ResendRule(codes=(LOCKED,), unprocessed=False))


def into_both(settled: Settled, url: str) -> None:
    """Take the locked rows into another round of a load that has result files."""
    into_files(settled, url, rule=ResendRule(codes=(LOCKED,), unprocessed=False))


WAYS: dict[str, Callable[[Settled, str], None]] = {
    "result files": into_files,
    "another round": into_a_round,
    "another round of a load with result files": into_both,
}


def _settle(settled: Settled, url: str, files: Any, rule: ResendRule | None) -> None:
    known = {
        "id": JOB,
        "operation": "upsert",
        "state": "JobComplete",
        "apiVersion": float(VERSION),
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
        "numberRecordsProcessed": settled.count,
        "numberRecordsFailed": settled.failed,
    }
    cut = PartLimits(part_bytes=PART_BYTES, part_records=settled.count)
    first = Round(number=0, parts=settled.sent, attempt=1, cut=cut)
    types = {field["name"].lower(): field["type"] for field in FIELDS}
    given = Input(parts=settled.parts, form=lambda columns: RowForm.of(columns, types, COLUMNS[:1]))
    with BulkClient(access_token="session", instance_url=url, api_version=VERSION) as client:  # noqa: S106
        ends = {JOB: JobInfo.from_json(known)}
        flow = find_outcome(IngestCalls(VERSION), [first], ends, given=given, rule=rule, files=files)
        outcome = client.run(flow)
    assert sum(outcome.counts.values()) + (outcome.again.records if outcome.again else 0) == settled.count
    if outcome.again is not None:
        outcome.again.close()


def _cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


@contextmanager
def serve(settled: Settled) -> Iterator[str]:
    """Serve the result files from the memory of another process."""
    command = [sys.executable, "-c", _SERVER, *map(str, settled.results.values())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


_SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

saved, failed = (open(path, "rb").read() for path in sys.argv[1:])

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = failed if "failed" in self.path else saved
        self.send_response(200)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""

if __name__ == "__main__":
    main()
