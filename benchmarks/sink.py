"""A server that costs next to nothing: it counts the lines of any upload and gives a query's result from memory.

``python -m benchmarks.sink RECORDS`` prints its port and serves until its standard input is closed; every query finds
RECORDS records. It is no Salesforce: the local org is. It is here so that what is timed is the client alone.
``/calls`` answers how many calls there were since it was last asked.
"""

from __future__ import annotations

import json
import re
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import numpy as np

from benchmarks.data import COLUMNS, FIELDS, SHAPE, SOBJECT, result_lines

_BLOCK_RECORDS = {"ordinary": 100_000, "wide": 2000, "long": 200}[SHAPE]
_PAGE_RECORDS = 250_000
_LF = ord("\n")
_HEADER = (",".join(f'"{name}"' for name in ("Id", *COLUMNS)) + "\n").encode()


class Result:
    """A query's result of any length: the same block of rows over and over."""

    def __init__(self) -> None:
        lines = list(result_lines(_BLOCK_RECORDS))
        self._block = memoryview(b"".join(lines))
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))

    def pieces(self, first: int, records: int) -> list[memoryview]:
        """Give the bytes of so many rows."""
        found = []
        while records:
            at = first % _BLOCK_RECORDS
            taken = min(records, _BLOCK_RECORDS - at)
            found.append(self._block[self._starts[at] : self._starts[at + taken]])
            first, records = first + taken, records - taken
        return found


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 0
    result: ClassVar[Result]
    total: ClassVar[int]
    uploaded: ClassVar[dict[str, int]] = {}
    """Records of each ingest job."""
    jobs: ClassVar[int] = 0
    calls: ClassVar[int] = 0
    lock: ClassVar[threading.Lock] = threading.Lock()

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def _answer(self, method: str) -> None:
        split = urlsplit(self.path)
        path = split.path
        query = parse_qs(split.query)
        lines = self._discard_body()
        if path == "/calls":
            calls, Handler.calls = Handler.calls, 0
            self._json({"calls": calls})
            return
        with self.lock:
            Handler.calls += 1
            job_id = self._job_id(path, new=method == "POST")
            if method == "PUT":
                Handler.uploaded[job_id] = lines - 1
        if path.endswith("/describe"):
            self._json({"name": SOBJECT, "fields": [_described(field) for field in FIELDS]})
        elif method == "PUT":
            self._send(201, "", [])
        elif path.endswith("Results"):
            headers = [("Sforce-NumberOfRecords", "0"), ("Sforce-Locator", "null")]
            self._send(200, "text/csv", headers, [b'"sf__Id","sf__Created"\n'])
        elif path.endswith("/resultPages"):
            self._json(self._pages(int(query.get("locator", ["0"])[0]), path))
        elif path.endswith("/results"):
            self._page(query)
        else:
            self._json(self._job(method, path, job_id))

    def _job_id(self, path: str, *, new: bool) -> str:
        if new:
            Handler.jobs += 1
            return f"750{Handler.jobs:012d}AAA"
        found = re.search(r"/(750\w{15})", path)
        return found[1] if found else ""

    def _discard_body(self) -> int:
        """Read the request's body and forget it.

        :return: its lines
        """
        lines = 0
        left = int(self.headers.get("Content-Length") or 0)
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
        buffer = memoryview(bytearray(1 << 20))
        while chunked or left:
            if chunked and not left:
                left = int(self.rfile.readline().split(b";")[0], 16)
                if not left:
                    self.rfile.readline()
                    break
            got = self.rfile.readinto(buffer[: min(left, len(buffer))])
            if not got:
                break
            left -= got
            lines += int(np.count_nonzero(np.frombuffer(buffer[:got], np.uint8) == _LF))
            if chunked and not left:
                self.rfile.readline()
        return lines

    def _job(self, method: str, path: str, job_id: str) -> dict[str, Any]:
        query = "/jobs/query" in path
        return {
            "id": job_id,
            "operation": "query" if query else "insert",
            "object": SOBJECT,
            "createdById": "005000000000001AAA",
            "createdDate": "2026-01-01T00:00:00.000+0000",
            "systemModstamp": "2026-01-01T00:00:00.000+0000",
            "state": {"POST": "UploadComplete" if query else "Open", "PATCH": "UploadComplete"}.get(
                method, "JobComplete"
            ),
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": 66.0,
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
            "jobType": "V2Query" if query else "V2Ingest",
            "contentUrl": f"services/data/v66.0/jobs/ingest/{job_id}/batches",
            "numberRecordsProcessed": self.total if query else Handler.uploaded.get(job_id, 0),
            "numberRecordsFailed": 0,
            "retries": 0,
            "totalProcessingTime": 1,
        }

    def _pages(self, first: int, path: str) -> dict[str, Any]:
        starts = range(0, self.total, _PAGE_RECORDS)
        results = path.replace("/resultPages", "/results")
        answer: dict[str, Any] = {
            "resultPages": [{"resultUrl": f"{results}?locator=P{start}"} for start in starts[first : first + 5]],
            "done": first + 5 >= len(starts),
        }
        if not answer["done"]:
            answer["nextRecordsUrl"] = f"{path}?locator={first + 5}"
        return answer

    def _page(self, query: dict[str, list[str]]) -> None:
        locator = query.get("locator", ["0"])[0]
        first = int(re.sub(r"\D", "", locator))
        # A page that resultPages named has its own length; one that was asked for by maxRecords, the asked one.
        asked = _PAGE_RECORDS if locator.startswith("P") else int(query.get("maxRecords", [str(_PAGE_RECORDS)])[0])
        records = min(asked, self.total - first)
        following = str(first + records) if first + records < self.total else "null"
        headers = [("Sforce-NumberOfRecords", str(records)), ("Sforce-Locator", following)]
        self._send(200, "text/csv", headers, [_HEADER, *Handler.result.pieces(first, records)])

    def _json(self, answer: dict[str, Any]) -> None:
        self._send(200, "application/json", [], [json.dumps(answer).encode()])

    def _send(
        self, status: int, content_type: str, headers: list[tuple[str, str]], pieces: list[Any] | None = None
    ) -> None:
        body = pieces or []
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type + ";charset=UTF-8")
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(sum(len(piece) for piece in body)))
        self.end_headers()
        for piece in body:
            self.wfile.write(piece)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _described(field: dict[str, Any]) -> dict[str, Any]:
    blank = {"createable": field["name"] != "Id", "updateable": True, "nillable": True, "length": 0, "precision": 0}
    return {**blank, "scale": 0, "digits": 0, "referenceTo": [], "relationshipName": None, "filterable": True, **field}


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64


def main() -> None:
    """Serve until standard input ends."""
    Handler.total = int(sys.argv[1])
    Handler.result = Result()
    with Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
