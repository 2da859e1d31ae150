"""``python -m benchmarks.settle``: what it costs to find out what became of every row, beside reading the result files.

An upsert of four columns with a key, of which some rows failed; its result files come from a server that has them in
memory, in the order of the upload or ``--shuffled``. All rows are in one part, or in batches of Bulk API 1.0. The ways:
into result files, the locked rows into the parts of another round, and both. ``× reading`` is beside reading the two result
files of Bulk API 2.0 with pyarrow alone.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow.csv

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.client.bulk1.load import AcceptedBatch, PlannedBatch
from airflow_provider_sfbulk.client.bulk1.models import ConcurrencyMode
from airflow_provider_sfbulk.client.load.fill import UploadedPart
from airflow_provider_sfbulk.client.load.fingerprints import RowForm
from airflow_provider_sfbulk.client.load.outcome import Input, find_outcome
from airflow_provider_sfbulk.client.load.rounds import PartLimits, ResendRule, Round
from airflow_provider_sfbulk.client.models import RESULT_KINDS, JobInfo, Operation
from airflow_provider_sfbulk.client.parts.split import Part, split_again
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

BATCH_ROWS = 10_000


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
    def batches(self) -> Path:
        """What was sent as batches, and what became of it."""
        return self.folder / "batches"

    @property
    def results(self) -> dict[str, Path]:
        return {"successfulResults": self.folder / "successful.csv", "failedResults": self.folder / "failed.csv"}

    @cached_property
    def sent(self) -> tuple[UploadedPart, ...]:
        return tuple(UploadedPart.of(part, JOB) for part in self.parts())

    @cached_property
    def accepted(self) -> tuple[AcceptedBatch, ...]:
        known = ((part, {"job_id": JOB, "batch_id": f"751{part.number:012d}AAA"}) for part in self.parts(BATCH_ROWS))
        return tuple(AcceptedBatch.as_batch(PlannedBatch.of(part), each) for part, each in known)

    def parts(self, max_records: int = limits.RECORDS_PER_DAY, known: Sequence[UploadedPart] = ()) -> Generator[Part]:
        rules = Rules(operation=Operation.UPSERT, external_id_field=COLUMNS[0])
        stream = from_csv(lambda: self.source.open("rb"), rules, name="input")
        yield from split_again(stream, known, max_bytes=PART_BYTES, max_records=max_records)


def main() -> None:
    """Measure, each in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.settle", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--failed", type=float, nargs="+", default=[0.01, 0.5], help="shares of rows that failed")
    parser.add_argument("--shuffled", action="store_true", help="result rows in any order, not in that of the upload")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        way, folder, failed = chosen.one
        measure(way, Settled(Path(folder), chosen.rows[0], int(failed)))
        return
    print("| rows | failed | way | × reading, CPU | CPU seconds | MiB above idle |")
    print("| ---: | ---: | --- | ---: | ---: | ---: |")
    for count in chosen.rows:
        for share in chosen.failed:
            with tempfile.TemporaryDirectory() as folder:
                settled = write(Path(folder), count, share, shuffled=chosen.shuffled)
                for way in WAYS:
                    one = ["--one", way, folder, str(settled.failed), "--rows", str(count)]
                    subprocess.run([sys.executable, "-m", "benchmarks.settle", *one], check=True)


