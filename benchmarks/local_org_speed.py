"""How fast the local org is and how much memory it takes: ``python benchmarks/local_org_speed.py [ROWS]``.

Ingest is timed from the first byte of the upload to the poll that sees JobComplete, query from the first result page
to the last; the query's own run is shown beside it. The org is a process of its own, and the client does nothing with
what it gets; both share the machine. On a busy machine compare the CPU seconds, which are the org's own, user and system.
CPU seconds and peak memory are read from ``/proc`` (Linux).
"""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

COLUMNS = (
    "Name",
    "External_Key__c",
    "Phone",
    "Industry",
    "AnnualRevenue",
    "NumberOfEmployees",
    "BillingCity",
)
"""So few that a million rows fit into the 100 MB of one job."""
JOBS = "/services/data/v66.0/jobs"
PAGE_RECORDS = 50_000
PIECE_ROWS = 10_000


class Client:
    """One connection with a token."""

    def __init__(self, org: dict[str, Any]) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(org["url"]).netloc)
        form = {
            "grant_type": "client_credentials",
            "client_id": org["client_id"],
            "client_secret": org["client_secret"],
        }
        answer = self.send("POST", "/services/oauth2/token", urlencode(form), "application/x-www-form-urlencoded")
        self._token = json.loads(answer[1])["access_token"]

    _token = ""

    def send(
        self, method: str, path: str, body: str | Iterable[bytes] | None = None, content_type: str = "application/json"
    ) -> tuple[http.client.HTTPMessage, bytes]:
        """Make one call."""
        headers = {"Content-Type": content_type, "Authorization": f"Bearer {self._token}"}
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {content[:500]!r}")
        return response.headers, content

    def wait(self, path: str) -> dict[str, object]:
        """Poll a job until it is final."""
        while True:
            info: dict[str, object] = json.loads(self.send("GET", path)[1])
            if info["state"] in ("JobComplete", "Failed", "Aborted"):
                return info
            time.sleep(0.1)


def accounts(rows: int) -> Iterator[bytes]:
    """Yield an upload, in pieces."""
    yield (",".join(COLUMNS) + "\n").encode()
    for start in range(0, rows, PIECE_ROWS):
        yield "".join(
            f'"Umbrella Stand Co {n}",K-{n:08},+49 89 {n:07},Technology,{n * 10}.5,{n % 5000},Munich\n'
            for n in range(start, min(start + PIECE_ROWS, rows))
        ).encode()


def peak_megabytes(pid: int) -> str:
    """Return how much memory a process has taken at most."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return "unknown"
    matched = re.search(r"VmHWM:\s+(\d+) kB", status)
    return f"{int(matched[1]) / 1024:.0f} MB" if matched else "unknown"


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used; NaN where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    size = sum(map(len, accounts(rows)))
    command = [sys.executable, "-m", "airflow_provider_sfbulk.local_org"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            measure(json.loads(process.stdout.readline()), rows, size, process.pid)
        finally:
            process.terminate()


def measure(org: dict[str, Any], rows: int, upload_bytes: int, pid: int) -> None:
    """Load and query."""
    sys.stdout.write(f"memory at the start: {peak_megabytes(pid)}\n")
    client = Client(org)
    job = json.loads(client.send("POST", f"{JOBS}/ingest", json.dumps({"object": "Account", "operation": "insert"}))[1])
    cpu = cpu_seconds(pid)
    started = time.perf_counter()
    client.send("PUT", f"{JOBS}/ingest/{job['id']}/batches", accounts(rows), "text/csv")
    uploaded = time.perf_counter()
    client.send("PATCH", f"{JOBS}/ingest/{job['id']}", json.dumps({"state": "UploadComplete"}))
    info = client.wait(f"{JOBS}/ingest/{job['id']}")
    seconds = time.perf_counter() - started
    cpu = cpu_seconds(pid) - cpu
    sys.stdout.write(
        f"ingest: {info['numberRecordsProcessed']} rows, {info['numberRecordsFailed']} failed, "
        f"{upload_bytes / 1e6:.0f} MB in {seconds:.2f} s (upload {uploaded - started:.2f}): "
        f"{rows / seconds:,.0f} rows/s; {cpu:.2f} CPU s: {rows / cpu:,.0f} rows/CPU s; peak memory {peak_megabytes(pid)}\n"
    )
    soql = f"SELECT {', '.join(('Id', *COLUMNS))} FROM Account"  # noqa: S608 - the columns stand above
    cpu = cpu_seconds(pid)
    started = time.perf_counter()
    body = json.dumps({"operation": "query", "query": soql})
    job = json.loads(client.send("POST", f"{JOBS}/query", body)[1])
    client.wait(f"{JOBS}/query/{job['id']}")
    ran = time.perf_counter() - started
    ran_cpu = cpu_seconds(pid) - cpu
    cpu += ran_cpu
    started, count, size, locator = time.perf_counter(), 0, 0, ""
    while locator != "null":
        after = f"&locator={locator}" if locator else ""
        path = f"{JOBS}/query/{job['id']}/results?maxRecords={PAGE_RECORDS}{after}"
        headers, content = client.send("GET", path)
        count += int(headers["Sforce-NumberOfRecords"])
        size += len(content)
        locator = headers["Sforce-Locator"]
    seconds = time.perf_counter() - started
    cpu = cpu_seconds(pid) - cpu
    sys.stdout.write(
        f"query: ran {ran:.2f} s: {rows / ran:,.0f} rows/s; {ran_cpu:.2f} CPU s: {rows / ran_cpu:,.0f} rows/CPU s\n"
        f"download: {count} rows, {size / 1e6:.0f} MB in {seconds:.2f} s: {count / seconds:,.0f} rows/s; {cpu:.2f} CPU s; "
        f"peak memory {peak_megabytes(pid)}\n"
    )


if __name__ == "__main__":
    main()
