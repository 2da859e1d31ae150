"""What is run: an operator with random arguments, what it is to bring about, and whether it did."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, ClassVar

import numpy as np
from airflow.sdk import Asset

from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
from airflow_provider_sfbulk.client.effects import Request
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.operators.base import BulkJobOperator
from airflow_provider_sfbulk.operators.incremental import Incremental
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.simulator.faults import OPERATOR_FAULTS
from tests.simulator.invariants import claim
from tests.simulator.operators import expected
from tests.simulator.salesforce.model import API_VERSION, LOCKED, MISSING, Job, Salesforce
from tests.simulator.world.lake import PATTERN, Lake, LakeFile
from tests.simulator.world.processes import Process, World
from tests.simulator.world.storage import Files
from tests.simulator.world.store import Killed
from tests.simulator.world.upgrade import Asked

COLUMNS = ("Name", "Key__c", "Amount__c")
DEFERRED = frozenset({"defer", "trigger_sleep", "event", "stray_event", "late_triggerer", "upgrade", "api_version"})
"""Effects of a deferral, and what the process after it may find changed."""

LAKE = frozenset({"touch", "one_more_file", "source_away", "open_source"})
"""What happens to files."""

ENDED = frozenset({"abort", "ask_state", "deploy", "late_triggerer"})
"""Effects of a wait that is ended from outside."""

SETTLING = frozenset({"download", "page", "list_pages", "create_file", "commit_file", "read_file", "remove_file"})
"""Effects after the wait."""

WINDOW = "SystemModstamp >= :since AND SystemModstamp < :until"

ASSET = Asset("accounts")

AMOUNTS = (12, 4500000, 912260031)


class Subject:
    """What both operators share.

    :param world: the scheduler
    :param focus: kind of effect, or of accident, that is to happen, if it can
    """

    effects: ClassVar[frozenset[str]]
    """Effects that only this operator has."""
    more_calls: int = 0
    """What a try may have to ask for beyond ``CALLS_OF_A_CLEAN_TRY``."""

    def __init__(self, world: World, org: Salesforce, files: Files, rng: Random, focus: str) -> None:
        self._world, self._org, self._files, self._rng = world, org, files, rng
        self.retries = rng.choice((0, 1, 3))
        self.was_unreadable = False
        """Whether the input could not be read once."""
        chances = copy_of(rng)
        self.is_old = focus == "upgrade" or chances.random() < 0.15
        """Whether the first try's worker had version 0.1.0."""
        self.api_version = API_VERSION
        """What the connection has, or the DAG file."""
        self._names_version = chances.random() < 0.5
        """Whether the DAG file has it."""
        self.forgets = focus == "forgotten" or copy_of(rng).random() < 0.15
        """Whether the site's Airflow forgets the task's state with its success."""
        self.is_edited = False
        """Whether the DAG file says something else than in the beginning."""
        self._waits = focus in {*DEFERRED, *SETTLING, *ENDED} or rng.random() < 0.9
        self._common: dict[str, Any] = {
            "wait_for_completion": self._waits,
            "deferrable": focus in DEFERRED or rng.random() < 0.5,
            "cancel_on_kill": focus in ENDED or rng.random() < 0.8,
            "retries": self.retries,
        }

    @property
    def _arguments_now(self) -> dict[str, Any]:
        """What both operators are given."""
        return {**self._common, **({"api_version": self.api_version} if self._names_version else {})}

    def raise_api_version(self) -> None:
        """Let the DAG file, or the connection, name the next version."""
        self.api_version = f"{float(self.api_version) + 1}"

    @property
    def asked(self) -> Asked | None:
        """What the DAG file asks for, if it is a query."""
        return None

    @property
    def _folder_is_ours(self) -> bool:
        """Whether what lies in the folder can be held against the try that has just ended."""
        return expected.FOLDER_IS_GUARDED or not self._files.is_disturbed

    def operator(self, process: Process) -> BulkJobOperator:
        """Make the operator, as the DAG file does in every process."""
        raise NotImplementedError

    def cleared(self, *, is_done: bool, is_known: bool) -> None:
        """Note a user's clear.

        :param is_done: whether the task had done its work, and Airflow has taken that
        :param is_known: whether the next try can know of the clear
        """

    def is_another_plan(self, known: Mapping[str, Any]) -> bool:
        """Whether the DAG file describes another load than the one that a try has decided.

        :param known: the task's state store
        """
        return False

    def retried(self) -> None:
        """Note a retry."""

    def sends(self, request: Request, what: str) -> None:
        """Look at a request before it is sent."""

    def succeeded(self, value: Any) -> None:
        """Hold what the task returned against the org."""

    def ended(self) -> None:
        """Look once more when everything has come to rest."""

    def facts(self) -> expected.Facts:
        """Say what happened in the org."""
        raise NotImplementedError

    def parts(self) -> int:
        """How many jobs a try may have to make."""
        return 1


