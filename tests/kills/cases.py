"""What is run and killed: a load of three parts, one of what differs, an extract of five pages, one into folders; and when
each is right."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.bulk2.jobs import State
from tests.kills.scene import Attempt
from tests.kills.wire import steps

Row = tuple[str, str]

PARTS: Final = 3
ROWS: Final[list[Row]] = [
    *[("Umbrella Works", "1"), ("Twin", "7"), ("Twin", "7")],  # alike within a part …
    *[('Parasol, "East"', "4"), ("Ünïcödé 東京\nsecond line", "5"), ("Rain Coats", "6")],
    *[("Twin", "7"), ("Gum Boots", "8"), ("Sou'wester", "9")],  # … and in another one
]
"""Name and number of employees."""

KEY: Final = "External_Key__c"
DIFFERING: Final = (1, 3, 8)
"""The rows that are in the org otherwise."""

PAGES: Final = 5
PAGE_RECORDS: Final = 2
QUERY_WRITES: Final = PAGES + 6
"""The claim, the plan, the job, the header row, each page, the files' turn to be shown, the end."""
MANIFEST: Final = "_manifest.json"

REGIONS: Final = ("EMEA", "a/b", None)
FOLDERS: Final = (
    "records/Industry=EMEA",
    "records/Industry=a%2Fb",
    "records/Industry=__HIVE_DEFAULT_PARTITION__",
)
"""Of records by number, one after the other."""
DELETED: Final = (3, 8)
LAID_OUT: Final = 6
"""Files of two rows in these folders, and one of the deleted."""
EARLIER: Final = "Industry=earlier/part-750000000000000AAA-00000000-00000.csv"
"""A file of the extract before."""

CALLS_TO_ADOPT: Final = 3
"""Calls that a part of a decided load may cost the next try: a look, a close, and a look at its end."""


class Case(Protocol):
    """What is run, and when it is right."""

    operator: str
    slowly: bool
    """Whether the org shows every state of a job for one look."""
    fenced: frozenset[str]
    """The errors that end a try which was replaced while it stood still."""

    def prepare(self, org: LocalOrg, folder: Path) -> dict[str, Any]:
        """Make the input; give the operator's arguments."""

    def check_steps(self, seen: Counter[str]) -> None:
        """Check that an undisturbed try takes the steps that are expected of it, so that none of them is missed."""

    def is_about(self, step: steps.Step) -> bool:
        """Whether a try is to be struck at that step; not, when another case has it, or not every try takes it."""

    def check_killed(self, killed: Attempt) -> None:
        """Check what a reader may see right after the kill."""

    def check_next(self, killed: Attempt, clean: Attempt) -> None:
        """Check what the try after a kill did."""

    def check_end(self, org: LocalOrg, result: Mapping[str, Any], *, woken: bool = False) -> None:
        """Check the org and the files when all is done.

        :param result: what the operator returned
        :param woken: a replaced try was still at work after its successor had ended
        """