def write(folder: Path, count: int, share: float, *, shuffled: bool = False) -> Settled:
    """Write the input and its result files."""
    settled = Settled(folder, count, 0)
    saved_rows: list[Sequence[str]] = []
    failed_rows: list[Sequence[str]] = []
    settled.batches.mkdir()
    with ExitStack() as files:

        def rows_file(path: Path, columns: Sequence[str], **form: Any) -> Any:
            made = csv.writer(files.enter_context(path.open("w", newline="")), lineterminator="\n", **form)
            made.writerow(columns)
            return made

        results = {"quoting": csv.QUOTE_ALL}
        sent = rows_file(settled.source, COLUMNS)
        saved, failed = (
            rows_file(path, ("sf__Id", what, *COLUMNS), **results)
            for path, what in zip(settled.results.values(), ("sf__Created", "sf__Error"), strict=True)
        )
        for number, row in enumerate(rows(count)):
            if number % BATCH_ROWS == 0:
                batch = settled.batches / str(number // BATCH_ROWS)
                request = rows_file(batch.with_suffix(".request"), COLUMNS)
                result = rows_file(batch.with_suffix(".result"), ("Id", "Success", "Created", "Error"), **results)
            values = [text(row[name]) for name in COLUMNS]
            sent.writerow(values)
            request.writerow(values)
            record = f"001{number:012d}AAA"
            if int((number + 1) * share) > int(number * share):
                settled.failed += 1
                error = f"{LOCKED}:unable to obtain exclusive access to this record or 1 records: {record}:--"
                failed_rows.append(("", error, *values))
                result.writerow(("", "false", "false", error))
            else:
                saved_rows.append((record, "true", *values))
                result.writerow((record, "true", "true", ""))
        for file, its_rows in ((saved, saved_rows), (failed, failed_rows)):
            if shuffled:
                random.Random(0).shuffle(its_rows)
            file.writerows(its_rows)
    return settled


def measure(way: str, settled: Settled) -> None:
    """Settle three times, and print a line of the quickest."""
    reading = sum(min(_cpu(partial(pyarrow.csv.read_csv, path)) for _ in range(3)) for path in settled.results.values())
    importlib.import_module("pandas")  # Arrow does when it is first given a Python value
    with serve(settled) as url, BulkClient(access_token="session", instance_url=url, api_version=VERSION) as client:  # noqa: S106
        assert settled.sent
        assert settled.accepted
        idle = status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        cpu = min(_cpu(partial(WAYS[way], settled, client)) for _ in range(3))
        mib = (status("VmHWM") - idle) / 1024
    print(f"| {settled.count:,} | {settled.failed:,} | {way} | {cpu / reading:.1f} | {cpu:.2f} | {mib:.0f} |")


def into_files(
    settled: Settled, client: BulkClient, *, rule: ResendRule | None = None, by_batches: bool = False
) -> None:
    """Write the rows into result files."""
    folder = LocalFolder(settled.folder / "out")
    files = {kind: ResultFile(folder, f"{kind}.csv", kind) for kind in RESULT_KINDS}
    _settle(settled, client, files, rule, by_batches=by_batches)
    for file in files.values():
        file.commit() if rule is None else file.discard()


def into_a_round(settled: Settled, client: BulkClient, *, by_batches: bool = False) -> None:
    """Take the locked rows into another round."""
    _settle(settled, client, None, RULE, by_batches=by_batches)


RULE = ResendRule(codes=(LOCKED,), unprocessed=False)

WAYS: dict[str, Callable[[Settled, BulkClient], None]] = {
    "result files": into_files,
    "another round": into_a_round,
    "another round of a load with result files": partial(into_files, rule=RULE),
    "Bulk API 1.0, result files": partial(into_files, by_batches=True),
    "Bulk API 1.0, another round": partial(into_a_round, by_batches=True),
}


def _settle(settled: Settled, client: BulkClient, files: Any, rule: ResendRule | None, *, by_batches: bool) -> None:
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
    ends = {JOB: JobInfo.from_json(known)}
    parts: tuple[UploadedPart, ...] = settled.sent
    if by_batches:
        parts = settled.accepted
        # That some of each failed is enough for all of them to be asked for.
        ends = {
            each.key: JobInfo.from_json({**known, "numberRecordsProcessed": each.records, "numberRecordsFailed": 1})
            for each in settled.accepted
        }
    cut = PartLimits(part_bytes=limits.PART_BYTES, part_records=settled.count)
    first = Round(number=0, parts=parts, attempt=1, cut=cut, mode=ConcurrencyMode.PARALLEL if by_batches else None)
    types = {field["name"].lower(): field["type"] for field in FIELDS}
    given = Input(
        parts=lambda: settled.parts(known=settled.sent), form=lambda columns: RowForm.of(columns, types, COLUMNS[:1])
    )
    flow = find_outcome(IngestCalls(VERSION), [first], ends, given=given, rule=rule, files=files)
    outcome = client.run(flow)
    again = outcome.again
    assert sum(outcome.counts.values()) + (again.records if again is not None else 0) == settled.count
    if again is not None:
        for each in again.parts(max_bytes=cut.part_bytes, max_records=cut.part_records, sort_by=None):
            each.part.close()
        again.close()


def _cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


@contextmanager
def serve(settled: Settled) -> Iterator[str]:
    """Serve the result files from the memory of another process."""
    command = [sys.executable, "-c", _SERVER, *map(str, settled.results.values()), str(settled.batches)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


_SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pathlib import Path

*results, batches = map(Path, sys.argv[1:])
saved, failed = (path.read_bytes() for path in results)
of_batches = {each.name: each.read_bytes() for each in batches.iterdir()}

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if "/batch/" in self.path:
            _, batch, what = self.path.rsplit("/", 2)
            body = of_batches[f"{int(batch[3:15])}.{what}"]
        else:
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