class Load(Subject):
    """A ``BulkIngestOperator``."""

    effects = frozenset({"create", "upload", "close", "download", "read", "fail_at_work", "month", *LAKE})

    def __init__(self, world: World, org: Salesforce, files: Files, rng: Random, focus: str) -> None:
        super().__init__(world, org, files, rng, focus)
        count = rng.randint(1, 6)
        rows = [(f"cell{number}", f"key{number}", str(rng.choice(AMOUNTS))) for number in range(count)]
        if rng.random() < 0.1:
            rows.append(rows[0])  # a row may be there twice, and then it is to arrive twice
        self._rows = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        self._lines = {0: Counter(",".join(row) for row in rows)}
        """What each load is to bring, once it is decided; at first the same for all."""
        self.load = 1
        chances = copy_of(rng)
        self.lake: Lake | None = None
        """Where the rows come from, if from files."""
        self._listed: dict[int, list[str]] = {}
        """Files that each try has found."""
        self._edits: dict[int, bool] = {}
        """Which DAG file each try has read."""
        if focus in LAKE or chances.random() < 0.3:
            half = chances.randint(1, len(rows))
            lines = [",".join(row) for row in rows]
            lake = {"lake/10.csv": lines[:half], **({"lake/11.csv": lines[half:]} if lines[half:] else {})}
            self.lake = Lake(",".join(COLUMNS), lake, self._source_failed, world.meet_source)
        self._loads: dict[str, int] = {}
        self._part_records = rng.randint(1, 3)
        self._is_callable = rng.random() < 0.6
        self._is_staged = self._is_callable and rng.random() < 0.5
        """Whether what was uploaded is kept: then the source need not give the same rows in the same order again."""
        org.counters_lag = expected.ROUNDS and rng.random() < 0.3
        if focus == "download" or rng.random() < 0.4:
            for line in self.lines:
                if rng.random() < 0.3:
                    org.troubles[line] = rng.choice(([LOCKED], [LOCKED] * 2, [MISSING] * 99))
        self.allowed = rng.choice((0, 0, 2, None)) if org.troubles else 0
        self._skips = copy_of(rng).random() < 0.3
        """Whether only rows are sent that differ from the org's."""
        self._asked: dict[int, list[Counter[str]]] = {}
        """By load, of each query that compares, the rows of the input that the org has by then as they are."""
        self._org_rng = copy_of(rng)
        if self._skips:
            self.is_old, org.queries.answer = False, self._answer
            self.more_calls = 2  # the query, and describe once more after the wait for it
        folder = "memory://results" if focus in SETTLING else rng.choice((None, "memory://results"))
        form = rng.choice(("csv", "jsonl"))
        self._arguments: dict[str, Any] = {
            "sobject": "Account",
            **self._operation(rng),
            **({} if folder is None or not self._waits else {"results_path": folder, "results_format": form}),
            "max_failed_records": self.allowed,
            "max_concurrent_jobs": rng.randint(1, 3),
            **expected.arguments(rng, is_staged=self._is_staged),
        }

    def _operation(self, rng: Random) -> dict[str, Any]:
        upsert = {"operation": "upsert", "external_id_field": "Key__c"}
        chosen = rng.choice(({"operation": "insert"}, upsert))
        return {**upsert, "skip_unchanged": True} if self._skips else chosen

    def operator(self, process: Process) -> BulkIngestOperator:
        """Make the operator."""
        size = self._part_records
        if not process.is_clean and self._rng.random() < 0.3:
            size = self._rng.randint(1, 3)
        source: Any = Source(self, process) if self._is_callable else [dict(row) for row in self._rows]
        if self.lake is not None:
            source = PATTERN
        if not process.label.endswith("execute_complete"):  # which decides nothing
            self._edits[process.number] = self.is_edited
        return BulkIngestOperator(
            task_id="load",
            source=source,
            part_records=size,
            timezone="UTC" if self.is_edited else None,
            **self._arguments,
            **self._arguments_now,
        )

    def made(self, job: Job) -> None:
        """Note to which load a new job belongs."""
        self._loads[job.id] = self.load

    def cleared(self, *, is_done: bool, is_known: bool) -> None:
        """After the work is done a clear begins a new load, which brings all rows once more."""
        self.load += is_done
        if self.lake is not None and is_done:
            self.lake.is_away = False

    @property
    def lines(self) -> Counter[str]:
        """The rows that the newest load is to bring."""
        return self._lines.get(self.load, self._lines[0])

    def find(self, process: Process) -> list[LakeFile]:
        """Find the files, for a try that has not decided."""
        assert self.lake is not None
        found = self.lake.find()
        self._listed[process.number] = [file.path for file in found]
        return found

    def closed(self, job: Job, known: Mapping[str, Any]) -> None:
        """Note which rows a load is to bring: those of the files that the try has found which decided it.

        A load of which nothing was processed is given up, and decided anew.
        """
        load = self._loads[job.id]
        if self.lake is not None:
            self._lines[load] = Counter(self._in_order(known))
        if self._skips:
            chosen = ChosenRows.from_dict(known[f"sfbulk.try{_deciding(self._edits, known)}.end.0"]["compared"])
            rows = self._in_order(known)
            claim(chosen.rows == len(rows), "a decision about other rows than those of the input")
            are_sent = np.unpackbits(chosen.bits, count=chosen.rows)
            self._lines[load] = Counter(row for row, is_sent in zip(rows, are_sent, strict=True) if is_sent)
            spared = Counter(rows) - self._lines[load]
            claim(
                # The org was asked for more than the input if there was one more file by then.
                any(same & Counter(rows) == spared for same in self._asked.get(load, [])),
                "what is sent is not what differed when one query of this load was made",
            )

    def _in_order(self, known: Mapping[str, Any]) -> list[str]:
        """Give the rows of the input as the try has read them that has decided."""
        if self.lake is None:
            return [",".join(row.values()) for row in self._rows]
        return [row for path in self._listed[_deciding(self._listed, known)] for row in self.lake.files[path]]

    def _answer(self, job_id: str, soql: str) -> tuple[Sequence[str], list[list[str]]]:
        """Give the rows of the org to a query that compares: some as they are in the input, some not, some not at all."""
        names = soql.removeprefix("SELECT ").partition(" FROM ")[0].split(", ")
        claim(sorted(names) == sorted(COLUMNS), f"other columns are compared: {soql}")
        lines = (
            {line for rows in self.lake.files.values() for line in rows} if self.lake is not None else self._lines[0]
        )
        found, same = [], Counter[str]()
        usual = self._org_rng.choice((0.2, 0.6, 1.0))
        for line in sorted(lines):
            row = dict(zip(COLUMNS, line.split(","), strict=True))
            if self._org_rng.random() < usual:
                same[line] += self._lines[0][line] < 2  # of two with one key neither is spared
            elif self._org_rng.random() < 0.5:
                row["Name"] = "cell99"
            else:
                continue
            found.append([row[name] for name in names])
        self._asked.setdefault(self.load, []).append(+same)
        return names, found

    def is_another_plan(self, known: Mapping[str, Any]) -> bool:
        return self._edits[_deciding(self._edits, known)] != self.is_edited

    def may_change(self, accident: str) -> bool:
        """Whether an accident of the files can happen now: before a load is decided, only another file matters."""
        return self.lake is not None and (accident == "one_more_file" or self.load in self._lines)

    def change_lake(self, accident: str) -> None:
        """Let it happen."""
        assert self.lake is not None
        if accident == "touch":
            self.lake.changes += 1
        elif accident == "one_more_file":
            number = 50 + len(self.lake.files)
            self.lake.add([f"cell{number},key{number},12"])
        else:
            self.lake.is_away = True

    def _source_failed(self) -> None:
        self.was_unreadable = True

    def holds(self) -> None:
        """Hold all jobs against the input: what they have saved and what they may yet save, by load."""
        for load in range(1, self.load + 1):
            jobs = self._closed(load)
            rows = sum((job.saved + job.unsettled for job in jobs), Counter[str]())
            lines = self._lines.get(load, self._lines[0])
            claim(rows <= lines, f"load {load}: rows twice, or not ours: {rows - lines}")

    def succeeded(self, value: Any) -> None:
        """Hold the summary and the result files against the jobs."""
        if self._skips and not self._closed(self.load):
            claim(not (value["job_ids"] if self._waits else value), "success with jobs that nobody has closed")
            all_same = [asked for asked in self._asked.get(self.load, []) if asked >= self._lines[0]]
            claim(bool(all_same), "nothing was sent, and no query has found all rows of the input")
            return
        if not self._waits:
            jobs = [self._org.jobs[job_id] for job_id in value]
            sent = sum((Counter(job.rows) for job in jobs), Counter[str]())
            claim(sent == self.lines, f"success without {self.lines - sent}")
            claim(all(job.state != "Open" for job in jobs), "success with an open job")
            return
        saved = self._saved()
        missing = self.lines - saved
        claim(value["successful"] == saved.total(), f"{saved.total()} are saved, it says {value['successful']}")
        claim(value["failed"] == missing.total(), f"success without {missing}; it says {value['failed']}")
        claim(value["unprocessed"] == 0, "success with unprocessed records")
        claim(
            not self._skips or value["unchanged"] >= self._lines[0].total() - self.lines.total(), "rows are not counted"
        )
        refused = all(line in self._org.troubles and self._is_hopeless(line) for line in missing)
        claim(refused, f"success without {missing}, which Salesforce never refused")
        claim(self.allowed is None or missing.total() <= self.allowed, "more failed records than allowed")
        if value["manifest"] is not None and self._folder_is_ours:
            self._check_files(value, saved, missing)

    def ended(self) -> None:
        """Look at the rows once more."""
        self.holds()

    def facts(self) -> expected.Facts:
        """Say what happened in the org."""
        jobs = self._org.jobs.values()
        doubled = any(len(job.puts) > 1 for job in jobs)
        is_needed = doubled or any(job.ended_by or any(job.errors) for job in jobs)
        return expected.Facts(
            is_deleted=bool(self._org.deleted),
            is_ended=any(job.ended_by for job in self._org.jobs.values()),
            is_doubled=doubled,
            unsaved=Counter(
                {line: count for line, count in (self.lines - self._saved()).items() if self._is_hopeless(line)}
            ),
            allowed=self.allowed,
            is_unreadable=self.lake is not None and self.lake.is_away and is_needed,
        )

    def parts(self) -> int:
        """How many jobs a try may have to make."""
        return self.lines.total()

    def _is_hopeless(self, line: str) -> bool:
        """Whether a row is refused however often it is sent."""
        return not expected.ROUNDS or MISSING in self._org.troubles.get(line, ())

    def _closed(self, load: int) -> list[Job]:
        return [job for job in self._org.closed if self._loads[job.id] == load]

    def _saved(self) -> Counter[str]:
        return sum((job.saved for job in self._closed(self.load)), Counter[str]())

    def _check_files(self, value: dict[str, Any], saved: Counter[str], missing: Counter[str]) -> None:
        manifest = json.loads(self._files.whole["_manifest.json"])
        numbers: list[int] = []
        for kind, lines in (("successful", saved), ("failed", missing), ("unprocessed", Counter[str]())):
            names = [uri.rpartition("/")[2] for uri in value["results"][kind]]
            claim(value["results"][kind] == manifest["files"][kind], f"{kind}: the manifest names other files")
            rows = [row for name in names for row in rows_of(name, self._files.whole[name])]
            claim(manifest["counts"][kind] == len(rows), f"{kind}: the manifest counts otherwise than its files")
            keys = Counter(line.split(",")[1] for line in lines.elements())
            claim(Counter(row["Key__c"] for row in rows) == keys, f"{kind}: other rows than the org has")
            numbers += [int(row["sf__Row"] or 0) for row in rows if expected.ROUNDS]
            stray = {f"{kind}.{each}" for each in ("csv", "jsonl")} & set(self._files.whole) - set(names)
            claim(not stray, f"a file of an earlier run is left: {stray}")
        told = [number for number in numbers if number]
        # A row that is there twice cannot be told from its double; and when the input cannot be read, none can be told.
        untold = len(numbers) if self.was_unreadable else 0 if max(self.lines.values()) == 1 else 2
        claim(len(set(told)) == len(told), f"rows of the input twice in the result files: {sorted(told)}")
        claim(len(numbers) - len(told) <= untold, f"{len(numbers) - len(told)} rows have no number")

    def _read(self, process: Process) -> Iterator[dict[str, str]]:
        """Give the rows, sometimes in another order than another try did."""
        rows = list(self._rows)
        may_shuffle = (self._is_staged or not expected.ROUNDS) and not self._skips
        if may_shuffle and not process.is_clean and self._rng.random() < 0.3:
            self._rng.shuffle(rows)
        for row in rows:
            fault = self._world.fault("read", OPERATOR_FAULTS["read"], process.number)
            if fault == "kill_before":
                raise Killed
            if fault == "bad_input":
                self.was_unreadable = True
                raise SourceError("a row is wrong")
            if fault == "freeze":
                self._world.freeze(process.number)
            yield dict(row)