@dataclass
class Ingest:
    """Insert nine rows in three parts, with result files.

    :param at_once: parts to fill at the same time
    """

    at_once: int = 1
    slowly: bool = False
    operator: str = "ingest"
    fenced: frozenset[str] = frozenset({"FencedError"})
    results: Path = Path()

    def prepare(self, org: LocalOrg, folder: Path) -> dict[str, Any]:
        """Write the input."""
        source = folder / "input.csv"
        write_csv(source)
        self.results = folder / "results"
        return {
            "sobject": "Account",
            "operation": "insert",
            "source": str(source),
            "part_records": len(ROWS) // PARTS,
            "max_concurrent_jobs": self.at_once,
            "results_path": str(self.results),
        }

    def check_steps(self, seen: Counter[str]) -> None:
        """Three jobs are made, filled and closed."""
        assert {seen[kind] for kind in (steps.CREATE, steps.UPLOAD, steps.CLOSE)} == {PARTS}
        assert seen[steps.LOOK] >= PARTS
        assert seen[steps.LOGIN] == 1
        assert seen[steps.WRITE] >= PARTS + 2, "each part, the decision, the end"

    def is_about(self, step: steps.Step) -> bool:
        """Every step but files: nothing is promised of them before the end."""
        return step.kind != steps.FILE

    def check_killed(self, killed: Attempt) -> None:
        """Nothing is promised of the result files before the end."""

    def check_next(self, killed: Attempt, clean: Attempt) -> None:
        """A decided load, which is one that sent a close, is adopted: nothing is made or uploaded."""
        if not killed.calls(steps.CLOSE):
            return
        assert not clean.calls(steps.CREATE), "a job was made although the load was decided"
        assert not clean.calls(steps.UPLOAD), "something was uploaded although the load was decided"
        calls = Counter(each.job_id for each in clean.requests if each.step.kind in (steps.LOOK, steps.CLOSE))
        if {each.step.kind for each in clean.requests} == {steps.LOGIN}:
            return  # the load was done: what it had returned is returned once more
        assert len(calls) == PARTS
        assert max(calls.values()) <= CALLS_TO_ADOPT, f"adopting a job took {max(calls.values())} calls"

    def check_end(self, org: LocalOrg, result: Mapping[str, Any], *, woken: bool = False) -> None:
        """Every row is in the org once, by one closed job per part, and once in the result files."""
        stored = Counter((row["Name"], f"{row['NumberOfEmployees']:.0f}") for row in org.records("Account"))
        assert stored == Counter(ROWS), "rows are not in the org once each"
        closed = [job for job in org.jobs if job.state not in (State.OPEN, State.ABORTED)]
        assert [job.state for job in closed] == [State.JOB_COMPLETE] * PARTS, "not one closed job for each part"
        assert len({org.core.jobs.upload_path(job).read_bytes() for job in closed}) == PARTS
        counts = {kind: result[kind] for kind in ("processed", "successful", "failed", "unprocessed")}
        assert counts == {"processed": len(ROWS), "successful": len(ROWS), "failed": 0, "unprocessed": 0}
        names = {path.name for path in self.results.iterdir()}
        assert names == {MANIFEST, "successful.csv"}, f"the folder of the results has {sorted(names)}"
        assert read_rows([self.results / "successful.csv"]) == Counter(ROWS), "rows are not in the results once each"


@dataclass
class Differing(Ingest):
    """Upsert nine rows of which three are in the org otherwise, in three parts."""

    def prepare(self, org: LocalOrg, folder: Path) -> dict[str, Any]:
        """Fill the org and write the input."""
        source = folder / "input.csv"
        with source.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([("Name", "NumberOfEmployees", KEY), *((*row, str(n)) for n, row in enumerate(ROWS))])
        with org.core.store.writing() as connection:
            for number, (name, count) in enumerate(ROWS):
                row = (f"001LO{number:010}AAA", "before" if number in DIFFERING else name, int(count), str(number))
                connection.execute(f"INSERT INTO Account (Id, Name, NumberOfEmployees, {KEY}) VALUES (?, ?, ?, ?)", row)
        self.results = folder / "results"
        return {
            "sobject": "Account",
            "operation": "upsert",
            "external_id_field": KEY,
            "source": str(source),
            "part_records": 1,
            "max_concurrent_jobs": 1,
            "results_path": str(self.results),
            "skip_unchanged": True,
        }

    def check_steps(self, seen: Counter[str]) -> None:
        """One query, and a load."""
        super().check_steps(seen)
        assert (seen[steps.QUERY], seen[steps.PAGE]) == (1, 1)

    def check_next(self, killed: Attempt, clean: Attempt) -> None:
        """A query that was recorded, as it is when it has been looked at, is gone on with; a decided load needs none."""
        super().check_next(killed, clean)
        if killed.calls(steps.QUERY_LOOK):
            assert not clean.calls(steps.QUERY), "the query ran again although its job was recorded"
        if killed.calls(steps.CLOSE):
            assert not clean.calls(steps.PAGE), "what was decided was compared again"

    def check_end(self, org: LocalOrg, result: Mapping[str, Any], *, woken: bool = False) -> None:
        """The org has what the input has, and each row that differed was processed once, and no other."""
        stored = {row[KEY]: (row["Name"], f"{row['NumberOfEmployees']:.0f}") for row in org.records("Account")}
        assert stored == {str(number): row for number, row in enumerate(ROWS)}
        ended = [job for job in org.jobs if job.operation == "upsert" and job.state not in (State.OPEN, State.ABORTED)]
        assert [job.state for job in ended] == [State.JOB_COMPLETE] * PARTS, "not one closed job for each part"
        differing = Counter(ROWS[number] for number in DIFFERING)
        assert read_rows(org.core.jobs.upload_path(job) for job in ended) == differing, (
            "not each row that differs, once"
        )
        counts = {kind: result[kind] for kind in ("processed", "successful", "failed", "unprocessed", "unchanged")}
        assert counts == {"processed": 3, "successful": 3, "failed": 0, "unprocessed": 0, "unchanged": 6}
        with (self.results / "successful.csv").open(newline="", encoding="utf-8") as file:
            assert {row["sf__Row"] for row in csv.DictReader(file)} == {str(number + 1) for number in DIFFERING}


