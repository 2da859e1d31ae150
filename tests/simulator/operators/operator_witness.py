"""What must hold in every schedule of a whole operator. Checked as it happens."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from typing import Any, Final

from airflow.sdk.exceptions import AirflowRuntimeError, TaskDeferred

from airflow_provider_sfbulk.client.effects import Request
from tests.simulator.invariants import claim
from tests.simulator.operators import expected
from tests.simulator.operators.subjects import Load, Subject, rows_of
from tests.simulator.salesforce.model import Job, Salesforce
from tests.simulator.world.processes import Process
from tests.simulator.world.storage import Files
from tests.simulator.world.store import Killed, Values

CELL: Final = re.compile(r"(cell|key)\d")
"""What the cells of all records look like."""

DECISION: Final = re.compile(r"\bend\.\d")
"""The key of a decision, of whichever version."""

WRITES: Final = frozenset({"create", "upload", "close", "abort", "submit"})


class OperatorWitness:
    """Watches one schedule."""

    def __init__(self, org: Salesforce, subject: Subject, states: Values, files: Files) -> None:
        self._org, self._subject, self._states, self._files = org, subject, states, files
        self._uploads: Counter[str] = Counter()
        self._fenced: set[int] = set()
        self._read_back: dict[int, str] = {}

    def fenced(self, number: int) -> None:
        """Note that a try was told that it is replaced."""
        self._fenced.add(number)

    def read(self, number: int, value: Any) -> None:
        """Note what a try has read in the store."""
        if value not in (None, {}):
            self._read_back[number] = self._read_back.get(number, "") + json.dumps(value)

    def written(self, value: Any) -> None:
        """Look at what a try writes into the store."""
        claim(not CELL.search(json.dumps(value)), "a cell's value in the task state store")

    def logged(self, line: str) -> None:
        """Look at a line of the task's log."""
        claim(not CELL.search(line), "a cell's value in the log")

    def sends(self, process: Process, request: Request, what: str, *, alone: bool) -> None:
        """Look at a request that a try sends on purpose."""
        if what in ("upload", "close"):
            job_id = _job_of(request)
            self._uploads[job_id] += what == "upload"
            claim(self._uploads[job_id] <= 1, f"the client sent two uploads to {job_id}")
            known = self._read_back.get(process.number, "")
            claim(what == "upload" or job_id in known, f"{job_id} is closed, and nothing of it was read back")
            claim(what == "upload" or bool(DECISION.search(known)), f"{job_id} is closed before anything was decided")
        if what in WRITES and process.number in self._fenced:
            claim(not alone and what != "close", f"{process.label} sent {what} although it was fenced")

    def applied(self, job: Job, before: Job, *, for_person: bool) -> None:
        """Look at a job that a request has changed.

        :param for_person: whether a person has killed the task
        """
        if job.was_closed and not before.was_closed:
            known = json.dumps(self._states.values)
            claim(
                job.id in known and bool(DECISION.search(known)),
                f"{job.id} is closed before anything was recorded and decided",
            )
        if job.state == "Aborted" and before.state != "Aborted":
            claim(for_person or not job.was_closed, f"{job.id} was aborted after its close, and nobody asked for it")
        self.rows()

    def rows(self) -> None:
        """Hold what the org has committed against the input."""
        if isinstance(self._subject, Load):
            self._subject.holds()

    def files_changed(self) -> None:
        """Hold the manifest against the folder: what it names is whole."""
        raw = self._files.whole.get("_manifest.json")
        if raw is None or (self._files.is_disturbed and not expected.FOLDER_IS_GUARDED):
            return
        manifest = json.loads(raw)
        if isinstance(self._subject, Load):
            for kind, uris in manifest["files"].items():
                names = [uri.rpartition("/")[2] for uri in uris]
                claim(
                    all(name in self._files.whole for name in names), f"the manifest names {uris}, which are not there"
                )
                rows = sum(len(rows_of(name, self._files.whole[name])) for name in names)
                claim(rows == manifest["counts"][kind], f"{kind}: the manifest counts otherwise than its files")
            return
        for file in manifest["files"]:
            data = self._files.whole.get(file["name"])
            claim(data is not None, f"the manifest names {file['name']}, which is not there")
            assert data is not None
            whole = (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
            claim(whole, f"the manifest and {file['name']} differ")
        total = sum(file["records"] for file in manifest["files"])
        job = self._org.queries.jobs[manifest["job_id"]]
        claim(manifest["records"] == total == len(job.rows), "the manifest has not the job's records")

    def ended(self, process: Process, value: Any, error: BaseException | None, *, storage_failed: bool) -> None:
        """Look at what a process leaves behind, and at its error."""
        if isinstance(error, Killed):
            return
        claim(not process.open_files, f"{process.label} left open: {sorted(map(repr, process.open_files))}")
        if error is None:
            claim(isinstance(value, list) or not CELL.search(json.dumps(value, default=str)), "a cell's value in XCom")
            return
        if isinstance(error, TaskDeferred):
            claim(not CELL.search(str(error.trigger.serialize())), "a cell's value in a trigger")
            return
        airflows = isinstance(error, AirflowRuntimeError) or (isinstance(error, OSError) and storage_failed)
        claim(expected.is_named(error) or airflows, f"an error without a name: {error!r}")
        claim(not CELL.search(_told(error)), f"a cell's value in {error!r}")

    def failed_for_good(self, error: BaseException) -> None:
        """Judge the error of a try that met no fault."""
        justified = expected.is_justified(error, self._subject.facts())
        claim(justified, f"a try without faults failed: {type(error).__name__}: {error}")

    def clean(self, calls: list[str]) -> None:
        """Hold the calls of a try that met no fault against its budget."""
        counts = Counter(calls)
        parts = self._subject.parts() * (expected.ROUNDS_OF_A_TRY if expected.ROUNDS else 1)
        for what in ("create", "upload", "close"):
            claim(counts[what] <= parts, f"{counts[what]} times {what} for {parts} parts")
        others = sum(counts[what] for what in ("describe", "submit", "list_pages"))
        claim(others <= expected.CALLS_OF_A_CLEAN_TRY + self._subject.more_calls, f"too many calls: {counts}")


def _job_of(request: Request) -> str:
    return request.url.partition("/jobs/ingest/")[2].partition("/")[0]


def _told(error: BaseException) -> str:
    """Give the words of an error and of those that led to it."""
    words, seen = "", error
    while seen is not None:
        words += f"{seen} {vars(seen)}\n"
        shown = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
        seen = shown  # type: ignore[assignment]
    return words