class Source:
    """A callable that gives the rows. Objects within it are no arguments."""

    def __init__(self, load: Load, process: Process) -> None:
        self._load, self._process = load, process

    def __call__(self) -> Iterator[dict[str, str]]:
        return self._load._read(self._process)


def _deciding(tries: Iterable[int], known: Mapping[str, Any]) -> int:
    """Give the try that has decided the load; the first one's ledger may be that of an earlier version."""
    return max((number for number in tries if f"sfbulk.try{number}.end.0" in known), default=1)


class Extract(Subject):
    """A ``BulkQueryOperator``."""

    effects = frozenset({"submit", "page", "list_pages", "asset", "next_run", "forgotten"})

    def __init__(self, world: World, org: Salesforce, files: Files, rng: Random, focus: str) -> None:
        super().__init__(world, org, files, rng, focus)
        self._sizes = copy_of(rng)
        self._to_files = focus in SETTLING or rng.random() < 0.8
        self._before_clear = 0
        wanted = focus in ("forgotten", "asset", "next_run")
        self._waits |= wanted
        self._common["wait_for_completion"] = self._waits
        self._to_files &= self._waits  # a task that does not wait has no rows to write
        self._is_incremental = self._waits and (wanted or copy_of(rng).random() < 0.4)
        self._window: str | None = None
        """The one that the run's first job was for."""
        self._is_retried = False
        """Whether the first try after the last clear has failed."""
        self._layout = copy_of(rng)
        form = rng.choice(("csv", "csv", "jsonl"))
        self._arguments: dict[str, Any] = {
            **({"output_path": "memory://extract", "output_format": form} if self._to_files else {}),
            "page_records": rng.randint(1, 4) if focus != "list_pages" else 1,
            "max_concurrent_pages": rng.choice((1, 1, 3)) if focus != "list_pages" else 3,
        }
        if self._to_files and self._layout.random() < 0.4:
            self._arguments["rows_per_file"] = self._layout.randint(1, 5)

    def operator(self, process: Process) -> BulkQueryOperator:
        """Make the operator."""
        return BulkQueryOperator(
            task_id="extract",
            soql=self._soql(is_edited=self.is_edited),
            incremental=Incremental(asset=ASSET) if self._is_incremental else None,
            **{**self._arguments, **self._changed(process)},
            **self._arguments_now,
        )

    def _soql(self, *, is_edited: bool) -> str:
        columns = "Name, Id" if is_edited else "Id, Name"
        return f"SELECT {columns} FROM Account" + (f" WHERE {WINDOW}" if self._is_incremental else "")

    @property
    def asked(self) -> Asked:
        """What the DAG file asks for, or has asked for."""
        others = {"job_id": None, "operation": "query", "salesforce_conn_id": SalesforceBulkHook.default_conn_name}
        plans = [{"soql": self._soql(is_edited=is_edited), **others} for is_edited in (False, True)]
        return Asked(plans, Incremental(asset=ASSET).identity if self._is_incremental else None)

    def sends(self, request: Request, what: str) -> None:
        """Hold the window of a new job against that of the run's first."""
        if what == "submit" and self._is_incremental:
            assert request.body is not None
            window = json.loads(b"".join(request.body.chunks()))["query"].partition(" WHERE ")[2]
            self._window = self._window or window
            claim(window == self._window, f"a job for the window {window}; the run's is {self._window}")

    def _changed(self, process: Process) -> dict[str, Any]:
        """Give what another version of the DAG file says in this try."""
        if process.is_clean or self._sizes.random() < 0.7:
            return {}
        changed = {"page_records": self._sizes.randint(1, 4)}
        return {**changed, "rows_per_file": self._layout.randint(1, 5)} if self._to_files else changed

    def cleared(self, *, is_done: bool, is_known: bool) -> None:
        """A clear starts over, where it can be told from a retry."""
        if is_known:
            self._before_clear = len(self._org.queries.jobs)
        self._is_retried = False

    def retried(self) -> None:
        """Note a retry."""
        self._is_retried = True

    def succeeded(self, value: Any) -> None:
        """Hold the rows against those of one finished job."""
        if not self._waits:
            claim(value in self._org.queries.jobs, "success without a job")
            return
        fresh = list(self._org.queries.jobs.values())[self._before_clear :]
        if not expected.CLEAR_ALWAYS_RESTARTS and self._is_retried:
            fresh = list(self._org.queries.jobs.values())
        if not self._to_files:
            rows = [[row["Id"], row["Name"]] for row in value]
            claim(any(job.rows == rows for job in fresh), "rows that no job has that was made since the clear")
            return
        job = self._org.queries.jobs[value["job_id"]]
        claim(job in fresh, f"success with {job.id}, a job from before the clear")
        claim(job.state == "JobComplete", f"success with a job that is {job.state}")
        claim(value["records"] == len(job.rows), "success with another number of records")
        if not self._folder_is_ours:
            return
        manifest = json.loads(self._files.whole["_manifest.json"])
        claim(manifest["job_id"] == job.id, "the manifest is another job's")
        names = [uri.rpartition("/")[2] for uri in value["files"]]
        claim([file["name"] for file in manifest["files"]] == names, "the manifest names other files")
        rows = [[row["Id"], row["Name"]] for name in names for row in rows_of(name, self._files.whole[name])]
        claim(rows == job.rows, "the files have other rows than the job")

    def facts(self) -> expected.Facts:
        """Say what happened in the org."""
        return expected.Facts(
            is_deleted=bool(self._org.queries.deleted),
            is_ended=any(job.ended_by for job in self._org.queries.jobs.values()),
            is_doubled=False,
            unsaved=Counter(),
            allowed=0,
        )


def copy_of(rng: Random) -> Random:
    """Give a generator of its own, which leaves the numbers of the schedule's as they are."""
    made = Random()
    made.setstate(rng.getstate())
    return made


def rows_of(name: str, data: bytes) -> list[dict[str, Any]]:
    """Read a file of the operator's."""
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in data.decode().splitlines()]
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