@dataclass
class Query:
    """Read ten records in five pages into files.

    :param at_once: pages to read at the same time
    """

    at_once: int = 1
    slowly: bool = False
    operator: str = "query"
    # Its successor may have tidied away the file that it was writing.
    fenced: frozenset[str] = frozenset({"FencedError", "StorageError"})
    output: Path = Path()

    def prepare(self, org: LocalOrg, folder: Path) -> dict[str, Any]:
        """Fill the org."""
        with org.core.store.writing() as connection:
            for number in range(PAGES * PAGE_RECORDS):
                row = (f"001LO{number:010}AAA", f"Account, {number}\nof ten", number)
                connection.execute("INSERT INTO Account (Id, Name, NumberOfEmployees) VALUES (?, ?, ?)", row)
        org.core.page_records = PAGE_RECORDS
        self.output = folder / "output"
        return {
            "soql": "SELECT Name, NumberOfEmployees FROM Account",
            "output_path": str(self.output),
            "page_records": PAGE_RECORDS,
            "max_concurrent_pages": self.at_once,
        }

    def check_steps(self, seen: Counter[str]) -> None:
        """One job, five pages."""
        assert seen[steps.QUERY] == 1
        assert seen[steps.PAGE] == PAGES
        assert seen[steps.LOGIN] == 1
        assert seen[steps.WRITE] >= QUERY_WRITES
        assert self.at_once > 1 or seen[steps.WRITE] == QUERY_WRITES

    def is_about(self, step: steps.Step) -> bool:
        """Of pages at once, what has to do with pages. Several may be the first and note the header row, so that there are
        more writes in some tries than in others."""
        if step.kind == steps.FILE:
            return False  # the case of folders has them
        return self.at_once == 1 or (
            step.kind in (steps.PAGE_LIST, steps.PAGE) or (step.kind == steps.WRITE and step.number <= QUERY_WRITES)
        )

    def check_killed(self, killed: Attempt) -> None:
        """The manifest stands only when all it names stands."""
        if (self.output / MANIFEST).exists():
            self._named()

    def check_next(self, killed: Attempt, clean: Attempt) -> None:
        """A job that was recorded, as it is when it has been looked at, is gone on with; but nothing says that Airflow took
        the success of a try that was done: then the query runs again."""
        if not killed.is_done and any(each.job_id is not None for each in killed.requests):
            assert not clean.calls(steps.QUERY), "the query ran again although its job was recorded"

    def check_end(self, org: LocalOrg, result: Mapping[str, Any], *, woken: bool = False) -> None:
        """The folder has every record once, and nothing that the manifest does not name."""
        named = self._named()
        self._check_folder(named, woken=woken)
        expected = Counter((row["Name"], f"{row['NumberOfEmployees']:.0f}") for row in org.records("Account"))
        assert read_rows(self.output / name for name in named) == expected
        assert len(expected) == PAGES * PAGE_RECORDS
        assert result["records"] == PAGES * PAGE_RECORDS
        assert len(result["files"]) == PAGES

    def _check_folder(self, named: set[str], *, woken: bool) -> None:
        found = {str(path.relative_to(self.output)) for path in self.output.rglob("*") if not path.is_dir()}
        unnamed = found - named - {MANIFEST}
        if woken:  # what it made after its successor was done is hidden from readers
            unnamed = {name for name in unnamed if not name.startswith("_")}
        assert not unnamed, f"the folder also has {sorted(unnamed)}"
        assert all(any(path.iterdir()) for path in self.output.rglob("*") if path.is_dir()), "there is an empty folder"

    def _named(self) -> set[str]:
        """Check the files that the manifest names, and give their names."""
        manifest = json.loads((self.output / MANIFEST).read_text(encoding="utf-8"))
        files = [*manifest["files"], *manifest.get("deletions", {}).get("files", [])]
        for file in files:
            data = (self.output / file["name"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == file["sha256"], f"{file['name']} is not what the manifest says"
            assert len(data) == file["bytes"]
        assert sum(file["records"] for file in files) == manifest["records"]
        return {file["name"] for file in files}


@dataclass
class LaidOut(Query):
    """Read the same records, two of which are deleted, into files of two rows in folders, in place of an extract before."""

    def prepare(self, org: LocalOrg, folder: Path) -> dict[str, Any]:
        """Fill the org."""
        arguments = super().prepare(org, folder)
        with org.core.store.writing() as connection:
            for number in range(PAGES * PAGE_RECORDS):
                row = (REGIONS[number % len(REGIONS)], int(number in DELETED), number)
                connection.execute("UPDATE Account SET Industry = ?, IsDeleted = ? WHERE NumberOfEmployees = ?", row)
        earlier = self.output / EARLIER
        earlier.parent.mkdir(parents=True)
        earlier.write_bytes(b"")
        writer = {"dag_id": "dag", "task_id": "task", "run_id": "earlier", "map_index": -1}
        files = [{"name": EARLIER, "records": 0, "bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}]
        manifest = {"version": 1, "writer": writer, "job_id": "750000000000000AAA", "records": 0, "files": files}
        (self.output / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        return arguments | {
            "soql": "SELECT Id, Name, NumberOfEmployees, Industry, IsDeleted FROM Account",
            "include_deleted": True,
            "rows_per_file": 2,
            "partition_by": ["Industry"],
            "deletions": "files",
        }

    def check_steps(self, seen: Counter[str]) -> None:
        """Each page, each file made of them and its name, the manifest, and what goes: the file before, the pages."""
        super().check_steps(seen)
        assert seen[steps.FILE] >= PAGES + 2 * LAID_OUT + 1 + 1 + PAGES

    def is_about(self, step: steps.Step) -> bool:
        """From the last page on; what comes before is that of the other queries."""
        return (
            step.kind == steps.FILE
            or (step.kind == steps.PAGE and step.number == PAGES)
            or (step.kind == steps.WRITE and step.number > QUERY_WRITES - 3)
        )

    def check_killed(self, killed: Attempt) -> None:
        """What is visible is whole, in its folder; the manifest stands only when all it names stands."""
        super().check_killed(killed)
        for path in set(self.output.rglob("part-*")) - {self.output / EARLIER}:
            assert path.name.endswith(".csv"), f"{path.name} is half-written"
            rows = read_rows([path])
            assert rows, f"{path.name} is empty"
            assert rows <= self._expected()[str(path.parent.relative_to(self.output))], f"{path} has rows of others"

    def check_end(self, org: LocalOrg, result: Mapping[str, Any], *, woken: bool = False) -> None:
        """Every record is once in the folder where it belongs, and there is nothing that the manifest does not name."""
        named = self._named()
        self._check_folder(named, woken=woken)
        for folder, expected in self._expected().items():
            found = [name for name in named if name.rpartition("/")[0] == folder]
            assert read_rows(self.output / name for name in found) == expected, f"{folder} has not its rows"
            assert len(found) == -(-sum(expected.values()) // 2)
        assert {name.rpartition("/")[0] for name in named} == self._expected().keys()
        assert result["records"] == PAGES * PAGE_RECORDS
        assert result["deletions"]["records"] == len(DELETED)
        assert len(result["files"]) + len(result["deletions"]["files"]) == len(named)

    def _expected(self) -> dict[str, Counter[Row]]:
        """Give the rows by folder."""
        folders: dict[str, Counter[Row]] = {}
        for number in range(PAGES * PAGE_RECORDS):
            folder = "deletions" if number in DELETED else FOLDERS[number % len(FOLDERS)]
            folders.setdefault(folder, Counter())[f"Account, {number}\nof ten", str(number)] += 1
        return folders


CASES: Final[Mapping[str, Callable[[], Case]]] = {
    "ingest": Ingest,
    "ingest of what differs": Differing,
    "query": lambda: Query(slowly=True),
    "query, pages at once": lambda: Query(at_once=4),
    "query into folders": LaidOut,
}


def write_csv(path: Path) -> None:
    """Write the rows of the load."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("Name", "NumberOfEmployees"), *ROWS])


def read_rows(paths: Any) -> Counter[Row]:
    """Count the rows of CSV files."""
    rows: Counter[Row] = Counter()
    for path in paths:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows.update((row["Name"], f"{float(row['NumberOfEmployees']):.0f}") for row in csv.DictReader(file))
    return rows
